"""How serious a log line looks, for its colour; by the rules the store finds errors with."""

from __future__ import annotations

from typing import Final, Literal, cast

from rhdesk.models.level import level_of as stored_level_of

Level = Literal["", "debug", "info", "warning", "error"]

ERRORS: Final = ("error", "critical")
"""What `e` and `E` stop at, as the store names levels."""


def level_of(text: str) -> Level:
    """The level a line says it has; a word inside a sentence is no level."""
    level = stored_level_of(text)
    return "error" if level == "critical" else cast(Level, level)
