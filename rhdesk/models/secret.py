"""A secret: the value, which cannot be shown by accident, and what may be known about it."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Final, NoReturn

import msgspec

MASK: Final = "••••••••"
"""Stands for any value; its length tells nothing."""


class SecretText:
    """A value that cannot be printed, formatted, pickled or put into JSON by accident."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The value itself, for the one place it belongs into."""
        return self._text

    def __repr__(self) -> str:
        return "SecretText('***')"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and hmac.compare_digest(
            self._text.encode(), other._text.encode()
        )

    __hash__ = None  # type: ignore[assignment]  # as a key it would be compared in the open

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


Values = dict[str, SecretText]
"""The fields of a secret: ``{"access_key": ..., "secret_key": ...}``."""


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a secret without opening it."""

    name: str
    version: int
    """Counts from 1; each `put` is one more."""
    fields: tuple[str, ...]
    """Their names; never a value."""
    provider: str = ""
    """Whose credentials it is, ``aws``; empty for one's own."""
    saved_at: datetime
    """UTC."""
    keeper: str = "sealed"
    versions: int = 1
    """How many are kept."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose credentials are understood, and whether there are any on this machine."""

    name: str
    fields: tuple[str, ...]
    places: tuple[str, ...]
    """Files where they are looked for and written."""
    variables: tuple[str, ...] = ()
    found: str = ""
    """The place where there are some now; empty where there are none."""
    flaw: str = ""
    """Why what is there cannot be read."""


class Keeper(msgspec.Struct, frozen=True, kw_only=True):
    """Who keeps secrets."""

    name: str
    """``sealed``, ``vault`` or ``store``."""
    where: str
