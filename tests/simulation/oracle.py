"""Whether what happened may happen: invariants I1-I8 and L1, judged without any code of rhdesk.

It is told what people meant, what was committed, and what left the store; it keeps its own books
and raises `Violation` at the first entry that does not fit. Fields are compared as sets of leaves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Body = dict[str, Any] | None
Leaves = dict[str, str]

READ, WRITE = 1, 3


class Violation(Exception):
    """An invariant does not hold."""


class Version(NamedTuple):
    rid: str
    rev: int
    seq: int
    op_id: str
    author: str
    name: str
    body: Body


class Intent(NamedTuple):
    """What a person did: looked at *seen*, and saved *body*."""

    desk: str
    rid: str
    seen: Body
    body: Body
    touched: Leaves
    """The fields they changed, each with what they saw there; empty text: nothing."""
    restore: bool


class Row(NamedTuple):
    """One row of a page the store sends."""

    kind: str
    """``record``, ``hidden`` or ``access``."""
    seq: int
    rid: str = ""
    rev: int = 0
    readable: tuple[str, ...] = ()
    gained: bool = False


class Held(NamedTuple):
    """A resource as a replica has it."""

    epoch: str
    rev: int
    op_id: str
    name: str
    body: Body


class Books(NamedTuple):
    """All that one desk keeps."""

    desk: str
    epoch: str
    seq: int
    is_listing: bool
    bases: Mapping[str, Held]
    outbox: Mapping[str, Body]
    conflicts: Sequence[tuple[str, str, Body]]
    """Op id, rid, and our side."""
    refused: Collection[str]


def leaves(body: Body) -> Leaves:
    """Every field of *body* that is not an object, by its path, each spelled out."""
    found: Leaves = {}
    todo: list[tuple[str, Any]] = [("", body)] if body else []
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo += [(f"{path}/{name}", inner) for name, inner in value.items()]
        else:
            found[path] = repr(value)
    return found


def changed(before: Leaves, after: Leaves) -> set[str]:
    return {path for path, _ in before.items() ^ after.items()}


class Oracle:
    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.intents: dict[str, Intent] = {}
        self.acknowledged: set[str] = set()
        self.lineage: list[Version] = []
        """What the store has, in the order of the commits."""
        self.newest: dict[str, Version] = {}
        self.op_ids: set[str] = set()
        self.purged: set[str] = set()
        self.past: list[Version] = []
        """What it ever had, restores or not."""
        self.grants: dict[str, dict[str, int]] = defaultdict(dict)
        self.grant_log: list[tuple[int, str, str]] = []
        self._told: dict[str, int] = defaultdict(int)
        """How far each desk was told, in this epoch."""
        self._revs: dict[tuple[str, str, str], int] = {}
        self._seqs: dict[tuple[str, str], int] = {}
        self._owed: dict[str, tuple[Version, set[str], int]] = {}
        """By op id, the newest version of a resource that a restore lost, the desks that still have
        it, and the place the store went back to."""

    # ---- access, by a reading of its own

    def level(self, principal: str, folder: str) -> int:
        above = [level for top, level in self.grants[principal].items() if _is_in(folder, top)]
        return max(above, default=0)

    def may_read(self, principal: str, name: str) -> bool:
        return self.level(principal, _folder(name)) >= READ

    # ---- what people mean

    def intended(self, desk: str, op_id: str, rid: str, seen: Body, body: Body) -> None:
        before, after = leaves(seen), leaves(body)
        touched = {path: before.get(path, "") for path in changed(before, after)}
        self.intents[op_id] = Intent(desk, rid, seen, body, touched, restore=seen is None)

    def told_saved(self, op_id: str) -> None:
        self.acknowledged.add(op_id)

    # ---- what the store does

    def committed(self, version: Version) -> None:
        previous = self.newest.get(version.rid)
        self._check_order(version, previous)
        self._check_meant(version, previous)
        folders = {_folder(version.name)} | ({_folder(previous.name)} if previous else set())
        if any(self.level(version.author, folder) < WRITE for folder in folders):
            raise Violation(f"I5 written without permission: {version}")
        if version.body is not None:
            for other in self.newest.values():
                if other.name == version.name and other.rid != version.rid and other.body:
                    raise Violation(f"I2 two live resources are called {version.name}")
        self.lineage.append(version)
        self.past.append(version)
        self.newest[version.rid] = version
        self.op_ids.add(version.op_id)

    def _check_order(self, version: Version, previous: Version | None) -> None:
        if version.op_id in self.op_ids:
            raise Violation(f"I4 applied twice: {version}")
        if version.rev != (previous.rev if previous else 0) + 1:
            raise Violation(f"I3 the revision jumped: {version} after {previous}")
        if self._told and version.seq <= max(self._told.values()):
            raise Violation(f"I8 committed behind what was told already: {version}")

    def _check_meant(self, version: Version, previous: Version | None) -> None:
        intent = self.intents[version.op_id]
        prev = previous.body if previous else None
        is_back = previous is not None and prev is None and version.body is not None
        if is_back and not intent.restore:
            raise Violation(f"I7 came back without being restored: {version}")
        if version.body is None:
            if leaves(intent.seen) != leaves(prev):
                raise Violation(f"I1b deleted unseen: {prev} by who saw {intent.seen}")
            return
        before = leaves(prev)
        for path in changed(before, leaves(version.body)):
            if path not in intent.touched:
                raise Violation(f"I1c {path} was not touched by who wrote {version}: {intent}")
            if intent.touched[path] != before.get(path, ""):
                raise Violation(f"I1b {path} overwritten unseen: {prev} by {version}: {intent}")

    def granted(self, seq: int, principal: str, folder: str, level: int) -> None:
        self.grants[principal][folder] = level
        self.grant_log.append((seq, principal, folder))

    def forgot(self, rids: Iterable[str]) -> None:
        self.purged.update(rids)

    def restored(
        self,
        seq: int,
        epoch: str,
        rids: Collection[str],
        grants: Mapping[str, Mapping[str, int]],
        desks: Sequence[Books],
    ) -> None:
        """The store went back to what it was at *seq*."""
        lost: dict[str, Version] = {v.rid: v for v in self.lineage if v.seq > seq}
        self._owed = {
            op_id: debt
            for op_id, debt in self._owed.items()
            if not self._is_there_again(debt[0], debt[2])
        }
        still_there = {v.rid for v in self.lineage if v.seq <= seq}
        for rid, version in lost.items():
            # Deleted, and not even made where the store is now: nothing to decide.
            if self.newest[rid] is version and (version.body is not None or rid in still_there):
                self._owe(version, desks, seq)
        self.lineage = [v for v in self.lineage if v.seq <= seq]
        self.newest = {v.rid: v for v in self.lineage}
        self.op_ids = {v.op_id for v in self.lineage}
        self.purged = {rid for rid in self.newest if rid not in rids}
        self.grants = defaultdict(dict, {who: dict(what) for who, what in grants.items()})
        self.grant_log = [row for row in self.grant_log if row[0] <= seq]
        self.epoch = epoch
        self._told.clear()

    def _owe(self, version: Version, desks: Sequence[Books], seq: int) -> None:
        """A lost version has to turn up in the conflicts of somebody who had it."""
        holders = {
            books.desk
            for books in desks
            if version.op_id in books.outbox
            or (version.rid in books.bases and books.bases[version.rid].op_id == version.op_id)
        }
        for books in desks:
            follows = books.epoch == self.epoch and not books.is_listing
            if (
                books.desk == version.author
                and books.desk not in holders
                and version.body is not None
                and follows
                and books.seq >= version.seq
                and all(at <= books.seq for at, who, _ in self.grant_log if who == books.desk)
                and self.may_read(books.desk, version.name)
            ):
                raise Violation(f"I6 its author follows the store and has it no more: {version}")
        if holders:
            self._owed[version.op_id] = (version, holders, seq)

    # ---- what leaves the store

    def told_accepted(self, op_id: str) -> None:
        if op_id not in self.op_ids:
            raise Violation(f"I6 {op_id} was accepted, and is not there")

    def told_body(self, desk: str, name: str) -> None:
        if not self.may_read(desk, name):
            raise Violation(f"I5 {desk} was told of {name}")

    def told_page(self, desk: str, since: int, upto: int, rows: Sequence[Row]) -> None:
        """I8: everything between the two places that the reader may know, in order."""
        if [row.seq for row in rows] != sorted({row.seq for row in rows}):
            raise Violation(f"I8 out of order: {rows}")
        if upto < since:
            raise Violation(f"I8 the feed went back from {since} to {upto}")
        wanted = {
            (kind, version.seq, version.rid, version.rev if kind == "record" else 0)
            for version in self.newest.values()
            if since < version.seq <= upto and version.rid not in self.purged
            if (kind := self._kind(desk, version))
        }
        wanted |= {
            ("access", seq, "", 0)
            for seq, who, _ in self.grant_log
            if who == desk and since < seq <= upto
        }
        told = {(row.kind, row.seq, row.rid, row.rev) for row in rows}
        if told != wanted:
            raise Violation(f"I8 {desk} was told {told} and not {wanted}")
        self._told[desk] = max(self._told[desk], upto)

    def _kind(self, desk: str, version: Version) -> str:
        if self.may_read(desk, version.name):
            return "record"
        names = (v.name for v in self.lineage if v.rid == version.rid)
        return "hidden" if any(self.may_read(desk, name) for name in names) else ""

    # ---- what a replica does

    def replica_moved(self, desk: str, epoch: str, seq: int) -> None:
        if seq < self._seqs.get((desk, epoch), 0):
            raise Violation(f"I3 {desk} went back to {seq}")
        self._seqs[desk, epoch] = seq

    def replica_has(self, desk: str, rid: str, epoch: str, rev: int) -> None:
        if rev < self._revs.get((desk, epoch, rid), 0):
            raise Violation(f"I3 {desk} went back to revision {rev} of {rid}")
        self._revs[desk, epoch, rid] = rev

    def replica_let_go(
        self, desk: str, epoch: str, rids: Collection[str], op_ids: Collection[str]
    ) -> None:
        """Told to by what the store said in *epoch*; late, a store that is no more says so too."""
        for version, holders, _ in self._owed.values():
            if version.rid not in rids and version.op_id not in op_ids:
                continue
            there = self.newest.get(version.rid)
            # Who deleted what is there again, and may not see it, has nothing to decide.
            is_blind = there is None or not self.may_read(desk, there.name)
            if epoch != self.epoch or (version.body is None and is_blind):
                holders.discard(desk)

    def replica_lost_mirror(self, books: Books) -> None:
        """What it had from the store is gone by accident; what was saved in it is not."""
        for version, holders, _ in self._owed.values():
            if version.op_id not in books.outbox:
                holders.discard(books.desk)

    def replica_purged(self, desk: str, names: Iterable[str], readable: Sequence[str]) -> None:
        for name in names:
            if not any(_is_in(_folder(name), top) for top in readable):
                raise Violation(f"I5 {desk} still has {name}, and may read {readable}")

    def reads_own(self, books: Books, dropped: Iterable[str]) -> None:
        """I3: what a person wrote and the store took is there when the queue lets go of it."""
        parked = {op_id for op_id, _, _ in books.conflicts}
        for op_id in dropped:
            if op_id in books.outbox or op_id in parked or op_id in books.refused:
                continue
            for version in reversed(self.lineage):
                held = books.bases.get(version.rid)
                if version.op_id != op_id or held is None or held.epoch != self.epoch:
                    continue
                if held.rev < version.rev:
                    raise Violation(f"I3 {books.desk} no longer sees its own {version}")

    # ---- in the end

    def check(self, desks: Sequence[Books]) -> None:
        """Once everything is quiet."""
        for books in desks:
            if books.outbox:
                raise Violation(f"L1 {books.desk} still waits: {books.outbox}")
            self._check_converged(books)
        self.check_nothing_lost(desks)
        self._check_owed(desks)

    def _check_converged(self, books: Books) -> None:
        wanted = {
            rid: Held(self.epoch, v.rev, v.op_id, v.name, v.body)
            for rid, v in self.newest.items()
            if v.body is not None and self.may_read(books.desk, v.name)
        }
        held = {rid: held for rid, held in books.bases.items() if held.body is not None}
        if held != wanted:
            odd = {rid: (held.get(rid), wanted.get(rid)) for rid in held.keys() | wanted.keys()}
            odd = {rid: both for rid, both in odd.items() if both[0] != both[1]}
            raise Violation(f"I2 {books.desk} (has, should have): {odd}")

    def check_nothing_lost(self, desks: Sequence[Books]) -> None:
        """I1, at any moment."""
        safe = {v.op_id for v in self.past}
        for books in desks:
            safe |= books.outbox.keys() | {op_id for op_id, _, _ in books.conflicts}
            safe.update(books.refused)
        for op_id in self.acknowledged - safe:
            if not _is_said(self.intents[op_id], self.past):
                raise Violation(f"I1 {op_id} was saved, and is nowhere: {self.intents[op_id]}")

    def _check_owed(self, desks: Sequence[Books]) -> None:
        """I6 after a restore: what it lost is in the conflicts of a holder, or there again."""
        for version, holders, seq in self._owed.values():
            if not holders or self._is_there_again(version, seq):
                continue
            kept = [
                books
                for books in desks
                for op_id, rid, ours in books.conflicts
                if op_id == version.op_id or (rid == version.rid and ours == version.body)
            ]
            refused = any(version.op_id in books.refused for books in desks)
            if not kept and not refused:
                raise Violation(f"I6 lost by a restore, and kept by nobody: {version} {holders}")

    def _is_there_again(self, version: Version, seq: int) -> bool:
        """Whether what was lost was written since, by itself or as part of something."""
        if version.op_id in self.op_ids or self._went_on(version):
            return True
        if any(leaves(v.body) == leaves(version.body) for v in self._like(version)):
            return True
        if version.body is None:
            return False
        # It was still waiting, and went onto what others wrote since; or it was new, and the
        # restore brought back another of its name that says it already: the two were made one.
        said = [v for v in self.lineage if v.seq > seq]
        if version.rev == 1:
            said += [v for v in self.lineage if v.name == version.name and v.rid != version.rid]
        return _is_said(self.intents[version.op_id], said)

    def _went_on(self, version: Version) -> bool:
        """Whether its author had written on it before, and a request that came twice, across a
        restore, made it again: what they wrote last was owed then."""
        meant = list(self.intents)
        later = set(meant[meant.index(version.op_id) + 1 :])
        made = max(at for at, v in enumerate(self.past) if v == version)
        earlier = self.past[:made]
        return any(v.op_id in later and v.rid == version.rid for v in earlier)

    def _like(self, version: Version) -> Iterable[Version]:
        return (v for v in self.lineage if v.rid == version.rid or v.name == version.name)


def _folder(name: str) -> str:
    return name.rpartition("/")[0] or "/"


def _is_in(folder: str, top: str) -> bool:
    return top == "/" or f"{folder}/".startswith(f"{top}/")


def _is_said(intent: Intent, versions: Sequence[Version]) -> bool:
    """Whether *versions* say, each some of it, all that a person meant to say."""
    if intent.body is None:
        return all(v.rid != intent.rid for v in versions) or any(
            v.body is None for v in versions if v.rid == intent.rid
        )
    # Made twice under one name, it became one resource, whose rid is the other's.
    names = {body["name"] for body in (intent.seen, intent.body) if body}
    rids = {v.rid for v in versions if v.name in names} | {intent.rid}
    said = [leaves(v.body) for v in versions if v.rid in rids]
    after = leaves(intent.body)
    return all(any(each.get(path) == after.get(path) for each in said) for path in intent.touched)
