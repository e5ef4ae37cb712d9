"""The heart of sync: what is written, what is sent, and what an answer changes. No I/O.

The engine reads a `Replica`, and every verb returns the one `Transaction` to commit; nobody is told
that anything is saved before. Requests and answers are values. No clock, file, thread or network is
touched here, so that a simulation can put it through a million bad days (``tests/simulation``).

The rules and what they guarantee: ``README.md`` beside this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any, Final

from msgspec.structs import replace

from rhdesk.access.levels import folder_of, upwards
from rhdesk.errors import NotFound
from rhdesk.sync.conflicts import Conflicts
from rhdesk.sync.rebase import Leaving, Rebased, follow, rebase
from rhdesk.sync.relisting import Relisting
from rhdesk.sync.state import (
    NOTHING,
    AskChanges,
    AskListing,
    Base,
    Body,
    Cursor,
    Listing,
    Op,
    Parked,
    Push,
    Refused,
    Replica,
    Request,
    Transaction,
)
from rhdesk.three_way import changes, same
from rhdesk.wire.store import (
    Accepted,
    AccessRow,
    Answer,
    Based,
    ChangesPage,
    Denied,
    Gone,
    HiddenRow,
    Invalid,
    ListingPage,
    RecordRow,
    Stale,
    Stored,
    Taken,
    WrongEpoch,
)

MOST_ROUNDS: Final = 20
"""So often an op is put onto what others wrote; then a person decides."""
IN_FLIGHT: Final = 8
"""Writes on their way at a time."""

Reply = Answer | ChangesPage | Gone | ListingPage


class Engine:
    """One for each process that keeps the replica in step. What it remembers itself, which requests
    are on their way, may be forgotten at any time: they are sent again, and count once."""

    def __init__(
        self, replica: Replica, now: Callable[[], datetime], new_id: Callable[[], str]
    ) -> None:
        """Work on *replica*; *now* answers in UTC, *new_id* never twice the same."""
        self._replica = replica
        self._now = now
        self._new_id = new_id
        self._conflicts = Conflicts(now, new_id)
        self._sent: dict[str, int] = {}
        """Op ids on their way, each with its `gen`."""
        self._held: dict[str, str] = {}
        """Op ids that wait for another op, which gives their name up."""
        self._asked: AskChanges | AskListing | None = None

    # ---- what a person does

    def view(self, rid: str) -> Body:
        """What a person sees: the newest of what they wrote, else what the store has."""
        ops = self._replica.ops_of(rid)
        if ops:
            return ops[-1].body
        base = self._replica.base(rid)
        return base.body if base is not None else None

    def create(self, body: dict[str, Any], *, run_id: str = "", note: str = "") -> Transaction:
        """Queue a new resource, under a rid of its own; whoever else has its name shows later."""
        rid = self._new_id()
        return self._queue(rid, "", 0, None, body, restore=False, run_id=run_id, note=note)

    def save(
        self, rid: str, body: Body, *, restore: bool = False, run_id: str = "", note: str = ""
    ) -> Transaction:
        """Queue a change of what is there; a body of None deletes, another ``name`` renames.

        Args:
            restore: Bring back what was deleted.

        Raises:
            NotFound: There is nothing, or it is deleted and *restore* was not said.
        """
        seen = self.view(rid)
        if same(seen, body):
            return NOTHING
        ops, base = self._replica.ops_of(rid), self._replica.base(rid)
        if (seen is None and not restore) or not (ops or base):
            raise NotFound(rid, kind="resource", near=())
        epoch, rev = _newest(ops, base)
        return self._queue(
            rid, epoch, rev, seen, body, restore=seen is None, run_id=run_id, note=note
        )

    def resolve(self, conflict_id: str, body: Body) -> Transaction:
        """Settle a conflict as a person chose: *body* becomes a write on what is there now.

        Raises:
            NotFound: There is no such conflict.
        """
        conflict = self._conflict(conflict_id)
        rid = conflict.rid
        if self.view(rid) is None and not self._can_restore(rid):
            edit = self.create(body) if body is not None else NOTHING
        else:
            edit = self.save(rid, body, restore=True)
        return replace(edit, conflicts=(replace(conflict, resolved_at=self._now()),))

    def reopen(self, conflict_id: str) -> Transaction:
        """Ask the person again; what was written to settle it stays until they say otherwise.

        Raises:
            NotFound: There is no such conflict.
        """
        return Transaction(conflicts=(replace(self._conflict(conflict_id), resolved_at=None),))

    def _queue(
        self,
        rid: str,
        epoch: str,
        rev: int | None,
        base: Body,
        body: Body,
        *,
        restore: bool,
        run_id: str,
        note: str,
    ) -> Transaction:
        op = Op(
            op_id=self._new_id(),
            rid=rid,
            epoch=epoch,
            base_rev=rev,
            base=base,
            body=body,
            restore=restore,
            saved_at=self._now(),
            run_id=run_id,
            note=note,
        )
        return Transaction(ops=(op,))

    def _conflict(self, conflict_id: str) -> Parked:
        found = self._replica.conflict(conflict_id)
        if found is None:
            raise NotFound(conflict_id, kind="conflict", near=())
        return found

    def _can_restore(self, rid: str) -> bool:
        """Whether a deleted resource is still known; a purged one comes back as a new one."""
        return bool(self._replica.ops_of(rid)) or self._replica.base(rid) is not None

    # ---- what is sent

    def wants(self, room: int = IN_FLIGHT) -> list[Request]:
        """What to send now: one write for each resource in the order of the queue, as long as fewer
        than *room* are on their way, and one question for what is new."""
        cursor = self._replica.cursor()
        is_listing = cursor.listing is not None or not cursor.epoch
        pushes = [] if is_listing else self._pushes(cursor.epoch, room)
        # Only now: had reading failed, nothing would be on its way.
        self._sent |= {push.op_id: push.gen for push in pushes}
        if self._asked is not None:
            return [*pushes]
        after = cursor.listing.after if cursor.listing is not None else ""
        asked = AskListing(after) if is_listing else AskChanges(cursor.epoch, cursor.seq)
        self._asked = asked
        return [*pushes, asked]

    def timed_out(self, request: Request | None = None) -> None:
        """*request* got no answer, and nobody knows whether it arrived: it is sent again. None:
        all of them."""
        if request is None:
            self._sent.clear()
            self._asked = None
        elif isinstance(request, Push):
            self._arrived(request)
        elif request is self._asked:
            self._asked = None

    def _pushes(self, epoch: str, room: int) -> list[Push]:
        pushes: list[Push] = []
        for op in self._replica.waiting():
            if len(self._sent) + len(pushes) >= room:
                break
            if self._sent.get(op.op_id) == op.gen or op.base_rev is None or self._before(op):
                continue
            based = Based(op.epoch or epoch, op.base_rev)
            push = Push(op_id=op.op_id, gen=op.gen, rid=op.rid, based=based, put=op.put)
            pushes.append(push)
        return pushes

    def _before(self, op: Op) -> Op | None:
        """The op of another resource that has to be accepted first: it has, or gives up, the name
        that *op* takes. Otherwise a person who deletes a name and uses it again, offline, would be
        at odds with themselves."""
        first = self._replica.op(self._held.get(op.op_id, ""))
        if first is not None and first.accepted is None:
            return first
        self._held.pop(op.op_id, None)
        if not op.takes_name:
            return None
        for other in self._replica.ops_named(op.name):
            if other.op_id == op.op_id:
                return None
            if other.rid != op.rid and other.accepted is None:
                return other
        return None

    def _arrived(self, push: Push) -> None:
        if self._sent.get(push.op_id) == push.gen:
            del self._sent[push.op_id]

    # ---- what an answer changes

    def heard(self, request: Request, reply: Reply) -> Transaction:
        """Take in the answer to *request*. Late ones, and those that come twice, change nothing."""
        cursor = self._replica.cursor()
        if isinstance(request, Push):
            self._arrived(request)
            return self._answered(request, reply, cursor)
        if request is not self._asked:
            return NOTHING
        self._asked = None
        match reply:
            case Gone():
                return self._list_anew(cursor)
            case ChangesPage():
                return self._changed(reply, cursor)
            case ListingPage():
                return self._listed(reply, cursor)
            case _:
                return NOTHING

    def _answered(self, push: Push, answer: Reply, cursor: Cursor) -> Transaction:
        op = self._replica.op(push.op_id)
        if op is None or op.gen != push.gen or op.accepted is not None:
            return NOTHING
        match answer:
            case Denied() | Invalid():
                return self._refuse(op, answer.reason)
            case Accepted() | Stale() | Taken() | WrongEpoch() if answer.epoch != cursor.epoch:
                return self._list_anew(cursor)
            case Accepted():
                followers = follow(self._followers(op)[:1], answer)
                done = replace(op, accepted=answer, epoch=answer.epoch)
                return self._requeue([op], Rebased((done, *followers)))
            case Stale():
                return self._stale(op, answer.current, cursor)
            case Taken():
                return self._taken(op, answer.other, cursor)
            case _:
                return NOTHING

    def _refuse(self, op: Op, reason: str) -> Transaction:
        ops = [op, *self._followers(op)]
        refusals = [
            Refused(
                op_id=each.op_id,
                rid=each.rid,
                name=each.name,
                reason=reason,
                base=each.base,
                body=each.body,
                saved_at=each.saved_at,
                at=self._now(),
                run_id=each.run_id,
                note=each.note,
            )
            for each in ops
        ]
        return Transaction(dropped_ops=_ids(ops), refusals=tuple(refusals))

    def _stale(self, op: Op, current: Stored | None, cursor: Cursor) -> Transaction:
        """Somebody else wrote since; it goes onto that, as often as it takes (rules R7, L1)."""
        followers = self._followers(op)
        rebased = rebase(op, followers, cursor.epoch, current)
        if op.gen >= MOST_ROUNDS and rebased.leaving is None:
            ours = [change.pointer for change in changes(op.base or {}, op.body or {})]
            theirs = current.body if current is not None else None
            rebased = Rebased((), Leaving((op, *followers), "fields", theirs, ours))
        return self._requeue([op, *followers], rebased, current)

    def _taken(self, op: Op, other: Stored, cursor: Cursor) -> Transaction:
        """Two people made a resource of this name: ours becomes a change of theirs. A name that a
        resource is given later is not merged; what is under it already is another thing."""
        if self._is_given_up(op, other, cursor.epoch):
            return NOTHING
        ops = [op, *self._followers(op)]
        if not op.is_creation:
            return self._requeue(ops, Rebased((), Leaving(ops, "name-taken", other.body)), other)
        ours, *followers = (replace(each, rid=other.rid) for each in ops)
        rebased = rebase(ours, followers, cursor.epoch, other)
        # What is dropped and put goes to the end of the queue, behind what waits for theirs.
        return self._requeue(ops, rebased, other, at_the_end=True)

    def _is_given_up(self, op: Op, other: Stored, epoch: str) -> bool:
        """Whether *other* loses the name by an op of this very queue; *op* waits for that."""
        base = self._replica.base(other.rid)
        if base is not None and base.epoch == epoch and base.stored.rev > other.rev:
            return True  # the answer is older than what is known here; ask again
        for mover in self._replica.ops_of(other.rid):
            if mover.gives_up(other.name):
                if mover.accepted is None and self._would_wait_for_itself(op, mover):
                    return False
                self._held[op.op_id] = mover.op_id
                return True
        return False

    def _would_wait_for_itself(self, op: Op, mover: Op) -> bool:
        """Whether *mover* waits, by way of others, for the resource of *op*."""
        seen = {op.rid}
        waits_for: Op | None = mover
        while waits_for is not None:
            if waits_for.rid in seen:
                return True
            seen.add(waits_for.rid)
            queue = (each for each in self._replica.ops_of(waits_for.rid) if not each.accepted)
            waits_for = self._before(next(queue))
        return False

    def _requeue(
        self,
        before: Sequence[Op],
        rebased: Rebased,
        current: Stored | None = None,
        *,
        at_the_end: bool = False,
    ) -> Transaction:
        """The ops *before* became *rebased*: some stay, some are done with, some leave."""
        staying = [op for op in rebased.ops if not _is_in(op, self._replica.base(op.rid))]
        keep_place = set() if at_the_end else {op.op_id for op in staying}
        leaving = rebased.leaving
        return Transaction(
            dropped_ops=tuple(op.op_id for op in before if op.op_id not in keep_place),
            ops=tuple(staying),
            conflicts=self._conflicts.of(leaving, current) if leaving else (),
        )

    def _followers(self, op: Op) -> list[Op]:
        """The ops that were made on *op*, or on one that was."""
        ops = self._replica.ops_of(op.rid)
        after = ops[[each.op_id for each in ops].index(op.op_id) + 1 :]
        return list(takewhile(lambda each: each.base_rev is None, after))

    # ---- the feed, and listings

    def _changed(self, page: ChangesPage, cursor: Cursor) -> Transaction:
        """Rows and cursor together, so that a crash neither skips a row nor takes one back (R5)."""
        if cursor.listing or (page.epoch, page.since) != (cursor.epoch, cursor.seq):
            return NOTHING
        gone: list[str] = []
        bases: dict[str, Base] = {}
        gained = False
        for row in page.rows:
            match row:
                case RecordRow():
                    if row.stored.rid in gone or self._is_news(page.epoch, row.stored):
                        bases[row.stored.rid] = Base(epoch=page.epoch, stored=row.stored)
                case HiddenRow():
                    gone.append(row.rid)
                case AccessRow():
                    gone += self._outside(row.readable)
                    gained |= row.gained
        listing = Listing(listing_id=self._new_id()) if gained else None
        after = Cursor(page.epoch, page.next, listing)
        shown = [
            op
            for op in self._replica.accepted()
            if _is_in(op, bases.get(op.rid) or self._replica.base(op.rid))
            or (not page.more and _is_before(op, page))
        ]
        return Transaction(
            dropped_bases=tuple(gone),
            bases=tuple(bases.values()),
            dropped_ops=_ids(shown),
            cursor=after if after != cursor else None,
        )

    def _is_news(self, epoch: str, stored: Stored) -> bool:
        base = self._replica.base(stored.rid)
        return base is None or base.epoch != epoch or base.stored.rev < stored.rev

    def _outside(self, readable: Sequence[str]) -> list[str]:
        """Rids of what is here and may not be read any more (rule R9)."""
        tops = set(readable)
        return [
            rid for rid, name in self._replica.names() if tops.isdisjoint(upwards(folder_of(name)))
        ]

    def _list_anew(self, cursor: Cursor) -> Transaction:
        if cursor.listing is not None:
            return NOTHING
        self._asked = None  # what the feed says now comes too late
        return Transaction(cursor=replace(cursor, listing=Listing(listing_id=self._new_id())))

    def _listed(self, page: ListingPage, cursor: Cursor) -> Transaction:
        listing = cursor.listing or Listing(listing_id=self._new_id())
        if page.after != listing.after:
            return NOTHING
        if not listing.epoch:
            listing = replace(listing, epoch=page.epoch, seq=page.seq, kept=page.kept)
        elif page.epoch != listing.epoch:
            return self._list_anew(replace(cursor, listing=None))
        taken = Relisting(self._replica, self._conflicts, listing).page(cursor, page)
        if taken.cursor is not None and taken.cursor.listing is None:
            self._sent.clear()
        return taken


def _newest(ops: Sequence[Op], base: Base | None) -> tuple[str, int | None]:
    """The epoch and revision of what a person sees; (``""``, None) if it is an op without one."""
    if not ops:
        return (base.epoch, base.stored.rev) if base is not None else ("", 0)
    accepted = ops[-1].accepted
    return (accepted.epoch, accepted.rev) if accepted is not None else ("", None)


def _is_in(op: Op, base: Base | None) -> bool:
    """Whether *base* says what *op* wrote, or something newer: it need not be shown any more (R4).

    The feed's place alone does not tell: what others overwrote comes with their write, pages later.
    """
    at = op.accepted
    return bool(at and base and at.epoch == base.epoch and at.rev <= base.stored.rev)


def _is_before(op: Op, page: ChangesPage) -> bool:
    """Whether *page* comes after what *op* wrote."""
    at = op.accepted
    return at is not None and at.epoch == page.epoch and at.seq <= page.next


def _ids(ops: Iterable[Op]) -> tuple[str, ...]:
    return tuple(op.op_id for op in ops)
