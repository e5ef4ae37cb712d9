"""The remote store over HTTP: the protocol of `rhdesk.wire.store`, and what can go wrong on the way.

Nothing here decides anything: an answer of the store becomes the message it is, and everything
else becomes an error that says whether trying again can help.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

import httpx
import msgspec

from rhdesk.errors import AlreadyExists, BadInput, ConnectionFailed, NotFound, Refused
from rhdesk.foreign import clean
from rhdesk.sync.account import Token
from rhdesk.wire.store import (
    API,
    API_HEADER,
    OLDEST_API,
    About,
    Answer,
    Based,
    ChangesPage,
    Fault,
    Gone,
    Grant,
    Invalid,
    ListingPage,
    Put,
    VersionsPage,
)

T = TypeVar("T")

_OK: Final = 200
_DONE: Final = 204
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_BAD: Final = 400
_NOT_FOUND: Final = 404
_REQUEST_TIMEOUT: Final = 408
_CONFLICT: Final = 409
_GONE: Final = 410
_STALE: Final = 412
_TOO_LARGE: Final = 413
_INVALID: Final = 422
_TOO_EARLY: Final = 425
_UPGRADE: Final = 426
_TOO_MANY: Final = 429
_SERVER: Final = 500
_PAUSES: Final = {_REQUEST_TIMEOUT, _TOO_EARLY, _TOO_MANY}
_FINAL: Final = {_BAD, _TOO_LARGE, _INVALID}
_ANSWERS: Final = {_OK, _FORBIDDEN, _CONFLICT, _STALE, *_FINAL}
_LONGEST_PAUSE_S: Final = 600.0
_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of an answer at most."""


class TryLater(ConnectionFailed):
    """The store is there, and asks for a pause.

    Attributes:
        after_s: How long at least; 0 where it did not say.
    """

    def __init__(self, message: str, *, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class TooMuch(ConnectionFailed):
    """An answer is larger than is taken in; one to a smaller question may not be."""


class _Heard(NamedTuple):
    status: int
    headers: httpx.Headers
    body: bytes


class Remote:
    """An open line to one store, as one person.

    Args:
        timeout_s: Seconds to wait for a connection, and for each piece of an answer.
        verify: What the store's certificate is checked with; by default what this machine trusts.
    """

    def __init__(
        self, url: str, token: Token, *, timeout_s: float, verify: ssl.SSLContext | None = None
    ) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(
            headers={
                "Authorization": f"Bearer {token.reveal()}",
                API_HEADER: f"{API};min={OLDEST_API}",
                "Accept": "application/json",
            },
            timeout=httpx.Timeout(timeout_s),
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=8),
            verify=(verify or ssl.create_default_context()) if url.startswith("https") else True,
            # A redirect would carry the token to wherever it points; proxies of the environment
            # are no business of a store on this machine.
            follow_redirects=False,
            trust_env=url.startswith("https"),
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def about(self) -> About:
        """Which store this is, and as whom it knows us."""
        return _read(await self._ask("GET", "/v1/about"), _ABOUT, self.url)

    # ---- records

    async def put(self, rid: str, op_id: str, based: Based, put: Put) -> Answer:
        headers = {
            "Idempotency-Key": op_id,
            "Content-Type": "application/json",
            **({"If-Match": based.etag} if based.rev else {"If-None-Match": "*"}),
        }
        heard = await self._ask(
            "PUT",
            f"/v1/r/{rid}",
            content=msgspec.json.encode(put),
            headers=headers,
            expected=_ANSWERS,
        )
        try:
            return _ANSWER.decode(heard.body)
        except msgspec.DecodeError:
            if heard.status in _FINAL:
                return Invalid(_said(heard.body) or f"the store answers {heard.status}")
            self._raise_fault(heard)

    async def changes(
        self, epoch: str, since: int, *, limit: int = 500, wait_s: float = 0.0
    ) -> ChangesPage | Gone:
        """What happened after *since*; waits so long for something to happen."""
        asked = {"epoch": epoch, "since": since, "limit": limit, "wait": wait_s}
        heard = await self._ask(
            "GET",
            "/v1/changes",
            params=asked,
            timeout=httpx.Timeout(self._timeout_s, read=self._timeout_s + wait_s),
            expected={_OK, _GONE},
        )
        return _read(heard, _CHANGES, self.url)

    async def listing(self, after: str = "", *, limit: int = 500) -> ListingPage:
        heard = await self._ask("GET", "/v1/listing", params={"after": after, "limit": limit})
        return _read(heard, _LISTING, self.url)

    async def versions(
        self, rid: str, *, before: int = 0, limit: int = 500
    ) -> VersionsPage | None:
        """Revisions, newest first; None where there is no such resource for us."""
        heard = await self._ask(
            "GET",
            f"/v1/r/{rid}/versions",
            params={"before": before, "limit": limit},
            expected={_OK, _NOT_FOUND},
        )
        return None if heard.status == _NOT_FOUND else _read(heard, _VERSIONS, self.url)

    # ---- code

    async def has_blob(self, digest: str) -> bool:
        heard = await self._ask("HEAD", f"/v1/blobs/{digest}", expected={_OK, _NOT_FOUND})
        return heard.status == _OK

    async def put_blob(self, digest: str, data: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        path = f"/v1/blobs/{digest}"
        await self._ask(
            "PUT", path, content=data, headers=headers, timeout=300.0, expected={_DONE}
        )

    async def blob(self, digest: str) -> bytes:
        """A file of code by its hash.

        Raises:
            NotFound: The store does not have it.
        """
        heard = await self._ask(
            "GET", f"/v1/blobs/{digest}", timeout=300.0, expected={_OK, _NOT_FOUND}
        )
        if heard.status == _NOT_FOUND:
            raise NotFound(digest[:12], kind="file of code in the store")
        return heard.body

    # ---- who may

    async def grants(self, folder: str) -> list[Grant]:
        heard = await self._ask("GET", "/v1/grants", params={"folder": folder})
        return _read(heard, _GRANTS, self.url)

    async def grant(self, grant: Grant) -> None:
        """Let somebody do something in a folder and below.

        Raises:
            Refused: Whoever asks is not admin there.
            NotFound: The store has no such user.
        """
        heard = await self._ask(
            "PUT",
            "/v1/grants",
            content=msgspec.json.encode(grant),
            headers={"Content-Type": "application/json"},
            expected={_DONE, _NOT_FOUND},
        )
        if heard.status == _NOT_FOUND:
            raise NotFound(grant.principal, kind="user of the store")

    # ---- the team

    async def team(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: msgspec.Struct | None = None,
        **given: str | int,
    ) -> T:
        """Ask one of the routes about people; they say in an error's code what it is.

        Raises:
            NotFound: There is no such group, person, name, lane or secret.
            AlreadyExists: The name is taken, or was changed by somebody else.
            Refused, BadInput, ConnectionFailed: As every question.
        """
        sent: dict[str, Any] = {"params": given} if given else {}
        if body is not None:
            sent["content"] = msgspec.json.encode(body)
            sent["headers"] = {"Content-Type": "application/json"}
        heard = await self._ask(
            method, path, expected={_OK, _DONE, _NOT_FOUND, _CONFLICT, _INVALID}, **sent
        )
        if heard.status in (_NOT_FOUND, _CONFLICT, _INVALID):
            _raise_told(heard.body, heard.status, self.url)
        data = heard.body if heard.status == _OK else b"null"
        return _read(heard._replace(body=data), msgspec.json.Decoder(kind), self.url)

    # ---- underneath

    async def _ask(
        self, method: str, path: str, *, expected: Collection[int] = (_OK,), **sent: Any
    ) -> _Heard:
        async with (
            self._understood(),
            self._http.stream(method, f"{self.url}{path}", **sent) as response,
        ):
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _LARGEST:
                    raise TooMuch(f"{self.url} answers more than {_LARGEST:,} bytes at once")
            heard = _Heard(response.status_code, response.headers, bytes(body))
        if heard.status not in expected:
            self._raise_fault(heard)
        return heard

    @asynccontextmanager
    async def _understood(self) -> AsyncGenerator[None]:
        """httpx's errors end here."""
        try:
            yield
        except httpx.TimeoutException as exc:
            raise ConnectionFailed(f"{self.url} did not answer in time") from exc
        except httpx.ConnectError as exc:
            if "CERTIFICATE" in str(exc).upper():
                raise Refused(
                    f"{self.url} shows a certificate this machine does not trust: {exc}; "
                    "if it is your own, name its file in SSL_CERT_FILE"
                ) from exc
            raise ConnectionFailed(f"{self.url} cannot be reached: {_told(exc)}") from exc
        except httpx.TransportError as exc:
            raise ConnectionFailed(f"the line to {self.url} broke: {_told(exc)}") from exc
        except (httpx.InvalidURL, httpx.DecodingError) as exc:
            raise ConnectionFailed(f"{self.url} is not spoken to: {_told(exc)}") from exc

    def _raise_fault(self, heard: _Heard) -> NoReturn:
        said = _said(heard.body)
        if heard.status == _UPGRADE:
            raise Refused(
                f"{self.url} and this rhdesk speak no common protocol (here: {OLDEST_API} to {API})"
                f"{f': {said}' if said else ''}; bring the older of the two up to date"
            )
        if heard.status == _UNAUTHORIZED:
            raise Refused(
                f"{self.url} does not know this token, or no longer; "
                f"log in with another: rhdesk login {self.url}"
            )
        if heard.status == _FORBIDDEN:
            raise Refused(f"{self.url} refuses: {said or 'it does not say why'}")
        if heard.status in _PAUSES or heard.status >= _SERVER:
            raise TryLater(
                f"{self.url} cannot answer now ({heard.status}{f': {said}' if said else ''})",
                after_s=_pause(heard.headers.get("Retry-After", "")),
            )
        if _OK < heard.status < _BAD:
            raise ConnectionFailed(
                f"{self.url} points elsewhere ({heard.status}); log in with the address it has now"
            )
        if heard.status == _NOT_FOUND:
            raise BadInput(
                f"{self.url} has nothing where a store of rhdesk has its routes; "
                "is the address right?"
            )
        raise BadInput(f"{self.url} refuses ({heard.status}): {said or 'it does not say why'}")


_ABOUT: Final = msgspec.json.Decoder(About)
_ANSWER: Final[msgspec.json.Decoder[Answer]] = msgspec.json.Decoder(Answer)
_CHANGES: Final[msgspec.json.Decoder[ChangesPage | Gone]] = msgspec.json.Decoder(
    ChangesPage | Gone
)
_LISTING: Final = msgspec.json.Decoder(ListingPage)
_VERSIONS: Final = msgspec.json.Decoder(VersionsPage)
_GRANTS: Final = msgspec.json.Decoder(list[Grant])


def _read(heard: _Heard, decoder: msgspec.json.Decoder[T], url: str) -> T:
    try:
        return decoder.decode(heard.body)
    except msgspec.DecodeError as exc:
        raise ConnectionFailed(f"{url} answers what no store of rhdesk answers: {exc}") from exc


def _said(body: bytes) -> str:
    """The sentence of an answer that is not what was asked for."""
    try:
        return clean(msgspec.json.decode(body, type=Fault).message)
    except msgspec.DecodeError:
        return ""


def _raise_told(body: bytes, status: int, url: str) -> NoReturn:
    said = _said(body) or f"{url} answers {status}"
    if status == _CONFLICT:
        raise AlreadyExists(said)
    if status == _NOT_FOUND:
        raise NotFound.told(said)
    raise BadInput(said)


def _told(error: Exception) -> str:
    return clean(str(error)) or type(error).__name__


def _pause(text: str) -> float:
    """Seconds of a ``Retry-After``; a date counts as not said: clocks differ."""
    return min(float(text), _LONGEST_PAUSE_S) if text.strip().isdecimal() else 0.0
