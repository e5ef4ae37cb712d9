"""Adding a machine: an alias of ~/.ssh/config, or a host typed in."""

from __future__ import annotations

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from rhdesk.desk import AsyncDesk
from rhdesk.errors import RhdeskError
from rhdesk.foreign import clean, clean_block


class AddMachine(ModalScreen[str]):
    """Gives the name of the cluster that was added; it is not up yet."""

    CSS_PATH = "add_machine.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", id="add_machine.cancel"),
        Binding("down", "alias(1)", "Next alias", id="add_machine.next", show=False,
                priority=True),
        Binding("up", "alias(-1)", "Alias before", id="add_machine.previous", show=False,
                priority=True),
    ]  # fmt: skip

    def __init__(self, desk: AsyncDesk, host: str = "") -> None:
        super().__init__()
        self._desk = desk
        self._host = host
        self._aliases: list[str] = []
        self._added: set[str] = set()
        self._typed = host
        """What a person typed; moving through the aliases shows another."""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Static(Content.styled("Add a machine", "bold"))
            yield Static("An alias of ~/.ssh/config, ada@10.0.0.3, ada@gpubox:2222",
                         id="what")  # fmt: skip
            yield Input(clean(self._host), placeholder="host", id="host", compact=True)
            yield OptionList(id="aliases", compact=True)
            yield Static("◐ reading ~/.ssh/config…", id="note")
            yield Input(placeholder="called as the host is", id="name", compact=True)
            yield Static(id="cli")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Bring up", id="yes", variant="primary", compact=True)

    def on_mount(self) -> None:
        self.query_one("#aliases", OptionList).can_focus = False
        self.query_one("#host").focus()
        self._spell()
        self._read()

    @work(exit_on_error=False)
    async def _read(self) -> None:
        try:
            self._aliases = await self._desk.hosts()
            self._added = set(await self._desk.cluster_names())
        except RhdeskError as exc:
            self._say(str(exc), wrong=True)
            return
        self._say("" if self._aliases else "~/.ssh/config names no host; type one.")
        self._offer()

    def _offer(self) -> None:
        """The aliases that fit what is typed."""
        listing = self.query_one("#aliases", OptionList)
        word = self._typed.strip().lower()
        fit = [alias for alias in self._aliases if word in alias.lower()]
        listing.set_options([self._option(alias) for alias in fit])
        listing.display = bool(fit)

    def _option(self, alias: str) -> Option:
        note = "  a cluster already" if alias in self._added else ""
        return Option(Content.assemble(clean(alias), (note, "$quiet")), id=alias)

    def action_alias(self, by: int) -> None:
        listing = self.query_one("#aliases", OptionList)
        if not listing.option_count:
            return
        at = -1 if listing.highlighted is None else listing.highlighted
        listing.highlighted = max(0, min(at + by, listing.option_count - 1))
        self._take(listing.get_option_at_index(listing.highlighted).id)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self._take(event.option.id)
        self.query_one("#host").focus()

    def _take(self, alias: str | None) -> None:
        line = self.query_one("#host", Input)
        with self.prevent(Input.Changed):
            line.value = alias or ""
        line.cursor_position = len(line.value)
        self._spell()

    @on(Input.Changed, "#host")
    def _typing(self, event: Input.Changed) -> None:
        self._typed = event.value
        self._say("")
        self._offer()
        self._spell()

    @on(Input.Changed, "#name")
    def _spell(self) -> None:
        host, name = (self.query_one(w, Input).value.strip() for w in ("#host", "#name"))
        spelled = f"rhdesk up {name} {host}" if name else f"rhdesk up {host or 'HOST'}"
        self.query_one("#cli", Static).update(
            Content.assemble(("CLI  ", "$quiet"), (clean(spelled), "$accent"))
        )

    def _say(self, text: str, *, wrong: bool = False) -> None:
        note = self.query_one("#note", Static)
        note.set_class(wrong, "-wrong")
        note.update(Content(clean_block(f"✖ {text}" if wrong else text)))
        note.display = bool(text)

    @on(Input.Submitted)
    @on(Button.Pressed, "#yes")
    def _asked(self) -> None:
        host, name = (self.query_one(w, Input).value.strip() for w in ("#host", "#name"))
        if not host:
            self._say("say which machine: gpubox, or ada@10.0.0.3", wrong=True)
            self.query_one("#host").focus()
        elif not name and host in self._added:
            self.dismiss(host)
        else:
            self._say(f"◐ looking up {host}…")
            self._add(host, name)

    @work(exclusive=True, group="add", exit_on_error=False)
    async def _add(self, host: str, name: str) -> None:
        try:
            called = await self._desk.add_host(host, name=name)
        except RhdeskError as exc:
            self._say(str(exc), wrong=True)
            self.query_one("#host").focus()
        else:
            self.dismiss(called)

    @on(Button.Pressed, "#cancel")
    def action_leave(self) -> None:
        self.dismiss(None)
