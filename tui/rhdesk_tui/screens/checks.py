"""What `doctor` looked at, what it saw, and what to do about it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from rhdesk_tui.cards import Card
from rhdesk_tui.messages import OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.wording import Saying
from rhdesk_tui.workplace import Workplace


class ChecksScreen(Page):
    CSS_PATH = "checks.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "again", "Check again", id="checks.again"),
        Binding("y", "copy", "Copy", id="checks.copy"),
    ]

    def __init__(self, workplace: Workplace, cluster: str) -> None:
        super().__init__(workplace)
        self._cluster = cluster

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="checks", classes="pane"):
            yield CardView()

    def path(self) -> tuple[str, ...]:
        return ("Doctor", self._cluster)

    def on_mount(self) -> None:
        self.query_one("#checks").focus()
        self.query_one("#checks").border_title = "looking…"
        self.action_again()

    def action_again(self) -> None:
        self.begin(self._check, "check")

    async def _check(self) -> None:
        checks = await self.desk.doctor(self._cluster)
        card = Card()
        for check in checks:
            said = Saying("✓ ok", "good") if check.ok else Saying("✖ wrong", "bad")
            card.state(check.what, said).line(check.evidence)
            if check.remedy:
                card.line(f"→ {check.remedy}", "accent")
            card.line("")
        self.query_one(CardView).show(card)
        wrong = sum(not check.ok for check in checks)
        pane = self.query_one("#checks")
        pane.border_title = f"{len(checks)} checks, {wrong} wrong"

    def spellings(self) -> list[Spelling]:
        return [Spelling("as CLI", cli("doctor", self._cluster))]

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))
