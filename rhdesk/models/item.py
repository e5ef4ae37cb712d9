"""One item of a map."""

from __future__ import annotations

from typing import Any

import msgspec


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an item of a map."""

    number: int
    """0-based place among the items."""
    value: Any = None
    """Its result, for eyes: what only Python can hold comes back described."""
    lost: str = ""
    """Why nobody knows how it ended; empty when it has a result."""
