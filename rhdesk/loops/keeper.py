"""The loops: in step with the store, runs followed, clusters looked after, retention applied.

Each loop fails alone: what it could not do is told, and tried again. They are cut off at any
moment without harm, because every step they take is one the desk could take again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

import msgspec

from rhdesk.desk import AsyncDesk
from rhdesk.errors import RhdeskError
from rhdesk.models import Loop, Run, RunStatus, Watched

log = logging.getLogger("rhdesk.loops")

Sleep = Callable[[float], Awaitable[object]]

FOLLOW_S: Final = 2.0
"""Between two looks for runs that nobody follows yet."""
SYNC_S: Final = 10.0
"""Between two looks at how it goes; writes and news travel as they happen."""
WATCH_S: Final = 2.0
"""Between two looks for folders that are to be watched, or no longer."""
HEALTH_S: Final = 30.0
MACHINES_S: Final = 60.0
RETAIN_S: Final = 3600.0
_MOST_RUNS: Final = 1000
_FAILED_S: Final = 30.0
"""A loop that failed waits so long at least."""


class Keeper:
    def __init__(
        self,
        desk: AsyncDesk,
        *,
        yields: bool = False,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            yields: Rest while a daemon runs: it does the same.
            sleep: How to wait; a simulation passes time another way.
        """
        self._desk = desk
        self._yields = yields
        self._sleep = sleep
        self._now = now
        self._followed: set[str] = set()
        self._watching: dict[str, tuple[Watched, asyncio.Task[None]]] = {}
        self._seen_up: dict[str, str] = {}
        self._loops: dict[str, Loop] = {}

    @property
    def loops(self) -> tuple[Loop, ...]:
        """What each is at."""
        return tuple(self._loops.values())

    async def keep(self) -> None:
        """Run every loop until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stay_in_step())
            for name, period_s, work in (
                ("sync", SYNC_S, self._look_at_the_store),
                ("runs", FOLLOW_S, lambda: self._follow(group)),
                ("watches", WATCH_S, lambda: self._watch(group)),
                ("health", HEALTH_S, self._look_at_clusters),
                ("machines", MACHINES_S, self._look_at_machines),
                ("retention", RETAIN_S, self._retain),
            ):
                self._loops[name] = Loop(name=name)
                group.create_task(self._loop(name, period_s, work))

    async def _loop(self, name: str, period_s: float, work: Callable[[], Awaitable[str]]) -> None:
        while True:
            wait_s = period_s
            if not self._yields or (await self._desk.daemon()).status == "stopped":
                try:
                    told, error = await work(), ""
                except RhdeskError as exc:
                    told, error, wait_s = "", str(exc), max(period_s, _FAILED_S)
                except Exception as exc:  # the edge of a loop: told in full, and tried again
                    log.exception("the loop %s failed", name)
                    told, error, wait_s = (
                        "",
                        f"{type(exc).__name__}: {exc}",
                        max(period_s, _FAILED_S),
                    )
                self._tell(name, told, error)
            else:
                wait_s = max(period_s, FOLLOW_S)
            await self._sleep(wait_s)

    def _tell(self, name: str, told: str, error: str) -> None:
        before = self._loops[name]
        if error and error != before.error:
            log.warning("%s: %s", name, error)
        elif told and told != before.told:
            log.info("%s: %s", name, told)
        self._loops[name] = msgspec.structs.replace(
            before, ran_at=self._now(), told=told or before.told, error=error
        )

    async def _stay_in_step(self) -> None:
        while True:
            try:
                await self._desk.stay_in_step()
            except Exception:  # the edge of a loop, as above
                log.exception("staying in step with the store failed")
                await self._sleep(_FAILED_S)

    async def _look_at_the_store(self) -> str:
        state = await self._desk.store_state()
        waiting = {
            "waiting": state.queued,
            "conflicts": state.conflicts,
            "refused": state.rejected,
        }
        told = [f"{count} {what}" for what, count in waiting.items() if count]
        return ", ".join([state.status if state.url else "not logged in", *told])

    async def _follow(self, group: asyncio.TaskGroup) -> str:
        running = await self._unfinished()
        for run in running:
            if run.run_id not in self._followed:
                self._followed.add(run.run_id)
                group.create_task(self._follow_one(run.run_id))
        if running:
            await self._desk.catch_up()  # of those whose cluster forgot them
        return f"following {len(self._followed)}" if self._followed else "nothing runs"

    async def _follow_one(self, run_id: str) -> None:
        """Store what a run prints while it prints it; the cluster may be gone tomorrow."""
        try:
            async with aclosing(self._desk.follow(run_id)) as lines:
                async for _ in lines:
                    pass
            log.info("run %s: %s", run_id, (await self._desk.run(run_id)).status.value)
        except RhdeskError as exc:
            log.info("run %s cannot be followed: %s", run_id, exc)
            await self._sleep(_FAILED_S)
        except Exception:  # the edge of a loop, as above
            log.exception("following %s failed", run_id)
            await self._sleep(_FAILED_S)
        finally:
            self._followed.discard(run_id)

    async def _unfinished(self) -> list[Run]:
        found: list[Run] = []
        for status in (RunStatus.SUBMITTED, RunStatus.RUNNING):
            found += await self._desk.runs(status=status.value, limit=_MOST_RUNS)
        return found

    async def _watch(self, group: asyncio.TaskGroup) -> str:
        """Begin the watches that are wanted, and end those that are not any more."""
        wanted = {f"{w.folder} {w.cluster}": w for w in self._desk.kept_watches.all()}
        for key, (watched, task) in list(self._watching.items()):
            now = wanted.get(key)
            if now is None or now.since != watched.since or task.done():
                task.cancel()
                del self._watching[key]
        for key in wanted.keys() - self._watching.keys():
            task = group.create_task(self._watch_one(wanted[key]))
            self._watching[key] = wanted[key], task
        return f"watching {len(self._watching)}" if self._watching else "nothing is watched"

    async def _watch_one(self, kept: Watched) -> None:
        watch = self._desk.watch(
            kept.folder, on=kept.cluster, env=kept.env, targets=kept.targets, files=kept.files
        )
        try:
            async with aclosing(watch) as syncs:
                async for synced in syncs:
                    kept = msgspec.structs.replace(kept, last=synced, syncs=kept.syncs + 1)
                    await asyncio.to_thread(self._desk.kept_watches.note, kept)
        except RhdeskError as exc:  # it is begun again by the next look
            log.warning("watching %s: %s", kept.folder, exc)
        except Exception:  # the edge of a loop, as above
            log.exception("watching %s failed", kept.folder)

    async def _look_at_clusters(self) -> str:
        told: list[str] = []
        for cluster in await self._desk.clusters():
            state = cluster.state.value
            if self._seen_up.get(cluster.name, state) != state:
                log.info("cluster %s: %s", cluster.name, state)
            self._seen_up[cluster.name] = state
            told.append(f"{cluster.name} {state}")
        return ", ".join(told)

    async def _look_at_machines(self) -> str:
        """End machines whose end was cut off; tell of others that nobody accounts for."""
        if not await self._desk.sky_room.rest():
            return "none"
        found = await self._desk.orphans()
        meant = [orphan for orphan in found if orphan.was_to_end]
        await self._desk.end_orphans(meant)
        left = [orphan for orphan in found if not orphan.was_to_end]
        told = [f"ended {orphan.cluster}: {orphan.what}" for orphan in meant]
        told += [f"{orphan.cluster}: {orphan.what} (rhdesk orphans --end)" for orphan in left]
        return "; ".join(told) or "every machine is accounted for"

    async def _retain(self) -> str:
        gone = await self._desk.retain()
        return f"{gone} runs went" if gone else "nothing to remove"
