"""httpx over a way to another machine: its streams are channels, and no port is opened here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
import httpcore
import httpx

from rhdesk.clusters.line import AsyncStream, Way
from rhdesk.errors import ConnectionFailed, Unreachable


def transport(way: Way, limits: httpx.Limits) -> httpx.AsyncBaseTransport:
    """What an `httpx.AsyncClient` sends its requests through."""
    made = httpx.AsyncHTTPTransport(trust_env=False)
    # httpx takes no network backend of one's own, its pool does.
    made._pool = httpcore.AsyncConnectionPool(  # pyright: ignore[reportPrivateUsage]
        max_connections=limits.max_connections,
        max_keepalive_connections=limits.max_keepalive_connections,
        keepalive_expiry=limits.keepalive_expiry,
        network_backend=_Backend(way),
    )
    return made


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, way: Way) -> None:
        self._way = way

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            with anyio.fail_after(timeout):
                return _Stream(await self._way.adial(f"{host}:{port}"))
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(f"{host}:{port}") from exc
        except Unreachable:
            raise  # what the link says of itself
        except ConnectionFailed as exc:
            raise httpcore.ConnectError(str(exc)) from exc

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: AsyncStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        try:
            with anyio.fail_after(timeout):
                return await self._stream.read(max_bytes)
        except TimeoutError as exc:
            raise httpcore.ReadTimeout("no answer in time") from exc
        except (OSError, EOFError) as exc:
            raise httpcore.ReadError(str(exc)) from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if not buffer:
            return
        try:
            with anyio.fail_after(timeout):
                await self._stream.write(buffer)
        except TimeoutError as exc:
            raise httpcore.WriteTimeout("it took no more in time") from exc
        except (OSError, EOFError) as exc:
            raise httpcore.WriteError(str(exc)) from exc

    async def aclose(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        # What is readable while nothing was asked has ended: the pool then takes another one.
        return self._stream.is_over if info == "is_readable" else None
