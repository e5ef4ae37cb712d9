"""What a person gets wrong: told clearly, with the right exit code, and nothing is lost."""

from __future__ import annotations

import fcntl
import json
import subprocess
import time
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.ray


def fails(place: Place, *args: str, code: int, says: str) -> str:
    done = place.rhdesk(*args, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_an_unknown_name_comes_with_the_nearest_ones(place: Place) -> None:
    place.script("app.py", "def train(alpha: float = 1.0): return alpha\n")
    place.rhdesk("save", "app.py:train", "~/train")
    assert "~/train" in fails(place, "show", "~/trian", code=3, says="did you mean")
    asked = json.loads(place.rhdesk("show", "~/trian", "--json", check=False).stdout)
    assert asked["ok"] is False
    assert asked["error"]["code"] == "not_found"
    assert "~/train" in asked["error"]["near"]


def test_a_file_a_function_or_an_argument_that_is_not_there(place: Place) -> None:
    place.script("app.py", "def train(alpha: float = 1.0): return alpha\n")
    fails(place, "call", "ap.py:train", code=2, says="did you mean app.py")
    fails(place, "call", "app.py:trian", code=2, says="did you mean train")
    fails(place, "call", "app.py:train", "alhpa=1", code=2, says="did you mean alpha")
    fails(place, "call", "app.py:train", "alpha=fast", code=2, says="alpha is float, like 0.3")
    fails(place, "call", "app.py:train", "1", "2", code=2, says="2 values were given by position")


def test_a_syntax_error_shows_its_place(place: Place) -> None:
    place.script("broken.py", "def f(:\n    pass\n")
    said = fails(place, "call", "broken.py:f", code=2, says="line 1")
    assert "def f(:" in said


def test_a_function_whose_imports_are_not_there_says_which(place: Place) -> None:
    place.script("needs.py", "import not_a_package_at_all\ndef f(): return 1\n")
    fails(place, "call", "needs.py:f", code=2, says="No module named 'not_a_package_at_all'")
    run = json.loads(place.rhdesk("runs", "--limit", "1", "--json").stdout)["data"][0]
    assert run["status"] == "failed"


def test_an_argument_that_cannot_be_pickled_is_named(place: Place) -> None:
    script = place.script(
        "unpicklable.py",
        "import threading, rhdesk as rh\ndef f(x, lock=None): return 1\ng = rh.function(f).to('here')\n"
        "try:\n    g(1, lock=threading.Lock())\nexcept rh.RhdeskError as error:\n"
        "    print(type(error).__name__, error)\n",
    )
    said = place.python(str(script)).stdout
    assert "CannotSend argument 'lock' of type lock cannot be sent" in said


def test_a_requirement_that_does_not_exist_is_named(place: Place) -> None:
    said = fails(
        place, "env", "make", "nope", "rhdesk-no-such-package==9.9", code=2, says="no-such-package"
    )
    assert "✓ resolve" not in said
    names = [e["name"] for e in json.loads(place.rhdesk("env", "ls", "--json").stdout)["data"]]
    assert "nope" not in names
    fails(place, "call", "app.py:train", "--env", "never-made", code=3, says="never-made")


def test_a_cluster_that_is_down_says_what_to_type(tmp_path: Path) -> None:
    down = Place(tmp_path)
    down.script("app.py", "def f(): return 1\n")
    fails(down, "call", "app.py:f", code=5, says="rhdesk up here")
    assert json.loads(down.rhdesk("status", "--json").stdout)["data"][0]["state"] == "down"


def test_another_rhdesk_at_work_on_the_cluster_is_named(tmp_path: Path) -> None:
    busy = Place(tmp_path)
    folder = busy.data / "clusters" / "here"
    folder.mkdir(parents=True)
    with (folder / "lock").open("w+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("rhdesk up here, pid 1")
        lock.flush()
        fails(busy, "up", code=7, says="rhdesk up here, pid 1")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    yield from _mounted(tmp_path, "size=300k")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    yield from _mounted(tmp_path, "ro")


def _mounted(tmp_path: Path, options: str) -> Iterator[Path]:
    folder = tmp_path / "mounted"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("mounting a file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(file: Path) -> None:
    """Take what room the file system has left."""
    with file.open("wb", buffering=0) as out, pytest.raises(OSError, match="No space left"):
        _fill_up(out)


def _fill_up(out: RawIOBase) -> None:
    while True:
        out.write(b"x" * 4096)


def test_a_read_only_home_says_so_before_anything_is_said_to_be_saved(
    tmp_path: Path, read_only: Path
) -> None:
    place = Place(tmp_path)
    place.environ |= {
        "RHDESK_DATA_DIR": str(read_only / "d"),
        "RHDESK_CACHE_DIR": str(tmp_path / "c"),
    }
    place.script("app.py", "def f(): return 1\n")
    fails(place, "up", code=8, says="Read-only file system")
    fails(place, "save", "app.py:f", "~/f", code=8, says="ead-only")
    fails(place, "runs", code=8, says="ead-only")


def test_a_full_disk_refuses_the_call_and_keeps_what_was_recorded(
    place: Place, small_disk: Path
) -> None:
    """The record is on a small disk of its own; the cluster is the session's."""
    data = small_disk / "data"
    data.mkdir(mode=0o700)
    (data / "clusters").symlink_to(place.data / "clusters")
    place.script("app.py", "def f(x: int = 0): return 'r' * x\n")
    environ = place.environ
    place.environ = environ | {"RHDESK_DATA_DIR": str(data)}
    try:
        assert place.rhdesk("call", "app.py:f", "3").stdout == "rrr\n"
        filler = small_disk / "filler"
        _fill(filler)
        done = place.rhdesk("call", "app.py:f", "4", check=False)
        assert done.returncode == 8, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        filler.unlink()
        runs = json.loads(place.rhdesk("runs", "--json").stdout)["data"]
        assert [run["result_text"] for run in runs if run["status"] == "succeeded"] == ["'rrr'"]
        assert place.rhdesk("call", "app.py:f", "2").stdout == "rr\n"
    finally:
        place.environ = environ


@pytest.fixture
def place_on_a_small_disk(tmp_path: Path) -> Iterator[Place]:
    """A cluster whose folder, with journals and spools, is on a file system of 16 MB."""
    for disk in _mounted(tmp_path, "size=16m"):
        small = Place(tmp_path)
        small.environ |= {"RHDESK_DATA_DIR": str(disk / "data")}
        small.rhdesk("up", "here")
        yield small
        small.rhdesk("down", "here", check=False)


def test_a_disk_that_fills_on_the_cluster_ends_no_env_servlet_and_hangs_no_call(
    place_on_a_small_disk: Place, tmp_path: Path
) -> None:
    # The spool needs its second page while the file it is fed from still has room in its first.
    small = place_on_a_small_disk
    small.script(
        "full.py",
        "import os, time\n"
        "def talk(mark, raw: bool):\n"
        "    open(mark, 'w').close()\n"
        "    for i in range(60):\n"
        "        os.system('echo ' + 'y' * 90) if raw else print('line', i, 'x' * 1000)\n"
        "        time.sleep(0.02)\n"
        "    return 'ended'\n"
        "def add(x: int): return x + 1\n",
    )
    servlet = small.environ["RHDESK_DATA_DIR"] + "/clusters/here/envs/base/servlet.json"
    before = json.loads(Path(servlet).read_text())["process"]["pid"]
    assert small.rhdesk("call", "full.py:add", "1").stdout == "2\n"
    other_record = {"RHDESK_DATA_DIR": str(tmp_path / "elsewhere")}
    elsewhere = Path(other_record["RHDESK_DATA_DIR"])
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "clusters").symlink_to(small.environ["RHDESK_DATA_DIR"] + "/clusters")
    environ = small.environ
    small.environ = environ | other_record
    try:
        assert small.rhdesk("call", "full.py:add", "1").stdout == "2\n"
        for raw in ("true", "false"):
            mark = tmp_path / f"mark-{raw}"
            args = ("-m", "rhdesk.cli", "call", "full.py:talk", str(mark), raw)
            program = small.start(*args)
            give_up = time.monotonic() + 20
            while not mark.exists():
                assert time.monotonic() < give_up
                time.sleep(0.02)
            filler = Path(environ["RHDESK_DATA_DIR"]).parent / "filler"
            _fill(filler)
            out_text, err = program.communicate(timeout=30)
            filler.unlink()
            if raw == "false":  # print itself fails, as it would with a full disk at home
                assert program.returncode in {0, 10}, err
            else:
                assert program.returncode == 0, err
                assert out_text.endswith("ended\n")
            assert small.rhdesk("call", "full.py:add", "1").stdout == "2\n"
    finally:
        small.environ = environ
    assert json.loads(Path(servlet).read_text())["process"]["pid"] == before
