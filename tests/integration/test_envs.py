"""Environments made by the real uv: locks, venvs, local projects, setup, and what fails."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any
from zipfile import ZipFile

import pytest
from uv import find_uv_bin

from rhdesk.errors import BadInput, BadRequirement, SetupFailed, StoreUnwritable
from rhdesk.models import Step, StepState
from rhdesk_servlet.envs import Built, EnvBuilder

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
"""uv's own, found before a fixture moves HOME: packages are fetched once per machine."""
INTERPRETER = os.path.realpath(sys.executable)

BACKEND = """
import os, pathlib, sys, time, zipfile
here = pathlib.Path(__file__).parent
def build_wheel(folder, *_):
    for line in {on_build!r}.splitlines():
        exec(line)
    name = "{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        for file in sorted(here.glob("src/*.py")):
            wheel.write(file, file.name)
        info = "{name}-{version}.dist-info/"
        wheel.writestr(info + "METADATA", {metadata!r})
        wheel.writestr(info + "WHEEL", {wheel!r})
        wheel.writestr(info + "RECORD", "")
    return name
"""


METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def a_project(folder: Path, name: str = "tiny", *, says: str = "1", on_build: str = "") -> Path:
    """A project that builds itself, so that no build tool has to be fetched."""
    place = folder / name
    (place / "src").mkdir(parents=True, exist_ok=True)
    (place / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
    )
    (place / "backend.py").write_text(
        BACKEND.format(
            name=name,
            version="1.0",
            metadata=METADATA.format(name=name),
            wheel=WHEEL,
            on_build=on_build,
        )
    )
    (place / "src" / f"{name}.py").write_text(f"SAYS = {says!r}\n")
    return place


@pytest.fixture
def builder(tmp_path: Path) -> Callable[..., EnvBuilder]:
    def make(own: tuple[str, ...] = (), **options: Any) -> EnvBuilder:
        options = {"cache_dir": CACHE, "compile_bytecode": False, **options}
        return EnvBuilder(tmp_path / "venvs", own, **options)

    return make


async def made(events: AsyncGenerator[Step | Built]) -> tuple[Built, list[Step]]:
    steps: list[Step] = []
    built: Built | None = None
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Built):
                built = event
            else:
                steps.append(event)
    assert built is not None
    return built, steps


async def told(events: AsyncGenerator[Step | Built], steps: list[Step | Built]) -> None:
    async with aclosing(events):
        async for event in events:
            steps.append(event)


def said(python: str, code: str, **env: str) -> str:
    argv = [python, "-c", code]
    done = subprocess.run(
        argv, env={**os.environ, **env}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def uninstall(python: str, package: str) -> None:
    argv = [find_uv_bin(), "pip", "uninstall", "-q", "--python", python, package]
    subprocess.run(argv, check=True)


def git(folder: Path, *args: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid")
    done = subprocess.run(["git", *who, *args], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


async def until(is_so: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not is_so():  # noqa: ASYNC110  another process cannot set an Event of ours
            await asyncio.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


async def test_two_versions_of_one_package_live_side_by_side(
    builder: Callable[..., EnvBuilder],
) -> None:
    older, _ = await made(builder().make(lines=["six==1.15.0"]))
    newer, _ = await made(builder().make(lines=["six==1.16.0", "iniconfig"]))
    assert older.lock != newer.lock
    assert said(older.python, "import six; print(six.__version__)") == "1.15.0"
    assert said(newer.python, "import six, iniconfig; print(six.__version__)") == "1.16.0"
    assert older.packages == ("six==1.15.0",)
    assert [line.partition("==")[0] for line in newer.packages] == ["iniconfig", "six"]


async def test_every_step_starts_and_ends_and_uvs_words_are_its_progress(
    builder: Callable[..., EnvBuilder],
) -> None:
    _, steps = await made(builder().make(lines=["six"], setup_cmds=["echo ready"]))
    order = [(step.what, step.state) for step in steps if step.state != StepState.PROGRESS]
    assert order == [
        (what, state)
        for what in ("resolve requirements", "make venv", "install 1 package", "setup: echo ready")
        for state in (StepState.STARTED, StepState.DONE)
    ]
    told = [step.detail for step in steps if step.state == StepState.PROGRESS]
    assert any(line.startswith("Resolved 1 package") for line in told)
    assert told[-1] == "ready"


async def test_making_it_again_starts_no_process_and_needs_no_network(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"lines": ["six==1.16.0"], "folders": [str(a_project(tmp_path))]}
    first, _ = await made(builder().make(**asked))
    again = builder(uv=tmp_path / "there-is-no-uv")
    began = time.monotonic()
    second, steps = await made(again.make(**asked))
    assert second == first
    assert again.started == 0
    assert time.monotonic() - began < 0.5
    assert [s.detail for s in steps if s.state == StepState.DONE] == [
        "2 packages, as before",
        f"{first.lock} is already there",
    ]


async def test_the_order_of_requirements_does_not_make_another_environment(
    builder: Callable[..., EnvBuilder],
) -> None:
    first, _ = await made(builder().make(lines=["six==1.16.0", "iniconfig==2.0.0"]))
    second, _ = await made(builder().make(lines=["iniconfig==2.0.0", "six==1.16.0"]))
    assert second == first


async def test_a_lock_keeps_versions_and_no_addresses(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    await made(builder().make(lines=["six==1.16.0"], folders=[str(a_project(tmp_path))]))
    (file,) = (tmp_path / "venvs" / "locks").iterdir()
    text = file.read_text()
    assert "six==1.16.0" in text
    assert "://" not in text
    assert str(tmp_path) not in text


async def test_force_resolves_and_installs_again(builder: Callable[..., EnvBuilder]) -> None:
    first, _ = await made(builder().make(lines=["six==1.16.0"]))
    said(first.python, "import os, six; os.unlink(six.__file__)")
    again = builder()
    second, steps = await made(again.make(lines=["six==1.16.0"], force=True))
    assert second == first
    assert again.started == 2
    assert "Resolved 1 package" in steps[1].detail
    assert said(second.python, "import six; print(six.__version__)") == "1.16.0"


async def test_a_package_somebody_uninstalled_is_put_back(
    builder: Callable[..., EnvBuilder],
) -> None:
    built, _ = await made(builder().make(lines=["six==1.16.0", "iniconfig"]))
    uninstall(built.python, "six")
    _, steps = await made(builder().make(lines=["six==1.16.0", "iniconfig"]))
    assert f"{built.lock} is mended" in [step.detail for step in steps]
    assert said(built.python, "import six, iniconfig; print(six.__version__)") == "1.16.0"


async def test_a_bound_limits_what_something_else_asks_for(
    builder: Callable[..., EnvBuilder],
) -> None:
    built, _ = await made(
        builder().make(lines=["six", "constraint:six<1.16", "constraint:numpy<2"])
    )
    assert built.packages == ("six==1.15.0",)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["six", "no-such-package-rhdesk==1"],
            "no package is called 'no-such-package-rhdesk', asked for as "
            "'no-such-package-rhdesk==1'; look at the spelling",
        ),
        (
            ["six==1.16.0", "six==1.15.0"],
            "'six==1.16.0', 'six==1.15.0' cannot be installed together",
        ),
        (["six>=99"], "nothing fits 'six>=99': only six<=1"),
        (
            ["iniconfig<1"],
            "'iniconfig<1' cannot be installed (the servlet itself needs inicon",
        ),
        (
            ["git+file:///no/such/repository"],
            "'git+file:///no/such/repository' could not be fetched",
        ),
        ([f"six==1.16.0 --hash=sha256:{'0' * 64}"], "a download is not what its hash says"),
    ],
)
async def test_a_requirement_that_cannot_be_had_says_which_and_why(
    lines: list[str], message: str, builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    # A cache of its own: what is cached was checked against its hash when it was fetched.
    one = builder(("iniconfig==2.0.0",), cache_dir=tmp_path / "cache")
    with pytest.raises(BadRequirement) as caught:
        await made(one.make(lines=lines))
    assert str(caught.value).startswith(message)
    assert str(caught.value).count("\n") == 0


async def test_the_step_that_failed_says_so_before_the_error_comes(
    builder: Callable[..., EnvBuilder],
) -> None:
    steps: list[Step | Built] = []
    events = builder().make(lines=["six>=99"])
    with pytest.raises(BadRequirement) as caught:
        await told(events, steps)
    last = steps[-1]
    assert isinstance(last, Step)
    assert (last.state, last.detail) == (StepState.FAILED, str(caught.value))


async def test_a_hash_that_fits_is_checked_and_kept(builder: Callable[..., EnvBuilder]) -> None:
    line = (
        "six==1.16.0 "
        "--hash=sha256:8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"
    )
    built, _ = await made(builder().make(lines=[line]))
    plain, _ = await made(builder().make(lines=["six==1.16.0"]))
    assert built.packages == plain.packages
    assert built.lock != plain.lock


async def test_a_local_project_is_installed_as_it_is_now_and_left_clean(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    place = a_project(tmp_path, says="first", on_build="(here / 'build').mkdir()")
    before = sorted(place.rglob("*"))
    first, _ = await made(builder().make(lines=[], folders=[str(place)]))
    (place / "src" / "tiny.py").write_text("SAYS = 'second'\n")
    second, _ = await made(builder().make(lines=[], folders=[str(place)]))
    assert said(first.python, "import tiny; print(tiny.SAYS)") == "first"
    assert said(second.python, "import tiny; print(tiny.SAYS)") == "second"
    assert sorted(place.rglob("*")) == before
    assert second.packages[0].startswith("tiny @ local:")


async def test_the_same_project_in_another_folder_is_the_same_environment(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    places = [a_project(tmp_path), a_project(tmp_path / "elsewhere")]
    locks = {(await made(builder().make(lines=[], folders=[str(p)])))[0].lock for p in places}
    assert len(locks) == 1


async def test_a_project_that_is_not_there_is_a_bad_requirement(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    with pytest.raises(BadRequirement, match="there is no project at"):
        await made(builder().make(lines=[], folders=[str(tmp_path / "nothing")]))


async def test_a_project_that_does_not_build_shows_what_its_build_said(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    place = a_project(tmp_path, on_build="raise RuntimeError('the compiler is out of order')")
    with pytest.raises(SetupFailed) as caught:
        await made(builder().make(lines=[], folders=[str(place)]))
    assert str(caught.value) == (
        "tiny could not be built: RuntimeError: the compiler is out of order"
    )
    assert "Traceback" in caught.value.output


async def test_a_git_repository_is_locked_to_its_commit(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    place = a_project(tmp_path, says="from git")
    git(place, "init", "-q", "-b", "main")
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "first")
    built, _ = await made(builder().make(lines=[f"git+{place.as_uri()}@main"]))
    commit = git(place, "rev-parse", "HEAD")
    assert built.packages == (f"tiny @ git+{place.as_uri()}@{commit}",)
    assert said(built.python, "import tiny; print(tiny.SAYS)") == "from git"


async def test_setup_commands_run_in_order_in_the_environment_and_once(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    asked: dict[str, Any] = {
        "lines": ["six==1.16.0"],
        "setup_cmds": [
            "python -c 'import six, sys; print(sys.prefix)' >> where",
            'cat where | wc -l > count; echo "$GREETING" >> where',
        ],
        "env_vars": {"GREETING": "hello"},
        "working_dir": str(tmp_path),
    }
    built, _ = await made(builder().make(**asked))
    where = (tmp_path / "where").read_text().splitlines()
    assert where == [str(Path(built.python).parents[1]), "hello"]
    await made(builder().make(**asked))
    assert (tmp_path / "where").read_text().splitlines() == where
    await made(builder().make(**asked, force=True))
    assert len((tmp_path / "where").read_text().splitlines()) == 4


async def test_the_first_setup_command_that_fails_fails_the_environment(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    bad = "for i in $(seq 60); do echo line $i; done; printf 'no \\033[31mluck\\n' >&2; exit 3"
    commands = ["touch first", bad, "touch third"]
    where = str(tmp_path)
    with pytest.raises(SetupFailed) as caught:
        await made(builder().make(lines=["six"], setup_cmds=commands, working_dir=where))
    assert f"the setup command {bad!r} exited with 3: no luck" in str(caught.value)
    output = caught.value.output.splitlines()
    assert (len(output), output[0], output[-1]) == (40, "line 22", "no luck")
    assert (tmp_path / "first").exists()
    assert not (tmp_path / "third").exists()
    again = builder(uv=tmp_path / "there-is-no-uv")
    commands[1] = "true"
    await made(again.make(lines=["six"], setup_cmds=commands, working_dir=where))
    assert (tmp_path / "third").exists()


async def test_a_setup_command_whose_program_is_missing_says_so(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    with pytest.raises(
        SetupFailed, match=r"exited with 127: .*no-such-program: command not found"
    ):
        await made(builder().make(lines=[], setup_cmds=["no-such-program --now"]))
    with pytest.raises(BadInput, match="is not a folder on the cluster"):
        await made(builder().make(lines=[], setup_cmds=["true"], working_dir=f"{tmp_path}/none"))


async def test_what_setup_commands_upgraded_stays_upgraded(
    builder: Callable[..., EnvBuilder],
) -> None:
    asked: dict[str, Any] = {
        "lines": ["six==1.15.0"],
        "setup_cmds": [
            f"{find_uv_bin()} pip install -q --python $VIRTUAL_ENV/bin/python six==1.16.0"
        ],
    }
    await made(builder().make(**asked))
    built, _ = await made(builder().make(**asked))
    assert said(built.python, "import six; print(six.__version__)") == "1.16.0"


async def test_a_pip_from_outside_works_on_the_environment(
    builder: Callable[..., EnvBuilder],
) -> None:
    commands = [f"{find_uv_bin()} pip list", f"{sys.executable} -m pip list"]
    if find_spec("pip") is None:
        commands.pop()
    _, steps = await made(builder().make(lines=["six==1.15.0"], setup_cmds=commands))
    listed = [s.detail.split() for s in steps if s.what.startswith("setup: ") and s.detail]
    assert listed.count(["six", "1.15.0"]) == len(commands)
    assert not any(line[0] == "pytest" for line in listed)


MAKE = """
import asyncio, sys
from pathlib import Path
from rhdesk_servlet.envs import EnvBuilder
async def main():
    cache = Path(sys.argv[2])
    builder = EnvBuilder(Path(sys.argv[1]), [], cache_dir=cache, compile_bytecode=False)
    async for event in builder.make(lines=[], folders=[sys.argv[3]]):
        print(event, flush=True)
asyncio.run(main())
"""


def another_builder(folder: Path, project: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'servlet'}"}
    argv = [sys.executable, "-c", MAKE, str(folder / "venvs"), str(CACHE), str(project)]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE)


async def test_of_two_builders_one_builds_and_the_other_waits(tmp_path: Path) -> None:
    project = a_project(
        tmp_path,
        on_build=f"open({str(tmp_path / 'builds')!r}, 'a').write('one ')\ntime.sleep(0.7)",
    )
    both = [another_builder(tmp_path, project) for _ in range(2)]
    told = [await asyncio.to_thread(each.communicate) for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert (tmp_path / "builds").read_text() == "one "
    text = b"".join(out for out, _ in told).decode()
    assert text.count("was built meanwhile") == 1
    assert f"waiting for pid {both[0].pid} " in text or f"waiting for pid {both[1].pid} " in text


async def test_a_builder_that_was_killed_is_waited_for_no_longer_than_its_installer(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    started = tmp_path / "started"
    project = a_project(
        tmp_path,
        on_build=f"open({str(started)!r}, 'a').write(f'{{os.getpid()}} ')\ntime.sleep(0.7)",
    )
    killed = another_builder(tmp_path, project)
    await until(started.exists)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    async with asyncio.timeout(20):
        built, steps = await made(builder().make(lines=[], folders=[str(project)]))
    assert any(f"waiting for pid {killed.pid} " in step.detail for step in steps)
    assert said(built.python, "import tiny; print(tiny.SAYS)") == "1"


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_leaving_in_mid_install_ends_its_processes_and_leaves_no_venv(
    how: str, builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    started = tmp_path / "started"
    project = a_project(
        tmp_path,
        on_build=(
            "import subprocess\n"
            f"open({str(started)!r}, 'w').write(f\"{{os.getpid()}} "
            "{subprocess.Popen(['sleep', '60']).pid}\")\n"
            "time.sleep(60)"
        ),
    )
    one = builder()
    events = one.make(lines=[], folders=[str(project)])
    if how == "closed":
        async for event in events:
            if isinstance(event, Step) and event.detail.startswith("Building"):
                await until(started.exists)
                break
        await events.aclose()
    else:
        running = asyncio.create_task(made(events))
        await until(lambda: started.exists() and started.read_text().count(" ") == 1)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    pids = [int(pid) for pid in started.read_text().split()]
    await until(lambda: not any(is_running(pid) for pid in pids), timeout_s=5)
    assert one.size() == {}
    a_project(tmp_path)
    built, _ = await made(one.make(lines=[], folders=[str(project)]))
    assert said(built.python, "import tiny; print(tiny.SAYS)") == "1"


async def test_leaving_in_mid_setup_ends_the_command(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    command = "trap '' TERM; echo $$ > pid; while true; do sleep 0.2; done"
    asked: dict[str, Any] = {"lines": [], "setup_cmds": [command], "working_dir": str(tmp_path)}
    running = asyncio.create_task(made(builder().make(**asked)))
    await until(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    pid = int((tmp_path / "pid").read_text())
    await until(lambda: not is_running(pid), timeout_s=5)
    (found,) = (tmp_path / "venvs").glob("*/complete.json")
    assert not list(found.parent.glob("setup/*"))


class Index(SimpleHTTPRequestHandler):
    """A package index of one package."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[ThreadingHTTPServer, str]]:
    folder = tmp_path / "index" / "simple" / "tinier"
    folder.mkdir(parents=True)
    wheel = folder / "tinier-1.0-py3-none-any.whl"
    with ZipFile(wheel, "w") as file:
        file.writestr("tinier.py", "SAYS = 'small'\n")
        info = "tinier-1.0.dist-info/"
        file.writestr(info + "METADATA", METADATA.format(name="tinier"))
        file.writestr(info + "WHEEL", WHEEL)
        file.writestr(info + "RECORD", "")
    (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')

    def handler(*args: Any) -> Index:
        return Index(*args, directory=str(tmp_path / "index"))

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server, f"--index-url http://127.0.0.1:{server.server_address[1]}/simple"
        finally:
            server.shutdown()
            thread.join()


async def test_without_the_index_what_is_cached_is_used_and_said(
    index: tuple[ThreadingHTTPServer, str],
    builder: Callable[..., EnvBuilder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, where = index
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    one = builder(cache_dir=tmp_path / "cache")
    first, _ = await made(one.make(lines=[where, "tinier"]))
    assert one.prune(set()) == [first.lock]
    server.shutdown()
    server.server_close()
    again, steps = await made(one.make(lines=[where, "tinier"]))
    assert again == first
    assert said(again.python, "import tinier; print(tinier.SAYS)") == "small"
    assert "1 package, as far as cached here: there was no answer from the network" in [
        step.detail for step in steps
    ]
    with pytest.raises(SetupFailed) as caught:
        await made(one.make(lines=[where, "tinier", "other"]))
    assert "the package index could not be reached" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "not cached here: other" in str(caught.value)
    assert "what is built already (1 environment) still works" in str(caught.value)


async def test_prune_keeps_what_is_named_and_removes_the_rest(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    one = builder()
    kept, _ = await made(one.make(lines=[], folders=[str(a_project(tmp_path))]))
    gone, _ = await made(one.make(lines=[], folders=[str(a_project(tmp_path, "other"))]))
    assert all(size > 0 for size in one.size().values())
    (tmp_path / "venvs" / f".{2**22 + 1}-left-by-a-killed-one").mkdir()
    assert one.prune({kept.lock}) == [gone.lock]
    assert not list((tmp_path / "venvs").glob(".*"))
    assert list(one.size()) == [kept.lock]
    assert len(list((tmp_path / "venvs" / "sources").iterdir())) == 1
    assert len(list((tmp_path / "venvs" / "locks").iterdir())) == 1
    started = one.started
    await made(one.make(lines=[], folders=[str(tmp_path / "tiny")]))
    assert one.started == started


async def test_another_interpreter_is_asked_what_it_is(
    builder: Callable[..., EnvBuilder], tmp_path: Path
) -> None:
    link = tmp_path / "python"
    link.symlink_to(INTERPRETER)
    other, _ = await made(builder(python=str(link)).make(lines=["six==1.16.0"]))
    ours, _ = await made(builder().make(lines=["six==1.16.0"]))
    assert other == ours
    with pytest.raises(SetupFailed, match="no Python at"):
        await made(builder(python=str(tmp_path / "none")).make(lines=[]))


async def test_a_folder_that_cannot_be_written_is_named() -> None:
    one = EnvBuilder(Path("/sys/rhdesk"), [], cache_dir=CACHE)
    with pytest.raises(StoreUnwritable, match="environments cannot be stored in '/sys/rhdesk'"):
        await made(one.make(lines=["six"]))


async def test_an_environment_can_hold_an_env_servlet(builder: Callable[..., EnvBuilder]) -> None:
    names = ("ray", "uvicorn", "httptools", "uvloop", "msgspec", "cloudpickle")
    own = tuple(f"{name}=={version(name)}" for name in names)
    built, _ = await made(builder(own).make(lines=["six==1.16.0"]))
    assert f"ray=={version('ray')}" in built.packages
    code = "import ray, six, rhdesk_servlet.app; print(ray.__version__)"
    assert said(built.python, code, PYTHONPATH=f"{ROOT}:{ROOT / 'servlet'}") == version("ray")
