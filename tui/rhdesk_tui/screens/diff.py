"""What differs between two versions: fields by pointer, code line by line."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content

from rhdesk.foreign import clean
from rhdesk.models import Diff, FieldChange
from rhdesk_tui.cards import Card, config_value
from rhdesk_tui.messages import OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.wording import STYLES, Tone, many
from rhdesk_tui.workplace import Workplace

_LINES: Final[dict[str, Tone]] = {"+": "good", "-": "bad", "@": "accent"}


class DiffScreen(Page):
    CSS_PATH = "diff.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "jump(1)", "Next change", id="diff.next"),
        Binding("N", "jump(-1)", "Change before", id="diff.before"),
        Binding("y", "copy", "Copy", id="diff.copy"),
    ]

    def __init__(self, workplace: Workplace, before: str, after: str = "") -> None:
        super().__init__(workplace)
        self._before = before
        self._after = after
        self._diff: Diff | None = None
        self._marks: list[int] = []
        """Facts of the card at which a change begins."""

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="changes", classes="pane"):
            yield CardView()

    def path(self) -> tuple[str, ...]:
        return ("Diff", self._before, *([self._after] if self._after else []))

    def on_mount(self) -> None:
        pane = self.query_one("#changes")
        pane.focus()
        pane.border_title = "◐ comparing…"
        self.begin(self._compare, "compare")

    async def _compare(self) -> None:
        self._diff = diff = await self.desk.diff(self._before, self._after)
        card, self._marks = diff_card(diff)
        self.query_one(CardView).show(card)
        told = [many(len(diff.fields), "field"), many(len(diff.files), "file")]
        pane = self.query_one("#changes")
        pane.border_title = f"{diff.before} → {diff.after}"
        pane.border_subtitle = "nothing differs" if diff.is_empty else " · ".join(told)

    def action_jump(self, step: int) -> None:
        view = self.query_one(CardView)
        pane = self.query_one("#changes", VerticalScroll)
        tops = [view.line_of(mark) for mark in self._marks]
        here = round(pane.scroll_y)
        found = [top for top in tops if top > here] if step > 0 else [t for t in tops if t < here]
        if found:
            pane.scroll_to(y=found[0] if step > 0 else found[-1], animate=False)

    def spellings(self) -> list[Spelling]:
        words = [self._before, *([self._after] if self._after else [])]
        found = [Spelling("as CLI", cli("diff", *words))]
        if self._diff is not None:
            lines = [line for file in self._diff.files for line in file.lines]
            if lines:
                found.append(Spelling("as patch", "\n".join(lines) + "\n"))
        return found

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def diff_card(diff: Diff) -> tuple[Card, list[int]]:
    """A diff as a card, and the facts in it at which a change begins."""
    card, marks = Card(), list[int]()
    if diff.is_empty:
        card.line("Both versions say the same.", "quiet")
    for change in diff.fields:
        marks.append(len(card))
        card.line(change.pointer, "strong")
        _sides(card, change)
    for file in diff.files:
        marks.append(len(card))
        card.line(f"{file.path}  {file.kind}", "strong")
        for line in file.lines:
            if not line.startswith(("---", "+++")):
                card.row(Content.styled(clean(line), STYLES[_LINES.get(line[:1], "")]))
        if not file.lines:
            card.line("  no text to compare: not text, or no longer kept here", "quiet")
    return card, marks


def _sides(card: Card, change: FieldChange) -> None:
    if change.kind != "added":
        for line in config_value(change.before).split("\n"):
            card.line(f"- {line}", "bad")
    if change.kind != "removed":
        for line in config_value(change.after).split("\n"):
            card.line(f"+ {line}", "good")
