"""One daemon for one data folder: a lock that goes with the process that holds it.

The kernel lets go of it when the holder dies, however it dies, so nothing stale has to be found
and removed; what the file says is there to tell a person who holds it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import processes
from rhdesk.errors import StoreBusy, StoreUnwritable

_PATIENCE_S: Final = 0.5
"""Whoever only looks whether it is held, holds it for less."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    started: int
    """Start time of the process in clock ticks after boot."""
    since: datetime
    host: str

    @property
    def process(self) -> processes.Process:
        return processes.Process(self.pid, self.started)


class DaemonLock:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "lock"
        self._fd = -1

    def take(self) -> None:
        """Hold it until this process ends or `release` is called.

        Raises:
            StoreBusy: Another daemon holds it.
            StoreUnwritable: Its folder cannot be written.
        """
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StoreUnwritable(f"cannot write {self.file}: {exc.strerror}") from exc
        until = time.monotonic() + _PATIENCE_S
        while not _locked(self._fd, fcntl.LOCK_EX):
            if time.monotonic() > until:
                self._close()
                raise StoreBusy("a daemon runs here already", holder=self._told())
            time.sleep(0.02)
        this = processes.this()
        holder = Holder(
            pid=this.pid, started=this.started, since=datetime.now(UTC), host=socket.gethostname()
        )
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, msgspec.json.encode(holder), 0)

    def release(self) -> None:
        if self._fd != -1:
            os.ftruncate(self._fd, 0)
            self._close()

    def holder(self) -> Holder | None:
        """Who holds it; None for nobody."""
        until = time.monotonic() + _PATIENCE_S
        while self._is_held():
            holder = self._read()
            if holder is None or not _is_dying(holder) or time.monotonic() > until:
                return holder
            time.sleep(0.01)
        return None

    def _is_held(self) -> bool:
        try:
            fd = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _locked(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def _read(self) -> Holder | None:
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=Holder)
        except (OSError, msgspec.DecodeError):
            return None  # between taking it and writing it down

    def _told(self) -> str:
        holder = self._read()
        if holder is None:
            return ""
        return f"pid {holder.pid} on {holder.host} since {holder.since:%Y-%m-%d %H:%M} UTC"

    def _close(self) -> None:
        os.close(self._fd)
        self._fd = -1


def _is_dying(holder: Holder) -> bool:
    """Whether it is gone but for a thread that has not let go of the lock yet."""
    return holder.host == socket.gethostname() and not processes.is_alive(holder.process)


def _locked(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
