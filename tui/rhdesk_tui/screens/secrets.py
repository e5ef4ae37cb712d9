"""Secrets: which are kept, whose, and what could be; a value is seen only when asked for."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from rhdesk.models import MASK, Provider, Secret, Values
from rhdesk_tui.cards import Card
from rhdesk_tui.filtering import Filter
from rhdesk_tui.messages import OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.screens.confirm import Confirm
from rhdesk_tui.screens.keep_secret import KeepSecret, Typed
from rhdesk_tui.screens.send_secret import SendSecret
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.widgets.resource_list import Cell, Column, Listed, ResourceList, Row
from rhdesk_tui.wording import age, many, moment

SHOWN_S: Final = 15.0
"""So long a value stays on the screen."""

_COLUMNS = (
    Column("NAME", 14, flex=True), Column("PROVIDER", 12, keep=3),
    Column("HOLDS", 18, flex=True, keep=4), Column("VER", 4, right=True, keep=2),
    Column("SAVED", 6, right=True, keep=1),
)  # fmt: skip

Item = Secret | Provider


class SecretsScreen(Page):
    CSS_PATH = "secrets.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "keep", "New", id="secrets.keep"),
        Binding("e", "keep(True)", "Next version", id="secrets.next"),
        Binding("x", "reveal", "Show", id="secrets.reveal"),
        Binding("c", "copy_value", "Copy value", id="secrets.copy_value"),
        Binding("l", "load", "Load", id="secrets.load"),
        Binding("w", "write", "Write for its tools", id="secrets.write"),
        Binding("s", "send", "Send", id="secrets.send"),
        Binding("ctrl+d", "remove", "Remove", id="secrets.remove"),
        Binding("y", "copy", "Copy", id="secrets.copy", show=False),
        Binding("R", "reload", "Refresh", id="secrets.reload", show=False),
    ]

    def compose_body(self) -> ComposeResult:
        with Container(id="halves"):
            with Vertical(id="secrets", classes="pane"):
                yield ResourceList()
                yield Static("◐ looking…", id="note")
            with VerticalScroll(id="held", classes="pane"):
                yield CardView()

    def path(self) -> tuple[str, ...]:
        return ("Secrets",)

    def on_mount(self) -> None:
        self._items: dict[str, Item] = {}
        self._shown: tuple[str, Values] | None = None
        """The one whose values are on the screen."""
        self._hiding: Timer | None = None
        self.query_one(ResourceList).focus()
        self.action_reload()

    def action_reload(self) -> None:
        self.begin(self._read, "read")

    async def _read(self) -> None:
        kept = await self.desk.secrets()
        names = {each.name for each in kept}
        could = [p for p in await self.desk.providers() if p.found and p.name not in names]
        guard = await self.desk.secret_guard()
        items: list[Item] = [*kept, *could]
        self._items = {item.name: item for item in items}
        listing = self.query_one(ResourceList)
        listing.show(_COLUMNS, Listed(items, self._row, _name), shown=Filter(""))
        listing.display = bool(items)
        note = self.query_one("#note", Static)
        note.display = not items
        note.update(
            Content(
                "No secret is kept yet, and none of a provider was found on this machine. n keeps "
                "one: it is sealed before it is written, and never shown unless you ask."
            )
        )
        pane = self.query_one("#secrets")
        pane.border_title = many(len(kept), "secret")
        pane.border_subtitle = f"guarded by a {guard}" if guard else ""
        self._describe()

    def _row(self, item: Item) -> Row:
        if isinstance(item, Provider):
            cells = (Cell(item.name), Cell(item.name), Cell(f"found: {item.found}"), Cell(""))
            return Row(item.name, (*cells, Cell("")), dimmed=True)
        return Row(
            item.name,
            (
                Cell(item.name, "strong"),
                Cell(item.provider or "-", "quiet"),
                Cell(", ".join(item.fields)),
                Cell(str(item.version), "quiet"),
                Cell(age(item.saved_at, self.now()), "quiet"),
            ),
        )

    def _at(self) -> Item | None:
        return self._items.get(self.query_one(ResourceList).key or "")

    def _kept(self) -> Secret | None:
        item = self._at() if self.is_mounted else None
        return item if isinstance(item, Secret) else None

    def _describe(self) -> None:
        item = self._at()
        self.query_one("#held").border_title = item.name if item else "nothing"
        card = Card()
        if isinstance(item, Secret):
            values = self._shown[1] if self._shown and self._shown[0] == item.name else {}
            card = secret_card(item, values)
        elif isinstance(item, Provider):
            card = provider_card(item)
        self.query_one(CardView).show(card)
        self.refresh_bindings()

    def on_resource_list_highlighted(self, event: ResourceList.Highlighted) -> None:
        self._hide()

    def on_resource_list_opened(self, event: ResourceList.Opened) -> None:
        if isinstance(self._at(), Provider):
            self.action_load()

    def on_screen_suspend(self) -> None:
        self._hide()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"reveal", "copy_value", "remove"} or (action == "keep" and parameters):
            return self._kept() is not None
        if action == "write":
            kept = self._kept()
            return kept is not None and bool(kept.provider)
        if action == "load":
            item = self._at() if self.is_mounted else None
            return isinstance(item, Provider) or bool(isinstance(item, Secret) and item.provider)
        return super().check_action(action, parameters)

    # ---- seeing

    def action_reveal(self) -> None:
        kept = self._kept()
        if kept is None:
            return
        if self._shown and self._shown[0] == kept.name:
            self._hide()
            return
        self.begin(partial(self._reveal, kept.name), "reveal")

    async def _reveal(self, name: str) -> None:
        self._shown = (name, await self.desk.read_secret(name))
        if self._hiding is not None:
            self._hiding.stop()
        self._hiding = self.set_timer(SHOWN_S, self._hide)
        self._describe()

    def _hide(self) -> None:
        self._shown = None
        if self.is_mounted:
            self._describe()

    def action_copy_value(self) -> None:
        if (kept := self._kept()) is not None:
            self.begin(partial(self._copy_value, kept), "copy")

    async def _copy_value(self, kept: Secret) -> None:
        values = await self.desk.read_secret(kept.name)
        field = kept.fields[0]
        self.owner.copy_to_clipboard(values[field].reveal())
        self.notify(f"{field} of {kept.name} is on the clipboard; it was not shown", markup=False)

    # ---- changing

    def action_keep(self, again: bool = False) -> None:
        kept = self._kept() if again else None
        asked = KeepSecret(kept.name, kept.fields[0]) if kept else KeepSecret()

        def typed(answer: Typed | None) -> None:
            if answer is not None:
                self.begin(partial(self._keep, answer, kept), "keep")

        self.owner.push_screen(asked, typed)

    async def _keep(self, typed: Typed, before: Secret | None) -> None:
        values: Values = {}
        if before is not None and before.name == typed.name:
            values = await self.desk.read_secret(before.name)
        kept = await self.desk.put_secret(
            typed.name,
            values | {typed.field: typed.value},
            provider=before.provider if before else "",
            expect=before.version if before else -1,
        )
        self.notify(f"kept {kept.name}, version {kept.version}", markup=False)
        await self._read()

    def action_load(self) -> None:
        item = self._at()
        if item is None:
            return
        provider = item.provider if isinstance(item, Secret) else item.name
        self.begin(partial(self._load, provider, item.name), "load")

    async def _load(self, provider: str, name: str) -> None:
        kept = await self.desk.load_provider(provider, name=name)
        self.notify(f"kept {kept.name}, version {kept.version}", markup=False)
        await self._read()

    def action_write(self) -> None:
        if (kept := self._kept()) is not None:
            self.begin(partial(self._write, kept.name), "write")

    async def _write(self, name: str) -> None:
        files = await self.desk.save_provider(name)
        self.notify(f"written: {', '.join(files) or 'nothing new'}", markup=False)

    def action_send(self) -> None:
        if (kept := self._kept()) is not None:
            self.begin(partial(self._ask_where, kept.name), "send")

    async def _ask_where(self, name: str) -> None:
        clusters = [each.name for each in await self.desk.clusters() if each.name != "here"]

        def answered(on: str | None) -> None:
            if on:
                self.begin(partial(self._send, name, on), "send")

        self.owner.push_screen(SendSecret(name, clusters), answered)

    async def _send(self, name: str, on: str) -> None:
        files = await self.desk.send_secret(name, on=on)
        self.notify(f"{name} is in {', '.join(files)} of {on}", markup=False)

    def action_remove(self) -> None:
        kept = self._kept()
        if kept is None:
            return
        question = Confirm(
            f"Remove the secret {kept.name}?",
            f"{many(kept.versions, 'version')} of it go, and cannot be had back. What its "
            "provider's file holds stays.",
            cli("secret", "rm", kept.name), "Remove",
        )  # fmt: skip

        def answered(yes: bool | None) -> None:
            if yes:
                self.begin(partial(self._remove, kept.name), "remove")

        self.owner.push_screen(question, answered)

    async def _remove(self, name: str) -> None:
        await self.desk.delete_secret(name)
        self.notify(f"removed {name}", markup=False)
        await self._read()

    def spellings(self) -> list[Spelling]:
        item = self._at()
        if isinstance(item, Secret):
            return [Spelling("as CLI", cli("secret", "get", item.name))]
        if isinstance(item, Provider):
            return [Spelling("as CLI", cli("secret", "load", item.name))]
        return [Spelling("as CLI", cli("secret", "ls"))]

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def _name(item: Item) -> str:
    return item.name


def secret_card(secret: Secret, values: Values) -> Card:
    """What is known of a secret; its values where they were asked for."""
    card = Card()
    for field in secret.fields:
        value = values.get(field)
        card.fact(field, value.reveal() if value else MASK, "warn" if value else "quiet")
    if values:
        card.line(f"hidden again after {SHOWN_S:g} s, or with x", "quiet")
    card.heading("Kept")
    card.fact("provider", secret.provider or "nobody's")
    card.fact("version", f"{secret.version} of {secret.versions}")
    return card.fact("saved", moment(secret.saved_at))


def provider_card(provider: Provider) -> Card:
    """Where a provider's credentials are, and that they are not kept yet."""
    card = Card().line("On this machine, but not kept: l keeps it sealed", "accent")
    card.heading("Looked for in")
    for place in (*provider.places, *provider.variables):
        found = place == provider.found
        card.line(f"{'✓' if found else ' '} {place}", "good" if found else "quiet")
    return card
