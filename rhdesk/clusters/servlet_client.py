"""The servlets of one cluster over HTTP: the gateway for the rare verbs, an env servlet for calls."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from rhdesk.clusters.http_way import transport
from rhdesk.clusters.line import Line
from rhdesk.errors import ConnectionFailed, RhdeskError, ServletDied, Unreachable
from rhdesk.models import NodeStats, Step
from rhdesk.ports import Body
from rhdesk.wire import routes
from rhdesk.wire.frames import Frame, FrameReader, Kind
from rhdesk.wire.messages import (
    Called,
    Definition,
    EnvSeen,
    Fault,
    GoLive,
    Health,
    Keys,
    LiveSeen,
    MakeEnv,
    NodeOfRay,
    RunSeen,
    error_of,
    pack,
    unpack,
)
from rhdesk.wire.payload import Payload

_OK = 200
_BAD = 400


class ServletClient:
    """An open line to one cluster.

    Args:
        timeout_s: Seconds to wait for a connection, and for an answer that does no work.
    """

    def __init__(self, line: Line, *, timeout_s: float) -> None:
        self.line = line
        self._addresses: dict[str, str] = {}
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=16)
        self._http = httpx.AsyncClient(
            headers=line.headers(),
            timeout=httpx.Timeout(timeout_s),
            limits=limits,
            transport=transport(line.way, limits) if line.way is not None else None,
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    # ---- the gateway

    async def health(self) -> Health:
        return unpack(await self._ask("GET", self._gateway(routes.HEALTH)), Health)

    async def stats(self) -> list[NodeStats]:
        return unpack(await self._ask("GET", self._gateway(routes.STATS)), list[NodeStats])

    async def nodes(self) -> list[NodeOfRay]:
        """Every node as Ray sees it."""
        return unpack(await self._ask("GET", self._gateway(routes.NODES)), list[NodeOfRay])

    async def autostop(self, after_s: float) -> None:
        """Have it end itself after so many seconds in which nothing ran; below 0 is never."""
        await self._ask("PUT", self._gateway(routes.AUTOSTOP), content=pack(after_s))

    async def make_env(self, asked: MakeEnv) -> AsyncGenerator[Step]:
        """Make an environment; yields what it does, step by step.

        Raises:
            BadRequirement: A requirement does not exist or conflicts with another.
            SetupFailed: A step failed; `output` holds its last lines.
        """
        url = self._gateway(routes.ENVS)
        async for frame in self._stream("POST", url, content=pack(asked)):
            yield unpack(frame.body, Step)
        self._addresses.pop(asked.spec.name, None)

    async def drop_env(self, name: str) -> None:
        await self._ask("DELETE", self._gateway(routes.env(name)), timeout_s=30)
        self._addresses.pop(name, None)

    async def env(self, name: str) -> EnvSeen:
        return unpack(await self._ask("GET", self._gateway(routes.env(name))), EnvSeen)

    async def ensure_env(self, name: str) -> EnvSeen:
        """The env servlet, started again if it died. May take as long as starting does."""
        url = self._gateway(f"{routes.env(name)}/ensure")
        seen = unpack(await self._ask("POST", url, timeout_s=90), EnvSeen)
        self._addresses[name] = seen.address
        return seen

    async def address(self, env: str) -> str:
        """Where an env servlet listens, as last seen."""
        if (known := self._addresses.get(env)) is not None:
            return known
        return (await self.ensure_env(env)).address

    def forget(self, env: str) -> None:
        """Ask for the address again next time."""
        self._addresses.pop(env, None)

    async def ask_gateway(
        self, method: str, route: str, *, content: bytes = b"", timeout_s: float = 0
    ) -> bytes:
        """One question to the gateway; the body of its answer."""
        return await self._ask(method, self._gateway(route), content=content, timeout_s=timeout_s)

    # ---- an env servlet

    async def define(
        self, env: str, definition: Definition, blob: bytes, *, owner: str = ""
    ) -> str:
        """Make a function or class callable; by its name too, if nothing there has it yet."""
        head = pack(definition)
        body = struct.pack("<I", len(head)) + head + blob
        url = await self._env(env, routes.define(owner))
        return (await self._ask("PUT", url, content=body, timeout_s=60)).decode()

    async def live(self, env: str, name: str) -> LiveSeen:
        """What calls by *name* mean there.

        Raises:
            NotFound: Nothing.
        """
        url = await self._env(env, routes.live(name))
        return unpack(await self._ask("GET", url), LiveSeen)

    async def go_live(self, env: str, name: str, asked: GoLive) -> LiveSeen:
        """Have calls by *name* mean another definition; may take as long as importing it."""
        url = await self._env(env, routes.live(name))
        answer = await self._ask("PUT", url, content=pack(asked), timeout_s=360)
        return unpack(answer, LiveSeen)

    async def missing(self, env: str, hashes: Sequence[str]) -> list[str]:
        url = await self._env(env, routes.CODE_MISSING)
        return unpack(await self._ask("POST", url, content=pack(list(hashes))), list[str])

    async def put_code(
        self, env: str, tree: str, files: Mapping[str, str], blobs: Mapping[str, bytes]
    ) -> None:
        url = await self._env(env, routes.code(tree))
        await self._ask("PUT", url, content=pack((dict(files), dict(blobs))), timeout_s=300)

    async def submit(self, env: str, called: Called, payload: Body) -> RunSeen:
        """Start a run; returns once the servlet has accepted it."""
        url = await self._env(env, routes.CALL)
        headers = {routes.H_CALL: called_header(called)}
        answer = await self._ask(
            "POST", url, content=payload.to_bytes(), headers=headers, timeout_s=300
        )
        return unpack(answer, RunSeen)

    async def follow(
        self, env: str, run_id: str, *, after: int = -1, item: int = -1
    ) -> AsyncGenerator[Frame]:
        """Frames of a run from line *after* + 1 and item *item* + 1 on, until its last."""
        url = await self._env(env, f"{routes.follow(run_id, after)}&item={item}")
        async for frame in self._stream("GET", url):
            yield frame

    async def run_seen(self, env: str, run_id: str) -> RunSeen:
        return unpack(await self._ask("GET", await self._env(env, routes.run(run_id))), RunSeen)

    async def cancel(self, env: str, run_id: str, *, force: bool) -> RunSeen:
        url = await self._env(env, routes.cancel(run_id, force=force))
        return unpack(await self._ask("POST", url, timeout_s=30), RunSeen)

    async def keys(self, env: str) -> list[str]:
        return unpack(await self._ask("GET", await self._env(env, routes.OBJECTS)), list[str])

    async def put(self, env: str, key: str, payload: Payload) -> None:
        url = await self._env(env, routes.object_(key))
        await self._ask("PUT", url, content=payload.to_bytes(), timeout_s=300)

    async def get(self, env: str, key: str) -> Payload:
        url = await self._env(env, routes.object_(key))
        return Payload.read(await self._ask("GET", url, timeout_s=300))

    async def rename(self, env: str, old: str, new: str) -> None:
        url = await self._env(env, f"{routes.object_(old)}/rename")
        await self._ask("POST", url, content=pack(new))

    async def delete(self, env: str, keys: Sequence[str] | None) -> list[str]:
        """Delete keys, or with None all of them; returns those that were there."""
        url = await self._env(env, routes.OBJECTS)
        body = pack(Keys(None if keys is None else list(keys)))
        return unpack(await self._ask("DELETE", url, content=body), list[str])

    # ---- underneath

    def _gateway(self, route: str) -> str:
        return f"http://{self.line.address}{route}"

    async def _env(self, env: str, route: str) -> str:
        return f"http://{await self.address(env)}{route}"

    async def _ask(self, method: str, url: str, *, timeout_s: float = 0, **sent: Any) -> bytes:
        if timeout_s:
            sent["timeout"] = timeout_s
        try:
            return await self._asked(method, url, **sent)
        except Unreachable:
            if method != "GET":
                raise
        # A connection that was kept may have broken long ago; a question may be asked again.
        return await self._asked(method, url, **sent)

    async def _asked(self, method: str, url: str, **sent: Any) -> bytes:
        async with self._understood():
            response = await self._http.request(method, url, **sent)
            raise_fault(response.status_code, response.content)
            return response.content
        raise AssertionError("unreachable")

    async def _stream(self, method: str, url: str, **sent: Any) -> AsyncGenerator[Frame]:
        timeout = httpx.Timeout(self._http.timeout.connect, read=None)
        async with (
            self._understood(),
            self._http.stream(method, url, timeout=timeout, **sent) as response,
        ):
            if response.status_code != _OK:
                raise_fault(response.status_code, await response.aread())
            reader = FrameReader()
            async for data in response.aiter_bytes():
                for frame in reader.feed(data):
                    if frame.kind is Kind.FAULT:
                        raise error_of(unpack(frame.body, Fault))
                    yield frame

    @asynccontextmanager
    async def _understood(self) -> AsyncGenerator[None]:
        """httpx's errors end here."""
        try:
            yield
        except httpx.ConnectTimeout as exc:
            said = f"{self.line.cluster} did not answer in time"
            raise (ConnectionFailed if self.line.way is None else Unreachable)(said) from exc
        except httpx.TimeoutException as exc:
            raise ConnectionFailed(f"{self.line.cluster} did not answer in time") from exc
        except httpx.TransportError as exc:
            # On this machine only a dead process breaks a connection. From another one it is as
            # likely the network, and who asks again is told: nobody listens there where it died.
            is_away = self.line.way is not None and not isinstance(exc, httpx.ConnectError)
            said = f"the connection to {self.line.cluster} broke: {str(exc) or type(exc).__name__}"
            raise (Unreachable if is_away else ServletDied)(said) from exc


def called_header(called: Called) -> str:
    return b64encode(pack(called)).decode("ascii")


def raise_fault(status: int, body: bytes) -> None:
    """Raise the error an answer carries, if it is one."""
    if status < _BAD:
        return
    try:
        fault = unpack(body, Fault)
    except RhdeskError:
        raise ConnectionFailed(f"the servlet answered {status}: {body[:200]!r}") from None
    raise error_of(fault)
