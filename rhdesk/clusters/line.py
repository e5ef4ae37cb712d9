"""What it takes to speak to the servlets of one node: where its gateway is, the token, the way."""

from __future__ import annotations

import socket
from typing import Any, Protocol

import msgspec

from rhdesk.wire.routes import H_CLUSTER, H_WIRE, WIRE


class Stream(Protocol):
    """What HTTP is spoken over: a socket, or a channel of a connection that is as good as one."""

    def sendall(self, data: Any, /) -> None: ...
    def settimeout(self, timeout_s: float | None, /) -> None: ...
    def close(self) -> None: ...


class AsyncStream(Protocol):
    """The same in an event loop."""

    async def read(self, size: int) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    @property
    def is_over(self) -> bool:
        """Whether the other end, or the connection, is gone."""
        ...


class Way(Protocol):
    """How streams to addresses on a node are made; none of them is a port of this machine."""

    def dial(self, address: str) -> Stream:
        """Blocking.

        Raises:
            ConnectionFailed: The node cannot be reached now, or nobody listens there.
        """
        ...

    async def adial(self, address: str) -> AsyncStream:
        """The same, waiting for the link to the node if it is being made."""
        ...


class Line(msgspec.Struct, frozen=True):
    cluster: str
    cluster_id: str
    address: str
    """The gateway's, ``host:port``."""
    token: str
    node: str = ""
    """Empty is the head."""
    way: Way | None = None
    """None is this machine's own loopback."""

    def headers(self) -> dict[str, str]:
        return {
            "authorization": f"Bearer {self.token}",
            H_CLUSTER: self.cluster_id,
            H_WIRE: str(WIRE),
        }

    def dial(self, address: str, timeout_s: float) -> Stream:
        """A stream to ``host:port`` on the node. Blocking.

        Raises:
            OSError, ConnectionFailed: Nobody answers there.
        """
        if self.way is not None:
            return self.way.dial(address)
        host, _, port = address.rpartition(":")
        made = socket.create_connection((host, int(port)), timeout=timeout_s)
        made.settimeout(None)  # connected: from here on an answer takes as long as the run
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return made

    def __repr__(self) -> str:
        return f"Line({self.cluster!r}, {self.address!r}, token=***)"
