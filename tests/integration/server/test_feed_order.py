"""The feed is in the order of the commits: a reader that goes on where it was misses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import psycopg

from rhdesk.server.serve import open_database
from rhdesk.server.store import Store
from rhdesk.server.tokens import Accounts
from rhdesk.wire.store import Accepted, Based, ChangesPage, Put, RecordRow
from tests.integration.server.conftest import env, new_id, own_database

WRITERS: Final = 4
LASTS_S: Final = 5.0


def _together(write: Callable[[int, int], None], read: Callable[[], None]) -> None:
    """Write in `WRITERS` threads while one reads; then read what is left."""
    until = time.monotonic() + LASTS_S
    failed: list[BaseException] = []

    def writer(which: int) -> None:
        number = 0
        try:
            while time.monotonic() < until:
                number += 1
                write(which, number)
        except BaseException as exc:  # noqa: BLE001 - told by the test, below
            failed.append(exc)

    threads = [threading.Thread(target=writer, args=(which,)) for which in range(WRITERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        read()
    read()
    assert not failed, failed


def test_four_writers_and_no_row_is_skipped(database_url: str) -> None:
    # Each writer has a connection to the database of its own, as four servers would have.
    databases = [open_database(database_url) for _ in range(WRITERS + 1)]
    Accounts(databases[0]).add_user("ada")
    stores = [Store(database) for database in databases]
    acknowledged: list[list[int]] = [[] for _ in range(WRITERS)]
    seen: list[int] = []
    with databases[0].reading() as t:
        head = t.head()
    where = [head.seq]

    def write(which: int, number: int) -> None:
        put = Put(body=env(f"/ada/w{which}n{number}"))
        answer = stores[which].put("ada", new_id(), new_id(), Based("", 0), put)
        assert isinstance(answer, Accepted)
        acknowledged[which].append(answer.seq)

    def read() -> None:
        while True:
            page = stores[-1].changes("ada", head.epoch, where[0])
            assert isinstance(page, ChangesPage)
            seen.extend(row.seq for row in page.rows if isinstance(row, RecordRow))
            where[0] = page.next
            if not page.more:
                return

    _together(write, read)
    for opened in databases:
        opened.close()
    written = sorted(seq for each in acknowledged for seq in each)
    assert len(written) > 100
    assert all(acknowledged)
    assert seen == written
    assert written == list(range(head.seq + 1, head.seq + 1 + len(written)))


def test_the_control_a_feed_in_the_order_of_a_sequence_skips(postgres_url: str) -> None:
    """What a SERIAL column does: a place is given out before the commit, and the reader passes it."""
    url = own_database(postgres_url)
    lines = [psycopg.connect(url) for _ in range(WRITERS)]
    reader = psycopg.connect(url, autocommit=True)
    reader.execute("CREATE TABLE feed (seq BIGSERIAL PRIMARY KEY, writer INT, number INT)")
    seen: list[int] = []

    def write(which: int, number: int) -> None:
        with lines[which].transaction():
            lines[which].execute(
                "INSERT INTO feed (writer, number) VALUES (%s, %s)", (which, number)
            )

    def read() -> None:
        after = seen[-1] if seen else 0
        rows = reader.execute("SELECT seq FROM feed WHERE seq > %s ORDER BY seq", (after,))
        seen.extend(row[0] for row in rows.fetchall())

    _together(write, read)
    written = reader.execute("SELECT count(*) FROM feed").fetchone()
    for line in (*lines, reader):
        line.close()
    assert written is not None
    assert written[0] > 100
    assert len(seen) < written[0]
