"""`here`: the cluster that needs nothing. Ray and the servlets on this machine, on loopback.

Up means: one Ray head in a session of its own, with a token and ports of its own; in it, as
detached actors, the gateway and one env servlet per environment. It outlives whoever started it.
Down ends exactly the processes of that session, by pid and start time; another Ray on the machine
is neither used nor touched.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import processes, whole_file
from rhdesk.clusters.line import Line
from rhdesk.errors import ConnectionFailed, SetupFailed, StoreBusy, StoreUnwritable
from rhdesk.models import Cluster, ClusterState, Step, StepState

NAME: Final = "here"
_RAY_S: Final = 60.0
_STOP_S: Final = 10.0
_LOOPBACK: Final = "127.0.0.1"


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What `up` started, in ``cluster.json``; written before each step, so nothing is orphaned."""

    cluster_id: str
    started_at: datetime
    ray_temp: str
    ray_port: int
    port: int
    """The gateway's."""
    head: processes.Process | None = None
    """The session leader: ``ray start --block``."""
    core: dict[str, processes.Process] = {}
    """Ray's own processes by name, to say which one died."""
    is_complete: bool = False


class Here:
    """This machine as a cluster.

    Args:
        folder: Its folder: token, code, objects, spools. Only its owner reads it.
        venvs: Where environments are built.
    """

    def __init__(self, folder: Path, venvs: Path) -> None:
        self._folder = folder
        self._venvs = venvs

    def line(self) -> Line:
        """How to speak to it.

        Raises:
            ConnectionFailed: It is not up; the message says what to type, or what died.
        """
        started = self._started()
        if started is None or not started.is_complete:
            raise ConnectionFailed("the cluster here is down; bring it up: rhdesk up here")
        if why := self.why_broken(started):
            raise ConnectionFailed(f"the cluster here is broken: {why}; repair it: rhdesk up here")
        token = (self._folder / "token").read_text("ascii")
        return Line(NAME, started.cluster_id, f"{_LOOPBACK}:{started.port}", token)

    def look(self) -> Cluster:
        """Its state by its processes alone; asks no servlet, so it answers at once."""
        started = self._started()
        if started is None:
            return Cluster(name=NAME)
        why = self.why_broken(started)
        state = ClusterState.BROKEN if why else ClusterState.UP
        if not started.is_complete:
            state = ClusterState.BROKEN if why else ClusterState.STARTING
        return Cluster(
            name=NAME,
            state=state,
            why=why,
            cluster_id=started.cluster_id,
            address=f"{_LOOPBACK}:{started.port}",
            started_at=started.started_at,
            cpus=os.cpu_count() or 1,
        )

    def why_broken(self, started: Started | None = None) -> str:
        """Which of its processes is gone, for a person; empty when all are there."""
        started = started or self._started()
        if started is None:
            return ""
        if started.head is None:
            return "it was never fully started"
        dead = [
            f"{name} (pid {process.pid})"
            for name, process in started.core.items()
            if not processes.is_alive(process)
        ]
        if dead:
            return f"Ray's {' and '.join(dead)} died"
        if not processes.is_alive(started.head):
            return f"its Ray head (pid {started.head.pid}) died"
        return ""

    async def up(self) -> AsyncGenerator[Step]:
        """Start it, or find it up; a broken one is cleared away first.

        Raises:
            SetupFailed: Ray is not installed, or did not start; `output` holds its last words.
            StoreBusy: Another rhdesk is bringing it up or down.
            StoreUnwritable: Its folder cannot be written.
        """
        with self._lock("rhdesk up here"):
            found = self._started()
            if found is not None and found.is_complete and not self.why_broken(found):
                yield Step(what="cluster here", state=StepState.DONE, detail="already up")
                return
            _need_ray()
            if found is not None:
                async for step in self._clear(found, "clear away what is left"):
                    yield step
            async for step in self._start():
                yield step

    async def down(self) -> AsyncGenerator[Step]:
        """End exactly what `up` started; with nothing up, say so."""
        with self._lock("rhdesk down here"):
            found = self._started()
            if found is None:
                yield Step(what="cluster here", state=StepState.DONE, detail="was not up")
                return
            async for step in self._clear(found, "end its processes"):
                yield step

    # ---- up

    async def _start(self) -> AsyncGenerator[Step]:
        self._fresh_folder()
        started = Started(
            cluster_id=secrets.token_hex(8),
            started_at=datetime.now(UTC),
            # Ray's sockets live in it, and a socket's path may have 107 bytes: a short place.
            ray_temp=tempfile.mkdtemp(prefix=f"rhdesk-{os.getuid()}-"),
            ray_port=_free_port(),
            port=_free_port(),
        )
        self._write(started)
        try:
            async with _timed("start Ray") as (began, done):
                yield began
                started = await self._start_ray(started)
            yield done()
            async with _timed("start the gateway and the base environment") as (began, done):
                yield began
                await self._start_servlets(started)
            self._write(msgspec.structs.replace(started, is_complete=True))
            yield done()
        except BaseException:
            found = self._started()
            if found is not None:
                await _end(found)
                self._remove(found)
            raise

    async def _start_ray(self, started: Started) -> Started:
        log = self._folder / "ray.log"
        command = [
            *(sys.executable, "-c", "from ray.scripts.scripts import main; main()"),
            *("start", "--head", "--block", f"--node-ip-address={_LOOPBACK}"),
            *(f"--port={started.ray_port}", f"--temp-dir={started.ray_temp}"),
            *("--include-dashboard=false", "--disable-usage-stats"),
            *(f"--object-store-memory={_object_store_bytes()}", "--log-color=false"),
        ]
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environ(),
                cwd=self._folder,
                start_new_session=True,
            )
        head = processes.find(process.pid)
        started = msgspec.structs.replace(started, head=head)
        self._write(started)
        give_up = time.monotonic() + _RAY_S
        while time.monotonic() < give_up:
            if process.returncode is not None:
                break
            core = _ray_core(process.pid)
            if {"gcs_server", "raylet"} <= set(core) and b"--block" in log.read_bytes():
                started = msgspec.structs.replace(started, core=core)
                self._write(started)
                return started
            await asyncio.sleep(0.1)
        raise SetupFailed("Ray did not start on this machine", output=_tail(log))

    async def _start_servlets(self, started: Started) -> None:
        config = {
            "name": NAME,
            "cluster_id": started.cluster_id,
            "folder": str(self._folder),
            "ray_address": f"{_LOOPBACK}:{started.ray_port}",
            "host": _LOOPBACK,
            "port": started.port,
            "venvs": str(self._venvs),
        }
        file = self._folder / "gateway.json"
        file.write_bytes(msgspec.json.encode(config))
        log = self._folder / "servlets.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rhdesk_servlet", "start", str(file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environ(),
                cwd=self._folder,
            )
        try:
            code = await asyncio.wait_for(process.wait(), _RAY_S * 2)
        except BaseException:
            process.kill()
            raise
        if code != 0:
            raise SetupFailed("the servlets did not start", output=_tail(log))

    def _environ(self) -> dict[str, str]:
        """The environment of everything on the cluster."""
        drop = ("RAY_", "RHDESK_", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
        return kept | {
            "PYTHONPATH": str(self._servlet_code()),
            "PYTHONUNBUFFERED": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self._folder / "ray-token"),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Ray turns 127.0.0.1 into the machine's address unless it may not form clusters of
            # several machines; with this set every port it opens is on loopback.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_DISABLE_IMPORT_WARNING": "1",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }

    def _servlet_code(self) -> Path:
        """A folder that holds the servlet's two packages and nothing else.

        It goes on the path of every environment, where the rest of site-packages must not show.
        """
        place = self._folder / "servlet"
        if not place.is_dir():
            place.mkdir(mode=0o700)
            for package in ("rhdesk", "rhdesk_servlet"):
                found = find_spec(package)
                if found is None or not found.submodule_search_locations:
                    raise SetupFailed(f"the package {package} is not installed here")
                source = Path(found.submodule_search_locations[0])
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, place / package, ignore=ignore)
        return place

    # ---- down

    async def _clear(self, found: Started, what: str) -> AsyncGenerator[Step]:
        async with _timed(what) as (began, done):
            yield began
            count = await _end(found)
            self._remove(found)
        yield done(f"{count} processes")

    def _remove(self, found: Started) -> None:
        shutil.rmtree(found.ray_temp, ignore_errors=True)
        shutil.rmtree(self._folder / "objects", ignore_errors=True)
        for name in ("envs", "servlet"):
            for file in self._leftovers(name):
                _remove(file)
        for name in ("token", "ray-token", "cluster.json", "gateway.json"):
            (self._folder / name).unlink(missing_ok=True)

    def _leftovers(self, name: str) -> Iterator[Path]:
        """What a cluster that is down leaves nothing of; journals and spools stay for the record."""
        folder = self._folder / name
        if name == "servlet":
            yield folder
        elif folder.is_dir():
            for env in folder.iterdir():
                yield env / "workers"
                yield env / "servlet.json"

    # ---- the folder

    def _fresh_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            for name in ("token", "ray-token"):
                file = self._folder / name
                file.unlink(missing_ok=True)
                with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                    out.write(secrets.token_hex(32))
        except OSError as exc:
            raise StoreUnwritable(f"{self._folder} cannot be written: {exc.strerror}") from exc

    def _started(self) -> Started | None:
        try:
            data = (self._folder / "cluster.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return msgspec.json.decode(data, type=Started)

    def _write(self, started: Started) -> None:
        file = self._folder / "cluster.json"
        try:
            whole_file.write(file, [msgspec.json.format(msgspec.json.encode(started))])
        except OSError as exc:
            raise StoreUnwritable(f"{file} cannot be written: {exc.strerror}") from exc

    @contextmanager
    def _lock(self, who: str) -> Generator[None]:
        """One `up` or `down` at a time. The kernel frees it when its holder dies."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StoreUnwritable(f"{self._folder} cannot be written: {exc.strerror}") from exc
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(fd, 200).decode("utf-8", "replace").strip()
                raise StoreBusy(
                    f"another rhdesk is at work on the cluster here: {holder}", holder=holder
                ) from None
            os.ftruncate(fd, 0)
            now = datetime.now(UTC).strftime("%H:%M:%S UTC")
            os.pwrite(fd, f"{who}, pid {os.getpid()}, since {now}".encode(), 0)
            yield
        finally:
            os.close(fd)


def _need_ray() -> None:
    if find_spec("ray") is None or find_spec("uvicorn") is None:
        raise SetupFailed(
            "the cluster here runs in this Python, which lacks Ray or the servlet's packages; "
            'install them: pip install "rhdesk[servlet]"'
        )


def _ray_core(head: int) -> dict[str, processes.Process]:
    """Ray's processes under *head* whose death is the cluster's."""
    found: dict[str, processes.Process] = {}
    for pid in processes.children(head):
        name = processes.program(pid)
        if name in {"gcs_server", "raylet"} and (process := processes.find(pid)):
            found[name] = process
    return found


async def _end(found: Started) -> int:
    """End the session that `up` started, its leader last; returns how many processes there were."""
    if found.head is None:
        return 0
    family = _everything(found.head)
    if "raylet" in found.core and processes.is_alive(found.core["raylet"]):
        processes.end(family, signal.SIGTERM)
    give_up = time.monotonic() + _STOP_S
    seen = list(family)
    while time.monotonic() < give_up:
        seen += [each for each in _everything(found.head) if each not in seen]
        if not any(processes.is_alive(each) for each in seen):
            break
        if time.monotonic() > give_up - _STOP_S + 2:
            processes.end(seen, signal.SIGKILL)
        await asyncio.sleep(0.1)
    return len(seen)


def _everything(head: processes.Process) -> list[processes.Process]:
    return ([head] if processes.is_alive(head) else []) + processes.family(head)


@asynccontextmanager
async def _timed(what: str) -> AsyncGenerator[tuple[Step, _Done]]:
    """The events of one step: how it begins, and how it is done once the block has ended."""
    done = _Done(what)
    yield Step(what=what, state=StepState.STARTED), done


class _Done:
    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()

    def __call__(self, detail: str = "") -> Step:
        took = time.monotonic() - self._began
        return Step(what=self._what, state=StepState.DONE, detail=detail, elapsed_s=took)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _object_store_bytes() -> int:
    """Ray's shared memory: a tenth of the machine's, at most 2 GB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(2_000_000_000, max(100_000_000, total // 10))


def _tail(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-40:])


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
