"""A map over several nodes: one run, whose shares are runs of their own on the nodes.

A share is sent, followed and recorded as every run is, so it is never run twice, loses no line,
and is waited for while its node cannot be reached. What is new here is who gets which items, and
what becomes of them when a node is gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from rhdesk import processes
from rhdesk.errors import (
    ConnectionFailed,
    ItemsLost,
    NotFound,
    RhdeskError,
    RunLost,
    Unreachable,
)
from rhdesk.models import LogLine, Run, RunStatus
from rhdesk.runs import shares
from rhdesk.runs.making import new_run_id
from rhdesk.runs.service import SPREAD, Runs
from rhdesk.runs.shares import Deal
from rhdesk.wire.frames import Frame, Kind
from rhdesk.wire.messages import Called, Failed, RunEnd, pack, unpack
from rhdesk.wire.payload import Payload, map_pieces

_AGAIN_S: Final = 0.5
_CANCEL_S: Final = 5.0
_LANES: Final = 2
"""Shares a node has at a time: it need not wait for the next one to travel."""
_AHEAD: Final = 256
"""Events that wait for whoever reads them, at most."""


class Told(NamedTuple):
    """Lines of a share."""

    node: str
    lines: list[LogLine]


class Came(NamedTuple):
    """The result of an item, encoded."""

    item: int
    body: memoryview


class Over(NamedTuple):
    """How the map ended; the last event."""

    run: Run
    raised: RunEnd | None
    """What the function raised, as its node told it."""
    lost: dict[int, str]


Event = Told | Came | Over


class MapBody:
    """The items of a share, as they travel."""

    def __init__(self, payloads: Sequence[Payload]) -> None:
        self._payloads = payloads

    def to_bytes(self) -> bytes:
        return b"".join(map_pieces(self._payloads))


def spread_over(run: Run, count: int) -> Run:
    """The run of a map that this process hands out."""
    me = processes.this()
    by = {"items": count, "pid": me.pid, "started": me.started}
    return msgspec.structs.replace(run, origin=run.origin | {SPREAD: by})


class Spread:
    """One map.

    Args:
        cores: Of each node that takes part.
        prepare: Has a node know the function; asked once, and again when a node forgot it.
    """

    def __init__(
        self,
        runs: Runs,
        run: Run,
        called: Called,
        payloads: Sequence[Payload],
        cores: Mapping[str, int],
        *,
        idempotent: bool,
        prepare: Callable[[str], Awaitable[object]],
        why_gone: Callable[[str], Awaitable[str]],
        reads: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._runs = runs
        self._run = run
        self._called = called
        self._payloads = payloads
        self._nodes = tuple(cores)
        self._deal = Deal(len(payloads), cores, idempotent=idempotent)
        self._prepare = prepare
        self._why_gone = why_gone
        self._reads = reads
        self._events: asyncio.Queue[Event | None] = asyncio.Queue(_AHEAD)
        self._changed = asyncio.Condition()
        self._shares: dict[str, Run] = {}
        """Those that have not ended."""
        self._stopped: RunEnd | None = None
        """A share that raised, or was cancelled, ends the map."""
        self._began = time.monotonic()

    async def events(self) -> AsyncGenerator[Event]:
        """What happens, as it happens; the last event is `Over`."""
        work = asyncio.get_running_loop().create_task(self._work())
        try:
            while (event := await self._events.get()) is not None:
                yield event
            yield await work
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

    async def _work(self) -> Over:
        try:
            over = await self._hand_out()
        except Exception:
            await self._events.put(None)
            raise
        await self._events.put(None)
        return over

    async def _hand_out(self) -> Over:
        await self._runs.begun(self._run, reads=self._reads)
        async with asyncio.TaskGroup() as group:
            lanes = [
                group.create_task(self._serve(node)) for node in self._nodes for _ in range(_LANES)
            ]
            async with self._changed:
                await self._changed.wait_for(self._is_over)
            for lane in lanes:
                lane.cancel()
        await self._end_the_rest()
        return self._over()

    def _is_over(self) -> bool:
        return self._stopped is not None or (self._deal.is_settled and not self._shares)

    async def _serve(self, node: str) -> None:
        """Give a node one share after the other."""
        while await self._is_ready(node) and (share := await self._next(node)):
            await self._share(node, share)

    async def _is_ready(self, node: str) -> bool:
        """Have a node know the function; nothing is handed to one that cannot be reached."""
        while not self._is_over():
            try:
                await self._prepare(node)
            except Unreachable:
                if gone := await self._why_gone(node):
                    await self._leaves(node, gone)
                    return False
                await asyncio.sleep(_AGAIN_S)
            except RhdeskError as exc:
                await self._leaves(node, f"{node}: {exc}")
                return False
            else:
                return True
        return False

    async def _next(self, node: str) -> list[int]:
        async with self._changed:
            while not self._is_over() and self._deal.has(node):
                if share := self._deal.take(node):
                    return share
                await self._changed.wait()
        return []

    async def _share(self, node: str, items: list[int]) -> None:
        run = self._new_share(node, items)
        self._shares[run.run_id] = run
        try:
            await self._send(run, items)
            async with aclosing(self._runs.frames(run)) as frames:
                async for frame in frames:
                    await self._heard(run, items, frame)
        except RunLost as exc:
            self._runs.record_lost(run, str(exc))
            await self._leaves(node, str(exc))
            await self._unknown(items, str(exc))
        except NotFound as exc:
            why = f"{node} has been started anew and never heard of it"
            self._runs.record_lost(run, why if exc.kind == "run" else str(exc))
            await self._unknown(items, why if exc.kind == "run" else str(exc))
        except RhdeskError as exc:
            self._runs.record_lost(run, str(exc), heard=not isinstance(exc, ConnectionFailed))
            await self._leaves(node, f"{node}: {exc}")
            await self._unknown(items, f"{node}: {exc}")
        self._shares.pop(run.run_id, None)
        await self._tell()

    async def _send(self, run: Run, items: list[int]) -> None:
        timeout_s = self._called.timeout_s
        if timeout_s:  # of the map, so of a share what is left of it
            timeout_s = max(0.001, timeout_s - (time.monotonic() - self._began))
        called = msgspec.structs.replace(
            self._called,
            run_id=run.run_id,
            items=len(items),
            timeout_s=timeout_s,
            detach=True,
        )
        body = MapBody([self._payloads[item] for item in items])
        for last_try in (False, True):
            try:
                await self._runs.submit(run, called, body)
                return
            except NotFound as exc:
                if last_try or exc.kind != "definition":
                    raise
                await self._prepare(run.node)

    async def _heard(self, run: Run, items: list[int], frame: Frame) -> None:
        if frame.kind is Kind.LINES:
            await self._events.put(Told(run.node, await self._runs.keep_lines(run, frame)))
        elif frame.kind is Kind.ITEM:
            item = items[int.from_bytes(frame.body[:4], "little")]
            self._deal.finished(item)
            await self._events.put(Came(item, memoryview(frame.body)[4:]))
        else:
            ended = self._runs.record_end(run, frame)
            if ended.status is RunStatus.LOST:
                why = ended.failure.message if ended.failure else ""
                await self._unknown(items, f"{run.node}: {why}")
            elif ended.status is not RunStatus.SUCCEEDED:
                self._shares.pop(run.run_id)
                self._stopped = self._stopped or unpack(frame.body, RunEnd)
        await self._tell()

    async def _unknown(self, items: list[int], why: str) -> None:
        self._deal.unknown(items, why)
        await self._tell()

    async def _leaves(self, node: str, why: str) -> None:
        self._deal.leaves(node, why)
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _new_share(self, node: str, items: list[int]) -> Run:
        return msgspec.structs.replace(
            self._run,
            run_id=new_run_id(),
            node=node,
            share_of=self._run.run_id,
            submitted_at=datetime.now(UTC),
            inputs="",
            inputs_text=f"items {shares.spell(items)}",
            origin={"items": shares.spell(items)},
        )

    async def _end_the_rest(self) -> None:
        """Cancel what still runs; a node that does not answer is asked by nobody any more."""

        async def end(run: Run) -> None:
            with suppress(RhdeskError, TimeoutError):
                async with asyncio.timeout(_CANCEL_S):
                    await self._runs.cancel(run.run_id, force=False)

        await asyncio.gather(*(end(run) for run in list(self._shares.values())))

    def _over(self) -> Over:
        """Write down how the map ended."""
        run, lost = self._run, self._deal.lost
        if self._stopped is not None:
            end = msgspec.structs.replace(self._stopped, run_id=run.run_id)
            ended = self._runs.record_end(run, Frame(Kind.ERROR, pack(end)))
            return Over(ended, end, {})
        if lost:
            why = shares.describe(lost, of=len(self._payloads))
            end = RunEnd(
                run_id=run.run_id,
                status="lost",
                failed=Failed(kind=ItemsLost.code, message=why),
            )
            return Over(self._runs.record_end(run, Frame(Kind.ERROR, pack(end))), None, lost)
        count = Payload.of_result(len(self._payloads)).to_bytes()
        return Over(self._runs.record_end(run, Frame(Kind.END, memoryview(count))), None, {})
