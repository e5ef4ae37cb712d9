"""Tables of a real PostgreSQL: read, asked, streamed and written like those in files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

import rhdesk as rh
from rhdesk.desk import AsyncDesk
from rhdesk.errors import (
    AlreadyExists,
    BadInput,
    ConnectionFailed,
    NotFound,
    Refused,
    SetupFailed,
    StoreUnwritable,
)
from rhdesk.handles.session import session
from tests.testbed.postgres import postgres

ROWS = 20_000


@pytest.fixture(scope="module")
def _server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def url(_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the database without its password, which is in the environment."""
    with psycopg.connect(_server, autocommit=True) as line:
        line.execute("DROP SCHEMA public CASCADE")
        line.execute("CREATE SCHEMA public")
    monkeypatch.setenv("PGPASSWORD", "rhdesk")
    return _server.replace(":rhdesk@", "@")


def rows(count: int = ROWS) -> pa.Table:
    return pa.table(
        {
            "number": pa.array(range(count), pa.int64()),
            "text": pa.array([f"row {n}" if n % 10 else None for n in range(count)], pa.string()),
            "day": [date(2013, 1, 1 + n % 28) for n in range(count)],
        }
    )


async def test_it_is_read_and_asked_like_any_table(
    desk: AsyncDesk, url: str, tmp_path: Path
) -> None:
    path = f"{url}?table=flights"
    assert (await desk.write_table(rows(), path)).rows == ROWS
    info = await desk.table_info(path)
    assert (info.format, info.rows) == ("postgresql", ROWS)
    assert [column.name for column in info.columns] == ["number", "text", "day"]
    page = await desk.table_page(path, offset=ROWS - 5, limit=10)
    assert [row[0] for row in page.rows] == list(range(ROWS - 5, ROWS))
    where = [("day", "==", date(2013, 1, 2)), ("number", "<", 60)]
    assert [r[0] for r in (await desk.table_page(path, where=where)).rows] == [1, 29, 57]
    some = [("number", "in", [7, 3])]
    down = await desk.table_page(path, where=some, order_by=("number", True), columns=["number"])
    assert down.rows == ((7,), (3,))
    assert await desk.table_count(path, where=[("number", "not in", [1, 2])]) == ROWS - 2
    assert (await desk.column_profile(path, "text")).nulls == ROWS // 10
    counted = await desk.table_sql(path, "SELECT count(*) n FROM t WHERE text IS NULL;")
    assert counted.rows == ((ROWS // 10,),)
    seen: list[int] = []
    async for batch in desk.stream_table(path, batch_size=999, columns=["number"]):
        assert batch.num_rows <= 999
        seen += batch["number"].to_pylist()
    assert seen == list(range(ROWS))
    whole = await desk.read_table(path, where=[("number", ">=", ROWS - 2)])
    assert whole["number"].to_pylist() == [ROWS - 2, ROWS - 1]
    copy = str(tmp_path / "copy")
    assert (await desk.copy_table(path, copy)).rows == ROWS
    assert (await desk.copy_table(copy, f"{url}?table=public.again")).rows == ROWS
    assert (await desk.export_table(path, str(tmp_path / "x.csv"), columns=["day"])).rows == ROWS


async def test_it_is_written_all_or_nothing(desk: AsyncDesk, url: str) -> None:
    path = f"{url}?table=flights"
    await desk.write_table(rows(10), path)
    with pytest.raises(AlreadyExists):
        await desk.write_table(rows(10), path)
    with pytest.raises(BadInput, match="do not fit"):
        await desk.write_table(pa.table({"other": [1]}), path, mode="append")
    await desk.write_table(rows(10), path, mode="append")

    def breaks() -> Iterator[pa.RecordBatch]:
        yield from rows(5000).to_batches()
        raise pa.ArrowInvalid("the source broke off")

    reader = pa.RecordBatchReader.from_batches(rows(1).schema, breaks())
    with pytest.raises(StoreUnwritable, match="nothing was written"):
        await desk.write_table(reader, path, mode="append")
    reader = pa.RecordBatchReader.from_batches(rows(1).schema, breaks())
    with pytest.raises(StoreUnwritable):
        await desk.write_table(reader, path, mode="overwrite")
    assert (await desk.table_info(path)).rows == 20
    assert (await desk.write_table(rows(3), path, mode="overwrite")).rows == 3
    assert (await desk.table_info(path)).rows == 3
    with pytest.raises(BadInput, match="partitioned by its database"):
        await desk.write_table(rows(3), path, mode="append", partition_cols=["day"])


async def test_a_question_changes_nothing_and_a_name_is_only_a_name(
    desk: AsyncDesk, url: str
) -> None:
    path = f"{url}?table=flights"
    await desk.write_table(rows(10), path)
    with psycopg.connect(url, autocommit=True) as line:
        line.execute("CREATE SEQUENCE counted")
    for statement in (
        "DELETE FROM t",
        "SELECT 1) a; DROP TABLE flights; SELECT * FROM (SELECT 1",
        "WITH gone AS (DELETE FROM flights RETURNING 1) SELECT * FROM gone",
        "SELECT 1) a LIMIT 0; COMMIT; DROP TABLE flights; SELECT * FROM (SELECT 1",
        "SELECT nextval('counted')",
        "SELECT set_config('transaction_read_only', 'off', false), nextval('counted')",
    ):
        with pytest.raises(BadInput):
            await desk.table_sql(path, statement)
    hostile = pa.table({'a"; DROP TABLE flights; --': [1, 2]})
    await desk.write_table(hostile, f"{url}?table=odd%22name")
    page = await desk.table_page(
        f"{url}?table=odd%22name",
        columns=hostile.column_names,
        where=[(*hostile.column_names, ">", 1)],
    )
    assert page.rows == ((2,),)
    assert (await desk.table_info(path)).rows == 10


async def test_what_is_wrong_is_said_and_a_password_is_not(
    desk: AsyncDesk, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match=r"add one: \?table="):
        await desk.table_info(url)
    with pytest.raises(NotFound):
        await desk.table_info(f"{url}?table=none")
    with pytest.raises(SetupFailed, match='pip install "adbc-driver-snowflake"'):
        await desk.table_info("snowflake://me@account/db?table=x")
    await desk.write_table(rows(10), f"{url}?table=flights")
    with pytest.raises(BadInput, match="has no column 'nmber'; it has number"):
        await desk.table_page(f"{url}?table=flights", columns=["nmber"])
    with pytest.raises(BadInput, match="is int64"):
        await desk.table_page(f"{url}?table=flights", where=[("number", "<", "x")])
    monkeypatch.delenv("PGPASSWORD")
    wrong = url.replace("rhdesk@", "rhdesk:hunter-two@")
    with pytest.raises(ConnectionFailed, match="authentication failed") as refused:
        await desk.table_info(f"{wrong}?table=flights")
    assert "hunter-two" not in str(refused.value)
    right = url.replace("rhdesk@", "rhdesk:rhdesk@")
    assert (await desk.table_info(f"{right}?table=flights")).path == f"{url}?table=flights"
    with psycopg.connect(right, autocommit=True) as line:
        line.execute("CREATE ROLE stranger LOGIN PASSWORD 'x'")
        line.execute("GRANT USAGE ON SCHEMA public TO stranger")
    stranger = url.replace("rhdesk@", "stranger:x@")
    with pytest.raises(Refused, match="permission denied"):
        await desk.table_info(f"{stranger}?table=flights")


def test_it_has_a_name_and_no_password(url: str) -> None:
    table = rh.table(rows(10).to_pandas(), name="~/db", path=f"{url}?table=flights").write()
    table.save()
    again = rh.load("~/db")
    assert len(again) == 10
    assert list(again.fetch()["number"]) == list(range(10))
    with pytest.raises(BadInput, match="password"):
        rh.table(path=f"{url.replace('rhdesk@', 'rhdesk:rhdesk@')}?table=flights").save("~/no")
    with pytest.raises(BadInput, match="is no files"):
        again.rm()
    saved = session().desk.load("~/db").config
    assert "PGPASSWORD" not in json.dumps(saved)


async def test_a_database_of_another_kind(desk: AsyncDesk, tmp_path: Path) -> None:
    pytest.importorskip("adbc_driver_sqlite")
    with sqlite3.connect(tmp_path / "x.db") as line:
        line.execute("CREATE TABLE t1 (a INTEGER, b TEXT)")
        line.execute("INSERT INTO t1 VALUES (1, 'x'), (2, NULL)")
    path = f"sqlite://{tmp_path}/x.db?table=t1"
    assert (await desk.table_page(path, where=[("a", ">", 1)])).rows == ((2, None),)
