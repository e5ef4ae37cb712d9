"""The store's tables in SQL, spoken to SQLite and to PostgreSQL in the same words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from rhdesk.access.levels import Level, folder_of
from rhdesk.server.audit_rows import AuditRows
from rhdesk.server.group_rows import GroupRows
from rhdesk.server.lane_rows import LaneRows
from rhdesk.server.rows import damaged, moment, seal, unsealed
from rhdesk.server.secret_rows import SecretRows
from rhdesk.server.tables import Entry, Head
from rhdesk.wire.canonical import spell
from rhdesk.wire.store import Stored


class Step(NamedTuple):
    """One step of the schema."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class SqlDatabase(Protocol):
    """A database of `SqlTables`; what `sqlite` and `postgres` are."""

    def pending(self) -> list[Step]:
        """Steps of the schema that have not run; nothing is changed.

        Raises:
            BadSchema: A newer release was here.
        """
        ...

    def migrate(self) -> list[Step]:
        """Run them, all or none, one server at a time; returns what ran."""
        ...

    def reading(self) -> AbstractContextManager[SqlTables]: ...
    def writing(self) -> AbstractContextManager[SqlTables]: ...
    def snapshot(self) -> AbstractContextManager[SqlTables]:
        """All of the store at one moment, for as long as it takes; writers go on."""
        ...

    def principals(self) -> Iterator[str]: ...
    def check(self) -> None:
        """Look at every row, and at what the database itself keeps beside them.

        Raises:
            DamagedStore: Something is not what was written.
        """
        ...

    def close(self) -> None: ...


class SqlTables(GroupRows, LaneRows, SecretRows, AuditRows):
    """One transaction. Satisfies `rhdesk.server.tables.Writing`."""

    # ---- reading

    def head(self) -> Head:
        sql = "SELECT epoch, seq, oldest_seq, row_hash FROM head"
        return Head(*unsealed(self.execute(sql, ()).fetchone(), "the head"))

    def kept(self) -> Mapping[str, int]:
        rows = self.execute("SELECT epoch, seq, row_hash FROM past", ()).fetchall()
        return {epoch: seq for epoch, seq in (unsealed(row, f"epoch {row[0]}") for row in rows)}

    def blob(self, digest: str) -> bytes | None:
        row = self.execute("SELECT data FROM blob WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        data = bytes(row[0])
        if hashlib.sha256(data).hexdigest() != digest:
            raise damaged(f"the file of code {digest[:12]} does not match its hash")
        return data

    def principals(self) -> list[str]:
        sql = "SELECT name, created_at, row_hash FROM principal ORDER BY name"
        rows = self.execute(sql, ()).fetchall()
        return [unsealed(row, f"user {row[0]}")[0] for row in rows]

    def resource(self, rid: str) -> Stored | None:
        return self._one(f"{_NEWEST} WHERE r.rid = ?", (rid,))

    def live_named(self, name: str) -> Stored | None:
        return self._one(f"{_NEWEST} WHERE r.name = ? AND r.live = 1", (name,))

    def op(self, op_id: str) -> tuple[Stored, str] | None:
        row = self.execute(
            f"SELECT {_COLUMNS} FROM version v WHERE v.op_id = ?", (op_id,)
        ).fetchone()
        return (_stored(row), str(row[_DIGEST])) if row else None

    def feed(self, since: int, limit: int) -> list[Entry]:
        sql = (
            "SELECT seq, rid, principal, folder, row_hash FROM feed"
            " WHERE seq > ? ORDER BY seq LIMIT ?"
        )
        rows = self.execute(sql, (since, limit)).fetchall()
        return [Entry(*unsealed(row, f"entry {row[0]} of the feed")) for row in rows]

    def folders_of(self, rid: str) -> set[str]:
        rows = self.execute("SELECT DISTINCT folder FROM version WHERE rid = ?", (rid,))
        return {row[0] for row in rows.fetchall()}

    def listing(self, after: str, limit: int, folders: list[str]) -> list[Stored]:
        if not folders:
            return []
        inside, parameters = _inside("r.folder", folders)
        sql = f"{_NEWEST} WHERE r.live = 1 AND r.rid > ? AND ({inside}) ORDER BY r.rid LIMIT ?"
        rows = self.execute(sql, (after, *parameters, limit)).fetchall()
        return [_newest(row) for row in rows]

    def versions(self, rid: str, before: int, limit: int) -> list[Stored]:
        below, parameters = ("AND v.rev < ?", (before,)) if before else ("", ())
        sql = (
            f"SELECT {_COLUMNS} FROM version v WHERE v.rid = ? {below} ORDER BY v.rev DESC LIMIT ?"
        )
        return [_stored(row) for row in self.execute(sql, (rid, *parameters, limit)).fetchall()]

    def check(self) -> None:
        """Look at every row.

        Raises:
            DamagedStore: One is not what was written, or two do not fit together.
        """
        self.head()
        self.kept()
        self.principals()
        self.held()
        self.teams()
        self.lanes()
        self.promotions()
        self.secrets()
        for flaw in self.audit_flaws():
            raise damaged(f"the audit: {flaw}")
        for row in self.every("feed", "seq, rid, principal, folder, row_hash"):
            unsealed(row, f"entry {row[0]} of the feed")
        newest: dict[str, int] = {}
        for stored in map(_stored, self.every("version", f"{', '.join(_KEPT)}, row_hash")):
            if stored.rev != newest.get(stored.rid, 0) + 1:
                raise damaged(f"revisions of {stored.name} are missing")
            newest[stored.rid] = stored.rev
        after, page = "", f"{_NEWEST} WHERE r.rid > ? ORDER BY r.rid LIMIT ?"
        while rows := self.execute(page, (after, _MANY)).fetchall():
            for stored in map(_newest, rows):
                if newest.pop(stored.rid, 0) != stored.rev:
                    raise damaged(f"{stored.name} is not at its newest revision")
                after = stored.rid
        if newest:
            raise damaged(f"{len(newest)} resources are missing")
        for row in self.every("blob", "digest"):
            self.blob(row[0])

    def every(
        self, table: str, columns: str, key: tuple[str, ...] = ()
    ) -> Iterator[Sequence[Any]]:
        """Every row of a table by its key, some at a time: all may be more than memory holds."""
        key = key or KEYS[table]
        keys, marks = ", ".join(key), ", ".join("?" * len(key))
        batch = _FEW if table == "blob" else _MANY
        where, last = "", list[Any]()
        while True:
            sql = f"SELECT {keys}, {columns} FROM {table} {where} ORDER BY {keys} LIMIT ?"
            rows = self.execute(sql, (*last, batch)).fetchall()
            yield from (row[len(key) :] for row in rows)
            if len(rows) < batch:
                return
            where, last = f"WHERE ({keys}) > ({marks})", list(rows[-1][: len(key)])

    # ---- writing

    def keep_blob(self, digest: str, data: bytes) -> None:
        sql = "INSERT INTO blob (digest, data) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING"
        self.execute(sql, (digest, data))

    def next_seq(self) -> int:
        head = self.head()  # nobody else writes: see `writing`
        self.set_head(Head(head.epoch, head.seq + 1, head.oldest_seq))
        return head.seq + 1

    def set_head(self, head: Head) -> None:
        row = (head.epoch, head.seq, head.oldest_seq)
        self.execute(
            "INSERT INTO head (one, epoch, seq, oldest_seq, row_hash) VALUES (1, ?, ?, ?, ?)"
            " ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq,"
            " oldest_seq = excluded.oldest_seq, row_hash = excluded.row_hash",
            (*row, seal(row)),
        )

    def keep_epoch(self, epoch: str, seq: int) -> None:
        """An epoch is over; of its writes, those up to *seq* are still here."""
        row = (epoch, seq)
        self.execute("INSERT INTO past (epoch, seq, row_hash) VALUES (?, ?, ?)", (*row, seal(row)))

    def add_principal(self, name: str) -> None:
        row = (name, moment(datetime.now(UTC)))
        self.execute(
            "INSERT INTO principal (name, created_at, row_hash) VALUES (?, ?, ?)",
            (*row, seal(row)),
        )

    def add(self, stored: Stored, digest: str) -> None:
        folder = folder_of(stored.name)
        row = (*_row(stored), digest, folder)
        marks = ", ".join("?" * (len(row) + 1))
        self.execute(
            f"INSERT INTO version ({', '.join(_KEPT)}, row_hash) VALUES ({marks})",
            (*row, seal(row)),
        )
        self.execute(
            "INSERT INTO resource (rid, rev, seq, name, folder, live) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (rid) DO UPDATE SET rev = excluded.rev, seq = excluded.seq,"
            " name = excluded.name, folder = excluded.folder, live = excluded.live",
            (
                stored.rid,
                stored.rev,
                stored.seq,
                stored.name,
                folder,
                int(stored.body is not None),
            ),
        )
        self._tell(stored.seq, stored.rid)

    def grant(
        self, seq: int, principal: str, folder: str, level: Level, until: datetime | None = None
    ) -> None:
        self.put_grant(seq, principal, folder, level, until)
        self._tell(seq, "", principal, folder)

    def tell_of(self, seq: int, principal: str) -> None:
        """An entry of the feed: what *principal* may do has changed, and not in one folder."""
        self._tell(seq, "", principal, "")

    def forget_before(self, seq: int) -> None:
        # What was deleted stays in `resource`, a line of its own: its versions stay too, and a
        # second life that began at revision 1 would collide with the first.
        self.execute("DELETE FROM feed WHERE seq <= ?", (seq,))
        head = self.head()
        self.set_head(Head(head.epoch, head.seq, max(head.oldest_seq, seq)))

    def _tell(self, seq: int, rid: str, principal: str = "", folder: str = "") -> None:
        row = (seq, rid, principal, folder)
        self.execute(
            "INSERT INTO feed (seq, rid, principal, folder, row_hash) VALUES (?, ?, ?, ?, ?)",
            (*row, seal(row)),
        )

    def _one(self, sql: str, parameters: Sequence[Any]) -> Stored | None:
        row = self.execute(sql, parameters).fetchone()
        return _newest(row) if row else None


_FIELDS: Final = (
    "rid", "rev", "seq", "name", "body", "op_id", "author", "at", "saved_at", "run_id", "note",
)  # fmt: skip
_KEPT: Final = (*_FIELDS, "digest", "folder")
_DIGEST: Final = _KEPT.index("digest")
_COLUMNS: Final = ", ".join(f"v.{field}" for field in (*_KEPT, "row_hash"))
_NEWEST: Final = (
    f"SELECT r.seq, r.name, r.folder, r.live, {_COLUMNS}"
    " FROM resource r LEFT JOIN version v ON v.rid = r.rid AND v.rev = r.rev"
)
_MANY: Final = 2000
_FEW: Final = 8
"""Rows at a time; a file of code may be large."""
KEYS: Final[dict[str, tuple[str, ...]]] = {
    "past": ("epoch",),
    "version": ("rid", "rev"),
    "resource": ("rid",),
    "feed": ("seq",),
    "access": ("principal", "folder"),
    "audit": ("number",),
    "audit_head": ("one",),
    "principal": ("name",),
    "team": ("name",),
    "membership": ("team", "member"),
    "token": ("id",),
    "lane": ("folder",),
    "promotion": ("id",),
    "approval": ("promotion", "approver"),
    "secret": ("name", "version"),
    "blob": ("digest",),
}
"""Every table but the head, each after those it refers to, and what its rows are told apart by."""
_DECODE: Final = msgspec.json.Decoder(dict[str, Any]).decode


def _row(stored: Stored) -> tuple[Any, ...]:
    return (
        stored.rid,
        stored.rev,
        stored.seq,
        stored.name,
        spell(stored.body) if stored.body is not None else None,
        stored.op_id,
        stored.author,
        moment(stored.at),
        moment(stored.saved_at) if stored.saved_at else None,
        stored.run_id,
        stored.note,
    )


def _newest(row: Sequence[Any]) -> Stored:
    """A row of `_NEWEST`: what `resource` says must be what its newest revision says."""
    seq, name, folder, live, *version = row
    torn = f"{name} and its newest revision do not fit together"
    if version[0] is None:
        raise damaged(torn)
    stored = _stored(version)
    if (seq, name, folder, live) != (
        stored.seq, stored.name, folder_of(stored.name), int(stored.body is not None),
    ):  # fmt: skip
        raise damaged(torn)
    return stored


def _stored(row: Sequence[Any]) -> Stored:
    told = unsealed(row, f"revision {row[1]} of {row[3]}")
    fields = dict(zip(_FIELDS, told, strict=False))
    fields["body"] = _DECODE(fields["body"]) if fields["body"] is not None else None
    for field in ("at", "saved_at"):
        fields[field] = datetime.fromisoformat(fields[field]) if fields[field] else None
    return Stored(**fields)


def _inside(column: str, folders: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """A condition: in one of *folders*, or below it. ``0`` follows ``/``."""
    if "/" in folders:
        return "1 = 1", ()
    each = f"{column} = ? OR ({column} > ? AND {column} < ?)"
    parameters = [part for top in folders for part in (top, f"{top}/", f"{top}0")]
    return " OR ".join([each] * len(folders)), tuple(parameters)
