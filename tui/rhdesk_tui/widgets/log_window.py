"""The few thousand lines of a log that are in memory, out of however many there are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from rhdesk.foreign import clean
from rhdesk.models import LogLine
from rhdesk_tui.levels import Level, level_of

PAGE: Final = 256
KEPT_PAGES: Final = 24
LONGEST: Final = 16_384
"""Characters of one line that are kept for showing; copying and saving read the whole line."""

Fetch = Callable[[int, int], Awaitable[Sequence[LogLine]]]


class ShownLine(NamedTuple):
    seq: int
    is_stderr: bool
    at: float
    text: str
    """Clean, tabs expanded, cut to `LONGEST`."""
    cut: int
    """How many characters are not shown."""
    level: Level


class LogWindow:
    """A cache of pages over *fetch*, bounded whatever is scrolled through."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._pages: OrderedDict[int, list[ShownLine]] = OrderedDict()
        self.total = 0
        self.fetched = 0
        """Lines asked of the store so far; tests look at it."""

    @property
    def held(self) -> int:
        """Lines in memory."""
        return sum(len(page) for page in self._pages.values())

    def line(self, seq: int) -> ShownLine | None:
        """The line if it is in memory."""
        page = self._pages.get(seq // PAGE)
        offset = seq % PAGE
        return page[offset] if page is not None and offset < len(page) else None

    def has(self, start: int, stop: int) -> bool:
        return not self._missing(start, stop)

    async def load(self, start: int, stop: int) -> None:
        """Bring the lines from *start* up to *stop* into memory."""
        missing = self._missing(start, stop)
        if not missing:
            return
        first, last = missing[0], missing[-1]
        lines = await self._fetch(first * PAGE, min((last + 1) * PAGE, self.total))
        self.fetched += len(lines)
        for number in range(first, last + 1):
            base = number * PAGE - first * PAGE
            self._keep(number, [_shown(line) for line in lines[base : base + PAGE]])

    def extend(self, lines: Iterable[LogLine], total: int) -> None:
        """Note lines that were just printed; those that continue a page in memory stay."""
        self.total = max(self.total, total)
        for line in lines:
            number, offset = divmod(line.seq, PAGE)
            page = self._pages.get(number)
            if page is None and offset == 0:
                self._keep(number, [_shown(line)])
            elif page is not None and len(page) == offset:
                page.append(_shown(line))

    def _missing(self, start: int, stop: int) -> list[int]:
        start, stop = max(start, 0), min(stop, self.total)
        missing: list[int] = []
        for number in range(start // PAGE, (stop + PAGE - 1) // PAGE if stop > start else 0):
            page = self._pages.get(number)
            if page is not None:
                self._pages.move_to_end(number)
            if page is None or len(page) < min(stop - number * PAGE, PAGE):
                missing.append(number)
        return missing

    def _keep(self, number: int, page: list[ShownLine]) -> None:
        self._pages[number] = page
        self._pages.move_to_end(number)
        while len(self._pages) > KEPT_PAGES:
            self._pages.popitem(last=False)


def _shown(line: LogLine) -> ShownLine:
    text = clean(line.text[:LONGEST]).expandtabs(4)
    return ShownLine(
        line.seq, line.stream == "stderr", line.at, text,
        max(len(line.text) - LONGEST, 0), level_of(text),
    )  # fmt: skip
