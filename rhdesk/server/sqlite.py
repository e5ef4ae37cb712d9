"""The store in one SQLite file: for one person, a lab, a team of a few.

Rolled-back journal and full flushing: what was acknowledged is on the disk. (Write-ahead logging
can corrupt a file that several connections use, in the SQLite that comes with many a Python.)
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from rhdesk.errors import DamagedStore, StoreBusy, StoreUnwritable
from rhdesk.server import schema
from rhdesk.server.sql import SqlTables, Step

_WAITS_S: Final = 30.0
"""For another process: a second server, a backup, the command line."""
WORDS: Final = schema.Words("TEXT", "BLOB", "SELECT 1 FROM sqlite_master WHERE name = 'migration'")


class SqliteDatabase:
    """Satisfies `rhdesk.server.tables.Database`. Any thread may use it; one does at a time."""

    def __init__(self, file: Path) -> None:
        """Open *file*, or make it.

        Raises:
            StoreUnwritable: It cannot be made or written.
        """
        self.file = file
        # A transaction inside another of the same thread is SQLite's to refuse; it does not hang.
        self._turn = threading.RLock()
        with _told(file):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                file, timeout=_WAITS_S, isolation_level=None, check_same_thread=False
            )
            file.chmod(0o600)
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.execute("PRAGMA synchronous = EXTRA")
            self._connection.execute("PRAGMA foreign_keys = ON")

    def pending(self) -> list[Step]:
        with self._transaction("DEFERRED"):
            return schema.pending(self._execute, WORDS)

    def migrate(self) -> list[Step]:
        # Exclusive: a second server that starts meanwhile waits, and finds it done.
        with self._transaction("EXCLUSIVE"):
            return schema.migrate(self._execute, WORDS)

    def close(self) -> None:
        with self._turn:
            self._connection.close()

    @contextmanager
    def reading(self) -> Generator[SqlTables]:
        with self._transaction("DEFERRED"):
            yield SqlTables(self._execute)

    @contextmanager
    def writing(self) -> Generator[SqlTables]:
        with self._transaction("IMMEDIATE"):
            yield SqlTables(self._execute)

    @contextmanager
    def snapshot(self) -> Generator[SqlTables]:
        # A copy: a reader that takes its time would keep writers out of the file itself.
        with tempfile.TemporaryDirectory(prefix=".copy-", dir=self.file.parent) as folder:
            copy = sqlite3.connect(Path(folder) / self.file.name, isolation_level=None)
            try:
                with self._turn, _told(self.file):
                    self._connection.backup(copy)
                with _told(self.file):
                    _refuse_damaged(copy, self.file)
                    yield SqlTables(copy.execute)
            finally:
                copy.close()

    def check(self) -> None:
        with self._transaction("DEFERRED"):
            _refuse_damaged(self._connection, self.file)
            SqlTables(self._execute).check()

    def principals(self) -> Iterator[str]:
        with self.reading() as t:
            return iter(t.principals())

    @contextmanager
    def _transaction(self, how: str) -> Generator[None]:
        with self._turn, _told(self.file):
            self._connection.execute(f"BEGIN {how}")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def _execute(self, sql: str, parameters: Sequence[Any]) -> sqlite3.Cursor:
        return self._connection.execute(sql, parameters)


def _refuse_damaged(connection: sqlite3.Connection, file: Path) -> None:
    """Indexes and free pages have no hash of ours; SQLite compares them with the rows."""
    said = connection.execute("PRAGMA integrity_check").fetchone()[0]
    if said != "ok":
        raise DamagedStore(
            f"{file} is damaged: {said}; move it away and restore a backup: "
            "rhdesk server restore FILE"
        )


@contextmanager
def _told(file: Path) -> Generator[None]:
    """What SQLite says, as what a person can do about it."""
    try:
        yield
    except UnicodeDecodeError as exc:
        raise DamagedStore(f"{file} is damaged: text in it is none") from exc
    except sqlite3.OperationalError as exc:
        if "malformed" in str(exc) or "UTF-8" in str(exc):
            raise DamagedStore(f"{file} is damaged: {exc}") from exc
        if "locked" in str(exc) or "busy" in str(exc):
            raise StoreBusy(f"{file} is in use by another process: {exc}") from exc
        raise StoreUnwritable(f"cannot write {file}: {exc}") from exc
    except sqlite3.DatabaseError as exc:
        if isinstance(exc, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise
        raise DamagedStore(f"{file} is damaged, or no store: {exc}") from exc
    except OSError as exc:
        if isinstance(exc, StoreUnwritable):
            raise
        raise StoreUnwritable(f"cannot write {file}: {exc.strerror}") from exc
