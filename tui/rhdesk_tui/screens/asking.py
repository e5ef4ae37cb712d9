"""Questions for a person while a machine is connected to: is this its key, a passphrase."""

from __future__ import annotations

import asyncio
from typing import ClassVar, TypeVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from rhdesk.foreign import clean

T = TypeVar("T")


class ScreenAsks:
    """Satisfies `rhdesk.ports.Asks` with dialogs over whatever screen is open."""

    def __init__(self, app: App[None]) -> None:
        self._app = app
        self._turn = asyncio.Lock()
        """One question at a time: several hosts may ask."""

    async def trust_host(self, host: str, key_type: str, fingerprint: str, note: str) -> bool:
        trusted = await self._ask(TrustHost(host, key_type, fingerprint, note))
        return trusted is True

    async def secret(self, prompt: str) -> str | None:
        return await self._ask(TypeSecret(prompt)) or None

    async def _ask(self, question: ModalScreen[T]) -> T | None:
        async with self._turn:
            answer: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()

            def answered(given: T | None) -> None:
                if not answer.done():
                    answer.set_result(given)

            self._app.push_screen(question, answered)
            return await answer


class TrustHost(ModalScreen[bool]):
    """A host that was never connected to shows its key; No has the focus."""

    CSS_PATH = "asking.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "answer(False)", "No", id="trust.no"),
        Binding("left,right,h,l", "app.focus_next", "Other", id="trust.other", show=False),
    ]

    def __init__(self, host: str, key_type: str, fingerprint: str, note: str) -> None:
        super().__init__()
        self._host, self._kind, self._fingerprint, self._note = (
            clean(host), clean(key_type), clean(fingerprint), clean(note),
        )  # fmt: skip

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Content.styled(f"Is this {self._host}'s key?", "bold"))
            yield Static(
                Content.assemble(
                    f"{self._note} was never connected to from here. It shows\n",
                    (f"{self._kind}\n{self._fingerprint}", "$accent"),
                ),
                id="key",
            )
            yield Static(
                Content(
                    "Somebody in between could show another. Compare it with the host's own, seen "
                    "there:"
                )
            )
            yield Static(
                Content.styled("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub", "$accent"),
                id="cli",
            )
            with Horizontal(id="buttons"):
                yield Button("No", id="no", compact=True)
                yield Button("It is the same", id="yes", variant="warning", compact=True)

    def on_mount(self) -> None:
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class TypeSecret(ModalScreen[str]):
    """A passphrase, password or code; what is typed is not shown, and kept nowhere."""

    CSS_PATH = "asking.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", id="type_secret.cancel"),
    ]

    def __init__(self, prompt: str) -> None:
        super().__init__()
        self._prompt = clean(prompt)

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Content.styled(self._prompt, "bold"))
            yield Input(placeholder="not shown, kept nowhere", password=True, compact=True)
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Go on", id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    @on(Button.Pressed, "#yes")
    def _typed(self) -> None:
        self.dismiss(self.query_one(Input).value)

    @on(Button.Pressed, "#cancel")
    def action_leave(self) -> None:
        self.dismiss("")
