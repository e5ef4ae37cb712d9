"""Why a resource exists, and what breaks without it: runs and what they read and wrote."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from rhdesk.foreign import clean
from rhdesk.models import Branch, Lineage
from rhdesk_tui.filtering import Filter
from rhdesk_tui.messages import OfferCopies, ShowHistory, ShowRun
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.resource_list import Cell, Column, Listed, ResourceList, Row
from rhdesk_tui.wording import age, many
from rhdesk_tui.workplace import Workplace

_COLUMNS = (
    Column("STEP", 30, flex=True), Column("VERSION", 8, keep=4), Column("RUN", 8, keep=3),
    Column("WHEN", 5, right=True, keep=5), Column("TOLD BY", 8, keep=1),
)  # fmt: skip


class LineageScreen(Page):
    CSS_PATH = "lineage.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "turn", "Up or down", id="lineage.turn", key_display="tab", priority=True),
        Binding("h", "history", "History", id="lineage.history"),
        Binding("y", "copy", "Copy", id="lineage.copy"),
    ]

    def __init__(self, workplace: Workplace, name: str, *, down: bool = False) -> None:
        super().__init__(workplace)
        self._resource = name
        self._is_down = down
        self._branches: list[Branch] = []

    def compose_body(self) -> ComposeResult:
        with Vertical(id="tree", classes="pane"):
            yield ResourceList()
            yield Static("◐ reading the record…", id="note")

    def path(self) -> tuple[str, ...]:
        return ("Lineage", self._resource, "what came of it" if self._is_down else "where from")

    def on_mount(self) -> None:
        self.query_one(ResourceList).focus()
        self.begin(self._read, "read")

    async def _read(self) -> None:
        ask = self.desk.dependents if self._is_down else self.desk.lineage
        found = await ask(self._resource)
        self._branches = list(found.branches())
        rows = Listed(list(enumerate(self._branches)), self._row, lambda pair: str(pair[0]))
        listing = self.query_one(ResourceList)
        listing.show(_COLUMNS, rows, shown=Filter(""))
        listing.display = bool(self._branches)
        note = self.query_one("#note", Static)
        note.display = not self._branches
        note.update(self._nothing(found))
        pane = self.query_one("#tree")
        pane.border_title = Content(
            f"what came of {clean(found.name)}" if self._is_down
            else f"where {clean(found.name)} came from"
        )  # fmt: skip
        more = "" if found.is_complete else " · there was more"
        pane.border_subtitle = f"{many(len(self._branches), 'step')}{more} · tab turns it round"
        self.refresh_bar()

    def _nothing(self, found: Lineage) -> Content:
        if self._is_down:
            return Content(
                "No run read it, as far as the record here goes: nothing would break without it."
            )
        by = f" {clean(found.saved[0].author)} saved it." if found.saved else ""
        return Content(f"No run wrote it, as far as the record here goes.{by}")

    def _row(self, pair: tuple[int, Branch]) -> Row:
        number, branch = pair
        edge = branch.edge
        is_run = branch.depth % 2 == 0
        what = (edge.function or "a run") if is_run else edge.name
        verb = "read it" if edge.kind == "read" else "wrote it"
        how = f" {verb}" if is_run else " it read" if edge.kind == "read" else " it wrote"
        again = "  (as above)" if branch.is_repeated else ""
        return Row(
            str(number),
            (
                Cell(f"{'┆ ' * branch.depth}{'▶' if is_run else '·'} {what}{how}{again}",
                     "strong" if is_run else ""),
                Cell(edge.version[:8], "accent"), Cell(edge.run_id[:8], "quiet"),
                Cell(age(edge.at, self.now())),
                Cell("" if edge.source == "here" else edge.source, "quiet"),
            ),
        )  # fmt: skip

    def _branch(self) -> Branch | None:
        key = self.query_one(ResourceList).key
        return None if key is None else self._branches[int(key)]

    def on_resource_list_opened(self, event: ResourceList.Opened) -> None:
        branch = self._branches[int(event.key)]
        if branch.depth % 2 == 0 and branch.edge.source == "here":
            self.post_message(ShowRun(branch.edge.run_id))
        else:
            self.action_history()

    def action_turn(self) -> None:
        self._is_down = not self._is_down
        self.begin(self._read, "read")

    def action_history(self) -> None:
        branch = self._branch()
        self.post_message(ShowHistory(branch.edge.name if branch else self._resource))

    def spellings(self) -> list[Spelling]:
        down = ["--down"] if self._is_down else []
        return [Spelling("as CLI", cli("lineage", self._resource, *down))]

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))
