"""One conflict: both sides of each field, and the choice between them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content

from rhdesk.foreign import clean
from rhdesk.models import Conflict, Record, unit_of
from rhdesk.three_way import at
from rhdesk_tui.cards import Card, config_value
from rhdesk_tui.filtering import Filter
from rhdesk_tui.messages import OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, as_config, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.widgets.resource_list import Cell, Column, Listed, ResourceList, Row
from rhdesk_tui.wording import many, say_conflict
from rhdesk_tui.workplace import Workplace

WHOLE = ""
"""The one row of a conflict in which a side is not there at all."""

_COLUMNS = (
    Column("FIELD", 14, flex=True), Column("OURS", 14, flex=True, keep=8),
    Column("THEIRS", 14, flex=True, keep=8), Column("TAKE", 8),
)  # fmt: skip


class ConflictScreen(Page):
    CSS_PATH = "conflict.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "other", "Other side", id="conflict.other", key_display="space"),
        Binding("o", "all('ours')", "All ours", id="conflict.ours"),
        Binding("t", "all('theirs')", "All theirs", id="conflict.theirs"),
        Binding("a", "apply", "Apply", id="conflict.apply"),
        Binding("c", "copy_to", "Ours elsewhere", id="conflict.copy_to"),
        Binding("U", "undo", "Undo", id="conflict.undo"),
        Binding("y", "copy", "Copy", id="conflict.copy", show=False),
    ]

    def __init__(self, workplace: Workplace, conflict: Conflict) -> None:
        super().__init__(workplace)
        self._conflict = conflict
        self._taken = dict.fromkeys(conflict.fields or (WHOLE,), "theirs")
        self._is_decided = False

    def compose_body(self) -> ComposeResult:
        with Container(id="halves"):
            with Vertical(id="fields", classes="pane"):
                yield ResourceList()
            with VerticalScroll(id="sides", classes="pane"):
                yield CardView()

    def path(self) -> tuple[str, ...]:
        return ("Conflicts", self._conflict.name)

    def on_mount(self) -> None:
        self.query_one(ResourceList).focus()
        self._draw()

    def _draw(self) -> None:
        rows = Listed(list(self._taken), self._row, lambda pointer: pointer or "/")
        self.query_one(ResourceList).show(_COLUMNS, rows, shown=Filter(""))
        pane = self.query_one("#fields")
        pane.border_title = Content(clean(say_conflict(self._conflict)))
        pane.border_subtitle = (
            "decided · U undoes it" if self._is_decided
            else f"{many(len(self._taken), 'choice')} · space changes · a applies"
        )  # fmt: skip
        self._draw_sides()
        self.refresh_bindings()

    def _row(self, pointer: str) -> Row:
        taken = self._taken[pointer]
        ours, theirs = (self._told(side, pointer) for side in ("ours", "theirs"))
        return Row(
            pointer or "/",
            (
                Cell(pointer or "all of it", "strong"),
                Cell(ours, "good" if taken == "ours" else "quiet"),
                Cell(theirs, "good" if taken == "theirs" else "quiet"),
                Cell(f"◂ {taken}" if taken == "ours" else f"▸ {taken}", "accent"),
            ),
        )

    def _told(self, side: str, pointer: str) -> str:
        fields: Mapping[str, Any] | None = getattr(self._conflict, side)
        if fields is None:
            return "(deleted)" if side == "ours" or self._conflict.base else "(not there)"
        if pointer == WHOLE:
            return f"a {fields.get('resource_type', 'resource')}"
        found = at(fields, pointer)
        return "(not there)" if found is None else config_value(found.value).replace("\n", " ")

    def _pointer(self) -> str | None:
        key = self.query_one(ResourceList).key
        return None if key is None else (WHOLE if key == "/" else key)

    def on_resource_list_highlighted(self, event: ResourceList.Highlighted) -> None:
        self._draw_sides()

    def on_resource_list_opened(self, event: ResourceList.Opened) -> None:
        self.action_other()

    def _draw_sides(self) -> None:
        pointer = self._pointer()
        card = Card()
        pane = self.query_one("#sides")
        if pointer is not None:
            pane.border_title = Content(clean(pointer or self._conflict.name))
            for side, title in (
                ("ours", "Ours, saved here"),
                ("theirs", f"Theirs{f', by {self._conflict.author}' if self._conflict.author else ''}"),
                ("base", "Before both"),
            ):  # fmt: skip
                fields: Mapping[str, Any] | None = getattr(self._conflict, side)
                card.heading(title)
                found = at(fields, pointer) if fields is not None else None
                if found is None:
                    card.line("not there", "quiet")
                else:
                    card.line(
                        config_value(found.value), "good" if side == self._taken[pointer] else ""
                    )
        self.query_one(CardView).show(card)

    # ---- deciding

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"other", "all", "apply", "copy_to"}:
            return not self._is_decided
        if action == "undo":
            return self._is_decided
        return super().check_action(action, parameters)

    def action_other(self) -> None:
        pointer = self._pointer()
        if pointer is not None and not self._is_decided:
            other = "ours" if self._taken[pointer] == "theirs" else "theirs"
            together = {p for p in self._taken if p and pointer and unit_of(p) == unit_of(pointer)}
            self._taken |= dict.fromkeys(together or {pointer}, other)
            self._draw()

    def action_all(self, side: str) -> None:
        self._taken = dict.fromkeys(self._taken, side)
        self._draw()

    def action_apply(self) -> None:
        self.begin(self._apply, "apply")

    async def _apply(self) -> None:
        sides = set(self._taken.values())
        if len(sides) == 1:
            made = await self.desk.resolve(self._conflict.conflict_id, take=sides.pop())
        else:
            made = await self.desk.resolve(self._conflict.conflict_id, fields=self._taken)
        await self._decided(made)

    def action_copy_to(self) -> None:
        self.ask("save ours as:", text=f"{self._conflict.name}-mine")

    def entered(self, sign: str, text: str) -> None:
        if sign == "save ours as:" and text:
            self.begin(partial(self._copy_to, text), "apply")
        else:
            super().entered(sign, text)

    async def _copy_to(self, name: str) -> None:
        await self._decided(await self.desk.resolve(self._conflict.conflict_id, copy_to=name))

    async def _decided(self, made: Record | None) -> None:
        self._is_decided = True
        now = f"{made.name} is at {made.version[:8]}" if made else f"{self._conflict.name} is gone"
        self.notify(f"decided: {now}; U undoes it")
        self._draw()
        await self.look_at_store()

    def action_undo(self) -> None:
        self.begin(self._undo, "undo")

    async def _undo(self) -> None:
        self._conflict = await self.desk.reopen(self._conflict.conflict_id)
        self._is_decided = False
        self.notify(
            f"{self._conflict.name} waits for you again; what was decided is in its history"
        )
        self._draw()
        await self.look_at_store()

    def spellings(self) -> list[Spelling]:
        conflict = self._conflict
        chosen = [f"--field={p}={side}" for p, side in self._taken.items() if p != WHOLE]
        whole = set(self._taken.values())
        words = ["--take", *whole] if len(whole) == 1 else chosen
        return [
            Spelling("as CLI", cli("conflicts", conflict.conflict_id, *words)),
            Spelling("ours as JSON", as_config(conflict.ours)),
            Spelling("theirs as JSON", as_config(conflict.theirs)),
        ]

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))
