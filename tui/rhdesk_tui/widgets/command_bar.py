"""The line that `:`, `/`, `@` and questions are typed into; it is there only while in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Label

from rhdesk.foreign import clean

Complete = Callable[[str], Sequence[str]]
"""Whole lines that continue what was typed, likeliest first."""


class _Completions(Suggester):
    def __init__(self, complete: Complete) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        found = self._complete(value) if value else ()
        return next((line for line in found if line.startswith(value)), None)


class CommandBar(Horizontal):
    """Opened with a sign that says what the line is for; says what became of it in messages."""

    DEFAULT_CSS = """
    CommandBar { height: 1; display: none; background: $panel; padding: 0 1;
        & > Label { width: auto; color: $key; text-style: bold; }
        & > Input { width: 1fr; background: $panel; padding: 0 1 0 0; }
        & > #command-note { color: $quiet; text-style: none; max-width: 50%; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", id="bar.complete"),
        Binding("up", "recall(1)", "Earlier", id="bar.earlier"),
        Binding("down", "recall(-1)", "Later", id="bar.later", show=False),
        Binding("escape", "leave", "Leave", id="bar.leave"),
    ]

    @dataclass
    class Typed(Message):
        """The line changed; sent on every key."""

        sign: str
        text: str

    @dataclass
    class Entered(Message):
        sign: str
        text: str

    @dataclass
    class Left(Message):
        """Given up with Escape."""

        sign: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.sign = ""
        self._past: dict[str, list[str]] = {}
        self._back = 0
        self._complete: Complete = lambda text: ()

    def compose(self) -> ComposeResult:
        yield Label(id="command-sign")
        yield Input(compact=True, id="command-line", select_on_focus=False)
        yield Label(id="command-note")

    def ask(
        self, sign: str, *, text: str = "", note: str = "", complete: Complete | None = None
    ) -> None:
        """Open the line.

        Args:
            sign: What stands in front, and comes back with every message.
            text: What is in it already.
            note: A word on what may be typed, at the right end.
            complete: Where completions come from.
        """
        self.sign = sign
        self._back = 0
        self._complete = complete or (lambda text: ())
        self.query_one("#command-sign", Label).update(Content(f"{sign} "))
        self.query_one("#command-note", Label).update(Content(clean(note)))
        line = self.query_one(Input)
        line.suggester = _Completions(self._complete)
        with line.prevent(Input.Changed):
            line.value = text
        line.cursor_position = len(text)
        self.display = True
        self.screen.set_focus(line)  # now: `focus()` waits, and the next key may be here already

    def note(self, text: str) -> None:
        self.query_one("#command-note", Label).update(Content(clean(text)))

    def close(self) -> None:
        self.display = False
        self.sign = ""

    @property
    def is_open(self) -> bool:
        return bool(self.display)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self.sign:
            self.post_message(self.Typed(self.sign, event.value))

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        sign, text = self.sign, event.value.strip()
        if text:
            past = self._past.setdefault(sign, [])
            if text in past:
                past.remove(text)
            past.append(text)
        self.close()
        self.post_message(self.Entered(sign, text))

    def action_leave(self) -> None:
        sign = self.sign
        self.close()
        self.post_message(self.Left(sign))

    def action_complete(self) -> None:
        line = self.query_one(Input)
        found = next(iter(self._complete(line.value)), None)
        if found is not None:
            line.value = found
            line.cursor_position = len(found)

    def action_recall(self, by: int) -> None:
        past = self._past.get(self.sign, [])
        self._back = max(0, min(self._back + by, len(past)))
        line = self.query_one(Input)
        line.value = past[-self._back] if self._back else ""
        line.cursor_position = len(line.value)

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """Clicking elsewhere closes the line as Escape does."""
        if self.is_open and not self.query_one(Input).has_focus:
            self.call_later(self._leave_if_idle)

    def _leave_if_idle(self) -> None:
        if self.is_open and self.screen.is_current and not self.query_one(Input).has_focus:
            self.action_leave()
