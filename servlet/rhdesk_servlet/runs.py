"""The runs of one env servlet: started at most once, followed from any line, cancelled for sure."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import struct
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

from rhdesk.errors import BadInput, NotFound, RunCancelled, RunLost, RunTimedOut
from rhdesk.wire.frames import Frame, Kind, Lines
from rhdesk.wire.messages import Called, Failed, RunEnd, RunSeen, pack, unpack
from rhdesk.wire.payload import Payload
from rhdesk_servlet.channel import Call, Ended, Entry, Yielded
from rhdesk_servlet.pool import GRACE_S, Body, Job, Pool, Worker
from rhdesk_servlet.spool import SpoolReader, SpoolWriter

_log: Final = logging.getLogger(__name__)
KEEP_RESULT_BYTES: Final = 256 * 1024 * 1024
KEEP_RUNS: Final = 10_000
"""Finished runs remembered in memory; the journal on disk remembers every id."""
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""It names a file and is a word of the journal."""
_ABANDONED_S: Final = 60.0
"""A generator nobody reads any more is ended after this."""
_POLL_S: Final = 0.02
_BATCH: Final = 512
"""Items handed out together at most."""
_CLEAN_S: Final = 600.0
_KEEP_SPOOLS_S: Final = 7 * 86400.0
"""Desks fetch lines while a run lasts, or when they come back; after a week nobody will."""
_FETCH_S: Final = 86400.0
"""A result nobody fetched keeps an env servlet of older code for a day."""
_KEEP_ITEMS: Final = 256
"""Items of a generator kept behind its reader."""
_CHUNK_S: Final = 0.02
"""What a packet of map items should take: small items travel together, big ones alone."""


class Run:
    """One run, from the request that started it to the last follower."""

    def __init__(self, called: Called, spool: Path) -> None:
        self.called = called
        self.run_id = called.run_id
        self.status = "running"
        self.started_at = time.time()
        self.ended_at = 0.0
        self.since = _ticks_now()
        self.failed: Failed | None = None
        self.result: memoryview | None = None
        self.items: dict[int, memoryview] = {}
        self.next_item = 0
        self.is_generator = False
        self.counted_bytes = 0
        """What it held in memory when it ended."""
        self.spool = spool
        self.raw_spool = SpoolWriter(spool)
        self.has_lines = False
        self.workers: set[Worker] = set()
        self.why_cancelled = ""
        self.timer: asyncio.TimerHandle | None = None
        self.readers = 0
        self.was_taken = False
        """Somebody has heard how it ended."""
        self.left_at = time.monotonic()
        self._waiters: list[asyncio.Future[None]] = []

    def held_bytes(self) -> int:
        """What its result and items hold in memory."""
        result = 0 if self.result is None else self.result.nbytes
        return result + sum(item.nbytes for item in self.items.values())

    @property
    def is_finished(self) -> bool:
        return self.status != "running"

    def has_ended(self) -> bool:
        """The same, for a checker that would take the property not to change over an await."""
        return self.is_finished

    def wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def change(self, timeout_s: float) -> None:
        """Wait until something happened, or *timeout_s*."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await asyncio.wait((waiter,), timeout=timeout_s)

    def take_raw(self, *, last: bool = False) -> None:
        """Move what C code and subprocesses printed into the spool."""
        for worker in self.workers:
            if worker.raw is not None and (last or next(iter(worker.jobs), "") == self.run_id):
                try:
                    worker.raw.take(self.raw_spool, last=last)
                except OSError as exc:  # a full disk ends no run; the lines wait for room
                    _log.warning("the output of run %s cannot be kept: %s", self.run_id, exc)
        if self.raw_spool.lines:
            self.has_lines = True

    def seen(self) -> RunSeen:
        return RunSeen(
            run_id=self.run_id,
            status=self.status,
            started_at=self.started_at,
            ended_at=self.ended_at,
            items=self.next_item,
            failed=self.failed,
        )

    def end(self) -> RunEnd:
        return RunEnd(
            run_id=self.run_id,
            status=self.status,
            started_at=self.started_at,
            ended_at=self.ended_at,
            failed=self.failed,
        )


class Runs:
    """Every run of the env servlet.

    Args:
        folder: The env servlet's folder; the journal and the spools are in it.
    """

    def __init__(self, folder: Path, pool: Pool) -> None:
        self._pool = pool
        self._spools = folder / "spools"
        self._spools.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._active: set[Run] = set()
        self._result_bytes = 0
        self._earlier = _read_journal(folder / "runs.journal")
        self._journal = os.open(
            folder / "runs.journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )

    def start(self, called: Called, entry: Entry, body: Body) -> Run:
        """Start a run; a run with this id that was started before is returned as it stands.

        Raises:
            BadInput: The id is not a plain word.
            RunLost: It was started by an env servlet that has since died.
        """
        if _RUN_ID.fullmatch(called.run_id) is None:
            raise BadInput(
                f"{called.run_id[:80]!r} cannot be the id of a run; "
                "letters, digits, - and _ can, 100 at most"
            )
        if (known := self._runs.get(called.run_id)) is not None:
            return known
        if (earlier := self._earlier.get(called.run_id)) is not None:
            raise RunLost(_lost(earlier), run_id=called.run_id)
        run = Run(called, self._spools / called.run_id)
        os.write(self._journal, b"S %s\n" % called.run_id.encode())
        self._runs[called.run_id] = run
        self._active.add(run)
        if called.timeout_s > 0:
            loop = asyncio.get_running_loop()
            run.timer = loop.call_later(called.timeout_s, self._time_out, run)
        if called.items:
            _Map(self, run, entry, body.view).begin()
        else:
            call = _call(called, entry, (), (body.view.nbytes,))
            self._pool.submit(Job(call, (body.view,), _Single(self, run), body))
        return run

    def get(self, run_id: str) -> Run:
        """The run.

        Raises:
            NotFound: This env servlet does not have it; `seen` may know more.
        """
        try:
            return self._runs[run_id]
        except KeyError:
            raise NotFound(run_id, kind="run") from None

    def is_any_running(self) -> bool:
        return bool(self._active)

    def why_needed(self) -> str:
        """What would be lost with this memory; empty when nothing."""
        if self._active:
            return f"{len(self._active)} runs have not ended"
        if any(run.readers for run in self._runs.values()):
            return "somebody reads a run"
        latest = time.time() - _FETCH_S
        waiting = sum(not r.was_taken and r.ended_at > latest for r in self._runs.values())
        return f"{waiting} results were not fetched" if waiting else ""

    def seen(self, run_id: str) -> RunSeen:
        """What is known of a run, also of one an earlier env servlet had."""
        if (run := self._runs.get(run_id)) is not None:
            return run.seen()
        status = self._earlier.get(run_id)
        if status is None:
            return RunSeen(run_id=run_id, status="unknown")
        if status == "S":
            status = "lost"
        failed = Failed(kind=RunLost.code, message=_lost(status)) if status == "lost" else None
        return RunSeen(run_id=run_id, status=status, failed=failed)

    async def follow(
        self, run_id: str, *, after: int = -1, item: int = -1, lines: bool = True
    ) -> AsyncGenerator[list[Frame]]:
        """Frames from line *after* + 1 and item *item* + 1 on, as they come, until the run ended.

        Raises:
            NotFound: Nothing at all is known of the run.
        """
        run = self._runs.get(run_id)
        if run is None:
            yield list(self._follow_earlier(run_id, after))
            return
        reader = _LinesAfter(run.spool, after)
        run.readers += 1
        try:
            while True:
                finished = run.is_finished
                if lines and (run.has_lines or not finished):
                    while found := reader.read():
                        yield [found]
                while item + 1 in run.items:
                    ready = list(takewhile(run.items.__contains__, range(item + 1, item + _BATCH)))
                    yield [_item(number, run.items[number]) for number in ready]
                    item = ready[-1]
                    self._taken(run, ready)
                if finished:
                    break
                await run.change(_POLL_S)
            yield [self._last(run)]
            run.was_taken = True
        finally:
            reader.close()
            run.readers -= 1
            run.left_at = time.monotonic()

    def answer_at_once(self, run: Run) -> Frame | None:
        """The frame that ends *run*, if that is all there is to say of it."""
        if run.is_finished and not run.has_lines and not run.next_item:
            run.was_taken = True
            return self._last(run)
        return None

    async def cancel(self, run_id: str, *, force: bool = False, why: str = "") -> RunSeen:
        """Stop a run, whatever it is doing; its processes are gone when this returns.

        A run that has ended already stays as it ended.
        """
        run = self.get(run_id)
        if run.is_finished:
            return run.seen()
        run.why_cancelled = why or RunCancelled.code
        if self._pool.withdraw(run_id) and not run.workers:
            self.finish(run, "cancelled", Failed(kind=RunCancelled.code, message="cancelled"))
            return run.seen()
        workers = [worker for worker in run.workers if run_id in worker.jobs]
        if not force:
            for worker in workers:
                self._pool.interrupt(worker, run_id)
            give_up = time.monotonic() + GRACE_S
            while not run.has_ended() and time.monotonic() < give_up:
                await run.change(0.05)
        for worker in workers:
            if run.has_ended():
                self._pool.end_family(worker, run.since)
            else:
                self._pool.kill(worker, "it was cancelled and did not stop by itself")
        while not run.has_ended():
            await run.change(0.05)
        return run.seen()

    async def tend(self) -> None:
        """Move raw output while runs last; end generators nobody reads; remove old spools."""
        cleaned_at = 0.0
        while True:
            await asyncio.sleep(_POLL_S)
            if time.monotonic() - cleaned_at > _CLEAN_S:
                cleaned_at = time.monotonic()
                await asyncio.to_thread(_remove_old, self._spools, time.time() - _KEEP_SPOOLS_S)
            for run in list(self._active):
                run.take_raw()
                idle_s = time.monotonic() - run.left_at
                if run.is_generator and not run.readers and idle_s > _ABANDONED_S:
                    await self.cancel(run.run_id, why="nobody read what it yielded")

    # ---- for the listeners below

    def finish(
        self, run: Run, status: str, failed: Failed | None, result: memoryview | None = None
    ) -> None:
        if run.is_finished:
            return
        run.take_raw(last=True)
        run.raw_spool.close()
        if failed is not None and run.why_cancelled and failed.kind == RunCancelled.code:
            status, failed = _cancelled(run)
        run.status, run.failed, run.result = status, failed, result
        run.ended_at = time.time()
        if run.timer is not None:
            run.timer.cancel()
        try:
            os.write(self._journal, b"E %s %s\n" % (run.run_id.encode(), status.encode()))
        except OSError as exc:  # a later env servlet will call it lost
            _log.warning("the end of run %s cannot be written down: %s", run.run_id, exc)
        self._active.discard(run)
        run.counted_bytes = run.held_bytes()
        self._result_bytes += run.counted_bytes
        self._forget_oldest()
        run.wake()

    @property
    def pool(self) -> Pool:
        return self._pool

    def _last(self, run: Run) -> Frame:
        if run.failed is None and run.status == "succeeded":
            if run.result is None:
                failed = Failed(kind=RunLost.code, message="its result is no longer kept here")
                return Frame(
                    Kind.ERROR, pack(RunEnd(run_id=run.run_id, status="lost", failed=failed))
                )
            return Frame(Kind.END, run.result)
        return Frame(Kind.ERROR, pack(run.end()))

    def _taken(self, run: Run, items: Sequence[int]) -> None:
        """Items of a generator were handed out: let it go on, keep the last few for a resume."""
        if not run.is_generator:
            return
        for item in items:
            for worker in run.workers:
                if run.run_id in worker.jobs:
                    self._pool.more(worker, run.run_id)
            run.items.pop(item - _KEEP_ITEMS, None)

    def _follow_earlier(self, run_id: str, after: int) -> Iterator[Frame]:
        seen = self.seen(run_id)
        if seen.status == "unknown":
            raise NotFound(run_id, kind="run")
        reader = _LinesAfter(self._spools / run_id, after)
        while found := reader.read():
            yield found
        reader.close()
        failed = seen.failed or Failed(
            kind=RunLost.code,
            message=f"it {seen.status}, but its result went with its env servlet",
        )
        end = RunEnd(run_id=run_id, status=seen.status, failed=failed)
        yield Frame(Kind.ERROR, pack(end))

    def _time_out(self, run: Run) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(self.cancel(run.run_id, why=RunTimedOut.code))
        task.add_done_callback(lambda done: done.exception())

    def _forget_oldest(self) -> None:
        for run_id in list(self._runs):
            too_many = len(self._runs) > KEEP_RUNS or self._result_bytes > KEEP_RESULT_BYTES
            if not too_many:
                return
            run = self._runs[run_id]
            if not run.is_finished or run.readers:
                continue
            self._result_bytes -= run.counted_bytes
            self._earlier[run_id] = run.status
            del self._runs[run_id]


class _Single:
    """Hears of a plain call."""

    def __init__(self, runs: Runs, run: Run) -> None:
        self._runs = runs
        self._run = run

    def started(self, worker: Worker) -> None:
        self._run.workers.add(worker)

    def heard(self, message: Ended | Yielded, body: memoryview) -> None:
        run = self._run
        if isinstance(message, Yielded):
            run.is_generator = True
            run.items[message.number] = body
            run.next_item = message.number + 1
            run.wake()
            return
        if message.lines:
            run.has_lines = True
        if message.ok:
            self._runs.finish(run, "succeeded", None, body)
        else:
            self._runs.finish(run, "failed", unpack(body, Failed))

    def died(self, why: str) -> None:
        _end_of_a_dead_run(self._runs, self._run, why)


class _Map:
    """Hears of the items of a map, and hands out the next ones: few or many to a packet."""

    def __init__(self, runs: Runs, run: Run, entry: Entry, body: memoryview) -> None:
        count = run.called.items
        lengths = struct.unpack_from(f"<{count}I", body)
        self._runs = runs
        self._run = run
        self._entry = entry
        self._interpreter = runs.pool.interpreter
        self._todo = deque(_cut(lengths, body[4 * count :]))
        self._left = len(lengths)
        # The methods of one instance take turns; functions spread over every core.
        self._lanes = 1 if entry.kind == "module" else max(2, os.cpu_count() or 1)
        self._chunk = 1
        self._sent_at: dict[int, float] = {}

    def begin(self) -> None:
        for _ in range(min(self._lanes, len(self._todo))):
            self._next()

    def started(self, worker: Worker) -> None:
        self._run.workers.add(worker)

    def heard(self, message: Ended | Yielded, body: memoryview) -> None:
        run = self._run
        if run.is_finished or isinstance(message, Yielded):
            return
        if message.lines:
            run.has_lines = True
        if not message.ok:
            self._todo.clear()
            self._runs.finish(run, "failed", unpack(body, Failed))
            return
        run.items[message.item] = body
        self._left -= 1
        while run.next_item in run.items:
            run.next_item += 1
        self._learn(message.item)
        if self._left == 0:
            count = Payload.of_result(run.next_item).to_bytes()
            self._runs.finish(run, "succeeded", None, memoryview(count))
            return
        if message.last:
            self._next()
        run.wake()

    def died(self, why: str) -> None:
        self._todo.clear()
        _end_of_a_dead_run(self._runs, self._run, why)

    def _next(self) -> None:
        if self._run.is_finished or not self._todo:
            return
        share = max(1, len(self._todo) // (2 * self._lanes))
        taken = [self._todo.popleft() for _ in range(min(self._chunk, share, len(self._todo)))]
        numbers = tuple(number for number, _ in taken)
        lengths = tuple(piece.nbytes for _, piece in taken)
        call = _call(self._run.called, self._entry, numbers, lengths)
        now = time.monotonic()
        self._sent_at |= dict.fromkeys(call.items, now)
        pieces = [piece for _, piece in taken]
        self._runs.pool.submit(Job(call, pieces, self, interpreter=self._interpreter))

    def _learn(self, item: int) -> None:
        took = time.monotonic() - self._sent_at.pop(item, time.monotonic())
        if took < _CHUNK_S / 2:
            self._chunk = min(256, self._chunk * 2)
        elif took > _CHUNK_S * 2:
            self._chunk = max(1, self._chunk // 2)


class _LinesAfter:
    """Reads a spool as LINES frames, from the line after the last one seen."""

    def __init__(self, file: Path, after: int) -> None:
        self._reader = SpoolReader(file)
        self._next = after + 1

    def read(self) -> Frame | None:
        """What is there, as one frame; None when there is nothing new."""
        while True:
            first = self._reader.next_seq
            lines = self._reader.read()
            if not lines:
                return None
            if (skip := self._next - first) < len(lines):
                lines = lines[max(0, skip) :]
                first = max(first, self._next)
                self._next = first + len(lines)
                return Frame(Kind.LINES, pack(Lines(first, tuple(lines))))

    def close(self) -> None:
        self._reader.close()


def _call(
    called: Called, entry: Entry, numbers: tuple[int, ...], lengths: tuple[int, ...]
) -> Call:
    return Call(
        called.run_id,
        numbers,
        lengths,
        entry,
        called.method,
        called.instance,
        called.keep,
        called.as_json,
    )


def _end_of_a_dead_run(runs: Runs, run: Run, why: str) -> None:
    run.has_lines = run.has_lines or run.spool.exists()  # the worker could not say so any more
    if run.why_cancelled:
        failed = Failed(kind=RunCancelled.code, message="cancelled")
        runs.finish(run, "cancelled", failed)
    else:
        message = f"{run.called.run_id}: {why}; whether the function finished is unknown"
        runs.finish(run, "lost", Failed(kind=RunLost.code, message=message))


def _cancelled(run: Run) -> tuple[str, Failed]:
    if run.why_cancelled == RunTimedOut.code:
        message = f"it ran longer than its time-out of {run.called.timeout_s:g} s"
        return "failed", Failed(kind=RunTimedOut.code, message=message)
    message = "the run was cancelled"
    if run.why_cancelled != RunCancelled.code:
        message += f": {run.why_cancelled}"
    return "cancelled", Failed(kind=RunCancelled.code, message=message)


def _lost(status: str) -> str:
    if status in {"S", "lost"}:
        return (
            "the env servlet died while the function ran; whether it finished is unknown, "
            "and it is not called again by itself"
        )
    return f"the run {status} earlier, but its result is no longer kept"


def _item(number: int, body: memoryview) -> Frame:
    return Frame(Kind.ITEM, number.to_bytes(4, "little") + bytes(body))


def _cut(lengths: Sequence[int], body: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    for number, length in enumerate(lengths):
        yield number, body[at : at + length]
        at += length


def _read_journal(file: Path) -> dict[str, str]:
    """What earlier env servlets wrote: run id to ``S`` (started) or how it ended."""
    try:
        lines = file.read_text("ascii").splitlines()
    except FileNotFoundError:
        return {}
    found: dict[str, str] = {}
    for line in lines[-200_000:]:
        match line.split(" "):
            case ["S", run_id]:
                found[run_id] = "S"
            case ["E", run_id, status]:
                found[run_id] = status
            case _:
                continue
    return found


def _remove_old(folder: Path, before: float) -> None:
    for file in folder.iterdir():
        if file.stat().st_mtime < before:
            file.unlink(missing_ok=True)


def _ticks_now() -> int:
    """Now, in the clock ticks of process start times."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
