"""The index of names: what the working tree and git say, in SQLite, so that nothing is slow.

Everything here is derived. A file that is missing, of another schema, or damaged is made anew
from the working tree and the repository; a hash per row notices what SQLite itself does not.
Because it can be rebuilt it may use write-ahead logging, and it is not flushed to disk.

Reading imports neither git nor sqlite-utils: ``rhdesk ls`` has no time for them.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rhdesk.rns.versions import SCHEMA, BadVersions, Versions

if TYPE_CHECKING:
    from sqlite_utils import Database


class Row(NamedTuple):
    """One name: what its file says now, and what git says.

    The two differ only while an edit cannot be recorded: the repository cannot be written.
    """

    name: str
    """Without ``~/``."""
    resource_type: str
    config: str
    """Canonical JSON."""
    version: str
    """Of the file; empty if the file is gone and git does not know yet."""
    saved_at: int
    """Seconds since 1970, UTC."""
    mtime_ns: int
    size: int
    """With `mtime_ns`, the stamp under which the file was read."""
    recorded_version: str
    """Of the newest version in git; empty if there is none."""
    blob: str
    """That version's file in git."""

    @property
    def is_recorded(self) -> bool:
        return self.version == self.recorded_version

    @property
    def stamp(self) -> tuple[int, int] | None:
        return (self.mtime_ns, self.size) if self.version else None


class DamagedIndex(Exception):
    """The index cannot be trusted; make it anew."""


class Index:
    def __init__(self, file: Path | None) -> None:
        """Open *file*, or an index that lives as long as this object if there can be none.

        One thread owns it. A folder that cannot be written costs speed, nothing else.
        """
        opened = _connect(file) if file is not None else None
        self.file = file if opened is not None else None
        self._db = opened or _in_memory()
        self._versions = Versions(self._db)

    @classmethod
    def of(cls, root: Path, ref: str, cache_dir: Path) -> Index:
        """The index of the names under *root*."""
        return cls(index_file(root, ref, cache_dir))

    def close(self) -> None:
        self._db.close()

    def remove(self) -> None:
        """Close and delete it; the next one starts empty."""
        self.close()
        if self.file is not None:
            for suffix in ("", "-wal", "-shm"):
                with suppress(OSError):
                    Path(f"{self.file}{suffix}").unlink()

    # ---- reading; each raises DamagedIndex

    def commit(self) -> str | None:
        """The commit the rows describe, "" for no commit; None if they describe nothing yet."""
        with _trusted():
            found = self._db.execute("SELECT value FROM fact WHERE key = 'commit'")
            row: tuple[str] | None = found.fetchone()
        return row[0] if row else None

    def row(self, name: str) -> Row | None:
        with _trusted():
            found = self._db.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
        return _checked(found) if found else None

    def rows(self) -> list[Row]:
        """Every row, in order of name."""
        with _trusted():
            found = self._db.execute(f"{_SELECT} ORDER BY name").fetchall()
        return list(map(_checked, found))

    def names(self) -> list[str]:
        """The names alone, in order."""
        with _trusted():
            found = self._db.execute(
                "SELECT name FROM resource WHERE version != '' ORDER BY name"
            ).fetchall()
        return [row[0] for row in found]

    def same_but_for_case(self, name: str) -> str:
        """A stored name that is *name* where letter case does not count; "" if there is none."""
        sql = (
            "SELECT name FROM resource WHERE version != ''"
            " AND name = ? COLLATE NOCASE AND name != ? LIMIT 1"
        )
        with _trusted():
            found = self._db.execute(sql, (name, name)).fetchone()
        return str(found[0]) if found else ""

    def inside(self, folder: str) -> list[str]:
        """Up to two names in *folder*, whatever the case of its letters."""
        sql = (
            "SELECT name FROM resource WHERE version != ''"
            " AND name > ? COLLATE NOCASE AND name < ? COLLATE NOCASE LIMIT 2"
        )
        with _trusted():
            found = self._db.execute(sql, (f"{folder}/", f"{folder}0")).fetchall()
        return [row[0] for row in found]

    @contextmanager
    def versions(self, *, to_fill: bool = False) -> Generator[Versions]:
        """The table of versions as it is at one moment.

        Args:
            to_fill: Nobody else fills it meanwhile, and all that is written stays, or nothing.
        """
        with _trusted(), self._transaction("IMMEDIATE" if to_fill else "DEFERRED"):
            yield self._versions

    # ---- writing

    def write(self, rows: Iterable[Row], *, gone: Sequence[str] = (), commit: str | None) -> None:
        """Put *rows* and drop the names in *gone*; then the index describes *commit*, if given."""
        with _trusted(), self._transaction("IMMEDIATE"):
            self._db.executemany("DELETE FROM resource WHERE name = ?", [(name,) for name in gone])
            self._db.executemany(_REPLACE, [(*row, _hash(*row)) for row in rows])
            if commit is not None:
                self._db.execute("REPLACE INTO fact VALUES ('commit', ?)", (commit,))

    @contextmanager
    def _transaction(self, kind: str) -> Generator[None]:
        self._db.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def index_file(root: Path, ref: str, cache_dir: Path) -> Path:
    """Where the index of the names under *root* is kept."""
    key = hashlib.sha256(f"{root}\n{ref}".encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return cache_dir / "names" / f"{key}.db"


def faults(file: Path) -> list[str]:
    """What is wrong with the index in *file*, by itself; nothing for one of another schema."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] != len(_MIGRATIONS):
                return []
            found = [str(row[0]) for row in db.execute("PRAGMA integrity_check(5)")]
            if found != ["ok"]:
                return found
            for row in db.execute(_SELECT):
                _checked(row)
    except (*_FAULTS, DamagedIndex) as exc:
        return [str(exc)]
    return []


_SELECT: Final = f"SELECT {', '.join(Row._fields)}, row_hash FROM resource"
_REPLACE: Final = (
    f"REPLACE INTO resource ({', '.join(Row._fields)}, row_hash)"
    f" VALUES ({', '.join('?' * (len(Row._fields) + 1))})"
)


_FAULTS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file raises; the module stumbles over bytes in SQLite's own messages."""


@contextmanager
def _trusted() -> Generator[None]:
    try:
        yield
    except (*_FAULTS, BadVersions) as exc:
        raise DamagedIndex(str(exc)) from exc


def _checked(row: tuple[Any, ...]) -> Row:
    told = row[:-1]
    if row[-1] != _hash(*told):
        raise DamagedIndex(f"the row of {row[0]!r} does not match its hash")
    return Row._make(told)


def _hash(
    name: str,
    resource_type: str,
    config: str,
    version: str,
    saved_at: int,
    mtime_ns: int,
    size: int,
    recorded_version: str,
    blob: str,
) -> int:
    # CRC-32 notices every flipped bit and every torn page; it guards against accidents only, and
    # a listing computes it for every row.
    return zlib.crc32(
        f"{name}\n{resource_type}\n{config}\n{version}\n{saved_at}\n{mtime_ns}\n{size}\n"
        f"{recorded_version}\n{blob}".encode()
    )


def _connect(file: Path) -> sqlite3.Connection | None:
    for attempt in (1, 2):
        db: sqlite3.Connection | None = None
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(file if file.exists() else file.parent, os.W_OK):
                return None
            db = sqlite3.connect(file, isolation_level=None, timeout=10)
            db.execute("PRAGMA synchronous = OFF")
            if db.execute("PRAGMA user_version").fetchone()[0] != len(_MIGRATIONS):
                _migrate(db)
        except (OSError, *_FAULTS, DamagedIndex):
            if db is not None:
                db.close()
            if attempt == 2:
                return None
            for suffix in ("", "-wal", "-shm"):
                with suppress(OSError):
                    Path(f"{file}{suffix}").unlink()
        else:
            return db
    return None


def _in_memory() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    _migrate(db)
    return db


def _migrate(db: sqlite3.Connection) -> None:
    """Bring the schema up to date; one that is newer than this program raises DamagedIndex."""
    # Only a new or an old index needs it, and importing it takes longer than listing 10,000 names.
    from sqlite_utils import Database

    done: int = db.execute("PRAGMA user_version").fetchone()[0]
    if done > len(_MIGRATIONS):
        raise DamagedIndex(f"its schema is {done}; this rhdesk knows {len(_MIGRATIONS)}")
    db.execute("PRAGMA journal_mode = WAL")
    for migration in _MIGRATIONS[done:]:
        migration(Database(db))
    db.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")


def _first_schema(db: Database) -> None:
    kinds: dict[str, Any] = dict.fromkeys(Row._fields, str)
    kinds |= dict.fromkeys(("saved_at", "mtime_ns", "size", "row_hash"), int)
    db.create_table("resource", kinds, pk="name", not_null=set(kinds), if_not_exists=True)
    db.create_table("fact", {"key": str, "value": str}, pk="key", if_not_exists=True)
    db.conn.execute(
        "CREATE INDEX IF NOT EXISTS resource_by_any_case ON resource (name COLLATE NOCASE)"
    )


def _versions_of_names(db: Database) -> None:
    for statement in SCHEMA:
        db.conn.execute(statement)


_MIGRATIONS: Final[list[Callable[[Database], None]]] = [_first_schema, _versions_of_names]
"""Append only: an index made by an older rhdesk has had the first of them. Each can be run twice,
because two processes may open a new index at once."""
