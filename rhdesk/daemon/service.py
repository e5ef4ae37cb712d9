"""Starting, asking and stopping the daemon, from wherever somebody sits."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from rhdesk import processes
from rhdesk.daemon import line
from rhdesk.daemon.lock import DaemonLock, Holder
from rhdesk.errors import ConnectionFailed, SetupFailed, StoreUnwritable
from rhdesk.foreign import clean
from rhdesk.models import DaemonState

COMMAND: Final = (sys.executable, "-P", "-m", "rhdesk.loops")
"""What the process runs; -P, so that no file of the folder it is started in is imported."""

_BEGINS_S: Final = 20.0
_ENDS_S: Final = 10.0
_LOOKS: Final = 500
"""How often it is looked whether it has ended."""


class Daemon:
    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "daemon"
        self.socket = self.folder / "socket"
        self.log = self.folder / "log"
        self.lock = DaemonLock(self.folder)

    async def state(self) -> DaemonState:
        """Whether it runs and what its loops are at; answers within two seconds."""
        holder = self.lock.holder()
        if holder is None:
            return self._state("stopped")
        try:
            return await line.ask(self.socket, "state", DaemonState)
        except ConnectionFailed:
            return self._state("not answering", holder)

    async def start(self) -> DaemonState:
        """Start it, or find it running.

        Raises:
            SetupFailed: It ended again at once; `output` holds the last lines of its log.
        """
        pid = self._spawn() if self.lock.holder() is None else 0
        until = time.monotonic() + _BEGINS_S
        while time.monotonic() < until:
            state = await self.state()
            if state.status == "running":
                return state
            if pid and processes.find(pid) is None and state.status == "stopped":
                _bury(pid)
                break
            await asyncio.sleep(0.05)
        raise SetupFailed(
            f"the daemon did not start; its log is {self.log}",
            output="\n".join(self.lines(limit=20)),
        )

    async def stop(self) -> DaemonState:
        """End it, and return once it is gone; what it had begun is resumed by the next one.

        Raises:
            ConnectionFailed: It runs on another machine that shares this folder.
        """
        holder = self.lock.holder()
        if holder is None:
            return self._state("stopped")
        if not processes.is_alive(holder.process):
            raise ConnectionFailed(
                f"the daemon runs on {holder.host}, which shares {self.folder}; stop it there"
            )
        for how in (signal.SIGTERM, signal.SIGKILL):
            processes.end([holder.process], how)
            for _ in range(_LOOKS):
                if not processes.is_alive(holder.process):
                    break
                await asyncio.sleep(_ENDS_S / _LOOKS)
        _bury(holder.pid)
        return self._state("stopped")

    def lines(self, *, limit: int) -> list[str]:
        """The last *limit* lines of its log."""
        found: list[str] = []
        for file in (self.log.with_name("log.1"), self.log):
            if file.exists():
                found += file.read_text("utf-8", "replace").splitlines()
        return [clean(text) for text in found[-limit:]]

    def _spawn(self) -> int:
        """Start the process, in a session of its own; returns its pid."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StoreUnwritable(f"cannot write {self.folder}: {exc.strerror}") from exc
        try:
            return os.posix_spawn(
                sys.executable,
                COMMAND,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setsid=True,
            )
        finally:
            os.close(log)

    def _state(self, status: str, holder: Holder | None = None) -> DaemonState:
        return DaemonState(
            status=status,
            pid=holder.pid if holder else 0,
            started_at=holder.since if holder else None,
            socket=str(self.socket),
            log=str(self.log),
        )


def _bury(pid: int) -> None:
    """Take note of the end of a process, if it was ours to start."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
