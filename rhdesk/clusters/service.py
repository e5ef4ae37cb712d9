"""The clusters a desk knows: bring up and down, look, and keep one open line to each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Final

import msgspec

from rhdesk.clusters.here import NAME, Here
from rhdesk.clusters.line import Line
from rhdesk.clusters.servlet_client import ServletClient
from rhdesk.errors import ConnectionFailed, NotFound
from rhdesk.models import Cluster, ClusterState, Env, Step
from rhdesk.wire.messages import EnvSeen, Health

_LOOK_S: Final = 2.0
"""No question about a cluster's state takes longer."""
_RESTART_S: Final = 15.0
"""How long a gateway that died has to be started again by Ray."""


class Clusters:
    """Every cluster of the desk; `here` is always one.

    Args:
        timeout_s: Seconds to wait for a servlet to answer, per attempt.
    """

    def __init__(self, here: Here, *, timeout_s: float) -> None:
        self._here = here
        self._timeout_s = timeout_s
        self._clients: dict[str, ServletClient] = {}

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def names(self) -> list[str]:
        return [NAME]

    async def up(self, name: str) -> AsyncGenerator[Step]:
        async for step in self._known(name).up():
            yield step

    async def down(self, name: str) -> AsyncGenerator[Step]:
        if (client := self._clients.pop(name, None)) is not None:
            await client.aclose()
        async for step in self._known(name).down():
            yield step

    async def look(self, name: str) -> Cluster:
        """Its state, asked for at most two seconds; never raises for one that is down."""
        cluster = self._known(name).look()
        if cluster.state is not ClusterState.UP:
            return cluster
        try:
            async with asyncio.timeout(_LOOK_S):
                health = await (await self.client(name)).health()
        except (TimeoutError, ConnectionFailed) as exc:
            why = f"its gateway does not answer: {str(exc) or 'no answer in time'}"
            return msgspec.structs.replace(cluster, state=ClusterState.BROKEN, why=why)
        return msgspec.structs.replace(
            cluster, cpus=health.cpus, envs=tuple(env.name for env in health.envs)
        )

    async def envs(self, name: str) -> list[Env]:
        health = await self.health(name)
        return [_env(name, seen) for seen in health.envs]

    async def health(self, name: str) -> Health:
        return await (await self.client(name)).health()

    def line(self, name: str) -> Line:
        """How to speak to it.

        Raises:
            ConnectionFailed: It is not up.
        """
        return self._known(name).line()

    def why_broken(self, name: str) -> str:
        """Which of its processes is gone; empty when all are there, or it is down."""
        return self._known(name).why_broken()

    async def client(self, name: str) -> ServletClient:
        """The open line; opened anew when the cluster came up again since.

        Raises:
            ConnectionFailed: It is not up.
        """
        line = self.line(name)
        client = self._clients.get(name)
        if client is not None and client.line == line:
            return client
        if client is not None:
            await client.aclose()
        client = self._clients[name] = ServletClient(line, timeout_s=self._timeout_s)
        return client

    async def revive_env(self, name: str, env: str) -> str:
        """Have an env servlet that stopped answering started again; returns why it had.

        The gateway may have died with it, or instead of it: Ray starts it again in a moment.

        Raises:
            ConnectionFailed: The cluster itself is broken, or its gateway does not come back.
        """
        give_up = time.monotonic() + _RESTART_S
        while True:
            client = await self.client(name)  # raises at once when Ray's own processes are gone
            client.forget(env)
            try:
                why = (await client.env(env)).why
                await client.ensure_env(env)
            except ConnectionFailed:
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(0.2)
            else:
                return why

    def _known(self, name: str) -> Here:
        if name != NAME:
            raise NotFound(name, kind="cluster", near=self.names())
        return self._here


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
