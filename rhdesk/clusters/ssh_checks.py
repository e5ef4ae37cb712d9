"""Everything a host needs, looked at one by one, in the order in which it would be missed."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from rhdesk.clusters.bootstrap.hand import Hand, hand_on
from rhdesk.clusters.bootstrap.host import Facts, facts_of, platform_of, root_of
from rhdesk.clusters.ssh.connection import Connection
from rhdesk.clusters.ssh.opening import check_reach, open_connection
from rhdesk.clusters.ssh_cluster import SshCluster
from rhdesk.errors import ConnectionFailed, RhdeskError, UntrustedHost
from rhdesk.models import Check
from rhdesk.ports import Asks

_EACH_S: Final = 10.0
_CLOCK_S: Final = 300.0
_SHM: Final = 100_000_000

Asked = Callable[[], Awaitable[Check]]


async def examine_host(cluster: SshCluster, host: str, asks: Asks | None) -> AsyncGenerator[Check]:
    """Look at everything on one host; what needs a step that failed is not looked at.

    Nothing is raised for what is found, and nothing is changed on the host.
    """
    async with AsyncExitStack() as stack:
        looking = _Looking(cluster, host, asks, stack)
        for look in (
            looking.address, looking.port, looking.login, looking.forwarding, looking.shell,
            looking.platform, looking.place, looking.memory, looking.clock,
        ):  # fmt: skip
            check = await _bounded(look, host)
            yield check
            if not check.ok and check.what not in {"shared memory", "clock", "forwarding"}:
                return


async def _bounded(look: Asked, host: str) -> Check:
    what = look.__name__.replace("_", " ")
    try:
        async with asyncio.timeout(_EACH_S):
            return await look()
    except TimeoutError:
        return Check(
            what=what, ok=False, evidence=f"no answer within {_EACH_S:g} s",
            remedy=f"try it by hand: ssh {host}",
        )  # fmt: skip
    except RhdeskError as exc:
        cause, _, remedy = str(exc).partition(": try")
        return Check(
            what=what, ok=False, evidence=cause, remedy=remedy.strip() or _remedy(exc, host)
        )


def _remedy(error: RhdeskError, host: str) -> str:
    if isinstance(error, UntrustedHost):
        return f"rhdesk up {host} --host-key {error.fingerprint}"
    if isinstance(error, ConnectionFailed):
        return f"try it by hand: ssh {host} true"
    return ""


class _Looking:
    """The looks, each with what the one before it found."""

    def __init__(
        self, cluster: SshCluster, host: str, asks: Asks | None, stack: AsyncExitStack
    ) -> None:
        self._cluster = cluster
        self._host = host
        self._asks = asks
        self._stack = stack
        self._target = cluster.links[host].target
        self._connection: Connection | None = None
        self._hand: Hand | None = None
        self._facts: Facts | None = None

    async def address(self) -> Check:
        target = self._target
        via = f" through {', '.join(jump.host for jump in target.jumps)}" if target.jumps else ""
        seen = f"{target.user}@{target.hostname} port {target.port}{via}"
        return Check(what="address", ok=True, evidence=seen)

    async def port(self) -> Check:
        if self._target.jumps or self._target.proxy_command:
            return Check(
                what="port", ok=True, evidence="not looked at: it is reached through another"
            )
        began = time.monotonic()
        said = await check_reach(self._target)
        took_ms = (time.monotonic() - began) * 1000
        return Check(what="port", ok=True, evidence=f"{said}, after {took_ms:.0f} ms")

    async def login(self) -> Check:
        self._connection = await open_connection(self._target, self._asks)
        self._stack.callback(self._connection.close)
        trip_ms = await self._connection.ping(5.0) * 1000
        seen = (
            f"{self._target.user} is let in by {self._connection.software}, {trip_ms:.0f} ms away"
        )
        return Check(what="login", ok=True, evidence=seen)

    async def forwarding(self) -> Check:
        assert self._connection is not None, "looked at before"
        try:
            stream = await asyncio.to_thread(
                self._connection.dial, f"127.0.0.1:{self._target.port}"
            )
            stream.close()
        except ConnectionFailed as exc:
            if "forbids" in str(exc):
                cause, _, remedy = str(exc).partition("; ")
                return Check(what="forwarding", ok=False, evidence=cause, remedy=remedy)
        return Check(what="forwarding", ok=True, evidence="channels to its loopback are allowed")

    async def shell(self) -> Check:
        assert self._connection is not None, "looked at before"
        spec = self._cluster.spec
        self._hand = await self._stack.enter_async_context(
            hand_on(
                self._connection, python=spec.python, prelude=spec.prelude,
                like=(sys.version_info.major, sys.version_info.minor),
            )
        )  # fmt: skip
        python = self._hand.python
        version = ".".join(map(str, python.version))
        return Check(what="shell and Python", ok=True, evidence=f"{version} at {python.path}")

    async def platform(self) -> Check:
        assert self._hand is not None, "looked at before"
        self._facts = await facts_of(self._hand)
        found = platform_of(self._facts, self._hand.python.minor, host=self._host)
        seen = f"{self._facts.system} {found.machine}, {self._facts.libc}"
        return Check(what="platform", ok=True, evidence=seen)

    async def place(self) -> Check:
        assert self._facts is not None, "looked at before"
        root = root_of(self._facts, host=self._host)
        refused = [f"{p.path}: {p.refused}" for p in self._facts.roots if p.refused]
        seen = f"{root}{' (not ' + '; '.join(refused) + ')' if refused else ''}"
        return Check(what="place", ok=True, evidence=seen)

    async def memory(self) -> Check:
        assert self._facts is not None, "looked at before"
        megabytes = self._facts.shm // 1_000_000
        ok = self._facts.shm >= _SHM
        return Check(
            what="shared memory", ok=ok, evidence=f"{megabytes} MB free in /dev/shm",
            remedy="" if ok else "objects are kept in a folder then, which is slower; enlarge /dev/shm",
        )  # fmt: skip

    async def clock(self) -> Check:
        assert self._facts is not None, "looked at before"
        ahead_s = self._facts.time - time.time()
        ok = abs(ahead_s) < _CLOCK_S
        return Check(
            what="clock", ok=ok, evidence=f"{ahead_s:+.0f} s from this machine's",
            remedy="" if ok else "set it (chrony, timedatectl): times in logs are the host's",
        )  # fmt: skip
