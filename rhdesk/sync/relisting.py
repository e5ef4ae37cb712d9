"""Listing everything anew: the first time, after a gap in the feed, and in a new epoch (R6, R8).

What a listing does not see is not there any more. What the store lost in a restore from a backup,
and this replica still has, becomes a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from rhdesk.sync.conflicts import ROLLED_BACK, Conflicts
from rhdesk.sync.rebase import Leaving
from rhdesk.sync.state import Base, Cursor, Listing, Op, Parked, Replica, Transaction
from rhdesk.three_way import same
from rhdesk.wire.store import ListingPage, Stored


class _Kept(NamedTuple):
    """Ops of one resource that outlive an epoch, and conflicts of those that do not."""

    ops: Sequence[Op] = ()
    dropped: Sequence[Op] = ()
    conflicts: Sequence[Parked] = ()


class Relisting:
    """What one page of a listing changes."""

    def __init__(self, replica: Replica, conflicts: Conflicts, listing: Listing) -> None:
        self._replica = replica
        self._conflicts = conflicts
        self._listing = listing

    def page(self, cursor: Cursor, page: ListingPage) -> Transaction:
        """Take *page* in; the last one also removes what was not listed, and ends the listing."""
        bases = [self._listed(row) for row in page.rows]
        lost = [c for row in page.rows for c in self._lost(self._replica.base(row.rid), row)]
        if page.more and page.rows:
            listing = replace(self._listing, after=page.rows[-1].rid)
            return Transaction(
                bases=tuple(bases),
                conflicts=tuple(lost),
                cursor=replace(cursor, listing=listing),
            )
        now_there = {base.rid: base for base in bases}
        unlisted = [
            base
            for base in self._replica.unlisted(self._listing.listing_id)
            if base.rid not in now_there
        ]
        kept = [
            self._outlive(rid, self._base(rid, now_there)) for rid in self._replica.rids_of_ops()
        ]
        return Transaction(
            dropped_bases=tuple(base.rid for base in unlisted),
            bases=tuple(bases),
            dropped_ops=tuple(op.op_id for each in kept for op in each.dropped),
            ops=tuple(op for each in kept for op in each.ops),
            conflicts=(
                *lost,
                *(c for base in unlisted for c in self._lost(base, None)),
                *(c for each in kept for c in each.conflicts),
            ),
            cursor=Cursor(self._listing.epoch, self._listing.seq),
        )

    # ---- resources

    def _listed(self, row: Stored) -> Base:
        # Never older than what is here: the feed, which alone is faster, waits for the listing.
        return Base(epoch=self._listing.epoch, stored=row, listing=self._listing.listing_id)

    def _base(self, rid: str, now_there: Mapping[str, Base]) -> Base | None:
        """What is there of a resource once this page is taken in."""
        if rid in now_there:
            return now_there[rid]
        base = self._replica.base(rid)
        return base if base and base.listing == self._listing.listing_id else None

    def _lost(self, base: Base | None, row: Stored | None) -> list[Parked]:
        """The conflict, if the store lost what *base* holds. An op that made it tells so itself."""
        if base is None or same(base.body, row.body if row is not None else None):
            return []
        if self._survived(base.epoch, base.stored.seq) or self._replica.op(base.stored.op_id):
            return []
        return [self._conflicts.of_lost(base, row)]

    def _survived(self, epoch: str, seq: int) -> bool:
        """Whether the store still has what it wrote at *seq* in *epoch*."""
        return epoch == self._listing.epoch or seq <= self._listing.kept.get(epoch, -1)

    # ---- ops

    def _outlive(self, rid: str, base: Base | None) -> _Kept:
        """What becomes of the ops of *rid*, now that *base* is what the store has of it."""
        ops = self._replica.ops_of(rid)
        done, leaving = self._accepted([op for op in ops if op.accepted is not None], base)
        moved: list[Op] = []
        for chain in _chains(op for op in ops if op.accepted is None):
            if chain[0].epoch in {"", self._listing.epoch}:
                continue
            onto = self._onto(chain[0], base)
            if onto is None:
                leaving += chain
            else:
                moved.append(onto)
        there = base.stored if base is not None else None
        theirs = there.body if there is not None else None
        return _Kept(
            ops=moved,
            dropped=(*done, *leaving),
            conflicts=self._conflicts.of(Leaving(leaving, ROLLED_BACK, theirs), there),
        )

    def _accepted(self, ops: Sequence[Op], base: Base | None) -> tuple[list[Op], list[Op]]:
        """Those done with, and those whose version the store lost."""
        done: list[Op] = []
        lost: list[Op] = []
        for op in ops:
            at = op.accepted
            if at is None or not self._survived(at.epoch, at.seq):
                lost.append(op)
            elif at.seq <= self._listing.seq:
                done.append(op)
        if lost and same(lost[-1].body, base.body if base is not None else None):
            return [*done, *lost], []
        return done, lost

    def _onto(self, op: Op, base: Base | None) -> Op | None:
        """*op* in the present epoch; None if it cannot go on.

        Revisions of another epoch mean nothing, so an op goes on only from the very body it was
        made on. That others wrote since, and that the store lost what it was made on, look the
        same from here; only a person can tell.
        """
        if base is None or not same(base.body, op.base):
            return None
        return replace(op, gen=op.gen + 1, epoch=base.epoch, base_rev=base.stored.rev)


def _chains(ops: Iterable[Op]) -> Iterator[list[Op]]:
    """Ops that each follow the one before, together."""
    chain: list[Op] = []
    for op in ops:
        if op.base_rev is not None and chain:
            yield chain
            chain = []
        chain.append(op)
    if chain:
        yield chain
