"""How serious a log line looks, for its colour; by the rules the store finds errors with."""

from __future__ import annotations

import re
from typing import Final, Literal

Level = Literal["", "debug", "info", "warning", "error"]

ERRORS: Final = ("error", "critical")
"""What `e` and `E` stop at, as the store names levels."""

_LOOKED_AT: Final = 160
_HINT: Final = re.compile(
    r"\b(?:(?P<error>critical|fatal|panic|error|err|exception|traceback)"
    r"|(?P<warning>warning|warn)|(?P<info>info|notice)|(?P<debug>debug|trace))\b"
    r"|^(?P<letter>[CEFWID])\d{4}\b",
    re.IGNORECASE,
)
_RAISED: Final = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b(?::|$)")
_LETTERS: Final[dict[str, Level]] = {
    "C": "error", "F": "error", "E": "error", "W": "warning", "I": "info", "D": "debug",
}  # fmt: skip
_NAMES: Final[dict[str, Level]] = {
    "error": "error", "warning": "warning", "info": "info", "debug": "debug",
}  # fmt: skip


def level_of(text: str) -> Level:
    """The level a line says it has; a word inside a sentence is no level."""
    if not text or text[0] == " ":
        return ""
    head = text[:_LOOKED_AT]
    if _RAISED.match(head):
        return "error"
    match = _HINT.search(head)
    if match is None or match.lastgroup is None:
        return ""
    if match.lastgroup == "letter":
        return _LETTERS.get(match["letter"], "")
    if match.group().islower() and not _is_marked(head, match.start(), match.end()):
        return ""
    return _NAMES[match.lastgroup]


def _is_marked(text: str, start: int, end: int) -> bool:
    before, after = text[:start].rstrip(' "'), text[end : end + 1]
    return not before or before[-1] in "[=:|<(" or after in {"]", ":", "|", ">"}
