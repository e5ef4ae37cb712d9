"""Tables of databases, through ADBC: what can be asked in SQL is asked there, rows come as Arrow.

An address is the database's own with the table behind it: ``postgresql://me@box/lab?table=flights``.
A password belongs where the database's own programs look for it (of PostgreSQL ``~/.pgpass`` or
``PGPASSWORD``); one in the address is used and never shown. Blocking; a connection for each question.
"""

# pyright: basic
# pyarrow and the drivers leave much untyped; only Any leaves this file.

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.dataset as ds

from rhdesk.data.frames import reader_of
from rhdesk.data.profile import profile
from rhdesk.data.tables import Condition, Opened, as_json, chosen, known, typed
from rhdesk.data.writing import MODES, same_columns
from rhdesk.errors import (
    AlreadyExists,
    BadInput,
    ConnectionFailed,
    NotFound,
    Refused,
    RhdeskError,
    SetupFailed,
    StoreUnwritable,
)
from rhdesk.foreign import clean
from rhdesk.models import Column, ColumnProfile, TableInfo, TablePage, TableWritten

_DRIVERS: Final = {
    "postgresql": ("adbc_driver_postgresql", "rhdesk[postgresql]"),
    "sqlite": ("adbc_driver_sqlite", "adbc-driver-sqlite"),
    "snowflake": ("adbc_driver_snowflake", "adbc-driver-snowflake"),
    "bigquery": ("adbc_driver_bigquery", "adbc-driver-bigquery"),
    "grpc": ("adbc_driver_flightsql", "adbc-driver-flightsql"),
    "grpc+tls": ("adbc_driver_flightsql", "adbc-driver-flightsql"),
}
"""Scheme: the module that speaks to it, and what to install for it."""
_ROWS: Final = 10_000
_ABSENT: Final = ("not exist", "not found", "not_found", "no such table")
"""What drivers say of a table that is not there; ADBC has no way of its own to ask."""
_SPELLED: Final = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class Address(NamedTuple):
    scheme: str
    uri: str
    """The database, as its driver wants it."""
    schema: str
    """Of the database: ``public`` in ``?table=public.flights``; empty is its default."""
    table: str
    shown: str
    """The whole address without a password."""
    password: str


def is_warehouse(path: str) -> bool:
    """Whether a path is an address of a database."""
    return path.partition("://")[0] in _DRIVERS and "://" in path


def read_address(path: str) -> Address:
    """
    Raises:
        BadInput: It names no table.
    """
    parts = urlsplit(path)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema, _, table = asked.pop("table", "").rpartition(".")
    password = unquote(parts.password or "")
    netloc = parts.netloc.replace(f":{parts.password}@", "@") if parts.password else parts.netloc
    shown = urlunsplit(parts._replace(netloc=netloc))
    if not table:
        raise BadInput(f"{shown} names no table; add one: ?table=flights")
    uri = urlunsplit(parts._replace(query=urlencode(asked)))
    if parts.scheme == "sqlite":
        uri = f"file:{parts.path}"
    return Address(parts.scheme, uri, schema, table, shown, password)


class Warehouse:
    """One table of a database, over one connection.

    Raises:
        BadInput: *path* names no table.
        SetupFailed: The driver is not installed; the message says which package it is.
        ConnectionFailed: The database does not answer, or does not let this person in.
        NotFound: It has no such table.
    """

    def __init__(self, path: str, options: Mapping[str, Any] | None = None) -> None:
        self.address = read_address(path)
        module, package = _DRIVERS[self.address.scheme]
        try:
            self._driver: Any = import_module(f"{module}.dbapi")
        except ImportError as exc:
            raise SetupFailed(
                f'{self.address.shown} needs a driver: pip install "{package}"'
            ) from exc
        with self._spoken():
            try:
                self._line: Any = self._driver.connect(self.address.uri, **dict(options or {}))
            except self._driver.Error as exc:
                raise ConnectionFailed(
                    f"{self.address.shown} was not opened: {self._words(exc)}"
                ) from exc

    def close(self) -> None:
        """Give the connection back; what was not committed is as if it had not been."""
        self._line.close()

    # ---- reading

    def info(self) -> TableInfo:
        """Its columns, and its rows as the database counts them."""
        columns = tuple(Column(name=f.name, type=str(f.type)) for f in self.schema())
        return TableInfo(
            path=self.address.shown,
            format=self.address.scheme,
            rows=self.count(()),
            files=0,
            size_bytes=0,
            columns=columns,
        )

    def schema(self, columns: Sequence[str] | None = None) -> Any:
        """Of all columns, or of these in this order.

        Raises:
            NotFound: There is no such table.
            BadInput: There is no such column.
        """
        return chosen(self._empty, columns)

    @cached_property
    def _empty(self) -> Opened:
        """Its columns, without a row."""
        if not self._is_there():
            raise NotFound(self.address.shown, kind="table")
        with self._spoken(), self._line.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self._name} LIMIT 0")
            return self._held(cursor.fetch_arrow_table())

    def page(
        self,
        *,
        offset: int,
        limit: int,
        columns: Sequence[str] | None,
        where: Sequence[Condition],
        order_by: tuple[str, bool] | None,
    ) -> TablePage:
        """As `rhdesk.data.tables.page`; of PostgreSQL in the order the rows lie in."""
        if offset < 0 or limit < 1:
            raise BadInput(
                f"a page begins at row 0 or later and has a row at least: {offset}, {limit}"
            )
        order = " ORDER BY ctid" if self.address.scheme == "postgresql" else ""
        if order_by is not None:
            known(self._empty, [order_by[0]])
            descending = " DESC" if order_by[1] else ""
            name = _quoted(order_by[0])
            order = f" ORDER BY {name} IS NULL, {name}{descending}"
        behind = f"{order} LIMIT {limit} OFFSET {offset}"
        with self._asked(columns, where, behind) as reader:
            found = reader.read_all()
        held = [[as_json(cell) for cell in column.to_pylist()] for column in found.columns]
        return TablePage(
            path=self.address.shown,
            columns=tuple(found.schema.names),
            offset=offset,
            rows=tuple(zip(*held, strict=True)),
        )

    def count(self, where: Sequence[Condition]) -> int:
        """How many rows there are for which *where* holds."""
        clause, values = self._where(where)
        with self._spoken(), self._line.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {self._name}{clause}", values)
            return int(cursor.fetchone()[0])

    def profile(self, column: str) -> ColumnProfile:
        """As `rhdesk.data.profile.profile`; the column is held while it is counted."""
        return profile(self._held(self.whole(columns=[column])), column)

    def query(self, statement: str, *, limit: int) -> TablePage:
        """What the database itself answers, at most *limit* rows; the table is ``t`` in it.

        Nothing that is asked this way can change anything: it is a subquery, and rolled back.
        """
        if not 1 <= limit <= _ROWS:
            raise BadInput(f"an answer has 1 to {_ROWS} rows, not {limit}")
        inner = statement.strip().rstrip(";")
        whole = (
            f"WITH t AS (SELECT * FROM {self._name}) SELECT * FROM (\n{inner}\n) a LIMIT {limit}"
        )
        with self._spoken(), self._line.cursor() as cursor:
            if self.address.scheme == "postgresql":
                cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(whole)
            found = cursor.fetch_arrow_table()
        held = [[as_json(cell) for cell in column.to_pylist()] for column in found.columns]
        return TablePage(
            path=self.address.shown,
            columns=tuple(found.schema.names),
            offset=0,
            rows=tuple(zip(*held, strict=True)),
        )

    def batches(
        self,
        *,
        columns: Sequence[str] | None = None,
        where: Sequence[Condition] = (),
        batch_rows: int = 65_536,
        ahead: int = 4,
    ) -> Iterator[Any]:
        """Record batches as the database sends them, of its own size and when they are wanted."""
        with self._asked(columns, where) as reader:
            yield from reader

    def whole(
        self, *, columns: Sequence[str] | None = None, where: Sequence[Condition] = ()
    ) -> Any:
        """All of it as one pyarrow table."""
        with self._asked(columns, where) as reader:
            return reader.read_all()

    def source(self) -> Any:
        """All of it as a stream of record batches; good while this is open."""
        return pa.RecordBatchReader.from_batches(self.schema(), self.batches())

    # ---- writing

    def write(
        self, data: Any, *, mode: str, format: str, partition_cols: Sequence[str]
    ) -> TableWritten:
        """Write rows, all of them or none: it is one transaction.

        Args:
            data: As `rhdesk.data.writing.write`.
            format: Does not count: how rows are kept is the database's own business.

        Raises:
            AlreadyExists: *mode* is ``new``, and there is such a table.
            BadInput: The columns differ from those that are there; or it is to be partitioned.
            StoreUnwritable: The database does not take them; its words are in the message.
        """
        if mode not in MODES:
            raise BadInput(f"{mode!r} is no way to write; ways are {', '.join(MODES)}")
        if partition_cols:
            raise BadInput(f"{self.address.shown} is partitioned by its database, not from here")
        reader = reader_of(data)
        is_there = self._is_there()
        if is_there and mode == "new":
            raise AlreadyExists(f"{self.address.shown} is there; append to it, or overwrite it")
        if is_there and mode == "append":
            same_columns(self.address.shown, self.schema(), reader.schema)
        how = {"new": "create", "append": "create_append", "overwrite": "replace"}[mode]
        rows = 0

        def counted() -> Iterator[Any]:
            nonlocal rows
            for batch in reader:
                rows += batch.num_rows
                yield batch

        sent = pa.RecordBatchReader.from_batches(reader.schema, counted())
        place = {"db_schema_name": self.address.schema} if self.address.schema else {}
        try:
            with self._spoken(), self._line.cursor() as cursor:
                cursor.adbc_ingest(self.address.table, sent, mode=how, **place)
                self._line.commit()
        except BadInput as exc:
            raise StoreUnwritable(f"{exc}; nothing was written") from exc
        return TableWritten(path=self.address.shown, version=0, rows=rows, files=0)

    # ---- asking

    @property
    def _name(self) -> str:
        schema = f"{_quoted(self.address.schema)}." if self.address.schema else ""
        return f"{schema}{_quoted(self.address.table)}"

    def _is_there(self) -> bool:
        place = {"db_schema_filter": self.address.schema} if self.address.schema else {}
        with self._spoken():
            try:
                self._line.adbc_get_table_schema(self.address.table, **place)
            except self._driver.Error as exc:
                self._line.rollback()
                if any(words in str(exc).lower() for words in _ABSENT):
                    return False
                raise
        return True

    @contextmanager
    def _asked(
        self, columns: Sequence[str] | None, where: Sequence[Condition], behind: str = ""
    ) -> Iterator[Any]:
        """The answer, for as long as this is open."""
        known(self._empty, columns or ())
        what = ", ".join(_quoted(name) for name in columns) if columns is not None else "*"
        clause, values = self._where(where)
        with self._spoken(), self._line.cursor() as cursor:
            cursor.execute(f"SELECT {what} FROM {self._name}{clause}{behind}", values)
            yield cursor.fetch_record_batch()

    def _where(self, where: Sequence[Condition]) -> tuple[str, Any]:
        """A clause with places for values, and the values, which the driver binds."""
        if not where:
            return "", None
        said: list[str] = []
        values: list[Any] = []
        for name, how, held in typed(self._empty, where):
            places = [self._place(len(values) + at) for at in range(1, len(held) + 1)]
            values += [held.slice(at, 1) for at in range(len(held))]
            if how in {"in", "not in"}:
                said.append(f"{_quoted(name)} {how.upper()} ({', '.join(places) or 'NULL'})")
            else:
                said.append(f"{_quoted(name)} {_SPELLED[how]} {places[0]}")
        names = [f"p{number}" for number in range(len(values))]
        return f" WHERE {' AND '.join(said)}", pa.record_batch(values, names=names)

    def _place(self, number: int) -> str:
        return f"${number}" if self.address.scheme == "postgresql" else "?"

    def _held(self, table: Any) -> Opened:
        shown = self.address.shown
        return Opened(shown, None, shown, "memory", None, ds.dataset(table))

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """The driver's faults as ours, without a password."""
        try:
            yield
        except RhdeskError:
            raise
        except (self._driver.Error, pa.ArrowException) as exc:
            words = f"{self.address.shown}: {self._words(exc)}"
            if "permission denied" in words.lower():
                raise Refused(words) from None
            raise BadInput(words) from None

    def _words(self, exc: Exception) -> str:
        said = clean(" ".join(str(exc).split()))
        return said.replace(self.address.password, "***") if self.address.password else said


def _quoted(name: str) -> str:
    """An identifier of SQL:2016, 5.2."""
    return '"' + name.replace('"', '""') + '"'
