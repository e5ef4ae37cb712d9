"""The blocking twin of one method: calling a function on an env servlet that is known and warm.

A call that answers in half a millisecond cannot afford a trip through an event loop in another
thread, nor httpx. So this one speaks HTTP through the standard library, on connections kept per
thread; whatever goes wrong on the way is left to the desk, which resumes and explains.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from typing import Final, cast

from rhdesk.clusters.line import Line, Stream
from rhdesk.clusters.servlet_client import called_header, raise_fault
from rhdesk.errors import ConnectionFailed
from rhdesk.wire import routes
from rhdesk.wire.frames import HEADER, Frame, Kind
from rhdesk.wire.messages import PAYLOAD_TYPE, Called
from rhdesk.wire.payload import size
from rhdesk.wire.pickles import Buffer

_SMALL: Final = 64 * 1024
_LAST: Final = {Kind.END, Kind.ERROR, Kind.FAULT}


class Broken(Exception):
    """The connection broke before the run's last frame; the run itself may go on."""


class WarmCaller:
    """Calls on the env servlets of one cluster. Safe to use from several threads."""

    def __init__(self, line: Line, *, timeout_s: float) -> None:
        self._line = line
        headers = line.headers() | {"content-type": PAYLOAD_TYPE}
        fixed = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._head = f"POST {routes.CALL} HTTP/1.1\r\nhost: rhdesk\r\n{fixed}{routes.H_CALL}: "
        self._timeout_s = timeout_s
        self._kept = threading.local()

    def call(self, address: str, called: Called, pieces: list[Buffer]) -> Iterator[Frame]:
        """Frames of the run, the last of them END or ERROR.

        Args:
            pieces: The encoded arguments.

        Raises:
            Broken: The connection broke first.
            RhdeskError: The servlet refused the call; nothing ran.
        """
        length = size(pieces)
        head = f"{self._head}{called_header(called)}\r\ncontent-length: {length}\r\n\r\n"
        is_last = False
        try:
            stream = self._open(address)
            if length <= _SMALL:
                # Head and body in one packet: in two, the servlet would wake up twice.
                stream.sendall(b"".join([head.encode("ascii"), *pieces]))
            else:
                stream.sendall(head.encode("ascii"))
                for piece in pieces:
                    stream.sendall(piece)
            response = http.client.HTTPResponse(cast("socket.socket", stream), method="POST")
            response.begin()
            if response.status != http.client.OK:
                raise_fault(response.status, response.read())
            while True:
                kind, length = HEADER.unpack(_exactly(response, HEADER.size))
                frame = Frame(Kind(kind), _exactly(response, length))
                if is_last := kind in _LAST:
                    # Read to the end before the frame is handed out: nobody asks for another, and
                    # a response left half read costs its connection.
                    response.read()
                yield frame
                if is_last:
                    return
        except (http.client.HTTPException, OSError) as exc:
            self._drop(address)
            raise Broken(str(exc) or type(exc).__name__) from exc
        except GeneratorExit:
            if not is_last:
                self._drop(address)
            raise

    def _open(self, address: str) -> Stream:
        kept: Stream | None = getattr(self._kept, address, None)
        if kept is None:
            try:
                kept = self._line.dial(address, self._timeout_s)
            except ConnectionFailed as exc:
                raise Broken(str(exc)) from exc
            setattr(self._kept, address, kept)
        return kept

    def _drop(self, address: str) -> None:
        kept: Stream | None = getattr(self._kept, address, None)
        if kept is not None:
            delattr(self._kept, address)
            kept.close()


def _exactly(response: http.client.HTTPResponse, length: int) -> memoryview:
    if length <= _SMALL:
        data = response.read(length)
        if len(data) < length:
            raise http.client.IncompleteRead(data, length - len(data))
        return memoryview(data)
    buffer = memoryview(bytearray(length))
    got = 0
    while got < length:
        count = response.readinto(buffer[got:])
        if not count:
            raise http.client.IncompleteRead(b"", length - got)
        got += count
    return buffer
