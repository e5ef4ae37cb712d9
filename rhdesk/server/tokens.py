"""Tokens: what shows who is asking. Shown once; the store keeps a digest.

``rhd_user_<id>_<secret>``: the id finds the row, the secret is 256 random bits, so that a plain
SHA-256 of it tells nothing to who reads the table.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from rhdesk.access.levels import Level
from rhdesk.errors import AlreadyExists, BadInput, NotFound, Refused
from rhdesk.server.sql import SqlDatabase, SqlTables, moment, seal, unsealed

SCOPES: Final = ("read", "write", "admin")
"""What a token may be used for at most; its owner may be allowed less."""

_TOKEN: Final = re.compile(r"rhd_user_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)
_USER: Final = re.compile(r"[a-z][a-z0-9\-]{0,38}", re.ASCII)
_USED_EVERY: Final = timedelta(minutes=1)
_LASTS: Final = timedelta(days=30)


class Caller(msgspec.Struct, frozen=True):
    """Who is asking, and what their token may be used for."""

    user: str
    token_id: str
    scope: str
    used_at: datetime | None = None
    """When the token was last used, as far as that was written down."""

    def may(self, scope: str) -> bool:
        return SCOPES.index(scope) <= SCOPES.index(self.scope)


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token; not the token."""

    id: str
    owner: str
    scope: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


class Accounts:
    """The users of a store and their tokens."""

    def __init__(self, database: SqlDatabase) -> None:
        self.database = database

    def add_user(self, name: str) -> None:
        """A new user, with a folder of their own: ``/ada``.

        Raises:
            BadInput: It is no name of a user.
            AlreadyExists: There is one of that name.
        """
        if not _USER.fullmatch(name):
            raise BadInput(
                f"{name!r} is no name of a user; names are lower-case letters, digits and dashes: ada"
            )
        with self.database.writing() as t:
            if _user(t, name):
                raise AlreadyExists(f"there is a user {name} already")
            t.add_principal(name)
            seq = t.next_seq()
            t.grant(seq, name, f"/{name}", Level.ADMIN)
            t.note(seq, name, "new user", f"/{name}")

    def make_token(self, owner: str, *, scope: str = "admin", lasts: timedelta = _LASTS) -> str:
        """A token for *owner*; nobody can read it again.

        Raises:
            NotFound: There is no such user.
        """
        if scope not in SCOPES:
            raise BadInput(f"{scope!r} is no scope; a token is for {', '.join(SCOPES)}")
        token_id, secret, now = secrets.token_hex(8), secrets.token_hex(32), datetime.now(UTC)
        with self.database.writing() as t:
            if not _user(t, owner):
                raise NotFound(owner, kind="user")
            row = (token_id, _digest(secret), owner, scope, moment(now), moment(now + lasts), None)
            marks = ", ".join("?" * (len(row) + 1))
            t.execute(
                f"INSERT INTO token ({', '.join(_SEALED)}, row_hash) VALUES ({marks})",
                (*row, seal(row)),
            )
        return f"rhd_user_{token_id}_{secret}"

    def caller(self, token: str) -> Caller:
        """Whose *token* it is.

        Raises:
            Refused: It is nobody's, or it was revoked, or its time is over.
        """
        match = _TOKEN.fullmatch(token)
        with self.database.reading() as t:
            row = _token(t, match[1]) if match else None
        # Compared in any case, so that the time it takes does not tell which ids exist.
        known = row[_SEALED.index("digest")] if row else _digest("")
        if not hmac.compare_digest(known, _digest(match[2] if match else "-")) or row is None:
            raise Refused("this token is not known here; log in with one that is")
        told = _told(row)
        now = datetime.now(UTC)
        if told.revoked_at is not None:
            raise Refused("this token was revoked; ask for another")
        if told.expires_at <= now:
            raise Refused(f"this token expired on {told.expires_at:%Y-%m-%d}; ask for another")
        return Caller(told.owner, told.id, told.scope, told.used_at)

    def note_use(self, caller: Caller) -> None:
        """Write down that the token was used; to the minute, not to the request."""
        now = datetime.now(UTC)
        if caller.used_at is None or now - caller.used_at > _USED_EVERY:
            with self.database.writing() as t:
                t.execute(
                    "UPDATE token SET used_at = ? WHERE id = ?", (moment(now), caller.token_id)
                )

    def tokens(self, owner: str = "") -> list[TokenRow]:
        """Every token, or those of *owner*; newest first."""
        with self.database.reading() as t:
            rows = t.execute(f"{_SELECT} ORDER BY created_at DESC", ()).fetchall()
        return [told for row in rows if (told := _told(_read(row))).owner == owner or not owner]

    def revoke(self, token_id: str) -> None:
        """End a token at once.

        Raises:
            NotFound: There is none of that id.
        """
        with self.database.writing() as t:
            if not revoke_in(t, token_id, moment(datetime.now(UTC))):
                raise NotFound(token_id, kind="token")


def revocations(t: SqlTables) -> dict[str, str]:
    """When tokens were revoked, by id."""
    rows = [_read(row) for row in t.execute(_SELECT, ()).fetchall()]
    at = _SEALED.index("revoked_at")
    return {row[0]: row[at] for row in rows if row[at]}


def revoke_in(t: SqlTables, token_id: str, at: str) -> bool:
    """End a token; whether there is one."""
    row = _token(t, token_id)
    if row is None:
        return False
    t.execute(
        "UPDATE token SET revoked_at = ?, row_hash = ? WHERE id = ?",
        (at, seal((*row[: len(_SEALED) - 1], at)), token_id),
    )
    return True


_SEALED: Final = ("id", "digest", "owner", "scope", "created_at", "expires_at", "revoked_at")
_SELECT: Final = f"SELECT {', '.join(_SEALED)}, row_hash, used_at FROM token"


def _user(t: SqlTables, name: str) -> bool:
    return t.execute("SELECT 1 FROM principal WHERE name = ?", (name,)).fetchone() is not None


def _token(t: SqlTables, token_id: str) -> Sequence[Any] | None:
    row = t.execute(f"{_SELECT} WHERE id = ?", (token_id,)).fetchone()
    return _read(row) if row else None


def _read(row: Sequence[Any]) -> Sequence[Any]:
    """A row of `_SELECT` without its hash, which must be its own."""
    *sealed, used_at = row
    return (*unsealed(sealed, f"token {row[0]}"), used_at)


def _told(row: Sequence[Any]) -> TokenRow:
    known = dict(zip((*_SEALED, "used_at"), row, strict=True))
    del known["digest"]
    return msgspec.convert(known, TokenRow, strict=False)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
