"""The store's audit: in the transaction it tells of, chained, and found out when it was touched."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rhdesk.access.levels import Level
from rhdesk.chain import flaws
from rhdesk.errors import DamagedStore, Refused, StoreUnwritable
from rhdesk.models import Audited, AuditHead
from rhdesk.server.groups import KEEPER, Groups
from rhdesk.server.serve import open_database
from rhdesk.server.sql import SqlDatabase
from rhdesk.server.team_secrets import TeamSecrets
from rhdesk.server.tokens import Accounts
from rhdesk.wire.team import NewSecret
from tests.integration.server.conftest import Served
from tests.integration.team.conftest import LogIn

TRIES = 10_000


def filled(database: SqlDatabase) -> None:
    accounts, groups = Accounts(database), Groups(database)
    for user in ("ana", "bo", "cy"):
        accounts.add_user(user)
    groups.make("ana", "ml")
    for n in range(6):
        groups.put("ana", "ml", ["bo"])
        groups.grant("ana", "cy", "/ml", Level(n % 5))
        groups.take("ana", "ml", ["bo"])


def chain_of(database: SqlDatabase) -> tuple[list[Audited], AuditHead]:
    with database.reading() as t:
        return list(t.audit_rows()), t.audit_head()


def tampered(rows: list[Audited], random_: random.Random) -> list[Audited]:
    """One of the ways somebody could try, never one that changes nothing."""
    made = list(rows)
    at = random_.randrange(len(made))
    how = random_.choice(["remove", "change", "reorder", "truncate", "repeat"])
    if how == "remove":
        del made[at]
    elif how == "change":
        field = random_.choice(["who", "action", "about", "note", "hash"])
        text = getattr(made[at], field)
        made[at] = msgspec.structs.replace(made[at], **{field: f"{text}x"})
    elif how == "reorder":
        other = random_.choice([n for n in range(len(made)) if n != at])
        made[at], made[other] = made[other], made[at]
    elif how == "truncate":
        made = made[: random_.randrange(len(made))]
    else:
        made.insert(at, made[at])
    return made


def test_ten_thousand_ways_to_touch_it_are_all_found(database: SqlDatabase) -> None:
    filled(database)
    rows, head = chain_of(database)
    assert len(rows) > 20
    assert not list(flaws(rows, [head])), "the control: untouched it is whole"
    random_ = random.Random(20261123)
    assert all(list(flaws(tampered(rows, random_), [head])) for _ in range(TRIES))


TOUCHES: list[tuple[str, tuple[Any, ...]]] = [
    ("DELETE FROM audit WHERE number = 3", ()),
    ("DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)", ()),
    ("UPDATE audit SET principal = 'bo' WHERE number = 4", ()),
    ("UPDATE audit SET note = note || '.' WHERE number = 5", ()),
    ("UPDATE audit SET seq = seq + 1 WHERE number = 5", ()),
    ("UPDATE audit SET at = '2020-01-01T00:00:00.000000+00:00' WHERE number = 6", ()),
    ("UPDATE audit SET number = number + 1000 WHERE number = 7", ()),
    ("UPDATE audit_head SET number = number - 1", ()),
    ("DELETE FROM audit", ()),
    ("INSERT INTO audit SELECT number + 1000, seq, at, principal, action, about, note, hash"
     " FROM audit WHERE number = 2", ()),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "values"), TOUCHES)
def test_rows_touched_in_the_database_are_found_by_its_check(
    database: SqlDatabase, sql: str, values: tuple[Any, ...]
) -> None:
    filled(database)
    database.check()
    with database.writing() as t:
        t.execute(sql, values)
    with pytest.raises(DamagedStore, match="audit"):
        database.check()


def test_who_rewrites_all_of_it_is_found_by_a_head_kept_elsewhere(database: SqlDatabase) -> None:
    filled(database)
    _, before = chain_of(database)
    with database.writing() as t:
        told = list(t.audit_rows())
        t.execute("DELETE FROM audit", ())
        t.execute("DELETE FROM audit_head", ())
        for row in told:
            who = "nobody" if row.number == 4 else row.who
            t.append_at(row.at, 0, who, row.action, row.about)
    database.check()  # it is a whole chain, of other rows
    with database.reading() as t:
        assert list(t.audit_flaws([before]))


# ---------------------------------------------------------------- in the same transaction


def test_a_change_that_is_refused_leaves_no_row_and_one_that_is_made_leaves_one(
    database: SqlDatabase,
) -> None:
    filled(database)
    before = len(chain_of(database)[0])
    with pytest.raises(Refused):
        Groups(database).grant("bo", "cy", "/ml", Level.READ)
    assert len(chain_of(database)[0]) == before
    Groups(database).grant("ana", "cy", "/ml", Level.READ)
    last = chain_of(database)[0][-1]
    assert (last.who, last.action, last.about) == ("ana", "grant", "/ml")
    assert "read to cy" in last.note


def _reads(secrets: TeamSecrets) -> object:
    return secrets.versions("ana", "/ml/key")


def _grants(groups: Groups) -> object:
    groups.grant("ana", "cy", "/ml", Level.ADMIN)
    return None


def test_what_cannot_be_written_down_does_not_happen(tmp_path: Path) -> None:
    database = open_database(str(tmp_path))
    filled(database)
    secrets = TeamSecrets(database)
    secrets.put("ana", NewSecret(name="/ml/key", envelope={"sealed": "x"}))
    assert secrets.versions("ana", "/ml/key")
    connection = sqlite3.connect(tmp_path / "store.db")
    refuse = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END"
    connection.execute(refuse)
    connection.commit()
    grants = database_grants(database)
    attempts: list[Callable[[], object]] = [
        lambda: _reads(secrets),
        lambda: _grants(Groups(database)),
        lambda: secrets.drop("ana", "/ml/key"),
        lambda: Groups(database).take(KEEPER, "ml", ["ana"]),
    ]
    for attempt in attempts:
        with pytest.raises((StoreUnwritable, sqlite3.IntegrityError)):
            attempt()
    assert database_grants(database) == grants
    connection.execute("DROP TRIGGER full")
    connection.commit()
    connection.close()
    assert secrets.versions("ana", "/ml/key"), "the control: nothing else kept it from being read"
    database.close()


def database_grants(database: SqlDatabase) -> object:
    with database.reading() as t:
        return t.held(), t.teams(), t.secrets()


def test_who_is_refused_is_written_down_once_a_minute(served: Served) -> None:
    ana, bo = served.user("ana", scope="admin"), served.user("bo", scope="admin")
    asked = {"principal": "bo", "folder": "/ana", "level": "read"}
    for _ in range(3):
        assert served.ask("POST", "/v1/grants", token=bo, body=asked).status == 403
    assert served.ask("POST", "/v1/grants", token=ana, body=asked).status == 204
    with served.accounts() as accounts:
        rows, _ = chain_of(accounts.database)
    denied = [(row.who, row.about) for row in rows if row.action == "denied"]
    assert denied == [("bo", "/v1/grants")]


# ---------------------------------------------------------------- kept elsewhere


async def test_a_downloaded_audit_is_verified_without_the_store_and_grows(
    served: Served, log_in: LogIn, tmp_path: Path
) -> None:
    file = tmp_path / "audit.jsonl"
    async with log_in("ana") as desk:
        with pytest.raises(Refused, match="not admin of /"):
            await desk.download_audit(str(file))
        assert not file.exists()
        with served.accounts() as accounts:
            Groups(accounts.database).grant(KEEPER, "ana", "/", Level.ADMIN)
        await desk.make_group("ml")
        first = await desk.download_audit(str(file))
        await desk.drop_group("ml")
        second = await desk.download_audit(str(file))
        assert second.number == first.number + 1
        served.stop()
        flaws_, last = await desk.verify_audit_file(str(file), [first, second])
        assert (flaws_, last) == ([], second)
        lines = file.read_bytes().splitlines(keepends=True)
        for touched in (lines[:-1], lines[1:], [*lines[:2], *lines[3:]], [lines[0], *lines]):
            (tmp_path / "touched").write_bytes(b"".join(touched))
            found, _ = await desk.verify_audit_file(str(tmp_path / "touched"), [second])
            assert found
