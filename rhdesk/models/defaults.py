"""What a folder of the store says for all that is in it and says nothing itself."""

from __future__ import annotations

from typing import Any

import msgspec


class DefaultSaid(msgspec.Struct, frozen=True, kw_only=True):
    """One default that counts in a folder."""

    key: str
    value: Any
    folder: str
    """The nearest folder above that says it."""
