"""Rows and columns of a table of any size: draws the cells in sight, asks for no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.worker import Worker

from rhdesk.errors import RhdeskError
from rhdesk.foreign import clean
from rhdesk_tui.table_cells import Field, field_of, kind_of, kind_of_values, short_type, shown
from rhdesk_tui.widgets.resource_list import fit
from rhdesk_tui.widgets.table_window import BLOCK, MISSING, PAGE, Fetch, Key, TableWindow

HEAD: Final = 2
"""Rows of the grid that are its head: names, and types."""
_GAP: Final = "  "


class Slot(NamedTuple):
    """A column on screen."""

    at: int
    """Which of the window's columns."""
    x: int
    width: int
    is_frozen: bool


class TableGrid(ScrollView, can_focus=True):
    """A cursor on one cell; some columns may be frozen at the left, and some hidden.

    Keys move at once, whatever is still being read: a cell that is on its way is drawn as ``…``.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--head", "grid--here", "grid--type", "grid--row", "grid--cursor", "grid--cell",
        "grid--good", "grid--warn", "grid--quiet", "grid--accent",
    }  # fmt: skip
    DEFAULT_CSS = """
    TableGrid {
        overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1;
        & > .grid--head { color: $foreground; text-style: bold; }
        & > .grid--here { color: $accent; text-style: bold; }
        & > .grid--type { color: $quiet; }
        & > .grid--row { color: $foreground; }
        & > .grid--cursor { background: $row-blur; }
        & > .grid--cell { background: $row; text-style: bold; }
        &:focus > .grid--cursor { background: $row; }
        &:focus > .grid--cell { background: $primary; color: $background; text-style: bold; }
        & > .grid--good { color: $success; }
        & > .grid--warn { color: $warning; }
        & > .grid--quiet { color: $quiet; }
        & > .grid--accent { color: $accent; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", id="grid.down", show=False),
        Binding("up,k", "move(-1)", "Up", id="grid.up", show=False),
        Binding("right,l", "across(1)", "Right", id="grid.right", show=False),
        Binding("left,h", "across(-1)", "Left", id="grid.left", show=False),
        Binding("pagedown", "page(1)", "Page down", id="grid.page_down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="grid.page_up", show=False),
        Binding("home,g", "edge(0)", "First row", id="grid.first", show=False),
        Binding("end,G", "edge(1)", "Last row", id="grid.last", show=False),
        Binding("0", "side(0)", "First column", id="grid.leftmost", show=False),
        Binding("dollar_sign", "side(1)", "Last column", id="grid.rightmost", show=False),
        Binding("enter", "open", "Cell", id="grid.open"),
    ]

    row: reactive[int] = reactive(0, repaint=False)

    class Moved(Message):
        """The cursor is on another cell, or the cells in sight are others."""

    class Opened(Message):
        """The cell under the cursor is wanted in full."""

    class LastWanted(Message):
        """Somebody wants the last row, and nobody knows yet which that is."""

    @dataclass
    class Shrunk(Message):
        was: int
        now: int

    @dataclass
    class Failed(Message):
        error: RhdeskError

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.window: TableWindow | None = None
        self.signs: Mapping[str, str] = {}
        """What stands behind a column's name: ``▼`` where the rows are in its order."""
        self._types: Mapping[str, str] = {}
        self._fields: list[Field | None] = []
        self._shown: list[int] = []
        self._frozen: tuple[str, ...] = ()
        self._at = 0
        self._left = 0
        self._direction = 0
        self._base = Style.null()
        self._measured = 0
        self._slots: tuple[object, list[Slot]] = ((), [])

    # ---- what a screen tells it

    def new_window(self, fetch: Fetch, columns: Sequence[str], total: int | None) -> TableWindow:
        """A window whose pages this grid reads; `show` shows it."""

        def start(key: Key) -> None:
            _: Worker[None] = self.run_worker(
                partial(window.read, key), group="pages", exit_on_error=False
            )

        def arrived(key: Key) -> None:
            if window is self.window:
                self._arrived(key)

        def failed(error: RhdeskError) -> None:
            if window is self.window:
                self.post_message(self.Failed(error))

        window = TableWindow(fetch, columns, total, start=start, arrived=arrived, failed=failed)
        return window

    def show(
        self,
        window: TableWindow,
        types: Mapping[str, str],
        *,
        row: int = 0,
        column: str = "",
        hidden: Sequence[str] = (),
        frozen: Sequence[str] = (),
    ) -> None:
        """Show other rows; what of them is in memory already is drawn at once.

        Args:
            types: Arrow's type of each column; one that is not told is known by its cells.
        """
        self.window = window
        self._types = types
        self._fields = [None] * len(window.columns)
        for key in {(row // PAGE, number // BLOCK) for number in range(len(window.columns))}:
            self._measure(key)
        self._left = 0
        self.set_columns(hidden=hidden, frozen=frozen)
        self.select_column(column)
        self._resize()
        self.go_to(row)

    def set_columns(self, *, hidden: Sequence[str], frozen: Sequence[str]) -> None:
        """Leave columns out, and keep some at the left whatever the others do."""
        if self.window is None:
            return
        names, here = self.window.columns, self.column
        front = [names.index(name) for name in frozen if name in names and name not in hidden]
        rest = [at for at, name in enumerate(names) if name not in hidden and at not in front]
        self._shown = [*front, *rest]
        self._frozen = tuple(names[at] for at in front)
        self._measured += 1
        self.select_column(here)

    def select_column(self, name: str) -> None:
        names = self.window.columns if self.window else ()
        at = names.index(name) if name in names else -1
        self._at = self._shown.index(at) if at in self._shown else min(
            self._at, max(len(self._shown) - 1, 0))  # fmt: skip
        self._reveal_column()
        self.refresh()

    def go_to(self, row: int) -> None:
        """Put the cursor on a row, near the middle if it was out of sight."""
        row = self._within(row)
        if row not in self.in_sight:
            self._scroll(row - self._height // 2)
        self._place(row)

    def now_rows(self, total: int) -> None:
        """So many rows there are, it has turned out."""
        if self.window is not None:
            self.window.total = total
            self._resize()
            self._place(self.row)
            self.refresh()

    def again(self) -> None:
        """Try to read again what could not be read."""
        if self.window is not None:
            self.window.forget_failures()
            self._want()

    # ---- what it tells a screen

    @property
    def column(self) -> str:
        """The column under the cursor."""
        if self.window is None or not self._shown:
            return ""
        return self.window.columns[self._shown[min(self._at, len(self._shown) - 1)]]

    @property
    def number(self) -> int:
        """The position of that column among those that are shown."""
        return self._at

    @property
    def columns(self) -> list[str]:
        """Those that are shown, as they stand."""
        return [self.window.columns[at] for at in self._shown] if self.window else []

    @property
    def value(self) -> Any:
        """The cell under the cursor, as far as it is kept, or `MISSING`."""
        return self.value_at(self.row, self.column)

    def value_at(self, row: int, column: str) -> Any:
        if self.window is None or column not in self.window.columns:
            return MISSING
        return self.window.cell(row, self.window.columns.index(column))

    @property
    def in_sight(self) -> range:
        top = self.scroll_offset.y
        rows = self.window.rows if self.window else 0
        return range(top, min(top + self._height, rows))

    # ---- keys

    def action_move(self, by: int) -> None:
        self._direction = by
        self._place(self.row + by)

    def action_page(self, by: int) -> None:
        self._direction = by
        self._scroll(self.scroll_offset.y + by * self._height)
        self._place(self.row + by * self._height)

    def action_edge(self, end: int) -> None:
        if self.window is None:
            return
        if end and self.window.total is None:
            self.post_message(self.LastWanted())
        else:
            self.go_to(self.window.rows - 1 if end else 0)

    def action_across(self, by: int) -> None:
        self._to_column(self._at + by)

    def action_side(self, end: int) -> None:
        self._to_column(len(self._shown) - 1 if end else 0)

    def action_open(self) -> None:
        self.post_message(self.Opened())

    def on_click(self, event: events.Click) -> None:
        row = self.scroll_offset.y + event.y - HEAD
        for slot in self._layout():
            if slot.x <= event.x < slot.x + slot.width:
                self._to_column(self._shown.index(slot.at))
        if event.y >= HEAD and row in self.in_sight:
            self._place(row)
            if event.chain > 1:
                self.action_open()

    def on_resize(self) -> None:
        self._resize()
        self._reveal_column()
        self._place(self.row)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._direction = 1 if new_value >= old_value else -1
        self._want()

    def _to_column(self, at: int) -> None:
        self._at = max(0, min(at, len(self._shown) - 1))
        self._reveal_column()
        self._want()
        self.refresh()
        self.post_message(self.Moved())

    # ---- drawing

    def render_lines(self, crop: Region) -> list[Strip]:
        self._base = self.rich_style  # once for all lines: Textual works it out anew every time
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        base = self._base
        row = self.scroll_offset.y + y - HEAD
        if self.window is None or (y >= HEAD and row >= self.window.rows):
            return Strip.blank(width, base)
        if y < HEAD:
            return self._head(y, width, base)
        return self._row(row, width, base)

    def _look(self, base: Style, name: str) -> Style:
        return base + self.get_component_rich_style(f"grid--{name}", partial=True)

    def _head(self, y: int, width: int, base: Style) -> Strip:
        segments = [Segment("  ", base)]
        plain = self._look(base, "type" if y else "head")
        for slot in self._layout():
            field = self._field(slot.at)
            if y:
                text = fit(short_type(field.type), slot.width)
                look = plain
            else:
                sign = self.signs.get(field.name, "")
                room = max(slot.width - cell_len(sign) - bool(sign), 1)
                text = fit(clean(field.name), room) + (f" {sign}" if sign else "")
                here = field.name == self.column
                look = self._look(base, "here") if here else plain
            text = fit(text, slot.width)
            space = " " * (slot.width - cell_len(text))
            segments.append(Segment(space + text if field.is_right else text + space, look))
            segments.append(Segment(self._gap(slot), self._look(base, "type")))
        return Strip(segments).adjust_cell_length(width, base)

    def _row(self, row: int, width: int, base: Style) -> Strip:
        here = row == self.row
        line = self._look(base, "cursor" if here else "row")
        quiet = self._look(line, "quiet")
        segments = [Segment("▌ " if here else "  ", line)]
        at = self._shown[self._at] if here and self._shown else -1
        for slot in self._layout():
            field = self._field(slot.at)
            value = self.window.cell(row, slot.at) if self.window else MISSING
            if value is MISSING:
                text, look = "…", quiet
            else:
                text, tone = shown(value, field)
                look = self._look(line, tone) if tone else line
            if cell_len(text) > slot.width:
                # A number that is cut would be another number.
                text = "#" * slot.width if field.is_right else fit(text, slot.width)
            if slot.at == at:
                look = self._look(line, "cell")
            space = " " * (slot.width - cell_len(text))
            segments.append(Segment(space + text if field.is_right else text + space, look))
            segments.append(Segment(self._gap(slot), self._look(line, "type")))
        return Strip(segments).adjust_cell_length(width, line)

    def _gap(self, slot: Slot) -> str:
        last_frozen = slot.is_frozen and self._field(slot.at).name == self._frozen[-1]
        return " │ " if last_frozen else _GAP

    # ---- which columns are on screen

    def _layout(self) -> list[Slot]:
        """The columns in sight, left to right: the frozen ones, then those from `_left` on."""
        width = self.scrollable_content_region.width
        key = (width, self._left, self._measured)
        if self._slots[0] != key:
            self._slots = (key, self._lay_out(self._left, width))
        return self._slots[1]

    def _lay_out(self, left: int, width: int) -> list[Slot]:
        slots: list[Slot] = []
        x = 2
        frozen = len(self._frozen)
        for position, index in enumerate(self._shown):
            if frozen <= position < frozen + left:
                continue
            room = width - x
            if room < 4 and slots:
                break
            wide = self._field(index).width
            slots.append(Slot(index, x, max(min(wide, room), 1), position < frozen))
            x += wide + (3 if position == frozen - 1 else len(_GAP))
        return slots

    def _reveal_column(self) -> None:
        """Scroll sideways as little as shows the column under the cursor whole."""
        width = self.scrollable_content_region.width
        position = self._at - len(self._frozen)
        if self.window is None or not self._shown or width < 4:
            return
        self._left = max(0, min(self._left, len(self._shown) - len(self._frozen) - 1))
        if position < 0:
            return
        self._left = min(self._left, position)
        index = self._shown[self._at]
        while self._left < position:
            slot = next((s for s in self._lay_out(self._left, width) if s.at == index), None)
            if slot is not None and slot.width >= self._field(index).width:
                return
            self._left += 1

    def _field(self, index: int) -> Field:
        field = self._fields[index]
        if field is None:
            name = self.window.columns[index] if self.window else ""
            told = self._types.get(name, "")
            field = self._fields[index] = field_of(name, told, kind_of(told), ())
        return field

    def _measure(self, key: Key) -> None:
        """Make columns as wide as a page of theirs needs; they never get narrower again."""
        page = self.window.page(key) if self.window else ()
        if self.window is None or not page:
            return
        self._measured += 1
        for at, cells in enumerate(zip(*page, strict=True)):
            index = key[1] * BLOCK + at
            name = self.window.columns[index]
            told = self._types.get(name, "")
            kind = kind_of(told) if told else kind_of_values(cells)
            found = field_of(name, told or ("" if kind == "nested" else kind), kind, cells)
            before = self._fields[index]
            if before is not None:
                found = found._replace(
                    width=max(found.width, before.width),
                    decimals=max(found.decimals, before.decimals),
                )
            self._fields[index] = found

    # ---- moving and reading

    @property
    def _height(self) -> int:
        return max(self.scrollable_content_region.height - HEAD, 1)

    def _within(self, row: int) -> int:
        rows = self.window.rows if self.window else 0
        return max(0, min(row, rows - 1))

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=max(top, 0), animate=False, immediate=True)

    def _place(self, row: int) -> None:
        before, self.row = self.row, self._within(row)
        top = self.scroll_offset.y
        if self.row < top:
            self._scroll(self.row)
        elif self.row >= top + self._height:
            self._scroll(self.row - self._height + 1)
        if top == self.scroll_offset.y:
            for changed in {before, self.row}:
                self.refresh(Region(0, changed - top + HEAD, self.size.width, 1))
        self._want()
        self.post_message(self.Moved())

    def _resize(self) -> None:
        rows = self.window.rows if self.window else 0
        self.virtual_size = Size(self.scrollable_content_region.width, rows + HEAD)

    def _want(self) -> None:
        if self.window is not None and self.in_sight:
            columns = [slot.at for slot in self._layout()]
            self.window.want(self.in_sight, columns, ahead=self._direction)

    def _arrived(self, key: Key) -> None:
        window = self.window
        if window is None:
            return
        self._measure(key)
        self._resize()
        if window.shrunk_from is not None and window.total is not None:
            self.post_message(self.Shrunk(window.shrunk_from, window.total))
            window.shrunk_from = None
        if self.row >= window.rows:
            self._place(window.rows - 1)
        self.refresh()
        self.post_message(self.Moved())


def nearby(grid: TableGrid, column: str, most: int = 120) -> list[float]:
    """The numbers of a column in the rows about the cursor that are in memory, top to bottom."""
    start = max(grid.row - most // 2, 0)
    found = (grid.value_at(row, column) for row in range(start, start + most))
    return [float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
