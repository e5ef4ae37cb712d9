"""The versions a name had, and what changed between the chosen one and another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from rhdesk.foreign import clean
from rhdesk.models import Version
from rhdesk_tui.cards import Card, config_value
from rhdesk_tui.filtering import Filter
from rhdesk_tui.messages import OfferCopies, ShowDiff, ShowInvoke, ShowRun, TypedCommand
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.widgets.resource_list import Cell, Column, Listed, ResourceList, Row
from rhdesk_tui.wording import age, as_json, many
from rhdesk_tui.workplace import Workplace

_COLUMNS = (
    Column("", 1), Column("VERSION", 8), Column("SAVED", 5, right=True),
    Column("BY", 8, keep=3), Column("WHAT", 10, flex=True),
)  # fmt: skip


class HistoryScreen(Page):
    CSS_PATH = "history.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "base", "Compare with this", id="history.base", key_display="space"),
        Binding("d", "diff", "Diff with code", id="history.diff"),
        Binding("r", "rollback", "Roll back", id="history.rollback"),
        Binding("g", "run", "Its run", id="history.run"),
        Binding("i", "invoke", "Invoke this version", id="history.invoke"),
        Binding("y", "copy", "Copy", id="history.copy"),
    ]

    def __init__(self, workplace: Workplace, name: str) -> None:
        super().__init__(workplace)
        self._resource = name
        self._versions: list[Version] = []
        self._base: int | None = None

    def compose_body(self) -> ComposeResult:
        with Container(id="halves"):
            with Vertical(id="versions", classes="pane"):
                yield ResourceList()
                yield Static("◐ reading the history…", id="note")
            with VerticalScroll(id="change", classes="pane"):
                yield CardView(id="diff")

    def path(self) -> tuple[str, ...]:
        return ("History", self._resource)

    def on_mount(self) -> None:
        self.query_one(ResourceList).focus()
        self.begin(self._read, "read")

    async def _read(self) -> None:
        self._versions = await self.desk.history(self._resource, limit=1000)
        note = self.query_one("#note", Static)
        note.update("This name has no versions yet: every save makes one.")
        note.display = not self._versions
        self.query_one("#versions").border_title = many(len(self._versions), "version")
        self._draw()
        self._draw_diff()

    def _draw(self) -> None:
        rows = Listed(list(enumerate(self._versions)), self._row, lambda pair: str(pair[0]))
        self.query_one(ResourceList).show(_COLUMNS, rows, shown=Filter(""))

    def _row(self, pair: tuple[int, Version]) -> Row:
        number, version = pair
        said = "deleted" if version.deleted else version.summary or "saved"
        if version.sync:
            said = f"{said} · not in the store yet"
        return Row(
            str(number),
            (
                Cell("A" if number == self._base else ""), Cell(version.version[:8], "accent"),
                Cell(age(version.saved_at, self.now())), Cell(version.author, "quiet"),
                Cell(said, "warn" if version.deleted else ""),
            ),
        )  # fmt: skip

    def on_resource_list_highlighted(self, event: ResourceList.Highlighted) -> None:
        self._draw_diff()
        self.refresh_bindings()

    def action_base(self) -> None:
        at = self._at()
        self._base = None if at == self._base else at
        self._draw()
        self._draw_diff()

    def action_diff(self) -> None:
        if (sides := self._sides()) is not None:
            self.post_message(ShowDiff(*sides))

    def action_rollback(self) -> None:
        if (version := self._version()) is not None:
            self.post_message(TypedCommand(f"rollback {self._resource}@{version.version}"))

    def action_run(self) -> None:
        version = self._version()
        if version is not None and version.run_id:
            self.post_message(ShowRun(version.run_id))

    def changed(self) -> None:
        self.begin(self._read, "read")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        version = self._version() if self.is_mounted else None
        match action:
            case "rollback":
                return version is not None and self._at() != 0 and not version.deleted
            case "diff":
                return version is not None and self._sides() is not None
            case "run":
                return version is not None and bool(version.run_id)
            case _:
                return super().check_action(action, parameters)

    def _sides(self) -> tuple[str, str] | None:
        """Two versions to compare: the marked one, or the one before, and the chosen one."""
        at = self._at()
        if at is None:
            return None
        base = self._base
        if base is None or base == at:
            base = at + 1
        if base >= len(self._versions):
            return None
        old, new = self._versions[base], self._versions[at]
        if old.deleted or new.deleted:
            return None
        return f"{self._resource}@{old.version}", f"{self._resource}@{new.version}"

    def action_invoke(self) -> None:
        if (version := self._version()) is not None:
            self.post_message(ShowInvoke(f"{self._resource}@{version.version}"))

    def spellings(self) -> list[Spelling]:
        version = self._version()
        if version is None:
            return [Spelling("as CLI", cli("history", self._resource))]
        full = f"{self._resource}@{version.version}"
        return [
            Spelling("name@version", full),
            Spelling("as CLI", cli("show", full)),
            Spelling("as Python", f"rh.load({full!r})"),
            Spelling("config as JSON", as_json(version.config, indent=2)),
        ]

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))

    def _at(self) -> int | None:
        key = self.query_one(ResourceList).key
        return None if key is None else int(key)

    def _version(self) -> Version | None:
        at = self._at()
        return None if at is None else self._versions[at]

    def _draw_diff(self) -> None:
        at = self._at()
        if at is None:
            return
        new = self._versions[at]
        base = self._base
        if base is None or base == at:
            base = at + 1 if at + 1 < len(self._versions) else None
        old = self._versions[base] if base is not None else None
        pane = self.query_one("#change")
        before = old.version[:8] if old else "nothing"
        pane.border_title = Content(f"{clean(before)} → {clean(new.version[:8])}")
        self.query_one(CardView).show(diff_card(old.config if old else {}, new.config))


def diff_card(old: Mapping[str, Any], new: Mapping[str, Any]) -> Card:
    """What changed from one config to another, member by member."""
    card = Card()
    same = 0
    for key in sorted({*old, *new}):
        if key in old and key in new and old[key] == new[key]:
            same += 1
            continue
        card.line(key, "strong")
        if key in old:
            for line in config_value(old[key]).split("\n"):
                card.line(f"  - {line}", "bad")
        if key in new:
            for line in config_value(new[key]).split("\n"):
                card.line(f"  + {line}", "good")
    if same:
        card.line(f"{many(same, 'member')} unchanged", "quiet")
    elif not old and not new:
        card.line("Both are empty.", "quiet")
    return card
