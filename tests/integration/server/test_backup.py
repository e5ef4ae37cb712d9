"""All of a store in one file, and back into either database; whatever is done to the file."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from rhdesk.access.levels import Level
from rhdesk.errors import AlreadyExists, BadInput, DamagedStore, Refused, RhdeskError
from rhdesk.models import Audited
from rhdesk.server.backup import read_backup, write_backup
from rhdesk.server.serve import open_database
from rhdesk.server.sql import SqlDatabase
from rhdesk.server.store import Store
from rhdesk.server.tokens import Accounts
from rhdesk.wire.store import Accepted, Based, Put, WrongEpoch
from tests.integration.server.conftest import env, new_id, own_database


def _write(store: Store, name: str, n: int = 1) -> tuple[str, Based]:
    rid, based = new_id(), Based("", 0)
    for step in range(n):
        answer = store.put("ada", rid, new_id(), based, Put(body=env(name, step=step)))
        assert isinstance(answer, Accepted)
        based = Based(answer.epoch, answer.rev)
    return rid, based


def _fill(database: SqlDatabase) -> str:
    accounts, store = Accounts(database), Store(database)
    accounts.add_user("ada")
    accounts.add_user("eve")
    for n in range(5):
        _write(store, f"/ada/x{n}", n + 1)
    rid, based = _write(store, "/ada/gone")
    store.put("ada", rid, new_id(), based, Put())
    store.grant("ada", "eve", "/ada", Level.READ)
    with database.writing() as t:
        t.execute("INSERT INTO blob VALUES (?, ?)", (hashlib.sha256(b"code").hexdigest(), b"code"))
    return accounts.make_token("ada")


def _content(database: SqlDatabase) -> dict[str, list[Any]]:
    """Every row of every table but the head, and the audit, which tells of restores too."""
    tables = ("version", "resource", "feed", "access", "principal", "token", "blob")
    with database.reading() as t:
        return {
            table: sorted(
                map(
                    repr,
                    (tuple(row) for row in t.execute(f"SELECT * FROM {table}", ()).fetchall()),
                )
            )
            for table in tables
        }


def _audited(database: SqlDatabase) -> list[Audited]:
    with database.reading() as t:
        return list(t.audit_rows())


def test_no_row_of_the_audit_is_lost_with_a_restore(tmp_path: Path) -> None:
    database = open_database(str(tmp_path / "store"))
    _fill(database)
    write_backup(database, tmp_path / "one.backup")
    Accounts(database).add_user("later")
    written = _audited(database)
    read_backup(database, tmp_path / "one.backup", replace=True)
    kept = _audited(database)
    assert kept[: len(written)] == written
    assert [row.action for row in kept[len(written) :]] == ["restore"]
    assert "later" not in list(database.principals())
    database.check()
    database.close()


def test_a_backup_of_either_goes_into_the_other_and_back(
    tmp_path: Path, postgres_url: str
) -> None:
    first = open_database(str(tmp_path / "first"))
    second = open_database(own_database(postgres_url))
    third = open_database(str(tmp_path / "third"))
    token = _fill(first)
    made = write_backup(first, tmp_path / "one.backup")
    read_backup(second, tmp_path / "one.backup")
    write_backup(second, tmp_path / "two.backup")
    read_backup(third, tmp_path / "two.backup")
    assert _content(first) == _content(second) == _content(third)
    before, after = _audited(first), _audited(third)
    assert after[: len(before)] == before
    assert [row.action for row in after[len(before) :]] == ["restore", "restore"]
    epochs: list[str] = []
    for database in (first, second, third):
        assert Accounts(database).caller(token).user == "ada"
        database.check()
        with database.reading() as t:
            head, kept = t.head(), t.kept()
        assert head.seq == made.seq
        assert dict(kept) == {epoch: made.seq for epoch in epochs}
        epochs.append(head.epoch)
    assert len(set(epochs)) == 3
    for database in (first, second, third):
        database.close()


def test_what_was_written_since_is_gone_and_what_is_made_on_it_is_refused(
    database: SqlDatabase, tmp_path: Path
) -> None:
    _fill(database)
    store = Store(database)
    rid, before = _write(store, "/ada/kept")
    write_backup(database, tmp_path / "b")
    lost, after = _write(store, "/ada/lost")
    with pytest.raises(AlreadyExists):
        read_backup(database, tmp_path / "b")
    assert store.resource("ada", lost)
    restored = read_backup(database, tmp_path / "b", replace=True)
    assert store.resource("ada", lost) is None
    assert store.resource("ada", rid)
    assert restored.epoch != before.epoch
    again = store.put("ada", rid, new_id(), before, Put(body=env("/ada/kept", a=1)))
    assert again == WrongEpoch(restored.epoch)
    assert store.listing("ada").kept == {after.epoch: restored.seq}


def test_a_store_restored_twice_says_what_it_kept_of_each_epoch(
    database: SqlDatabase, tmp_path: Path
) -> None:
    _fill(database)
    store = Store(database)
    _, first = _write(store, "/ada/first")
    early = write_backup(database, tmp_path / "early")
    _write(store, "/ada/lost")
    second = read_backup(database, tmp_path / "early", replace=True)
    _write(store, "/ada/second")
    late = write_backup(database, tmp_path / "late")
    # The same backup again: of the second epoch only its beginning is left.
    third = read_backup(database, tmp_path / "early", replace=True)
    assert store.listing("ada").kept == {first.epoch: early.seq, second.epoch: early.seq}
    _write(store, "/ada/third")
    # A backup of the epoch before: the one that was here shares the beginning with it.
    read_backup(database, tmp_path / "late", replace=True)
    assert store.listing("ada").kept == {
        first.epoch: early.seq,
        second.epoch: late.seq,
        third.epoch: early.seq,
    }
    # One of another store altogether: nothing is left of any epoch.
    other = open_database(str(tmp_path / "other"))
    _fill(other)
    stranger = write_backup(other, tmp_path / "stranger")
    other.close()
    read_backup(database, tmp_path / "stranger", replace=True)
    kept = store.listing("ada").kept
    assert kept.pop(stranger.epoch) == stranger.seq
    assert len(kept) == 4
    assert set(kept.values()) == {0}


def test_a_token_revoked_since_the_backup_stays_revoked(
    database: SqlDatabase, tmp_path: Path
) -> None:
    token, accounts = _fill(database), Accounts(database)
    write_backup(database, tmp_path / "b")
    accounts.revoke(token.split("_")[2])
    read_backup(database, tmp_path / "b", replace=True)
    with pytest.raises(Refused, match="revoked"):
        accounts.caller(token)


def test_a_damaged_backup_is_refused_and_the_store_is_as_it_was(
    database: SqlDatabase, tmp_path: Path
) -> None:
    _fill(database)
    file, random_ = tmp_path / "b", random.Random(7)
    write_backup(database, file)
    whole, before = file.read_bytes(), _content(database)
    damaged = [whole[:cut] for cut in (0, 1, 20, len(whole) // 2, len(whole) - 1)]
    damaged += [whole + b"x", b"nothing of ours", gzip.compress(b"{}\n")]
    for _ in range(60):
        flipped = bytearray(whole)
        # Not the ten bytes of gzip's head: the time and the system in it mean nothing.
        flipped[random_.randrange(10, len(whole))] ^= 1 << random_.randrange(8)
        damaged.append(bytes(flipped))
    lines = gzip.decompress(whole).splitlines(keepends=True)
    damaged += [
        gzip.compress(b"".join(rows)) for rows in (lines[:-1], lines[1:], lines[:5] + lines[6:])
    ]
    damaged.append(gzip.compress(b"".join(lines).replace(b"/ada/x1", b"/ada/x9", 1)))
    for content in damaged:
        (tmp_path / "damaged").write_bytes(content)
        with pytest.raises(BadInput):
            read_backup(database, tmp_path / "damaged", replace=True)
    assert _content(database) == before
    read_backup(database, file, replace=True)


def test_a_backup_that_was_tampered_with_and_sealed_again_does_not_fit_together(
    database: SqlDatabase, tmp_path: Path
) -> None:
    _fill(database)
    write_backup(database, tmp_path / "b")
    before = _content(database)
    *lines, _ = gzip.decompress((tmp_path / "b").read_bytes()).splitlines()
    lines = [line.replace(b'\\"step\\":2', b'\\"step\\":7') for line in lines]
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    end = json.dumps({"type": "end", "rows": len(lines), "digest": digest}).encode()
    (tmp_path / "b").write_bytes(gzip.compress(b"\n".join([*lines, end, b""])))
    with pytest.raises(DamagedStore, match="hash"):
        read_backup(database, tmp_path / "b", replace=True)
    assert _content(database) == before


def test_a_damaged_store_makes_no_backup_over_a_good_one(
    database: SqlDatabase, tmp_path: Path
) -> None:
    _fill(database)
    write_backup(database, tmp_path / "b")
    good = (tmp_path / "b").read_bytes()
    with database.writing() as t:
        t.execute("UPDATE version SET author = 'eve' WHERE rev = 3", ())
    with pytest.raises(DamagedStore):
        write_backup(database, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == good
    assert sorted(file.name for file in tmp_path.glob(".b*")) == []


def test_a_backup_is_of_one_moment_while_others_write(database_url: str, tmp_path: Path) -> None:
    database, other = open_database(database_url), open_database(database_url)
    _fill(database)
    over, failed = threading.Event(), list[BaseException]()

    def write() -> None:
        number = 0
        try:
            while not over.is_set():
                number += 1
                _write(Store(other), f"/ada/new{number}")
        except RhdeskError as exc:
            failed.append(exc)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for n in range(5):
            made = write_backup(database, tmp_path / f"b{n}")
            fresh = open_database(str(tmp_path / f"fresh{n}"))
            assert read_backup(fresh, tmp_path / f"b{n}").revisions == made.revisions
            fresh.close()
    finally:
        over.set()
        writing.join(30)
        database.close()
        other.close()
    assert not failed
