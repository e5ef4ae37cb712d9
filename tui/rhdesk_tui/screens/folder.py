"""A folder as it would travel: what goes, what is held back and why; sent, and brought back."""

from __future__ import annotations

import shlex
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content

from rhdesk.foreign import clean
from rhdesk.models import CodePlan, FileVerdict
from rhdesk_tui.cards import Card
from rhdesk_tui.messages import BringBack, OfferCopies, SendFolder
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.wording import STYLES, many, size
from rhdesk_tui.workplace import Workplace

REASONS = {
    "included": "it travels: no rule ignores it",
    "ignored": "it stays: a rule ignores it",
    "secret": "it stays: it looks like a secret",
    "large": "it stays: it is larger than the setting largest_mb",
    "link out": "it stays: a link that leads out of the folder",
    "special": "it stays: no regular file",
    "unreadable": "it stays: it cannot be read",
    "name": "it stays: its name is no text",
}


class FolderScreen(Page):
    CSS_PATH = "folder.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "send", "Send", id="folder.send"),
        Binding("b", "back", "Bring back", id="folder.back"),
        Binding("w", "why", "Why a file", id="folder.why"),
        Binding("R", "again", "Look again", id="folder.again"),
        Binding("y", "copy", "Copy", id="folder.copy"),
    ]

    def __init__(self, workplace: Workplace, folder: str, cluster: str) -> None:
        super().__init__(workplace)
        self._folder = folder
        self._cluster = cluster
        self._plan: CodePlan | None = None
        self._asked: FileVerdict | None = None

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="plan", classes="pane"):
            yield CardView()

    def path(self) -> tuple[str, ...]:
        return ("Folder", self._folder)

    def on_mount(self) -> None:
        self.query_one("#plan").focus()
        self.action_again()

    def action_again(self) -> None:
        self.query_one("#plan").border_title = "looking at every file…"
        self.begin(self._look, "look")

    async def _look(self) -> None:
        self._plan = await self.desk.plan_sync(self._folder)
        self._draw()

    def _draw(self) -> None:
        if self._plan is None:
            return
        plan = self._plan
        held = len(plan.held_back)
        title = f"{many(plan.files, 'file')} travel" + (f", {held} held back" if held else "")
        self.query_one("#plan").border_title = title
        self.query_one(CardView).show(plan_card(plan, self._cluster, self._asked))

    def action_send(self) -> None:
        note = "CLUSTER   Enter sends what is missing there"
        self.ask("send", text=self._cluster, note=note)

    def action_back(self) -> None:
        note = "CLUSTER [PATH]   Enter brings what runs wrote there"
        self.ask("back", text=self._cluster, note=note)

    def action_why(self) -> None:
        self.ask(
            "why", text="", note="PATH   Enter tells whether it travels, and which rule says so"
        )

    def entered(self, sign: str, text: str) -> None:
        words = shlex.split(text)
        if not words:
            return
        if sign.startswith("send"):
            self._cluster = words[0]
            self.post_message(SendFolder(self._folder, words[0]))
        elif sign.startswith("back"):
            self._cluster = words[0]
            self.post_message(BringBack(self._folder, words[0], " ".join(words[1:])))
        elif sign.startswith("why"):
            self.begin(lambda: self._tell_why(text.strip()), "why")
        else:
            super().entered(sign, text)

    async def _tell_why(self, path: str) -> None:
        self._asked = await self.desk.why_sync(path, folder=self._folder)
        self._draw()

    def spellings(self) -> list[Spelling]:
        found = [
            Spelling("as CLI", cli("sync", "push", self._folder, "--on", self._cluster)),
            Spelling("the plan as CLI", cli("sync", "plan", self._folder)),
        ]
        if self._plan is not None:
            found.append(Spelling("tree", self._plan.tree))
        return found

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def plan_card(plan: CodePlan, cluster: str, asked: FileVerdict | None) -> Card:
    """What travels, what does not and why; above it the file that was asked about."""
    card = Card()
    if asked is not None:
        card.heading("Why")
        card.line(asked.path, "strong")
        card.line(_told(asked), "good" if asked.travels else "warn").line("")
    card.fact("folder", plan.folder, "strong")
    card.fact("travels", f"{many(plan.files, 'file')}, {size(plan.size)}")
    card.fact("tree", plan.tree[:12], "quiet")
    card.fact("to", f"{cluster}; s sends what is missing there", "accent")
    if plan.held_back:
        card.heading(f"Held back: {len(plan.held_back)}")
        for each in plan.held_back:
            card.row(
                Content.assemble(
                    (f"{size(each.size):>8}  ", STYLES["quiet"]),
                    (clean(each.path), STYLES["warn"]),
                    (f"  {clean(_told(each))}", STYLES["quiet"]),
                )
            )
        card.line("a line !PATH in .rhdeskignore sends one all the same", "quiet")
    card.heading("Largest that travel")
    for each in plan.largest:
        aside = (f"{size(each.size):>8}  ", STYLES["quiet"])
        card.row(Content.assemble(aside, clean(each.path)))
    return card


def _told(asked: FileVerdict) -> str:
    rule = f", by {asked.rule} in {asked.file}" if asked.rule else ""
    return f"{REASONS[asked.reason]}{rule}"
