"""Disks that change what was written: it is noticed, and never served."""

from __future__ import annotations

import hashlib
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rhdesk.access.levels import Level
from rhdesk.errors import DamagedStore, RhdeskError
from rhdesk.server.rows import seal
from rhdesk.server.serve import open_database
from rhdesk.server.sql import SqlDatabase
from rhdesk.server.store import Store
from rhdesk.server.tokens import Accounts
from rhdesk.wire.store import Accepted, Based, Put
from tests.integration.server.conftest import env, new_id


def _filled(database: SqlDatabase) -> str:
    """A store of a few people and resources; a token of it."""
    accounts, store = Accounts(database), Store(database)
    for name in ("ada", "eve"):
        accounts.add_user(name)
    store.grant("ada", "eve", "/ada/shared", Level.READ)
    for n in range(6):
        rid, based = new_id(), Based("", 0)
        for step in range(3):
            body = env(f"/ada/{'shared/' if n % 2 else ''}x{n}", step=step, text="t" * 50)
            put = Put(body=body, note=f"step {step}", saved_at=datetime(2026, 10, 1, tzinfo=UTC))
            answer = store.put("ada", rid, new_id(), based, put)
            assert isinstance(answer, Accepted)
            based = Based(answer.epoch, answer.rev)
    return accounts.make_token("ada")


def _everything(database: SqlDatabase, token: str) -> list[Any]:
    """All that can be asked of a store."""
    store, told = Store(database), list[Any]()
    caller = Accounts(database).caller(token)
    told.append((caller.user, caller.scope))
    told.append([(t.id, t.scope, t.expires_at) for t in Accounts(database).tokens()])
    told.append(list(database.principals()))
    with database.reading() as t:
        head = t.head()
        told.append(t.kept())
    for user in ("ada", "eve"):
        listing = store.listing(user)
        told += [listing, store.changes(user, head.epoch, 0), store.grants_in(user, "/ada/shared")]
        for row in listing.rows:
            told += [store.resource(user, row.rid), store.versions(user, row.rid)]
    rows = store.listing("ada").rows
    with database.reading() as t:
        for row in rows:
            told += [t.live_named(row.name), t.op(row.op_id), sorted(t.folders_of(row.rid))]
    return told


CHANGES = [
    ("version", "body", "replace(body, 't', 'u')"),
    ("version", "author", "'eve'"),
    ("version", "name", "'/eve/x'"),
    ("version", "folder", "'/eve'"),
    ("version", "digest", "'0'"),
    ("version", "note", "'other'"),
    ("version", "at", "'2020-01-01T00:00:00.000000+00:00'"),
    ("version", "seq", "seq + 100"),
    ("resource", "rev", "2"),
    ("resource", "rev", "7"),
    ("resource", "folder", "'/eve'"),
    ("resource", "seq", "seq + 1"),
    ("access", "level", "4"),
    ("access", "folder", "'/ada'"),
    ("access", "principal", "'ada'"),
    ("feed", "principal", "'ada'"),
    ("feed", "folder", "'/'"),
    ("head", "seq", "seq - 1"),
    ("head", "epoch", "'0'"),
    ("principal", "name", "'zoe'"),
    ("token", "scope", "'read'"),
    ("token", "owner", "'eve'"),
    ("token", "expires_at", "'2099-01-01T00:00:00.000000+00:00'"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column", "value"), CHANGES)
def test_a_row_that_was_changed_behind_the_store_is_not_served(
    database: SqlDatabase, table: str, column: str, value: str
) -> None:
    token = _filled(database)
    before = _everything(database, token)
    key = {
        "version": "seq",
        "resource": "seq",
        "feed": "seq",
        "access": "seq",
        "token": "id",
        "head": "seq",
        "principal": "name",
    }[table]
    with database.writing() as t:
        t.execute(
            f"UPDATE {table} SET {column} = {value}"
            f" WHERE {key} = (SELECT max({key}) FROM {table})",
            (),
        )
    with pytest.raises(DamagedStore, match="restore a backup"):
        assert _everything(database, token) == before


def test_a_file_of_code_that_was_changed_is_not_served(database: SqlDatabase) -> None:
    digest = hashlib.sha256(b"code").hexdigest()
    with database.writing() as t:
        t.keep_blob(digest, b"code")
    with database.reading() as t:
        assert t.blob(digest) == b"code"
    with database.writing() as t:
        t.execute("UPDATE blob SET data = ?", (b"other",))
    with database.reading() as t, pytest.raises(DamagedStore):
        t.blob(digest)
    with pytest.raises(DamagedStore):
        database.check()


def test_what_is_changed_together_with_its_hash_is_served(database: SqlDatabase) -> None:
    """The control: it is the hash that notices, and nothing else."""
    token = _filled(database)
    before = _everything(database, token)
    with database.writing() as t:
        row = t.execute(
            "SELECT principal, folder, seq FROM access WHERE folder = '/ada/shared'", ()
        )
        principal, folder, seq = row.fetchone()
        t.execute(
            "UPDATE access SET level = 4, row_hash = ? WHERE principal = ? AND folder = ?",
            (seal((principal, folder, 4, seq)), principal, folder),
        )
    assert _everything(database, token) != before


def test_flipped_bits_in_the_file_are_noticed(tmp_path: Path) -> None:
    database = open_database(str(tmp_path / "store"))
    token = _filled(database)
    before = _everything(database, token)
    database.close()
    whole = (tmp_path / "store" / "store.db").read_bytes()
    random_ = random.Random(20261123)
    noticed = unchanged = 0
    for n in range(400):
        folder = tmp_path / f"flip{n}"
        folder.mkdir()
        flipped = bytearray(whole)
        at = random_.randrange(len(flipped))
        flipped[at] ^= 1 << random_.randrange(8)
        (folder / "store.db").write_bytes(flipped)
        try:
            opened = open_database(str(folder))
            try:
                opened.check()
                assert _everything(opened, token) == before, f"byte {at} is believed"
            finally:
                opened.close()
        except RhdeskError:
            noticed += 1
        else:
            unchanged += 1
        shutil.rmtree(folder)
    assert noticed > 30  # most pages of a small store are empty
    assert noticed + unchanged == 400
