"""Settings: what each is, who decided it, and setting one."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll

from rhdesk.models import Flaw, Setting
from rhdesk_tui.cards import Card
from rhdesk_tui.filtering import Filter
from rhdesk_tui.messages import OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.widgets.resource_list import Cell, Column, Listed, ResourceList, Row
from rhdesk_tui.wording import Tone, many

_COLUMNS = (
    Column("SETTING", 18), Column("VALUE", 20, flex=True), Column("FROM", 12, keep=3),
)  # fmt: skip


class SettingsScreen(Page):
    CSS_PATH = "settings.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Set", id="settings.edit"),
        Binding("p", "edit(True)", "Set for the project", id="settings.edit_project"),
        Binding("u", "unset", "Unset", id="settings.unset"),
        Binding("y", "copy", "Copy", id="settings.copy"),
        Binding("R", "reload", "Refresh", id="settings.reload", show=False),
    ]

    def compose_body(self) -> ComposeResult:
        with Container(id="halves"):
            with Vertical(id="settings", classes="pane"):
                yield ResourceList()
            with VerticalScroll(id="why", classes="pane"):
                yield CardView()

    def path(self) -> tuple[str, ...]:
        return ("Settings",)

    def on_mount(self) -> None:
        self._settings: dict[str, Setting] = {}
        self._flaws: list[Flaw] = []
        self._asked: tuple[str, bool] = ("", False)
        """Which setting a value is being typed for, and whether for the project."""
        self.query_one("#settings").border_title = "◐ looking…"
        self.query_one(ResourceList).focus()
        self.action_reload()

    def action_reload(self) -> None:
        self.begin(self._read, "read")

    async def _read(self) -> None:
        self._flaws = await self.desk.lint_settings()
        # With a flaw nothing can be explained; the flaws are then all there is to show.
        found = [] if self._flaws else await self.desk.explain_settings()
        self._settings = {each.name: each for each in found}
        listing = self.query_one(ResourceList)
        listing.show(_COLUMNS, Listed(found, _row, _name), shown=Filter(""))
        listing.display = not self._flaws
        said = many(len(self._flaws), "thing") + " wrong" if self._flaws else "Settings"
        self.query_one("#settings").border_title = said
        self._explain()

    def _explain(self) -> None:
        setting = self._at()
        why = self.query_one("#why")
        why.border_title = setting.name if setting else "why"
        card = explained(setting) if setting else flawed(self._flaws)
        self.query_one(CardView).show(card)
        self.refresh_bindings()

    def _at(self) -> Setting | None:
        return self._settings.get(self.query_one(ResourceList).key or "")

    def on_resource_list_highlighted(self, event: ResourceList.Highlighted) -> None:
        self._explain()

    def on_resource_list_opened(self, event: ResourceList.Opened) -> None:
        self.action_edit()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        setting = self._at() if self.is_mounted else None
        if action == "edit":
            return setting is not None
        if action == "unset":
            return setting is not None and setting.source.layer in {"user", "project"}
        return super().check_action(action, parameters)

    def action_edit(self, project: bool = False) -> None:
        if (setting := self._at()) is not None:
            self._asked = (setting.name, project)
            whose = " in the project's file" if project else ""
            self.ask(f"{setting.name}{whose} =", text=str(setting.value), note=setting.about)

    def entered(self, sign: str, text: str) -> None:
        key, project = self._asked
        if sign.startswith(f"{key} ") or sign.startswith(f"{key}="):
            if text:
                self.begin(partial(self._set, key, text, project), "set")
        else:
            super().entered(sign, text)

    def action_unset(self) -> None:
        if (setting := self._at()) is not None:
            project = setting.source.layer == "project"
            self.begin(partial(self._set, setting.name, None, project), "set")

    async def _set(self, key: str, value: str | None, project: bool) -> None:
        file = await self.desk.set_setting(key, value, project=project)
        self.notify(f"written in {file}; a desk opened from now on goes by it", markup=False)
        await self._read()

    def spellings(self) -> list[Spelling]:
        setting = self._at()
        if setting is None:
            return [Spelling("as CLI", cli("config", "lint"))]
        return [
            Spelling("as CLI", cli("config", "set", setting.name, str(setting.value))),
            Spelling("why, as CLI", cli("config", "explain", setting.name)),
            Spelling("as a variable", f"{setting.variable}={setting.value}"),
        ]

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def _row(setting: Setting) -> Row:
    layer = setting.source.layer
    tone: Tone = "quiet" if layer == "default" else "accent"
    return Row(
        setting.name,
        (Cell(setting.name, "strong"), Cell(str(setting.value)), Cell(layer, tone)),
    )


def _name(setting: Setting) -> str:
    return setting.name


def explained(setting: Setting) -> Card:
    """What a setting is for, and everybody who had a say in it, who decided first."""
    card = Card().line(setting.about).heading("Who has a say")
    for number, said in enumerate(reversed(setting.said)):
        decides = number == 0
        card.fact(
            f"{'→' if decides else ' '} {said.layer}",
            f"{said.value}\n{said.where}",
            "strong" if decides else "quiet",
        )
    return card.line("").line(f"{setting.variable} in the environment wins over files", "quiet")


def flawed(flaws: list[Flaw]) -> Card:
    card = Card()
    for flaw in flaws:
        card.line(flaw.where, "strong").line(flaw.what, "bad")
        if flaw.remedy:
            card.line(f"→ {flaw.remedy}", "accent")
        card.line("")
    return card
