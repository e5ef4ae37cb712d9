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
from typing import Final

from rhdesk.clusters.line import Line
from rhdesk.clusters.servlet_client import called_header, raise_fault
from rhdesk.wire import routes
from rhdesk.wire.frames import HEADER, Frame, Kind
from rhdesk.wire.messages import PAYLOAD_TYPE, Called
from rhdesk.wire.payload import size
from rhdesk.wire.pickles import Buffer

_SMALL: Final = 64 * 1024


class Broken(Exception):
    """The connection broke before the run's last frame; the run itself may go on."""


class WarmCaller:
    """Calls on the env servlets of one cluster. Safe to use from several threads."""

    def __init__(self, line: Line, *, timeout_s: float) -> None:
        self._headers = line.headers() | {"content-type": PAYLOAD_TYPE}
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
        connection = self._connection(address)
        headers = self._headers | {routes.H_CALL: called_header(called)}
        try:
            if size(pieces) <= _SMALL:
                connection.request("POST", routes.CALL, b"".join(pieces), headers)
            else:
                headers["content-length"] = str(size(pieces))
                connection.request("POST", routes.CALL, iter(pieces), headers)
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise_fault(response.status, response.read())
            while True:
                head = _exactly(response, HEADER.size)
                kind, length = HEADER.unpack(head)
                yield Frame(Kind(kind), _exactly(response, length))
                if kind in {Kind.END, Kind.ERROR, Kind.FAULT}:
                    response.read()
                    return
        except (http.client.HTTPException, OSError) as exc:
            connection.close()
            raise Broken(str(exc) or type(exc).__name__) from exc
        except GeneratorExit:
            connection.close()
            raise

    def close(self) -> None:
        """Close this thread's connections; others close with their threads."""
        for connection in vars(self._kept).values():
            connection.close()

    def _connection(self, address: str) -> http.client.HTTPConnection:
        kept: http.client.HTTPConnection | None = getattr(self._kept, address, None)
        if kept is None:
            kept = _Connection(address, timeout=self._timeout_s)
            setattr(self._kept, address, kept)
        return kept


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        """Connect within the time-out, then wait for answers as long as the run takes."""
        super().connect()
        assert self.sock is not None
        self.sock.settimeout(None)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


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
