"""The line between an env servlet and one worker: whole messages, and descriptors for big ones.

A message is one packet of a SOCK_SEQPACKET socket pair, so it arrives whole or not at all. What is
larger than `INLINE` travels as a memfd beside the packet: the other side maps it, nobody copies it.
"""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Sequence
from typing import Final

import msgspec

from rhdesk.wire.pickles import Buffer

INLINE: Final = 32 * 1024
"""Bytes up to which a body travels in the packet itself."""
LOAD: Final = "load:"
"""As the method of a call: import its callable, and call nothing; of another tree, move there."""
STATE: Final = "state:"
"""Of an instance: the object itself."""
ADOPT: Final = "adopt:"
"""Hold the object in the body as the instance from now on."""
_PACKET: Final = 160 * 1024
_encode = msgspec.msgpack.Encoder().encode


class Call(msgspec.Struct, frozen=True, array_like=True, tag="call"):
    """Run a function. The body holds one encoded payload per item."""

    run_id: str
    items: tuple[int, ...]
    """Numbers of the items when the run is a map; empty for a plain call."""
    lengths: tuple[int, ...]
    """Bytes of each item's payload in the body."""
    entry: Entry
    method: str
    instance: str
    keep: str
    as_json: bool = False


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """Where the callable is found."""

    name: str
    kind: str
    tree: str
    """Folder of the code tree, or empty."""
    module: str
    qualname: str
    blob: str
    """File of the pickle, or empty."""


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """A call, or one item of a map, ended. The body is its result or its `Failed`."""

    run_id: str
    ok: bool
    item: int = -1
    lines: int = 0
    """How many lines the worker has spooled for the run; 0 means it made no file."""
    last: bool = True
    """Whether the worker is done with the packet of items it was given."""


class Yielded(msgspec.Struct, frozen=True, array_like=True, tag="yielded"):
    """A generator gave one item, which is the body."""

    run_id: str
    number: int


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    run_id: str


class More(msgspec.Struct, frozen=True, array_like=True, tag="more"):
    """The reader of a generator's items has caught up; go on."""

    run_id: str


Message = Call | Ended | Yielded | Cancel | More
_decode = msgspec.msgpack.Decoder(Message).decode


def pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    return ours, theirs


def encode(
    message: Message, pieces: Sequence[Buffer] = (), memfd: int = -1
) -> tuple[list[Buffer], int]:
    """A packet, and the descriptor to send beside it (-1 for none; the caller closes it).

    Args:
        memfd: Holds the body already; it stays the caller's.
    """
    head = _encode(message)
    length = sum(p.nbytes if isinstance(p, memoryview) else len(p) for p in pieces)
    prefix = len(head).to_bytes(4, "little")
    if memfd >= 0:
        return [prefix, head], os.dup(memfd)
    if length <= INLINE:
        return [prefix, head, *pieces], -1
    return [prefix, head], memfd_of(pieces)


def send(end: socket.socket, packet: Sequence[Buffer], fd: int) -> None:
    """Send a packet; on a socket that does not block, BlockingIOError means try again."""
    if fd < 0:
        end.sendmsg(packet)
    else:
        socket.send_fds(end, packet, [fd])


def receive(end: socket.socket) -> tuple[Message, memoryview] | None:
    """The next message and its body; None when the other side is gone."""
    data, fds, _, _ = socket.recv_fds(end, _PACKET, 1)
    if not data:
        return None
    view = memoryview(data)
    at = 4 + int.from_bytes(view[:4], "little")
    message = _decode(view[4:at])
    if not fds:
        return message, view[at:]
    try:
        return message, map_memfd(fds[0])
    finally:
        os.close(fds[0])


def memfd_of(pieces: Sequence[Buffer]) -> int:
    """A memfd that holds *pieces* one after another."""
    fd = os.memfd_create("rhdesk", os.MFD_CLOEXEC)
    for piece in pieces:
        view = memoryview(piece).cast("B") if len(piece) else memoryview(b"")
        while view.nbytes:
            view = view[os.write(fd, view) :]
    return fd


def map_memfd(fd: int) -> memoryview:
    """The bytes of a memfd, writable but private to this process."""
    length = os.fstat(fd).st_size
    if not length:
        return memoryview(b"")
    return memoryview(mmap.mmap(fd, length, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE))
