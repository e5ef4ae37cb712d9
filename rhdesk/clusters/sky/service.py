"""Machines at providers: what they would cost, what there is, what it has cost; and SkyPilot itself,
made ready when it is first needed."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from rhdesk.clusters.sky.api import Api, Seen
from rhdesk.clusters.sky.environment import VERSION, Environment
from rhdesk.clusters.sky.faults import nearest
from rhdesk.clusters.sky.journal import UNHEARD, Journal
from rhdesk.clusters.sky.offers import considered, listed
from rhdesk.clusters.sky.server import Server, api_of
from rhdesk.clusters.sky.task import resources_of
from rhdesk.errors import ConnectionFailed, NotFound, RhdeskError
from rhdesk.models import ClusterSpec, Cost, Offer, Orphan, Plan, SkyState, Step

_MONTH_DAYS: Final = 30
_REST_S: Final = 1800.0
"""Its server takes 300 MB: without machines it is ended after so long without a question."""


class Sky:
    """Args:
    folder: ``skypilot`` in the data folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = Environment(folder)
        self.server = Server(folder, self.environment)
        self.journal = Journal(folder / "calls.jsonl")

    async def state(self) -> SkyState:
        made = self.environment.made_for()
        api = self.server.running()
        return SkyState(
            version=VERSION,
            providers=tuple(sorted(made or ())),
            folder=str(self.folder),
            is_installed=made is not None,
            address=api.url if api else "",
            log=str(self.server.log),
        )

    async def ready(self, provider: str = "") -> AsyncGenerator[Step]:
        """Have SkyPilot installed for *provider*, and its server running.

        Raises:
            SetupFailed: One of them cannot be.
        """
        wanted = {provider} if provider not in {"", "cheapest"} else self._providers()
        before = self.environment.made_for()
        async with aclosing(self.environment.make(wanted)) as steps:
            async for step in steps:
                yield step
        if before != self.environment.made_for():
            await self.server.stop()  # one that runs knows only what was there when it began
        async with aclosing(self.server.start()) as steps:
            async for step in steps:
                yield step

    def _providers(self) -> set[str]:
        """Providers this person has credentials of, by where their own tools keep them."""
        places = {
            "aws": ".aws/credentials", "gcp": ".config/gcloud", "azure": ".azure",
            "slurm": ".slurm/config", "lambda": ".lambda_cloud/lambda_keys",
            "kubernetes": ".kube/config", "runpod": ".runpod/config.toml", "oci": ".oci/config",
        }  # fmt: skip
        return {name for name, place in places.items() if (Path.home() / place).exists()}

    @asynccontextmanager
    async def api(self) -> AsyncGenerator[Api]:
        """The line to its server, which is started when it is not there.

        Raises:
            NotFound: SkyPilot was never installed here: there are no machines of its.
        """
        if self.environment.made_for() is None:
            raise NotFound.told(
                "SkyPilot is not installed yet; rhdesk up does it when it is needed"
            )
        async with aclosing(self.server.start()) as steps:
            async for _ in steps:
                pass
        async with AsyncExitStack() as stack:
            yield await stack.enter_async_context(api_of(self.server))

    # ---- before

    async def considered(self, spec: ClusterSpec) -> list[Offer]:
        """What SkyPilot's optimizer would choose from, its choice first; nothing is started.

        Raises:
            BadInput, Refused, ConnectionFailed: As `faults.error_from` says.
        """
        machines = spec.machines
        assert machines is not None, "only of clusters of machines"
        task = {"name": spec.name, "num_nodes": machines.count}
        dag = msgspec.json.encode(task | {"resources": resources_of(machines)}).decode()
        async with self.api() as api:
            request = await api.request("/optimize", dag=dag, request_options=None)
            lines = [line async for line in api.lines(request)]
            await api.answer(request)
        return considered(lines, machines.count)

    async def plan(self, spec: ClusterSpec) -> Plan:
        """What `up` would bring into being, and at what price.

        Raises:
            BadInput, Refused, ConnectionFailed: As `considered`.
        """
        machines = spec.machines
        assert machines is not None, "only of clusters of machines"
        there = await self.seen(spec.name, ask_provider=True)
        offers = [] if there else await self.considered(spec)
        price = offers[0].price_per_hour * machines.count if offers else 0.0
        return Plan(
            cluster=spec.name,
            instance_type=machines.instance_type,
            count=machines.count,
            infra=there.infra if there else (offers[0].infra if offers else ""),
            offers=tuple(offers),
            price_per_hour=price,
            autostop_mins=spec.autostop_mins,
            is_up=there is not None and there.status == "UP",
        )

    async def offers(self, accelerator: str = "", provider: str = "") -> list[Offer]:
        """Price lists of providers, as far as they are on this machine, the cheapest first.

        Raises:
            NotFound: No provider has such an accelerator; the nearest names are told.
            ConnectionFailed: The price lists are not here and cannot be fetched.
        """
        clouds = [provider] if provider else None
        async with self.api() as api:
            try:
                found = await api.price_list(accelerator, clouds)
            except ConnectionFailed:
                # Of the others SkyPilot would have to fetch it.
                here = sorted(f.parent.name for f in self._price_lists().glob("*/vms.csv"))
                if provider or not here:
                    raise
                found = await api.price_list(accelerator, here)
        offers = listed(found or {})
        if not offers:
            raise NotFound(accelerator, kind="accelerator", near=nearest(accelerator))
        return offers

    def _price_lists(self) -> Path:
        return self.server.home / ".sky/catalogs/v8"

    # ---- there

    async def seen(self, name: str, *, ask_provider: bool = False) -> Seen | None:
        """A cluster as SkyPilot has it; None when it has none of that name.

        Args:
            ask_provider: As `Api.clusters`.
        """
        async with self.api() as api:
            found = await api.clusters([name], ask_provider=ask_provider)
        return found[0] if found else None

    async def has_ended(self, name: str) -> Seen | bool:
        """Whether its machines are gone (True), off (how SkyPilot has them) or there (False).

        What is written down is looked at first; then the provider is asked, by one of all who look
        at a time: it takes seconds, and goes on in the server when nobody waits any more.
        """
        async with self.api() as api:
            for ask_provider in (False, True):
                if ask_provider and await api.is_asking():
                    return False
                found = await api.clusters([name], ask_provider=ask_provider)
                if not found:
                    return True
                if found[0].status in {"STOPPED", "AUTOSTOPPING"}:
                    return found[0]
        return False

    async def costs(self, days: int = _MONTH_DAYS) -> list[Cost]:
        """What machines have cost, cluster by cluster, the dearest first."""
        if self.environment.made_for() is None:
            return []
        async with self.api() as api:
            found = await api.spent(days)
        costs = [
            Cost(
                cluster=each.name,
                person=each.user_name or "",
                infra="/".join(p for p in ((each.cloud or "").lower(), each.region) if p),
                resources=each.resources_str or "",
                hours=each.duration / 3600,
                cost=each.total_cost or 0.0,
                is_up=each.status == "UP",
                since=datetime.fromtimestamp(each.launched_at, UTC) if each.launched_at else None,
            )
            for each in found
        ]
        return sorted(costs, key=lambda each: -each.cost)

    # ---- left behind

    async def orphans(self, known: Collection[str]) -> list[Orphan]:
        """Machines and calls that do not fit: journal, SkyPilot and the desk are compared.

        Args:
            known: Names of the clusters of machines the desk has.
        """
        if self.environment.made_for() is None:
            return []
        async with self.api() as api:
            there = {each.name: each for each in await api.clusters(ask_provider=True)}
        found: list[Orphan] = []
        for name, seen in sorted(there.items()):
            last = self.journal.last(name)
            if last is not None and last.is_open:
                continue  # somebody is at it
            if last is not None and last.verb == "down" and last.outcome != "done":
                what = f"it is {seen.status}, and was to end: {last.outcome or 'that was cut off'}"
                remedy = "end its machines"
                found.append(Orphan(cluster=name, what=what, remedy=remedy, was_to_end=True))
            elif name not in known:
                what = f"it is {seen.status} at {seen.infra}, and no cluster of this desk"
                found.append(Orphan(cluster=name, what=what, remedy="end its machines"))
        return found

    async def reconcile(self) -> None:
        """Note of each call that nobody hears any more what came of it."""
        if self.environment.made_for() is None:
            return
        left = [call for call in self.journal.calls() if not call.outcome and not call.is_open]
        if not left:
            return
        async with self.api() as api:
            there = {each.name for each in await api.clusters()}
            for call in left:
                if await api.at_work(call.cluster):
                    continue
                if call.verb != "down":
                    came = UNHEARD if call.cluster in there else "nothing came of it"
                    self.journal.end(call, came)
                elif call.cluster not in there:  # one that did not come about is an orphan
                    self.journal.end(call)

    async def rest(self) -> bool:
        """End SkyPilot's server when no machine needs it and nobody has asked it anything lately;
        returns whether machines may be there."""
        if self.journal.may_be_there():
            return True
        with suppress(FileNotFoundError):
            quiet_s = time.time() - self.server.log.stat().st_mtime
            if quiet_s > _REST_S and self.server.running() is not None:
                await self.server.stop()
        return False

    async def mend(self, orphans: Sequence[Orphan]) -> None:
        """End machines nobody accounts for.

        Raises:
            RhdeskError: One could not be ended; the others were tried too.
        """
        failed: list[RhdeskError] = []
        for orphan in orphans:
            try:
                await self.end_machines(orphan.cluster)
            except RhdeskError as exc:
                failed.append(exc)
        if failed:
            raise failed[0]

    async def end_machines(self, name: str, *, verb: str = "down") -> None:
        """End or stop the machines of a cluster; that there are none is well.

        Raises:
            SetupFailed, ConnectionFailed: The provider did not; they may be there yet.
        """
        call = self.journal.begin(name, verb)
        try:
            async with self.api() as api:
                for request in await api.at_work(name):
                    await api.cancel(request)
                await api.ask(f"/{verb}", cluster_name=name)
        except NotFound:
            pass
        except RhdeskError as exc:
            self.journal.end(call, str(exc)[:300])
            raise
        self.journal.end(call)
