"""What a look at the stores found wrong, and what was done about it."""

from __future__ import annotations

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    store: str
    """``names``, ``index``, ``sync``, ``runs``, ``results`` or ``code``."""
    what: str
    """A sentence: what is wrong, and where."""
    is_mended: bool = False
    remedy: str = ""
    """The command or step that mends it; empty if it is."""
