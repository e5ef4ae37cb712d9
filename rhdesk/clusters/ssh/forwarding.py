"""A port of this machine's loopback that is a port of a host's, for as long as somebody wants it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from rhdesk.clusters.ssh.connection import Stream
from rhdesk.clusters.ssh.link import HostLink
from rhdesk.errors import BadInput, ConnectionFailed

_PIECE: Final = 1 << 16
_LOOPBACK: Final = "127.0.0.1"


async def forwarding(link: HostLink, address: str, local: int) -> AsyncGenerator[str]:
    """Listen; yields where, then a line for each connection that could not be made.

    Raises:
        BadInput: The port is taken.
    """
    said: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            stream = await link.adial(address)
        except ConnectionFailed as exc:
            said.put_nowait(f"a connection to {address} failed: {exc}")
            writer.close()
            return
        await _carry(reader, writer, stream)

    try:
        server = await asyncio.start_server(serve, _LOOPBACK, local)
    except OSError as exc:
        raise BadInput(
            f"port {local} of this machine cannot be listened on: {exc.strerror}; leave it out"
        ) from exc
    async with server:
        yield f"{_LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        while True:
            yield await said.get()


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: Stream
) -> None:
    """Both ways, until either side ends."""

    async def there() -> None:
        with suppress(OSError, EOFError):
            while data := await reader.read(_PIECE):
                await stream.write(data)
        stream.end()

    async def back() -> None:
        with suppress(OSError, EOFError):
            while data := await stream.read(_PIECE):
                writer.write(data)
                await writer.drain()
        writer.close()

    try:
        await asyncio.gather(there(), back())
    finally:
        stream.close()
        writer.close()
