"""The rules of the store: what is written, what is refused, and who is told what.

Each verb is one transaction. What it decides is decided inside: permission, revision and name are
those of the moment of the commit, or of the moment of sending.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from rhdesk.access.levels import Level, folder_of, level_in, readable
from rhdesk.errors import BadName
from rhdesk.models import Name
from rhdesk.server.tables import Database, Reading
from rhdesk.wire.store import (
    Accepted,
    AccessRow,
    Answer,
    Based,
    ChangesPage,
    Denied,
    FeedRow,
    Gone,
    HiddenRow,
    Invalid,
    ListingPage,
    Put,
    RecordRow,
    Stale,
    Stored,
    Taken,
    VersionsPage,
    WrongEpoch,
)

PAGE: Final = 500
"""Rows of a page, unless fewer are asked for."""


class Store:
    def __init__(
        self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.database = database
        self._now = now

    def put(self, principal: str, rid: str, op_id: str, based: Based, put: Put) -> Answer:
        """Write one revision, once, whatever happens to the answer (rules R2, R3, R8)."""
        digest = _digest(put)
        with self.database.writing() as t:
            done = t.op(op_id)
            if done is not None:
                stored, before = done
                if stored.author != principal or stored.rid != rid or before != digest:
                    return Invalid(f"the key {op_id} belongs to another write")
                return Accepted(t.head().epoch, stored.rev, stored.seq)
            epoch = t.head().epoch
            if based.epoch != epoch and based != Based("", 0):
                return WrongEpoch(epoch)
            name = _name_in(put.body)
            if isinstance(name, Invalid):
                return name
            current = t.resource(rid)
            grants = t.grants(principal)
            for folder in _folders(current, name):
                if level_in(folder, grants) < Level.WRITE:
                    return _denied(principal, folder, grants)
                if lane := t.lane_of(folder):
                    return Denied(f"{lane.folder} is a lane: versions are promoted into it")
            if based.rev != (current.rev if current else 0):
                return Stale(epoch, current)
            if current is None and put.body is None:
                return Stale(epoch)
            if current is not None and current.body is None and not _brings_back(put):
                return Stale(epoch, current)
            if name:
                other = t.live_named(name)
                if other is not None and other.rid != rid:
                    return Taken(epoch, other)
            made = Stored(
                rid=rid,
                rev=based.rev + 1,
                seq=t.next_seq(),
                name=name or (current.name if current else ""),
                body=put.body,
                op_id=op_id,
                author=principal,
                at=self._now(),
                saved_at=put.saved_at,
                run_id=put.run_id,
                note=put.note,
            )
            t.add(made, digest)
            t.note(made.seq, principal, "write" if put.body is not None else "delete", made.name)
        return Accepted(epoch, made.rev, made.seq)

    def changes(
        self, principal: str, epoch: str, since: int, limit: int = PAGE
    ) -> ChangesPage | Gone:
        """What happened after *since* that *principal* may know now (rules R5, R8, R9)."""
        with self.database.reading() as t:
            head = t.head()
            if epoch != head.epoch or not head.oldest_seq <= since <= head.seq:
                return Gone(head.epoch)
            grants = t.grants(principal)
            mine = t.acts_as(principal)
            entries = t.feed(since, _within(limit))
            rows: list[FeedRow] = []
            for entry in entries:
                if entry.principal in mine:
                    # Only a folder that may be read now can have shown something new.
                    gained = not entry.folder or level_in(entry.folder, grants) >= Level.READ
                    rows.append(AccessRow(entry.seq, readable(grants), gained))
                elif row := self._row(t, entry.seq, entry.rid, grants):
                    rows.append(row)
            end = entries[-1].seq if entries else head.seq
            return ChangesPage(epoch, since, end, rows, more=end < head.seq)

    def _row(
        self, t: Reading, seq: int, rid: str, grants: Mapping[str, Level]
    ) -> RecordRow | HiddenRow | None:
        stored = t.resource(rid) if rid else None
        if stored is None or stored.seq != seq:
            return None  # a later entry tells the newest of it
        if _may_read(stored, grants):
            return RecordRow(seq, stored)
        if any(level_in(folder, grants) >= Level.READ for folder in t.folders_of(rid)):
            return HiddenRow(seq, rid)
        return None

    def listing(self, principal: str, after: str = "", limit: int = PAGE) -> ListingPage:
        """A page of all that *principal* may read; the first page's `seq` is where to go on."""
        limit = _within(limit)
        with self.database.reading() as t:
            head = t.head()
            rows = t.listing(after, limit + 1, readable(t.grants(principal)))
            kept = dict(t.kept())
        more = len(rows) > limit
        return ListingPage(head.epoch, head.seq, after, rows[:limit], more, kept)

    def resource(self, principal: str, rid: str) -> Stored | None:
        """The newest revision; None where there is none that *principal* may read."""
        with self.database.reading() as t:
            stored = t.resource(rid)
            readable_now = stored is not None and _may_read(stored, t.grants(principal))
        return stored if readable_now else None

    def versions(
        self, principal: str, rid: str, before: int = 0, limit: int = PAGE
    ) -> VersionsPage | None:
        """Revisions below *before*, newest first, those made where *principal* may not read left
        out; None as `resource`."""
        limit = _within(limit)
        kept: list[Stored] = []
        with self.database.reading() as t:
            grants = t.grants(principal)
            stored = t.resource(rid)
            if stored is None or not _may_read(stored, grants):
                return None
            while len(kept) <= limit and (rows := t.versions(rid, before, limit + 1)):
                kept += [row for row in rows if _may_read(row, grants)]
                before = rows[-1].rev
        return VersionsPage(kept[:limit], more=len(kept) > limit)

    def grant(self, granter: str, principal: str, folder: str, level: Level) -> Denied | int:
        """Let *principal* do so much in *folder* and below; returns the place in the feed.

        Nobody gives more than they have, or where they are not admin.
        """
        with self.database.writing() as t:
            has = level_in(folder, t.grants(granter))
            if has < Level.ADMIN:
                return Denied(f"{granter} is not admin of {folder}")
            seq = t.next_seq()
            t.grant(seq, principal, folder, level)
            t.note(seq, granter, f"grant {level.name.lower()} to {principal}", folder)
        return seq

    def grants_in(self, principal: str, folder: str) -> Mapping[str, Level] | Denied:
        """Who was granted what in exactly *folder*."""
        with self.database.reading() as t:
            if level_in(folder, t.grants(principal)) < Level.READ:
                return Denied(f"{principal} may not read {folder}")
            return t.grants_in(folder)

    def forget_before(self, seq: int) -> None:
        """Let the feed begin after *seq*; who has not read so far lists anew (rule R8)."""
        with self.database.writing() as t:
            head = t.head()
            if seq > head.oldest_seq:
                t.forget_before(min(seq, head.seq))


def _within(limit: int) -> int:
    """Rows of a page, however many were asked for."""
    return max(1, min(limit, PAGE))


def _may_read(stored: Stored, grants: Mapping[str, Level]) -> bool:
    return level_in(folder_of(stored.name), grants) >= Level.READ


def _denied(principal: str, folder: str, grants: Mapping[str, Level]) -> Denied:
    """No, without saying where a resource went that *principal* can no longer see."""
    if level_in(folder, grants) < Level.READ:
        return Denied(f"{principal} may not write this resource there, or no longer")
    return Denied(f"{principal} may not write in {folder}")


def _brings_back(put: Put) -> bool:
    """Whether it is the one kind of write a deleted resource takes."""
    return put.restore and put.body is not None


def _folders(current: Stored | None, name: str) -> list[str]:
    """Where a write happens: where the resource is, and where it goes."""
    names = [current.name] if current is not None else []
    return sorted({folder_of(n) for n in [*names, name] if n})


def _name_in(body: dict[str, Any] | None) -> str | Invalid:
    """The name a body gives itself; "" for a deletion."""
    if body is None:
        return ""
    name, kind = body.get("name"), body.get("resource_type")
    if not isinstance(kind, str) or not kind:
        return Invalid("a config names its resource_type")
    try:
        parsed = Name.parse(name) if isinstance(name, str) else None
    except BadName as exc:
        return Invalid(str(exc))
    if parsed is None or parsed.root != "/" or parsed.version or len(parsed.parts) < 2:
        return Invalid(f"{name!r} is no name of a store; names look like /owner/train")
    return str(parsed)


def _digest(put: Put) -> str:
    return hashlib.sha256(msgspec.json.encode(put, order="deterministic")).hexdigest()
