"""Drop-down lists of one row, with the type of what is chosen."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Select

from rhdesk.foreign import clean


class WordChoice(Select[str]):
    """One of some words, which may be foreign text."""

    def __init__(self, words: Sequence[str], *, blank: str = "", id: str | None = None) -> None:
        """Offer *words*, the first of them chosen; or nothing chosen, which shows as *blank*."""
        super().__init__(
            [(_prompt(word), word) for word in words],
            prompt=blank,
            allow_blank=bool(blank),
            value=Select.NULL if blank else words[0],
            compact=True,
            id=id,
        )

    def offer(self, words: Sequence[str]) -> None:
        """Replace the words; the choice stays if it is still among them."""
        was = self.word
        self.set_options([(_prompt(word), word) for word in words])
        if was in words:
            self.value = was

    @property
    def word(self) -> str:
        """What is chosen; empty when nothing is."""
        return self.value if isinstance(self.value, str) else ""


class NumberChoice(Select[int]):
    """One of some things, by position."""

    def __init__(self, words: Sequence[str], *, chosen: int | None, blank: str) -> None:
        super().__init__(
            [(_prompt(word), at) for at, word in enumerate(words)],
            prompt=blank,
            allow_blank=chosen is None,
            value=Select.NULL if chosen is None else chosen,
            compact=True,
        )
        self._chosen = chosen

    @property
    def at(self) -> int | None:
        if not self.is_mounted:  # Textual's own has no value before
            return self._chosen
        return self.value if isinstance(self.value, int) else None


def _prompt(word: str) -> Content:
    return Content(clean(word))
