"""Which machine a secret is written on, where its provider looks for it there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Static

from rhdesk.foreign import clean


class SendSecret(ModalScreen[str]):
    CSS_PATH = "login.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", id="send.cancel"),
    ]

    def __init__(self, name: str, clusters: Sequence[str]) -> None:
        super().__init__()
        self._name, self._clusters = clean(name), [clean(each) for each in clusters]

    def compose(self) -> ComposeResult:
        known = ", ".join(self._clusters[:6]) or "none is known yet: any host of ~/.ssh/config"
        with Vertical(id="dialog"):
            yield Static(Content.styled(f"Write {self._name} on another machine", "bold"))
            yield Static(
                Content.assemble(
                    "It stays there, where its provider's library looks for it.\n",
                    (known, "$quiet"),
                )
            )
            yield Input(
                placeholder="gpubox",
                id="on",
                compact=True,
                suggester=SuggestFromList(self._clusters, case_sensitive=False),
            )
            command = f"rhdesk secret send {self._name} --on CLUSTER"
            yield Static(Content.assemble(("CLI  ", "$quiet"), (command, "$accent")), id="cli")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Write", id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        self.query_one("#on").focus()

    @on(Input.Submitted, "#on")
    @on(Button.Pressed, "#yes")
    def _send(self) -> None:
        if on_ := self.query_one("#on", Input).value.strip():
            self.dismiss(on_)

    @on(Button.Pressed, "#cancel")
    def action_leave(self) -> None:
        self.dismiss(None)
