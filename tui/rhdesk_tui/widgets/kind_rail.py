"""The kinds of things there are: a row of them on narrow terminals, a column on wide ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from rhdesk_tui.wording import count

_SHORT: Final = {"functions": "Fns", "modules": "Mods", "objects": "Objs", "resources": "All"}


class KindEntry(NamedTuple):
    word: str
    title: str
    digit: str
    amount: int | None


class KindRail(Widget):
    DEFAULT_CSS = """
    KindRail { height: 1; padding: 0 1; background: $background; }
    """

    entries: reactive[tuple[KindEntry, ...]] = reactive[tuple[KindEntry, ...]](())
    chosen: reactive[str] = reactive("")
    jobs: reactive[tuple[str, ...]] = reactive[tuple[str, ...]](())

    @dataclass
    class Chosen(Message):
        word: str

    def __init__(self, *, stacked: bool, id: str | None = None) -> None:
        super().__init__(id=id)
        self._stacked = stacked

    def render(self) -> Content:
        return self._column() if self._stacked else self._row()

    def on_click(self, event: events.Click) -> None:
        if self._stacked:
            if 0 <= event.y - 1 < len(self.entries):
                self.post_message(self.Chosen(self.entries[event.y - 1].word))
            return
        at = 1
        for entry, text in zip(self.entries, self._fitting(), strict=True):
            if at <= event.x < at + len(text):
                self.post_message(self.Chosen(entry.word))
            at += len(text) + 2

    def _fitting(self) -> Sequence[str]:
        room = self.size.width
        labels = self._labels()
        if sum(len(label) + 2 for label in labels) - 2 > room:
            labels = self._short()
        if sum(len(label) + 2 for label in labels) - 2 > room:
            labels = [
                f"{e.digit} {e.title.removesuffix(' names')}"
                + (_count(e.amount) if e.word == self.chosen else "")
                for e in self.entries
            ]
        return labels

    def _labels(self) -> Sequence[str]:
        return [
            f"{e.digit} {e.title.removesuffix(' names')}" + _count(e.amount) for e in self.entries
        ]

    def _short(self) -> Sequence[str]:
        return [
            f"{e.digit} {_SHORT.get(e.word, e.title)}" + _count(e.amount) for e in self.entries
        ]

    def _row(self) -> Content:
        parts: list[tuple[str, str]] = []
        labels = self._fitting()
        for entry, label in zip(self.entries, labels, strict=True):
            style = "bold reverse $primary" if entry.word == self.chosen else "$quiet"
            parts += [(f"{label}", style), ("  ", "")]
        return Content.assemble(*parts)

    def _column(self) -> Content:
        room = self.size.width - 1
        lines: list[Content] = [Content.styled("KINDS", "bold $quiet")]
        for entry in self.entries:
            number = "" if entry.amount is None else count(entry.amount)
            label = f"{entry.digit} {entry.title}".ljust(max(room - len(number), 1)) + number
            style = "bold $foreground on $row" if entry.word == self.chosen else ""
            lines.append(Content.styled(label, style))
        lines += [Content(""), Content.styled("JOBS", "bold $quiet")]
        lines += [Content(job[:room]) for job in self.jobs] or [Content.styled("none", "$quiet")]
        lines += [Content(""), Content.styled("ALSO", "bold $quiet")]
        for key, what in (("M", "messages"), (":", "command"), ("/", "filter"), ("?", "keys")):
            lines.append(Content.assemble((key, "bold $key"), f" {what}"))
        return Content("\n").join(lines)


def _count(number: int | None) -> str:
    return "" if number is None else f" {count(number)}"
