"""Care of the stores: what is wrong and what mends it; names that come from and go to elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from rhdesk.models import Exchanged, Finding, Imported
from rhdesk_tui.cards import Card
from rhdesk_tui.messages import OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.wording import Saying, Tone, many
from rhdesk_tui.workplace import Workplace

T = TypeVar("T")


class CareScreen(Page):
    CSS_PATH = "care.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "again", "Again", id="care.again"),
        Binding("m", "mend", "Mend", id="care.mend"),
        Binding("b", "rebuild", "Rebuild the index", id="care.rebuild"),
        Binding("I", "bring", "Bring it over", id="care.bring"),
        Binding("y", "copy", "Copy", id="care.copy"),
    ]

    def __init__(self, workplace: Workplace, what: str, argument: str = "") -> None:
        """
        Args:
            what: ``fsck``, ``import`` or ``exchange``.
            argument: The folder, or the git remote.
        """
        super().__init__(workplace)
        self._what = what
        self._argument = argument
        self._can_bring = False

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="care", classes="pane"):
            yield CardView()

    def path(self) -> tuple[str, ...]:
        return (self._what, self._argument) if self._argument else (self._what,)

    def on_mount(self) -> None:
        self.query_one("#care").focus()
        self.action_again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"mend", "rebuild"}:
            return self._what == "fsck"
        if action == "bring":
            return self._can_bring
        return super().check_action(action, parameters)

    def action_again(self) -> None:
        match self._what:
            case "fsck":
                self._do(self.desk.fsck, findings_card)
            case "import":
                self._do(
                    partial(self.desk.import_project, self._argument, dry_run=True), import_card
                )
            case _:
                self._do(partial(self.desk.exchange, self._argument), exchange_card)

    def action_mend(self) -> None:
        self._do(partial(self.desk.fsck, mend=True), findings_card)

    def action_rebuild(self) -> None:
        self._do(self.desk.rebuild, findings_card)

    def action_bring(self) -> None:
        self._do(partial(self.desk.import_project, self._argument), import_card)

    def _do(self, ask: Callable[[], Awaitable[T]], tell: Callable[[T], Card]) -> None:
        async def work() -> None:
            pane = self.query_one("#care")
            pane.border_title = "◐ working…"
            try:
                done = await ask()
            finally:
                pane.border_title = self._what
            self._can_bring = isinstance(done, Imported) and done.is_dry_run and bool(done.names)
            self.query_one(CardView).show(tell(done))
            self.refresh_bindings()

        self.begin(work, "care")

    def spellings(self) -> list[Spelling]:
        return [Spelling("as CLI", cli(self._what, *([self._argument] if self._argument else [])))]

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def findings_card(found: list[Finding]) -> Card:
    card = Card()
    if not found:
        card.line("✓ nothing is wrong", "good")
    for finding in found:
        said = Saying("✓ mended", "good") if finding.is_mended else Saying("✖ wrong", "bad")
        card.state(finding.store, said).line(finding.what)
        if finding.remedy:
            card.line(f"→ {finding.remedy}", "accent")
        card.line("")
    return card


def import_card(done: Imported) -> Card:
    verb = "would come over" if done.is_dry_run else "came over"
    card = Card().heading(f"{many(len(done.names), 'name')} {verb}")
    for name, kind in done.names.items():
        card.fact(kind, name)
    if done.kept:
        card.line(f"{many(len(done.kept), 'name')} were here already", "quiet")
    _section(card, "Settings", [f"{key}: {what}" for key, what in done.settings.items()], "")
    _section(card, "Left where it is", done.not_understood, "quiet")
    _section(card, "Secrets in clear text", done.secrets, "bad")
    return card


def _section(card: Card, title: str, lines: Sequence[str], tone: Tone) -> None:
    if lines:
        card.heading(title)
        for line in lines:
            card.line(line, tone)


def exchange_card(done: Exchanged) -> Card:
    card = Card().heading(f"With {done.remote}")
    card.fact("brought", many(len(done.brought), "name")).fact("sent", many(done.sent, "version"))
    for name in done.brought:
        card.line(f"  {name}")
    for overlap in done.conflicts:
        card.heading(overlap.name)
        told = ", ".join(overlap.fields) or overlap.why
        card.line(f"both changed {told}; ours stands", "warn")
        if overlap.theirs:
            card.line(f"theirs: rhdesk rollback {overlap.name}@{overlap.theirs[:10]}", "accent")
        elif overlap.kept_as:
            card.line(f"theirs is {overlap.kept_as}", "accent")
    return card
