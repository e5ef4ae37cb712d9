"""Clusters and the environments on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rhdesk.desk.secrets import SecretVerbs
from rhdesk.desk.work import WorkVerbs
from rhdesk.models import (
    Check,
    Cluster,
    ClusterSpec,
    ClusterState,
    Env,
    EnvSpec,
    Node,
    NodeStats,
    Step,
)

if TYPE_CHECKING:
    from rhdesk.wire.messages import GoLive


class ClusterVerbs(WorkVerbs, SecretVerbs):
    async def add_cluster(self, spec: ClusterSpec) -> None:
        """Add a cluster of one's own machines; `up` brings it up.

        Raises:
            BadInput: Its name or a host is none.
            StoreBusy: It is up with other hosts.
        """
        await asyncio.to_thread(self.registry.add, spec)

    async def add_host(self, host: str, *, name: str = "") -> str:
        """Add one machine as a cluster; returns the cluster's name. `up` brings it up.

        Args:
            host: As ``ssh`` takes it: ``gpubox``, ``ada@10.0.0.3``, ``ada@gpubox:2222``.
            name: Of the cluster; empty is that of the host.

        Raises:
            BadInput: It is no name of a host, or *name* none of a cluster.
            NotFound: ``~/.ssh/config`` does not name it, and it has no address.
            StoreBusy: A cluster of that name is up with another host.
        """
        return await asyncio.to_thread(self.registry.add_host, host, name)

    async def hosts(self) -> list[str]:
        """Hosts that ``~/.ssh/config`` names, in its order; nothing is asked over a network.

        Raises:
            BadInput: The file cannot be read as OpenSSH would.
        """
        from rhdesk.clusters.ssh.config import aliases

        return await asyncio.to_thread(aliases)

    async def cluster_names(self) -> list[str]:
        """Every cluster by name, ``here`` first; nothing is asked over a network."""
        return self.clusters_room.names()

    async def cluster_spec(self, name: str) -> ClusterSpec | None:
        """A cluster as asked for; None for the one on this machine."""
        if name not in self.clusters_room.names() or name == "here":
            return None
        return self.registry.clusters()[name].asked

    async def forget_cluster(self, name: str) -> None:
        """Remove what is written down of a cluster that is down.

        Raises:
            NotFound: None of that name was added.
            StoreBusy: It is up.
        """
        await asyncio.to_thread(self.registry.forget, name)

    async def up(self, cluster: str = "here", *, host_key: str = "") -> AsyncGenerator[Step]:
        """Bring a cluster up, or find it up; yields what it does.

        A host of ``~/.ssh/config``, or ``ada@10.0.0.3``, that nobody added is added as a cluster.

        Args:
            host_key: The fingerprint to accept of a host that is not known yet.

        Raises:
            NotFound: It is neither a cluster nor a host.
            ConnectionFailed, UntrustedHost, Refused: A host cannot be reached, is not trusted, or
                lets nobody in.
            SetupFailed: A step failed; `output` holds its last lines.
            StoreBusy: Another rhdesk is bringing it up or down.
        """
        if cluster not in self.clusters_room.names():
            cluster = await asyncio.to_thread(self.registry.add_host, cluster)
        if host_key:
            self.registry.accept(host_key)
        async with aclosing(self.clusters_room.up(cluster)) as steps:
            async for step in steps:
                yield step

    async def down(self, cluster: str = "here") -> AsyncGenerator[Step]:
        """End exactly what `up` started.

        Lines and results that are not here yet come home first; what still runs is cancelled.
        """
        if (await self.cluster(cluster)).state is ClusterState.UP:
            await self.catch_up()
            await self.runs_room.cancel_all(cluster)
        async with aclosing(self.clusters_room.down(cluster)) as steps:
            async for step in steps:
                yield step

    async def mend(self, cluster: str = "here") -> None:
        """Bring a cluster up again whose processes died; one that is down stays down."""
        if self.clusters_room.why_broken(cluster):
            async with aclosing(self.up(cluster)) as steps:
                async for _ in steps:
                    pass

    async def cluster(self, name: str = "here") -> Cluster:
        """How a cluster is doing; answers within two seconds, whatever the network does."""
        return await self.clusters_room.look(name)

    async def clusters(self) -> list[Cluster]:
        names = self.clusters_room.names()
        return list(await asyncio.gather(*(self.cluster(name) for name in names)))

    async def stats(self, cluster: str = "here") -> list[NodeStats]:
        """One sample of each node's load; the CPU share is that since the sample before."""
        return await self.clusters_room.stats(cluster)

    async def nodes(self, cluster: str = "here") -> list[Node]:
        """Every machine of a cluster, the head first; one that is lost says why."""
        return await self.clusters_room.nodes(cluster)

    async def autostop(self, cluster: str, minutes: float) -> None:
        """Have a cluster end itself after so many minutes in which nothing ran and nobody called.

        It is kept there, so it holds when this machine is gone.

        Args:
            minutes: Below 0 is never.
        """
        await self.clusters_room.autostop(cluster, minutes)

    async def doctor(self, cluster: str = "here") -> list[Check]:
        """Everything a run needs, looked at piece by piece; never raises for what it finds.

        Of a host of ``~/.ssh/config`` that nobody added, what bringing it up would need.
        """
        from rhdesk.clusters.checks import examine, servlets

        if cluster == "here":
            folders = self.settings.data_dir, self.settings.cache_dir
            return await examine(
                self.clusters_room, cluster, data_dir=folders[0], cache_dir=folders[1]
            )
        from rhdesk.clusters.ssh_checks import examine_host

        known = cluster in self.clusters_room.names()
        looked_at = self.registry.clusters()[cluster] if known else self.registry.trial(cluster)
        found: list[Check] = []
        for host in looked_at.spec.hosts:
            several = f"{host}: " if len(looked_at.spec.hosts) > 1 else ""
            async with aclosing(examine_host(looked_at, host, self.asks)) as checks:
                async for check in checks:
                    found.append(msgspec.structs.replace(check, what=f"{several}{check.what}"))
        if known and looked_at.held() is not None:
            found += await servlets(self.clusters_room, cluster)
        elif all(check.ok for check in found):
            remedy = f"rhdesk up {cluster}"
            found.append(Check(what="cluster", ok=False, evidence="it is down", remedy=remedy))
        return found

    async def envs(self, cluster: str = "here") -> list[Env]:
        """The environments on a cluster, ``base`` first."""
        return await self.clusters_room.envs(cluster)

    async def make_env(
        self, spec: EnvSpec, *, on: str = "here", nodes: Sequence[str] = (), force: bool = False
    ) -> AsyncGenerator[Step]:
        """Make an environment, or find it made; yields what it does.

        Args:
            nodes: Where; empty is every node of the cluster.

        Raises:
            BadRequirement: A requirement does not exist, or conflicts with another.
            SetupFailed: A step failed; `output` holds its last lines.
        """
        async with aclosing(self._make_env(spec, on=on, nodes=nodes, force=force)) as steps:
            async for step in steps:
                yield step

    async def _make_env(
        self,
        spec: EnvSpec,
        *,
        on: str,
        nodes: Sequence[str] = (),
        force: bool = False,
        name: str = "",
        live: GoLive | None = None,
    ) -> AsyncGenerator[Step]:
        """The same; in the moment it is made, *name* goes live in it."""
        from rhdesk.code.packages import parse
        from rhdesk.wire.messages import MakeEnv

        folder = _folder(spec.working_dir)
        found = parse(spec.reqs, folder=folder, working_dir=folder if spec.working_dir else None)
        work = ""
        if spec.working_dir:
            spec = msgspec.structs.replace(spec, working_dir=str(folder))
        if spec.working_dir and on != "here":
            work = self._work_key(spec.working_dir)
            async with aclosing(self.push(spec.working_dir, on=on)) as pushing:
                async for event in pushing:
                    if isinstance(event, Step):
                        yield event
        given = await self._delivered(spec.secrets, f"{spec.name} on {on}")
        asked = MakeEnv(
            spec=spec,
            secrets=given,
            lines=found.lines,
            folders=found.folders,
            force=force,
            name=name,
            live=live,
            work=work,
        )
        async with aclosing(self.clusters_room.make_env(on, asked, nodes)) as steps:
            async for step in steps:
                yield step

    async def drop_env(self, name: str, *, on: str = "here", nodes: Sequence[str] = ()) -> None:
        """End an environment's servlet and what its runs started. Its packages stay cached.

        Args:
            nodes: Where; empty is every node that has it.
        """
        await self.clusters_room.drop_env(on, name, nodes)


def _folder(text: str | None) -> Path:
    return Path(text or ".").expanduser().resolve()
