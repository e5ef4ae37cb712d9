"""SQL over a table: duckdb reads the batches as they come, and only the columns it needs."""

# pyright: basic
# duckdb and pyarrow leave much untyped; only Any leaves this file.

from __future__ import annotations

from typing import Any, Final

from rhdesk.data.tables import Opened, as_json, spoken
from rhdesk.errors import BadInput
from rhdesk.models import TablePage

_ROWS: Final = 10_000


def query(table: Opened, statement: str, *, limit: int = 1000) -> TablePage:
    """What *statement* answers, at most *limit* rows; the table is called ``t`` in it.

    duckdb opens no file for it, and loads no extension: a statement may come from elsewhere.

    Raises:
        BadInput: duckdb is not installed, or does not understand the statement.
    """
    try:
        import duckdb
    except ImportError as exc:
        raise BadInput("SQL needs duckdb: pip install 'rhdesk[sql]'") from exc
    if not 1 <= limit <= _ROWS:
        raise BadInput(f"an answer has 1 to {_ROWS} rows, not {limit}")
    with spoken(table.path), duckdb.connect(":memory:") as connection:
        connection.register("t", table.dataset)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        try:
            answer: Any = connection.execute(statement)
            rows = answer.fetchmany(limit)
        except duckdb.Error as exc:
            raise BadInput(f"duckdb says: {exc}") from exc
        columns = tuple(each[0] for each in answer.description or ())
    return TablePage(
        path=table.path,
        columns=columns,
        offset=0,
        rows=tuple(tuple(as_json(cell) for cell in row) for row in rows),
    )
