"""Machines to be had: their plan and price, what they cost, and none that nobody accounts for."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from rhdesk.config.group_layer import read_defaults, resolved
from rhdesk.desk.clusters import ClusterVerbs
from rhdesk.errors import BadInput, NotFound, Refused
from rhdesk.models import ClusterSpec, Cost, Machines, Offer, Orphan, Plan, RunCost, SkyState, Step

_MOST_RUNS: Final = 10_000


class MachineVerbs(ClusterVerbs):
    def wanted(self, name: str, machines: Machines, **more: Any) -> ClusterSpec:
        """A cluster of machines, with what the group says where nothing is said.

        Args:
            more: Other fields of `ClusterSpec`.
        """
        said = self._group_says()
        filled = {
            field: said[key]
            for field, key in (
                ("provider", "provider"),
                ("region", "region"),
                ("instance_type", "instance_type"),
            )
            if not getattr(machines, field) and said.get(key)
        }
        if machines.provider and machines.provider != said.get("provider"):
            filled.pop("region", None)  # it is one of another provider
        more.setdefault("autostop_mins", self.settings.autostop_mins)
        machines = msgspec.structs.replace(machines, **filled)
        return ClusterSpec(name=name, machines=machines, **more)

    async def plan(self, spec: ClusterSpec) -> AsyncGenerator[Step | Plan]:
        """What bringing machines up would start, where, at what price; nothing is started.

        Yields steps while SkyPilot is made ready, which takes a minute the first time; then the plan.

        Raises:
            BadInput: What is asked for has no meaning, or no provider has it.
            Refused: No provider has credentials here, or the budget is used up.
            ConnectionFailed: Its price list is not on this machine and cannot be fetched.
        """
        if spec.machines is None:
            raise BadInput(f"{spec.name} is of machines of your own: there is nothing to plan")
        async with aclosing(self.sky_room.ready(spec.machines.provider)) as steps:
            async for step in steps:
                yield step
        plan = await self.sky_room.plan(spec)
        budget = self._group_says().get("budget")
        spent = sum(each.cost for each in await self.costs()) if budget is not None else 0.0
        plan = msgspec.structs.replace(
            plan, for_whom=getpass.getuser(), budget=budget, spent=spent
        )
        if budget is not None and not plan.is_up and spent + plan.price_per_hour > budget:
            raise Refused(
                f"the budget of the group is {budget:g} a month, {spent:.2f} of it are spent, and "
                f"one hour of this costs {plan.price_per_hour:.2f}: rhdesk cost, rhdesk defaults"
            )
        yield plan

    def _group_says(self) -> dict[str, Any]:
        """The defaults of the folder this project belongs to, as they were when last in step."""
        told = read_defaults(self.settings.data_dir)
        if told is None:
            return {}
        found = resolved(told, self.settings.group or told.at)
        return {key: value for key, (value, _) in found.items()}

    async def stop(self, cluster: str) -> AsyncGenerator[Step]:
        """Turn the machines of a cluster off, and keep their disks; `up` turns them on again.

        Raises:
            NotFound: They are machines of one's own.
            BadInput, SetupFailed: The provider cannot do that.
        """
        from rhdesk.clusters.sky.cluster import of

        if cluster not in self.clusters_room.names() or cluster == "here":
            raise NotFound(cluster, kind="cluster of machines")
        await self.catch_up()  # what runs there ends with them
        async with aclosing(of(self.registry.clusters()[cluster]).stop()) as steps:
            async for step in steps:
                yield step

    async def offers(self, accelerator: str = "", *, provider: str = "") -> list[Offer]:
        """Machines that could be had, the cheapest first, by providers' price lists that are here.

        Raises:
            NotFound: None has such an accelerator; or SkyPilot was never installed here.
            ConnectionFailed: The price lists are not here and cannot be fetched.
        """
        return await self.sky_room.offers(accelerator, provider)

    async def costs(self, *, days: int = 30) -> list[Cost]:
        """What machines have cost, cluster by cluster, the dearest first."""
        return await self.sky_room.costs(days)

    async def run_costs(self, *, days: int = 30) -> list[RunCost]:
        """What runs on such machines have cost, the dearest first."""
        since = datetime.now(UTC) - timedelta(days=days)
        journal = self.sky_room.journal
        found: list[RunCost] = []
        for cluster in sorted({call.cluster for call in journal.calls()}):
            for run in await self.runs(cluster=cluster, limit=_MOST_RUNS):
                if run.started_at is None or run.started_at < since:
                    continue
                took = (run.ended_at or datetime.now(UTC)) - run.started_at
                hours = took.total_seconds() / 3600
                found.append(
                    RunCost(
                        run_id=run.run_id,
                        cluster=cluster,
                        name=run.function,
                        hours=hours,
                        cost=hours * journal.price_at(cluster, run.started_at),
                    )
                )
        return sorted(found, key=lambda each: -each.cost)

    async def resize(self, cluster: str, count: int) -> AsyncGenerator[Step]:
        """Have a cluster of machines be of so many; what runs on those that stay goes on.

        Raises:
            NotFound: They are machines of one's own.
            BadInput, SetupFailed: The provider cannot do that.
        """
        from rhdesk.clusters.sky.cluster import of

        if cluster not in self.clusters_room.names() or cluster == "here":
            raise NotFound(cluster, kind="cluster of machines")
        known = of(self.registry.clusters()[cluster])
        async with aclosing(known.resize(count)) as steps:
            async for step in steps:
                yield step
        await asyncio.to_thread(self.registry.change, known.asked)

    async def orphans(self) -> list[Orphan]:
        """Machines that nobody accounts for; what calls that were cut off came to is noted."""
        await self.sky_room.reconcile()
        known = await asyncio.to_thread(self.registry.clusters)
        return await self.sky_room.orphans(set(known))

    async def end_orphans(self, orphans: Sequence[Orphan] | None = None) -> list[Orphan]:
        """End machines that nobody accounts for; returns which.

        Raises:
            SetupFailed, ConnectionFailed: One could not be ended.
        """
        those = await self.orphans() if orphans is None else list(orphans)
        await self.sky_room.mend(those)
        return those

    async def sky(self) -> SkyState:
        """How SkyPilot is doing on this machine; nothing is started."""
        return await self.sky_room.state()

    async def sky_lines(self, *, limit: int = 200) -> list[str]:
        """The last lines of its server's log."""
        return self.sky_room.server.last_lines(limit)

    async def stop_sky(self) -> SkyState:
        """End SkyPilot's server. Machines stay as they are."""
        await self.sky_room.server.stop()
        return await self.sky_room.state()

    async def remove_sky(self) -> SkyState:
        """Remove SkyPilot from this machine; what it knows of machines stays.

        Raises:
            Refused: It has machines that are up: they could not be ended without it.
        """
        for name, cluster in (await asyncio.to_thread(self.registry.clusters)).items():
            if cluster.asked.machines is not None and cluster.held() is not None:
                raise Refused(f"{name} is up; end it first: rhdesk down {name}")
        await self.sky_room.server.stop()
        await asyncio.to_thread(self.sky_room.environment.remove)
        return await self.sky_room.state()
