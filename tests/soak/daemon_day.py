"""Hours of a daemon's life in minutes: the real loops, on a clock that is told to go on.

    python -m tests.soak.daemon_day --hours 24

Runs happen while it passes. After each simulated hour it prints one line of JSON: open file
descriptors, threads, resident memory. It wants a cluster that is up.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rhdesk.desk import AsyncDesk
from rhdesk.loops.keeper import Keeper

PRINTS = "def say(n):\n    for i in range(n):\n        print('line', i)\n    return n\n"


class Clock:
    """A clock whose `sleep` ends when `pass_s` has let enough time pass."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._asleep: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        return datetime(2026, 10, 1, tzinfo=UTC) + timedelta(seconds=self._now_s)

    async def sleep(self, delay_s: float) -> None:
        self._count += 1
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._asleep, (self._now_s + delay_s, self._count, woken))
        await woken

    async def pass_s(self, seconds: float) -> None:
        """Wake whoever is due, in order, and wait until each sleeps again."""
        end_s = self._now_s + seconds
        while self._asleep and self._asleep[0][0] <= end_s:
            self._now_s, _, woken = heapq.heappop(self._asleep)
            count = self._count
            woken.set_result(None)
            await until(lambda: self._count != count)  # noqa: B023 - asked before the next round
        self._now_s = end_s


async def live(hours: int, runs_an_hour: int, *, leak: bool) -> None:
    clock = Clock()
    leaked: list[int] = []
    async with AsyncDesk.open() as desk, asyncio.TaskGroup() as group:
        keeper = Keeper(desk, sleep=clock.sleep, now=clock.now)
        kept = group.create_task(keeper.keep())
        await until(lambda: keeper.loops and all(loop.ran_at for loop in keeper.loops))
        submitted = 0
        for hour in range(hours):
            for minute in range(60):
                if minute % max(1, 60 // runs_an_hour) == 0:
                    await desk.submit("day.py:say", {"n": 20})
                    submitted += 1
                    if leak:
                        leaked.append(os.open(os.devnull, os.O_RDONLY))
                await clock.pass_s(60)
            stored = await desk.count_runs()
            print(json.dumps({"hour": hour + 1, "runs": stored, **sample()}), flush=True)
        async with asyncio.timeout(60):
            while await desk.count_runs(status="succeeded") < submitted:
                await clock.pass_s(2)
                await asyncio.sleep(0.05)
        runs = await desk.runs(limit=submitted)
        lost = [run.run_id for run in runs if await desk.count_lines(run.run_id) != 20]
        print(json.dumps({"submitted": submitted, "lost_lines": lost}), flush=True)
        kept.cancel()


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - of loops that know nothing of being watched
            await asyncio.sleep(0.0005)


def sample() -> dict[str, float]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "fds": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "rss_mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--runs-an-hour", type=int, default=12)
    parser.add_argument("--leak", action="store_true", help="Lose a descriptor with each run.")
    options = parser.parse_args()
    Path("day.py").write_text(PRINTS)
    asyncio.run(live(options.hours, options.runs_an_hour, leak=options.leak))
