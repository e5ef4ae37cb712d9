"""A way to a host that is long, and that breaks: a TCP proxy with a delay.

Each direction is a queue of pieces with the time each is due, so the delay takes nothing from the
throughput. The kernel's own netem is not everywhere; this needs nothing.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

T = TypeVar("T")

_PIECE: Final = 1 << 16
_UNDER_WAY: Final = 64 << 20
"""Bytes a direction holds before it reads no more: more than delay times bandwidth of any test."""
_HANG_S: Final = 10.0


class Path:
    """The way to one address, in a thread of its own.

    Attributes:
        port: Connect to this one, on 127.0.0.1.
        there: Bytes that went to the host.
        back: Bytes that came from it.
    """

    def __init__(self, host: str, port: int, *, one_way_s: float) -> None:
        self.host = host
        self.to_port = port
        self.one_way_s = one_way_s
        self.port = 0
        self.there = 0
        self.back = 0
        self.is_silent = False
        self._lines: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def open(self) -> None:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._taken, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_HANG_S)
        self._loop.close()

    def reset(self) -> None:
        """Break every connection with an RST, at both ends."""
        self._call(self._reset())

    def go_silent(self) -> None:
        """Nothing gets through any more, and nobody is told; what was under way is lost."""
        self.is_silent = True

    def come_back(self) -> None:
        """New connections get through again; those that lost something are reset."""
        self._call(self._reset())
        self.is_silent = False

    def _call(self, asked: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(_HANG_S)

    async def _close(self) -> None:
        self._server.close()
        await self._reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _reset(self) -> None:
        for line in list(self._lines):
            for writer in line:
                _abort(writer)

    async def _taken(self, near: asyncio.StreamReader, nearer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            far, farther = await asyncio.open_connection(self.host, self.to_port)
        except OSError:
            _abort(nearer)
            return
        line = (nearer, farther)
        self._lines.add(line)
        try:
            await asyncio.gather(
                self._carry(near, farther, is_back=False), self._carry(far, nearer, is_back=True)
            )
        except (OSError, asyncio.CancelledError):
            pass  # one end is gone, so is the other; or the whole way ends
        finally:
            self._lines.discard(line)
            for writer in line:
                _abort(writer)

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_back: bool
    ) -> None:
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_UNDER_WAY // _PIECE)

        async def read() -> None:
            data = b"-"
            while data:
                data = await source.read(_PIECE)
                await due.put((time.monotonic() + self.one_way_s, data))

        reading = asyncio.ensure_future(read())
        try:
            while True:
                getting = asyncio.ensure_future(due.get())
                try:
                    await asyncio.wait({getting, reading}, return_when=asyncio.FIRST_COMPLETED)
                    if reading.done() and reading.exception() is not None:
                        reading.result()
                    when, data = await getting
                finally:
                    getting.cancel()
                await asyncio.sleep(max(0.0, when - time.monotonic()))
                if self.is_silent:
                    continue
                if not data:
                    sink.write_eof()
                    return
                if is_back:
                    self.back += len(data)
                else:
                    self.there += len(data)
                sink.write(data)
                await sink.drain()
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await reading


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close it so that the other end gets an RST, not an end of file."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def path(host: str, port: int = 22, *, round_trip_s: float = 0.05) -> Iterator[Path]:
    """A way to *host* with that round trip; gone with the context."""
    made = Path(host, port, one_way_s=round_trip_s / 2)
    made.open()
    try:
        yield made
    finally:
        made.close()
