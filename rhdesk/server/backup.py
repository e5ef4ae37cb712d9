"""All of a store in one file, that can be put into either database.

Lines of JSON in one gzip stream: a head, the rows of each table, and an end that says how many
there were and what they hash to. A file without its end, or with another hash, is not looked into.
A restored store is in another epoch: what desks saw since the backup was made, they hand back.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from rhdesk.errors import AlreadyExists, BadInput, StoreUnwritable
from rhdesk.models import Audited
from rhdesk.server.groups import KEEPER
from rhdesk.server.old_schemas import OLDEST, keys_of, take_in
from rhdesk.server.schema import new_epoch, steps
from rhdesk.server.sql import KEYS, SqlDatabase, SqlTables
from rhdesk.server.tables import Head
from rhdesk.server.tokens import revocations, revoke_in


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    file: str
    epoch: str
    seq: int
    revisions: int


class _Head(msgspec.Struct, frozen=True, kw_only=True, tag="head"):
    schema: int
    epoch: str
    seq: int
    oldest_seq: int


class _Row(msgspec.Struct, frozen=True, tag="row"):
    table: str
    values: list[Any]


class _End(msgspec.Struct, frozen=True, tag="end"):
    rows: int
    digest: str


_Line = _Head | _Row | _End


def write_backup(database: SqlDatabase, file: Path) -> Backup:
    """Write everything, as one moment saw it, into *file*; also of a schema that is to be brought
    up to date, whose rows are looked at when they are restored.

    Raises:
        StoreUnwritable: It could not be written; what was there is untouched.
        DamagedStore: The store is not what was written into it; there is no new backup.
    """
    beside = file.with_name(f".{file.name}.part")
    revisions = rows = 0
    digest = hashlib.sha256()
    schema = len(steps()) - len(database.pending())
    try:
        with (
            open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw,
            database.snapshot() as t,
        ):
            if schema == len(steps()):
                t.check()
            head = t.head()
            told = _Head(schema=schema, epoch=head.epoch, seq=head.seq, oldest_seq=head.oldest_seq)
            with gzip.open(raw, "wb", compresslevel=6) as packed:
                for line in chain([told], _rows(t, keys_of(schema))):
                    data = msgspec.json.encode(line)
                    digest.update(data)
                    packed.write(data + b"\n")
                    rows += 1
                    revisions += isinstance(line, _Row) and line.table == "version"
                packed.write(msgspec.json.encode(_End(rows, digest.hexdigest())) + b"\n")
            raw.flush()
            os.fsync(raw.fileno())
        beside.replace(file)
        _sync(file.parent)
    except OSError as exc:
        beside.unlink(missing_ok=True)
        raise StoreUnwritable(f"cannot write {file}: {exc.strerror}") from exc
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return Backup(file=str(file), epoch=head.epoch, seq=head.seq, revisions=revisions)


def read_backup(database: SqlDatabase, file: Path, *, replace: bool = False) -> Backup:
    """Make the store what *file* holds, in an epoch of its own.

    Args:
        replace: Also where the store has something.

    Raises:
        BadInput: The file is damaged, or of a newer release; the store is untouched.
        AlreadyExists: The store has something.
    """
    head = _checked(file)
    revisions = 0
    with database.writing() as t:
        present = t.head()
        if present.seq and not replace:
            raise AlreadyExists("the store is not empty; say --yes to replace what it has")
        revoked = revocations(t)
        history = dict(t.kept())
        if present.seq:
            history[present.epoch] = present.seq
        audit = list(t.audit_rows())
        for table in reversed(KEYS):
            t.execute(f"DELETE FROM {table}", ())
        for line in _lines(file):
            if isinstance(line, _Row):
                values = [_from_json(value) for value in line.values]
                take_in(t, head.schema, line.table, values)
                revisions += line.table == "version"
        # A token that was revoked since the backup does not come back to life with it.
        for token_id, at in revoked.items():
            revoke_in(t, token_id, at)
        t.keep_epoch(head.epoch, head.seq)
        for over, seq in _survived(history, t.kept()).items():
            t.keep_epoch(over, seq)
        epoch = new_epoch()
        t.set_head(Head(epoch, head.seq, head.oldest_seq))
        _go_on(t, audit)
        t.note(0, KEEPER, "restore", "/", f"from a backup of write {head.seq}")
        t.check()
    return Backup(file=str(file), epoch=epoch, seq=head.seq, revisions=revisions)


def _go_on(t: SqlTables, before: list[Audited]) -> None:
    """Let no row of the audit be lost with a restore: what was written since the backup stays, where
    the backup is of this store."""
    restored = t.audit_head()
    fits = restored.number == 0 or (
        len(before) >= restored.number and before[restored.number - 1].hash == restored.hash
    )
    for row in before[restored.number :] if fits else ():
        # The writes it speaks of are gone; that they were is what the row is kept for.
        t.put_audited(row)


def _survived(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Of epochs that only the store *before* the restore knew, the last write that is still there.

    Both are histories: epochs, and the last write of each that is part of it. Up to the last write
    they have in common they are the same.
    """
    common = max((min(before[epoch], now[epoch]) for epoch in before.keys() & now), default=0)
    return {epoch: min(before[epoch], common) for epoch in before.keys() - now}


def _rows(t: SqlTables, keys: Mapping[str, tuple[str, ...]]) -> Iterator[_Row]:
    for table, key in keys.items():
        yield from (
            _Row(table, [_to_json(value) for value in row])
            for row in t.every(table, f"{table}.*", key)
        )


def _checked(file: Path) -> _Head:
    """Read all of *file* once, and believe it only then."""
    digest, rows, head, end = hashlib.sha256(), 0, None, None
    for line in _lines(file):
        if end is not None or (head is None) != isinstance(line, _Head):
            raise BadInput(f"{file} is no backup of a store, or is damaged")
        if isinstance(line, _End):
            end = line
            continue
        if isinstance(line, _Head):
            head = line
        elif line.table not in KEYS:
            raise BadInput(f"{file} has a table {line.table!r} that this rhdesk does not know")
        digest.update(msgspec.json.encode(line))
        rows += 1
    if head is None or end is None or (end.rows, end.digest) != (rows, digest.hexdigest()):
        raise BadInput(f"{file} is cut off or damaged: its end does not match what is in it")
    if not OLDEST <= head.schema <= len(steps()):
        raise BadInput(
            f"{file} was written with schema {head.schema}, this rhdesk knows {OLDEST} to "
            f"{len(steps())}; restore it with the rhdesk that wrote it"
        )
    return head


def _lines(file: Path) -> Iterator[_Line]:
    decoder = msgspec.json.Decoder(_Line)
    try:
        with gzip.open(file, "rb") as packed:
            for line in packed:
                yield decoder.decode(line)
    except (OSError, EOFError, zlib.error, msgspec.DecodeError, ValueError) as exc:
        raise BadInput(f"{file} is no backup of a store, or is damaged: {exc}") from exc


def _sync(folder: Path) -> None:
    """See that the name of a new file outlives a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _to_json(value: Any) -> Any:
    data = value if isinstance(value, bytes) else None
    return value if data is None else {"base64": base64.b64encode(data).decode()}


def _from_json(value: Any) -> Any:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value
