"""What every full screen has in common: a desk, a banner, and work that cannot crash the app."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, ClassVar, cast

from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.worker import Worker, WorkerState

from rhdesk.errors import RhdeskError
from rhdesk.foreign import clean
from rhdesk_tui.commands import complete, hint
from rhdesk_tui.messages import TypedCommand
from rhdesk_tui.spellings import Spelling
from rhdesk_tui.widgets.banner import Banner
from rhdesk_tui.widgets.command_bar import CommandBar, Complete
from rhdesk_tui.widgets.key_hints import KeyHints
from rhdesk_tui.widgets.top_bar import TopBar
from rhdesk_tui.wording import Saying
from rhdesk_tui.workplace import Workplace

SMALLEST = (60, 16)

Work = Callable[[], Coroutine[Any, Any, None]]
"""Started only when its turn comes: a coroutine that is never awaited would be a leak."""


class Page(Screen[None]):
    """A screen over a desk; subclasses yield what is between the bars in `compose_body`."""

    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - the base class declares it as an instance's
        (0, "-narrow"), (100, "-medium"), (120, "-wide"),
    ]  # fmt: skip
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-short"), (20, "-low"), (30, "-tall"),
    ]  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="page.back", show=False),
        Binding("q", "close", "Back", id="page.close", show=False),
        Binding(
            "colon",
            "command",
            "Command",
            id="page.command",
            key_display=":",
            show=False,
            priority=True,
        ),
    ]

    def __init__(self, workplace: Workplace) -> None:
        super().__init__()
        self.workplace = workplace
        self.desk = workplace.desk
        self.now = workplace.now
        self._asker: Widget | None = None

    def compose(self) -> ComposeResult:
        yield TopBar()
        yield Banner()
        yield from self.compose_body()
        yield CommandBar(id="bar")
        yield KeyHints()
        yield Static(id="tiny")

    def compose_body(self) -> ComposeResult:
        raise NotImplementedError

    def path(self) -> tuple[str, ...]:
        """Where this screen is, from the outside in."""
        raise NotImplementedError

    def truth(self) -> tuple[Saying, ...]:
        """How things stand; the most important first."""
        return self.workplace.truth()

    def spellings(self) -> list[Spelling]:
        """What the copy menu offers here."""
        return []

    def changed(self) -> None:
        """What the screen shows was changed from elsewhere; subclasses read it again."""

    def refresh_bar(self) -> None:
        bar = self.query_one(TopBar)
        bar.path = self.path()
        bar.truth = self.truth()

    async def look_at_store(self) -> None:
        """Say in the bar how things stand to the store now."""
        self.workplace.store = await self.desk.store_state()
        self.refresh_bar()

    def begin(self, work: Work, group: str, *, exclusive: bool = True) -> Worker[None]:
        """Start work that ends with the screen; what goes wrong in it ends up in the banner."""
        return self.run_worker(
            partial(self._guarded, work), group=group, exclusive=exclusive, exit_on_error=False
        )

    async def _guarded(self, work: Work) -> None:
        try:
            await work()
        except RhdeskError as exc:
            self.complain(str(exc))

    # ---- the line at the bottom

    @property
    def bar(self) -> CommandBar:
        return self.query_one(CommandBar)

    def action_command(self) -> None:
        self.ask(":", complete=self._completions)

    def _completions(self, typed: str) -> Sequence[str]:
        return complete(typed, self.workplace)

    def ask(
        self,
        sign: str,
        *,
        text: str = "",
        note: str = "",
        complete: Complete | None = None,
    ) -> None:
        """Open the line; whatever becomes of it, what had the focus gets it back."""
        self._asker = self.focused
        self.bar.ask(sign, text=clean(text), note=note, complete=complete)

    def entered(self, sign: str, text: str) -> None:
        """A line was typed to its end; subclasses know the signs they asked with."""
        if sign == ":" and text:
            self.post_message(TypedCommand(text))

    def left(self, sign: str) -> None:
        """A line was given up."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"command", "filter", "find", "jump"}:
            return self.is_mounted and not isinstance(self.focused, Input)
        return True

    @on(CommandBar.Typed)
    def _hint(self, event: CommandBar.Typed) -> None:
        if event.sign == ":":
            self.bar.note(hint(event.text))

    @on(CommandBar.Entered)
    def _entered(self, event: CommandBar.Entered) -> None:
        self.set_focus(self._asker)
        self.entered(event.sign, event.text)

    @on(CommandBar.Left)
    def _left(self, event: CommandBar.Left) -> None:
        self.set_focus(self._asker)
        self.left(event.sign)

    @property
    def owner(self) -> App[None]:
        """The app, with the type Textual leaves open."""
        return cast("App[None]", self.app)  # pyright: ignore[reportUnknownMemberType]

    def complain(self, text: str, *, warning: bool = False) -> None:
        """Say what is wrong, here and in the messages; what is on screen stays."""
        if self.is_mounted:
            self.query_one(Banner).say(text, warning=warning)
        self.notify(text, severity="warning" if warning else "error", markup=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            error = event.worker.error  # pyright: ignore[reportUnknownMemberType]
            self.complain(f"rhdesk itself went wrong ({type(error).__name__}: {error})")

    def on_screen_resume(self) -> None:
        self.refresh_bar()

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        self.set_class(width < SMALLEST[0] or height < SMALLEST[1], "-tiny")
        self.query_one("#tiny", Static).update(
            Content(f"rhdesk needs {SMALLEST[0]}x{SMALLEST[1]} (now {width}x{height}) · q quits")
        )

    def action_back(self) -> None:
        """One layer up: subclasses close what is open first."""
        banner = self.query_one(Banner)
        if banner.display:
            banner.hush()
        elif len(self.owner.screen_stack) > 1:
            self.dismiss()

    def action_close(self) -> None:
        if len(self.owner.screen_stack) > 1:
            self.dismiss()
        else:
            self.owner.exit()
