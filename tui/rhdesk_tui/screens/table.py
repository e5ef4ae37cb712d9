"""A table of any size: its rows, what is known of its columns, and what is asked of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from rhdesk.errors import BadInput
from rhdesk.foreign import clean
from rhdesk.models import Step, StepState, TableInfo
from rhdesk_tui import table_cards
from rhdesk_tui.cards import Card
from rhdesk_tui.messages import BeginJob, OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.table_cells import Cut, as_text
from rhdesk_tui.table_reader import MOST_ANSWERED, TableReader
from rhdesk_tui.table_view import (
    Place,
    TableSource,
    TableView,
    as_cli,
    as_python,
    parse,
    row_number,
    spell,
)  # fmt: skip
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.widgets.table_grid import TableGrid, nearby
from rhdesk_tui.widgets.table_window import MISSING, PAGE
from rhdesk_tui.wording import Saying, as_json, count, many, size
from rhdesk_tui.workplace import Workplace

_SETTLED_S: Final = 0.15
"""The pane beside the rows follows the cursor once it rests so long."""


class TableScreen(Page):
    CSS_PATH = "table.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort(0)", "Sort", id="table.sort"),
        Binding("S", "sort(1)", "Largest first", id="table.sort_down", show=False),
        Binding("f", "where", "Filter", id="table.where"),
        Binding("slash", "filter", "Conditions", id="table.filter", key_display="/", show=False,
                priority=True),
        Binding("semicolon", "sql", "SQL", id="table.sql", key_display=";"),
        Binding("at", "jump", "Row", id="table.jump", key_display="@", priority=True),
        Binding("exclamation_mark", "freeze", "Freeze", id="table.freeze", key_display="!"),
        Binding("minus", "hide", "Hide", id="table.hide", key_display="-"),
        Binding("equals_sign", "unhide", "Show all columns", id="table.unhide", show=False,
                key_display="="),
        Binding("v", "row", "Whole row", id="table.row", show=False),
        Binding("D", "schema", "Schema", id="table.schema"),
        Binding("y", "copy", "Copy", id="table.copy"),
        Binding("ctrl+s,E", "export", "Export", id="table.export", key_display="E"),
        Binding("z", "undo", "Undo", id="table.undo"),
        Binding("p", "profile", "Histogram", id="table.profile"),
        Binding("R", "again", "Read again", id="table.again", show=False),
    ]  # fmt: skip

    def __init__(self, workplace: Workplace, source: TableSource) -> None:
        super().__init__(workplace)
        self.source = source
        self.reader = TableReader(workplace.desk, source)
        self._was = workplace.tables.setdefault(source.title, Place())
        self._busy = ""
        self._rest: Timer | None = None
        self._told = ""

    def compose_body(self) -> ComposeResult:
        with Container(id="halves"):
            with Vertical(id="rows", classes="pane"):
                yield TableGrid()
                yield Static(id="note")
                yield Static(id="foot")
            with VerticalScroll(id="aside", classes="pane"):
                yield CardView()

    @property
    def info(self) -> TableInfo | None:
        return self.reader.info

    @property
    def grid(self) -> TableGrid:
        return self.query_one(TableGrid)

    def path(self) -> tuple[str, ...]:
        return ("Table", self.source.title)

    def truth(self) -> tuple[Saying, ...]:
        info = self.info
        if info is None:
            return ()
        rows = "? rows" if info.rows is None else many(info.rows, "row")
        said = f"{rows}, {many(len(info.columns), 'column')}"
        return (Saying(said, "strong"), Saying(f"{size(info.size_bytes)} {info.format}", "quiet"))

    def on_mount(self) -> None:
        self.grid.focus()
        self.set_class(self._was.aside != "column", "-deep")
        self.action_again()

    def _remember(self) -> None:
        if self.grid.window is not None:
            self._was.view, self._was.row, self._was.column = (
                self.reader.view, self.grid.row, self.grid.column,
            )  # fmt: skip

    # ---- reading

    def action_again(self) -> None:
        """Read it again from the start: files may have come or gone."""
        self._told = ""
        self._say_busy("reading")
        self.begin(self._open, "open")

    async def _open(self) -> None:
        try:
            await self.reader.look()
            await self._go_back_to(self._was)
        finally:
            self._say_busy("")

    async def _go_back_to(self, was: Place) -> None:
        """Look at what was looked at; if that cannot be any more, at all rows."""
        row, column = was.row, was.column
        try:
            await self._switch(was.view, row=row, column=column)
        except BadInput as exc:
            if was.view == TableView():
                raise
            self.complain(str(exc))
            was.past.clear()
            await self._switch(TableView(), row=row, column=column)

    async def _switch(self, view: TableView, *, row: int = 0, column: str = "") -> None:
        """Look at other rows; those that are shown stay until the first of the others are here."""
        found = await self.reader.rows_of(view)
        was, total = self._was, found.total
        window = self.grid.new_window(found.fetch, found.columns, total)
        row = max(0, min(row, total - 1)) if total is not None else row
        await window.load((row // PAGE, 0))
        if window.total is not None and row >= window.total:
            row = max(window.total - 1, 0)
            await window.load((row // PAGE, 0))
        self.reader.use(found)
        self.grid.signs = self._signs()
        self.grid.show(
            window, self.reader.types, row=row, column=column or self.grid.column,
            hidden=was.hidden, frozen=was.frozen,
        )  # fmt: skip
        self._dress()
        if window.total is None:
            self.begin(partial(self._count, view), "count")

    def _signs(self) -> dict[str, str]:
        signs = {name: "◆" for name, _, _ in self.reader.view.where}
        if self.reader.view.order:
            name, descending = self.reader.view.order
            signs[name] = signs.get(name, "") + ("▼" if descending else "▲")
        return signs

    async def _count(self, view: TableView) -> None:
        total = await self.reader.count(view)
        if view == self.reader.view and self.grid.window is not None:
            self.grid.now_rows(total)
            self._dress()

    @on(TableGrid.LastWanted)
    def _to_last(self) -> None:
        self.begin(self._go_last, "last")

    async def _go_last(self) -> None:
        self._say_busy("counting the rows")
        try:
            await self._count(self.reader.view)
            if self.grid.window is not None and self.grid.window.total is not None:
                self.grid.go_to(self.grid.window.total - 1)
        finally:
            self._say_busy("")

    @on(TableGrid.Failed)
    def _failed(self, event: TableGrid.Failed) -> None:
        """Say it once: each page of a table that is gone fails the same way."""
        if (text := str(event.error)) != self._told:
            self._told = text
            self.complain(f"{text} (R reads it again; what is on screen is what was read)")

    @on(TableGrid.Shrunk)
    def _shrunk(self, event: TableGrid.Shrunk) -> None:
        self.complain(
            f"the table has {many(event.now, 'row')} now, and had {count(event.was)}: somebody "
            "writes in it; R reads it again",
            warning=True,
        )

    # ---- drawing

    def complain(self, text: str, *, warning: bool = False) -> None:
        super().complain(text, warning=warning)
        self._say_busy("")

    def _say_busy(self, what: str) -> None:
        self._busy = what
        if self.is_mounted:
            self._dress()

    @on(TableGrid.Moved)
    def _moved(self) -> None:
        self._remember()
        self._dress_foot()
        if self._rest is None:
            self._rest = self.set_timer(_SETTLED_S, self._rested)
        else:
            self._rest.reset()

    def _rested(self) -> None:
        self._rest = None
        self.begin(self._describe, "aside")

    def _dress(self) -> None:
        pane, note, grid = self.query_one("#rows"), self.query_one("#note", Static), self.grid
        parts = [f"◐ {self._busy}…"] if self._busy else []
        parts += [clean(chip) for chip in self.reader.view.chips]
        if not parts:
            parts = ["Rows"]
        elif self._was.past:
            parts.append("z goes back")
        pane.border_title = Content(" · ".join(parts))
        window = grid.window
        empty = window is None or not window.rows
        grid.display = not empty
        note.display = empty
        if self._busy and window is None:
            note.update("◐ reading the first rows…")
        elif window is None:
            note.update("Nothing could be read here.\n\nR tries again, q goes back")
        elif empty:
            said = "No row is like that." if self.reader.view.chips else "This table has no rows."
            note.update(f"{said}\n\nz goes back to the rows before" if self._was.past else said)
        if not empty and self.focused is None and not self.bar.is_open:
            grid.focus()
        self._dress_foot()
        self.refresh_bar()
        self.refresh_bindings()

    def _dress_foot(self) -> None:
        grid, window = self.grid, self.grid.window
        if window is None:
            return
        of = f"of {count(window.rows)}" if window.total is not None else "of more"
        said = [f"row {count(grid.row + 1)} {of}"] if window.rows else ["no rows"]
        if (window.total is not None and self.reader.view.where and self.info is not None
                and self.info.rows is not None):  # fmt: skip
            said[-1] += f" ({count(self.info.rows)} in all)"
        if self.reader.view.sql and window.total == MOST_ANSWERED:
            said.append("more are not shown")
        said.append(f"col {grid.number + 1}/{len(grid.columns)}")
        if self._was.hidden:
            said.append(f"{len(self._was.hidden)} hidden")
        # Not the border's subtitle: with that all of the pane would be drawn again on every key.
        self.query_one("#foot", Static).update(Content(" · ".join(said)), layout=False)

    # ---- the pane beside

    async def _describe(self) -> None:
        grid = self.grid
        if grid.window is None or self.info is None:
            return
        name, title = grid.column, {"schema": "Schema", "row": "Row", "cell": "Cell"}
        pane = self.query_one("#aside")
        pane.border_title = Content(title.get(self._was.aside) or clean(name))
        pane.border_subtitle = "Esc closes" if self._was.aside != "column" else "Enter unfolds"
        self.query_one(CardView).show(await self._card(name))
        if self._was.aside == "column" and await self.reader.read_profile_unasked(name):
            self.query_one(CardView).show(await self._card(grid.column))

    async def _card(self, name: str) -> Card:
        info, grid = self.info, self.grid
        if info is None:
            return Card()
        match self._was.aside:
            case "schema":
                return table_cards.schema_card(info, name, self._was.hidden)
            case "row":
                return table_cards.row_card(grid.row, self._cells())
            case "cell":
                value = await self._value()
                told = self.reader.column(name).type
                return table_cards.cell_card(name, told, grid.row, value, self._aside_width)
            case _:
                return self._column_card(name)

    @property
    def _aside_width(self) -> int:
        return max(self.query_one("#aside").scrollable_content_region.width - 2, 20)

    def _column_card(self, name: str) -> Card:
        reader = self.reader
        near = nearby(self.grid, name)
        draw = table_cards.column_card if self.has_class("-wide") else table_cards.column_line
        return draw(
            reader.column(name), near, reader.rows, self._aside_width, reader.profile_of(name)
        )

    def _cells(self) -> dict[str, Any]:
        """The row under the cursor, as far as it is kept."""
        cells = {name: self.grid.value_at(self.grid.row, name) for name in self.grid.columns}
        return {name: value for name, value in cells.items() if value is not MISSING}

    async def _value(self) -> Any:
        """The cell under the cursor, in full."""
        value = self.grid.value
        if not isinstance(value, Cut) and value is not MISSING:
            return value
        return await self.reader.cell(self.grid.row, self.grid.column)

    def _show_aside(self, what: str) -> None:
        """Tell something else beside the rows; the same again closes it."""
        self._was.aside = "column" if self._was.aside == what else what
        self.set_class(self._was.aside != "column", "-deep")
        self.query_one("#aside", VerticalScroll).scroll_home(animate=False)
        self.begin(self._describe, "aside")
        self.call_after_refresh(self.grid.on_resize)

    def action_profile(self) -> None:
        """Read the column under the cursor, and show how its values are spread."""
        if self._was.aside != "column":
            self._show_aside(self._was.aside)
        self.begin(partial(self._profile, self.grid.column), "profile")

    async def _profile(self, name: str) -> None:
        self.query_one("#aside").border_subtitle = "◐ reading the column…"
        try:
            await self.reader.read_profile(name)
        finally:
            if self.is_mounted:
                self.begin(self._describe, "aside")

    @on(TableGrid.Opened)
    def _cell_opened(self) -> None:
        self._show_aside("cell")

    def action_row(self) -> None:
        self._show_aside("row")

    def action_schema(self) -> None:
        self._show_aside("schema")

    # ---- other rows

    def _change(self, view: TableView, what: str, *, undo: bool = True) -> None:
        """Show another view once its first rows are here; what is shown stays until then."""
        before = self.reader.view

        async def work() -> None:
            self._say_busy(what)
            try:
                await self._switch(view)
                if undo:
                    self._was.past.append(before)
                else:
                    self._was.past.pop()
            finally:
                self._say_busy("")

        self.begin(work, "open")

    def action_sort(self, descending: int) -> None:
        """In the order of the column under the cursor; the same again leaves it as it is."""
        base = TableView() if self.reader.view.sql else self.reader.view
        order = (self.grid.column, bool(descending))
        if (
            view := replace(base, order=None if base.order == order else order)
        ) != self.reader.view:
            self._change(view, f"sorting by {clean(order[0])}")

    def action_where(self) -> None:
        note = "== != < <= > >= in   several with and   Enter filters"
        self.ask("where", text=f"{self.grid.column} ", note=note)

    def action_filter(self) -> None:
        said = " and ".join(map(spell, self.reader.view.where))
        self.ask("/", text=said, note="every condition   empty shows all rows")

    def action_sql(self) -> None:
        self.ask("sql", text=self.reader.view.sql, note="the table is t   Enter asks")

    def action_jump(self) -> None:
        self.ask("@", note="a row, or 50%")

    def action_undo(self) -> None:
        if self._was.past:
            self._change(self._was.past[-1], "going back", undo=False)

    def entered(self, sign: str, text: str) -> None:
        window = self.grid.window
        if sign in {"@", ":"} and text:
            row = row_number(text, window.total if window else None)
            if row is not None:
                self.grid.go_to(row)
            elif sign == "@":
                self.complain(f"{text!r} is no row; one looks like 812004, or 50%", warning=True)
            else:
                super().entered(sign, text)
        elif sign in {"where", "/"}:
            self.begin(partial(self._filter, sign, text.strip()), "typed")
        elif sign == "sql":
            if text:
                self._change(TableView(sql=text), "asking")
        elif sign == "export to" and text:
            self._export(text)

    async def _filter(self, sign: str, text: str) -> None:
        found = parse(text, self.reader.names) if text else ()
        base = TableView() if self.reader.view.sql else self.reader.view
        kept = base.where if sign == "where" else ()
        if (view := replace(base, where=(*kept, *found))) != self.reader.view:
            self._change(view, "filtering")

    # ---- other columns

    def action_freeze(self) -> None:
        """Keep the column at the left, or let it go."""
        name, was = self.grid.column, self._was
        frozen = [each for each in was.frozen if each != name]
        was.frozen = tuple(frozen) if name in was.frozen else (*was.frozen, name)
        self._arrange(name)

    def action_hide(self) -> None:
        if len(self.grid.columns) > 1:
            self._was.hidden = (*self._was.hidden, self.grid.column)
            self._arrange("")

    def action_unhide(self) -> None:
        self._was.hidden = ()
        self._arrange(self.grid.column)

    def _arrange(self, column: str) -> None:
        self.grid.set_columns(hidden=self._was.hidden, frozen=self._was.frozen)
        self.grid.select_column(column)
        self._dress()
        self._moved()

    # ---- taking away

    def action_copy(self) -> None:
        self.begin(self._offer, "copy")

    async def _offer(self) -> None:
        """Offer the cell and the row as they are in the table, not as they are drawn."""
        names = self.grid.columns
        cells = self._cells()
        if len(cells) < len(names) or any(isinstance(each, Cut) for each in cells.values()):
            cells = await self.reader.row(self.grid.row, names)
        here = self.grid.column
        spellings = [
            Spelling("cell", as_text(cells.get(here))),
            Spelling("row as JSON", as_json(cells)),
            Spelling("row as TSV", "\t".join(_on_one_line(each) for each in cells.values())),
            Spelling("column name", here),
        ]
        if said := as_cli(self.source, self.reader.view, self.grid.row):
            spellings.append(Spelling("as CLI", said))
        spellings.append(Spelling("as Python", as_python(self.source, self.reader.view)))
        self.post_message(OfferCopies(spellings))

    def action_export(self) -> None:
        stem = Path(self.source.title.rstrip("/").rpartition("/")[2]).stem
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in stem).strip("-.")
        where = Path.cwd() / f"{safe or 'table'}.csv"
        self.ask("export to", text=str(where), note=".csv .parquet .jsonl   Enter writes")

    def _export(self, file: str) -> None:
        """Write the rows that pass, with the columns that are shown, as a job of the app."""
        if self.reader.view.sql:
            self.complain("an answer to SQL is not exported; z goes back to rows that are",
                          warning=True)  # fmt: skip
            return
        source, view, names = self.source, self.reader.view, self.grid.columns
        words = ["data", "export", source.place, file]
        for condition in view.where:
            words += ["--where", spell(condition)]
        what = f"export {source.title} to {file}"

        async def steps() -> AsyncGenerator[Step]:
            yield Step(what=what, state=StepState.STARTED)
            done = await self.desk.export_table(
                source.place, file, columns=names, where=view.where, options=source.options
            )
            yield Step(what=what, state=StepState.DONE, detail=f"{many(done.rows, 'row')} written")

        self.post_message(BeginJob(what, cli(*words), steps))

    # ---- leaving

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "undo":
            return bool(self._was.past)
        if action in {"profile", "sort", "export"}:
            return self.info is not None and self.reader.answer is None
        if action in {"where", "sql", "copy", "freeze", "hide", "row", "schema"}:
            return self.info is not None and super().check_action(action, parameters)
        return super().check_action(action, parameters)

    def action_back(self) -> None:
        if self._busy and self.grid.window is not None:
            for group in ("open", "last"):
                self.workers.cancel_group(self, group)
        elif self._was.aside != "column":
            self._show_aside(self._was.aside)
            self.grid.focus()
        else:
            super().action_back()


def _on_one_line(value: Any) -> str:
    return as_text(value).replace("\t", " ").replace("\n", " ")
