"""The link to one host: a connection that is made anew when it breaks, for as long as it is wanted.

Its state is for everybody to see. Whoever needs the host waits for it here, or is told at once that it
is away; nobody has to do anything when it comes back.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from anyio import to_thread

from rhdesk.clusters.ssh.config import Target
from rhdesk.clusters.ssh.connection import Connection, Stream
from rhdesk.clusters.ssh.opening import open_connection
from rhdesk.errors import ConnectionFailed, Refused, Unreachable
from rhdesk.models import Link
from rhdesk.ports import Asks

_FIRST_S: Final = 0.2
_LONGEST_S: Final = 2.0
"""Between two tries to connect again: a network that is back is used within two seconds."""
_SIGN_S: Final = 5.0
"""A host that gives no sign of life for so long while somebody waits is away."""
_SLEPT_S: Final = 15.0
"""A step of the clock that long means that this machine was asleep: look before believing."""


class HostLink:
    """Safe to use from the loop it was made in; `dial` from any thread.

    Args:
        asks: Who answers when the link is made the first time.
        host_key: The fingerprint to accept where the host is not known yet.
    """

    def __init__(self, target: Target, asks: Asks | None = None, *, host_key: str = "") -> None:
        self.target = target
        self.state = Link.NONE
        self.since: datetime | None = None
        self.why = ""
        self.round_trip_s = 0.0
        self._asks = asks
        self._host_key = host_key
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._watchers: list[Callable[[], None]] = []
        self._is_closed = False

    async def aclose(self) -> None:
        self._is_closed = True
        for task in (self._keeping, self._connecting):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, ConnectionFailed, Refused):
                    await task
        if self._connection is not None:
            self._connection.close()

    def on_change(self, tell: Callable[[], None]) -> None:
        """Have *tell* called whenever the state changes."""
        self._watchers.append(tell)

    async def connection(self) -> Connection:
        """The connection that is up, made first if there is none.

        Raises:
            ConnectionFailed, UntrustedHost, Refused: As `open_connection`; ConnectionFailed also where
                the link is closed meanwhile.
        """
        if self._connection is not None and self._connection.is_open:
            return self._connection
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        connecting = self._connecting
        try:
            # Shielded: one that gives up waiting does not end it for the others.
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            if connecting.cancelled() and waiting is not None and not waiting.cancelling():
                raise ConnectionFailed(
                    f"the link to {self.target.host} was closed while it was being made"
                ) from None
            raise

    def dial(self, address: str) -> Stream:
        """A stream to ``host:port`` on the host, through the connection that is up. Blocking.

        Raises:
            Unreachable: The link is down; it is being made anew.
        """
        connection = self._connection
        if connection is None or not connection.is_open:
            raise Unreachable(self._said())
        return connection.dial(address)

    async def adial(self, address: str) -> Stream:
        """The same; waits for the link where it is being made."""
        try:
            connection = await self.connection()
        except ConnectionFailed as exc:
            raise Unreachable(self._said()) from exc
        try:
            return await to_thread.run_sync(connection.dial, address)
        except ConnectionFailed as exc:
            if connection.is_open:
                raise  # the host is there; nobody listens
            raise Unreachable(str(exc)) from exc

    async def _connect(self) -> Connection:
        self._become(Link.CONNECTING)
        try:
            made = await open_connection(self.target, self._asks, host_key=self._host_key)
            self.round_trip_s = await made.ping(_SIGN_S)
        except (ConnectionFailed, Refused) as exc:
            self._become(Link.BROKEN, str(exc))
            raise
        self._connection = made
        self._become(Link.CONNECTED)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.get_running_loop().create_task(self._keep())
        return made

    async def _keep(self) -> None:
        """Look for signs of life; make the connection anew when it is gone."""
        tries = 0
        while not self._is_closed:
            slept = await self._rest(self.target.alive_s if not tries else self._pause(tries))
            try:
                connection = self._connection
                if connection is None or not connection.is_open:
                    self._become(Link.BROKEN, self.why or "the connection broke")
                    await self.connection()
                else:
                    self.round_trip_s = await connection.ping(2.0 if slept else _SIGN_S)
                tries = 0
            except (ConnectionFailed, Refused) as exc:
                self._become(Link.BROKEN, str(exc))
                tries += 1

    async def _rest(self, seconds: float) -> bool:
        """Wait, or until the connection breaks; whether this machine slept meanwhile."""
        began, wall = time.monotonic(), time.time()
        while time.monotonic() - began < seconds:
            connection = self._connection
            is_up = connection is not None and connection.is_open
            if self.state is Link.CONNECTED and not is_up:
                break
            await asyncio.sleep(min(0.1, seconds))
        return (time.time() - wall) - (time.monotonic() - began) > _SLEPT_S

    def _pause(self, tries: int) -> float:
        longest = min(_LONGEST_S, _FIRST_S * 2 ** min(tries, 8))
        return float(longest * random.uniform(0.7, 1.0))

    def _become(self, state: Link, why: str = "") -> None:
        self.why = why
        if state is Link.CONNECTING and self.state is Link.BROKEN:
            return  # it is away until it is back
        if state is self.state:
            return
        self.state, self.since = state, datetime.now(UTC)
        for tell in self._watchers:
            tell()

    def _said(self) -> str:
        since = f" since {self.since:%H:%M:%S} UTC" if self.since else ""
        return (
            f"{self.target.host} is not reachable{since}: {self.why or 'not connected'}; "
            "it is tried again"
        )
