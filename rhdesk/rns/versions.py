"""The versions of every name, in the index: what git's log says, kept so that nobody waits for it.

git finds the versions of one name by walking the commits of all. The table holds what the walk
would find, up to a commit it names; saves add to it, and what came otherwise (a fetch, another
program) is added by walking just the commits since. It can be dropped at any time.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec


class Change(msgspec.Struct, frozen=True):
    """What one commit did to one name."""

    name: str
    commit: str
    author: str
    at: datetime
    """UTC, to the second; when the author's machine said it was, so for show and not for order."""
    blob: str
    """The new file's id in git; empty if the commit deleted the name."""
    renamed_from: str = ""
    renamed_to: str = ""
    """Both set where the commit was a rename, on the old name's change and on the new one's."""
    run_id: str = ""
    note: str = ""


class BadVersions(Exception):
    """A row is not what was written."""


class Versions:
    """The table, in the database of its index, whose transactions and thread it shares."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @property
    def upto(self) -> str | None:
        """The commit it was filled up to, "" for before the first; None while it is empty."""
        row = self._db.execute("SELECT value FROM fact WHERE key = 'versions'").fetchone()
        return str(row[0]) if row else None

    def of(self, name: str, *, limit: int = 0, before: int = 0) -> list[tuple[int, Change]]:
        """Changes of *name*, newest first, each with its place among all.

        Args:
            before: Only those at an earlier place; 0 for all.

        Raises:
            BadVersions: One is not what was written.
        """
        found = self._db.execute(
            f"SELECT seq, {_COLUMNS}, row_hash FROM version"
            " WHERE name = ? AND (? = 0 OR seq < ?) ORDER BY seq DESC LIMIT ?",
            (name, before, before, limit or -1),
        )
        return [(row[0], _change(row)) for row in found]

    def add(self, changes: Sequence[Change], *, upto: str) -> None:
        """Add *changes*, oldest first; now it is filled up to the commit *upto*."""
        rows = [_row(change) for change in changes]
        self._db.executemany(_INSERT, rows)
        self._db.execute("REPLACE INTO fact VALUES ('versions', ?)", (upto,))

    def replace(self, name: str, changes: Sequence[Change]) -> None:
        """Have *changes*, oldest first, as those of *name*."""
        self._db.execute("DELETE FROM version WHERE name = ?", (name,))
        self._db.executemany(_INSERT, [_row(change) for change in changes])

    def clear(self) -> None:
        self._db.execute("DELETE FROM version")
        self._db.execute("DELETE FROM fact WHERE key = 'versions'")


SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS version (seq INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    " commit_id TEXT NOT NULL, author TEXT NOT NULL, at INTEGER NOT NULL, blob TEXT NOT NULL,"
    " renamed_from TEXT NOT NULL, renamed_to TEXT NOT NULL, run_id TEXT NOT NULL,"
    " note TEXT NOT NULL, row_hash INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS version_by_name ON version (name, seq)",
)

_COLUMNS: Final = "name, commit_id, author, at, blob, renamed_from, renamed_to, run_id, note"
_INSERT: Final = f"INSERT INTO version ({_COLUMNS}, row_hash) VALUES ({', '.join('?' * 10)})"


def _row(change: Change) -> tuple[Any, ...]:
    told = (
        change.name,
        change.commit,
        change.author,
        int(change.at.timestamp()),
        change.blob,
        change.renamed_from,
        change.renamed_to,
        change.run_id,
        change.note,
    )
    return (*told, _hash(told))


def _change(row: tuple[Any, ...]) -> Change:
    name, commit, author, at, *rest = told = row[1:-1]
    if row[-1] != _hash(told):
        raise BadVersions(f"a version of {name!r} does not match its hash")
    return Change(name, commit, author, datetime.fromtimestamp(at, UTC), *rest)


def _hash(told: tuple[Any, ...]) -> int:
    return zlib.crc32("\n".join(map(str, told)).encode("utf-8", "surrogatepass"))
