"""The schema: made once whoever comes, and never believed when it is not ours."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rhdesk.errors import BadSchema
from rhdesk.server.schema import steps
from rhdesk.server.serve import connect, open_database
from tests.integration.server.conftest import own_database

STARTS = (
    "import sys; from rhdesk.server.serve import open_database; open_database(sys.argv[1]).close()"
)


def test_servers_that_start_together_migrate_once(database_url: str) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", STARTS, database_url], stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    told = [process.communicate(timeout=60)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 6, told
    database = open_database(database_url)
    with database.reading() as t:
        ran = t.execute("SELECT number FROM migration ORDER BY number", ()).fetchall()
        heads = t.execute("SELECT count(*) FROM head", ()).fetchone()
    database.close()
    assert [row[0] for row in ran] == [step.number for step in steps()]
    assert heads[0] == 1


def test_threads_that_open_one_store_together_find_one_schema(database_url: str) -> None:
    found: list[str] = []

    def start() -> None:
        database = open_database(database_url)
        with database.reading() as t:
            found.append(t.head().epoch)
        database.close()

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6
    assert len(set(found)) == 1


def test_a_plan_changes_nothing(database_url: str) -> None:
    database = connect(database_url)
    assert database.pending() == database.pending() == steps()
    assert database.migrate() == steps()
    assert database.pending() == database.migrate() == []
    database.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("INSERT INTO migration VALUES (9999, 'newer', '0', 'then')", "newer rhdesk"),
        ("UPDATE migration SET digest = '0' WHERE number = 1", "changed after it ran"),
    ],
)
def test_a_schema_that_is_not_ours_is_refused(database_url: str, change: str, words: str) -> None:
    database = open_database(database_url)
    with database.writing() as t:
        t.execute(change, ())
    database.close()
    with pytest.raises(BadSchema, match=words):
        open_database(database_url)


def test_a_database_in_which_others_live_too_is_used_beside_them(
    tmp_path: Path, postgres_url: str
) -> None:
    url = own_database(postgres_url)
    database = open_database(url)
    with database.writing() as t:
        t.execute("CREATE TABLE theirs (number INTEGER)", ())
    database.close()
    open_database(url).close()
