"""How the line to a store was when last tried; told to every process, and answered without a network.

It is a file beside the replica, and a lock that says who keeps the replica in step now.
"""

from __future__ import annotations

import fcntl
import os
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file
from rhdesk.errors import StoreUnwritable

_FIRST_S: Final = 0.5
_LONGEST_S: Final = 60.0


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    status: str = "offline"
    """As `rhdesk.models.StoreState.status`."""
    last_contact: datetime | None = None
    error: str = ""
    failures: int = 0
    """In a row."""
    open_until: datetime | None = None
    """Nobody tries by itself before: the circuit is open."""


class ContactFile:
    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._file = folder / "contact.json"
        self._now = now

    def read(self) -> Contact:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Contact)
        except (OSError, msgspec.DecodeError):
            return Contact()

    def is_open(self) -> bool:
        """Whether the last tries failed, and it is too early for another."""
        until = self.read().open_until
        # A clock that was set back must not keep it open for years.
        return until is not None and self._now() < until < self._now() + 2 * _longest()

    def heard(self, *, status: str) -> None:
        """The store answered."""
        self._write(Contact(status=status, last_contact=self._now()))

    def failed(self, error: str, *, status: str = "offline", after_s: float = 0.0) -> float:
        """It did not; returns how long to wait before the next try."""
        before = self.read()
        most_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(before.failures, 10))
        wait_s = max(after_s, random.uniform(0, most_s) if status == "offline" else _LONGEST_S)
        self._write(
            Contact(
                status=status,
                last_contact=before.last_contact,
                error=error,
                failures=before.failures + 1,
                open_until=self._now() + timedelta(seconds=min(wait_s, _LONGEST_S)),
            )
        )
        return wait_s

    def _write(self, contact: Contact) -> None:
        # It is only told to people; a disk that is full must not stop what it is told about.
        with suppress(OSError):
            whole_file.write(self._file, [msgspec.json.encode(contact)])


class SyncerLock:
    """Held by the one process that keeps a replica in step."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "syncer"

    @contextmanager
    def held(self) -> Generator[bool]:
        """Try to hold it; false where another process does.

        Raises:
            StoreUnwritable: Its folder cannot be written.
        """
        try:
            fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StoreUnwritable(f"{self._file} cannot be written: {exc.strerror}") from exc
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            with suppress(OSError):
                os.ftruncate(fd, 0)
                os.pwrite(fd, str(os.getpid()).encode(), 0)
            yield True
        finally:
            os.close(fd)

    def holder(self) -> int:
        """The process that holds it; 0 for none."""
        try:
            fd = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(fd, 20, 0).decode("ascii", "replace")
            return int(text) if text.isdecimal() else 0
        else:
            return 0
        finally:
            os.close(fd)


def _longest() -> timedelta:
    return timedelta(seconds=_LONGEST_S)
