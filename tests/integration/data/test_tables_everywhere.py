"""One table, written and read alike on every system the contract of files is kept on."""

from __future__ import annotations

import pyarrow as pa
import pytest

from rhdesk.desk import AsyncDesk
from rhdesk.errors import AlreadyExists, BadInput, NotFound


def rows(first: int, count: int) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table(
        {
            "number": pa.array(numbers, pa.int64()),
            "month": pa.array([n % 3 + 1 for n in numbers], pa.int32()),
            "text": pa.array([f"row {n}" for n in numbers]),
        }
    )


async def test_a_table_is_written_grown_and_read(desk: AsyncDesk, spot: str) -> None:
    if spot.startswith("s3://"):
        await desk.make_data_folder(spot)
        spot = f"{spot}/flights"
    written = await desk.write_table(rows(0, 1000), spot, partition_cols=["month"])
    assert (written.version, written.rows, written.files) == (1, 1000, 3)
    with pytest.raises(AlreadyExists):
        await desk.write_table(rows(0, 1), spot)
    with pytest.raises(BadInput, match="do not fit"):
        await desk.write_table(pa.table({"number": ["x"]}), spot, mode="append")
    assert (await desk.write_table(rows(1000, 500), spot, mode="append")).version == 2

    assert (await desk.table_info(spot)).rows == 1500
    whole = await desk.read_table(spot, columns=["number"], where=[("month", "==", 2)])
    assert sorted(whole["number"].to_pylist()) == [n for n in range(1500) if n % 3 == 1]
    page = await desk.table_page(spot, offset=1490, limit=50)
    assert len(page.rows) == 10
    counted = await desk.table_sql(spot, "select month, count(*) n from t group by 1 order by 1")
    assert [list(row) for row in counted.rows] == [[1, 500], [2, 500], [3, 500]]

    seen: list[int] = []
    async for batch in desk.stream_table(spot, batch_size=400, shuffle_seed=7):
        seen += batch["number"].to_pylist()
    assert sorted(seen) == list(range(1500))
    assert seen != sorted(seen)


async def test_rows_go_from_one_system_to_another(
    desk: AsyncDesk, spot: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if spot.startswith("s3://"):
        await desk.make_data_folder(spot)
        spot = f"{spot}/flights"
    here = str(tmp_path_factory.mktemp("tables") / "here")
    await desk.write_table(rows(0, 300), here)
    await desk.copy_table(here, spot)
    back = f"{here}-back"
    await desk.copy_table(spot, back)
    assert (await desk.read_table(back)).equals(rows(0, 300))


async def test_one_that_is_left_in_the_middle_lets_its_files_go(
    desk: AsyncDesk, spot: str
) -> None:
    if spot.startswith("s3://"):
        await desk.make_data_folder(spot)
        spot = f"{spot}/flights"
    await desk.write_table(rows(0, 5000), spot)
    batches = desk.stream_table(spot, batch_size=10)
    assert (await anext(batches)).num_rows == 10
    await batches.aclose()
    with pytest.raises(NotFound):
        await desk.read_table(f"{spot}-none")
