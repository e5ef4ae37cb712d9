"""A database as one token sees it: rights count in the token's folder and below only."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from rhdesk.server.sql import SqlDatabase, SqlTables


class Narrowed:
    """Satisfies `rhdesk.server.tables.Database`."""

    def __init__(self, database: SqlDatabase, within: str) -> None:
        self._database = database
        self._within = within

    @contextmanager
    def reading(self) -> Generator[SqlTables]:
        with self._database.reading() as t:
            t.within = self._within
            yield t

    @contextmanager
    def writing(self) -> Generator[SqlTables]:
        with self._database.writing() as t:
            t.within = self._within
            yield t

    def principals(self) -> Iterator[str]:
        return self._database.principals()
