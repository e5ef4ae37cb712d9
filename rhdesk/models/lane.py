"""Lanes: folders into which versions are promoted, after others have looked at them."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A folder whose names come by promotion only."""

    folder: str
    """``/ml/prod``."""
    after: str
    """The folder a version comes from, ``/ml/staging``."""
    approvals: int = 0
    """So many others than who asks must agree."""


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """A version on its way into a lane, or there."""

    promotion_id: str
    source: str
    """The name it comes from."""
    rev: int
    """The revision of it; what was saved since is not promoted."""
    target: str
    lane: str
    asked_by: str
    asked_at: datetime
    """UTC."""
    note: str = ""
    state: str = "waiting"
    """``waiting`` for approvals, ``done`` or ``withdrawn``."""
    approved_by: tuple[str, ...] = ()
