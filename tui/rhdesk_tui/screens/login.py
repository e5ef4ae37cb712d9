"""An address and a token: what logging in to a store takes. The token is never shown."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static


class Login(ModalScreen[tuple[str, str]]):
    CSS_PATH = "login.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", id="login.cancel"),
    ]

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Content.styled("Log in to a store", "bold"))
            yield Input(placeholder="https://store.example.org", id="url", compact=True)
            yield Input(placeholder="token: rhd_user_…", password=True, id="token", compact=True)
            yield Static(
                Content.assemble(("CLI  ", "$quiet"), ("rhdesk login URL", "$accent")), id="cli"
            )
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Log in", id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        self.query_one("#url").focus()

    @on(Input.Submitted, "#url")
    def _to_token(self) -> None:
        self.query_one("#token").focus()

    @on(Input.Submitted, "#token")
    @on(Button.Pressed, "#yes")
    def _log_in(self) -> None:
        url, token = (self.query_one(where, Input) for where in ("#url", "#token"))
        for empty in (url, token):
            if not empty.value.strip():
                empty.focus()
                return
        self.dismiss((url.value.strip(), token.value.strip()))

    @on(Button.Pressed, "#cancel")
    def action_leave(self) -> None:
        self.dismiss(None)
