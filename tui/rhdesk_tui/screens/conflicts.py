"""Writes that cannot stand beside another's, and writes the store refused: what waits for a person."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from rhdesk.models import Conflict, Record, Rejected
from rhdesk_tui.filtering import Filter
from rhdesk_tui.messages import OfferCopies, ShowConflict
from rhdesk_tui.page import Page
from rhdesk_tui.screens.confirm import Confirm
from rhdesk_tui.spellings import Spelling, as_config, cli
from rhdesk_tui.widgets.resource_list import Cell, Column, Listed, ResourceList, Row
from rhdesk_tui.wording import age, many, say_conflict

_COLUMNS = (
    Column("WAITS", 10), Column("NAME", 18, flex=True), Column("WHY", 24, flex=True, keep=5),
    Column("BY", 8, keep=3), Column("SINCE", 5, right=True, keep=4),
)  # fmt: skip

_SAVE_AS = "save it as:"

Waiting = Conflict | Rejected


class ConflictsScreen(Page):
    CSS_PATH = "conflicts.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", id="conflicts.copy"),
        Binding("c", "save_as", "Save elsewhere", id="conflicts.save_as"),
        Binding("ctrl+d", "drop", "Drop", id="conflicts.drop"),
        Binding("R", "reload", "Refresh", id="conflicts.reload", show=False),
    ]

    def compose_body(self) -> ComposeResult:
        with Vertical(id="waiting", classes="pane"):
            yield ResourceList()
            yield Static("◐ looking…", id="note")

    def path(self) -> tuple[str, ...]:
        return ("Conflicts",)

    def on_mount(self) -> None:
        self._items: dict[str, Waiting] = {}
        self._saving: Rejected | None = None
        """What is being saved elsewhere, wherever the cursor is by then."""
        self.query_one(ResourceList).focus()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.action_reload()

    def action_reload(self) -> None:
        self.begin(self._read, "read")

    async def _read(self) -> None:
        conflicts, rejected = await self.desk.conflicts(), await self.desk.rejected()
        items: list[Waiting] = [*conflicts, *rejected]
        self._items = {_key(item): item for item in items}
        listing = self.query_one(ResourceList)
        listing.show(_COLUMNS, Listed(items, self._row, _key), shown=Filter(""))
        listing.display = bool(items)
        note = self.query_one("#note", Static)
        note.display = not items
        note.update(
            Content(
                "Nothing waits for you. When you and somebody else change the same field of a name "
                "in the store, both writes are kept here until you decide."
            )
        )
        pane = self.query_one("#waiting")
        pane.border_title = f"{many(len(conflicts), 'conflict')}, {len(rejected)} refused"
        self.refresh_bindings()
        await self.look_at_store()

    def _row(self, item: Waiting) -> Row:
        if isinstance(item, Conflict):
            why = say_conflict(item)
            cells = (Cell("≠ conflict", "warn"), Cell(item.name, "strong"), Cell(why))
            return Row(
                _key(item), (*cells, Cell(item.author, "quiet"), Cell(age(item.at, self.now())))
            )
        cells = (Cell("✖ refused", "bad"), Cell(item.name, "strong"), Cell(item.reason))
        return Row(_key(item), (*cells, Cell(""), Cell(age(item.at, self.now()))))

    def _item(self) -> Waiting | None:
        key = self.query_one(ResourceList).key
        return self._items.get(key) if key else None

    def on_resource_list_opened(self, event: ResourceList.Opened) -> None:
        item = self._items[event.key]
        if isinstance(item, Conflict):
            self.post_message(ShowConflict(item))
        else:
            self.action_copy()

    def on_resource_list_highlighted(self, event: ResourceList.Highlighted) -> None:
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        item = self._item() if self.is_mounted else None
        if action == "drop":
            return isinstance(item, Rejected)
        if action == "save_as":
            return isinstance(item, Rejected) and item.fields is not None
        return super().check_action(action, parameters)

    def action_save_as(self) -> None:
        item = self._item()
        if isinstance(item, Rejected):
            self._saving = item
            self.ask(_SAVE_AS, text=f"~/{item.name.rpartition('/')[2]}")

    def entered(self, sign: str, text: str) -> None:
        if sign == _SAVE_AS and text and self._saving is not None:
            self.begin(partial(self._save_as, self._saving, text), "save")
        else:
            super().entered(sign, text)

    async def _save_as(self, item: Rejected, name: str) -> None:
        """Save what was refused under a name that may be written; it is only forgotten then."""
        config = dict(item.fields or {})
        kind = str(config.get("resource_type", "resource"))
        record = Record(name=name, resource_type=kind, config=config)
        saved = await self.desk.save(
            record, overwrite=False, note=f"what {item.name} was not allowed to say"
        )
        await self.desk.drop_rejected(item.op_id)
        self.notify(f"saved as {saved.name}")
        await self._read()

    def action_drop(self) -> None:
        item = self._item()
        if not isinstance(item, Rejected):
            return
        question = Confirm(
            f"Drop the refused write to {item.name}?",
            "What you wrote is gone then. c saves it under another name first.",
            cli("rejected", "--drop", item.op_id), "Drop",
        )  # fmt: skip

        def answered(yes: bool | None) -> None:
            if yes:
                self.begin(partial(self._drop, item), "drop")

        self.owner.push_screen(question, answered)

    async def _drop(self, item: Rejected) -> None:
        await self.desk.drop_rejected(item.op_id)
        self.notify(f"dropped the refused write to {item.name}")
        await self._read()

    def spellings(self) -> list[Spelling]:
        item = self._item()
        if item is None:
            return [Spelling("as CLI", cli("conflicts"))]
        config = item.ours if isinstance(item, Conflict) else item.fields
        found = [Spelling("what you wrote, as JSON", as_config(config))]
        if isinstance(item, Conflict):
            found.append(Spelling("as CLI", cli("conflicts", item.conflict_id)))
        else:
            found.append(Spelling("as CLI", cli("rejected")))
        return found

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def _key(item: Waiting) -> str:
    return item.conflict_id if isinstance(item, Conflict) else item.op_id
