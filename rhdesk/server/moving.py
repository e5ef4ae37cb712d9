"""Moving a folder of the store with all that is in it: names, grants, lanes and secrets."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import msgspec

from rhdesk.access.levels import Level, folder_of, is_below, level_in
from rhdesk.errors import AlreadyExists, BadInput, NotFound, Refused
from rhdesk.server.sql import SqlDatabase, SqlTables
from rhdesk.wire.store import Stored

_PAGE = 500


def move_folder(database: SqlDatabase, by: str, old: str, new: str, *, within: str = "/") -> int:
    """Give everything in *old* and below a name in *new*; returns how many names moved.

    One transaction: nobody ever sees half of it. What is moved keeps its history, and what was
    granted in it is granted there.

    Raises:
        BadInput: It would be in itself, or is somebody's own folder.
        NotFound: Nothing is in it.
        AlreadyExists: A name is taken.
        Refused: *by* is not admin of it and of where it goes, or a lane is in the way.
    """
    if is_below(new, old):
        raise BadInput(f"{old} cannot be moved into itself: {new}")
    if folder_of(old) == "/" or folder_of(new) == "/":
        raise BadInput(
            "a folder of the first level belongs to a person or group; move what is in it"
        )
    with database.writing() as t:
        t.within = within
        grants = t.grants(by)
        for folder in (old, folder_of(new)):
            if level_in(folder, grants) < Level.ADMIN:
                raise Refused(f"{by} is not admin of {folder}")
        if t.lanes_touching(new) or t.lanes_touching(old):
            raise Refused("a lane is in the way: what is in one comes by promotion only")
        moved = _move_names(t, by, old, new)
        if not moved:
            raise NotFound(old, kind="folder with something in it")
        _move_grants(t, old, new)
        _move_secrets(t, old, new)
        t.note(t.head().seq, by, "move", old, f"to {new}, {moved} names")
    return moved


def _move_names(t: SqlTables, by: str, old: str, new: str) -> int:
    moved, after = 0, ""
    while page := t.listing(after, _PAGE, [old]):
        after = page[-1].rid
        for stored in page:
            name = _moved(stored.name, old, new)
            other = t.live_named(name)
            if other is not None and other.rid != stored.rid:
                raise AlreadyExists(f"{name} is taken; nothing was moved")
            body = {**(stored.body or {}), "name": name}
            made: Stored = msgspec.structs.replace(
                stored,
                rev=stored.rev + 1,
                seq=t.next_seq(),
                name=name,
                body=body,
                op_id=f"move-{secrets.token_hex(16)}",
                author=by,
                at=datetime.now(UTC),
                saved_at=None,
                run_id="",
                note=f"moved from {stored.name}",
            )
            t.add(made, "")
            moved += 1
    return moved


def _move_grants(t: SqlTables, old: str, new: str) -> None:
    for grant in t.held("level > ?", (0,)):
        if is_below(grant.folder, old):
            level = Level[grant.level.upper()]
            t.grant(t.next_seq(), grant.principal, grant.folder, Level.NONE)
            to = _moved(grant.folder, old, new)
            t.grant(t.next_seq(), grant.principal, to, level, grant.until)


def _move_secrets(t: SqlTables, old: str, new: str) -> None:
    """A secret is sealed for its name, and only who can open it can seal it for another."""
    held = t.execute(
        "SELECT name FROM secret WHERE folder = ? OR folder LIKE ?", (old, f"{old}/%")
    )
    row = held.fetchone()
    if row is not None:
        raise Refused(
            f"{row[0]} is sealed for its name; rename it first, then move {old} to {new}"
        )


def _moved(name: str, old: str, new: str) -> str:
    return f"{new}{name.removeprefix(old)}"
