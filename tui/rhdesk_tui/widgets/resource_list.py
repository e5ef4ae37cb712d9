"""A list of any length: only the rows on screen are ever asked for or drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from rhdesk.foreign import clean
from rhdesk_tui.filtering import Filter
from rhdesk_tui.wording import Tone

T = TypeVar("T")


class Column(NamedTuple):
    title: str
    width: int
    """Cells; of a flexible column the least it makes do with."""
    flex: bool = False
    right: bool = False
    keep: int = 9
    """When the terminal is narrow, the column with the smallest `keep` goes first."""


class Cell(NamedTuple):
    text: str
    tone: Tone = ""


class Row(NamedTuple):
    key: str
    """Identity; the cursor follows it through every refresh."""
    cells: tuple[Cell, ...]
    dimmed: bool = False


class Rows(Protocol):
    """What a list shows."""

    def __len__(self) -> int: ...

    def row(self, index: int) -> Row | None:
        """The row, or None while it is on its way."""
        ...

    def find(self, key: str) -> int | None:
        """Where the row with this key is now, as far as known."""
        ...

    def want(self, start: int, stop: int) -> None:
        """Rows from *start* up to *stop* are about to be shown."""
        ...


class Listed(Generic[T]):
    """Rows over a sequence that is in memory, in any order and selection."""

    def __init__(
        self,
        items: Sequence[T],
        draw: Callable[[T], Row],
        key: Callable[[T], str],
        order: Sequence[int] | None = None,
        places: Mapping[str, int] | None = None,
    ) -> None:
        """
        Args:
            order: Which of *items*, in which order; by default all, as they are.
            places: Where in *items* each key is, where there are too many to look.
        """
        self._items = items
        self._draw = draw
        self._key = key
        self._order = range(len(items)) if order is None else order
        self._places = places

    def __len__(self) -> int:
        return len(self._order)

    def row(self, index: int) -> Row | None:
        return self._draw(self._items[self._order[index]])

    def find(self, key: str) -> int | None:
        if self._places is not None:
            try:
                return self._order.index(self._places[key])
            except (KeyError, ValueError):
                return None
        for index, at in enumerate(self._order):
            if self._key(self._items[at]) == key:
                return index
        return None

    def want(self, start: int, stop: int) -> None:
        """Everything is here already."""


class ResourceList(ScrollView, can_focus=True):
    """Rows under a fixed header, with one row under the cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "list--header",
        "list--row",
        "list--cursor",
        "list--cursor-blur",
        "list--good",
        "list--warn",
        "list--bad",
        "list--quiet",
        "list--accent",
        "list--strong",
        "list--mark",
    }
    DEFAULT_CSS = """
    ResourceList {
        overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
        & > .list--header { color: $quiet; text-style: bold; }
        & > .list--row { color: $foreground; }
        & > .list--cursor { background: $row; color: $foreground; text-style: bold; }
        & > .list--cursor-blur { background: $row-blur; color: $foreground; }
        & > .list--good { color: $success; }
        & > .list--warn { color: $warning; }
        & > .list--bad { color: $error; }
        & > .list--quiet { color: $quiet; }
        & > .list--accent { color: $accent; }
        & > .list--strong { text-style: bold; }
        & > .list--mark { color: $accent; text-style: underline; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", id="list.down", show=False),
        Binding("up,k", "move(-1)", "Up", id="list.up", show=False),
        Binding("pagedown", "page(1)", "Page down", id="list.page_down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="list.page_up", show=False),
        Binding("home,g", "edge(0)", "First", id="list.first", show=False),
        Binding("end,G", "edge(1)", "Last", id="list.last", show=False),
        Binding("enter", "open", "Open", id="list.open", show=False),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)

    @dataclass
    class Highlighted(Message):
        """The cursor is on another row, or its row has changed; None when there are no rows."""

        key: str | None

    @dataclass
    class Opened(Message):
        key: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._columns: tuple[Column, ...] = ()
        self._rows: Rows = Listed[Row]((), lambda row: row, lambda row: row.key)
        self._key: str | None = None
        self._filter = Filter("")

    @property
    def key(self) -> str | None:
        """Key of the row under the cursor."""
        return self._key

    @property
    def visible_range(self) -> range:
        top = self.scroll_offset.y
        return range(top, min(top + max(self.size.height - 1, 1), len(self._rows)))

    def show(
        self, columns: Sequence[Column], rows: Rows, *, shown: Filter, shift: int = 0
    ) -> None:
        """Replace what is listed; the cursor stays on its row if that is still there.

        Args:
            columns: The columns, left to right.
            rows: What to list.
            shown: The filter that chose the rows; what it fitted is underlined.
            shift: How many rows were put in front since the last time.
        """
        self._columns = tuple(columns)
        self._rows = rows
        self._filter = shown
        was = self._key
        at = rows.find(was) if was is not None else None
        target = at if at is not None else self.cursor + shift
        self.virtual_size = Size(self.size.width, len(rows) + 1)
        moved = (at - self.cursor) if at is not None else shift
        if moved and self.scroll_offset.y:
            self.scroll_to(y=self.scroll_offset.y + moved, animate=False, immediate=True)
        self._place(target)
        self.refresh()

    def arrived(self) -> None:
        """Rows that were on their way are there now."""
        self._note_key()
        self.refresh()

    def reset(self) -> None:
        """Forget the cursor: the next rows are of another kind."""
        self._key = None
        self.set_reactive(ResourceList.cursor, 0)
        self.scroll_to(y=0, animate=False, immediate=True)

    def select(self, key: str) -> bool:
        """Put the cursor on a row; False if there is none with this key."""
        at = self._rows.find(key)
        if at is not None:
            self._place(at)
        return at is not None

    def action_move(self, by: int) -> None:
        self._place(self.cursor + by)

    def action_page(self, by: int) -> None:
        page = max(self.size.height - 2, 1)
        self.scroll_to(y=self.scroll_offset.y + by * page, animate=False, immediate=True)
        self._place(self.cursor + by * page)

    def action_edge(self, end: int) -> None:
        self._place(len(self._rows) - 1 if end else 0)

    def action_open(self) -> None:
        if self._key is not None:
            self.post_message(self.Opened(self._key))

    def on_click(self, event: events.Click) -> None:
        index = self.scroll_offset.y + event.y - 1
        if event.y > 0 and index < len(self._rows):
            again = index == self.cursor
            self._place(index)
            if again and event.chain > 1:
                self.action_open()

    def on_resize(self) -> None:
        self._place(self.cursor)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._ask()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        shown = self._fit(width)
        base = self.rich_style
        if y == 0:
            style = base + self.get_component_rich_style("list--header", partial=True)
            parts = [set_cell_size(c.title.rjust(w) if c.right else c.title, w) for c, w in shown]
            return Strip([Segment("  " + "  ".join(parts), style)]).adjust_cell_length(
                width, style
            )
        index = self.scroll_offset.y + y - 1
        if index >= len(self._rows):
            return Strip.blank(width, base)
        return self._draw(index, shown, width, base)

    def _draw(
        self, index: int, shown: Sequence[tuple[Column, int]], width: int, base: Style
    ) -> Strip:
        here = index == self.cursor
        name = "list--row"
        if here:
            name = "list--cursor" if self.has_focus else "list--cursor-blur"
        style = base + self.get_component_rich_style(name, partial=True)
        row = self._rows.row(index)
        segments = [Segment("▌ " if here else "  ", style)]
        if row is None:
            segments.append(Segment("…", style))
            return Strip(segments).adjust_cell_length(width, style)
        quiet = self.get_component_rich_style("list--quiet", partial=True)
        kept = {id(column) for column, _ in shown}
        cells = [
            cell
            for cell, column in zip(row.cells, self._columns, strict=True)
            if id(column) in kept
        ]
        for number, ((column, room), cell) in enumerate(zip(shown, cells, strict=True)):
            text = fit(clean(cell.text[: room * 8]).replace("\t", " "), room)
            look = style
            if row.dimmed:
                look += quiet
            elif cell.tone:
                look += self.get_component_rich_style(f"list--{cell.tone}", partial=True)
            padding = " " * (room - cell_len(text))
            if column.right:
                segments.append(Segment(padding, style))
            if column.flex and self._filter:
                segments += self._marked(text, look)
            else:
                segments.append(Segment(text, look))
            gap = "" if number == len(shown) - 1 else "  "
            segments.append(Segment(gap if column.right else padding + gap, style))
        return Strip(segments).adjust_cell_length(width, style)

    def _marked(self, text: str, look: Style) -> list[Segment]:
        found = self._filter.marks(text)
        mark = look + self.get_component_rich_style("list--mark", partial=True)
        return [Segment(letter, mark if at in found else look) for at, letter in enumerate(text)]

    def _fit(self, width: int) -> list[tuple[Column, int]]:
        """The columns there is room for, with the cells each gets."""
        columns = list(self._columns)
        room = width - 2
        while len(columns) > 1 and sum(c.width + 2 for c in columns) - 2 > room:
            columns.remove(min(columns, key=lambda c: c.keep))
        spare = room - (sum(c.width + 2 for c in columns) - 2)
        flexible = sum(c.flex for c in columns)
        shown: list[tuple[Column, int]] = []
        for column in columns:
            extra = 0
            if column.flex and spare > 0:
                extra = spare // flexible
                spare -= extra
                flexible -= 1
            shown.append((column, max(column.width + extra, 1)))
        return shown

    def _place(self, index: int) -> None:
        index = max(0, min(index, len(self._rows) - 1))
        before = self.cursor
        self.cursor = index
        height = max(self.size.height - 1, 1)
        top = self.scroll_offset.y
        if index < top:
            self.scroll_to(y=index, animate=False, immediate=True)
        elif index >= top + height:
            self.scroll_to(y=index - height + 1, animate=False, immediate=True)
        if before != index:
            for changed in (before, index):
                self.refresh(Region(0, changed - self.scroll_offset.y + 1, self.size.width, 1))
        self._ask()
        self._note_key()

    def _ask(self) -> None:
        visible = self.visible_range
        if visible:
            self._rows.want(visible.start, visible.stop)

    def _note_key(self) -> None:
        row = self._rows.row(self.cursor) if self.cursor < len(self._rows) else None
        if row is None and len(self._rows):
            return
        key = row.key if row is not None else None
        if key != self._key:
            self._key = key
            self.post_message(self.Highlighted(key))


def fit(text: str, room: int) -> str:
    """*text* in at most *room* cells; what does not fit is cut with an ellipsis."""
    if cell_len(text) <= room:
        return text
    if room <= 1:
        return "…"[:room]
    return set_cell_size(text, room - 1).rstrip() + "…"
