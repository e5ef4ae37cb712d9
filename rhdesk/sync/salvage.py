"""Rows out of an SQLite file that SQLite itself refuses to read: page by page, by the file format.

What leads to a page, the header, the schema, the tree above it, may be gone: a row still says by
its number of fields which table it belongs to, and by its hash whether it is what was written.
Format: https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

_LEAF: Final = 0x0D
_PAGE: Final = 4096
_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_LONGEST_CHAIN: Final = 1 << 20


def rows(data: bytes, page_size: int = _PAGE) -> Iterator[tuple[Any, ...]]:
    """Every row of every table on a page that can be read; of a damaged row, what it says now."""
    for start in range(0, len(data) - page_size + 1, page_size):
        page = data[start : start + page_size]
        head = 100 if start == 0 else 0
        if page[head] != _LEAF:
            continue
        (count,) = struct.unpack_from(">H", page, head + 3)
        for number in range(min(count, (page_size - head - 8) // 2)):
            (at,) = struct.unpack_from(">H", page, head + 8 + 2 * number)
            try:
                yield tuple(_record(_payload(data, page, at)))
            except (IndexError, ValueError, struct.error):
                continue


def _payload(data: bytes, page: bytes, at: int) -> bytes:
    """What a cell holds, on its page and on those it flows over to."""
    usable = len(page)
    size, at = _varint(page, at)
    _, at = _varint(page, at)  # the rowid
    if size <= usable - 35:
        return page[at : at + size]
    least = (usable - 12) * 32 // 255 - 23
    local = least + (size - least) % (usable - 4)
    local = local if local <= usable - 35 else least
    pieces = [page[at : at + local]]
    (following,) = struct.unpack_from(">I", page, at + local)
    left = size - local
    for _ in range(_LONGEST_CHAIN):
        if left <= 0 or not following:
            break
        start = (following - 1) * usable
        (following,) = struct.unpack_from(">I", data, start)
        pieces.append(data[start + 4 : start + 4 + min(left, usable - 4)])
        left -= usable - 4
    return b"".join(pieces)


def _record(payload: bytes) -> Iterator[Any]:
    size, at = _varint(payload, 0)
    body = size
    while at < size:
        kind, at = _varint(payload, at)
        if kind in _INTEGERS:
            width = _INTEGERS[kind]
            yield int.from_bytes(payload[body : body + width], "big", signed=True)
        elif kind == 7:
            width = 8
            yield struct.unpack_from(">d", payload, body)[0]
        elif kind in {8, 9}:
            width = 0
            yield kind - 8
        elif kind >= 12:
            width = (kind - 12) // 2
            piece = payload[body : body + width]
            yield piece.decode("utf-8", "replace") if kind % 2 else piece
        elif kind == 0:
            width = 0
            yield None
        else:
            raise ValueError(f"{kind} is no type of a value")
        body += width


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes, and where it ends."""
    value = 0
    for count in range(9):
        byte = data[at + count]
        if count == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count + 1
    raise AssertionError("unreachable")
