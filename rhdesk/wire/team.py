"""What a desk and the store say to each other about groups, grants, tokens, lanes and secrets."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from rhdesk.wire.store import Moment

Days = Annotated[float, msgspec.Meta(gt=0, le=3650)]
Short = Annotated[str, msgspec.Meta(max_length=512, pattern="^[^\\x00-\\x1f\\x7f]*$")]
"""Text for people, in one line."""


class NewGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Short
    level: Short = "write"
    """What its members may do in its folder."""


class Members(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to be in a group, or no longer."""

    group: Short
    put: Annotated[list[Short], msgspec.Meta(max_length=500)] = []
    take: Annotated[list[Short], msgspec.Meta(max_length=500)] = []


class MoveGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    group: Short
    into: Short = ""
    """The group it is to be in; empty: in none."""


class MoveFolder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    old: Short
    new: Short


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    names: int
    """How many."""


class NewGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person or a group may do in one folder and below."""

    principal: Short
    folder: Short
    level: Short
    until: Moment | None = None


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token for less than the one it is asked for with."""

    scope: Short = "read"
    folder: Short = ""
    days: Days | None = None


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    overlap_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 3600.0
    """The token that is replaced is good for so long."""


class TokenMade(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    """Shown once."""


class NewPromotion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    source: Short
    lane: Short
    rev: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    """0 for the newest."""
    note: Short = ""


class NewLane(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    folder: Short
    after: Short
    approvals: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0


class SealedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a secret as its owner sealed it; the store cannot open it."""

    name: str
    """``/ml/secrets/openai``."""
    version: int
    saved_at: Moment
    author: str
    provider: str = ""
    fields: tuple[str, ...] = ()
    envelope: dict[str, Any] | None = None
    """None where only the list was asked for."""


class NewSecret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Short
    provider: Short = ""
    fields: Annotated[list[Short], msgspec.Meta(max_length=200)] = []
    envelope: dict[str, Any] = {}
    expect: Annotated[int, msgspec.Meta(ge=-1, le=2**53)] = -1
    """The version it follows; -1: whichever there is."""


class RenamedSecret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A secret under another name, each version sealed for it anew."""

    old: Short
    new: Short
    envelopes: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=10_000)] = []
    """Of every version, oldest first."""
