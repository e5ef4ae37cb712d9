"""How serious a printed line is, guessed from its words."""

from __future__ import annotations

import re
from typing import Final

LEVELS: Final = ("debug", "info", "warning", "error", "critical")

_HINT: Final = re.compile(
    r"\b(?=[cdefinptw])"  # their first letters: most words are passed over at a glance
    r"(?:(?P<critical>critical|fatal|panic)|(?P<error>error|err|exception|traceback)"
    r"|(?P<warning>warning|warn)|(?P<info>info|notice)|(?P<debug>debug|trace))\b"
    r"|^(?P<letter>[CEFWID])\d{4}\b",
    re.IGNORECASE,
)
_LETTERS: Final = {
    "C": "critical",
    "F": "critical",
    "E": "error",
    "W": "warning",
    "I": "info",
    "D": "debug",
}
_RAISED: Final = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b(?::|$)")
_LOOKED_AT: Final = 160
"""Characters in which a level is looked for: behind them a word is prose."""


def level_of(text: str) -> str:
    """One of `LEVELS`, or the empty string for a line that says none.

    Reads ``ERROR: no``, ``[warning] slow``, ``W0101 x``, ``level=error``, ``{"level": "error"}``, the
    head of a traceback and the line that ends one.
    """
    if not text or text[0] == " ":
        return ""
    head = text[:_LOOKED_AT]
    if _RAISED.match(head):
        return "error"
    for match in _HINT.finditer(head):
        word, level = match.group(), match.lastgroup or ""
        if level == "letter":
            if word[0].isupper():
                return _LETTERS[word[0]]
        elif not word.islower() or _is_marked(head, match.start(), match.end()):
            return level
    return ""


def _is_marked(text: str, start: int, end: int) -> bool:
    """Whether a lower-case word stands where a level stands, and not in a sentence."""
    before, after = text[:start].rstrip(' "'), text[end : end + 1]
    return not before or before[-1] in "[=:|<(" or after in {"]", ":", "|", ">"}
