"""What `doctor` looked at, what it saw, and what to do about it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content

from rhdesk.errors import RhdeskError
from rhdesk.foreign import clean
from rhdesk_tui.cards import Card
from rhdesk_tui.messages import BeginJob, OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.wording import Saying, many
from rhdesk_tui.workplace import Workplace


class ChecksScreen(Page):
    CSS_PATH = "checks.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "again", "Check again", id="checks.again"),
        Binding("u", "up", "Up", id="checks.up"),
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
        self.action_again()

    def action_again(self) -> None:
        self.query_one("#checks").border_title = Content(
            f"◐ looking at everything {clean(self._cluster)} needs, one by one…"
        )
        self.begin(self._check, "check")

    def action_up(self) -> None:
        name = self._cluster
        job = BeginJob(f"up {name}", cli("up", name), lambda: self.desk.up(name), name)
        self.post_message(job)

    async def _check(self) -> None:
        pane = self.query_one("#checks")
        try:
            checks = await self.desk.doctor(self._cluster)
        except RhdeskError:
            pane.border_title = Content(f"{clean(self._cluster)} could not be looked at")
            raise
        card = Card()
        for check in checks:
            said = Saying("✓ ok", "good") if check.ok else Saying("✖ wrong", "bad")
            card.state(check.what, said).line(check.evidence)
            if check.remedy:
                card.line(f"→ {check.remedy}", "accent")
            card.line("")
        self.query_one(CardView).show(card)
        wrong = sum(not check.ok for check in checks)
        pane.border_title = f"{many(len(checks), 'check')}, {wrong} wrong"

    def spellings(self) -> list[Spelling]:
        return [Spelling("as CLI", cli("doctor", self._cluster))]

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))
