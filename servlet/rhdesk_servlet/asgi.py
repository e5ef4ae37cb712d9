"""What both HTTP servers here share: reading a body, answering, hearing that the reader left."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

from rhdesk.errors import BadInput, NotFound, Refused, RhdeskError
from rhdesk.wire.frames import Frame, Kind, frame
from rhdesk.wire.messages import FRAMES_TYPE, JSON_TYPE, MESSAGE_TYPE, fault_of, pack
from rhdesk.wire.pickles import Buffer
from rhdesk.wire.routes import JSON
from rhdesk_servlet.auth import Doorman
from rhdesk_servlet.pool import Body

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log: Final = logging.getLogger(__name__)
MAX_BODY: Final = 64 * 1024**3
_IN_MEMORY: Final = 256 * 1024
_PIECE: Final = 1 << 20
_STATUS: Final = {NotFound: 404, Refused: 401, BadInput: 400}


class Request:
    """One request, past the doorman."""

    __slots__ = ("_receive", "headers", "method", "parts", "query", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        # raw_path: a name may hold an escaped slash, and must stay one part.
        self.parts = [unquote(p.decode("latin-1")) for p in scope["raw_path"].split(b"/")[1:]]
        self.query: bytes = scope["query_string"]
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self.send = send

    def header(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key == name), b"")

    def number(self, name: str, default: int) -> int:
        """An integer from the query.

        Raises:
            BadInput: It is not one.
        """
        values = parse_qs(self.query.decode("latin-1")).get(name)
        if not values:
            return default
        try:
            return int(values[0])
        except ValueError:
            raise BadInput(f"{name} is a number, not {values[0]!r}") from None

    def text(self, name: str) -> str:
        """A word from the query; "" if it is not there."""
        return parse_qs(self.query.decode("latin-1")).get(name, [""])[0]

    async def body(self) -> Body:
        """The whole body; a large one is kept outside the heap, so that it can be passed on.

        Raises:
            ConnectionResetError: It was cut short. What came is no request.
        """
        message = await self._next()
        first: bytes = message.get("body", b"")
        if not message.get("more_body"):
            return Body(first)
        kept = bytearray(first)
        while len(kept) < _IN_MEMORY and message.get("more_body"):
            message = await self._next()
            kept += message.get("body", b"")
        if not message.get("more_body"):
            return Body(bytes(kept))
        fd = os.memfd_create("rhdesk-body", os.MFD_CLOEXEC)
        try:
            _write(fd, kept)
            size = len(kept)
            while message.get("more_body"):
                message = await self._next()
                data: bytes = message.get("body", b"")
                size += len(data)
                if size > MAX_BODY:
                    raise BadInput(f"a request may hold {MAX_BODY} bytes")
                _write(fd, data)
        except BaseException:
            os.close(fd)
            raise
        return Body(memfd=fd)

    async def _next(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the request was cut while its body came in")
        return message

    async def reader_left(self) -> None:
        """Return once whoever asked has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


Handler = Callable[[Request], Awaitable[None]]


def guarded(
    doorman: Doorman, handler: Handler
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An ASGI application: the doorman first, then *handler*; errors become faults."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive, send)
        try:
            doorman.admit(request.headers)
            await handler(request)
        except RhdeskError as error:
            await answer_fault(request, error)
        except ConnectionResetError:
            return
        except Exception as exc:  # noqa: BLE001 -- the outermost edge: said to both sides, not lost
            _log.exception("%s /%s", request.method, "/".join(request.parts))
            await answer_fault(request, _unforeseen(exc))

    return application


async def answer(
    request: Request, body: Sequence[Buffer], kind: str = MESSAGE_TYPE, status: int = 200
) -> None:
    """Send a whole answer; large pieces go out in slices."""
    length = sum(p.nbytes if isinstance(p, memoryview) else len(p) for p in body)
    await request.send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", kind.encode()),
                (b"content-length", str(length).encode()),
            ],
        }
    )
    if length <= _IN_MEMORY:
        await request.send({"type": "http.response.body", "body": b"".join(body)})
        return
    for piece in body:
        view = memoryview(piece).cast("B")
        for at in range(0, view.nbytes, _PIECE):
            part = view[at : at + _PIECE]
            await request.send({"type": "http.response.body", "body": part, "more_body": True})
    await request.send({"type": "http.response.body", "body": b""})


async def answer_fault(request: Request, error: RhdeskError) -> None:
    status = next((code for cls, code in _STATUS.items() if isinstance(error, cls)), 500)
    fault = fault_of(error)
    if request.parts[:1] == [JSON.strip("/")]:
        await answer(request, [msgspec.json.encode(fault)], JSON_TYPE, status)
    else:
        await answer(request, [pack(fault)], MESSAGE_TYPE, status)


async def answer_frames(
    request: Request,
    batches: AsyncGenerator[list[Frame]],
    *,
    left: Callable[[], None] | None = None,
) -> None:
    """Stream frames until they end or the reader leaves.

    The server drops what is sent to a closed connection without a word, so a stream that does not
    listen here would follow its run to the end for nobody.
    """
    await request.send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", FRAMES_TYPE.encode())],
        }
    )

    async def write() -> None:
        async with aclosing(batches):
            async for batch in batches:
                pieces = [piece for each in batch for piece in frame(each.kind, each.body)]
                await _send_pieces(request, pieces)
        await request.send({"type": "http.response.body", "body": b""})

    loop = asyncio.get_running_loop()
    writing = loop.create_task(write())
    leaving = loop.create_task(request.reader_left())
    try:
        await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not writing.done() and left is not None:
            left()
    finally:
        for task in (writing, leaving):
            task.cancel()
        await asyncio.wait((writing, leaving))
    if writing.done() and not writing.cancelled() and (error := writing.exception()):
        await _end_badly(request, error)


async def _send_pieces(request: Request, pieces: list[Buffer]) -> None:
    small: list[Buffer] = []
    for piece in pieces:
        if isinstance(piece, memoryview) and piece.nbytes > _IN_MEMORY:
            await request.send(
                {"type": "http.response.body", "body": b"".join(small), "more_body": True}
            )
            small = []
            for at in range(0, piece.nbytes, _PIECE):
                part = piece[at : at + _PIECE]
                await request.send({"type": "http.response.body", "body": part, "more_body": True})
        else:
            small.append(piece)
    if small:
        await request.send(
            {"type": "http.response.body", "body": b"".join(small), "more_body": True}
        )


async def _end_badly(request: Request, error: BaseException) -> None:
    """The stream has begun: an error can only be its last frame."""
    if not isinstance(error, RhdeskError):
        _log.error("while streaming", exc_info=error)
        error = _unforeseen(error)
    body = pack(fault_of(error))
    await request.send(
        {
            "type": "http.response.body",
            "body": b"".join(frame(Kind.FAULT, body)),
            "more_body": True,
        }
    )
    await request.send({"type": "http.response.body", "body": b""})


def _unforeseen(error: BaseException) -> RhdeskError:
    return RhdeskError(f"the servlet stumbled: {type(error).__name__}: {error}")


def _write(fd: int, data: Buffer) -> None:
    view = memoryview(data)
    while view.nbytes:
        view = view[os.write(fd, view) :]
