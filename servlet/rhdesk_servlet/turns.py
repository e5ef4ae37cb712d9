"""Turns: one builder at a time, across processes.

The kernel holds the lock, on a file; it lets go when the last process that has the file open is
gone, so a holder that died needs no burying. A child that inherits the descriptor prolongs the
turn: an installer whose parent was killed still has it until the installer ends.
"""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Self


class Turn:
    """A turn at *file*, taken with `take` and given back on leaving the ``with`` block."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._fd: int | None = None

    @property
    def descriptor(self) -> int:
        """For a child that shall prolong the turn; only while it is held."""
        if self._fd is None:
            raise RuntimeError("this turn was not taken")
        return self._fd

    def take(self) -> bool:
        """Whether the turn is ours now; never waits."""
        if self._fd is not None:
            return True
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        if not _is_still(fd, self._file):
            # It was removed between opening and locking; whoever comes next makes a new one.
            os.close(fd)
            return False
        os.truncate(fd, 0)
        os.pwrite(fd, f"pid {os.getpid()} since {datetime.now(UTC):%H:%M:%S} UTC".encode(), 0)
        self._fd = fd
        return True

    def holder(self) -> str:
        """Who has it, as "pid 123 since 12:00:03 UTC"."""
        try:
            return self._file.read_text("utf-8") or "another process"
        except FileNotFoundError:
            return "another process"

    def remove(self) -> None:
        """Give the turn back for good: the file goes too."""
        self._file.unlink(missing_ok=True)
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def _release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _is_still(fd: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), file.stat())
    except FileNotFoundError:
        return False
