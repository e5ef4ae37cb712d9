"""A question before something that cannot be taken back; Cancel has the focus."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from rhdesk.foreign import clean


class Confirm(ModalScreen[bool]):
    CSS_PATH = "confirm.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "answer(False)", "Cancel", id="confirm.cancel"),
        Binding("left,right,h,l", "app.focus_next", "Other", id="confirm.other", show=False),
    ]

    def __init__(self, question: str, consequences: str, spelled: str, verb: str) -> None:
        """Ask.

        Args:
            question: What would be done, on which name.
            consequences: What goes and what stays.
            spelled: The same as a command.
            verb: On the button that does it.
        """
        super().__init__()
        self._question = question
        self._consequences = consequences
        self._spelled = spelled
        self._verb = verb

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Content.styled(clean(self._question), "bold"), id="question")
            yield Static(Content(clean(self._consequences)), id="consequences")
            yield Static(
                Content.assemble(("CLI  ", "$quiet"), (clean(self._spelled), "$accent")), id="cli"
            )
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button(self._verb, id="yes", variant="error", compact=True)

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
