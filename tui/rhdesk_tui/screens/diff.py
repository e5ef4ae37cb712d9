"""What differs between two versions: fields by pointer, code line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import ClassVar, Final

from rich.cells import chop_cells, set_cell_size
from textual import events
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

_WIDE: Final = 140
"""From so many columns on, code stands side by side."""
_EDGES: Final = 6
"""Columns of the screen that are not the card's."""
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
        self._draw(diff)
        told = [many(len(diff.fields), "field"), many(len(diff.files), "file")]
        pane = self.query_one("#changes")
        pane.border_title = Content(clean(f"{diff.before} → {diff.after}"))
        pane.border_subtitle = "nothing differs" if diff.is_empty else " · ".join(told)

    def _draw(self, diff: Diff) -> None:
        width = self.size.width - _EDGES if self.size.width >= _WIDE else 0
        card, self._marks = diff_card(diff, side_by_side=width)
        self.query_one(CardView).show(card)

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        if self._diff is not None:
            self._draw(self._diff)

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


def diff_card(diff: Diff, *, side_by_side: int = 0) -> tuple[Card, list[int]]:
    """A diff as a card, and the facts in it at which a change begins.

    Args:
        side_by_side: Columns for old and new code beside each other; 0: one above the other.
    """
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
        lines = [clean(line) for line in file.lines if not line.startswith(("---", "+++"))]
        if side_by_side:
            for old, new in _pairs(lines):
                for row in _beside(old, new, side_by_side // 2):
                    card.row(row)
        else:
            for line in lines:
                card.row(_coloured(line))
        if not file.lines:
            card.line("  no text to compare: not text, or no longer kept here", "quiet")
    return card, marks


def _coloured(line: str) -> Content:
    return Content.styled(line, STYLES[_LINES.get(line[:1], "")])


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Old and new lines that stand beside each other; what did not change stands on both sides."""
    old, new = list[str](), list[str]()
    for line in lines:
        if line.startswith("-"):
            old.append(line)
        elif line.startswith("+"):
            new.append(line)
        else:
            yield from zip_longest(old, new, fillvalue="")
            old, new = [], []
            yield line, "" if line.startswith("@") else line
    yield from zip_longest(old, new, fillvalue="")


def _beside(old: str, new: str, width: int) -> Iterator[Content]:
    """Two lines beside each other; a longer one goes on below itself."""
    styles = [STYLES[_LINES.get(line[:1], "")] for line in (old, new)]
    folded = [chop_cells(line, width - 1) for line in (old, new)]
    for parts in zip_longest(*folded, fillvalue=""):
        left, right = (
            Content.styled(set_cell_size(part, width - 1), style)
            for part, style in zip(parts, styles, strict=True)
        )
        yield Content.assemble(left, ("│", "$quiet"), right)


def _sides(card: Card, change: FieldChange) -> None:
    if change.kind != "added":
        for line in config_value(change.before).split("\n"):
            card.line(f"- {line}", "bad")
    if change.kind != "removed":
        for line in config_value(change.after).split("\n"):
            card.line(f"+ {line}", "good")
