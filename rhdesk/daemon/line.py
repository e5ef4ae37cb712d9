"""The daemon's socket: one question a connection, one answer, a line of JSON each.

It is a file only its owner can open, in a folder only its owner can enter; who connects is asked
for their user id all the same.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from rhdesk.errors import ConnectionFailed

T = TypeVar("T")

_ANSWER_S: Final = 2.0
_LONGEST: Final = 1 << 20

Answer = Callable[[str], Awaitable[msgspec.Struct]]


class Question(msgspec.Struct, frozen=True):
    ask: str
    """``state``."""


async def ask(file: Path, question: str, kind: type[T]) -> T:
    """Ask the daemon behind *file*.

    Raises:
        ConnectionFailed: Nobody answers there within two seconds.
    """
    try:
        async with asyncio.timeout(_ANSWER_S):
            with _near(file) as path:
                reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST)
            try:
                writer.write(msgspec.json.encode(Question(question)) + b"\n")
                return msgspec.json.decode(await reader.readline(), type=kind)
            finally:
                writer.close()
    except (OSError, TimeoutError, msgspec.DecodeError) as exc:
        raise ConnectionFailed(f"the daemon does not answer on {file}") from exc


@asynccontextmanager
async def listening(file: Path, answer: Answer) -> AsyncGenerator[None]:
    """Answer what this user asks on *file* for as long as the context is open."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, msgspec.DecodeError):
            if _user_of(writer) == os.getuid():
                async with asyncio.timeout(_ANSWER_S):
                    line = await reader.readline()
                    asked = msgspec.json.decode(line, type=Question)
                    writer.write(msgspec.json.encode(await answer(asked.ask)) + b"\n")
                    await writer.drain()
        writer.close()

    with _socket_at(file) as bound:
        server = await asyncio.start_unix_server(serve, sock=bound, limit=_LONGEST)
        async with server:
            yield


@contextmanager
def _socket_at(file: Path) -> Generator[socket.socket]:
    """A socket bound to *file*, which goes with it."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # of a daemon that was killed: we hold the lock
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        with _near(file) as path:
            bound.bind(path)
    finally:
        os.umask(before)
    try:
        yield bound
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def _near(file: Path) -> Generator[str]:
    """A short path to *file*: a socket's may have 107 bytes, and a home folder may be deeper."""
    folder = os.open(file.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{file.name}"
    finally:
        os.close(folder)


def _user_of(writer: asyncio.StreamWriter) -> int:
    connection: socket.socket = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", credentials)[1])
