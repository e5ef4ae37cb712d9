"""One seed, one schedule: people who write, a network that loses, machines that crash.

The engine and the store are the real ones. Everything around them is drawn from the seed: what is
saved, which message arrives when, twice or never, who is cut off, where a machine stops, whose
grants change, when the feed is cut and the store goes back to a backup. Then everything heals, and
the oracle looks at what is left.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, Final, NamedTuple

from rhdesk.access.levels import Level
from rhdesk.server import store as real_store
from rhdesk.sync import engine as real_engine
from rhdesk.sync.state import NOTHING, AskChanges, AskListing, Push, Request, Transaction
from rhdesk.wire.store import (
    Accepted,
    AccessRow,
    Based,
    ChangesPage,
    HiddenRow,
    ListingPage,
    RecordRow,
    Stale,
    Stored,
    Taken,
)
from tests.simulation import memory as real_memory
from tests.simulation.oracle import Body, Books, Held, Oracle, Row, Version, Violation

FOLDERS: Final = ("/org", "/org/a", "/org/a/x", "/org/b")
LEAVES: Final = ("t0", "t1", "t2", "t3")
ROOT: Final = "root"
"""A principal who may do everything, and only grants."""
NOW: Final = datetime(2026, 10, 1, tzinfo=UTC)
ROUNDS: Final = 600
"""By then a healed world is quiet."""


class Crash(Exception):
    """A machine stopped."""


class Parts(NamedTuple):
    """The modules a world is made of; a mutant replaces some."""

    engine: ModuleType = real_engine
    store: ModuleType = real_store
    memory: ModuleType = real_memory


class Size(NamedTuple):
    desks: int = 3
    steps: int = 120
    is_ruled: bool = True
    """Somebody grants and revokes, cuts the feed, and restores backups."""


REAL: Final = Parts()
SMALL: Final = Size()


class Message(NamedTuple):
    desk: str
    request: Request
    reply: Any = None
    """None on the way to the store."""


class Desk:
    """A replica and the engine that keeps it; a crash leaves only the replica."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.hearing: Any = None
        self.replica = world.parts.memory.MemoryReplica(world.crashpoint, self._committed)
        self.boot()

    def boot(self) -> None:
        self.hearing = None
        self.replica.opened()
        self.engine = self.world.parts.engine.Engine(self.replica, lambda: NOW, self.world.new_id)

    # ---- what a person does

    def see(self) -> dict[str, Body]:
        """Everything there is, by rid."""
        rids = [*self.replica.bases, *(op.rid for op in self.replica.ops.values())]
        return {rid: self.engine.view(rid) for rid in dict.fromkeys(rids)}

    def create(self, body: Body) -> str:
        return self.save_as(self.engine.create(body), None)

    def save(self, rid: str, body: Body, *, restore: bool = False) -> str:
        seen = self.engine.view(rid)
        return self.save_as(self.engine.save(rid, body, restore=restore), seen)

    def resolve(self, conflict_id: str, body: Body) -> str:
        rid = self.replica.conflicts[conflict_id].rid
        return self.save_as(self.engine.resolve(conflict_id, body), self.engine.view(rid))

    def save_as(self, changes: Transaction, seen: Body) -> str:
        """Returns the rid; a person is told after this."""
        oracle = self.world.oracle
        for op in changes.ops:
            oracle.intended(self.name, op.op_id, op.rid, seen, op.body)
        self.hearing = None
        self.replica.apply(changes)
        for op in changes.ops:
            self.world.count["acknowledged"] += 1
            oracle.told_saved(op.op_id)
        return changes.ops[0].rid if changes.ops else ""

    # ---- what the machine does

    def hear(self, request: Request, reply: Any) -> bool:
        """Returns whether it changed anything."""
        changes = self.engine.heard(request, reply)
        self.hearing = reply
        if changes == NOTHING:
            return False
        self.replica.apply(changes)
        return True

    def _committed(self, changes: Transaction) -> None:
        oracle = self.world.oracle
        for base in changes.bases:
            oracle.replica_has(self.name, base.rid, base.epoch, base.stored.rev)
        if self.hearing is not None and changes.dropped_ops:
            oracle.reads_own(self.books(), changes.dropped_ops)
        if isinstance(self.hearing, ChangesPage | ListingPage):
            cursor = self.replica.where
            oracle.replica_moved(self.name, cursor.epoch, cursor.seq)
            told_in = cursor.listing.epoch if cursor.listing is not None else cursor.epoch
            oracle.replica_let_go(self.name, told_in, changes.dropped_bases, changes.dropped_ops)
        if isinstance(self.hearing, ChangesPage):
            self._check_purged(self.hearing)

    def _check_purged(self, page: ChangesPage) -> None:
        """Once the row of a revocation is taken in, nothing of it is left."""
        names = [base.stored.name for base in self.replica.bases.values()]
        for row in page.rows:
            if isinstance(row, AccessRow):
                self.world.oracle.replica_purged(self.name, names, row.readable)

    def books(self) -> Books:
        replica = self.replica
        return Books(
            self.name,
            replica.where.epoch,
            replica.where.seq,
            replica.where.listing is not None,
            {
                rid: Held(b.epoch, b.stored.rev, b.stored.op_id, b.stored.name, b.body)
                for rid, b in replica.bases.items()
            },
            {op.op_id: op.body for op in replica.ops.values()},
            [(c.op_id, c.rid, c.ours) for c in replica.conflicts.values()],
            set(replica.refusals),
        )


class World:
    def __init__(self, seed: int, size: Size = SMALL, parts: Parts = REAL) -> None:
        self.random = random.Random(seed)
        self.size = size
        self.parts = parts
        self.count: Counter[str] = Counter()
        self.net: list[Message] = []
        self.cut_off: set[str] = set()
        self.is_chaos = False
        self.crash_chance = 0.0
        self._ids = 0
        self.oracle = Oracle("e0")
        self.database = parts.memory.MemoryDatabase("e0", self.crashpoint, self)
        self.database.purges = seed % 2 == 0
        self.store = parts.store.Store(self.database, lambda: NOW)
        self.backup: Any = None
        self.database.tables.grants[ROOT] = {"/": Level.ADMIN}
        self.oracle.grants[ROOT]["/"] = Level.ADMIN
        self.desks = {f"d{n}": Desk(self, f"d{n}") for n in range(size.desks)}
        self.store.grant(ROOT, "d0", "/org", Level.WRITE)
        for name in list(self.desks)[1:]:
            folder = self.random.choice((FOLDERS[0], *FOLDERS))
            self.store.grant(ROOT, name, folder, Level.WRITE)

    def new_id(self) -> str:
        """Never twice the same; in no order, as a listing goes by it."""
        self._ids += 1
        return f"{self.random.getrandbits(24):06x}-{self._ids}"

    def crashpoint(self) -> None:
        if self.crash_chance and self.random.random() < self.crash_chance:
            self.count["crashes"] += 1
            raise Crash

    # ---- what the store commits, told to the oracle

    def committed(self, stored: Stored) -> None:
        self.oracle.committed(
            Version(
                stored.rid,
                stored.rev,
                stored.seq,
                stored.op_id,
                stored.author,
                stored.name,
                stored.body,
            )
        )

    def granted(self, seq: int, principal: str, folder: str, level: Level) -> None:
        self.oracle.granted(seq, principal, folder, level)

    def forgot(self, rid: str) -> None:
        self.oracle.forgot([rid])

    # ---- the network

    def send(self, message: Message) -> None:
        if message.desk in self.cut_off:
            return
        luck = self.random.random() if self.is_chaos else 0.5
        if luck < 0.12:
            self.count["lost"] += 1
            return
        self.net.append(message)
        if luck > 0.9:
            self.net.append(message)
            self.count["twice"] += 1

    def deliver(self) -> None:
        if not self.net:
            return
        place = self.random.randrange(len(self.net)) if self.is_chaos else 0
        message = self.net.pop(place)
        if message.reply is None:
            reply = self.ask(message.desk, message.request)
            if reply is not None:
                self.send(message._replace(reply=reply))
            return
        desk = self.desks[message.desk]
        try:
            desk.hear(message.request, message.reply)
        except Crash:
            desk.boot()

    def ask(self, desk: str, request: Request) -> Any:
        """The store's answer; None if it crashed."""
        try:
            match request:
                case Push():
                    # A creation says no epoch on the wire: If-None-Match: *.
                    based = request.based if request.based.rev else Based("", 0)
                    reply = self.store.put(desk, request.rid, request.op_id, based, request.put)
                case AskChanges():
                    reply = self.store.changes(desk, request.epoch, request.since, 3)
                case AskListing():
                    reply = self.store.listing(desk, request.after, 2)
        except Crash:
            return None
        self._check_told(desk, request, reply)
        return reply

    def _check_told(self, desk: str, request: Request, reply: Any) -> None:
        oracle = self.oracle
        match reply:
            case Accepted() if isinstance(request, Push):
                oracle.told_accepted(request.op_id)
            case Stale(current=Stored() as shown) | Taken(other=shown):
                oracle.told_body(desk, shown.name)
            case ChangesPage():
                rows = [_row(row) for row in reply.rows]
                for row in reply.rows:
                    if isinstance(row, RecordRow):
                        oracle.told_body(desk, row.stored.name)
                oracle.told_page(desk, reply.since, reply.next, rows)
            case ListingPage():
                for stored in reply.rows:
                    oracle.told_body(desk, stored.name)

    # ---- a schedule

    def run(self) -> Counter[str]:
        self.is_chaos, self.crash_chance = True, 0.04
        for _ in range(self.size.steps):
            self.step()
        self.heal()
        self.oracle.check_nothing_lost([desk.books() for desk in self.desks.values()])
        self.settle()
        self.oracle.check([desk.books() for desk in self.desks.values()])
        self.count["conflicts"] += sum(len(d.replica.conflicts) for d in self.desks.values())
        self.count["refused"] += sum(len(d.replica.refusals) for d in self.desks.values())
        return self.count

    def heal(self) -> None:
        self.is_chaos, self.crash_chance = False, 0.0
        self.cut_off.clear()
        self.net.clear()
        for desk in self.desks.values():
            desk.boot()

    def settle(self) -> None:
        """Let everything that wants to be said be said (L1)."""
        quiet = 0
        for _ in range(ROUNDS):
            before = self._progress()
            for desk in self.desks.values():
                self.pump(desk)
                while self.net:
                    self.deliver()
                desk.engine.timed_out()
            quiet = quiet + 1 if self._progress() == before else 0
            if quiet == 2:
                return
        raise Violation(f"L1 no end of it: {self._progress()}")

    def _progress(self) -> Any:
        return (
            self.database.tables.seq,
            [
                (d.replica.where, len(d.replica.ops), len(d.replica.conflicts))
                for d in self.desks.values()
            ],
        )

    def pump(self, desk: Desk, room: int = 8) -> None:
        for request in desk.engine.wants(room):
            self.send(Message(desk.name, request))

    def step(self) -> None:
        luck = self.random.random()
        desk = self.random.choice(list(self.desks.values()))
        try:
            if luck < 0.17:
                self.act(desk)
            elif luck < 0.42:
                self.pump(desk, self.random.choice((1, 2, 8)))
            elif luck < 0.86:
                self.deliver()
            elif luck < 0.91:
                desk.engine.timed_out()
            elif luck < 0.94:
                self.cut_off ^= {desk.name}
            elif luck < 0.955:
                self.count["crashes"] += 1
                if self.random.random() < 0.1:
                    self.count["mirrors"] += 1
                    desk.replica.lose_mirror()
                    self.oracle.replica_lost_mirror(desk.books())
                desk.boot()
            elif self.size.is_ruled:
                self.operate(luck)
        except Crash:
            desk.boot()

    def operate(self, luck: float) -> None:
        """What the people do who keep the store."""
        if luck < 0.967:
            name = self.random.choice(list(self.desks)[1:])
            level = self.random.choice((Level.NONE, Level.READ, Level.WRITE, Level.WRITE))
            self.store.grant(ROOT, name, self.random.choice(FOLDERS), level)
            self.count["grants"] += 1
        elif luck < 0.975:
            self.store.forget_before(self.database.tables.seq // 2)
            self.count["cuts"] += 1
        elif luck < 0.985:
            if self.backup is None:
                self.backup = self.database.tables.copy()
            elif self.random.random() < 0.4:
                self.restore()

    def restore(self) -> None:
        backup = self.backup
        self.oracle.restored(
            backup.seq,
            epoch := f"e{self.new_id()}",
            backup.resources.keys(),
            backup.grants,
            [desk.books() for desk in self.desks.values()],
        )
        self.database.restore(backup, epoch)
        self.count["restores"] += 1
        if self.random.random() < 0.6:
            self.backup = None

    # ---- what people do

    def act(self, desk: Desk) -> None:
        open_conflicts = [c for c in desk.replica.conflicts.values() if c.resolved_at is None]
        if open_conflicts and self.random.random() < 0.25:
            conflict = self.random.choice(open_conflicts)
            body = self.random.choice((conflict.ours, conflict.theirs))
            desk.resolve(conflict.conflict_id, body)
            self.count["resolved"] += 1
            return
        seen = desk.see()
        live = [rid for rid, body in seen.items() if body is not None]
        luck = self.random.random()
        if not live or luck < 0.2:
            self._create(desk, seen)
            return
        rid = self.random.choice(live[:4])
        if luck < 0.28:
            desk.save(rid, None)
        elif luck < 0.31 and len(live) < len(seen):
            gone = self.random.choice([rid for rid, body in seen.items() if body is None])
            body = self.body(desk)
            if _is_free(body, gone, seen):
                desk.save(gone, body, restore=True)
        else:
            changed = self.changed(desk, seen[rid] or {})
            if _is_free(changed, rid, seen):
                desk.save(rid, changed)

    def _create(self, desk: Desk, seen: dict[str, Body]) -> None:
        body = self.body(desk)
        taken = [rid for rid, b in seen.items() if b is not None and b["name"] == body["name"]]
        if taken:
            desk.save(taken[0], body)
        else:
            desk.create(body)

    def body(self, desk: Desk) -> dict[str, Any]:
        """A config somebody might save."""
        body: dict[str, Any] = {
            "name": self.name(desk),
            "resource_type": "env" if self.random.random() < 0.98 else "",
            "a": self.random.choice((0, 1)),
        }
        if self.random.random() < 0.6:
            body["env"] = {"n": 1, "reqs": ["x"]}
        return body

    def name(self, desk: Desk) -> str:
        """Mostly where they may write; often one that others choose as well."""
        is_allowed = self.random.random() < 0.9
        level = self.oracle.level
        mine = [f for f in FOLDERS if level(desk.name, f) >= Level.WRITE] if is_allowed else []
        is_common = self.random.random() < 0.5
        leaf = self.random.choice(LEAVES) if is_common else f"u{self.new_id()}"
        return f"{self.random.choice(mine or FOLDERS)}/{leaf}"

    def changed(self, desk: Desk, body: dict[str, Any]) -> dict[str, Any]:
        """*body* with one or two fields changed."""
        changed = dict(body)
        for _ in range(self.random.choice((1, 1, 2))):
            value = self.random.choice((0, 1, 1.0, True, self.new_id()))
            luck = self.random.random()
            if luck < 0.45:
                changed[self.random.choice("abc")] = value
            elif luck < 0.55:
                changed.pop(self.random.choice("abc"), None)
            elif luck < 0.62:
                changed["name"] = self.name(desk)
            elif luck < 0.68:
                changed["env"] = value
            elif luck < 0.72:
                changed.pop("env", None)
            else:
                inner = changed.get("env")
                inner = dict(inner) if isinstance(inner, dict) else {}
                if luck < 0.85:
                    inner[self.random.choice("nm")] = value
                elif luck < 0.95:
                    inner["reqs"] = [*inner.get("reqs", ()), value]
                else:
                    deep = dict(inner.get("deep", {}))
                    deep[self.random.choice("xy")] = value
                    inner["deep"] = deep
                changed["env"] = inner
        return changed


def _is_free(body: Body, rid: str, seen: dict[str, Body]) -> bool:
    """Whether, as far as its person sees, no other resource has the name of *body*."""
    name = (body or {})["name"]
    return all(other == rid or (b or {}).get("name") != name for other, b in seen.items())


def _row(row: RecordRow | HiddenRow | AccessRow) -> Row:
    match row:
        case RecordRow():
            return Row("record", row.seq, row.stored.rid, row.stored.rev)
        case HiddenRow():
            return Row("hidden", row.seq, row.rid)
        case AccessRow():
            return Row("access", row.seq, readable=tuple(row.readable), gained=row.gained)


def campaign(
    seeds: Sequence[int], size: Size, parts: Parts = REAL
) -> tuple[Counter[str], tuple[int, str] | None]:
    """What happened in all of them, and the first seed that went wrong, with how."""
    total: Counter[str] = Counter()
    for seed in seeds:
        total["schedules"] += 1
        try:
            total += World(seed, size, parts).run()
        except Violation as exc:
            return total, (seed, str(exc))
    return total, None
