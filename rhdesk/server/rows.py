"""How a row is written down: its times, and the hash that is kept beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from rhdesk.errors import DamagedStore


class Rows(Protocol):
    """What an executed statement answers."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


Execute = Callable[[str, Sequence[Any]], Rows]
"""Runs one statement; parameters are ``?`` in either database."""


def moment(at: datetime) -> str:
    """How a time is written down: ISO 8601, UTC, so that text order is time order."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def seal(row: Sequence[Any]) -> str:
    """The hash that is kept beside a row, so that what a disk does to it is noticed."""
    return hashlib.sha256(repr(tuple(row)).encode()).hexdigest()[:32]


def unsealed(row: Sequence[Any], what: str) -> Sequence[Any]:
    """A row without the hash at its end.

    Raises:
        DamagedStore: The hash is not its own.
    """
    *told, kept = row
    if kept != seal(told):
        raise damaged(f"{what} does not match its hash")
    return told


def shortened(row: Sequence[Any], least: int) -> tuple[Any, ...]:
    """*row* without the empty columns at its end that later steps of the schema added.

    Args:
        least: Columns it had when its table was made.
    """
    end = len(row)
    while end > least and row[end - 1] is None:
        end -= 1
    return tuple(row[:end])


def damaged(what: str) -> DamagedStore:
    return DamagedStore(
        f"{what}; move the database away and restore a backup: rhdesk server restore FILE"
    )
