"""What a replica keeps, and what is changed in it together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from rhdesk.wire.store import Accepted, Based, Stored

Body = dict[str, Any] | None
"""A config; None: deleted, or not there."""


class Base(msgspec.Struct, frozen=True):
    """What the feed last said of a resource; nothing but the feed and the listing write it."""

    epoch: str
    stored: Stored

    @property
    def based(self) -> Based:
        return Based(self.epoch, self.stored.rev)


class Op(msgspec.Struct, frozen=True, kw_only=True):
    """A write that is saved here, and not yet known to everybody.

    What a person sees of a resource is the body of its last op, or else its base.
    """

    op_id: str
    rid: str
    name: str
    """The full name it is saved under; of a deletion, the one that goes."""
    based: Based | None
    """The revision it was made on; None: what the op before it, of the same rid, makes."""
    base: Body
    """The body its author saw."""
    body: Body
    gen: int = 0
    """How often it was merged and is sent anew; an answer to an earlier one counts no more."""
    accepted: Accepted | None = None
    """What the store made of it. It stays, to be seen, until the feed has come so far."""
    restore: bool = False
    saved_at: datetime
    run_id: str = ""
    note: str = ""

    @property
    def epoch(self) -> str:
        """Whose revisions it speaks of; "" for none yet."""
        if self.accepted is not None:
            return self.accepted.epoch
        return self.based.epoch if self.based is not None else ""


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """Writes that cannot stand beside another's, kept for a person to decide."""

    conflict_id: str
    rid: str
    name: str
    why: str
    """As `rhdesk.models.Conflict.why`."""
    fields: tuple[str, ...] = ()
    base: Body = None
    ours: Body = None
    theirs: Body = None
    author: str = ""
    op_ids: tuple[str, ...] = ()
    """Of the ops it was made of, oldest first."""
    at: datetime
    resolved_by: str = ""
    """The op that decided it; "" while it is open."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A write the store will not take."""

    op: Op
    reason: str
    at: datetime


class Cursor(msgspec.Struct, frozen=True):
    """How far the feed was read; ("", 0) for not at all."""

    epoch: str = ""
    seq: int = 0


class Relisting(msgspec.Struct, frozen=True):
    """How far everything was listed anew."""

    epoch: str = ""
    """Of the first page; "" before it."""
    seq: int = 0
    """Of the first page: where the feed goes on afterwards."""
    after: str = ""
    """The last rid that was listed."""


class Transaction(msgspec.Struct, kw_only=True):
    """Changes that are made together or not at all."""

    bases: dict[str, Base] = {}
    dropped_bases: set[str] = set()
    keep_inside: list[str] | None = None
    """Drop every base whose name is in none of these folders, before anything else."""
    ops: dict[str, Op] = {}
    """New ones go to the end, others stay where they are."""
    dropped_ops: set[str] = set()
    parked: list[Parked] = []
    refused: list[Refused] = []
    cursor: Cursor | None = None
    """Where it moves to; accepted ops of its epoch that it has passed go with the same commit."""
    relisting: Relisting | None = None
    relisted: bool = False
    """The listing is complete: there is none any more."""
    seen: set[str] = set()
    """Rids the listing told of."""

    @property
    def is_empty(self) -> bool:
        return self == Transaction()


class Replica(Protocol):
    """What the engine reads.

    Whoever calls the engine keeps everybody else from writing until the transaction it returns
    is applied.
    """

    def base(self, rid: str) -> Base | None: ...
    def op(self, op_id: str) -> Op | None: ...
    def ops_of(self, rid: str) -> Sequence[Op]:
        """Oldest first."""
        ...

    def next_ops(self, limit: int) -> Sequence[Op]:
        """Of each rid the oldest op that is not accepted; oldest first, at most *limit*."""
        ...

    def queued(self) -> Iterable[str]:
        """Rids that have ops."""
        ...

    def cursor(self) -> Cursor: ...
    def relisting(self) -> Relisting | None: ...
    def unseen(self) -> Iterable[Base]:
        """Bases the listing that is under way has not told of."""
        ...
