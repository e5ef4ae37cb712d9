"""``python -m rhdesk_servlet node up | down | look``: the program that runs on every machine.

Up means: Ray in a session of its own, with a token and ports of its own; in it, as detached actors
pinned to this node, the gateway and one env servlet per environment. It outlives whoever asked.
Down ends exactly the processes of that session, by pid and start time; another Ray on the machine
is neither used nor touched.

The desk writes a `NodeConfig` as one line of JSON and reads a `NodeEvent` a line.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file
from rhdesk.errors import BadInput, RhdeskError, SetupFailed, StoreBusy, StoreUnwritable
from rhdesk.models import Step, StepState
from rhdesk.wire.messages import fault_of
from rhdesk.wire.node import (
    ENDED,
    STARTED,
    Ended,
    NodeConfig,
    NodeEvent,
    Started,
    seen_in,
    started_in,
    why_broken,
)
from rhdesk_servlet import delivery, ray_session
from rhdesk_servlet.activity import ACTIVE, AUTOSTOP
from rhdesk_servlet.telling import Telling

_SERVLETS_S: Final = 120.0
_END_S: Final = 10.0
_LOOPBACK: Final = "127.0.0.1"


def main(verb: str) -> None:
    """Do *verb* for what stands on stdin; exits with the error's own code when it failed."""
    try:
        config = msgspec.json.decode(sys.stdin.buffer.readline(), type=NodeConfig)
    except msgspec.DecodeError as exc:
        raise SystemExit(f"what came on stdin is no node: {exc}") from exc
    if verb == "end":
        leave_family()
    try:
        asyncio.run(_told(verb, Node(config)))
    except RhdeskError as error:
        say(NodeEvent(fault=fault_of(error)))
        raise SystemExit(error.exit_code) from error


async def _told(verb: str, node: Node) -> None:
    """Do it and say it; whoever asked may end it, and may also just be gone."""
    if verb == "end":
        await node.end()
        return
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, task.cancel)
    if verb not in {"up", "down", "look"}:
        raise BadInput(f"a node can be told up, down or look, not {verb!r}")
    if verb != "look":
        async with aclosing(node.up() if verb == "up" else node.down()) as steps:
            async for step in steps:
                say(NodeEvent(step=step))
    say(NodeEvent(seen=seen_in(node.folder)))


def leave_family() -> None:
    """Go on as nobody's child, in a session of one's own: what is ended is who started this."""
    if os.fork():
        os._exit(0)
    os.setsid()


def end_itself(folder: Path, why: str) -> None:
    """Have the node of this process ended, by a process that outlives it."""
    started = started_in(folder)
    if started is None:
        return
    ended = Ended(cluster_id=started.cluster_id, at=datetime.now(UTC), why=why)
    whole_file.write(folder / ENDED, [msgspec.json.encode(ended)])
    config = NodeConfig(
        cluster=folder.name,
        cluster_id=started.cluster_id,
        folder=str(folder),
        venvs="",
        token="",
        ray_token="",
    )
    with (folder / "end.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "rhdesk_servlet", "node", "end"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
        child.communicate(msgspec.json.encode(config) + b"\n", timeout=_END_S)


def say(event: NodeEvent) -> None:
    """One line; a reader that has gone does not end what it asked for."""
    try:
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
        sys.stdout.buffer.flush()
    except OSError:
        # Nobody reads any more. What is left to say goes nowhere, also when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Node:
    """This machine as a node of one cluster."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._name = config.node or socket.gethostname()
        self.folder = Path(config.folder)

    async def up(self) -> AsyncGenerator[Step]:
        """Start it, or find it up; a broken one is cleared away first.

        Raises:
            SetupFailed: Ray is not installed, or did not start; `output` holds its last words.
            StoreBusy: Another rhdesk is bringing it up or down.
            StoreUnwritable: Its folder cannot be written.
        """
        with self._lock("up"):
            found = started_in(self.folder)
            if found is not None and self._is_as_asked(found):
                yield Step(what=self._what("cluster"), state=StepState.DONE, detail="already up")
                return
            _need_ray()
            if found is not None and self._needs_code_only(found):
                async for step in self._renew(found):
                    yield step
                return
            if found is not None:
                async for step in self._clear(found, "clear away what is left"):
                    yield step
            async for step in self._start():
                yield step

    async def down(self) -> AsyncGenerator[Step]:
        """End exactly what `up` started; with nothing up, say so."""
        with self._lock("down"):
            (self.folder / ENDED).unlink(missing_ok=True)
            found = started_in(self.folder)
            if found is None:
                yield Step(what=self._what("cluster"), state=StepState.DONE, detail="was not up")
                return
            async for step in self._clear(found, "end its processes"):
                yield step

    async def end(self) -> None:
        """The same, asked by the node itself; why it did stays to be read."""
        with self._lock("autostop"):
            found = started_in(self.folder)
            if found is not None and found.cluster_id == self._config.cluster_id:
                await ray_session.end(found)
                self._remove(found)

    def _is_as_asked(self, found: Started) -> bool:
        return self._needs_code_only(found) and found.servlet == code_folder().name

    def _needs_code_only(self, found: Started) -> bool:
        return (
            found.is_complete
            and not why_broken(found)
            and self._config.cluster_id in {"", found.cluster_id}
            and (not self._config.head or found.ray == self._config.head)
        )

    def _what(self, what: str) -> str:
        """A step by its name; in a cluster of several nodes with the node's."""
        if what == "cluster":
            what = f"cluster {self._config.cluster}"
        return f"{what} on {self._name}" if self._config.node else what

    # ---- up

    async def _start(self) -> AsyncGenerator[Step]:
        config = self._config
        self._fresh_folder()
        ray_port = _free_port(config.address)
        started = Started(
            cluster_id=config.cluster_id or secrets.token_hex(8),
            started_at=datetime.now(UTC),
            ray_temp=str(ray_session.temp_folder(self.folder)),
            ray_port=ray_port,
            port=config.port or _free_port(_LOOPBACK),
            node=self._name,
            address=config.address,
            ray=config.head or f"{config.address}:{ray_port}",
            servlet=code_folder().name,
        )
        self._write(started)
        try:
            tell = Telling(self._what("start Ray"), time.monotonic)
            yield tell.started()
            store = ray_session.object_store(Path(started.ray_temp))
            if store.why:
                yield tell.progress(store.why)
            started = await self._start_ray(started, store)
            yield tell.done()
            tell = Telling(
                self._what("start the gateway and the base environment"), time.monotonic
            )
            yield tell.started()
            await self._start_servlets(started)
            self._write(msgspec.structs.replace(started, is_complete=True))
            yield tell.done()
        except BaseException:
            found = started_in(self.folder)
            if found is not None:
                await ray_session.end(found)
                self._remove(found)
            raise

    async def _renew(self, found: Started) -> AsyncGenerator[Step]:
        """Another gateway, of this code; it replaces env servlets as they have nothing to do."""
        tell = Telling(self._what("replace the gateway"), time.monotonic)
        yield tell.started()
        renewed = msgspec.structs.replace(found, servlet=code_folder().name)
        await self._start_servlets(renewed)
        self._write(renewed)
        yield tell.done("environments follow when nothing runs in them")

    async def _start_ray(self, started: Started, store: ray_session.ObjectStore) -> Started:
        log = self.folder / "ray.log"
        command = ray_session.command(started, self._config, store)
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environ(),
                cwd=self.folder,
                start_new_session=True,
            )
        started = ray_session.with_head(started, process.pid)
        self._write(started)
        started = await ray_session.until_up(started, process, log)
        self._write(started)
        return started

    async def _start_servlets(self, started: Started) -> None:
        file = self.folder / "gateway.json"
        file.write_bytes(msgspec.json.encode(self._gateway_config(started)))
        log = self.folder / "servlets.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rhdesk_servlet", "start", str(file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environ(),
                cwd=self.folder,
            )
        try:
            code = await asyncio.wait_for(process.wait(), _SERVLETS_S)
        except BaseException:
            process.kill()
            raise
        if code != 0:
            raise SetupFailed("the servlets did not start", output=ray_session.tail(log))

    def _gateway_config(self, started: Started) -> dict[str, object]:
        """As `ray_host.ClusterConfig`, which cannot be imported here: it imports Ray."""
        return {
            "name": self._config.cluster,
            "cluster_id": started.cluster_id,
            "folder": str(self.folder),
            "ray_address": started.ray,
            "ray_temp": started.ray_temp,
            "node": self._name,
            "is_head": not self._config.head,
            "host": _LOOPBACK,
            "port": started.port,
            "venvs": self._config.venvs,
            "wheels": self._config.wheels,
            "code": str(code_folder()),
            "autostop_s": self._config.autostop_s,
        }

    def _environ(self) -> dict[str, str]:
        """The environment of everything on the node."""
        drop = ("RAY_", "RHDESK_", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(drop)}
        return (
            kept
            | {
                "PYTHONPATH": str(code_folder()),
                "PYTHONUNBUFFERED": "1",
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN_PATH": str(self.folder / "ray-token"),
            }
            | ray_session.environ(self._config.address)
        )

    # ---- down

    async def _clear(self, found: Started, what: str) -> AsyncGenerator[Step]:
        tell = Telling(self._what(what), time.monotonic)
        yield tell.started()
        count = await ray_session.end(found)
        self._remove(found)
        yield tell.done(f"{count} processes")

    def _remove(self, found: Started) -> None:
        shutil.rmtree(found.ray_temp, ignore_errors=True)
        shutil.rmtree(self.folder / "objects", ignore_errors=True)
        for file in self._leftovers():
            _remove(file)
        for place in (self.folder / "envs").glob("*"):
            delivery.remove(place)
        for name in ("token", "ray-token", STARTED, "gateway.json"):
            (self.folder / name).unlink(missing_ok=True)

    def _leftovers(self) -> Iterator[Path]:
        """What a cluster that is down leaves nothing of; journals and spools stay for the record."""
        folder = self.folder / "envs"
        if folder.is_dir():
            for env in folder.iterdir():
                yield env / "workers"
                yield env / "servlet.json"

    # ---- the folder

    def _fresh_folder(self) -> None:
        config = self._config
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            for name in (ENDED, ACTIVE, AUTOSTOP):
                (self.folder / name).unlink(missing_ok=True)
            (self.folder / ACTIVE).touch(mode=0o600)
            for name, token in (("token", config.token), ("ray-token", config.ray_token)):
                file = self.folder / name
                file.unlink(missing_ok=True)
                with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                    out.write(token)
        except OSError as exc:
            raise StoreUnwritable(f"{self.folder} cannot be written: {exc.strerror}") from exc

    def _write(self, started: Started) -> None:
        file = self.folder / STARTED
        try:
            whole_file.write(file, [msgspec.json.format(msgspec.json.encode(started))])
        except OSError as exc:
            raise StoreUnwritable(f"{file} cannot be written: {exc.strerror}") from exc

    @contextmanager
    def _lock(self, verb: str) -> Generator[None]:
        """One `up` or `down` at a time. The kernel frees it when its holder dies."""
        name = self._config.cluster
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StoreUnwritable(f"{self.folder} cannot be written: {exc.strerror}") from exc
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(fd, 200).decode("utf-8", "replace").strip()
                raise StoreBusy(
                    f"another rhdesk is at work on the cluster {name}: {holder}", holder=holder
                ) from None
            os.ftruncate(fd, 0)
            now = datetime.now(UTC).strftime("%H:%M:%S UTC")
            os.pwrite(fd, f"rhdesk {verb} {name}, pid {os.getpid()}, since {now}".encode(), 0)
            yield
        finally:
            os.close(fd)


def code_folder() -> Path:
    """The folder that this program was started from, named by the hash of what is in it."""
    return Path(__file__).resolve().parents[1]


def _need_ray() -> None:
    if find_spec("ray") is None or find_spec("uvicorn") is None:
        raise SetupFailed(
            f"a node runs in its Python ({sys.executable}), which lacks Ray or the servlet's "
            'packages; install them: pip install "rhdesk[servlet]"'
        )


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError as exc:
            raise SetupFailed(
                f"{address} is no address of this machine ({exc.strerror}); Ray cannot listen there"
            ) from exc
        return int(probe.getsockname()[1])


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
