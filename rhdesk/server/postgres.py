"""The store in PostgreSQL: for teams, and for several servers before one database."""

from __future__ import annotations

import queue
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import psycopg

from rhdesk.errors import ConnectionFailed
from rhdesk.server import schema
from rhdesk.server.sql import SqlTables, Step

_MOST: Final = 8
"""Connections kept open."""
_MIGRATING: Final = 0x7268_6465_736B
"""Key of the advisory lock: two servers never migrate at once."""
WORDS: Final = schema.Words(
    'TEXT COLLATE "C"',
    "BYTEA",
    "SELECT 1 FROM pg_tables WHERE tablename = 'migration'"
    " AND schemaname = ANY (current_schemas(false))",
)
_OPTIONS: Final = "-c lock_timeout=20s"
"""Nobody waits for ever for whoever holds the head row: a restore, a machine that hangs."""

Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresDatabase:
    """Satisfies `rhdesk.server.tables.Database`. Any thread may use it."""

    def __init__(self, url: str) -> None:
        """Connect to *url*, ``postgresql://user@host/name``.

        Raises:
            ConnectionFailed: Nobody answers there, or not to us.
        """
        self._url = url
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue(_MOST)
        self._idle.put_nowait(self._connect())

    def pending(self) -> list[Step]:
        with self._transaction("BEGIN READ ONLY") as execute:
            return schema.pending(execute, WORDS)

    def migrate(self) -> list[Step]:
        with self._transaction("BEGIN") as execute:
            execute("SELECT pg_advisory_xact_lock(?)", (_MIGRATING,))
            return schema.migrate(execute, WORDS)

    def close(self) -> None:
        while not self._idle.empty():
            self._idle.get_nowait().close()

    @contextmanager
    def reading(self) -> Generator[SqlTables]:
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as execute:
            yield SqlTables(execute)

    @contextmanager
    def writing(self) -> Generator[SqlTables]:
        with self._transaction("BEGIN") as execute:
            # Before anything is read: whoever decides, decides on what is there when it commits.
            execute("SELECT 1 FROM head FOR UPDATE", ())
            yield SqlTables(execute)

    def snapshot(self) -> AbstractContextManager[SqlTables]:
        return self.reading()

    def check(self) -> None:
        with self.reading() as t:
            t.check()

    def principals(self) -> Iterator[str]:
        with self.reading() as t:
            return iter(t.principals())

    @contextmanager
    def _transaction(self, begin: str) -> Generator[Execute]:
        connection = self._connect()
        try:
            connection.execute(begin.encode())
            yield Execute(connection)
            connection.execute("COMMIT")
        except BaseException as exc:
            # Closing rolls back, also where the server is gone or a statement is cut off.
            connection.close()
            if isinstance(exc, psycopg.OperationalError):
                raise ConnectionFailed(f"PostgreSQL does not answer: {_told(exc)}") from exc
            raise
        try:
            self._idle.put_nowait(connection)
        except queue.Full:
            connection.close()

    def _connect(self) -> Connection:
        while True:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                break
            if _answers(connection):
                return connection
            connection.close()
        try:
            return psycopg.connect(self._url, autocommit=True, connect_timeout=5, options=_OPTIONS)
        except psycopg.OperationalError as exc:
            raise ConnectionFailed(f"PostgreSQL does not let us in: {_told(exc)}") from exc


class Execute:
    """Statements with ``?`` for parameters, on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, sql: str, parameters: Sequence[Any]) -> psycopg.Cursor[tuple[Any, ...]]:
        return self._connection.execute(sql.replace("?", "%s").encode(), parameters)


def _told(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _answers(connection: Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True
