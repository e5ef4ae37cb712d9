"""A table in files, wherever they are: what `rhdesk.data.warehouse` is of a database."""

# pyright: basic
# pyarrow and fsspec ship no types; mypy reads them as Any.

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from rhdesk.data import profile, sql, tables
from rhdesk.data.far_tables import rows
from rhdesk.data.sorting import sorted_page
from rhdesk.data.tables import Condition, Opened, open_table
from rhdesk.data.writing import write
from rhdesk.models import ColumnProfile, TableInfo, TablePage, TableWritten


class FileTable:
    """Opened when it is first read.

    Args:
        options: What the file system of *path* wants to know: fsspec's words.
        files: The file system, and what it calls *path*, where that is known.
    """

    def __init__(
        self, path: str, options: Mapping[str, Any] | None, files: tuple[Any, str] | None
    ) -> None:
        self._path, self._options, self._files = path, options, files

    @cached_property
    def opened(self) -> Opened:
        """
        Raises:
            NotFound, BadInput: As `open_table`.
        """
        return open_table(self._path, self._options, files=self._files)

    def info(self) -> TableInfo:
        return tables.info(self.opened)

    def schema(self, columns: Sequence[str] | None = None) -> Any:
        """Of all columns, or of these in this order."""
        return tables.chosen(self.opened, columns)

    def page(
        self,
        *,
        offset: int,
        limit: int,
        columns: Sequence[str] | None,
        where: Sequence[Condition],
        order_by: tuple[str, bool] | None,
    ) -> TablePage:
        if order_by is None:
            return tables.page(
                self.opened, offset=offset, limit=limit, columns=columns, where=where
            )
        return sorted_page(
            self.opened, order_by, offset=offset, limit=limit, columns=columns, where=where
        )

    def count(self, where: Sequence[Condition]) -> int:
        return tables.count(self.opened, where)

    def profile(self, column: str) -> ColumnProfile:
        return profile.profile(self.opened, column)

    def query(self, statement: str, *, limit: int) -> TablePage:
        return sql.query(self.opened, statement, limit=limit)

    def batches(
        self,
        *,
        columns: Sequence[str] | None = None,
        where: Sequence[Condition] = (),
        batch_rows: int = 65_536,
        ahead: int = 4,
    ) -> Iterator[Any]:
        return rows(self.opened, columns=columns, where=where, batch_rows=batch_rows, ahead=ahead)

    def whole(self, *, columns: Sequence[str] | None, where: Sequence[Condition]) -> Any:
        return tables.whole(self.opened, columns=columns, where=where)

    def source(self) -> Any:
        """All of it, as `write` takes it; nothing is read yet."""
        return self.opened.dataset

    def write(
        self, data: Any, *, mode: str, format: str, partition_cols: Sequence[str]
    ) -> TableWritten:
        return write(
            data,
            self._path,
            mode=mode,
            format=format,
            partition_cols=partition_cols,
            options=self._options,
            files=self._files,
        )
