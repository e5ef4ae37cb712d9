"""The audit of a store: rows chained by their hashes, each written in the transaction it tells of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from rhdesk.chain import START, chained, flaws
from rhdesk.models import Audited, AuditHead
from rhdesk.server.rows import Execute, damaged, moment, seal, unsealed

_MANY: Final = 2000


class AuditRows:
    """Part of one transaction."""

    def __init__(self, execute: Execute) -> None:
        self.execute = execute

    def note(self, seq: int, principal: str, action: str, about: str, note: str = "") -> Audited:
        """Append a row; it is there when, and only when, the transaction is.

        Args:
            seq: The write it tells of; 0 where nothing was written.
        """
        return self.append_at(datetime.now(UTC), seq, principal, action, about, note)

    def append_at(
        self, at: datetime, seq: int, principal: str, action: str, about: str, note: str = ""
    ) -> Audited:
        note = f"write {seq}; {note}".removesuffix("; ") if seq else note
        row = chained(
            self.audit_head(),
            Audited(number=0, at=at, who=principal, action=action, about=about, note=note),
        )
        self.put_audited(row)
        return row

    def put_audited(self, row: Audited) -> None:
        """A row that is chained already, as the last one."""
        self.execute(
            f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.number, _write_of(row.note), moment(row.at), row.who, row.action, row.about,
                row.note, row.hash,
            ),
        )  # fmt: skip
        self.set_audit_head(AuditHead(number=row.number, hash=row.hash))

    def audit_head(self) -> AuditHead:
        """The last row's number and hash."""
        row = self.execute("SELECT number, hash, row_hash FROM audit_head", ()).fetchone()
        if row is None:
            return START
        number, digest = unsealed(row, "the head of the audit")
        return AuditHead(number=number, hash=digest)

    def set_audit_head(self, head: AuditHead) -> None:
        row = (head.number, head.hash)
        self.execute(
            "INSERT INTO audit_head (one, number, hash, row_hash) VALUES (1, ?, ?, ?)"
            " ON CONFLICT (one) DO UPDATE SET number = excluded.number, hash = excluded.hash,"
            " row_hash = excluded.row_hash",
            (*row, seal(row)),
        )

    def audit_rows(self, after: int = 0, limit: int = 0) -> Iterator[Audited]:
        """Rows after *after*, oldest first; at most *limit*, 0 for all."""
        left = limit
        while not limit or left > 0:
            many = min(_MANY, left) if limit else _MANY
            rows = self.execute(
                f"SELECT {_COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT ?",
                (after, many),
            ).fetchall()
            yield from map(_row, rows)
            if len(rows) < many:
                return
            after, left = rows[-1][0], left - len(rows)

    def newest_audited(self, limit: int, words: tuple[str, ...] = ()) -> list[Audited]:
        """Rows that hold all of *words*, newest first."""
        whole = "lower(action || ' ' || about || ' ' || principal || ' ' || note)"
        where = " AND ".join([f"{whole} LIKE ? ESCAPE '!'"] * len(words)) or "1 = 1"
        rows = self.execute(
            f"SELECT {_COLUMNS} FROM audit WHERE {where} ORDER BY number DESC LIMIT ?",
            (*(f"%{_plain(word.lower())}%" for word in words), limit),
        ).fetchall()
        return [_row(row) for row in rows]

    def audit_flaws(self, heads: Iterable[AuditHead] = ()) -> Iterator[str]:
        """What is wrong with it; *heads* are rows that somebody kept elsewhere."""
        last = self.audit_head()
        yield from flaws(self.audit_rows(), [last, *heads])
        beyond = next(self.audit_rows(last.number, 1), None)
        if beyond is not None:
            yield f"row {beyond.number} was not written by a store: its last one is {last.number}"

    def last_before(self, at: datetime) -> int:
        """The last write before *at*; 0 for none."""
        sql = "SELECT coalesce(max(seq), 0) FROM audit WHERE at < ?"
        return int(self.execute(sql, (moment(at),)).fetchone()[0])


def chain_what_was_there(execute: Execute) -> None:
    """Of the second step of the schema: the audit of before, as the first rows of the chain."""
    rows = AuditRows(execute)
    told = execute(
        "SELECT at, seq, principal, action, about FROM audit_before ORDER BY seq", ()
    ).fetchall()
    for at, seq, principal, action, about in told:
        rows.append_at(datetime.fromisoformat(at), seq, principal, action, about)
    execute("DROP TABLE audit_before", ())


_COLUMNS: Final = "number, seq, at, principal, action, about, note, hash"


def _row(row: Any) -> Audited:
    number, seq, at, who, action, about, note, digest = row
    if seq != _write_of(note):
        raise damaged(f"row {number} of the audit is not what was written")
    try:
        when = datetime.fromisoformat(at)
    except ValueError:
        raise damaged(f"row {number} of the audit has no time") from None
    return Audited(
        number=number, at=when, who=who, action=action, about=about, note=note, hash=digest
    )


def _write_of(note: str) -> int:
    """The write a row tells of, which its note begins with; 0 for none."""
    match = re.match(r"write (\d{1,18})(?:;|$)", note)
    return int(match[1]) if match else 0


def _plain(word: str) -> str:
    """*word*, in which a pattern's signs mean themselves."""
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")
