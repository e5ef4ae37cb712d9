"""Machines that nobody accounts for, and what every cluster's machines have cost."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from rhdesk.models import Cost, Orphan
from rhdesk_tui.cards import Card
from rhdesk_tui.messages import OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.screens.confirm import Confirm
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.wording import many, money


class OrphansScreen(Page):
    CSS_PATH = "care.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "again", "Look again", id="orphans.again"),
        Binding("x", "end", "End them", id="orphans.end"),
        Binding("y", "copy", "Copy", id="orphans.copy"),
    ]
    _found: list[Orphan]

    def compose_body(self) -> ComposeResult:
        self._found = []
        with VerticalScroll(id="care", classes="pane"):
            yield CardView()

    def path(self) -> tuple[str, ...]:
        return ("Machines",)

    def on_mount(self) -> None:
        self.query_one("#care").focus()
        self.action_again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "end":
            return bool(self._found)
        return super().check_action(action, parameters)

    def action_again(self) -> None:
        self.begin(self._look, "orphans")

    async def _look(self) -> None:
        pane = self.query_one("#care")
        pane.border_title = "◐ comparing the journal with what SkyPilot has…"
        try:
            self._found = await self.desk.orphans()
            costs = await self.desk.costs()
        finally:
            pane.border_title = "Machines"
        self.query_one(CardView).show(orphans_card(self._found, costs))
        self.refresh_bindings()

    def action_end(self) -> None:
        names = ", ".join(orphan.cluster for orphan in self._found)
        question = Confirm(
            f"End {many(len(self._found), 'orphan')}?",
            f"The machines of {names} are ended at their provider; what is on them is lost.",
            cli("orphans", "--end"),
            "End them",
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self.begin(self._end, "orphans")

        self.app.push_screen(question, answered)

    async def _end(self) -> None:
        self.query_one("#care").border_title = "◐ ending them…"
        await self.desk.end_orphans(self._found)
        await self._look()

    def spellings(self) -> list[Spelling]:
        return [Spelling("as CLI", cli("orphans"))]

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def orphans_card(found: list[Orphan], costs: list[Cost]) -> Card:
    card = Card()
    if not found:
        card.line("✓ every machine is accounted for", "good")
    for orphan in found:
        card.fact(orphan.cluster, orphan.what, "bad").line(f"→ x: {orphan.remedy}", "accent")
    if costs:
        total = sum(cost.cost for cost in costs)
        card.heading(f"Cost of 30 days: {money(total)}")
        for cost in costs:
            up = "  up" if cost.is_up else ""
            card.fact(
                cost.cluster,
                f"{money(cost.cost)}  {cost.hours:.1f} h  {cost.infra}  {cost.resources}"
                f"  {cost.person}{up}",
            )
    return card
