"""The record of runs: what ran, what it printed, how it ended, here and after the cluster is gone."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from rhdesk.desk.rooms import Rooms
from rhdesk.models import LogHit, LogLine, Run


class RunVerbs(Rooms):
    async def run(self, run_id: str) -> Run:
        """A run by its id, by the unique beginning of one, or ``last``."""
        return await self.recorder.read(lambda book: book.run(run_id))

    async def runs(
        self,
        *,
        limit: int = 100,
        offset: int = 0,
        function: str = "",
        status: str = "",
        cluster: str = "",
    ) -> list[Run]:
        """Runs, newest first."""
        return await self.recorder.read(
            lambda book: book.runs(
                limit=limit, offset=offset, function=function, status=status, cluster=cluster
            )
        )

    async def count_runs(self, *, function: str = "", status: str = "", cluster: str = "") -> int:
        return await self.recorder.read(
            lambda book: book.count_runs(function=function, status=status, cluster=cluster)
        )

    async def shares(self, run_id: str) -> list[Run]:
        """The shares of a map over several nodes, oldest first; of any other run none."""
        return await self.runs_room.shares((await self.run(run_id)).run_id)

    async def follow(self, run_id: str, *, after: int = -1) -> AsyncGenerator[LogLine]:
        """Yield a run's lines, each stored before it is seen; ends when the run has.

        Args:
            after: Number of the last line already seen.
        """
        run = await self.run(run_id)
        async with aclosing(self.runs_room.follow(run.run_id, after=after)) as lines:
            async for line in lines:
                yield line

    async def wait(self, run_id: str) -> Run:
        """Wait until a run has ended; its lines are stored meanwhile."""
        run = await self.run(run_id)
        return run if run.status.is_finished else await self.runs_room.wait(run.run_id)

    async def result(self, run_id: str) -> Any:
        """What a run returned, for eyes: what only Python can hold comes back described.

        Raises:
            RunFailed: It raised; `remote_traceback` holds the far side's traceback.
            RunCancelled, RunTimedOut, RunLost: It ended otherwise.
        """
        from rhdesk.runs.outcome import raise_failure
        from rhdesk.runs.results import describe

        run = await self.wait(run_id)
        raise_failure(run)
        if not run.result:
            return run.result_text
        payload = self.results.load(run.result)
        if "pickle" in payload.encodings:
            return {"type": "Python object", "repr": describe(payload)}
        value = payload.result(may_unpickle=False)
        return value if payload.encodings == {"plain"} else describe(payload)

    async def cancel(self, run_id: str, *, force: bool = False) -> Run:
        """Stop a run, whatever it is doing; when this returns its processes are gone.

        Args:
            force: Do not give it a second to clean up.
        """
        return await self.runs_room.cancel((await self.run(run_id)).run_id, force=force)

    async def lines(self, run_id: str, start: int = 0, stop: int | None = None) -> list[LogLine]:
        """Stored lines *start* to *stop*, without *stop*; all of them by default."""
        end = sys.maxsize if stop is None else stop
        return await self.recorder.read(lambda book: book.lines(run_id, start, end))

    async def count_lines(self, run_id: str) -> int:
        return await self.recorder.read(lambda book: book.count_lines(run_id))

    async def find_line(
        self, run_id: str, text: str, *, after: int = -1, backwards: bool = False
    ) -> int | None:
        """Number of the next line that holds *text*, whatever its case; None when there is none."""
        return await self.recorder.read(
            lambda book: book.find_line(run_id, text, after=after, backwards=backwards)
        )

    async def find_level(
        self, run_id: str, levels: Sequence[str], *, after: int = -1, backwards: bool = False
    ) -> int | None:
        """Number of the next line of one of *levels* (``error``, ``warning`` ...)."""
        return await self.recorder.read(
            lambda book: book.find_level(run_id, levels, after=after, backwards=backwards)
        )

    async def search(self, text: str, *, run_id: str = "", limit: int = 100) -> list[LogHit]:
        """Lines that hold the words of *text*, of any run, also of clusters long gone."""
        return await self.recorder.read(lambda book: book.search(text, run_id=run_id, limit=limit))

    async def pin(self, run_id: str, *, pinned: bool = True) -> Run:
        """Keep a run from retention, or let it go."""
        run = await self.run(run_id)
        await self.recorder.write(lambda book: book.pin(run.run_id, pinned=pinned))
        return await self.run(run.run_id)

    async def remove_runs(self, run_ids: Sequence[str]) -> int:
        """Remove finished runs with their lines; returns how many."""
        full = [(await self.run(run_id)).run_id for run_id in run_ids]
        count = await self.recorder.write(lambda book: book.remove(full))
        await self._forget_results()
        return count

    async def retain(self) -> int:
        """Apply ``keep_days`` and ``keep_bytes``; returns how many runs went, their results too."""
        kept = self.settings
        count = await self.recorder.write(
            lambda book: book.retain(
                datetime.now(UTC), keep_days=kept.keep_days, keep_bytes=kept.keep_bytes
            )
        )
        await self._forget_results()
        return count

    async def catch_up(self) -> int:
        """Bring home what happened to runs while nobody followed them; returns how many ended."""
        return await self.runs_room.catch_up()

    async def _forget_results(self) -> None:
        """Remove the results of runs that are gone; equal results are kept once, by hash."""
        needed = await self.recorder.read(lambda book: book.results())
        await asyncio.to_thread(self.results.keep_only, needed)
