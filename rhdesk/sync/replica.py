"""The replica in SQLite: what `rhdesk.sync.state` describes, kept so that nothing acknowledged is lost.

A stranger can read it: ``outbox.db`` has ``op``, ``conflict`` and ``rejected``, ``mirror.db`` has
``base`` (the newest the store told), ``version`` (every revision seen) and ``fact`` (how far the
feed was read). Bodies are JSON.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from rhdesk.errors import SetupFailed
from rhdesk.foreign import clean
from rhdesk.sync.pair import Damaged, Pair, Quarantined, Table
from rhdesk.sync.state import Base, Body, Cursor, Op, Parked, Refused, Transaction
from rhdesk.wire.store import Accepted, Stored

T = TypeVar("T")

_OP: Final = Table(
    "main.op",
    (
        *("op_id", "place", "gen", "rid", "name", "epoch", "base_rev", "base", "body", "restore"),
        *("saved_at", "run_id", "note", "accepted_epoch", "accepted_rev", "accepted_seq"),
    ),
)
_CONFLICT: Final = Table(
    "main.conflict",
    (
        *("conflict_id", "rid", "op_id", "name", "why", "fields", "base", "ours", "theirs"),
        *("author", "at", "run_id", "note", "resolved_at"),
    ),
)
_REJECTED: Final = Table(
    "main.rejected",
    (
        *("op_id", "rid", "name", "reason", "base", "body", "saved_at", "at", "run_id"),
        "note",
    ),
)
_STORED_COLUMNS: Final = (
    *("rid", "name", "epoch", "rev", "seq", "body", "op_id", "author", "at", "saved_at"),
    *("run_id", "note"),
)
_BASE: Final = Table("mirror.base", (*_STORED_COLUMNS, "listing"))
_VERSION: Final = Table("mirror.version", ("key", *_STORED_COLUMNS))
_FACT: Final = Table("mirror.fact", ("key", "value"))

_OUTBOX_MIGRATIONS: Final = (
    (
        """CREATE TABLE main.op (
            op_id TEXT PRIMARY KEY, place INTEGER NOT NULL, gen INTEGER NOT NULL,
            rid TEXT NOT NULL, name TEXT NOT NULL, epoch TEXT NOT NULL, base_rev INTEGER,
            base TEXT, body TEXT, restore INTEGER NOT NULL, saved_at TEXT, run_id TEXT NOT NULL,
            note TEXT NOT NULL, accepted_epoch TEXT, accepted_rev INTEGER, accepted_seq INTEGER,
            row_hash INTEGER NOT NULL) STRICT""",
        "CREATE INDEX main.op_place ON op (place)",
        "CREATE INDEX main.op_rid ON op (rid, place)",
        "CREATE INDEX main.op_waiting ON op (rid, place) WHERE accepted_seq IS NULL",
        "CREATE INDEX main.op_accepted ON op (place) WHERE accepted_seq IS NOT NULL",
        "CREATE INDEX main.op_name ON op (name)",
        """CREATE TABLE main.conflict (
            conflict_id TEXT PRIMARY KEY, rid TEXT NOT NULL, op_id TEXT NOT NULL,
            name TEXT NOT NULL, why TEXT NOT NULL, fields TEXT NOT NULL, base TEXT, ours TEXT,
            theirs TEXT, author TEXT NOT NULL, at TEXT NOT NULL, run_id TEXT NOT NULL,
            note TEXT NOT NULL, resolved_at TEXT, row_hash INTEGER NOT NULL) STRICT""",
        "CREATE INDEX main.conflict_rid ON conflict (rid) WHERE resolved_at IS NULL",
        """CREATE TABLE main.rejected (
            op_id TEXT PRIMARY KEY, rid TEXT NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL,
            base TEXT, body TEXT, saved_at TEXT, at TEXT NOT NULL, run_id TEXT NOT NULL,
            note TEXT NOT NULL, row_hash INTEGER NOT NULL) STRICT""",
        "CREATE INDEX main.rejected_name ON rejected (name)",
    ),
)
"""Append only, and such that the rhdesk before can still read what it knows."""

_STORED: Final = """name TEXT NOT NULL, epoch TEXT NOT NULL, rev INTEGER NOT NULL,
    seq INTEGER NOT NULL, body TEXT, op_id TEXT NOT NULL, author TEXT NOT NULL, at TEXT NOT NULL,
    saved_at TEXT, run_id TEXT NOT NULL, note TEXT NOT NULL, row_hash INTEGER NOT NULL"""
_MIRROR_MIGRATIONS: Final = (
    (
        f"""CREATE TABLE mirror.base (
            rid TEXT PRIMARY KEY, listing TEXT NOT NULL, {_STORED}) STRICT""",
        "CREATE INDEX mirror.base_name ON base (name)",
        "CREATE INDEX mirror.base_listing ON base (listing)",
        f"CREATE TABLE mirror.version (key TEXT PRIMARY KEY, rid TEXT NOT NULL, {_STORED}) STRICT",
        "CREATE INDEX mirror.version_rid ON version (rid, seq)",
        "CREATE INDEX mirror.version_name ON version (name)",
        """CREATE TABLE mirror.fact (key TEXT PRIMARY KEY, value TEXT NOT NULL,
            row_hash INTEGER NOT NULL) STRICT""",
    ),
)

_OUTBOX: Final = (_OP, _CONFLICT, _REJECTED)
_DAMAGED: Final = (
    "this row of the outbox was damaged on the disk; what could be read of it is kept here"
)
_ATTEMPTS: Final = 4
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.decode


class SqliteReplica:
    """The replica in one folder. Blocking, and for one thread; several processes may share it.

    Args:
        user: Who is logged in; the author of what waits.

    Raises:
        StoreUnwritable: The folder cannot be written.
        SetupFailed: The outbox is one of a newer rhdesk.
    """

    def __init__(self, folder: Path, *, user: str = "") -> None:
        self.folder = folder
        self._pair = Pair(folder, outbox=_OUTBOX_MIGRATIONS, mirror=_MIRROR_MIGRATIONS)
        self.rows = Rows(self._pair, user)
        """To be used inside `read` and `write` only: they have the turn."""

    def close(self) -> None:
        self._pair.close()

    def read(self, ask: Callable[[Rows], T]) -> T:
        """Ask, while nobody writes."""

        def work() -> T:
            with self._pair.reading():
                return ask(self.rows)

        return self._mending(work)

    def write(self, change: Callable[[Rows], T]) -> T:
        """Change, while nobody else reads or writes; when this returns, it is on the disk.

        Args:
            change: May be asked again, if a file turns out to be damaged on the way.

        Raises:
            StoreUnwritable: Nothing was written.
        """

        def work() -> T:
            with self._pair.writing():
                return change(self.rows)

        return self._mending(work)

    def check(self) -> None:
        """Look at every row; what is damaged is made anew, or put aside."""

        def look(rows: Rows) -> None:
            rows.check()

        self.read(look)

    def forget_mirror(self) -> None:
        """Remove what the store told."""
        self._pair.remove_mirror()

    def _mending(self, work: Callable[[], T]) -> T:
        for _ in range(_ATTEMPTS - 1):
            try:
                return work()
            except Damaged as exc:
                self._mend(exc)
        try:
            return work()
        except Damaged as exc:
            raise SetupFailed(f"{self.folder} is damaged and cannot be mended: {exc}") from exc

    def _mend(self, damage: Damaged) -> None:
        if (damage.which or self._pair.which_is_damaged()) == "mirror":
            self._pair.replace_mirror()
        else:
            self._mend_outbox(str(damage))

    def _mend_outbox(self, why: str) -> None:
        at = datetime.now(UTC)

        def finish(old: Path, torn: list[Quarantined]) -> None:
            self.rows.start_chains_anew()
            told = Refused(
                op_id=f"mended-{at:%Y%m%dT%H%M%S}",
                rid="",
                name="(the outbox)",
                reason=f"the outbox was damaged ({clean(why)}); every whole row was kept, "
                f"{len(torn)} were not whole; the damaged file is {old}",
                base=None,
                body=None,
                at=at,
            )
            for refused in (told, *(_quarantined(each, at) for each in torn)):
                self.rows.add_refused(refused)

        self._pair.replace_outbox(_OUTBOX, finish)


class Rows:
    """The rows of both files, while one has the turn. Satisfies `state.Replica`."""

    def __init__(self, pair: Pair, user: str) -> None:
        self._pair = pair
        self._user = user

    @property
    def _db(self) -> sqlite3.Connection:
        return self._pair.current

    # ---- what the engine reads

    def base(self, rid: str) -> Base | None:
        return next(self._bases("WHERE rid = ?", rid), None)

    def op(self, op_id: str) -> Op | None:
        return next(self._ops("WHERE op_id = ?", op_id), None)

    def ops_of(self, rid: str) -> Sequence[Op]:
        return list(self._ops("WHERE rid = ? ORDER BY place", rid))

    def waiting(self) -> Iterator[Op]:
        first = "SELECT min(place) FROM main.op WHERE accepted_seq IS NULL GROUP BY rid"
        return self._ops(f"WHERE place IN ({first}) ORDER BY place")

    def accepted(self) -> list[Op]:
        return list(self._ops("WHERE accepted_seq IS NOT NULL ORDER BY place"))

    def rids_of_ops(self) -> list[str]:
        return [row[0] for row in self._db.execute("SELECT DISTINCT rid FROM main.op")]

    def cursor(self) -> Cursor:
        row = next(self._pair.rows(_FACT, "WHERE key = 'cursor'"), None)
        return _decode(row[1], type=Cursor) if row else Cursor()

    def names(self) -> list[tuple[str, str]]:
        return self._db.execute("SELECT rid, name FROM mirror.base").fetchall()

    def unlisted(self, listing_id: str) -> list[Base]:
        return list(self._bases("WHERE listing <> ?", listing_id))

    def conflict(self, conflict_id: str) -> Parked | None:
        rows = self._pair.rows(_CONFLICT, "WHERE conflict_id = ?", conflict_id)
        return next(map(_parked, rows), None)

    def last_op(self, rid: str) -> Op | None:
        """The newest op of one resource."""
        return next(self._ops("WHERE rid = ? ORDER BY place DESC LIMIT 1", rid), None)

    # ---- by name

    def ops_named(self, name: str) -> list[Op]:
        return list(self._ops("WHERE name = ? ORDER BY place", name))

    def base_named(self, name: str) -> Base | None:
        """What the store has under a name and has not deleted."""
        return next(
            self._bases("WHERE name = ? AND body IS NOT NULL ORDER BY seq DESC", name), None
        )

    def bases_in(self, folder: str) -> Iterator[Base]:
        """What the store has in *folder* and below it; all for ``/``."""
        if folder == "/":
            return self._bases("WHERE body IS NOT NULL")
        start, end = f"{folder}/", f"{folder}0"
        return self._bases("WHERE body IS NOT NULL AND name >= ? AND name < ?", start, end)

    def ops(self) -> list[Op]:
        """Every op, oldest first."""
        return list(self._ops("ORDER BY place"))

    def live_names(self) -> list[str]:
        """Names alone, of what the store has and of what waits."""
        sql = (
            "SELECT name FROM mirror.base WHERE body IS NOT NULL "
            "UNION SELECT name FROM main.op WHERE body IS NOT NULL ORDER BY name"
        )
        return [row[0] for row in self._db.execute(sql)]

    def versions_of(self, rid: str) -> list[Base]:
        """Revisions seen, newest first."""
        rows = self._pair.rows(_VERSION, "WHERE rid = ? ORDER BY seq DESC, rev DESC", rid)
        return [_base((*row[1:], "")) for row in rows]

    def rids_named(self, name: str) -> list[str]:
        """Every resource that was ever seen under a name, the newest first."""
        sql = "SELECT rid FROM mirror.version WHERE name = ? GROUP BY rid ORDER BY max(seq) DESC"
        return [row[0] for row in self._db.execute(sql, (name,))]

    def add_versions(self, epoch: str, versions: Iterable[Stored]) -> None:
        """Revisions the store told of beside the feed."""
        rows = [_stored_row(epoch, each) for each in versions]
        self._pair.put(_VERSION, [(_key(row), *row) for row in rows])

    # ---- conflicts and refusals

    def parked(self, *, also_resolved: bool = False) -> list[Parked]:
        """Conflicts, oldest first."""
        where = "" if also_resolved else "WHERE resolved_at IS NULL "
        rows = self._pair.rows(_CONFLICT, f"{where}ORDER BY at, conflict_id")
        return [_parked(row) for row in rows]

    def refused(self) -> list[Refused]:
        rows = self._pair.rows(_REJECTED, "ORDER BY at, op_id")
        return list(map(_refused, rows))

    def add_refused(self, refused: Refused) -> None:
        self._pair.put(_REJECTED, [_refused_row(refused)])

    def drop_refused(self, op_id: str) -> None:
        self._db.execute("DELETE FROM main.rejected WHERE op_id = ?", (op_id,))

    def troubled(self) -> dict[str, str]:
        """Names in conflict, and names with a refused write."""
        found = {row[0]: "rejected" for row in self._db.execute("SELECT name FROM main.rejected")}
        sql = "SELECT name FROM main.conflict WHERE resolved_at IS NULL"
        return found | {row[0]: "conflict" for row in self._db.execute(sql)}

    def trouble_with(self, rid: str, name: str) -> str:
        """``conflict``, ``rejected`` or nothing, of one resource."""
        sql = "SELECT 1 FROM main.conflict WHERE rid = ? AND resolved_at IS NULL"
        if self._db.execute(sql, (rid,)).fetchone():
            return "conflict"
        sql = "SELECT 1 FROM main.rejected WHERE name = ?"
        return "rejected" if self._db.execute(sql, (name,)).fetchone() else ""

    def counts(self) -> tuple[int, int, int]:
        """How many ops the store does not have, open conflicts, refusals."""
        sql = (
            "SELECT (SELECT count(*) FROM main.op WHERE accepted_seq IS NULL), "
            "(SELECT count(*) FROM main.conflict WHERE resolved_at IS NULL), "
            "(SELECT count(*) FROM main.rejected)"
        )
        queued, conflicts, refused = self._db.execute(sql).fetchone()
        return queued, conflicts, refused

    # ---- changing

    def apply(self, t: Transaction) -> None:
        """Make the changes of *t*; what it drops goes first."""
        self._forget(t.dropped_bases)
        self._pair.put(_BASE, [_base_row(base) for base in t.bases])
        rows = [_stored_row(base.epoch, base.stored) for base in t.bases]
        self._pair.put(_VERSION, [(_key(row), *row) for row in rows])
        self._drop_ops(t.dropped_ops)
        for op_id in t.dropped_refusals:
            self.drop_refused(op_id)
        self._put_ops(t.ops)
        self._pair.put(_CONFLICT, map(_parked_row, t.conflicts))
        self._pair.put(_REJECTED, map(_refused_row, t.refusals))
        if t.cursor is not None:
            cursor = ("cursor", _encode(t.cursor).decode())
            self._pair.put(_FACT, [cursor])

    def drop_ops(self) -> None:
        """Drop every write the store does not have."""
        self._db.execute("DELETE FROM main.op")

    def start_chains_anew(self) -> None:
        """Where an op was lost, the next of its rid follows nothing: let it be compared with what
        the store has, by saying it was made on nothing."""
        for rid in self.rids_of_ops():
            waiting = [op for op in self.ops_of(rid) if op.accepted is None]
            if waiting and waiting[0].base_rev is None:
                self._put_ops([msgspec.structs.replace(waiting[0], base_rev=0, epoch="")])

    def check(self) -> None:
        """Look at every row.

        Raises:
            Damaged: One does not match its hash.
        """
        self._pair.check()
        for table in (*_OUTBOX, _BASE, _VERSION, _FACT):
            for _ in self._pair.rows(table):
                pass

    def _put_ops(self, ops: Iterable[Op]) -> None:
        for op in ops:
            found = self._db.execute("SELECT place FROM main.op WHERE op_id = ?", (op.op_id,))
            row = (
                found.fetchone()
                or self._db.execute("SELECT coalesce(max(place), 0) + 1 FROM main.op").fetchone()
            )
            self._pair.put(_OP, [_op_row(op, row[0])])

    def _drop_ops(self, op_ids: Iterable[str]) -> None:
        """Let go of ops; what the store made of them stays among the versions."""
        for op_id in op_ids:
            op = self.op(op_id)
            if op is not None and op.accepted is not None and self.base(op.rid) is not None:
                row = _stored_row(op.accepted.epoch, _version_of(op, op.accepted, self._user))
                is_known = "SELECT 1 FROM mirror.version WHERE key = ?"
                if not self._db.execute(is_known, (_key(row),)).fetchone():
                    self._pair.put(_VERSION, [(_key(row), *row)])
            self._db.execute("DELETE FROM main.op WHERE op_id = ?", (op_id,))

    def _forget(self, rids: Iterable[str]) -> None:
        gone = [(rid,) for rid in rids]
        self._db.executemany("DELETE FROM mirror.base WHERE rid = ?", gone)
        self._db.executemany("DELETE FROM mirror.version WHERE rid = ?", gone)

    # ---- underneath

    def _bases(self, where: str, *values: Any) -> Iterator[Base]:
        return map(_base, self._pair.rows(_BASE, where, *values))

    def _ops(self, where: str, *values: Any) -> Iterator[Op]:
        return map(_op, self._pair.rows(_OP, where, *values))


# ---- rows and what they mean


def _json(body: Body) -> str | None:
    return None if body is None else _encode(body).decode()


def _body(text: str | None) -> Body:
    return None if text is None else _decode(text, type=dict[str, Any])


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _op_row(op: Op, place: int) -> tuple[Any, ...]:
    made = op.accepted
    return (
        *(op.op_id, place, op.gen, op.rid, op.name, op.epoch, op.base_rev),
        *(_json(op.base), _json(op.body), int(op.restore), _time(op.saved_at)),
        *(op.run_id, op.note),
        *((made.epoch, made.rev, made.seq) if made is not None else (None, None, None)),
    )


def _op(row: Sequence[Any]) -> Op:
    return Op(
        op_id=row[0],
        gen=row[2],
        rid=row[3],
        epoch=row[5],
        base_rev=row[6],
        base=_body(row[7]),
        body=_body(row[8]),
        restore=bool(row[9]),
        saved_at=_moment(row[10]),
        run_id=row[11],
        note=row[12],
        accepted=None if row[13] is None else Accepted(row[13], row[14], row[15]),
    )


def _stored_row(epoch: str, kept: Stored) -> tuple[Any, ...]:
    return (
        *(kept.rid, kept.name, epoch, kept.rev, kept.seq, _json(kept.body), kept.op_id),
        *(kept.author, _time(kept.at), _time(kept.saved_at), kept.run_id, kept.note),
    )


def _base_row(base: Base) -> tuple[Any, ...]:
    return (*_stored_row(base.epoch, base.stored), base.listing)


def _base(row: Sequence[Any]) -> Base:
    stored = Stored(
        rid=row[0],
        name=row[1],
        rev=row[3],
        seq=row[4],
        body=_body(row[5]),
        op_id=row[6],
        author=row[7],
        at=datetime.fromisoformat(row[8]),
        saved_at=_moment(row[9]),
        run_id=row[10],
        note=row[11],
    )
    return Base(epoch=row[2], stored=stored, listing=row[12])


def _key(row: Sequence[Any]) -> str:
    """What tells one revision from all others: of which resource, after which restore, its number."""
    return f"{row[0]} {row[2]} {row[3]}"


def _version_of(op: Op, made: Accepted, user: str) -> Stored:
    """What the store made of an op it accepted, as far as it is known here."""
    return Stored(
        rid=op.rid,
        rev=made.rev,
        seq=made.seq,
        name=op.name,
        body=op.body,
        op_id=op.op_id,
        author=user,
        at=op.saved_at or datetime.now(UTC),
        saved_at=op.saved_at,
        run_id=op.run_id,
        note=op.note,
    )


def _parked_row(parked: Parked) -> tuple[Any, ...]:
    return (
        *(parked.conflict_id, parked.rid, parked.op_id, parked.name, parked.why),
        *(_encode(parked.fields).decode(), _json(parked.base), _json(parked.ours)),
        *(_json(parked.theirs), parked.author, _time(parked.at), parked.run_id, parked.note),
        _time(parked.resolved_at),
    )


def _parked(row: Sequence[Any]) -> Parked:
    return Parked(
        conflict_id=row[0],
        rid=row[1],
        op_id=row[2],
        name=row[3],
        why=row[4],
        fields=_decode(row[5], type=tuple[str, ...]),
        base=_body(row[6]),
        ours=_body(row[7]),
        theirs=_body(row[8]),
        author=row[9],
        at=datetime.fromisoformat(row[10]),
        run_id=row[11],
        note=row[12],
        resolved_at=_moment(row[13]),
    )


def _refused_row(refused: Refused) -> tuple[Any, ...]:
    return (
        *(refused.op_id, refused.rid, refused.name, refused.reason, _json(refused.base)),
        *(_json(refused.body), _time(refused.saved_at), _time(refused.at), refused.run_id),
        refused.note,
    )


def _refused(row: Sequence[Any]) -> Refused:
    return Refused(
        op_id=row[0],
        rid=row[1],
        name=row[2],
        reason=row[3],
        base=_body(row[4]),
        body=_body(row[5]),
        saved_at=_moment(row[6]),
        at=datetime.fromisoformat(row[7]),
        run_id=row[8],
        note=row[9],
    )


def _quarantined(torn: Quarantined, at: datetime) -> Refused:
    """A row that is not whole, as something a person can look at."""
    columns = next(table.columns for table in _OUTBOX if table.name == torn.table)
    known = dict(zip(columns, torn.values, strict=False))
    text = known.get("ours" if torn.table == _CONFLICT.name else "body")
    body: Body = None
    if isinstance(text, str):
        body = {"damaged": clean(text)}
        with suppress(msgspec.DecodeError):
            body = _decode(text, type=dict[str, Any])
    return Refused(
        op_id=f"damaged-{clean(str(torn.values[0]))}",
        rid=clean(str(known.get("rid", ""))),
        name=clean(str(known.get("name", "(a name that cannot be read)"))),
        reason=_DAMAGED,
        base=None,
        body=body,
        at=at,
    )
