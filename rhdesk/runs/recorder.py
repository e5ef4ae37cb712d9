"""Writes the run book behind the callers' backs, and loses nothing while it does.

A call that takes half a millisecond cannot wait for a disk. So what happens to a run is appended to
a journal with one write, which survives the death of this process at any instant; a thread that
owns the book applies it in batches, and empties the journal once all of it is committed. A journal
left by a process that died is applied by whoever opens the book next. Against a power cut a run is
safe when its batch is committed, some milliseconds later.

Lines need no journal: the cluster keeps them until they are stored here.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar, cast

import msgspec

from rhdesk import processes
from rhdesk.errors import RhdeskError, StoreUnwritable
from rhdesk.models import LogLine, Run, RunStatus
from rhdesk.runs.book import RunBook

T = TypeVar("T")

_HEAD: Final = struct.Struct("<II")
_BATCH: Final = 5_000
"""Lines in one transaction at most."""
_RETRY_S: Final = 1.0
_LINGER_S: Final = 0.05
"""How long events may wait for company: a commit for each call would slow the calls."""


class Submitted(msgspec.Struct, frozen=True, array_like=True, tag=1):
    run: Run


class Started(msgspec.Struct, frozen=True, array_like=True, tag=2):
    run_id: str
    at: datetime


class Ended(msgspec.Struct, frozen=True, array_like=True, tag=3):
    run: Run


Event = Submitted | Started | Ended
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Event).decode


class Recorder:
    """The run book of one data folder, for one process; several processes may share the folder.

    Raises:
        StoreUnwritable: The folder cannot be written.
        SetupFailed: The book is damaged, or of a newer rhdesk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._book = RunBook(folder / "runs.db")
        self._reader = RunBook(folder / "runs.db", read_only=True)
        self._journal = Journal(folder / "journal")
        adopt(folder / "journal", self._book)
        self._queue: deque[Event | _Lines | _Change] = deque()
        """What the book does not hold yet, oldest first."""
        self._lock = threading.Condition()
        self._is_closing = False
        self._noted = 0
        """How many things were noted, written or asked to be changed so far."""
        self._stored = 0
        """How many of them, in order, are in the book."""
        self._is_hurried = False
        """Somebody waits for what was noted."""
        self._trouble: RhdeskError | None = None
        self._readers = ThreadPoolExecutor(1, "rhdesk-read")
        self._owner = threading.Thread(target=self._own, name="rhdesk-record", daemon=True)
        self._owner.start()

    def close(self) -> None:
        """Store what waits and close; what cannot be stored stays in the journal.

        Raises:
            StoreUnwritable: Something could not be stored.
        """
        try:
            self.flush()
        finally:
            with self._lock:
                self._is_closing = True
                self._lock.notify_all()
            self._owner.join(timeout=30)
            self._readers.shutdown()
            self._journal.close(keep=bool(self._queue))
            self._reader.close()
            self._book.close()

    # ---- what happened to a run; these cost microseconds

    def submitted(self, run: Run) -> None:
        """Before a run is sent.

        Raises:
            StoreUnwritable: It cannot be written down, so it must not be sent.
        """
        self._note(Submitted(run))

    def started(self, run_id: str, at: datetime) -> None:
        self._note(Started(run_id, at))

    def ended(self, run: Run) -> None:
        self._note(Ended(run))

    def lines(self, lines: Sequence[LogLine]) -> Future[int]:
        """Store lines; the future is done when they are on the disk."""
        waiting = _Lines(lines, Future())
        self._enqueue(waiting)
        return waiting.stored

    # ---- reading, and the rarer writes

    async def read(self, ask: Callable[[RunBook], T]) -> T:
        """Ask the book, behind everything noted before."""
        return await asyncio.wrap_future(self._readers.submit(self._asked, ask))

    async def write(self, change: Callable[[RunBook], T]) -> T:
        """Change the book in the thread that owns it."""
        waiting = _Change(change, Future())
        self._enqueue(waiting)
        return cast(T, await asyncio.wrap_future(waiting.done))

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until all that was noted before is on the disk.

        Raises:
            StoreUnwritable: It cannot be; it stays in the journal, and is tried again.
        """
        give_up = time.monotonic() + timeout_s
        with self._lock:
            upto = self._noted
            self._is_hurried = True
            self._lock.notify_all()
            while self._stored < upto:
                if self._trouble is not None:
                    raise self._trouble
                left = give_up - time.monotonic()
                if left <= 0:
                    raise StoreUnwritable(f"{self._folder} took longer than {timeout_s:g} s")
                self._lock.wait(min(left, 0.5))

    # ---- the thread that owns the book

    def _note(self, event: Event) -> None:
        data = _encode(event)
        with self._lock:
            self._journal.append(data)
            self._queue.append(event)
            self._noted += 1
            if len(self._queue) == 1:
                self._lock.notify_all()

    def _enqueue(self, waiting: _Lines | _Change) -> None:
        with self._lock:
            self._queue.append(waiting)
            self._noted += 1
            self._is_hurried = True
            self._lock.notify_all()

    def _asked(self, ask: Callable[[RunBook], T]) -> T:
        self.flush()
        return ask(self._reader)

    def _own(self) -> None:
        while True:
            with self._lock:
                while not self._queue:
                    if self._is_closing:
                        return
                    self._lock.wait()
                if not (self._is_hurried or self._is_closing):
                    self._lock.wait_for(lambda: self._is_hurried or self._is_closing, _LINGER_S)
                self._is_hurried = False
                batch = self._next_batch()
            try:
                self._apply(batch)
            except RhdeskError as exc:
                self._failed(exc, batch)
                if self._is_closing:
                    return
                time.sleep(_RETRY_S)
                continue
            with self._lock:
                for _ in batch:
                    self._queue.popleft()
                if not self._queue:
                    self._journal.empty()
                self._stored += len(batch)
                self._trouble = None
                self._lock.notify_all()

    def _next_batch(self) -> list[Event | _Lines | _Change]:
        """What comes next: as much as one transaction should hold, or one change by itself."""
        batch: list[Event | _Lines | _Change] = []
        count = 0
        for each in self._queue:
            if isinstance(each, _Change):
                return batch or [each]
            batch.append(each)
            count += len(each.lines) if isinstance(each, _Lines) else 1
            if count >= _BATCH:
                break
        return batch

    def _apply(self, batch: Sequence[Event | _Lines | _Change]) -> None:
        if isinstance(batch[0], _Change):
            batch[0].settle(self._book)
            return
        events = [each for each in batch if isinstance(each, Submitted | Started | Ended)]
        lines = [each for each in batch if isinstance(each, _Lines)]
        with self._book.transaction():
            apply(self._book, events)  # first: lines belong to a run that is written down
            counts = [self._book.add_lines(each.lines) for each in lines]
        for each, count in zip(lines, counts, strict=True):
            each.stored.set_result(count)

    def _failed(self, error: RhdeskError, batch: Sequence[Event | _Lines | _Change]) -> None:
        """Events wait and are tried again; lines stay on the cluster, and are asked for again."""
        with self._lock:
            for each in batch:
                if isinstance(each, _Lines):
                    self._queue.remove(each)
                    self._stored += 1
                    each.stored.set_exception(error)
            self._trouble = error
            self._lock.notify_all()


class _Lines:
    """Lines on their way into the book."""

    def __init__(self, lines: Sequence[LogLine], stored: Future[int]) -> None:
        self.lines = lines
        self.stored = stored


class _Change:
    """A change someone waits for; what it raises is theirs."""

    def __init__(self, change: Callable[[RunBook], object], done: Future[object]) -> None:
        self._change = change
        self.done = done

    def settle(self, book: RunBook) -> None:
        try:
            self.done.set_result(self._change(book))
        except RhdeskError as exc:
            self.done.set_exception(exc)


class Journal:
    """What this process noted and the book does not hold yet. One file per process."""

    def __init__(self, folder: Path) -> None:
        me = processes.this()
        self.file = folder / f"{me.pid}-{me.started}-{os.urandom(3).hex()}.journal"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as exc:
            raise StoreUnwritable(f"{self.file} cannot be written: {exc.strerror}") from exc
        self._is_empty = True

    def append(self, data: bytes) -> None:
        """One write: whole in the file, or an error.

        Raises:
            StoreUnwritable: The disk is full, or the file cannot be written.
        """
        frame = _HEAD.pack(len(data), zlib.crc32(data)) + data
        try:
            written = os.write(self._fd, frame)
        except OSError as exc:
            raise StoreUnwritable(f"{self.file} cannot be written: {exc.strerror}") from exc
        if written < len(frame):
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            raise StoreUnwritable(f"{self.file} cannot be written: no space left on device")
        self._is_empty = False

    def empty(self) -> None:
        if not self._is_empty:
            os.ftruncate(self._fd, 0)
            self._is_empty = True

    def close(self, *, keep: bool) -> None:
        os.close(self._fd)
        if not keep:
            self.file.unlink(missing_ok=True)


def adopt(folder: Path, book: RunBook) -> int:
    """Apply the journals of processes that are gone; returns how many there were."""
    adopted = 0
    for file in sorted(folder.glob("*.journal")):
        pid, started, _ = file.stem.split("-")
        if processes.is_alive(processes.Process(int(pid), int(started))):
            continue
        try:
            with file.open("rb+") as opened:
                fcntl.flock(opened, fcntl.LOCK_EX)
                with book.transaction():
                    apply(book, _events(opened.read()))
                file.unlink(missing_ok=True)
        except FileNotFoundError:
            continue
        adopted += 1
    return adopted


def apply(book: RunBook, events: Iterable[Event]) -> None:
    """Write events into the book; twice is as good as once.

    A short call begins and ends in one batch: only how it stands at the end is written.
    """
    runs: dict[str, Run] = {}
    for event in events:
        if isinstance(event, Started):
            if (run := runs.get(event.run_id)) is None:
                book.started(event.run_id, event.at)
            elif run.status is RunStatus.SUBMITTED:
                runs[event.run_id] = msgspec.structs.replace(
                    run, status=RunStatus.RUNNING, started_at=event.at
                )
        elif (known := runs.get(event.run.run_id)) is None or not known.status.is_finished:
            runs[event.run.run_id] = event.run
    if runs:
        book.record(list(runs.values()))


def _events(data: bytes) -> Iterator[Event]:
    """Events of a journal; a frame that was cut short by a death is not one."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(body) < length or zlib.crc32(body) != checksum:
            return
        yield _decode(body)
        at += _HEAD.size + length
