"""Backups of stores whose schema had fewer steps: which tables there were, and what is lacking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rhdesk.server.sql import KEYS, SqlTables

OLDEST: Final = 1
"""The oldest schema whose backups are read."""
_SECOND: Final = ("audit_head", "team", "membership", "lane", "promotion", "approval", "secret")
"""Tables that the second step made."""
_ADDED: Final[Mapping[str, int]] = {"access": 1, "token": 2}
"""Columns that the second step added, at the end."""


def keys_of(schema: int) -> Mapping[str, tuple[str, ...]]:
    """The tables of a schema, and what their rows are told apart by; as `KEYS`."""
    if schema > 1:
        return KEYS
    before = {table: key for table, key in KEYS.items() if table not in _SECOND}
    return {**before, "audit": ("seq",)}


def take_in(t: SqlTables, schema: int, table: str, values: Sequence[Any]) -> None:
    """Put a row of a backup into its table, as the steps since would have made it."""
    if schema == 1 and table == "audit":
        seq, at, principal, action, about = values
        t.append_at(datetime.fromisoformat(at), seq, principal, action, about)
        return
    row = [*values, *[None] * (_ADDED.get(table, 0) if schema == 1 else 0)]
    marks = ", ".join("?" * len(row))
    t.execute(f"INSERT INTO {table} VALUES ({marks})", row)
