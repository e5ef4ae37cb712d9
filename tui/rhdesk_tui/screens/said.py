"""Everything that was said: toasts vanish, this does not."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from rhdesk_tui.filtering import Filter
from rhdesk_tui.messages import CopyText
from rhdesk_tui.page import Page
from rhdesk_tui.said import Said
from rhdesk_tui.widgets.resource_list import Cell, Column, Listed, ResourceList, Row
from rhdesk_tui.wording import Saying, block, many

_SAYINGS = {
    "information": Saying("· note", ""),
    "warning": Saying("! warning", "warn"),
    "error": Saying("✖ error", "bad"),
}
_COLUMNS = (Column("WHEN", 8), Column("WHAT", 9), Column("SAID", 30, flex=True))


class SaidScreen(Page):
    CSS_PATH = "said.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", "Copy", id="said.copy")]

    def compose_body(self) -> ComposeResult:
        with Vertical(id="said", classes="pane"):
            yield ResourceList()
            yield Static("Nothing has been said yet.", id="nothing")
        with VerticalScroll(id="whole", classes="pane"):
            yield Static(id="text")

    def path(self) -> tuple[str, ...]:
        return ("Messages",)

    def on_mount(self) -> None:
        said = self.workplace.said.newest_first()
        listing = self.query_one(ResourceList)
        rows = Listed(list(enumerate(said)), _row, lambda pair: str(pair[0]))
        listing.show(_COLUMNS, rows, shown=Filter(""))
        listing.display = bool(said)
        self.query_one("#nothing").display = not said
        self.query_one("#whole").display = bool(said)
        self.query_one("#said").border_title = many(len(said), "message")
        listing.focus()

    def on_resource_list_highlighted(self, event: ResourceList.Highlighted) -> None:
        if (said := self._current()) is not None:
            self.query_one("#text", Static).update(block(said.text))

    def action_copy(self) -> None:
        if (said := self._current()) is not None:
            self.post_message(CopyText("message", said.text))

    def _current(self) -> Said | None:
        key = self.query_one(ResourceList).key
        return None if key is None else self.workplace.said.newest_first()[int(key)]


def _row(pair: tuple[int, Said]) -> Row:
    number, said = pair
    saying = _SAYINGS[said.severity]
    return Row(
        str(number),
        (
            Cell(said.at.astimezone().strftime("%H:%M:%S"), "quiet"),
            Cell(saying.text, saying.tone),
            Cell(said.text.replace("\n", " ")),
        ),
    )
