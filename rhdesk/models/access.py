"""Who may what, and why: grants, groups, and the chain an answer rests on."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Granted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one person or group may do in one folder and below."""

    principal: str
    folder: str
    level: str
    """``read``, ``call``, ``write`` or ``admin``; ``none`` takes it back."""
    until: datetime | None = None
    """When it ends by itself, UTC; None: not before somebody ends it."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """People, and groups of people, who are granted things together; its own folder is ``/name``."""

    name: str
    members: tuple[str, ...] = ()
    """People and groups that are in it themselves, by name."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The groups and grants that somebody may know of, as they were at one moment."""

    users: tuple[str, ...] = ()
    """Everybody who may log in to the store, by name."""
    groups: tuple[Group, ...] = ()
    grants: tuple[Granted, ...] = ()
    as_of: datetime | None = None
    """When the store told it, UTC."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which somebody comes to a right."""

    through: tuple[str, ...]
    """The person, then each group that leads to the grant; the last one holds it."""
    folder: str
    """Where it was granted; it counts in all below."""
    level: str
    until: datetime | None = None


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Whether somebody may do something, and why."""

    principal: str
    action: str
    name: str
    allowed: bool
    needs: str
    """The level the action wants."""
    has: str
    """The highest level held there."""
    ways: tuple[Way, ...] = ()
    """Every way to a right there, the strongest and shortest first."""
    remedy: str = ""
    """Who could allow it, where it is not; ``lin, or anybody who is admin of /ml``."""
    as_of: datetime | None = None
    """When what this rests on was told by the store; None: just now."""


class TokenTold(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token; not the token."""

    id: str
    scope: str
    folder: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None
    parent: str = ""
    """The token it was narrowed from."""
    is_yours: bool = False
    """It is the one that asked."""
