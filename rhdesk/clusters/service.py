"""The clusters a desk knows: bring up and down, look, and keep one open line to each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final, Protocol

import msgspec

from rhdesk.clusters.here import NAME, Here
from rhdesk.clusters.line import Line
from rhdesk.clusters.servlet_client import ServletClient
from rhdesk.clusters.steps import together
from rhdesk.errors import ConnectionFailed, NotFound, Unreachable
from rhdesk.models import Cluster, ClusterState, Env, Link, Node, NodeStats, Step
from rhdesk.wire.messages import EnvSeen, Health, MakeEnv, NodeOfRay

_BASE: Final = "base"
_LOOK_S: Final = 2.0
"""No question about a cluster's state takes longer."""
_FIRST_LOOK_S: Final = 8.0
"""But the first of machines that come and go: a batch system first makes room for a line to them."""
_RESTART_S: Final = 15.0
"""How long a gateway that died has to be started again by Ray."""


class ClusterAdapter(Protocol):
    """One cluster, however it is reached."""

    def look(self) -> Cluster:
        """Its state as far as it is known here; nothing is asked over a network."""
        ...

    async def lines(self) -> list[Line]:
        """How to speak to each node, the head first.

        Raises:
            ConnectionFailed: It is not up; the message says what to type, or what died.
        """
        ...

    def why_broken(self) -> str:
        """Which of its processes is gone; empty when all are there, or it is down."""
        ...

    async def why_ended(self) -> str:
        """Why one that does not answer ended by itself, asked there; empty when it did not."""
        ...

    def up(self) -> AsyncGenerator[Step]: ...
    def down(self) -> AsyncGenerator[Step]: ...
    async def keep_for(self, minutes: float) -> None:
        """Have what ends its machines know that its servlets end after so many idle minutes."""
        ...

    def provide(self, lines: Sequence[str], nodes: Sequence[str] = ()) -> AsyncGenerator[Step]:
        """Send what an environment needs to nodes that cannot get it themselves."""
        ...


class Clusters:
    """Every cluster of the desk; `here` is always one.

    Args:
        others: Every other one by name; asked each time, for another process may add one.
        timeout_s: Seconds to wait for a servlet to answer, per attempt.
    """

    def __init__(
        self,
        here: Here,
        *,
        timeout_s: float,
        others: Callable[[], Mapping[str, ClusterAdapter]] = dict,
    ) -> None:
        self._here = here
        self._others = others
        self._timeout_s = timeout_s
        self._clients: dict[tuple[str, str], ServletClient] = {}

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def names(self) -> list[str]:
        return [NAME, *sorted(self._others())]

    async def up(self, name: str) -> AsyncGenerator[Step]:
        async for step in self._known(name).up():
            yield step

    async def down(self, name: str) -> AsyncGenerator[Step]:
        for key in [key for key in self._clients if key[0] == name]:
            await self._clients.pop(key).aclose()
        async for step in self._known(name).down():
            yield step

    async def look(self, name: str) -> Cluster:
        """Its state, asked for at most two seconds; never raises for one that is down.

        The first look at machines that were brought up may take eight.
        """
        adapter = self._known(name)
        cluster = adapter.look()
        if cluster.state is ClusterState.BROKEN and cluster.infra:
            why = await adapter.why_ended()
            return msgspec.structs.replace(adapter.look(), why=why) if why else cluster
        if cluster.state not in {ClusterState.UP, ClusterState.UNREACHABLE}:
            return cluster
        # Machines that come and go may be gone: asked at once, for there is time for one answer.
        is_new = cluster.infra and all(n.link is not Link.CONNECTED for n in cluster.nodes)
        ended = asyncio.ensure_future(adapter.why_ended()) if is_new else None
        try:
            async with asyncio.timeout(_FIRST_LOOK_S if is_new else _LOOK_S):
                client = await self.client(name)
                try:
                    health, seen = await asyncio.gather(client.health(), client.nodes())
                except ConnectionFailed:
                    if why := await (ended or adapter.why_ended()):
                        return msgspec.structs.replace(cluster, state=ClusterState.DOWN, why=why)
                    raise
        except (TimeoutError, ConnectionFailed) as exc:
            if ended is not None and (why := await ended):
                return msgspec.structs.replace(adapter.look(), why=why)
            # This machine's own gateway is broken; of another machine nobody can know.
            is_here = cluster.kind == NAME
            state = ClusterState.BROKEN if is_here else ClusterState.UNREACHABLE
            why = f"its gateway does not answer: {str(exc) or 'no answer in time'}"
            return msgspec.structs.replace(cluster, state=state, why=why)
        finally:
            if ended is not None:
                ended.cancel()
        minutes = round(health.autostop_s / 60) if health.autostop_s >= 0 else -1
        return msgspec.structs.replace(
            cluster,
            state=ClusterState.UP,
            why="",
            cpus=health.cpus,
            envs=tuple(env.name for env in health.envs),
            nodes=_nodes(cluster, health, seen),
            autostop_mins=minutes,
            idle_s=health.idle_s,
            seen_at=datetime.now(UTC),
        )

    async def autostop(self, name: str, minutes: float) -> None:
        """Have its servlets, and machines that are there for them, end after so many idle minutes;
        below 0 is never."""
        for client in await self.clients(name):
            await client.autostop(minutes * 60 if minutes >= 0 else -1.0)
        await self._known(name).keep_for(minutes)

    async def nodes(self, name: str) -> list[Node]:
        """Every node, the head first; each is asked, and one that is lost says so."""
        cluster = await self.look(name)
        return list(await asyncio.gather(*(self._asked(name, node) for node in cluster.nodes)))

    async def _asked(self, name: str, node: Node) -> Node:
        if node.state is not ClusterState.UP:
            return node
        try:
            async with asyncio.timeout(_LOOK_S):
                client = await self.client(name, node.name)
                began = time.perf_counter()
                health = await client.health()
        except (TimeoutError, ConnectionFailed, NotFound) as exc:
            why = f"its gateway does not answer: {str(exc) or 'no answer in time'}"
            return msgspec.structs.replace(node, state=ClusterState.UNREACHABLE, why=why)
        took_s = time.perf_counter() - began
        return msgspec.structs.replace(_filled(node, health), round_trip_s=took_s)

    async def stats(self, name: str) -> list[NodeStats]:
        """One sample of each node that answers, the head first.

        Raises:
            ConnectionFailed: The cluster is not up, or its head does not answer.
        """
        head, *others = await self.clients(name)

        async def sampled(client: ServletClient) -> list[NodeStats]:
            try:
                async with asyncio.timeout(_LOOK_S):
                    return await client.stats()
            except (TimeoutError, ConnectionFailed):
                return []

        of_others = await asyncio.gather(*(sampled(client) for client in others))
        return [*await head.stats(), *(each for found in of_others for each in found)]

    async def make_env(
        self, name: str, asked: MakeEnv, nodes: Sequence[str] = ()
    ) -> AsyncGenerator[Step]:
        """Make an environment on *nodes*, or on every one, side by side.

        Raises:
            NotFound: The cluster has no such node.
        """
        clients = await self._of_nodes(name, nodes)
        async with aclosing(self._known(name).provide(asked.lines, nodes)) as steps:
            async for step in steps:
                yield step
        if len(await self.clients(name)) == 1:
            making = [clients[0].make_env(asked)]
        else:
            making = [_on_node(client.line.node, client.make_env(asked)) for client in clients]
        async with aclosing(together(making)) as steps:
            async for step in steps:
                yield step

    async def drop_env(self, name: str, env: str, nodes: Sequence[str] = ()) -> None:
        """End an environment on *nodes*, or wherever it is.

        Raises:
            NotFound: It is nowhere there.
        """
        missing: NotFound | None = None
        dropped = 0
        for client in await self._of_nodes(name, nodes):
            try:
                await client.drop_env(env)
                dropped += 1
            except NotFound as exc:
                missing = exc
        if missing is not None and not dropped:
            raise missing

    async def _of_nodes(self, name: str, nodes: Sequence[str]) -> list[ServletClient]:
        if nodes:
            return [await self.client(name, node) for node in nodes]
        return await self.clients(name)

    async def envs(self, name: str) -> list[Env]:
        """Those of the head, then those that only other nodes have."""
        head, *others = await self.clients(name)
        found = {seen.name: seen for seen in (await head.health()).envs}
        for client in others:
            try:
                async with asyncio.timeout(_LOOK_S):
                    found = {seen.name: seen for seen in (await client.health()).envs} | found
            except (TimeoutError, ConnectionFailed):
                continue
        ordered = sorted(found.values(), key=lambda seen: (seen.name != _BASE, seen.name))
        return [_env(name, seen) for seen in ordered]

    async def health(self, name: str) -> Health:
        return await (await self.client(name)).health()

    def why_broken(self, name: str) -> str:
        """Which of its processes is gone; empty when all are there, or it is down."""
        return self._known(name).why_broken()

    async def line(self, name: str, node: str = "") -> Line:
        """How to speak to a node, by default to the head.

        Raises:
            ConnectionFailed: It is not up.
            NotFound: It has no such node.
        """
        lines = await self._known(name).lines()
        for line in lines:
            if not node or line.node == node:
                return line
        raise NotFound(node, kind=f"node of {name}", near=[line.node for line in lines])

    async def client(self, name: str, node: str = "") -> ServletClient:
        """The open line to a node, by default the head; opened anew when it came up again since.

        Raises:
            ConnectionFailed: It is not up.
            NotFound: It has no such node.
        """
        return await self._client(await self.line(name, node))

    async def clients(self, name: str) -> list[ServletClient]:
        """One for each node, the head's first."""
        return [await self._client(line) for line in await self._known(name).lines()]

    async def _client(self, line: Line) -> ServletClient:
        key = line.cluster, line.node
        client = self._clients.get(key)
        if client is not None and client.line == line:
            return client
        if client is not None:
            await client.aclose()
        client = self._clients[key] = ServletClient(line, timeout_s=self._timeout_s)
        return client

    async def why_gone(self, name: str, node: str) -> str:
        """Why a node will not come back, as the head sees it; empty when nobody knows that."""
        try:
            async with asyncio.timeout(_LOOK_S):
                lines = await self._known(name).lines()
                if node in {"", lines[0].node}:
                    return ""
                seen = await (await self._client(lines[0])).nodes()
        except (TimeoutError, ConnectionFailed):
            return ""
        same = [each for each in seen if each.name == node]
        if not same or any(each.is_alive for each in same):
            return ""
        return f"{node} is gone: {same[-1].why or 'its Ray does not answer any more'}"

    async def revive_env(self, name: str, env: str, node: str = "") -> str:
        """Have an env servlet that stopped answering started again; returns why it had.

        The gateway may have died with it, or instead of it: Ray starts it again in a moment.

        Raises:
            ConnectionFailed: The cluster itself is broken, or its gateway does not come back.
            Unreachable: The network is away, and nobody can know.
        """
        give_up = time.monotonic() + _RESTART_S
        while True:
            # Raises at once when Ray's own processes are gone.
            client = await self.client(name, node)
            client.forget(env)
            try:
                why = (await client.env(env)).why
                await client.ensure_env(env)
            except Unreachable:
                raise
            except ConnectionFailed:
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(0.2)
            else:
                return why

    def _known(self, name: str) -> ClusterAdapter:
        if name == NAME:
            return self._here
        others = self._others()
        if name not in others:
            raise NotFound(name, kind="cluster", near=get_close_matches(name, self.names(), 3))
        return others[name]


async def _on_node(node: str, steps: AsyncGenerator[Step]) -> AsyncGenerator[Step]:
    """The same steps, each saying where."""
    async with aclosing(steps):
        async for step in steps:
            yield msgspec.structs.replace(step, what=f"{step.what} on {node}")


def _nodes(cluster: Cluster, head: Health, seen: list[NodeOfRay]) -> tuple[Node, ...]:
    """Every node, the head first, as far as the head knows it."""
    known = {node.name: node for node in cluster.nodes}
    first = _filled(known.get(head.node) or Node(name=head.node), head)
    nodes = [msgspec.structs.replace(first, state=ClusterState.UP, why="")]
    for each in sorted(seen, key=lambda node: not node.is_alive):
        if each.name in {node.name for node in nodes}:
            continue  # a node that came back is there twice: as it is, and as it died
        node = known.get(each.name) or Node(name=each.name)
        why = "" if each.is_alive else f"Ray lost it: {each.why or 'it does not answer'}"
        nodes.append(
            msgspec.structs.replace(
                node,
                role="worker",
                state=ClusterState.UP if each.is_alive else ClusterState.BROKEN,
                why=why,
                cpus=int(each.resources.get("CPU", 0)),
                gpus=int(each.resources.get("GPU", 0)),
                memory_bytes=int(each.resources.get("memory", 0)),
            )
        )
    listed = {node.name for node in nodes}
    nodes += [node for node in cluster.nodes if node.name not in listed]
    order = {name: place for place, name in enumerate(known)}  # as somebody listed the hosts
    return tuple(sorted(nodes, key=lambda node: (node.role != "head", order.get(node.name, 999))))


def _filled(node: Node, health: Health) -> Node:
    return msgspec.structs.replace(
        node,
        python=health.python,
        ray=health.ray,
        cpus=health.cpus,
        gpus=health.gpus,
        gpu_model=health.gpu_model,
        memory_bytes=health.memory_bytes,
        envs=tuple(env.name for env in health.envs),
    )


def _env(cluster: str, seen: EnvSeen) -> Env:
    return Env(
        name=seen.name,
        cluster=cluster,
        lock=seen.lock,
        python=seen.python,
        state=seen.state,
        why=seen.why,
        pid=seen.pid,
        started_at=datetime.fromtimestamp(seen.started_at, UTC) if seen.started_at else None,
        packages=seen.packages,
    )
