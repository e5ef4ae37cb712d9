"""How what is here stands to the remote store: in step, waiting, or at odds."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec


class StoreState(msgspec.Struct, frozen=True, kw_only=True):
    """The line to the remote store, as it was when last tried. Answered without a network."""

    url: str = ""
    """Empty where nobody is logged in."""
    user: str = ""
    folder: str = ""
    """What ``@`` stands for, ``/ada``."""
    status: str = "none"
    """``none`` (not logged in), ``current``, ``syncing``, ``offline`` or ``refused``."""
    queued: int = 0
    """Saved here and not there yet."""
    conflicts: int = 0
    rejected: int = 0
    last_contact: datetime | None = None
    """UTC."""
    error: str = ""
    """Why the last try failed, in a sentence."""
    syncing_pid: int = 0
    """The process that keeps it in step now: the daemon's or a front end's; 0 for none."""


CODE: Final = ("code", "signature", "methods", "doc")
"""Members of a function's or module's config that are read from its code."""


def unit_of(pointer: str) -> str:
    """What a field is decided together with: half of one code and half of another is no code."""
    return "/code" if pointer.split("/")[1] in CODE else pointer


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """Two writes that cannot both stand; both are kept until a person decides."""

    conflict_id: str
    name: str
    why: str
    """``fields``, ``edited-and-deleted``, ``deleted-and-edited``, ``name-taken`` or
    ``server-rolled-back``."""
    fields: tuple[str, ...] = ()
    """Pointers of the fields both changed."""
    base: dict[str, Any] | None = None
    """What both sides started from; None: it was not there, or is not known."""
    ours: dict[str, Any] | None = None
    """None: deleted."""
    theirs: dict[str, Any] | None = None
    author: str = ""
    """Who wrote theirs."""
    at: datetime
    """When it was noticed, UTC."""


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A write the store refused; kept here, to be saved elsewhere or dropped."""

    op_id: str
    name: str
    reason: str
    fields: dict[str, Any] | None = None
    at: datetime
