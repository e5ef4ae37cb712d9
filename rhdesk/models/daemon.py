"""The background process: whether it runs, and what its loops are at."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """``sync``, ``runs``, ``watches``, ``health``, ``retention``."""
    ran_at: datetime | None = None
    told: str = ""
    """What it did last, in a few words."""
    error: str = ""


class DaemonState(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    """``running``, ``stopped`` or ``not answering``."""
    pid: int = 0
    started_at: datetime | None = None
    """UTC."""
    socket: str = ""
    log: str = ""
    loops: tuple[Loop, ...] = ()
