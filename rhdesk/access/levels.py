"""Levels of access to a folder, and which one holds.

A grant on a folder counts in every folder below it; of several the highest holds. There is no way
to deny: what one grant gives, no other takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum


class Level(IntEnum):
    NONE = 0
    READ = 1
    CALL = 2
    WRITE = 3
    ADMIN = 4


def level_in(folder: str, grants: Mapping[str, Level]) -> Level:
    """What *grants*, by folder, allow in *folder* (``/owner/group``)."""
    return max((grants.get(above, Level.NONE) for above in upwards(folder)), default=Level.NONE)


def upwards(folder: str) -> Iterator[str]:
    """*folder* and the folders it is in, up to ``/``."""
    while len(folder) > 1:
        yield folder
        folder = folder.rpartition("/")[0]
    yield "/"


def folder_of(name: str) -> str:
    """The folder a full name is in: ``/owner`` of ``/owner/x``."""
    return name.rpartition("/")[0] or "/"


def readable(grants: Mapping[str, Level]) -> list[str]:
    """The topmost folders in which *grants* allow reading, sorted."""
    found = sorted(folder for folder, level in grants.items() if level >= Level.READ)
    return [f for f in found if not any(above in found for above in upwards(f) if above != f)]


def is_below(folder: str, top: str) -> bool:
    """Whether *folder* is *top* or in it."""
    return top in upwards(folder)
