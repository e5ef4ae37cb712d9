"""One row that says what is wrong while everything else stays where it is."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from rhdesk.foreign import clean


class Banner(Static):
    DEFAULT_CSS = """
    Banner {
        display: none; height: auto; max-height: 3; padding: 0 1;
        background: $error 20%; color: $foreground;
        &.-warning { background: $warning 20%; }
    }
    """

    def say(self, text: str, *, warning: bool = False) -> None:
        self.set_class(warning, "-warning")
        self.update(Content.assemble(("! " if warning else "✖ ", "bold"), clean(text)))
        self.display = True

    def hush(self) -> None:
        self.display = False
