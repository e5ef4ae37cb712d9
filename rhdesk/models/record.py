"""What the naming store holds under a name, and the versions it had."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from rhdesk.models.live import Live


class Record(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """The full name, ``~/digits``."""
    resource_type: str
    """``function``, ``module``, ``env``, ``cluster`` ..."""
    config: dict[str, Any]
    """What ``config.json`` holds; unknown members are kept and written back."""
    version: str = ""
    """Hash of the config; what ``name@version`` means."""
    saved_at: datetime | None = None
    """UTC."""
    sync: str = ""
    """How it stands to the remote store: ``current``, ``queued``, ``conflict``, ``rejected``;
    empty for names that are not kept there."""
    live: tuple[Live, ...] = ()
    """Where it was live when it was saved, and whether it is now; only a save says so."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One save of one name, newest first in a history."""

    name: str
    version: str
    saved_at: datetime
    author: str = ""
    summary: str = ""
    """What changed, in a few words."""
    deleted: bool = False
    run_id: str = ""
    """The run that wrote it; empty if a person did."""
    note: str = ""
    """Why it was written, if whoever wrote it said so; the summary begins with it."""
    sync: str = ""
    """``queued`` until the remote store has it; empty otherwise."""
    config: dict[str, Any] = {}
