"""Where data is, and what is there."""

from __future__ import annotations

from datetime import datetime

import msgspec


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


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder."""

    path: str
    """Of the system it is on, ready to be asked for."""
    kind: str
    """``file``, ``folder``, or ``other``: a link that leads nowhere, a socket, a device."""
    size_bytes: int = 0
    modified_at: datetime | None = None
    """UTC; None where the system does not say."""
