"""A network that breaks on demand, between a desk and env servlets that are real processes.

What is spoken goes through streams of this process that can be cut: at once, with what is under way
lost (RST), or silently, which is noticed a moment later as a link notices it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from rhdesk.clusters.line import Line, Stream
from rhdesk.clusters.servlet_client import ServletClient
from rhdesk.errors import ConnectionFailed, ServletDied, Unreachable
from tests.integration.env_servlet import TOKEN, EnvServlet

_NOTICED_S: Final = 0.15
"""After this a silent link is known to be dead."""


class Network:
    """The way to one node."""

    def __init__(self) -> None:
        self.is_up = True
        self.streams: set[CutStream] = set()
        self.cuts = 0

    def dial(self, address: str) -> Stream:
        raise Unreachable("this network has no blocking way")

    async def adial(self, address: str) -> CutStream:
        if not self.is_up:
            await asyncio.sleep(0.01)
            raise Unreachable("node0 is not reachable: no answer")
        host, _, port = address.rpartition(":")
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except OSError as exc:
            raise ConnectionFailed(f"nobody listens on {address}") from exc
        made = CutStream(self, reader, writer)
        self.streams.add(made)
        return made

    async def cut(self, *, silent: bool) -> None:
        """Break everything that is open; nothing gets through until `join`."""
        self.is_up = False
        self.cuts += 1
        if silent:
            await asyncio.sleep(_NOTICED_S)
        for stream in list(self.streams):
            stream.abort()

    def join(self) -> None:
        self.is_up = True


class CutStream:
    def __init__(
        self, network: Network, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._network = network
        self._reader = reader
        self._writer = writer
        self._broken = asyncio.Event()

    async def read(self, size: int) -> bytes:
        reading = asyncio.ensure_future(self._reader.read(size))
        breaking = asyncio.ensure_future(self._broken.wait())
        try:
            await asyncio.wait({reading, breaking}, return_when=asyncio.FIRST_COMPLETED)
            if not self._network.is_up:
                await self._broken.wait()  # what came in is lost on the way
            if self._broken.is_set():
                raise ConnectionResetError("reset")
            return reading.result()
        finally:
            for task in (reading, breaking):
                task.cancel()
            await asyncio.gather(reading, breaking, return_exceptions=True)

    async def write(self, data: bytes) -> None:
        if self._network.is_up:
            self._writer.write(data)
            await self._writer.drain()
        elif self._broken.is_set():
            raise ConnectionResetError("reset")

    @property
    def is_over(self) -> bool:
        return self._broken.is_set() or self._reader.at_eof()

    def abort(self) -> None:
        self._broken.set()
        self.close()

    def close(self) -> None:
        self._network.streams.discard(self)
        self._writer.transport.abort()


class Nodes:
    """Env servlets, and the lines to them: what `Clusters` is to a desk."""

    def __init__(self, servlets: dict[str, EnvServlet]) -> None:
        self.networks = {name: Network() for name in servlets}
        self.gone: dict[str, str] = {}
        self.when_asked: Callable[[str], None] = lambda _: None
        self._clients: dict[str, ServletClient] = {}
        for name, servlet in servlets.items():
            # No gateway is asked for the address: the client is told it.
            line = Line("box", "c1", "127.0.0.1:1", TOKEN, name, self.networks[name])
            client = ServletClient(line, timeout_s=5)
            client._addresses["base"] = servlet.address  # pyright: ignore[reportPrivateUsage]
            self._clients[name] = client

    async def client(self, name: str, node: str = "") -> ServletClient:
        return self._clients[node or next(iter(self._clients))]

    async def revive_env(self, name: str, env: str, node: str = "") -> str:
        raise ServletDied(f"{node} does not start again")

    async def why_gone(self, name: str, node: str) -> str:
        return self.gone.get(node, "")

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
