"""Whose turn it is to use the replica: many processes, one file, nobody turned away.

SQLite's own locks make a waiting process sleep and try again, without order: under load somebody is
told "database is locked". And two files in one transaction can block each other for good. So
whoever reads or writes here takes a turn first. Readers share one; a writer has it alone. The wait
is in a queue: whoever is next holds the gate, so that nobody who keeps writing keeps others out.

The kernel lets go of a turn when its process dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rhdesk.errors import StoreBusy, StoreUnwritable

_PATIENCE_S: Final = 30.0
_SHORTEST_S: Final = 0.0002
_LONGEST_S: Final = 0.004


class Turns:
    """Taking turns in one folder. For one thread.

    Raises:
        StoreUnwritable: The folder cannot be written, and nobody ever took a turn in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gate = _open(folder / "gate")
        self._room = _open(folder / "room")

    def close(self) -> None:
        os.close(self._gate)
        os.close(self._room)

    @contextmanager
    def taken(self, *, alone: bool) -> Generator[None]:
        """A turn, with others who only read or *alone*.

        Raises:
            StoreBusy: Somebody keeps theirs for half a minute.
        """
        give_up = time.monotonic() + _PATIENCE_S
        self._wait(self._gate, fcntl.LOCK_EX, give_up)
        try:
            self._wait(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, give_up)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)

    def _wait(self, fd: int, how: int, give_up: float) -> None:
        pause_s = _SHORTEST_S
        while True:
            try:
                fcntl.flock(fd, how | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise StoreBusy(
                        f"another rhdesk has been using {self._folder} for {_PATIENCE_S:.0f} s; "
                        "if it hangs, end it"
                    ) from None
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_S)
            else:
                return


def _open(file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        try:
            return os.open(file, os.O_RDONLY | os.O_CLOEXEC)  # one can take turns at reading
        except OSError:
            raise StoreUnwritable(f"{file} cannot be written: {exc.strerror}") from exc
