"""Writes the run book behind the callers' backs, and loses nothing while it does.

A call that takes half a millisecond cannot wait for a disk. So what happens to a run is appended to
a journal with one write, which survives the death of this process at any instant; a thread that
owns the book applies it in batches, and empties the journal once all of it is committed. A journal
left by a process that died is applied by whoever opens the book next. Against a power cut a run is
safe when its batch is committed, some milliseconds later.

Lines need no journal: the cluster keeps them until they are stored here. Nor does the end of a run
whose last lines are not stored yet: a run that ended here is not asked about again, so an end must
not outlive its lines.

When the disk is full, whoever asks or waits is told, nothing is forgotten, and it is tried again
until there is room.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, cast

import msgspec

from rhdesk import processes
from rhdesk.errors import RhdeskError, SetupFailed, StoreBusy, StoreUnwritable
from rhdesk.models import Edge, LogLine, Run, RunStatus
from rhdesk.runs.book import RunBook
from rhdesk.runs.lineage import Row
from rhdesk.runs.making import KEEP, cluster_name, kept_name

T = TypeVar("T")

_HEAD: Final = struct.Struct("<II")
_JOURNAL_NAME: Final = re.compile(r"(\d+)-(\d+)-[0-9a-f]+\.journal")
_JOURNAL_BYTES: Final = 1024 * 1024
_BATCH: Final = 5_000
"""Lines in one transaction at most."""
_KEPT: Final = 200_000
"""Lines that wait in memory at most while the book cannot be written."""
_RETRY_S: Final = 1.0
_LINGER_S: Final = 0.05
"""How long events may wait for company: a commit for each call would slow the calls."""


class Submitted(msgspec.Struct, frozen=True, array_like=True, tag=1):
    run: Run
    reads: tuple[tuple[str, str], ...] = ()
    """Names and versions it is given: itself what it calls, its environment, its arguments."""


class Started(msgspec.Struct, frozen=True, array_like=True, tag=2):
    run_id: str
    at: datetime


class Ended(msgspec.Struct, frozen=True, array_like=True, tag=3):
    run: Run


class Touched(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A run read or wrote something while it ran."""

    edge: Edge


Event = Submitted | Started | Ended | Touched
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
        with ExitStack() as opened:
            self._book = RunBook(folder / "runs.db")
            opened.callback(self._book.close)
            self._reader = RunBook(folder / "runs.db", read_only=True)
            opened.callback(self._reader.close)
            self._journal = Journal(folder / "journal")
            opened.callback(self._journal.close, keep=False)
            adopt(folder / "journal", self._book)
            opened.pop_all()
        self._lock = threading.Condition()
        self._queue: deque[_Noted] = deque()
        """What the book does not hold yet, oldest first."""
        self._noted = 0
        """How many things were noted, written or asked to be changed so far: the number of the
        last one."""
        self._last_lines: dict[str, int] = {}
        """Runs with lines in the queue, and the number of the last of those."""
        self._waiting_lines = 0
        self._is_hurried = False
        """Somebody waits for what was noted."""
        self._is_closing = False
        self._is_closed = False
        self._trouble: RhdeskError | None = None
        self._failures = 0
        """How often the book could not be written so far."""
        self._readers = ThreadPoolExecutor(1, "rhdesk-read")
        self._owner = threading.Thread(target=self._own, name="rhdesk-record", daemon=True)
        self._owner.start()

    def close(self) -> None:
        """Store what waits and close; what cannot be stored stays in the journal.

        Raises:
            StoreUnwritable: Something could not be stored.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self.flush()
        finally:
            with self._lock:
                self._is_closing = True
                self._lock.notify_all()
            self._readers.shutdown()
            self._owner.join()
            self._journal.close(keep=bool(self._queue))
            self._reader.close()
            self._book.close()

    # ---- what happened to a run; these cost microseconds

    def submitted(self, run: Run, reads: tuple[tuple[str, str], ...] = ()) -> None:
        """Before a run is sent.

        Args:
            reads: Names and versions that it reads by being called.

        Raises:
            StoreUnwritable: It cannot be written down, so it must not be sent.
        """
        self._note(Submitted(run, reads))

    def started(self, run_id: str, at: datetime) -> None:
        self._note(Started(run_id, at))

    def ended(self, run: Run) -> None:
        data = _encode(Ended(run))
        with self._lock:
            self._refuse_if_closed()
            if run.run_id not in self._last_lines:
                self._journal.append(data, self._noted + 1)
            self._enqueue(Ended(run))

    def touched(self, edge: Edge) -> None:
        """A run, perhaps one this process is part of, has read or written something."""
        self._note(Touched(edge))

    def lines(self, lines: Sequence[LogLine]) -> Future[int]:
        """Store lines; the future is done when they are on the disk.

        A future that fails with `StoreUnwritable` is the first to know: the lines wait, and are
        tried again.

        Raises:
            StoreUnwritable: The disk has been full for so long that no more lines can wait.
        """
        waiting = _Lines(lines)
        with self._lock:
            self._refuse_if_closed()
            if self._trouble is not None and self._waiting_lines > _KEPT:
                raise self._trouble.with_traceback(None)
            self._enqueue(waiting, hurry=True)
            self._waiting_lines += len(lines)
            self._last_lines |= dict.fromkeys(waiting.run_ids, self._noted)
        return waiting.stored

    # ---- reading, and the rarer writes

    async def read(self, ask: Callable[[RunBook], T]) -> T:
        """Ask the book, behind everything noted before."""
        self._refuse_if_closed()
        return await asyncio.wrap_future(self._readers.submit(self._asked, ask))

    async def write(self, change: Callable[[RunBook], T]) -> T:
        """Change the book in the thread that owns it."""
        waiting = _Change(change)
        with self._lock:
            self._refuse_if_closed()
            self._enqueue(waiting, hurry=True)
        return cast(T, await asyncio.wrap_future(waiting.done))

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until all that was noted before is on the disk.

        Raises:
            StoreUnwritable: It cannot be; it stays in the journal, and is tried again.
        """
        give_up = time.monotonic() + timeout_s
        with self._lock:
            upto, failures = self._noted, self._failures
            self._is_hurried = True
            self._lock.notify_all()
            while self._queue and self._queue[0].number <= upto:
                if self._trouble is not None and self._failures > failures:
                    raise self._trouble.with_traceback(None)
                left = give_up - time.monotonic()
                if left <= 0:
                    raise StoreUnwritable(f"{self._folder} took longer than {timeout_s:g} s")
                if not self._owner.is_alive():
                    raise StoreUnwritable(f"{self._folder} has lost the thread that writes it")
                self._lock.wait(min(left, 0.5))

    # ---- the thread that owns the book

    def _note(self, event: Event) -> None:
        data = _encode(event)
        with self._lock:
            self._refuse_if_closed()
            self._journal.append(data, self._noted + 1)
            self._enqueue(event)

    def _enqueue(self, what: Event | _Lines | _Change, *, hurry: bool = False) -> None:
        self._noted += 1
        self._queue.append(_Noted(self._noted, what))
        if hurry:
            self._is_hurried = True
        if hurry or len(self._queue) == 1:
            self._lock.notify_all()

    def _refuse_if_closed(self) -> None:
        if self._is_closing:
            raise StoreUnwritable(f"{self._folder} was closed")

    def _asked(self, ask: Callable[[RunBook], T]) -> T:
        self.flush()
        return ask(self._reader)

    def _own(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._queue or self._is_closing)
                if not self._queue:
                    return
                self._lock.wait_for(lambda: self._is_hurried or self._is_closing, _LINGER_S)
                self._is_hurried = False
                batch = self._next_batch()
            trouble = self._apply([each.what for each in batch])
            with self._lock:
                self._trouble = trouble
                if trouble is None:
                    self._stored(batch)
                    self._lock.notify_all()
                    continue
                self._failures += 1
                self._lock.notify_all()
                if self._is_closing:
                    self._give_up(trouble)
                    return
                self._lock.wait_for(lambda: self._is_hurried or self._is_closing, _RETRY_S)

    def _next_batch(self) -> list[_Noted]:
        """What comes next: as much as one transaction should hold, or one change by itself."""
        batch: list[_Noted] = []
        count = 0
        for each in self._queue:
            if isinstance(each.what, _Change):
                return batch or [each]
            batch.append(each)
            count += len(each.what.lines) if isinstance(each.what, _Lines) else 1
            if count >= _BATCH:
                break
        return batch

    def _apply(self, batch: Sequence[Event | _Lines | _Change]) -> RhdeskError | None:
        """Write a batch into the book; returns why it has to be tried again, if it has."""
        if isinstance(batch[0], _Change):
            batch[0].settle(self._book)
            return None
        events = [each for each in batch if isinstance(each, Event)]
        lines = [each for each in batch if isinstance(each, _Lines)]
        try:
            with self._book.transaction():
                apply(self._book, events)  # first: lines belong to a run that is written down
                counts = [self._book.add_lines(each.lines) for each in lines]
        except (StoreUnwritable, StoreBusy, SetupFailed) as exc:
            for each in lines:
                each.failed(exc)
            return exc
        except RhdeskError as exc:
            if len(batch) > 1:  # one is at fault, and shall not take its neighbours with it
                return next(filter(None, (self._apply([each]) for each in batch)), None)
            for each in lines:
                each.failed(exc)
            return None if lines else exc
        for each, count in zip(lines, counts, strict=True):
            each.succeeded(count)
        return None

    def _stored(self, batch: Sequence[_Noted]) -> None:
        for each in batch:
            self._queue.popleft()
            if isinstance(each.what, _Lines):
                self._waiting_lines -= len(each.what.lines)
                for run_id in each.what.run_ids:
                    if self._last_lines.get(run_id) == each.number:
                        del self._last_lines[run_id]
        self._journal.forget(batch[-1].number)

    def _give_up(self, trouble: RhdeskError) -> None:
        """Tell whoever still waits; events stay in the journal, lines on their cluster."""
        for each in self._queue:
            if not isinstance(each.what, Event):
                each.what.failed(trouble)


class _Lines:
    """Lines on their way into the book."""

    def __init__(self, lines: Sequence[LogLine]) -> None:
        self.lines = lines
        self.run_ids = frozenset(line.run_id for line in lines)
        self.stored: Future[int] = Future()
        # Whoever waits may leave; the lines go their way.
        self.stored.set_running_or_notify_cancel()

    def succeeded(self, count: int) -> None:
        if not self.stored.done():
            self.stored.set_result(count)

    def failed(self, error: RhdeskError) -> None:
        if not self.stored.done():
            self.stored.set_exception(error)


class _Change:
    """A change someone waits for; what it raises is theirs."""

    def __init__(self, change: Callable[[RunBook], object]) -> None:
        self._change = change
        self.done: Future[object] = Future()

    def settle(self, book: RunBook) -> None:
        if not self.done.set_running_or_notify_cancel():
            return
        try:
            self.done.set_result(self._change(book))
        except BaseException as exc:  # noqa: BLE001 - somebody else's function: theirs to handle
            self.done.set_exception(exc)

    def failed(self, error: RhdeskError) -> None:
        if self.done.set_running_or_notify_cancel():
            self.done.set_exception(error)


class _Noted(NamedTuple):
    number: int
    what: Event | _Lines | _Change


class Journal:
    """What this process noted and the book does not hold yet.

    One file, and another when it has grown: under steady load there is always something that the
    book does not hold yet, and a file is emptied or removed only when all of it is there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._full: deque[tuple[Path, int]] = deque()
        """Files that are not written any more, and the number of the last event in each."""
        self.file, self._fd = self._open()
        self._size = 0
        self._last = 0
        """Number of the last event in the file."""

    def append(self, data: bytes, number: int) -> None:
        """One write: whole in the file, or an error.

        Raises:
            StoreUnwritable: The disk is full, or the file cannot be written.
        """
        if self._size >= _JOURNAL_BYTES:
            file, fd = self._open()
            os.close(self._fd)
            self._full.append((self.file, self._last))
            self.file, self._fd, self._size = file, fd, 0
        frame = _HEAD.pack(len(data), zlib.crc32(data)) + data
        try:
            written = os.write(self._fd, frame)
        except OSError as exc:
            raise StoreUnwritable(f"{self.file} cannot be written: {exc.strerror}") from exc
        if written < len(frame):
            os.ftruncate(self._fd, self._size)
            raise StoreUnwritable(f"{self.file} cannot be written: no space left on device")
        self._size += written
        self._last = number

    def forget(self, upto: int) -> None:
        """The book holds every event up to number *upto*."""
        while self._full and self._full[0][1] <= upto:
            self._full.popleft()[0].unlink(missing_ok=True)
        if self._size and self._last <= upto:
            os.ftruncate(self._fd, 0)
            self._size = 0

    def close(self, *, keep: bool) -> None:
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1  # somebody else may be given that number
        if not keep:
            self.file.unlink(missing_ok=True)

    def _open(self) -> tuple[Path, int]:
        me = processes.this()
        file = self._folder / f"{me.pid}-{me.started}-{os.urandom(3).hex()}.journal"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as exc:
            raise StoreUnwritable(f"{file} cannot be written: {exc.strerror}") from exc
        # Its pid says little to a process in another container.
        fcntl.flock(fd, fcntl.LOCK_EX)
        return file, fd


def left_behind(folder: Path) -> list[Path]:
    """The journals of processes that are gone."""
    found: list[Path] = []
    for file in sorted(folder.glob("*.journal")):
        name = _JOURNAL_NAME.fullmatch(file.name)
        if name and not processes.is_alive(processes.Process(int(name[1]), int(name[2]))):
            found.append(file)
    return found


def adopt(folder: Path, book: RunBook) -> int:
    """Apply the journals of processes that are gone; returns how many there were."""
    adopted = 0
    for file in left_behind(folder):
        try:
            with file.open("rb") as opened:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with book.transaction():
                    apply(book, _events(opened.read()))
                file.unlink(missing_ok=True)
        except (FileNotFoundError, BlockingIOError):
            continue  # another process adopts it
        except (PermissionError, msgspec.DecodeError):
            continue  # another user's, or a newer rhdesk's: theirs to adopt
        adopted += 1
    return adopted


def apply(book: RunBook, events: Iterable[Event]) -> None:
    """Write events into the book; twice is as good as once.

    A short call begins and ends in one batch: only how it stands at the end is written.
    """
    runs: dict[str, Run] = {}
    reads: list[Row] = []
    touched: list[Edge] = []
    for event in events:
        match event:
            case Submitted(run, given):
                runs.setdefault(run.run_id, run)
                reads += _reads(run, given)
            case Touched(edge):
                touched.append(edge)
            case Started(run_id, at):
                known = runs.get(run_id)
                if known is None:
                    book.started(run_id, at)
                elif known.status is RunStatus.SUBMITTED:
                    runs[run_id] = msgspec.structs.replace(
                        known, status=RunStatus.RUNNING, started_at=at
                    )
            case Ended(run):
                if run.status is RunStatus.SUCCEEDED and KEEP in run.origin:
                    touched.append(_kept(run))
                known = runs.get(run.run_id)
                if known is None:
                    runs[run.run_id] = run
                elif not known.status.is_finished or (
                    known.status is RunStatus.LOST and run.status is not RunStatus.LOST
                ):
                    runs[run.run_id] = msgspec.structs.replace(
                        run, started_at=known.started_at or run.started_at
                    )
    with book.transaction():
        if runs:
            book.record(list(runs.values()))
        if reads:
            book.edges.add_read(reads)
        if touched:
            book.edges.add(touched)


def _reads(run: Run, given: Iterable[tuple[str, str]]) -> list[Row]:
    at = run.submitted_at.astimezone(UTC).isoformat()
    return [
        (run.run_id, "read", name, version, at, run.function, "here")
        for name, version in (*given, (cluster_name(run.cluster), ""))
    ]


def _kept(run: Run) -> Edge:
    """A run's result stays on its cluster under a key."""
    return Edge(
        run_id=run.run_id,
        kind="wrote",
        name=kept_name(run.cluster, str(run.origin[KEEP])),
        at=run.ended_at or run.submitted_at,
        function=run.function,
    )


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
