"""The schema, and how one of an earlier release is brought up to date: forward, step by step.

Each step is a numbered file in ``migrations``. What ran is written down with the file's digest, so
that a step that was edited after it ran is noticed instead of believed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from rhdesk.errors import BadSchema
from rhdesk.server.audit_rows import chain_what_was_there
from rhdesk.server.rows import Execute, moment
from rhdesk.server.sql import SqlTables, Step
from rhdesk.server.tables import Head

_AFTERWARDS: Final[dict[int, Callable[[Execute], None]]] = {2: chain_what_was_there}
"""What a step does that SQL cannot say."""


def steps() -> list[Step]:
    """Every step, in order."""
    files = sorted(Path(__file__).with_name("migrations").glob("*.sql"))
    return [Step(int(f.stem[:4]), f.stem[5:], f.read_text("utf-8")) for f in files]


class Words(NamedTuple):
    """What a database calls things."""

    text: str
    """Text that is compared byte by byte."""
    blob: str
    there: str
    """A query that has a row if there is a table ``migration``."""


def pending(execute: Execute, words: Words) -> list[Step]:
    """The steps that have not run; nothing is changed.

    Raises:
        BadSchema: A newer release was here, or a step is not what it was when it ran.
    """
    there = execute(words.there, ()).fetchone()
    ran = dict(execute("SELECT number, digest FROM migration", ()).fetchall()) if there else {}
    known = {step.number: step for step in steps()}
    newer = sorted(set(ran) - set(known))
    if newer:
        raise BadSchema(
            f"the database has step {newer[-1]} of a newer rhdesk; this one knows {max(known)}"
        )
    for number, digest in ran.items():
        if known[number].digest != digest:
            raise BadSchema(f"step {number} ({known[number].name}) was changed after it ran here")
    return [step for number, step in sorted(known.items()) if number not in ran]


def migrate(execute: Execute, words: Words) -> list[Step]:
    """Run what is pending, inside the caller's transaction; returns what ran."""
    todo = pending(execute, words)
    execute(
        "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
        " digest TEXT NOT NULL, at TEXT NOT NULL)",
        (),
    )
    for step in todo:
        for statement in _statements(step.sql.format(text=words.text, blob=words.blob)):
            execute(statement, ())
        if step.number in _AFTERWARDS:
            _AFTERWARDS[step.number](execute)
        execute(
            "INSERT INTO migration (number, name, digest, at) VALUES (?, ?, ?, ?)",
            (step.number, step.name, step.digest, moment(datetime.now(UTC))),
        )
    if execute("SELECT count(*) FROM head", ()).fetchone()[0] == 0:
        SqlTables(execute).set_head(Head(new_epoch(), 0, 0))
    return todo


def new_epoch() -> str:
    """A word no store used before."""
    return secrets.token_hex(8)


def _statements(sql: str) -> list[str]:
    lines = [line for line in sql.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
