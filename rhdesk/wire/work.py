"""What a desk and a gateway say to each other about a working folder."""

from __future__ import annotations

from typing import Final

import msgspec

from rhdesk.wire.tree import Change, Entry

PIECE: Final = 4 * 1024 * 1024
"""Bytes of content in one message, about."""


class WorkSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A working folder as it stands on a node."""

    root: str = ""
    """Hash of the tree that is there whole; empty when none is."""
    files: int = 0
    size: int = 0
    place: str = ""
    """Where it is, as a path there."""
    is_taken: bool = True
    """Whether what was sent is what is there now; false where it was for another tree."""


class Changed(msgspec.Struct, frozen=True, array_like=True):
    """A change of the tree, and the contents it needs that are not there."""

    change: Change
    contents: dict[bytes, bytes]
    """By SHA-256."""


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """A whole tree."""

    root: str
    entries: list[tuple[str, Entry]]


class Content(msgspec.Struct, frozen=True, array_like=True):
    """A file's content, or a piece of it."""

    hash: bytes
    total: int
    """Bytes of the whole."""
    offset: int
    data: bytes


class Early(msgspec.Struct, frozen=True, array_like=True):
    """A file that is sent before the tree it will be part of is known."""

    path: str
    entry: Entry
    data: bytes


class Written(msgspec.Struct, frozen=True, array_like=True):
    """A file of the working folder that runs wrote, or changed."""

    path: str
    size: int
    mtime_ns: int
    is_program: bool = False


class Wanted(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a file that is to be read."""

    path: str
    offset: int
    length: int
