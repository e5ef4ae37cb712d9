"""Lines of any run that hold some words, also of runs whose cluster is long gone."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from rhdesk.foreign import clean
from rhdesk.models import LogHit
from rhdesk_tui.filtering import Filter
from rhdesk_tui.messages import OfferCopies, ShowRun
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.resource_list import Cell, Column, Listed, ResourceList, Row
from rhdesk_tui.wording import count, many
from rhdesk_tui.workplace import Workplace

_COLUMNS = (
    Column("FUNCTION", 14, keep=5), Column("RUN", 8, keep=3), Column("LINE", 9, right=True),
    Column("TEXT", 30, flex=True),
)  # fmt: skip
_MOST = 500


class SearchScreen(Page):
    CSS_PATH = "search.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", "Copy", id="search.copy")]

    def __init__(self, workplace: Workplace, text: str) -> None:
        super().__init__(workplace)
        self._text = text
        self._hits: list[LogHit] = []

    def compose_body(self) -> ComposeResult:
        with Vertical(id="hits", classes="pane"):
            yield ResourceList()
            yield Static("◐ searching…", id="note")

    def path(self) -> tuple[str, ...]:
        return ("Search", self._text)

    def on_mount(self) -> None:
        self.query_one(ResourceList).focus()
        self.begin(self._search, "search")

    async def _search(self) -> None:
        self._hits = await self.desk.search(self._text, limit=_MOST)
        listing = self.query_one(ResourceList)
        rows = Listed(list(enumerate(self._hits)), _row, lambda pair: str(pair[0]))
        listing.show(_COLUMNS, rows, shown=Filter(""))
        note = self.query_one("#note", Static)
        note.update(Content(f"No line of any stored run holds {clean(self._text)!r}."))
        note.display = not self._hits
        listing.display = bool(self._hits)
        more = "the first " if len(self._hits) == _MOST else ""
        self.query_one("#hits").border_title = f"{more}{many(len(self._hits), 'line')}"

    def on_resource_list_opened(self, event: ResourceList.Opened) -> None:
        line = self._hits[int(event.key)].line
        self.post_message(ShowRun(line.run_id, line.seq))

    def spellings(self) -> list[Spelling]:
        found = [Spelling("as CLI", cli("search", self._text))]
        key = self.query_one(ResourceList).key
        if key is not None:
            found.insert(0, Spelling("line", self._hits[int(key)].line.text))
        return found

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def _row(pair: tuple[int, LogHit]) -> Row:
    number, hit = pair
    return Row(
        str(number),
        (
            Cell(hit.function, "strong"), Cell(hit.line.run_id[:8], "quiet"),
            Cell(count(hit.line.seq + 1)), Cell(hit.line.text),
        ),
    )  # fmt: skip
