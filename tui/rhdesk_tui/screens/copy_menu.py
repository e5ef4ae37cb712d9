"""What to copy: the thing's name, or the action as a command, as Python, as curl."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from rhdesk.foreign import clean
from rhdesk_tui.spellings import Spelling


class CopyMenu(ModalScreen[Spelling | None]):
    CSS_PATH = "copy_menu.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Cancel", id="copy.cancel"),
        *[
            Binding(str(n), f"take({n - 1})", f"Copy {n}", id=f"copy.{n}", show=False)
            for n in range(1, 10)
        ],
    ]

    def __init__(self, spellings: Sequence[Spelling]) -> None:
        super().__init__()
        self._spellings = list(spellings)

    def compose(self) -> ComposeResult:
        with Vertical(id="menu"):
            yield OptionList(
                *(Option(_prompt(n, s)) for n, s in enumerate(self._spellings, 1)), compact=True
            )
            yield Static(
                Content.assemble(
                    ("Enter", "bold $key"), " or its number copies   ",
                    ("Esc", "bold $key"), " leaves",
                ),
                id="how",
            )  # fmt: skip

    def on_mount(self) -> None:
        self.query_one("#menu").border_title = "Copy"
        self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._spellings[event.option_index])

    def action_take(self, index: int) -> None:
        if index < len(self._spellings):
            self.dismiss(self._spellings[index])

    def action_leave(self) -> None:
        self.dismiss(None)


def _prompt(number: int, spelling: Spelling) -> Content:
    first, _, rest = spelling.text.strip().partition("\n")
    more = f" … {rest.count(chr(10)) + 1} more lines" if rest else ""
    text = clean(first[:300])
    return Content.assemble(
        (f"{number} ", "bold $key"), f"{spelling.label:<15}", (text + more, "$quiet")
    )
