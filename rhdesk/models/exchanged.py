"""What an exchange of names with a git remote brought, sent, and could not decide."""

from __future__ import annotations

import msgspec


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """A name that both sides changed. Ours stands; theirs is a version of it."""

    name: str
    why: str
    """``fields``, ``edited-and-deleted``, ``deleted-and-edited``, ``broken`` or ``name-taken``."""
    fields: tuple[str, ...] = ()
    """Pointers of the fields that both changed, each to something else."""
    ours: str = ""
    """The version that was ours; empty if we had deleted it."""
    theirs: str = ""
    """The version that is theirs: ``rhdesk rollback NAME@THEIRS`` takes it. Empty: deleted."""
    kept_as: str = ""
    """Where theirs is, if it could not be kept under its own name."""


class Exchanged(msgspec.Struct, frozen=True, kw_only=True):
    remote: str
    brought: tuple[str, ...] = ()
    """Names that changed here, in order."""
    sent: int = 0
    """Versions the remote did not have."""
    conflicts: tuple[Overlap, ...] = ()
