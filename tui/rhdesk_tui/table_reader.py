"""A table as one screen reads it: what its files tell, rows of a view, whole rows, profiles."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from rhdesk.desk import AsyncDesk
from rhdesk.errors import RhdeskError
from rhdesk.models import Column, ColumnProfile, TableInfo, TablePage
from rhdesk_tui.table_cells import column_of, kind_of
from rhdesk_tui.table_view import TableSource, TableView
from rhdesk_tui.widgets.table_window import Fetch, in_spans

MOST_ANSWERED: Final = 10_000
"""Rows of an answer to SQL; it is held in memory."""
SMALL_BYTES: Final = 20_000_000
"""Of a table on this machine that is no larger a column's histogram is there unasked."""


class Rows(NamedTuple):
    """The rows of a view: how to read them, what columns they have, how many they are."""

    view: TableView
    fetch: Fetch
    columns: Sequence[str]
    total: int | None
    answer: TablePage | None


class TableReader:
    def __init__(self, desk: AsyncDesk, source: TableSource) -> None:
        self._desk = desk
        self.source = source
        self.info: TableInfo | None = None
        self.view = TableView()
        self.answer: TablePage | None = None
        """All rows, where they answer SQL."""
        self._profiles: dict[str, ColumnProfile] = {}
        self._whole: tuple[int, str, Any] | None = None

    async def look(self) -> TableInfo:
        """Read what the files tell, from the start: some may have come or gone."""
        place, options = self.source.place, self.source.options
        self.info = await self._desk.table_info(place, options=options)
        self._profiles.clear()
        return self.info

    async def rows_of(self, view: TableView) -> Rows:
        """What `use` takes; SQL is asked already, of other views no row has been read."""
        if view.sql:
            answer = await self._desk.table_sql(
                self.source.place, view.sql, limit=MOST_ANSWERED, options=self.source.options
            )
            fetch = _of_answer(answer)
            return Rows(view, fetch, answer.columns, len(answer.rows), answer)
        fetch = partial(self._page, view)
        total = self.info.rows if self.info and not view.where else None
        return Rows(view, in_spans(fetch) if view.order else fetch, self.names, total, None)

    def use(self, rows: Rows) -> None:
        """These are the rows on screen now."""
        self.view, self.answer, self._whole = rows.view, rows.answer, None

    async def _page(
        self, view: TableView, start: int, most: int, names: Sequence[str]
    ) -> TablePage:
        return await self._desk.table_page(
            self.source.place, offset=start, limit=most, columns=names, where=view.where,
            order_by=view.order, options=self.source.options,
        )  # fmt: skip

    async def count(self, view: TableView) -> int:
        return await self._desk.table_count(
            self.source.place, where=view.where, options=self.source.options
        )

    # ---- columns

    @property
    def names(self) -> list[str]:
        """The columns of the files."""
        return [each.name for each in self.info.columns] if self.info else []

    @property
    def types(self) -> dict[str, str]:
        """What the files tell of the columns on screen; of an answer to SQL nothing."""
        if self.info is None or self.answer is not None:
            return {}
        return {each.name: each.type for each in self.info.columns}

    @property
    def rows(self) -> int | None:
        """How many rows `column` tells of."""
        if self.answer is not None:
            return len(self.answer.rows)
        return self.info.rows if self.info else None

    def column(self, name: str) -> Column:
        """What the files tell of a column; of one that SQL made, what its cells do."""
        if self.answer is not None and name in self.answer.columns:
            at = self.answer.columns.index(name)
            return column_of(name, [row[at] for row in self.answer.rows])
        columns = self.info.columns if self.info else ()
        found = next((each for each in columns if each.name == name), None)
        return found or Column(name=name, type="")

    def profile_of(self, name: str) -> ColumnProfile | None:
        """How a column's values are spread, if that was read."""
        return self._profiles.get(name) if self.answer is None else None

    async def read_profile(self, name: str) -> None:
        self._profiles[name] = await self._desk.column_profile(
            self.source.place, name, options=self.source.options
        )

    async def read_profile_unasked(self, name: str) -> bool:
        """The same, where that takes but a moment; whether there is something new to show."""
        small = self.info is not None and self.info.size_bytes <= SMALL_BYTES
        far = "://" in self.source.place or self.answer is not None
        if not small or far or name in self._profiles or not name:
            return False
        if kind_of(self.column(name).type) == "nested":
            return False
        try:
            await self.read_profile(name)
        except RhdeskError:  # nobody asked; whoever does is told
            return False
        return True

    # ---- in full

    async def cell(self, row: int, name: str) -> Any:
        """A cell as it is in the table, however long."""
        if self._whole is None or self._whole[:2] != (row, name):
            self._whole = (row, name, (await self.row(row, [name]))[name])
        return self._whole[2]

    async def row(self, row: int, names: Sequence[str]) -> dict[str, Any]:
        if self.answer is not None:
            whole = dict(zip(self.answer.columns, self.answer.rows[row], strict=True))
            return {name: whole[name] for name in names}
        page = await self._page(self.view, row, 1, names)
        if not page.rows:
            return dict.fromkeys(names)
        return dict(zip(names, page.rows[0], strict=True))


def _of_answer(answer: TablePage) -> Fetch:
    """Pages of an answer that is in memory."""

    async def fetch(start: int, most: int, names: Sequence[str]) -> TablePage:
        at = [answer.columns.index(name) for name in names]
        rows = answer.rows[start : start + most]
        return TablePage(
            path=answer.path, columns=tuple(names), offset=start,
            rows=tuple(tuple(row[each] for each in at) for row in rows),
        )  # fmt: skip

    return fetch
