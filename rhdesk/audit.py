"""The audit of this desk: one file, appended to, never written over; a line of JSON for each row.

A row is on the disk before what it tells of is answered: who cannot be written down is refused. The
last row's number and hash are kept beside the file as well, so that a file that was cut off is
noticed; another place to keep them is up to the person (``rhdesk audit verify`` prints them).
"""

from __future__ import annotations

import fcntl
import getpass
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file
from rhdesk.chain import START, chained, flaws
from rhdesk.errors import DamagedStore, StoreUnwritable
from rhdesk.models import Audited, AuditHead, Finding

_NEWLINE: Final = b"\n"


class Audit:
    """Blocking; several processes may append.

    Args:
        folder: Where the file is.
        who: Whose doing is written down; by default the user of the process.
    """

    def __init__(
        self,
        folder: Path,
        *,
        who: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.file = folder / "audit.jsonl"
        self._head_file = folder / "head.json"
        self._who = who or _user()
        self._now = now

    def append(self, action: str, about: str, note: str = "") -> Audited:
        """Write down that something is about to be answered; durable when this returns.

        Raises:
            StoreUnwritable: It could not be written: what it tells of must not happen.
            DamagedStore: The file is not what was written; nothing is appended to it.
        """
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX)
                head = self._last(opened)
                row = chained(
                    head,
                    Audited(
                        number=0,
                        at=self._now(),
                        who=self._who,
                        action=action,
                        about=about,
                        note=note,
                    ),
                )
                _write(opened, msgspec.json.encode(row) + _NEWLINE)
                self._keep(AuditHead(number=row.number, hash=row.hash))
            finally:
                os.close(opened)
        except OSError as exc:
            raise StoreUnwritable(
                f"the audit {self.file} cannot be written: {exc.strerror}; "
                f"{action} of {about} was not done"
            ) from exc
        return row

    def rows(self) -> Iterator[Audited]:
        """Every row, oldest first.

        Raises:
            DamagedStore: A line is none.
        """
        try:
            opened = self.file.open("rb")
        except FileNotFoundError:
            return
        with opened:
            for number, line in enumerate(opened, 1):
                if not line.endswith(_NEWLINE):
                    return  # of a writer that was killed; it told nobody
                try:
                    yield msgspec.json.decode(line, type=Audited)
                except msgspec.DecodeError as exc:
                    raise DamagedStore(f"line {number} of {self.file} is no row: {exc}") from exc

    def head(self) -> AuditHead:
        """The last row's number and hash."""
        last = START
        for row in self.rows():
            last = AuditHead(number=row.number, hash=row.hash)
        return last

    def examine(self, *heads: AuditHead) -> list[Finding]:
        """Everything that is wrong with the file; the heads are those somebody kept elsewhere."""
        kept = [*heads, *self._kept()]
        try:
            told = list(flaws(self.rows(), kept))
        except DamagedStore as exc:
            told = [str(exc)]
        remedy = "somebody, or the disk, changed it; compare with a copy"
        return [
            Finding(store="audit", what=f"{self.file}: {each}", remedy=remedy) for each in told
        ]

    def _last(self, opened: int) -> AuditHead:
        """Where to go on; what a killed writer left of a line is cut off first."""
        head = next(iter(self._kept()), START)
        end = os.fstat(opened).st_size
        last = _last_line(opened, end)
        whole = end if last is None or last.endswith(_NEWLINE) else end - len(last)
        if whole != end:
            os.ftruncate(opened, whole)
            last = _last_line(opened, whole)
        if last is None:
            if head.number:
                raise DamagedStore(
                    f"the audit {self.file} is empty, and had {head.number} rows; restore it"
                )
            return START
        try:
            row = msgspec.json.decode(last, type=Audited)
        except msgspec.DecodeError as exc:
            raise DamagedStore(f"the last line of {self.file} is no row: {exc}") from exc
        if row.number < head.number:
            raise DamagedStore(
                f"the audit {self.file} ends at row {row.number}, and had {head.number}; restore it"
            )
        return AuditHead(number=row.number, hash=row.hash)

    def _kept(self) -> list[AuditHead]:
        try:
            return [msgspec.json.decode(self._head_file.read_bytes(), type=AuditHead)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except msgspec.DecodeError as exc:
            raise DamagedStore(f"{self._head_file} is damaged: {exc}") from exc

    def _keep(self, head: AuditHead) -> None:
        # Not flushed: behind after a power cut it is still a head of the chain.
        whole_file.write(self._head_file, [msgspec.json.encode(head)])


def _write(opened: int, data: bytes) -> None:
    size = os.fstat(opened).st_size
    try:
        written = os.write(opened, data)
        if written < len(data):
            raise OSError(28, "No space left on device")
        os.fsync(opened)
    except OSError:
        os.ftruncate(opened, size)
        raise


def _last_line(opened: int, end: int) -> bytes | None:
    """The last line of a file, with its newline if it has one; None of an empty file."""
    if end == 0:
        return None
    size = 4096
    while True:
        begin = max(0, end - size)
        data = os.pread(opened, end - begin, begin)
        at = data[:-1].rfind(_NEWLINE)
        if at >= 0:
            return data[at + 1 :]
        if begin == 0:
            return data
        size *= 4


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
