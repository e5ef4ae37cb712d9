"""The long way the tests take is as long as said, as wide as without, and breaks when told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.testbed.path import path

SIZE = 32 << 20


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    line, _ = server.accept()
                    threading.Thread(target=answer, args=(line,), daemon=True).start()

        def answer(line: socket.socket) -> None:
            with line, suppress(OSError):
                while data := line.recv(1 << 16):
                    line.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_round_trip_takes_as_long_as_said(echo: int) -> None:
    with path("127.0.0.1", echo, round_trip_s=0.2) as way, _connect(way.port) as line:
        began = time.monotonic()
        line.sendall(b"ping")
        assert line.recv(4) == b"ping"
        assert time.monotonic() - began >= 0.2
        assert (way.there, way.back) == (4, 4)


def test_without_a_delay_it_is_not_slow_by_itself(echo: int) -> None:
    with path("127.0.0.1", echo, round_trip_s=0) as way, _connect(way.port) as line:
        began = time.monotonic()
        line.sendall(b"ping")
        assert line.recv(4) == b"ping"
        assert time.monotonic() - began < 0.2, "the delay of the other test is the path's own"


def test_the_delay_takes_nothing_from_the_throughput(echo: int) -> None:
    with path("127.0.0.1", echo, round_trip_s=0.2) as way, _connect(way.port) as line:
        began = time.monotonic()
        sending = threading.Thread(target=line.sendall, args=(bytes(SIZE),))
        sending.start()
        got = 0
        while got < SIZE:
            got += len(line.recv(1 << 20))
        took_s = time.monotonic() - began
        sending.join()
    in_turn_s = SIZE / (1 << 16) * 0.2
    assert took_s < in_turn_s / 4, "pieces wait side by side, not one for the other"


def test_a_reset_reaches_both_ends_and_the_next_connection_works(echo: int) -> None:
    with path("127.0.0.1", echo) as way:
        with _connect(way.port) as line:
            line.sendall(b"ping")
            assert line.recv(4) == b"ping"
            way.reset()
            with pytest.raises(ConnectionResetError):
                line.recv(4)
        with _connect(way.port) as line:
            line.sendall(b"ping")
            assert line.recv(4) == b"ping"


def test_a_silent_path_tells_nobody(echo: int) -> None:
    with path("127.0.0.1", echo) as way, _connect(way.port) as line:
        way.go_silent()
        line.sendall(b"ping")
        line.settimeout(0.5)
        with pytest.raises(TimeoutError):
            line.recv(4)
        assert way.back == 0
        way.come_back()
        line.settimeout(5)
        with pytest.raises(ConnectionResetError):
            line.recv(4)


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 20)
