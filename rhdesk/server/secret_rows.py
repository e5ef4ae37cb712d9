"""Secrets in SQL: sealed before they came, by version, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from rhdesk.access.levels import folder_of
from rhdesk.server.rows import Execute, moment, seal, unsealed
from rhdesk.wire.team import SealedSecret

_COLUMNS: Final = "name, version, folder, author, saved_at, provider, fields, envelope, row_hash"


class SecretRows:
    """Part of one transaction."""

    def __init__(self, execute: Execute) -> None:
        self.execute = execute

    def secrets(self, where: str = "1 = ?", values: Sequence[Any] = (1,)) -> list[SealedSecret]:
        """Versions by name, oldest first."""
        rows = self.execute(
            f"SELECT {_COLUMNS} FROM secret WHERE {where} ORDER BY name, version", tuple(values)
        ).fetchall()
        return [_secret(row) for row in rows]

    def put_secret(self, sealed: SealedSecret) -> None:
        row = (
            sealed.name, sealed.version, folder_of(sealed.name), sealed.author,
            moment(sealed.saved_at), sealed.provider, msgspec.json.encode(sealed.fields).decode(),
            msgspec.json.encode(sealed.envelope or {}).decode(),
        )  # fmt: skip
        self.execute(
            f"INSERT INTO secret ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, seal(row)),
        )

    def drop_secret(self, name: str) -> None:
        self.execute("DELETE FROM secret WHERE name = ?", (name,))


def _secret(row: Sequence[Any]) -> SealedSecret:
    name, version, _, author, saved_at, provider, fields, envelope = unsealed(
        row, f"version {row[1]} of the secret {row[0]}"
    )
    return SealedSecret(
        name=name,
        version=version,
        saved_at=datetime.fromisoformat(saved_at),
        author=author,
        provider=provider,
        fields=tuple(msgspec.json.decode(fields, type=list[str])),
        envelope=msgspec.json.decode(envelope, type=dict[str, Any]),
    )
