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

from rhdesk.access.levels import Level, is_below
from rhdesk.errors import AlreadyExists, BadInput, NotFound, Refused
from rhdesk.server.rows import moment, seal, shortened, unsealed
from rhdesk.server.sql import SqlDatabase, SqlTables

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
    folder: str = "/"
    """Where it is good: in this folder and below."""

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
    folder: str | None = None
    """Where it is good, in and below; None: wherever its owner may."""
    parent: str | None = None
    """The token it was narrowed from; it ends with that one."""


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
        with self.database.writing() as t:
            if not _user(t, owner):
                raise NotFound(owner, kind="user")
            token = _make(t, owner, scope, datetime.now(UTC) + lasts)
            t.note(0, owner, "token.new", _id_of(token), scope)
        return token

    def narrow(
        self, caller: Caller, *, scope: str = "", folder: str = "", lasts: timedelta | None = None
    ) -> str:
        """A token for less than the caller's own, to hand on: to a machine, to a job.

        Args:
            scope: At most the caller's; by default ``read``.
            folder: In or below the caller's; by default the same.
            lasts: At most as long as the caller's; by default as long.

        Raises:
            Refused: It would be for more; nobody widens a token.
            BadInput: There is no such scope.
        """
        scope, folder = scope or "read", folder or caller.folder
        if scope not in SCOPES:
            raise BadInput(f"{scope!r} is no scope; a token is for {', '.join(SCOPES)}")
        if not caller.may(scope) or not is_below(folder, caller.folder):
            raise Refused(
                f"your token is for {caller.scope} in {caller.folder}; one narrowed from it cannot "
                f"be for {scope} in {folder}"
            )
        with self.database.writing() as t:
            held = _told(_held(t, caller.token_id))
            ends = held.expires_at
            if lasts is not None:
                ends = min(ends, datetime.now(UTC) + lasts)
            token = _make(t, caller.user, scope, ends, folder, caller.token_id)
            t.note(0, caller.user, "token.narrow", _id_of(token), f"{scope} in {folder}")
        return token

    def rotate(self, caller: Caller, *, overlap: timedelta = timedelta(hours=1)) -> str:
        """Another token in place of the caller's, for the same and as long as that one was made
        for; the caller's own ends after *overlap*."""
        now = datetime.now(UTC)
        with self.database.writing() as t:
            row = _held(t, caller.token_id)
            held = _told(row)
            lasts = held.expires_at - held.created_at
            ends = now + lasts
            if held.parent is not None:
                ends = min(ends, _told(_held(t, held.parent)).expires_at)
            token = _make(t, held.owner, held.scope, ends, held.folder, held.parent)
            last = min(held.expires_at, now + overlap)
            _put_back(t, row, expires_at=moment(last))
            t.note(0, caller.user, "token.rotate", held.id, f"to {_id_of(token)}")
        return token

    def end(self, caller: Caller, token_id: str) -> None:
        """End a token of the caller's own, and all that were narrowed from it.

        Raises:
            NotFound: They have none of that id.
        """
        with self.database.writing() as t:
            row = _token(t, token_id)
            if row is None or _told(row).owner != caller.user:
                raise NotFound(token_id, kind="token of yours")
            revoke_in(t, token_id, moment(datetime.now(UTC)))
            t.note(0, caller.user, "token.revoke", token_id)

    def caller(self, token: str) -> Caller:
        """Whose *token* it is.

        Raises:
            Refused: It is nobody's, or it was revoked, or its time is over.
        """
        match = _TOKEN.fullmatch(token)
        with self.database.reading() as t:
            row = _token(t, match[1]) if match else None
            over = row is not None and _is_orphaned(t, _told(row))
        # Compared in any case, so that the time it takes does not tell which ids exist.
        known = row[_SEALED.index("digest")] if row else _digest("")
        if not hmac.compare_digest(known, _digest(match[2] if match else "-")) or row is None:
            raise Refused("this token is not known here; log in with one that is")
        told = _told(row)
        now = datetime.now(UTC)
        if told.revoked_at is not None or over:
            raise Refused("this token was revoked; ask for another")
        if told.expires_at <= now:
            raise Refused(f"this token expired on {told.expires_at:%Y-%m-%d}; ask for another")
        return Caller(told.owner, told.id, told.scope, told.used_at, told.folder or "/")

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
            t.note(0, "the server's keeper", "token.revoke", token_id)


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
    _put_back(t, row, revoked_at=at)
    return True


def _make(
    t: SqlTables,
    owner: str,
    scope: str,
    ends: datetime,
    folder: str | None = None,
    parent: str | None = None,
) -> str:
    """A new token; the one time it is known."""
    token_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    now = moment(datetime.now(UTC))
    row = (token_id, _digest(secret), owner, scope, now, moment(ends), None, folder, parent)
    marks = ", ".join("?" * (len(row) + 1))
    t.execute(
        f"INSERT INTO token ({', '.join(_SEALED)}, row_hash) VALUES ({marks})",
        (*row, seal(shortened(row, _AT_FIRST))),
    )
    return f"rhd_user_{token_id}_{secret}"


def _put_back(t: SqlTables, row: Sequence[Any], **changed: str) -> None:
    known = dict(zip(_SEALED, row, strict=False)) | changed
    told = tuple(known[name] for name in _SEALED)
    t.execute(
        "UPDATE token SET expires_at = ?, revoked_at = ?, row_hash = ? WHERE id = ?",
        (known["expires_at"], known["revoked_at"], seal(shortened(told, _AT_FIRST)), known["id"]),
    )


def _held(t: SqlTables, token_id: str) -> Sequence[Any]:
    row = _token(t, token_id)
    if row is None:
        raise NotFound(token_id, kind="token")
    return row


def _is_orphaned(t: SqlTables, told: TokenRow) -> bool:
    """Whether a token it was narrowed from was revoked."""
    while told.parent is not None:
        row = _token(t, told.parent)
        if row is None or (told := _told(row)).revoked_at is not None:
            return True
    return False


def _id_of(token: str) -> str:
    return token.split("_")[2]


_SEALED: Final = ("id", "digest", "owner", "scope", "created_at", "expires_at", "revoked_at",
    "folder", "parent",
)  # fmt: skip
_AT_FIRST: Final = 7
"""Of these there were at first; see `rhdesk.server.rows.shortened`."""
_SELECT: Final = f"SELECT {', '.join(_SEALED)}, row_hash, used_at FROM token"


def _user(t: SqlTables, name: str) -> bool:
    return t.execute("SELECT 1 FROM principal WHERE name = ?", (name,)).fetchone() is not None


def _token(t: SqlTables, token_id: str) -> Sequence[Any] | None:
    row = t.execute(f"{_SELECT} WHERE id = ?", (token_id,)).fetchone()
    return _read(row) if row else None


def _read(row: Sequence[Any]) -> Sequence[Any]:
    """A row of `_SELECT` without its hash, which must be its own."""
    *sealed, used_at = row
    *told, kept = sealed
    unsealed((*shortened(told, _AT_FIRST), kept), f"token {row[0]}")
    return (*told, used_at)


def _told(row: Sequence[Any]) -> TokenRow:
    known = dict(zip((*_SEALED, "used_at"), row, strict=True))
    del known["digest"]
    return msgspec.convert(known, TokenRow, strict=False)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
