"""What a disk keeps, in memory: a store's database and a desk's replica.

Each transaction happens whole or not at all, and the world may end before or after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Protocol, Self

import msgspec

from rhdesk.access.levels import Level, folder_of, upwards
from rhdesk.server.tables import Entry, Head
from rhdesk.sync.state import Base, Cursor, Op, Parked, Refused, Transaction
from rhdesk.wire.store import Stored

Crashpoint = Callable[[], None]
"""Called before and after each commit; may raise."""


class Witness(Protocol):
    """Sees what is committed, as it is."""

    def committed(self, stored: Stored) -> None: ...
    def granted(self, seq: int, principal: str, folder: str, level: Level) -> None: ...
    def forgot(self, rid: str) -> None: ...


class Tables(msgspec.Struct):
    """All that the store's database holds."""

    epoch: str
    seq: int = 0
    oldest_seq: int = 0
    kept: dict[str, int] = {}
    resources: dict[str, Stored] = {}
    names: dict[str, str] = {}
    """Rids of the live resources, by name."""
    folders: dict[str, frozenset[str]] = {}
    versions: dict[str, tuple[Stored, ...]] = {}
    ops: dict[str, tuple[Stored, str]] = {}
    feed: list[Entry] = []
    grants: dict[str, dict[str, Level]] = {}

    def copy(self) -> Tables:
        return Tables(
            self.epoch,
            self.seq,
            self.oldest_seq,
            dict(self.kept),
            dict(self.resources),
            dict(self.names),
            dict(self.folders),
            dict(self.versions),
            dict(self.ops),
            list(self.feed),
            {principal: dict(grants) for principal, grants in self.grants.items()},
        )


class Reading:
    """Satisfies `rhdesk.server.tables.Reading`."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        return

    def head(self) -> Head:
        return Head(self.tables.epoch, self.tables.seq, self.tables.oldest_seq)

    def kept(self) -> Mapping[str, int]:
        return self.tables.kept

    def resource(self, rid: str) -> Stored | None:
        return self.tables.resources.get(rid)

    def live_named(self, name: str) -> Stored | None:
        rid = self.tables.names.get(name)
        return self.tables.resources[rid] if rid is not None else None

    def op(self, op_id: str) -> tuple[Stored, str] | None:
        return self.tables.ops.get(op_id)

    def feed(self, since: int, limit: int) -> list[Entry]:
        return [entry for entry in self.tables.feed if entry.seq > since][:limit]

    def folders_of(self, rid: str) -> set[str]:
        return set(self.tables.folders.get(rid, ()))

    def listing(self, after: str, limit: int, folders: list[str]) -> list[Stored]:
        found = [
            stored
            for rid, stored in sorted(self.tables.resources.items())
            if rid > after
            and stored.body is not None
            and any(above in folders for above in upwards(folder_of(stored.name)))
        ]
        return found[:limit]

    def versions(self, rid: str, before: int, limit: int) -> list[Stored]:
        newest_first = reversed(self.tables.versions.get(rid, ()))
        return [stored for stored in newest_first if not before or stored.rev < before][:limit]

    def grants(self, principal: str) -> Mapping[str, Level]:
        return self.tables.grants.get(principal, {})

    def acts_as(self, principal: str) -> set[str]:
        """Nobody is in a group here."""
        return {principal}

    def lane_of(self, folder: str) -> None:
        """There are none here."""

    def grants_in(self, folder: str) -> Mapping[str, Level]:
        found = {who: grants.get(folder) for who, grants in self.tables.grants.items()}
        return {who: level for who, level in found.items() if level is not None}


class Writing(Reading):
    """Satisfies `rhdesk.server.tables.Writing`; what is written is seen once it is committed."""

    purges = True
    """Whether what was deleted long ago is dropped; a database may, and may not."""

    def __init__(self, tables: Tables, crashpoint: Crashpoint, witness: Witness) -> None:
        super().__init__(tables)
        self._crashpoint = crashpoint
        self._witness = witness
        self._writes: list[Callable[[], None]] = []

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        if kind is None and self._writes:
            self._crashpoint()
            for write in self._writes:
                write()
            self._crashpoint()

    def next_seq(self) -> int:
        seq = self.tables.seq + 1

        def write() -> None:
            self.tables.seq = seq

        self._writes.append(write)
        return seq

    def add(self, stored: Stored, digest: str) -> None:
        tables = self.tables

        def write() -> None:
            before = tables.resources.get(stored.rid)
            if before is not None and tables.names.get(before.name) == stored.rid:
                del tables.names[before.name]
            if stored.body is not None:
                tables.names[stored.name] = stored.rid
            tables.resources[stored.rid] = stored
            earlier = tables.folders.get(stored.rid, frozenset())
            tables.folders[stored.rid] = earlier | {folder_of(stored.name)}
            tables.versions[stored.rid] = (*tables.versions.get(stored.rid, ()), stored)
            tables.ops[stored.op_id] = (stored, digest)
            tables.feed.append(Entry(stored.seq, rid=stored.rid))
            self._witness.committed(stored)

        self._writes.append(write)

    def grant(self, seq: int, principal: str, folder: str, level: Level) -> None:
        def write() -> None:
            self.tables.grants.setdefault(principal, {})[folder] = level
            self.tables.feed.append(Entry(seq, principal=principal, folder=folder))
            self._witness.granted(seq, principal, folder, level)

        self._writes.append(write)

    def note(self, seq: int, principal: str, action: str, about: str) -> None:
        """The audit says nothing here."""

    def forget_before(self, seq: int) -> None:
        tables = self.tables

        def write() -> None:
            tables.oldest_seq = seq
            tables.feed = [entry for entry in tables.feed if entry.seq > seq]
            for rid, stored in list(tables.resources.items()) if self.purges else ():
                if stored.body is None and stored.seq <= seq:
                    del tables.resources[rid]
                    self._witness.forgot(rid)

        self._writes.append(write)


class MemoryDatabase:
    """Satisfies `rhdesk.server.tables.Database`."""

    def __init__(self, epoch: str, crashpoint: Crashpoint, witness: Witness) -> None:
        self.tables = Tables(epoch)
        self.purges = True
        self._crashpoint = crashpoint
        self._witness = witness

    def reading(self) -> Reading:
        return Reading(self.tables)

    def writing(self) -> Writing:
        writing = Writing(self.tables, self._crashpoint, self._witness)
        writing.purges = self.purges
        return writing

    def principals(self) -> Iterator[str]:
        return iter(self.tables.grants)

    def restore(self, backup: Tables, epoch: str) -> None:
        """Go back to *backup*, in a new epoch."""
        self.tables = backup.copy()
        self.tables.kept[backup.epoch] = backup.seq
        self.tables.epoch = epoch


class MemoryReplica:
    """Satisfies `rhdesk.sync.state.Replica`."""

    def __init__(self, crashpoint: Crashpoint, committed: Callable[[Transaction], None]) -> None:
        self.bases: dict[str, Base] = {}
        self.ops: dict[str, Op] = {}
        self.conflicts: dict[str, Parked] = {}
        self.refusals: dict[str, Refused] = {}
        self.where = Cursor()
        self._crashpoint = crashpoint
        self._committed = committed

    def opened(self) -> None:
        """What a machine does when it starts; there is nothing to mend."""

    def lose_mirror(self) -> None:
        """What came from the store is damaged, and has to be had again (rule R13)."""
        self.bases.clear()
        self.where = Cursor()

    def apply(self, changes: Transaction) -> None:
        self._crashpoint()
        for rid in changes.dropped_bases:
            self.bases.pop(rid, None)
        for base in changes.bases:
            self.bases[base.rid] = base
        for op_id in changes.dropped_ops:
            self.ops.pop(op_id, None)
        for op in changes.ops:
            self.ops[op.op_id] = op
        for conflict in changes.conflicts:
            self.conflicts[conflict.conflict_id] = conflict
        for op_id in changes.dropped_refusals:
            self.refusals.pop(op_id, None)
        for refusal in changes.refusals:
            self.refusals[refusal.op_id] = refusal
        if changes.cursor is not None:
            self.where = changes.cursor
        self._committed(changes)
        self._crashpoint()

    def cursor(self) -> Cursor:
        return self.where

    def base(self, rid: str) -> Base | None:
        return self.bases.get(rid)

    def names(self) -> Iterable[tuple[str, str]]:
        return [(rid, base.stored.name) for rid, base in self.bases.items()]

    def unlisted(self, listing_id: str) -> Iterable[Base]:
        return [base for base in self.bases.values() if base.listing != listing_id]

    def op(self, op_id: str) -> Op | None:
        return self.ops.get(op_id)

    def ops_of(self, rid: str) -> list[Op]:
        return [op for op in self.ops.values() if op.rid == rid]

    def ops_named(self, name: str) -> list[Op]:
        return [op for op in self.ops.values() if op.name == name]

    def waiting(self) -> Iterable[Op]:
        first: dict[str, Op] = {}
        for op in self.ops.values():
            if op.accepted is None:
                first.setdefault(op.rid, op)
        return list(first.values())

    def accepted(self) -> Iterable[Op]:
        return [op for op in self.ops.values() if op.accepted is not None]

    def rids_of_ops(self) -> Iterable[str]:
        return dict.fromkeys(op.rid for op in self.ops.values())

    def conflict(self, conflict_id: str) -> Parked | None:
        return self.conflicts.get(conflict_id)
