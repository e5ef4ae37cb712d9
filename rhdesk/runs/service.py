"""Submit, follow, record: what every front end does with a run.

Write, then send: a run is in the record before its request leaves, so one that was sent and never
answered is there as SUBMITTED. Every line has a number, so a stream that broke resumes behind the
last line stored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from rhdesk import processes
from rhdesk.errors import (
    ConnectionFailed,
    ItemsLost,
    NotFound,
    RhdeskError,
    RunCancelled,
    RunLost,
    ServletDied,
    Unreachable,
)
from rhdesk.foreign import clean, clean_block
from rhdesk.models import Away, Failure, LogLine, Run, RunStatus
from rhdesk.ports import Body, ClusterLines, RunLine
from rhdesk.runs import shares
from rhdesk.runs.book import UNHEARD, RunBook
from rhdesk.runs.recorder import Recorder
from rhdesk.runs.results import Results
from rhdesk.wire.frames import Frame, Kind, Lines
from rhdesk.wire.messages import Called, Failed, RunEnd, RunSeen, pack, unpack
from rhdesk.wire.payload import Payload

_TRIES: Final = 8
_MOST_SHARES: Final = 100_000
_CANCEL_S: Final = 5.0
"""How long a cluster that is taken down has to stop one run."""
_AGAIN_S: Final = 0.2
"""Between two looks whether a host can be reached again."""
_GONE_S: Final = 2.0
"""Between two questions to the head whether it still knows a node that cannot be reached."""
_UNKNOWN: Final = (
    "the cluster does not know it: it never arrived there, or the cluster was started anew since"
)
_LOOK_S: Final = 0.1
"""Between two looks into the record for lines of a map."""
SPREAD: Final = "spread"
"""Member of the origin of a map over several nodes: how many items, and who hands them out."""
_STREAMS: Final = {1: "stdout", 2: "stderr"}


class Runs:
    def __init__(self, recorder: Recorder, results: Results, clusters: ClusterLines) -> None:
        self._recorder = recorder
        self._results = results
        self._clusters = clusters
        self._away: dict[str, Away] = {}
        self._watchers: list[Callable[[Run, Away | None], None]] = []

    def away(self, run_id: str) -> Away | None:
        """Since when, and why, somebody here waits for a run's host; None while it answers."""
        return self._away.get(run_id)

    def on_away(self, tell: Callable[[Run, Away | None], None]) -> Callable[[], None]:
        """Have *tell* called when a run's host cannot be reached, and with None when it can again.

        Returns:
            What ends that.
        """
        self._watchers.append(tell)
        return partial(self._watchers.remove, tell)

    async def submit(
        self,
        run: Run,
        called: Called,
        payload: Body,
        *,
        reads: tuple[tuple[str, str], ...] = (),
    ) -> Run:
        """Record a run, then send it; returns once the cluster has accepted it.

        Where the network breaks before the answer is here, it is asked again when it is back, as
        often as it takes: the run's id keeps it from running twice.

        Args:
            reads: Names and versions that it reads by being called.

        Raises:
            NotFound: The cluster does not know the definition (`kind` says so); send it, and
                submit again: nothing ran.
            ConnectionFailed: The cluster did not answer. The run stays SUBMITTED in the record.
            RunLost: Its node is gone, and nobody can know whether it ran.
        """
        await asyncio.to_thread(self._recorder.submitted, run, reads)
        tries = 0
        async with self._watched(run) as watch:
            while True:
                try:
                    client = await self._clusters.client(run.cluster, run.node)
                    seen = await client.submit(run.env, called, payload)
                    break
                except Unreachable as exc:
                    await watch.wait(exc)
                except ServletDied:
                    tries += 1
                    if tries > 1:
                        raise
                    await self._revived(run, watch)
        self._recorder.started(run.run_id, _time(seen.started_at))
        return msgspec.structs.replace(
            run, status=RunStatus.RUNNING, started_at=_time(seen.started_at)
        )

    async def begun(self, run: Run, *, reads: tuple[tuple[str, str], ...] = ()) -> None:
        """Write down a run that this process hands out itself."""
        await asyncio.to_thread(self._recorder.submitted, run, reads)
        self._recorder.started(run.run_id, datetime.now(UTC))

    def refused(self, run: Run, error: RhdeskError) -> None:
        """Record that a run never came to be."""
        failure = Failure(kind=error.code, message=str(error))
        self._recorder.ended(_ended(run, RunStatus.FAILED, failure=failure))

    async def follow(self, run_id: str, *, after: int | None = None) -> AsyncGenerator[LogLine]:
        """Yield the run's lines as they come, each of them stored first; ends when the run has.

        Args:
            after: Number of the last line already seen; None starts behind the last one stored.

        Raises:
            ConnectionFailed: The cluster is gone; what it had said until then is in the record.
        """
        run = await self._recorder.read(lambda book: book.run(run_id))
        stored = await self._recorder.read(lambda book: book.last_seq(run.run_id))
        seq = stored if after is None else after
        while seq < stored:
            stop = min(stored, seq + 1000) + 1
            page = partial(_page, run_id=run.run_id, start=seq + 1, stop=stop)
            for line in await self._recorder.read(page):
                yield line
                seq = line.seq
        if run.status.is_finished and run.status is not RunStatus.LOST:
            return
        if SPREAD in run.origin:
            async with aclosing(self._follow_spread(run, seq)) as lines_of_all:
                async for line in lines_of_all:
                    yield line
            return
        async with aclosing(self.frames(run, after=seq)) as frames:
            async for frame in frames:
                if frame.kind is Kind.LINES:
                    for line in await self.keep_lines(run, frame):
                        yield line
                else:
                    self.record_end(run, frame)
        await asyncio.to_thread(self._recorder.flush)

    async def frames(self, run: Run, *, after: int = -1, item: int = -1) -> AsyncGenerator[Frame]:
        """The run's frames to the last one, over as many connections as it takes.

        An env servlet that died is started again: it still has the lines, and knows that the run
        was lost with it. A host that cannot be reached is waited for, however long it takes: the
        run goes on there.

        Raises:
            ConnectionFailed: The cluster is gone; nothing more will come.
            NotFound: It never heard of the run.
            RunLost: The run's node is gone.
        """
        tries = 0
        why = ""
        async with self._watched(run) as watch:
            while True:
                try:
                    client = await self._clusters.client(run.cluster, run.node)
                    await watch.is_back(client)
                    async with aclosing(
                        client.follow(run.env, run.run_id, after=after, item=item)
                    ) as frames:
                        async for frame in frames:
                            tries = 0
                            if frame.kind is Kind.LINES:
                                got = unpack(frame.body, Lines)
                                after = got.first + len(got.lines) - 1
                            elif frame.kind is Kind.ITEM:
                                item = int.from_bytes(frame.body[:4], "little")
                            elif frame.kind is Kind.ERROR and why:
                                yield _with_reason(frame, why)
                                return
                            yield frame
                            if frame.kind in {Kind.END, Kind.ERROR}:
                                return
                except Unreachable as exc:
                    await watch.wait(exc)
                except ServletDied as exc:
                    tries += 1
                    if tries > _TRIES:
                        raise
                    await asyncio.sleep(0.1)
                    why = await self._revived(run, watch) or str(exc)

    @asynccontextmanager
    async def _watched(self, run: Run) -> AsyncGenerator[_Watch]:
        watch = _Watch(run, self._clusters, self._set_away)
        try:
            yield watch
        finally:
            watch.end()

    def _set_away(self, run: Run, away: Away | None) -> None:
        if away is None:
            self._away.pop(run.run_id, None)
        else:
            self._away[run.run_id] = away
        for tell in list(self._watchers):
            tell(run, away)

    async def _revived(self, run: Run, watch: _Watch) -> str:
        try:
            return await self._clusters.revive_env(run.cluster, run.env, run.node)
        except Unreachable as exc:
            await watch.wait(exc)
            return ""

    async def keep_lines(self, run: Run, frame: Frame) -> list[LogLine]:
        """Store the lines of a frame; returns them once they are on the disk."""
        lines = lines_of(run.run_id, frame)
        await asyncio.wrap_future(self._recorder.lines(lines))
        return lines

    async def shares(self, run_id: str) -> list[Run]:
        """The shares of a map over several nodes, oldest first."""
        found = await self._recorder.read(
            lambda book: book.runs(share_of=run_id, limit=_MOST_SHARES)
        )
        return found[::-1]

    async def _follow_spread(self, run: Run, after: int) -> AsyncGenerator[LogLine]:
        """The lines of a map, as those of its shares come in; whoever follows those brings them.

        A map nobody hands out any more ends with its last share.
        """
        bringing: asyncio.Task[Run] | None = None
        try:
            while True:
                run = await self._recorder.read(partial(_run_of, run_id=run.run_id))
                page = partial(_page, run_id=run.run_id, start=after + 1, stop=after + 1001)
                lines = await self._recorder.read(page)
                for line in lines:
                    yield line
                    after = line.seq
                if lines:
                    continue
                if run.status.is_finished:
                    return
                if bringing is None and not _is_handed_out(run):
                    bringing = asyncio.get_running_loop().create_task(self._bring_home(run))
                elif bringing is not None and bringing.done():
                    bringing.result()
                await asyncio.sleep(_LOOK_S)
        finally:
            if bringing is not None:
                bringing.cancel()

    async def _bring_home(self, run: Run) -> Run:
        """End a map whose program is gone: wait for its shares, and say what became of the items."""
        for share in await self.shares(run.run_id):
            if not share.status.is_finished:
                try:
                    await self.wait(share.run_id)
                except (NotFound, RunLost) as exc:
                    self.record_lost(share, str(exc))
        done: set[int] = set()
        lost: dict[int, str] = {}
        for share in await self.shares(run.run_id):
            items = shares.read(str(share.origin.get("items", "")))
            if share.status is RunStatus.SUCCEEDED:
                done |= items
            else:
                why = share.failure.message if share.failure else share.status.value
                lost |= dict.fromkeys(items, f"{share.node}: {why}")
        count = int(run.origin[SPREAD]["items"])
        lost = {item: why for item, why in lost.items() if item not in done}
        left = set(range(count)) - done - set(lost)
        lost |= dict.fromkeys(left, "never handed out: the program that called ended before")
        if lost:
            why = shares.describe(lost, of=count)
            failed = Failed(kind=ItemsLost.code, message=why)
            end = RunEnd(run_id=run.run_id, status="lost", failed=failed)
            return self.record_end(run, Frame(Kind.ERROR, pack(end)))
        return self.record_end(
            run, Frame(Kind.END, memoryview(Payload.of_result(count).to_bytes()))
        )

    def record_end(self, run: Run, frame: Frame) -> Run:
        """Write down how a run ended, from its last frame; other frames change nothing."""
        if frame.kind is Kind.END:
            digest, text = self._results.keep(frame.body)
            run = _ended(run, RunStatus.SUCCEEDED, result=digest, result_text=text)
        elif frame.kind is Kind.ERROR:
            end = unpack(frame.body, RunEnd)
            run = _ended(run, RunStatus(end.status), failure=failure_of(end.failed))
        else:
            return run
        self._recorder.ended(run)
        return run

    def record_lost(self, run: Run, why: str, *, heard: bool = True) -> Run:
        """Write down that nobody can know how a run ended.

        Args:
            heard: Whether the cluster said so. If not, it is asked again when it is back: it has
                the lines that were printed, and may know more.
        """
        kind = RunLost.code if heard else UNHEARD
        failure = Failure(kind=kind, message=clean_block(why))
        run = _ended(run, RunStatus.LOST, failure=failure)
        self._recorder.ended(run)
        return run

    async def cancel(self, run_id: str, *, force: bool) -> Run:
        """Stop a run; its processes are gone when this returns, and its lines are stored.

        A run that has ended already stays as it ended.
        """
        run = await self._recorder.read(lambda book: book.run(run_id))
        if run.status.is_finished:
            return run
        if SPREAD in run.origin:
            return await self._cancel_spread(run, force=force)
        client = await self._clusters.client(run.cluster, run.node)
        try:
            await client.cancel(run.env, run.run_id, force=force)
        except NotFound:
            seen = await client.run_seen(run.env, run.run_id)
            if seen.status == "unknown":
                return self.record_lost(run, "the cluster never heard of the run")
        except ServletDied:
            await self._clusters.revive_env(run.cluster, run.env, run.node)
        return await self.wait(run_id)

    async def _cancel_spread(self, run: Run, *, force: bool) -> Run:
        running = [s for s in await self.shares(run.run_id) if not s.status.is_finished]
        failure = Failure(kind=RunCancelled.code, message="the run was cancelled")
        ended = _ended(run, RunStatus.CANCELLED, failure=failure)
        self._recorder.ended(ended)  # first: whoever hands out its items stops
        await asyncio.gather(*(self.cancel(share.run_id, force=force) for share in running))
        return ended

    async def cancel_all(self, cluster: str) -> list[Run]:
        """Cancel every run of a cluster that has not ended; what does not answer is lost."""
        unfinished = await self._recorder.read(lambda book: book.unfinished())
        ended: list[Run] = []
        for run in [each for each in unfinished if each.cluster == cluster]:
            try:
                async with asyncio.timeout(_CANCEL_S):
                    ended.append(await self.cancel(run.run_id, force=True))
            except (TimeoutError, ConnectionFailed) as exc:
                why = str(exc) or f"it did not stop within {_CANCEL_S:g} s"
                ended.append(self.record_lost(run, f"taken down with its cluster: {why}"))
        return ended

    async def wait(self, run_id: str) -> Run:
        """Wait until a run has ended, storing its lines; returns it as recorded."""
        async with aclosing(self.follow(run_id)) as lines:
            async for _ in lines:
                pass
        await asyncio.to_thread(self._recorder.flush)
        return await self._recorder.read(lambda book: book.run(run_id))

    async def catch_up(self) -> int:
        """Fetch what happened to runs this desk lost sight of; returns how many were brought home.

        Asks each cluster that is up; a run whose cluster is gone for good stays as it is until its
        cluster answers that it never heard of it.
        """
        unfinished = await self._recorder.read(lambda book: book.unfinished())
        by_place: dict[tuple[str, str], list[Run]] = {}
        maps = [run for run in unfinished if SPREAD in run.origin]
        for run in unfinished:
            if SPREAD in run.origin:
                continue
            by_place.setdefault((run.cluster, run.node), []).append(run)
        found = await asyncio.gather(*(self._catch_up(runs) for runs in by_place.values()))
        home = sum(found)
        for run in maps:
            if _is_handed_out(run):
                continue
            if all(share.status.is_finished for share in await self.shares(run.run_id)):
                await self._bring_home(run)
                home += 1
        return home

    async def _catch_up(self, unfinished: Sequence[Run]) -> int:
        """The same for the runs of one place; one that cannot be reached holds up no other."""
        home = 0
        for run in unfinished:
            try:
                client = await self._clusters.client(run.cluster, run.node)
                seen: RunSeen = await client.run_seen(run.env, run.run_id)
                if seen.status == "unknown":
                    self.record_lost(run, _UNKNOWN)
                elif seen.status != "running":
                    await self.wait(run.run_id)
                else:
                    continue
                home += 1
            except Unreachable:
                why = await self._clusters.why_gone(run.cluster, run.node)
                if not why:
                    break
                self.record_lost(run, why)
            except (ConnectionFailed, NotFound):
                continue
        return home


class _Watch:
    """Waits for the host of one run, and says so."""

    def __init__(
        self, run: Run, clusters: ClusterLines, tell: Callable[[Run, Away | None], None]
    ) -> None:
        self._run = run
        self._clusters = clusters
        self._tell = tell
        self._away: Away | None = None
        self._asked_at = 0.0

    async def wait(self, why: Unreachable) -> None:
        """Rest until it is worth trying again.

        Raises:
            RunLost: The head of the cluster says that the node will not come back.
        """
        since = self._away.since if self._away is not None else datetime.now(UTC)
        before, self._away = self._away, Away(since=since, why=clean_block(str(why)))
        if before is None or before.why != self._away.why:
            self._tell(self._run, self._away)
        now = time.monotonic()
        if self._run.node and now - self._asked_at > _GONE_S:
            self._asked_at = now
            if gone := await self._clusters.why_gone(self._run.cluster, self._run.node):
                raise RunLost(
                    f"{gone}; whether the function finished is unknown", run_id=self._run.run_id
                )
        await asyncio.sleep(_AGAIN_S)

    async def is_back(self, client: RunLine) -> None:
        """Ask, where it was away; a quiet run would not tell by itself.

        Raises:
            NotFound: It answers, and never heard of the run.
        """
        if self._away is None:
            return
        seen = await client.run_seen(self._run.env, self._run.run_id)
        self.end()
        if seen.status == "unknown":
            raise NotFound(self._run.run_id, kind="run")

    def end(self) -> None:
        if self._away is not None:
            self._away = None
            self._tell(self._run, None)


def lines_of(run_id: str, frame: Frame) -> list[LogLine]:
    """The log lines of a LINES frame, cleaned: here foreign text comes in."""
    got = unpack(frame.body, Lines)
    return [
        LogLine(run_id, got.first + n, _STREAMS[line.stream], line.at, clean(line.text))  # type: ignore[arg-type]
        for n, line in enumerate(got.lines)
    ]


def _is_handed_out(run: Run) -> bool:
    """Whether the program that hands out a map's items lives."""
    by = run.origin[SPREAD]
    return processes.is_alive(processes.Process(int(by["pid"]), int(by["started"])))


def failure_of(failed: Failed | None) -> Failure:
    if failed is None:
        return Failure(kind=RunLost.code, message="the cluster did not say why")
    return Failure(
        kind=clean(failed.kind),
        message=clean_block(failed.message),
        traceback=clean_block(failed.traceback),
    )


def _run_of(book: RunBook, *, run_id: str) -> Run:
    return book.run(run_id)


def _page(book: RunBook, *, run_id: str, start: int, stop: int) -> list[LogLine]:
    return book.lines(run_id, start, stop)


def _ended(
    run: Run,
    status: RunStatus,
    *,
    failure: Failure | None = None,
    result: str = "",
    result_text: str = "",
) -> Run:
    return msgspec.structs.replace(
        run,
        status=status,
        ended_at=datetime.now(UTC),
        failure=failure,
        result=result,
        result_text=result_text,
    )


def _with_reason(frame: Frame, why: str) -> Frame:
    """The far side knows that the run was lost; why its process died, the gateway knew."""
    end = unpack(frame.body, RunEnd)
    if end.failed is None or end.failed.kind != RunLost.code:
        return frame
    failed = msgspec.structs.replace(end.failed, message=f"{why}; {end.failed.message}")
    return Frame(Kind.ERROR, pack(msgspec.structs.replace(end, failed=failed)))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC) if seconds else datetime.now(UTC)
