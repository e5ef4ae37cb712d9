"""A name, a field and a value: what keeping a secret takes. The value is never shown."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from rhdesk.models import SecretText


class Typed(NamedTuple):
    name: str
    field: str
    value: SecretText


class KeepSecret(ModalScreen[Typed]):
    CSS_PATH = "keep_secret.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", id="keep_secret.cancel"),
    ]

    def __init__(self, name: str = "", field: str = "") -> None:
        """
        Args:
            name: Of the secret, where it is known: its next version is kept.
            field: The field's name, likewise.
        """
        super().__init__()
        self._known = (name, field)

    def compose(self) -> ComposeResult:
        name, field = self._known
        said = f"The next version of {name}" if name else "Keep a secret"
        with Vertical(id="dialog"):
            yield Static(Content.styled(said, "bold"))
            yield Input(name, placeholder="name: openai", id="name", compact=True)
            yield Input(field, placeholder="field: api_key", id="field", compact=True)
            yield Input(placeholder="value, not shown", password=True, id="value", compact=True)
            yield Static(
                Content.assemble(("CLI  ", "$quiet"), ("rhdesk secret put NAME FIELD", "$accent")),
                id="cli",
            )
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Keep", id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        self.query_one("#value" if all(self._known) else "#name").focus()

    @on(Input.Submitted, "#name")
    @on(Input.Submitted, "#field")
    def _next(self) -> None:
        self.focus_next()

    @on(Input.Submitted, "#value")
    @on(Button.Pressed, "#yes")
    def _keep(self) -> None:
        name, field, value = (self.query_one(w, Input) for w in ("#name", "#field", "#value"))
        for empty in (name, field, value):
            if not empty.value.strip():
                empty.focus()
                return
        self.dismiss(Typed(name.value.strip(), field.value.strip(), SecretText(value.value)))

    @on(Button.Pressed, "#cancel")
    def action_leave(self) -> None:
        self.dismiss(None)
