"""What stands in an argument for a value that is already on the cluster."""

from __future__ import annotations

import msgspec


class Reference(msgspec.Struct, frozen=True):
    """The value kept under *key*; a worker puts the value in its place before it calls."""

    key: str
