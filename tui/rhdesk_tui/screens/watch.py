"""Code that follows edits: what is watched, what each save became, what the cluster still runs."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from rhdesk.foreign import clean
from rhdesk.models import Synced, Watched
from rhdesk_tui.cards import Card
from rhdesk_tui.filtering import Filter
from rhdesk_tui.messages import BeginWatch, EndWatch, OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.watching import Following
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.widgets.resource_list import Cell, Column, Listed, ResourceList, Row
from rhdesk_tui.wording import STYLES, Saying, age, clock, many, size

_EVERY_S = 2.0
_COLUMNS = (
    Column("FOLDER", 16, flex=True), Column("TO", 14, keep=6), Column("STATE", 18, keep=7),
    Column("SAVES", 5, right=True, keep=3), Column("LAST", 6, right=True, keep=4),
    Column("TOOK", 7, right=True, keep=2),
)  # fmt: skip
_LESSON = (
    "No folder is watched. n watches one: what is saved in it is what the next call on the "
    "cluster uses, and a syntax error leaves the code there as it was."
)


class WatchScreen(Page):
    CSS_PATH = "watch.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "start", "Watch a folder", id="watch.start"),
        Binding("x", "stop", "Stop", id="watch.stop"),
        Binding("r", "again", "Start again", id="watch.again"),
        Binding("y", "copy", "Copy", id="watch.copy"),
    ]

    def compose_body(self) -> ComposeResult:
        with Container(id="halves"):
            with Vertical(id="watches", classes="pane"):
                yield ResourceList()
                yield Static(_LESSON, id="lesson")
            with VerticalScroll(id="saves", classes="pane"):
                yield CardView()

    def path(self) -> tuple[str, ...]:
        return ("Watch",)

    def on_mount(self) -> None:
        self._watched: dict[str, Watched] = {}
        self._found: list[Following] = []
        self.query_one("#saves").border_title = "Saves"
        self.query_one(ResourceList).focus()
        self.changed()
        self.set_interval(_EVERY_S, self.changed)

    def changed(self) -> None:
        """Draw how every watch is now."""
        if self.is_current and self.query(ResourceList):
            self.begin(self._look, "look")

    async def _look(self) -> None:
        seen = await self.desk.watched()
        self._watched = {f"{w.folder} {w.cluster} {w.env}": w for w in seen}
        own = {each.key for each in self.workplace.watches}
        kept = (Following.kept(w, partial(self._watch, w)) for w in seen if w.is_kept)
        self._found = [*self.workplace.watches, *(w for w in kept if w.key not in own)]
        found = self._found
        listing = self.query_one(ResourceList)
        listing.show(_COLUMNS, Listed(found, self._row, _key), shown=Filter(""))
        listing.display = bool(found)
        self.query_one("#lesson").display = not found
        on = sum(each.is_on for each in found)
        self.query_one("#watches").border_title = f"{many(on, 'folder')} watched"
        self._describe()
        self.refresh_bar()

    def _row(self, item: Following) -> Row:
        last = item.syncs[0] if item.syncs else None
        saying = say_watch(item)
        on = item.cluster if item.env == "base" else f"{item.cluster} {item.env}"
        return Row(
            item.key,
            (
                Cell(item.title, "strong"),
                Cell(on, "accent"),
                Cell(saying.text, saying.tone),
                Cell(str(max(len(item.syncs) - 1, 0))),
                Cell(age(last.at, self.now()) if last else "-"),
                Cell(_took(last) if last else "-"),
            ),
            dimmed=not item.is_on,
        )

    def _at(self) -> Following | None:
        key = self.query_one(ResourceList).key if self.query(ResourceList) else None
        return next((each for each in self._found if each.key == key), None)

    def on_resource_list_highlighted(self, event: ResourceList.Highlighted) -> None:
        self._describe()

    def _describe(self) -> None:
        item = self._at()
        if item is not None:
            self.query_one("#saves").border_title = Content(clean(item.title))
            card = saves_card(item, self._watched.get(item.key), self.now())
            self.query_one(CardView).show(card)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        item = self._at() if self.is_mounted else None
        if action == "stop":
            return item is not None and item.is_on
        if action == "again":
            return item is not None and not item.is_on
        if action == "copy":
            return item is not None
        return super().check_action(action, parameters)

    def action_start(self) -> None:
        up = [name for name in self.workplace.up if name != "here"] or ["here"]
        note = "FOLDER [CLUSTER [ENV]]   Enter watches"
        self.ask("watch", text=shlex.join((str(Path.cwd()), up[0])), note=note)

    def entered(self, sign: str, text: str) -> None:
        if sign.startswith("watch"):
            self.post_message(BeginWatch(text))
        else:
            super().entered(sign, text)

    def action_stop(self) -> None:
        item = self._at()
        if item is not None and item.by_daemon:
            self.begin(partial(self._drop, item), "stop")
        elif item is not None:
            self.post_message(EndWatch(item))

    async def _drop(self, item: Following) -> None:
        await self.desk.drop_watch(item.folder, on=item.cluster)
        await self._look()

    def _watch(self, kept: Watched) -> AsyncGenerator[Synced]:
        return self.desk.watch(kept.folder, on=kept.cluster, env=kept.env, files=kept.files)

    def action_again(self) -> None:
        if (item := self._at()) is not None:
            again = shlex.join((item.folder, item.cluster, item.env))
            self.post_message(BeginWatch(again))

    def spellings(self) -> list[Spelling]:
        item = self._at()
        if item is None:
            return []
        env = () if item.env == "base" else ("--env", item.env)
        found = [
            Spelling("as CLI", cli("watch", item.folder, "--on", item.cluster, *env)),
            Spelling("folder", item.folder),
        ]
        if item.syncs and item.syncs[0].error:
            found.append(Spelling("error", item.syncs[0].error))
        return found

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def _key(item: Following) -> str:
    return item.key


def _took(synced: Synced) -> str:
    took = synced.took_s
    return f"{took * 1000:.0f} ms" if took < 1 else f"{took:.1f} s"


def say_watch(item: Following) -> Saying:
    """Whether what is saved is what the cluster runs."""
    if item.error:
        return Saying("✖ ended", "bad")
    if not item.is_on:
        return Saying("■ stopped", "quiet")
    if not item.syncs:
        return Saying("◐ first look", "accent")
    return Saying("≠ old code serves", "warn") if item.syncs[0].error else Saying("≡ live", "good")


def saves_card(item: Following, seen: Watched | None, now: datetime) -> Card:
    """One watch in full: how it stands, then each save, newest first."""
    card = Card().fact("folder", item.folder, "strong")
    card.fact("to", f"{item.cluster}  env {item.env}", "accent").state("state", say_watch(item))
    if item.by_daemon:
        card.fact("by", "the daemon, also when this app ends", "quiet")
    if item.error:
        card.fact("ended", item.error, "bad").fact("next", "r starts it again")
    if seen is not None:
        polls = seen.how != "events"
        how = f"looked at again and again: {seen.why}" if polls else "told by the system"
        card.fact("noticed", how, "warn" if polls else "quiet")
    newest = item.syncs[0] if item.syncs else None
    if newest is not None and newest.error:
        good = next((each for each in item.syncs if not each.error), None)
        since = f" as of {age(good.at, now)} ago" if good else ""
        card.fact("serves", f"the code there is still what it was{since}; the next save that can "
                  "be taken heals it", "warn")  # fmt: skip
    card.heading("Saves")
    for synced in item.syncs:
        _save(card, synced)
    if not item.syncs:
        card.line("◐ comparing the folder with what the cluster has…", "quiet")
    return card


def _save(card: Card, synced: Synced) -> None:
    saying = Saying("✖", "bad") if synced.error else Saying("✓", "good")
    what = ", ".join(synced.changed[:3]) or "how it is now"
    more = f" +{len(synced.changed) - 3}" if len(synced.changed) > 3 else ""
    told: list[str] = []
    if synced.sent_files or synced.sent_bytes:
        told.append(f"{many(synced.sent_files, 'file')}, {size(synced.sent_bytes)} sent")
    if synced.held_back:
        told.append(f"{synced.held_back} held back")
    if synced.files:
        told.append(f"{synced.files} in the tree")
    card.row(
        Content.assemble(
            (f"{saying.text} ", STYLES[saying.tone]),
            (f"{clock(synced.at.timestamp())[:8]} ", STYLES["quiet"]),
            f"{_took(synced):>7}  ",
            (clean(what + more), "bold"),
            (f"  {', '.join(told)}" if told else "", STYLES["quiet"]),
        )
    )
    if synced.error:
        card.line(synced.error, "bad")
