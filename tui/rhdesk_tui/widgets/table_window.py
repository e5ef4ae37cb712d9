"""The few thousand rows of a table that are in memory, out of however many there are."""

from __future__ import annotations

from asyncio import ensure_future, shield
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from rhdesk.errors import RhdeskError
from rhdesk.models import TablePage
from rhdesk_tui.table_cells import kept

PAGE: Final = 256
"""Rows read at once."""
BLOCK: Final = 24
"""Columns read at once: of a table with a thousand of them, those in sight."""
KEPT_PAGES: Final = 48
_AT_ONCE: Final = 2

Fetch = Callable[[int, int, Sequence[str]], Awaitable[TablePage]]
"""First row, how many at most, which columns."""
Key = tuple[int, int]
"""Which page, which block of columns."""
Page = Sequence[Sequence[Any]]


class Missing:
    """Stands for a cell that is on its way."""


MISSING: Final = Missing()


class TableWindow:
    """A cache of pages over *fetch*, bounded whatever is scrolled through.

    Args:
        columns: Every column there is to read, in order.
        total: How many rows there are, if that is known.
        start: Begins one `read` in a worker.
        arrived: Is told that rows came, or that there are fewer than was thought.
        failed: Is told why rows did not come.
    """

    def __init__(
        self,
        fetch: Fetch,
        columns: Sequence[str],
        total: int | None,
        *,
        start: Callable[[Key], None],
        arrived: Callable[[Key], None],
        failed: Callable[[RhdeskError], None],
    ) -> None:
        self.columns = tuple(columns)
        self.total = total
        self.shrunk_from: int | None = None
        """How many rows there were said to be, if there are fewer."""
        self._fetch = fetch
        self._start, self._arrived, self._failed = start, arrived, failed
        self._pages: OrderedDict[Key, Page] = OrderedDict()
        self._wanted: list[Key] = []
        self._ahead: list[Key] = []
        self._under_way: set[Key] = set()
        self._gave_up: set[Key] = set()
        self._seen = 0

    @property
    def rows(self) -> int:
        """How many rows can be scrolled to; of an unknown number, one page more than was seen."""
        return self._seen + PAGE if self.total is None else self.total

    @property
    def held(self) -> int:
        """Cells in memory."""
        return sum(len(page) * len(page[0]) for page in self._pages.values() if page)

    @property
    def is_reading(self) -> bool:
        return bool(self._under_way)

    def cell(self, row: int, column: int) -> Any:
        """The cell, or `MISSING`.

        Args:
            column: Which of `columns`.
        """
        page = self._pages.get((row // PAGE, column // BLOCK))
        at = row % PAGE
        if page is None or at >= len(page):
            return MISSING
        return page[at][column % BLOCK]

    def page(self, key: Key) -> Page:
        return self._pages.get(key, ())

    def has(self, row: int, column: int) -> bool:
        return (row // PAGE, column // BLOCK) in self._pages

    def want(self, rows: range, columns: Sequence[int], *, ahead: int = 0) -> None:
        """These rows are in sight; read them, and then the page beyond them.

        What was wanted before and has not been begun is forgotten: only where the eye is counts.

        Args:
            ahead: 1 if the eye moves down, -1 if up; 0 reads nothing ahead.
        """
        blocks = sorted({column // BLOCK for column in columns}) or [0]
        first, last = rows.start // PAGE, max(rows.stop - 1, rows.start) // PAGE
        self._wanted = self._missing(range(first, last + 1), blocks)
        beyond = [last + 1 if ahead > 0 else first - 1] if ahead else []
        self._ahead = self._missing(beyond, blocks)
        self._pump()

    def _missing(self, numbers: Iterable[int], blocks: Sequence[int]) -> list[Key]:
        last = (max(self.rows, 1) - 1) // PAGE
        keys = [(number, block) for number in numbers for block in blocks if 0 <= number <= last]
        for key in keys:
            if key in self._pages:
                self._pages.move_to_end(key)
        return [key for key in keys if key not in self._pages]

    def forget_failures(self) -> None:
        """Try again what could not be read."""
        self._gave_up.clear()

    def _pump(self) -> None:
        """Begin what is wanted; what is only likely to be wanted waits until nothing else is."""
        while len(self._under_way) < (_AT_ONCE if self._wanted else 1):
            if not self._wanted and not self._ahead:
                return
            key = (self._wanted or self._ahead).pop(0)
            if key not in self._under_way and key not in self._gave_up:
                self._under_way.add(key)
                self._start(key)

    async def read(self, key: Key) -> None:
        """Bring one page in; what goes wrong is told, and not tried again by itself."""
        try:
            await self.load(key)
        except RhdeskError as exc:
            self._gave_up.add(key)
            self._failed(exc)
        finally:
            self._under_way.discard(key)
        self._arrived(key)
        self._pump()

    async def load(self, key: Key) -> None:
        """The same, for those who wait for it."""
        number, block = key
        names = self.columns[block * BLOCK : (block + 1) * BLOCK]
        found = await self._fetch(number * PAGE, PAGE, names)
        page = [tuple(kept(cell) for cell in row) for row in found.rows]
        self._note_end(number * PAGE, len(page))
        self._pages[key] = page
        self._pages.move_to_end(key)
        while len(self._pages) > KEPT_PAGES:
            self._pages.popitem(last=False)

    def _note_end(self, offset: int, got: int) -> None:
        end = offset + got
        if got:
            self._seen = max(self._seen, end)
        if self.total is None:
            if got < PAGE:
                self.total = end
        elif end < min(offset + PAGE, self.total):
            self.shrunk_from = max(self.shrunk_from or 0, self.total)
            self.total = end
            self._pages = OrderedDict(
                (key, page) for key, page in self._pages.items() if key[0] * PAGE < end
            )


def in_spans(fetch: Fetch, pages: int = 8) -> Fetch:
    """The same, with several pages read at once and the newest two spans of them kept.

    For rows whose page costs as much as many do: of a table in another order.
    """
    spans: OrderedDict[tuple[int, Sequence[str]], Awaitable[TablePage]] = OrderedDict()

    async def read(start: int, most: int, names: Sequence[str]) -> TablePage:
        size = pages * PAGE
        first = start - start % size
        key = (first, tuple(names))
        if key not in spans:
            # One reading, whoever waits for it: a second page of the span asks for nothing.
            spans[key] = ensure_future(fetch(first, size, names))
            while len(spans) > 2:
                spans.popitem(last=False)
        try:
            span = await shield(spans[key])
        except BaseException:
            spans.pop(key, None)
            raise
        return msgspec.structs.replace(
            span, offset=start, rows=span.rows[start - first : start - first + most]
        )

    return read
