"""Where data is, and what is there."""

from __future__ import annotations

from datetime import datetime

import msgspec

from rhdesk.models.change import FileChange


class Location(msgspec.Struct, frozen=True):
    """A path of a system, spelled ``gpubox:data/x``, ``s3://bucket/x`` or, of this machine, ``x``."""

    system: str
    """``here``, a cluster, or a protocol of fsspec: ``s3``, ``memory`` ..."""
    path: str
    """As the system spells it; relative to the working folder, or on a cluster to the home."""

    def __str__(self) -> str:
        if self.system == "here":
            return self.path
        return f"{self.system}:{self.path}"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a place held when it was saved; which files, is kept on the machine that saved it."""

    hash: str
    """The same for the same files."""
    files: int
    size_bytes: int


class DataCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A saved place, beside what is there now."""

    name: str
    place: str
    held: Held
    """When it was saved."""
    now: Held
    changes: tuple[FileChange, ...] = ()
    """From then to now, by path; empty where it cannot be told any more which files those were."""

    @property
    def is_same(self) -> bool:
        return self.held.hash == self.now.hash


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder."""

    path: str
    """Of the system it is on, ready to be asked for."""
    kind: str
    """``file``, ``folder``, or ``other``: a link that leads nowhere, a socket, a device."""
    size_bytes: int = 0
    modified_at: datetime | None = None
    """UTC; None where the system does not say."""
