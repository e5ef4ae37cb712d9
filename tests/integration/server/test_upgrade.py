"""A store of the first schema is brought up to date, with a backup of it before, and loses nothing."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rhdesk.access.levels import Level
from rhdesk.errors import BadSchema, DamagedStore, RhdeskError
from rhdesk.server.backup import read_backup
from rhdesk.server.postgres import WORDS as POSTGRES_WORDS
from rhdesk.server.rows import moment, seal
from rhdesk.server.schema import steps
from rhdesk.server.serve import connect, open_database
from rhdesk.server.sql import SqlDatabase, SqlTables
from rhdesk.server.sqlite import WORDS as SQLITE_WORDS
from rhdesk.server.tokens import Accounts
from rhdesk.wire.canonical import spell
from tests.integration.server.conftest import own_database

AT = datetime(2026, 10, 1, tzinfo=UTC)
SECRET = secrets.token_hex(32)
TOKEN = f"rhd_user_{'ab' * 8}_{SECRET}"


def insert(t: SqlTables, table: str, row: tuple[Any, ...], *unsealed: Any) -> None:
    """As the first release wrote it."""
    whole = (*row, seal(row), *unsealed)
    t.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(whole))})", whole)


def of_first_schema(url: str) -> SqlDatabase:
    """A database made by the first step's own words, with a little of everything in it."""
    database = connect(url)
    words = POSTGRES_WORDS if "://" in url else SQLITE_WORDS
    step = steps()[0]
    # SQLite has a transaction only around what it is told; PostgreSQL locks a head there is not.
    sql = step.sql.format(text=words.text, blob=words.blob)
    lines = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    made = "CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT, digest TEXT, at TEXT)"
    with database._transaction("BEGIN" if "://" in url else "EXCLUSIVE") as given:  # type: ignore[attr-defined]
        execute = given or database._execute  # type: ignore[attr-defined]
        for statement in filter(str.strip, [*lines.split(";"), made]):
            execute(statement, ())
        ran = (step.number, step.name, step.digest, moment(AT))
        execute("INSERT INTO migration VALUES (?, ?, ?, ?)", ran)
        _fill(SqlTables(execute))
    return database


def _fill(t: SqlTables) -> None:
    t.execute("INSERT INTO head VALUES (1, ?, ?, ?, ?)", ("e1", 3, 0, seal(("e1", 3, 0))))
    for name in ("ada", "bob"):
        insert(t, "principal", (name, moment(AT)))
    insert(t, "access", ("ada", "/ada", 4, 1))
    insert(t, "access", ("bob", "/ada", 1, 3))
    insert(t, "feed", (1, "", "ada", "/ada"))
    insert(t, "feed", (2, "r1", "", ""))
    insert(t, "feed", (3, "", "bob", "/ada"))
    body = spell({"name": "/ada/x", "resource_type": "env"})
    version = (
        "r1", 1, 2, "/ada/x", body, "op-1-of-ada", "ada", moment(AT), None, "", "", "d", "/ada",
    )  # fmt: skip
    columns = (
        "rid, rev, seq, name, body, op_id, author, at, saved_at, run_id, note, digest, folder"
    )
    marks = ", ".join("?" * (len(version) + 1))
    t.execute(f"INSERT INTO version ({columns}, row_hash) VALUES ({marks})",
              (*version, seal(version)))  # fmt: skip
    t.execute("INSERT INTO resource VALUES (?, ?, ?, ?, ?, ?)", ("r1", 1, 2, "/ada/x", "/ada", 1))
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    ends = moment(datetime.now(UTC) + timedelta(days=9))
    insert(t, "token", ("ab" * 8, digest, "ada", "write", moment(AT), ends, None), None)
    for seq, action in ((1, "new user"), (2, "write"), (3, "grant read to bob")):
        t.execute(
            "INSERT INTO audit VALUES (?, ?, ?, ?, ?)", (seq, moment(AT), "ada", action, "/ada")
        )


def see_that_all_is_there(database: SqlDatabase) -> None:
    database.check()
    assert Accounts(database).caller(TOKEN).folder == "/"
    with database.reading() as t:
        assert t.grants("ada") == {"/ada": Level.ADMIN}
        assert t.grants("bob") == {"/ada": Level.READ}
        stored = t.live_named("/ada/x")
        assert stored is not None
        assert (stored.rev, stored.author, stored.at) == (1, "ada", AT)
        told = [(row.at, row.who, row.action, row.about) for row in t.audit_rows(0, 3)]
    assert told == [
        (AT, "ada", action, "/ada") for action in ("new user", "write", "grant read to bob")
    ]


def test_a_store_of_the_first_schema_is_migrated_with_a_backup_and_goes_on(
    database_url: str, tmp_path: Path
) -> None:
    database = of_first_schema(database_url)
    assert [step.number for step in database.pending()] == [2]
    database.close()
    backup = tmp_path / "before.gz"
    if "://" in database_url:
        with pytest.raises(BadSchema, match="migrate --backup"):
            open_database(database_url)
        done = _command("migrate", "--database", database_url)
        assert done.returncode == 2
        assert "--backup FILE" in done.stderr
    done = _command("migrate", "--backup", str(backup), "--database", database_url, "--json")
    assert [step["number"] for step in json.loads(done.stdout)["data"]] == [2]
    opened = open_database(database_url)
    see_that_all_is_there(opened)
    Accounts(opened).add_user("cy")
    opened.check()
    opened.close()


def test_what_was_backed_up_before_is_restored_by_the_newer_release(
    tmp_path: Path, postgres_url: str
) -> None:
    of_first_schema(str(tmp_path / "store")).close()
    open_database(str(tmp_path / "store")).close()
    backup = tmp_path / "store" / "before-step-2.gz"
    for url in (str(tmp_path / "second"), own_database(postgres_url)):
        fresh = open_database(url)
        read_backup(fresh, backup)
        see_that_all_is_there(fresh)
        fresh.close()


def test_a_row_that_was_damaged_before_is_noticed_after(database_url: str, tmp_path: Path) -> None:
    """The control: what the second step adds does not make a wrong hash right."""
    database = of_first_schema(database_url)
    with database.writing() as t:
        t.execute("UPDATE access SET level = 4 WHERE principal = 'bob'", ())
    database.migrate()
    with pytest.raises(DamagedStore, match="a grant in /ada"):
        database.check()
    with pytest.raises(RhdeskError), database.reading() as t:
        t.grants("bob")
    database.close()


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rhdesk.cli", "server", *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
