"""A log of any length: holds a window of lines, draws the ones on screen, follows the end."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import ClassVar, Final, Literal

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.worker import Worker, WorkerCancelled, WorkerFailed

from rhdesk.errors import RhdeskError
from rhdesk.models import LogLine
from rhdesk_tui.widgets.log_window import Fetch, LogWindow, ShownLine
from rhdesk_tui.wording import clock, duration

Stamps = Literal["off", "clock", "since"]
_NEXT_STAMPS: Final[dict[Stamps, Stamps]] = {"off": "clock", "clock": "since", "since": "off"}
_MOST_ROWS: Final = 40
"""Rows one wrapped line may fill; more of it is counted, not shown."""
_SHIFT: Final = 16


class LogView(ScrollView, can_focus=True):
    """Lines by number. A cursor line marks where searches start and what is copied.

    While `following`, the view keeps to the newest line; moving up freezes it exactly where it
    is, and new lines are only counted until End is pressed.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--gutter",
        "log--stderr",
        "log--debug",
        "log--info",
        "log--warning",
        "log--error",
        "log--cursor",
        "log--selected",
        "log--hit",
        "log--note",
    }
    DEFAULT_CSS = """
    LogView {
        overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1;
        & > .log--gutter { color: $quiet; }
        & > .log--stderr { color: $warning; text-style: bold; }
        & > .log--debug { color: $quiet; }
        & > .log--info { color: $foreground; }
        & > .log--warning { color: $warning; }
        & > .log--error { color: $error; text-style: bold; }
        & > .log--cursor { background: $row-blur; }
        &:focus > .log--cursor { background: $row; }
        & > .log--selected { background: $primary 25%; }
        & > .log--hit { background: $accent; color: $background; }
        & > .log--note { color: $quiet; text-style: italic; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", id="log.down", show=False),
        Binding("up,k", "move(-1)", "Up", id="log.up", show=False),
        Binding("pagedown", "page(1)", "Page down", id="log.page_down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="log.page_up", show=False),
        Binding("home,g", "first", "First line", id="log.first", show=False),
        Binding("G,end", "follow", "Follow", id="log.follow"),
        Binding("left", "shift(-1)", "Left", id="log.left", show=False),
        Binding("right", "shift(1)", "Right", id="log.right", show=False),
        Binding("w", "wrap", "Wrap", id="log.wrap"),
        Binding("t", "stamps", "Times", id="log.stamps"),
        Binding("v", "mark", "Select", id="log.select", show=False),
    ]

    following: reactive[bool] = reactive(True, repaint=False)
    wrapping: reactive[bool] = reactive(False)
    stamps: reactive[Stamps] = reactive[Stamps]("off")
    cursor: reactive[int] = reactive(0)
    mark: reactive[int | None] = reactive[int | None](None)
    needle: reactive[str] = reactive("")
    shift: reactive[int] = reactive(0)

    class Changed(Message):
        """What the view says about itself (cursor, following, counts) is not what it was."""

    def __init__(self, fetch: Fetch, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.window = LogWindow(fetch)
        self._seen = 0
        self._began: float | None = None
        self._spread: tuple[object, list[tuple[int, int]]] = ((), [])
        self._settling = False

    # ---- what a screen tells it

    async def open(self, total: int) -> None:
        """Show the end of a log of *total* lines; only its last page is read."""
        self.window.total = total
        await self._settle_at_end()
        if total:
            await self.window.load(0, 1)
            first = self.window.line(0)
            self._began = first.at if first else None
        self.refresh()

    def extend(self, lines: Iterable[LogLine], total: int) -> None:
        """Take in lines that were just printed."""
        lines = list(lines)
        if self._began is None and lines and lines[0].seq == 0:
            self._began = lines[0].at
        self.window.extend(lines, total)
        self._resize_log()
        if self.following:
            height = self._height
            if self.window.has(self.total - height, self.total):
                self._to_end()
            else:
                self.call_later(self._settle_at_end)
        self.post_message(self.Changed())

    async def go_to(self, seq: int) -> None:
        """Put the cursor on a line, near the middle if it was out of sight."""
        self.following = False
        seq = max(0, min(seq, self.total - 1))
        if not self._in_sight(seq):
            top = max(seq - self._height // 2, 0)
            await self._load(top, top + self._height)
            self._scroll(min(top, self._last_top()))
        self.cursor = seq
        await self._reveal()

    # ---- what it tells a screen

    @property
    def total(self) -> int:
        return self.window.total

    @property
    def unseen(self) -> int:
        """Lines that were printed since the view stopped following."""
        return 0 if self.following else max(self.total - self._seen, 0)

    @property
    def selected(self) -> range:
        """The selected lines, or the one under the cursor."""
        if not self.total:
            return range(0)
        other = self.cursor if self.mark is None else self.mark
        return range(min(self.cursor, other), max(self.cursor, other) + 1)

    # ---- keys

    async def action_move(self, by: int) -> None:
        self._leave_end(by)
        if not self._in_sight(self.cursor):
            visible = self._visible()
            self.cursor = visible[0] if visible else self.cursor
        self.cursor = max(0, min(self.cursor + by, self.total - 1))
        await self._reveal()

    async def action_page(self, by: int) -> None:
        self._leave_end(by)
        step = max(len(self._visible()) - 1, 1)
        offset = self.cursor - self._top
        top = max(0, min(self._top + by * step, self._last_top() if by > 0 else self.total))
        await self._load(top, top + self._height)
        self._scroll(top)
        reach = max(offset, 0) if top != self._top + by * step else offset
        target = top + reach if 0 < top < self._last_top() else self.cursor + by * step
        self.cursor = max(0, min(target, self.total - 1))
        await self._reveal()

    async def action_first(self) -> None:
        self._leave_end(-1)
        await self.go_to(0)

    async def action_follow(self) -> None:
        self.following = True
        self.mark = None
        await self._settle_at_end()

    def action_shift(self, by: int) -> None:
        self.shift = max(0, self.shift + by * _SHIFT)

    async def action_wrap(self) -> None:
        self.wrapping = not self.wrapping
        self.shift = 0
        self._resize_log()
        if self.following:
            await self._settle_at_end()
        else:
            await self._reveal()

    def action_stamps(self) -> None:
        self.stamps = _NEXT_STAMPS[self.stamps]

    def action_mark(self) -> None:
        """Start selecting at the cursor, or stop."""
        self.mark = self.cursor if self.mark is None else None

    def on_click(self, event: events.Click) -> None:
        spread = self._layout()
        if event.y < len(spread):
            self._leave_end(-1)
            self.cursor = spread[event.y][0]

    # ---- drawing

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        spread = self._layout()
        base = self.rich_style
        if y >= len(spread):
            return Strip.blank(width, base)
        seq, row = spread[y]
        look = base
        if seq in self.selected and self.mark is not None:
            look += self.get_component_rich_style("log--selected", partial=True)
        if seq == self.cursor:
            look += self.get_component_rich_style("log--cursor", partial=True)
        line = self.window.line(seq)
        gutter = self._gutter(seq, line, row, look)
        if line is None:
            note = look + self.get_component_rich_style("log--note", partial=True)
            return Strip([*gutter, Segment("…", note)]).adjust_cell_length(width, look)
        room = max(width - self._gutter_width, 1)
        text, more = self._part(line, row, room)
        words = look
        if line.level:
            words += self.get_component_rich_style(f"log--{line.level}", partial=True)
        strip = Strip([*gutter, *self._hits(text, words)])
        if more:
            note = look + self.get_component_rich_style("log--note", partial=True)
            strip = Strip([*strip.crop(0, max(width - cell_len(more), 0)), Segment(more, note)])
        return strip.adjust_cell_length(width, look)

    def _part(self, line: ShownLine, row: int, room: int) -> tuple[str, str]:
        """The text of one row of a line, and what to say about the part that is not shown."""
        if not self.wrapping:
            text = line.text[self.shift :]
            if len(text) <= room // 2 or cell_len(text[: room + 1]) <= room:
                return text, ""
            hidden = len(text) - room + line.cut
            return text[:room], f" … +{hidden:,}" if hidden > 200 else "…"
        pieces = self._pieces(line, room)
        hidden = len(line.text) - sum(map(len, pieces[: row + 1])) + line.cut
        if not hidden or row < self._rows_of(line.seq) - 1:
            return pieces[row], ""
        return pieces[row], f" … +{hidden:,} characters, y copies them"

    def _pieces(self, line: ShownLine, room: int) -> list[str]:
        if len(line.text) <= room and cell_len(line.text) <= room:
            return [line.text]
        return chop_cells(line.text[: room * (_MOST_ROWS + 1)], room)

    def _gutter(self, seq: int, line: ShownLine | None, row: int, look: Style) -> list[Segment]:
        quiet = look + self.get_component_rich_style("log--gutter", partial=True)
        mark = "▌" if seq == self.cursor else " "
        digits = len(f"{max(self.total, 1):,}")
        number = f"{seq + 1:,}".rjust(digits) if row == 0 else " " * digits
        stamp = ""
        if self.stamps != "off":
            wide = 12 if self.stamps == "clock" else 7
            stamp = "".ljust(wide)
            if line is not None and row == 0:
                stamp = (
                    clock(line.at)
                    if self.stamps == "clock"
                    else f"+{duration(line.at - (self._began or line.at))}".rjust(wide)
                )
            stamp += " "
        segments = [Segment(f"{mark}{number} {stamp}", quiet)]
        if line is not None and line.is_stderr:
            loud = look + self.get_component_rich_style("log--stderr", partial=True)
            segments.append(Segment("» ", loud))
        else:
            segments.append(Segment("│ ", quiet))
        return segments

    @property
    def _gutter_width(self) -> int:
        stamp = {"off": 0, "clock": 13, "since": 8}[self.stamps]
        return 1 + len(f"{max(self.total, 1):,}") + 1 + stamp + 2

    def _hits(self, text: str, look: Style) -> list[Segment]:
        needle = self.needle.lower()
        lowered = text.lower()
        if not needle or len(lowered) != len(text) or needle not in lowered:
            return [Segment(text, look)]
        hit = look + self.get_component_rich_style("log--hit", partial=True)
        segments: list[Segment] = []
        at = 0
        while (found := lowered.find(needle, at)) >= 0:
            segments.append(Segment(text[at:found], look))
            at = found + len(needle)
            segments.append(Segment(text[found:at], hit))
        segments.append(Segment(text[at:], look))
        return segments

    # ---- which lines are on screen

    @property
    def _height(self) -> int:
        return max(self.scrollable_content_region.height, 1)

    @property
    def _top(self) -> int:
        return self.scroll_offset.y

    def _rows_of(self, seq: int) -> int:
        """Screen rows a line fills."""
        line = self.window.line(seq) if self.wrapping else None
        if line is None:
            return 1
        room = max(self.scrollable_content_region.width - self._gutter_width, 1)
        return min(len(self._pieces(line, room)), _MOST_ROWS, max(self._height - 1, 1))

    def _layout(self) -> list[tuple[int, int]]:
        """For each screen row: which line, and which row of it."""
        region = self.scrollable_content_region
        key = (self._top, region.size, self.total, self.wrapping, self.stamps, self.window.fetched)
        if self._spread[0] != key:
            rows: list[tuple[int, int]] = []
            seq = self._top
            while len(rows) < region.height and seq < self.total:
                rows += [(seq, row) for row in range(self._rows_of(seq))]
                seq += 1
            self._spread = (key, rows[: region.height])
        return self._spread[1]

    def _visible(self) -> list[int]:
        """Lines that are wholly on screen."""
        rows = self._layout()
        whole = [seq for seq, row in rows if row == self._rows_of(seq) - 1]
        return whole or [seq for seq, _ in rows[:1]]

    def _in_sight(self, seq: int) -> bool:
        visible = self._visible()
        return bool(visible) and visible[0] <= seq <= visible[-1]

    def _top_above(self, seq: int) -> int:
        """The top line that leaves *seq* wholly visible in the last rows."""
        if not self.wrapping:
            return max(seq - self._height + 1, 0)
        room = self._height
        top = seq + 1
        while top > 0 and (room := room - self._rows_of(top - 1)) >= 0:
            top -= 1
        return max(0, min(top, seq))

    def _last_top(self) -> int:
        return self._top_above(self.total - 1) if self.total else 0

    # ---- moving

    def _leave_end(self, by: int) -> None:
        if by < 0 and self.following:
            self.following = False

    def watch_following(self, following: bool) -> None:
        self._seen = self.total
        self.post_message(self.Changed())

    def watch_cursor(self) -> None:
        self.post_message(self.Changed())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._settling:
            if new_value < old_value and new_value < self.max_scroll_y:
                self._leave_end(-1)  # and not: the screen has grown, so that more lines fit
            self._fetch_sight()

    def on_resize(self) -> None:
        self._resize_log()
        if self.following:
            self._to_end()
            self.call_after_refresh(self._keep_to_end)
        self._fetch_sight()

    def _scroll(self, top: int) -> None:
        self._settling = True
        self.scroll_to(y=top, animate=False, immediate=True)
        self._settling = False

    def _to_end(self) -> None:
        self._resize_log()
        self._scroll(self._last_top())
        self.cursor = max(self.total - 1, 0)
        self.refresh()

    def _keep_to_end(self) -> None:
        """A pane that opens beside the log takes its rows a frame later than it says so."""
        if self.following and self._top != self._last_top():
            self._to_end()

    async def _settle_at_end(self) -> None:
        height = self._height
        await self._load(self.total - height, self.total)
        if self.following:
            self._to_end()

    async def _reveal(self) -> None:
        """Scroll as little as shows the line under the cursor."""
        near = self.cursor - self._height
        await self._load(near, self.cursor + self._height)
        if self.cursor < self._top:
            self._scroll(self.cursor)
        elif not self._in_sight(self.cursor):
            self._resize_log()
            self._scroll(max(self._top_above(self.cursor), self._top))
        self.refresh()

    def _resize_log(self) -> None:
        """Tell the scrollbar how long the log is; wrapped, the last page holds fewer lines."""
        height = self._height
        rows = self._last_top() + height if self.wrapping else self.total
        self.virtual_size = Size(self.scrollable_content_region.width, rows)

    def _fetch_sight(self) -> None:
        start, stop = self._top, self._top + self._height
        if not self.window.has(start, stop):
            _: Worker[None] = self.run_worker(
                self._load_sight, group="sight", exclusive=True, exit_on_error=False
            )

    async def _load_sight(self) -> None:
        await self.window.load(self._top, self._top + self._height)
        self.refresh()

    async def _load(self, start: int, stop: int) -> None:
        """Bring lines in before the view moves to them, so that it never flickers."""
        if self.window.has(start, stop):
            return
        worker: Worker[None] = self.run_worker(
            partial(self.window.load, start, stop), group="move", exit_on_error=False
        )
        try:
            await worker.wait()
        except (WorkerFailed, WorkerCancelled) as exc:
            cause = exc.__cause__ or getattr(exc, "error", None)
            if not isinstance(cause, RhdeskError):
                raise
            self.notify(str(cause), severity="error", markup=False)
