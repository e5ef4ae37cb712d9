"""A card, folded to the width it is given."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from rhdesk_tui.cards import Card


class CardView(Widget):
    DEFAULT_CSS = """
    CardView { height: auto; width: 1fr; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._card = Card()
        self._folded: tuple[int, Content, list[int]] | None = None

    def show(self, card: Card) -> None:
        self._card = card
        self._folded = None
        self.refresh(layout=True)

    @property
    def text(self) -> str:
        """What it says, as plain text."""
        return self._fold(max(self.size.width, 20)).plain

    def line_of(self, fact: int) -> int:
        """The line a fact of the card begins at."""
        width = max(self.size.width, 20)
        self._fold(width)
        return self._folded[2][fact] if self._folded is not None else 0

    def render(self) -> Content:
        return self._fold(self.size.width)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self._fold(width).plain.count("\n") + 1

    def _fold(self, width: int) -> Content:
        if self._folded is None or self._folded[0] != width:
            self._folded = (width, *self._card.folded(width))
        return self._folded[1]
