"""SkyPilot's own server: one process on this machine's loopback, with its state in our folder.

It is found and ended by its pid and start time; its port stays the same for as long as nobody else
has it, for what it wrote about ways to machines names it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import msgspec

from rhdesk import processes, whole_file
from rhdesk.clusters.sky.api import Api
from rhdesk.clusters.sky.environment import Environment
from rhdesk.clusters.steps import did
from rhdesk.errors import ConnectionFailed, SetupFailed
from rhdesk.foreign import clean
from rhdesk.models import Step, StepState
from rhdesk.processes import Process

_BESIDE: Final = 3431
"""Its workers are spoken to on a port so much higher."""
_BEGINS_S: Final = 90.0
_ENDS_S: Final = 5.0
_TRIES: Final = 3
_LENT: Final = (
    *(".aws", ".azure", ".cudo", ".kube", ".lambda_cloud", ".oci", ".runpod", ".slurm", ".vast"),
    *(".config/gcloud", ".config/do", ".config/nebius", ".sky/config.yaml", ".sky/catalogs"),
)
"""What it reads of the person's own home: credentials, settings of SkyPilot, price lists."""


class _Running(msgspec.Struct, frozen=True):
    pid: int
    started: int
    port: int


class Server:
    """Args:
    folder: ``skypilot`` in the data folder.
    """

    def __init__(self, folder: Path, environment: Environment) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.log = folder / "server.log"
        self._environment = environment
        self._note = folder / "server.json"

    def running(self) -> Api | None:
        """Its line, if its process is there."""
        known = self._known()
        if known is None or not processes.is_alive(Process(known.pid, known.started)):
            return None
        return Api(known.port)

    async def start(self) -> AsyncGenerator[Step]:
        """Have it run; yields nothing when it does.

        Raises:
            SetupFailed: It does not answer; `output` holds the end of its log.
        """
        api = self.running()
        if api is not None:
            async with api:
                if await api.is_well():
                    return
        what = "start SkyPilot's server"
        began = time.monotonic()
        yield Step(what=what, state=StepState.STARTED)
        with await asyncio.to_thread(self._alone):
            port = await self._start()
        yield did(what, f"127.0.0.1:{port}, log in {self.log}", time.monotonic() - began)

    async def _start(self) -> int:
        """Start it unless another process has by now; returns its port once it answers."""
        await self._end_sick()
        known = self._known()
        port = known.port if known and _is_free(known.port) else _port()
        self._lend()
        for _ in range(_TRIES):
            api = self.running()
            if api is None:
                self._spawn(port)
                api = Api(port)
            until = time.monotonic() + _BEGINS_S
            async with api:
                while self.running() is not None and time.monotonic() < until:
                    if await api.is_well():
                        return api.port
                    await asyncio.sleep(0.2)
            await self.stop()
            port = _port()  # somebody may have taken the one that was free a moment ago
        raise SetupFailed(
            f"SkyPilot's server does not answer; its log is {self.log}",
            output="\n".join(self.last_lines()),
        )

    async def _end_sick(self) -> None:
        """End one that is there and says nothing, and what a killed one left behind."""
        api = self.running()
        if api is not None:
            async with api:
                if await api.is_well():
                    return
        await self.stop()

    async def stop(self) -> None:
        """End it and every process it started, by pid. Machines stay as they are."""
        known = self._known()
        if known is None:
            return
        head = Process(known.pid, known.started)
        for how in (signal.SIGTERM, signal.SIGKILL):
            # Its workers leave its session; what they have in common is their home.
            those = [head, *processes.family(head, mark=self._mark(), since=known.started)]
            processes.end(those, how)
            until = time.monotonic() + _ENDS_S
            while time.monotonic() < until and any(processes.is_alive(each) for each in those):
                _bury(known.pid)
                await asyncio.sleep(0.05)

    def last_lines(self, limit: int = 30) -> list[str]:
        try:
            return [clean(line) for line in self.log.read_text("utf-8", "replace").splitlines()][
                -limit:
            ]
        except OSError:
            return []

    def environ(self, port: int) -> Mapping[str, str]:
        """What SkyPilot's programs are given: nothing of ours but the way and the language."""
        own = str(self._environment.python.parent)
        kept = {
            name: os.environ[name]
            for name in ("LANG", "LC_ALL", "SSH_AUTH_SOCK", "TMPDIR", "USER", "PIP_FIND_LINKS")
            if name in os.environ
        }
        kept |= {key: text for key, text in os.environ.items() if key.lower().endswith("_proxy")}
        kept |= {key: text for key, text in os.environ.items() if key.startswith(("PIP_", "UV_"))}
        return kept | {
            "HOME": str(self.home),
            "PATH": f"{own}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "SKYPILOT_API_SERVER_LOCAL_PORT": str(port),
            "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
            "RHDESK_SKYPILOT": str(self.folder),
        }

    def _mark(self) -> str:
        return f"RHDESK_SKYPILOT={self.folder}"

    def _spawn(self, port: int) -> None:
        env = {**self.environ(port), "IS_SKYPILOT_SERVER": "true"}
        # Names of clusters in a header of its own web sockets may be long.
        env |= {"WEBSOCKETS_MAX_LINE_LENGTH": "65536", "WEBSOCKETS_MAX_NUM_HEADERS": "256"}
        command = [str(self._environment.python), "-u", "-m", "sky.server.server"]
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as log:
            spawned = subprocess.Popen(
                [*command, "--host=127.0.0.1", f"--port={port}"],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        found = processes.find(spawned.pid)
        if found is not None:
            note = _Running(found.pid, found.started, port)
            whole_file.write(self._note, [msgspec.json.encode(note)])

    def _lend(self) -> None:
        """Have it find the person's credentials and settings; its state stays its own."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _LENT:
            theirs, link = Path.home() / name, self.home / name
            if link.is_symlink() and not link.exists():
                link.unlink()
            if theirs.exists() and not link.exists():
                link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                link.symlink_to(theirs)

    def _known(self) -> _Running | None:
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=_Running)
        except (OSError, msgspec.DecodeError):
            return None

    def _alone(self) -> IO[str]:
        """Wait until no other rhdesk is starting it; free when what is returned is closed."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open(self.folder / "server.lock", "w")  # noqa: SIM115 -- the caller closes it
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock


def api_of(server: Server) -> Api:
    """The line to a server that was started.

    Raises:
        ConnectionFailed: It is not there any more.
    """
    api = server.running()
    if api is None:
        raise ConnectionFailed(f"SkyPilot's server ended; its log is {server.log}")
    return api


def _bury(pid: int) -> None:
    """Take note of its end, if it was ours to start."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _port() -> int:
    """A port that is free, and so is that of the workers; of those no connection is given."""
    for _ in range(50):
        port = random.randrange(20_000, 32_768 - _BESIDE)
        if _is_free(port):
            return port
    raise SetupFailed("no two free ports on 127.0.0.1 were found for SkyPilot's server")


def _is_free(port: int) -> bool:
    for each in (port, port + _BESIDE):
        with socket.socket() as tried:
            try:
                tried.bind(("", each))  # as SkyPilot tries it; nothing listens here
            except OSError:
                return False
    return True
