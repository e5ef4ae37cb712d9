"""What a replica of the store keeps, and how the engine changes it: in whole transactions.

What a person sees of a resource is its `Base`, overlaid by the last of its `Op`s. A base can be
had again from the store. Ops, conflicts and refusals cannot: they are somebody's work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from rhdesk.wire.store import Accepted, Based, Put, Stored

Body = dict[str, Any] | None
"""A config, with its ``name`` and ``resource_type``; None: deleted."""


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The newest revision of a resource that came from the store. Only the feed and listings write
    it, never the answer to a write."""

    epoch: str
    """In which `stored.rev` and `stored.seq` mean something."""
    stored: Stored
    listing: str = ""
    """The listing that saw it last; what the present one did not see is not there any more."""

    @property
    def rid(self) -> str:
        return self.stored.rid

    @property
    def body(self) -> Body:
        return self.stored.body


class Op(msgspec.Struct, frozen=True, kw_only=True):
    """A write that was acknowledged to a person, and that the feed has not shown yet."""

    op_id: str
    """The same however often it is sent: the store writes it once."""
    gen: int = 0
    """How often it was put onto another base. Answers to an earlier one do not count."""
    rid: str
    epoch: str = ""
    """Of `base_rev`; empty for a creation."""
    base_rev: int | None
    """The revision it was made on, 0 for a creation; None: it follows the op before it of the same
    resource, whose revision is not known yet."""
    base: Body
    """What its author saw."""
    body: Body
    restore: bool = False
    """It brings back what was deleted, and means to."""
    saved_at: datetime | None = None
    """UTC, by this machine's clock; for reading, never for order."""
    run_id: str = ""
    note: str = ""
    accepted: Accepted | None = None
    """The store has it; it stays, so that its author goes on seeing it, until the feed has come to
    `accepted.seq`."""

    @property
    def is_creation(self) -> bool:
        return self.base_rev == 0

    @property
    def name(self) -> str:
        """What it calls its resource; of a deletion, what was deleted."""
        fields = self.body if self.body is not None else self.base
        return str((fields or {}).get("name", ""))

    @property
    def takes_name(self) -> bool:
        """Whether it gives its resource a name that it did not have."""
        return self.body is not None and (self.base or {}).get("name") != self.name

    def gives_up(self, name: str) -> bool:
        """Whether its resource had *name* and has it no longer."""
        return (self.base or {}).get("name") == name and (self.body or {}).get("name") != name

    @property
    def put(self) -> Put:
        """How it is sent."""
        return Put(
            body=self.body,
            saved_at=self.saved_at,
            run_id=self.run_id,
            note=self.note,
            restore=self.restore,
        )


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """Two writes that cannot both stand. Both are kept; a person decides."""

    conflict_id: str
    rid: str
    op_id: str = ""
    """The op that left the queue; empty if it is a version the store lost."""
    name: str
    why: str
    """``fields``, ``edited-and-deleted``, ``deleted-and-edited``, ``name-taken`` or
    ``server-rolled-back``; ours comes first."""
    fields: tuple[str, ...] = ()
    """Pointers of the fields both changed."""
    base: Body = None
    """What both started from; None: it was not there, or is not known."""
    ours: Body
    theirs: Body
    author: str = ""
    """Who wrote theirs."""
    at: datetime
    """When it was noticed, UTC."""
    run_id: str = ""
    note: str = ""
    resolved_at: datetime | None = None
    """When a person decided; kept after that, for who wants to decide otherwise."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A write the store would not take. Kept, to be saved elsewhere or dropped."""

    op_id: str
    rid: str
    name: str
    reason: str
    base: Body
    body: Body
    saved_at: datetime | None = None
    at: datetime
    run_id: str = ""
    note: str = ""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a listing of everything has come. A crash does not begin it anew."""

    listing_id: str
    epoch: str = ""
    """Of its pages; empty before the first."""
    seq: int = 0
    """Of the store when the first page was read: the feed goes on from here."""
    after: str = ""
    """The last rid that was seen."""
    kept: dict[str, int] = {}
    """The store's older epochs, and the last place of each that it still has."""


class Cursor(msgspec.Struct, frozen=True):
    """How far the replica follows the store."""

    epoch: str = ""
    """Empty before the first listing."""
    seq: int = 0
    listing: Listing | None = None
    """A listing under way; nothing is sent meanwhile, and the feed waits."""


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """Changes that are committed together, or not at all. Nobody is told anything before.

    They hold for the replica as the engine read it: read and apply under one lock. What is dropped
    is dropped first.
    """

    dropped_bases: tuple[str, ...] = ()
    """Rids."""
    bases: tuple[Base, ...] = ()
    dropped_ops: tuple[str, ...] = ()
    ops: tuple[Op, ...] = ()
    """One that is there already keeps its place in the queue; a new one goes to the end."""
    conflicts: tuple[Parked, ...] = ()
    dropped_refusals: tuple[str, ...] = ()
    """Op ids."""
    refusals: tuple[Refused, ...] = ()
    cursor: Cursor | None = None
    """None: it stays where it is."""


NOTHING: Final = Transaction()


class Replica(Protocol):
    """What the engine reads. Sequences are small; iterables are read once and may be lazy."""

    def cursor(self) -> Cursor: ...
    def base(self, rid: str) -> Base | None: ...
    def names(self) -> Iterable[tuple[str, str]]:
        """Rid and name of every base."""
        ...

    def unlisted(self, listing_id: str) -> Iterable[Base]:
        """Bases that another listing saw last, or none."""
        ...

    def op(self, op_id: str) -> Op | None: ...
    def ops_of(self, rid: str) -> Sequence[Op]:
        """The ops of one resource, in the order of the queue."""
        ...

    def ops_named(self, name: str) -> Sequence[Op]:
        """The ops whose `Op.name` it is, in the order of the queue."""
        ...

    def waiting(self) -> Iterable[Op]:
        """Of each resource the first op that is not accepted, in the order of the queue."""
        ...

    def accepted(self) -> Iterable[Op]:
        """The ops that are."""
        ...

    def rids_of_ops(self) -> Iterable[str]:
        """The resources that have ops, each once."""
        ...

    def conflict(self, conflict_id: str) -> Parked | None: ...


# ---- what the engine wants sent


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """One op, on its way; answered with an `rhdesk.wire.store.Answer`."""

    op_id: str
    gen: int
    rid: str
    based: Based
    put: Put


class AskChanges(msgspec.Struct, frozen=True):
    """Answered with a `ChangesPage`, or `Gone`."""

    epoch: str
    since: int


class AskListing(msgspec.Struct, frozen=True):
    """Answered with a `ListingPage`."""

    after: str


Request = Push | AskChanges | AskListing
