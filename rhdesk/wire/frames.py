"""The stream that answers a call: what the function printed, what it yielded, how it ended.

One frame is ``u8 kind | u32 length | body``. Lines and items carry their number, so a stream that
broke is asked for again with the last number seen, and nothing is lost or doubled. A stream ends
with exactly one END or ERROR frame; one that ends without it was cut.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

from rhdesk.wire.pickles import Buffer

HEADER: Final = struct.Struct("<BI")


class Kind(IntEnum):
    LINES = 1
    """Lines of the log, as a list of `SpoolLine` with the number of the first."""
    ITEM = 2
    """What a generator yielded: u32 number, then a payload."""
    END = 3
    """The payload of the result. The run SUCCEEDED."""
    ERROR = 4
    """A `RunEnd` whose failure is set. The run FAILED, was CANCELLED or LOST."""
    STEP = 5
    """A `Step`, while an environment is made."""
    FAULT = 6
    """A `Fault`: the request went wrong after the answer had begun."""


class Frame(msgspec.Struct, frozen=True):
    kind: Kind
    body: Buffer


class SpoolLine(msgspec.Struct, frozen=True, array_like=True):
    """One printed line as the far side keeps it; its number is its place in the spool."""

    at: float
    stream: int
    """1 stdout, 2 stderr."""
    text: str


class Lines(msgspec.Struct, frozen=True, array_like=True):
    first: int
    lines: tuple[SpoolLine, ...]


def frame(kind: Kind, *pieces: Buffer) -> list[Buffer]:
    """A frame as pieces to be written one after another."""
    length = sum(p.nbytes if isinstance(p, memoryview) else len(p) for p in pieces)
    return [HEADER.pack(kind, length), *pieces]


class FrameReader:
    """Cuts a byte stream into frames, whatever the size of the pieces it arrives in."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: Buffer) -> Iterator[Frame]:
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer, at)
            end = at + HEADER.size + length
            if len(self._buffer) < end:
                break
            yield Frame(Kind(kind), bytes(memoryview(self._buffer)[at + HEADER.size : end]))
            at = end
        del self._buffer[:at]
