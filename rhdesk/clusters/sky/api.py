"""What SkyPilot's server is asked, over HTTP. Its answers hold pickles: they are not opened."""

from __future__ import annotations

import os
import pwd
import re
import zlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, Self

import httpx
import msgspec

from rhdesk.clusters.sky.faults import error_from
from rhdesk.errors import ConnectionFailed, RhdeskError, SetupFailed
from rhdesk.foreign import clean

VERSION: Final = "62"
"""Of SkyPilot's HTTP interface."""
_QUICK_S: Final = 10.0
_CHANGING: Final = {"sky.launch", "sky.exec", "sky.start", "sky.stop", "sky.down"}
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster as SkyPilot has it written down."""

    name: str
    status: str
    """``INIT``, ``UP``, ``STOPPED``, ``AUTOSTOPPING``, ``PENDING``."""
    launched_at: int = 0
    nodes: int = 1
    cloud: str | None = None
    region: str | None = None
    autostop: int = -1
    to_down: bool = False
    resources_str: str | None = None
    init_status_reason: str | None = None
    user_name: str = ""

    @property
    def infra(self) -> str:
        return "/".join(part for part in ((self.cloud or "").lower(), self.region) if part)


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What SkyPilot reckons a cluster has cost."""

    name: str
    launched_at: int | None = None
    duration: float = 0.0
    total_cost: float | None = None
    status: str | None = None
    """None: it is gone."""
    cloud: str | None = None
    region: str | None = None
    resources_str: str | None = None
    user_name: str | None = None


class Api:
    """An open line; use it as a context."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        timeout = httpx.Timeout(_QUICK_S, read=None)
        headers = {"X-SkyPilot-API-Version": VERSION}
        # It is on this machine: no proxy is asked the way.
        self._http = httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=timeout, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def is_well(self) -> bool:
        try:
            answer = await self._http.get("/api/health", timeout=2.0)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and answer.json().get("status") == "healthy"

    # ---- requests: each answers with an id at once, and is followed by it

    async def request(self, path: str, **body: Any) -> str:
        """Ask for something; returns the id of the request.

        Raises:
            SetupFailed: It does not understand.
            ConnectionFailed: The server is gone.
        """
        who = pwd.getpwuid(os.getuid()).pw_name
        env = {"SKYPILOT_USER": who, "SKYPILOT_USER_ID": f"{zlib.crc32(who.encode()):08x}"}
        common = {"env_vars": env, "entrypoint": "rhdesk", "entrypoint_command": "rhdesk"}
        try:
            answer = await self._http.post(
                path, json={**common, "override_skypilot_config": {}, **body}
            )
        except httpx.HTTPError as exc:
            raise ConnectionFailed(f"SkyPilot's server does not answer: {exc}") from exc
        asked = answer.headers.get("X-Skypilot-Request-ID")
        if answer.status_code >= 400 or not asked:
            raise SetupFailed(
                f"SkyPilot's server refuses {path}: {answer.status_code} {answer.text[:300]}"
            )
        return str(asked)

    async def answer(self, request: str) -> Any:
        """What came of a request, once it is over.

        Raises:
            BadInput, NotFound, Refused, SetupFailed: It failed; as `error_from` reads it.
            ConnectionFailed: The server is gone, or was started anew and does not know it.
        """
        try:
            got = await self._http.get("/api/get", params={"request_id": request})
        except httpx.HTTPError as exc:
            raise ConnectionFailed(f"SkyPilot's server went away: {exc}") from exc
        if got.status_code == 404:
            raise ConnectionFailed("SkyPilot's server was started anew in the middle of a request")
        said = got.json()
        said = said.get("detail", said) if got.status_code >= 400 else said
        if not isinstance(said, dict):
            raise SetupFailed(f"SkyPilot's server failed: {str(said)[:300]}")
        error = msgspec.json.decode(said["error"]) if said.get("error") else None
        if error:
            raise error_from(str(error.get("type")), str(error.get("message")))
        if said.get("status") == "CANCELLED":
            raise SetupFailed("SkyPilot's request was cancelled")
        return msgspec.json.decode(said["return_value"]) if said.get("return_value") else None

    async def lines(self, request: str) -> AsyncGenerator[str]:
        """What it prints, line by line, until it is over."""
        params = {"request_id": request, "follow": "true", "format": "plain"}
        try:
            async with self._http.stream("GET", "/api/stream", params=params) as stream:
                async for line in stream.aiter_lines():
                    if text := clean(_COLOURS.sub("", line)).rstrip():
                        yield text
        except httpx.HTTPError as exc:
            raise ConnectionFailed(f"SkyPilot's server went away: {exc}") from exc

    async def ask(self, path: str, **body: Any) -> Any:
        """Ask and wait for the answer."""
        return await self.answer(await self.request(path, **body))

    async def cancel(self, request: str) -> None:
        """Have it give a request up. Machines it has begun stay: `down` comes after."""
        await self.ask("/api/cancel", request_ids=[request], user_id=None)

    # ---- what is known

    async def clusters(
        self, names: Sequence[str] | None = None, *, ask_provider: bool = False
    ) -> list[Seen]:
        """Its clusters, as it has them written down.

        Args:
            ask_provider: Whether they are there; takes seconds. One that ended by itself is in what
                is written down until somebody asks.
        """
        how = "FORCE" if ask_provider else "NONE"
        asked = {"cluster_names": names and list(names), "all_users": True, "refresh": how}
        more = {"include_credentials": False, "include_handle": False, "summary_response": True}
        found = await self.ask("/status", **asked, **more)
        return [msgspec.convert(each, Seen, strict=False) for each in found or []]

    async def price_list(self, accelerator: str, clouds: list[str] | None) -> dict[str, Any]:
        """Offers by accelerator, as SkyPilot has them written down or fetches them.

        Raises:
            ConnectionFailed: It cannot fetch one that is not here.
        """
        # It takes a regular expression.
        asked = {"gpus_only": True, "name_filter": re.escape(accelerator) or None}
        more = {"quantity_filter": None, "region_filter": None, "all_regions": False}
        found = await self.ask(
            "/list_accelerators", **asked, **more, require_price=False, clouds=clouds,
            case_sensitive=False,
        )  # fmt: skip
        return dict(found or {})

    async def at_work(self, cluster: str) -> list[str]:
        """Ids of requests for a cluster that are not over: a launch, a stop, a down."""
        params: dict[str, str | int] = {"cluster_name": cluster, "limit": 50}
        try:
            found = (await self._http.get("/api/status", params=params)).json()
        except httpx.HTTPError as exc:
            raise ConnectionFailed(f"SkyPilot's server does not answer: {exc}") from exc
        return [str(each["request_id"]) for each in found if each.get("name") in _CHANGING]

    async def is_asking(self) -> bool:
        """Whether somebody is having a provider asked how its machines are."""
        try:
            found = (await self._http.get("/api/status", params={"limit": 50})).json()
        except httpx.HTTPError as exc:
            raise ConnectionFailed(f"SkyPilot's server does not answer: {exc}") from exc
        return any(each.get("name") == "sky.status" for each in found)

    async def progress(self, cluster: str) -> str:
        """What it said last of a launch; empty for nothing yet."""
        try:
            said = await self.ask(
                "/cluster_events", cluster_name=cluster, event_type="LAUNCH_PROGRESS"
            )
        except RhdeskError:
            return ""
        return clean(str(said[-1])) if said else ""

    async def spent(self, days: int) -> list[Spent]:
        found = await self.ask("/cost_report", days=days)
        return [msgspec.convert(each, Spent, strict=False) for each in found or []]

    async def enabled(self) -> list[str]:
        """Providers whose credentials were good when it last looked, in small letters."""
        try:
            answer = await self._http.get("/enabled_clouds")
        except httpx.HTTPError as exc:
            raise ConnectionFailed(f"SkyPilot's server does not answer: {exc}") from exc
        return [str(each).lower() for each in await self.answer(
            answer.headers["X-Skypilot-Request-ID"]
        )]  # fmt: skip
