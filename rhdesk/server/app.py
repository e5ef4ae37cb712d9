"""The store as an ASGI application: from HTTP to its rules, and back.

Who asks is settled before anything else, for every path there is or is not. The database is used
in threads, a few at a time; what waits for news waits here and holds none.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import anyio
import msgspec
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from rhdesk.access.levels import Level
from rhdesk.errors import BadInput, NotFound, Refused, RhdeskError
from rhdesk.server import openapi
from rhdesk.server.bounds import read_folder, refuse_monstrous
from rhdesk.server.narrowed import Narrowed
from rhdesk.server.route import Route
from rhdesk.server.routes import (
    LARGEST_BLOB,
    LARGEST_BODY,
    LONGEST_WAIT_S,
    MOST_ROWS,
    ROUTES,
)
from rhdesk.server.sql import SqlDatabase
from rhdesk.server.store import Store
from rhdesk.server.team import Asked, Team
from rhdesk.server.tokens import Accounts, Caller
from rhdesk.wire.store import (
    API,
    API_HEADER,
    OLDEST_API,
    About,
    Accepted,
    Based,
    ChangesPage,
    Denied,
    Fault,
    Gone,
    Grant,
    Invalid,
    Put,
    Stale,
)

T = TypeVar("T")

THREADS: Final = 8
"""Of the database at once."""
MOST_WAITING: Final = 8
"""Requests of one token that wait for news at once."""
_DENIED_EVERY_S: Final = 60.0
_MOST_DENIED: Final = 10_000
_LOOK_S: Final = 1.0
"""News that another server wrote is seen after so long."""
_SLOWEST_BODY_S: Final = 60.0
"""Until a request's body is here."""
_STATUS: Final[dict[type, int]] = {Accepted: 200, Denied: 403, Stale: 412, Invalid: 422}


class Handlers:
    """What answers each route; `rhdesk.server.routes` says which."""

    def __init__(self, database: SqlDatabase) -> None:
        self.accounts = Accounts(database)
        self.team = Team(database)
        self.counted: Counter[tuple[str, int]] = Counter()
        self.waiting: Counter[str] = Counter()
        self._database = database
        self._threads = anyio.CapacityLimiter(THREADS)
        self._news = asyncio.Event()
        self._ended_at = 0.0
        self._denied_at: dict[tuple[str, str], float] = {}

    def store(self, caller: Caller) -> Store:
        """The store as far as the caller's token reaches."""
        return Store(Narrowed(self._database, caller.folder))

    async def ask_team(self, route: Route, request: Request, caller: Caller) -> Response:
        """What `rhdesk.server.team` answers; of what it did, everybody hears."""
        body = None
        if route.takes is not None:
            body = _convert(await _body(request, object), route.takes)
        given = {**request.query_params, **request.path_params}
        for parameter in route.parameters:
            if parameter.required and not given.get(parameter.name):
                raise BadInput(f"say the {parameter.name}: {route.path}")
        verb: Callable[[Asked], Any] = getattr(self.team, route.name)
        value = await self.ask(lambda: verb(Asked(caller, given, body)))
        if route.method != "GET":
            self._tell()
        return Response(status_code=204) if value is None else _json(value)

    async def ask(self, work: Callable[[], T]) -> T:
        """Do *work* at the database, in a thread."""
        return await run_sync(work, limiter=self._threads)

    async def note_denied(self, caller: Caller, route: Route, path: str) -> None:
        """Write down that somebody was refused; once a minute for each token and route, so that
        nobody fills the audit with it."""
        now = asyncio.get_running_loop().time()
        if now - self._denied_at.get((caller.token_id, route.name), -_DENIED_EVERY_S) < (
            _DENIED_EVERY_S
        ):
            return
        if len(self._denied_at) >= _MOST_DENIED:
            self._denied_at.clear()
        self._denied_at[caller.token_id, route.name] = now

        def note() -> None:
            with self._database.writing() as t:
                t.note(0, caller.user, "denied", path, f"{route.name}, token {caller.token_id}")

        with suppress(RhdeskError):  # they were refused in any case
            await self.ask(note)

    async def caller(self, request: Request) -> Caller:
        """Who asks, by a token that is good now."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise _fault(401, "refused", "say who you are: Authorization: Bearer <token>")
        try:
            return await self.ask(lambda: self.accounts.caller(token.strip()))
        except Refused as exc:
            raise _fault(401, exc.code, str(exc)) from exc

    # ---- records

    async def about(self, request: Request, caller: Caller) -> Response:
        epoch = await self.ask(self._epoch)
        return _json(About(epoch=epoch, user=caller.user, folder=f"/{caller.user}"))

    async def resource(self, request: Request, caller: Caller) -> Response:
        rid = _matching(request, "rid")
        # The epoch first: should a restore come between, the ETag is of an epoch that is over,
        # and a write made on it is refused.
        epoch = await self.ask(self._epoch)
        found = await self.ask(lambda: self.store(caller).resource(caller.user, rid))
        if found is None:
            raise NotFound(rid, kind="resource")
        etag = Based(epoch, found.rev).etag
        if request.headers.get("If-None-Match") == etag:
            return Response(status_code=304, headers={"ETag": etag})
        return _json(found, headers={"ETag": etag})

    async def put(self, request: Request, caller: Caller) -> Response:
        put = await _body(request, Put)
        refuse_monstrous(put)
        return await self._write(request, caller, put)

    async def delete(self, request: Request, caller: Caller) -> Response:
        return await self._write(request, caller, Put())

    async def _write(self, request: Request, caller: Caller, put: Put) -> Response:
        rid = _matching(request, "rid")
        op_id = request.headers.get("Idempotency-Key")
        if op_id is None:
            raise _fault(
                428, "precondition", "a write wants an Idempotency-Key of its own: a UUID"
            )
        if not re.fullmatch(r"[0-9A-Za-z_-]{8,64}", op_id):
            raise BadInput("a write wants an Idempotency-Key of 8 to 64 letters and digits")
        based = _based(request)
        answer = await self.ask(
            lambda: self.store(caller).put(caller.user, rid, op_id, based, put)
        )
        headers = {}
        if isinstance(answer, Accepted):
            headers["ETag"] = Based(answer.epoch, answer.rev).etag
            self._tell()
        return _json(answer, status=_STATUS.get(type(answer), 409), headers=headers)

    async def versions(self, request: Request, caller: Caller) -> Response:
        rid, before, limit = (
            _matching(request, "rid"),
            _number(request, "before", 0),
            _limit(request),
        )
        page = await self.ask(lambda: self.store(caller).versions(caller.user, rid, before, limit))
        if page is None:
            raise NotFound(rid, kind="resource")
        return _json(page)

    # ---- the feed

    async def changes(self, request: Request, caller: Caller) -> Response:
        epoch, since, limit = (
            request.query_params.get("epoch"),
            _number(request, "since"),
            _limit(request),
        )
        if epoch is None or len(epoch) > 64:
            raise BadInput("say the epoch: /v1/changes?epoch=0a1b&since=12")
        wait_s = _seconds(request, "wait")
        if wait_s and self.waiting[caller.token_id] >= MOST_WAITING:
            raise _fault(429, "busy", f"{MOST_WAITING} requests of this token wait already", 5)
        self.waiting[caller.token_id] += 1
        try:
            page = await self._news_since(request, epoch, since, limit, wait_s)
        finally:
            self.waiting[caller.token_id] -= 1
            self.waiting += Counter()  # drops those who have none any more
        return _json(page, status=410 if isinstance(page, Gone) else 200)

    async def _news_since(
        self, request: Request, epoch: str, since: int, limit: int, wait_s: float
    ) -> ChangesPage | Gone:
        caller: Caller = request.scope["caller"]
        until = asyncio.get_running_loop().time() + wait_s
        while True:
            news = self._news
            await self._end_what_is_over()
            page = await self.ask(
                lambda: self.store(caller).changes(caller.user, epoch, since, limit)
            )
            left_s = until - asyncio.get_running_loop().time()
            if isinstance(page, Gone) or page.rows or page.more or left_s <= 0:
                return page
            if await request.is_disconnected():
                raise ClientDisconnect
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _LOOK_S)):
                    await news.wait()
            # The token may have been revoked, or its time be over, since the request came.
            await self.caller(request)

    async def _end_what_is_over(self) -> None:
        """Grants whose time is over: once a second, whoever waits for news."""
        now = asyncio.get_running_loop().time()
        if now - self._ended_at >= _LOOK_S:
            self._ended_at = now
            with suppress(RhdeskError):  # such a grant gives nothing in any case
                if await self.ask(self.team.groups.end_what_is_over):
                    self._tell()

    def _tell(self) -> None:
        """Wake who waits for news."""
        self._news.set()
        self._news = asyncio.Event()

    async def listing(self, request: Request, caller: Caller) -> Response:
        after, limit = request.query_params.get("after", ""), _limit(request)
        if not re.fullmatch(r"[0-9A-Za-z_-]{0,64}", after):
            raise BadInput("after is the rid a page ended with")
        return _json(await self.ask(lambda: self.store(caller).listing(caller.user, after, limit)))

    # ---- code

    async def has_blob(self, request: Request, caller: Caller) -> Response:
        return Response(status_code=200 if await self._blob(request) is not None else 404)

    async def blob(self, request: Request, caller: Caller) -> Response:
        data = await self._blob(request)
        if data is None:
            raise NotFound(request.path_params["digest"], kind="file of code")
        return Response(data, media_type="application/octet-stream")

    async def put_blob(self, request: Request, caller: Caller) -> Response:
        digest = _matching(request, "digest")
        data = await _bytes(request, LARGEST_BLOB)
        if hashlib.sha256(data).hexdigest() != digest:
            raise BadInput("the digest is not that of the bytes")

        def keep() -> None:
            with self._database.writing() as t:
                t.keep_blob(digest, data)

        await self.ask(keep)
        return Response(status_code=204)

    async def _blob(self, request: Request) -> bytes | None:
        digest = _matching(request, "digest")

        def read() -> bytes | None:
            with self._database.reading() as t:
                return t.blob(digest)

        return await self.ask(read)

    # ---- who may

    async def grants(self, request: Request, caller: Caller) -> Response:
        folder = read_folder(request.query_params.get("folder", ""))
        found = await self.ask(lambda: self.store(caller).grants_in(caller.user, folder))
        if isinstance(found, Denied):
            raise Refused(found.reason)
        rows = [
            Grant(principal=principal, folder=folder, level=level.name.lower())
            for principal, level in sorted(found.items())
        ]
        return _json(rows)

    async def grant(self, request: Request, caller: Caller) -> Response:
        asked = await _body(request, Grant)
        folder = read_folder(asked.folder)
        if asked.level.upper() not in Level.__members__:
            levels = ", ".join(level.name.lower() for level in Level)
            raise BadInput(f"{asked.level!r} is no level; levels are {levels}")
        await self.ask(lambda: self.team.groups.know(asked.principal))
        level = Level[asked.level.upper()]
        done = await self.ask(
            lambda: self.store(caller).grant(caller.user, asked.principal, folder, level)
        )
        if isinstance(done, Denied):
            raise Refused(done.reason)
        self._tell()
        return Response(status_code=204)

    # ---- about the server

    async def openapi(self, request: Request, caller: Caller) -> Response:
        return _json(openapi.document())

    async def health(self, request: Request, caller: Caller) -> Response:
        return _json({"status": "ok", "epoch": await self.ask(self._epoch)})

    async def metrics(self, request: Request, caller: Caller) -> Response:
        def read() -> tuple[int, int]:
            with self._database.reading() as t:
                live = t.execute("SELECT count(*) FROM resource WHERE live = 1", ()).fetchone()
                return t.head().seq, int(live[0])

        seq, live = await self.ask(read)
        lines = [
            "# TYPE rhdesk_requests_total counter",
            *(
                f'rhdesk_requests_total{{route="{route}",status="{status}"}} {count}'
                for (route, status), count in sorted(self.counted.items())
            ),
            "# TYPE rhdesk_waiting gauge",
            f"rhdesk_waiting {sum(self.waiting.values())}",
            "# TYPE rhdesk_seq counter",
            f"rhdesk_seq {seq}",
            "# TYPE rhdesk_resources gauge",
            f"rhdesk_resources {live}",
        ]
        return Response("\n".join(lines) + "\n", media_type="text/plain")

    def _epoch(self) -> str:
        with self._database.reading() as t:
            return t.head().epoch


def application(database: SqlDatabase) -> ASGIApp:
    """The store over *database*, as any ASGI server runs it."""
    handlers = Handlers(database)
    app = Starlette(
        routes=[_path(handlers, path) for path in dict.fromkeys(route.path for route in ROUTES)],
        exception_handlers={HTTPException: _not_routed},
    )
    return _Doorman(app, handlers)


class _Doorman:
    """Nobody comes in without a token, whatever they ask for."""

    def __init__(self, app: ASGIApp, handlers: Handlers) -> None:
        self._app = app
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            caller = scope["caller"] = await self._handlers.caller(request)
            _refuse_other_protocols(request.headers.get(API_HEADER, ""))
        except Exception as exc:  # noqa: BLE001 - the outermost edge; what is no answer is logged
            await _answer_of(exc)(scope, receive, send)
            return
        await self._app(scope, receive, send)
        # Behind the answer: nobody waits for it, and a full disk keeps nobody from reading.
        with suppress(RhdeskError):
            await self._handlers.ask(lambda: self._handlers.accounts.note_use(caller))


def _path(handlers: Handlers, path: str) -> StarletteRoute:
    """All that a path answers to; what it does not is told with what it does."""
    methods = {route.method: route for route in ROUTES if route.path == path}

    async def endpoint(request: Request) -> Response:
        return await _answer(handlers, methods[request.method], request)

    made = StarletteRoute(path, endpoint, methods=list(methods))
    # Starlette lets HEAD in wherever GET is; here each method is a route of its own.
    made.methods = set(methods)
    return made


async def _answer(handlers: Handlers, route: Route, request: Request) -> Response:
    caller: Caller = request.scope["caller"]
    try:
        if not caller.may(route.scope):
            raise Refused(f"this token is for {caller.scope}; {route.path} wants {route.scope}")
        if route.of_team:
            response = await handlers.ask_team(route, request, caller)
        else:
            verb: Callable[[Request, Caller], Awaitable[Response]] = getattr(handlers, route.name)
            response = await verb(request, caller)
    except ClientDisconnect:
        response = Response(status_code=400)
    except Exception as exc:  # noqa: BLE001 - the outermost edge; what is no answer is logged
        response = _answer_of(exc)
    handlers.counted[route.name, response.status_code] += 1
    if response.status_code == 403:
        await handlers.note_denied(caller, route, request.url.path)
    return response


# ---- what goes wrong


class _Faulty(Exception):
    def __init__(self, status: int, fault: Fault, headers: Mapping[str, str]) -> None:
        super().__init__(fault.message)
        self.status = status
        self.fault = fault
        self.headers = dict(headers)


def _fault(status: int, code: str, message: str, retry_after_s: int = 0) -> _Faulty:
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _Faulty(status, Fault(code=code, message=message), headers)


_BY_CODE: Final = {
    "bad_input": 422, "bad_name": 422, "not_found": 404, "refused": 403, "damaged_store": 500,
    "already_exists": 409,
}  # fmt: skip
_log: Final = logging.getLogger("rhdesk.server")


def _answer_of(error: Exception) -> Response:
    if isinstance(error, _Faulty):
        return _json(error.fault, status=error.status, headers=error.headers)
    if not isinstance(error, RhdeskError):
        _log.error("a fault of the store", exc_info=error)
        message = "this is a fault of the store; its log tells more"
        return _json(Fault(code="crash", message=message), status=500)
    status = _BY_CODE.get(error.code, 503)
    if status >= 500:
        _log.warning("%s", error)
    headers = {"Retry-After": "5"} if status == 503 else {}
    return _json(Fault(code=error.code, message=str(error)), status=status, headers=headers)


async def _not_routed(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    words = {404: "there is no such route", 405: "this route does not know that method"}
    message = f"{words.get(status, 'refused')}; /v1/openapi.json tells them all"
    return _json(Fault(code="no_route", message=message), status=status, headers=headers)


# ---- reading a request


def _refuse_other_protocols(told: str) -> None:
    """``1;min=1``: what the caller speaks at best and at least."""
    if not told:
        return
    match = re.fullmatch(r"(\d{1,4});min=(\d{1,4})", told)
    best, least = (int(match[1]), int(match[2])) if match else (0, 0)
    if best < OLDEST_API or least > API:
        raise _fault(
            426, "protocol",
            f"this store speaks protocols {OLDEST_API} to {API}, you speak {told!r}; "
            "bring the older of the two up to date",
        )  # fmt: skip


def _matching(request: Request, name: str) -> str:
    """A path parameter that looks like one."""
    value: str = request.path_params[name]
    shape = r"[0-9a-f]{64}" if name == "digest" else r"[0-9A-Za-z_-]{1,64}"
    if not re.fullmatch(shape, value):
        raise BadInput(f"this is no {name}")
    return value


def _based(request: Request) -> Based:
    etag, fresh = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if etag is not None and fresh is not None:
        raise BadInput("say If-Match or If-None-Match, not both")
    if etag is None and fresh == "*":
        return Based("", 0)
    if etag is None:
        raise _fault(
            428, "precondition", "say what the write was made on: If-Match, or If-None-Match: *"
        )
    try:
        return Based.of_etag(etag)
    except ValueError as exc:
        raise BadInput(str(exc)) from exc


def _number(request: Request, name: str, default: int | None = None) -> int:
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch(r"\d{1,19}", text, re.ASCII) or int(text) > 2**62:
        raise BadInput(f"{name} is a whole number, 0 or more")
    return int(text)


def _limit(request: Request) -> int:
    limit = _number(request, "limit", 500)
    if not 1 <= limit <= MOST_ROWS:
        raise BadInput(f"limit is 1 to {MOST_ROWS}")
    return limit


def _seconds(request: Request, name: str) -> float:
    text = request.query_params.get(name, "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT_S:
        raise BadInput(f"{name} is seconds, 0 to {LONGEST_WAIT_S}")
    return seconds


async def _body(request: Request, kind: type[T]) -> T:
    data = await _bytes(request, LARGEST_BODY)
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise _fault(400, "bad_body", f"the body is not what this route takes: {exc}") from exc


def _convert(value: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(_whole(value), kind)
    except (msgspec.ValidationError, RecursionError) as exc:
        raise _fault(400, "bad_body", f"the body is not what this route takes: {exc}") from exc


def _whole(value: Any) -> Any:
    """*value*, in which 4.0 is 4: JSON does not tell them apart."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list) else value


async def _bytes(request: Request, most: int) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(_SLOWEST_BODY_S):
            async for piece in request.stream():
                data += piece
                if len(data) > most:
                    raise _fault(413, "too_large", f"a body has at most {most} bytes here")
    except TimeoutError:
        raise _fault(408, "too_slow", "the body did not arrive in time") from None
    return bytes(data)


def _json(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    data = msgspec.json.encode(value)
    return Response(data, status, dict(headers or {}), media_type="application/json")
