"""The table browser over the real desk: tables here, in memory, in a bucket, on a host."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from textual.pilot import Pilot

from rhdesk.desk import AsyncDesk
from rhdesk.errors import NotFound
from rhdesk_tui.app import DeskApp
from rhdesk_tui.screens.table import TableScreen
from tests.tui.conftest import said, text_of, until


async def _open(pilot: Pilot[None], place: str) -> TableScreen:
    assert isinstance(pilot.app, DeskApp)
    pilot.app.do(f"table {place}")
    await until(pilot, lambda: isinstance(pilot.app.screen, TableScreen))
    assert isinstance(pilot.app.screen, TableScreen)
    return pilot.app.screen


@pytest.fixture(params=["gpubox:t", "sftp://gpubox/tmp/browsed/t"])
async def far(
    request: pytest.FixtureRequest,
    lab: Any,
    desk: AsyncDesk,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """A table of two files on a host of its own."""
    lab.host("gpubox")
    monkeypatch.setenv("HOME", str(lab.home))
    (tmp_path / "t").mkdir()
    rows = pa.table({"n": list(range(200_000)), "word": [f"w{n}" for n in range(200_000)]})
    for part in range(2):
        half = rows.slice(part * 100_000, 100_000)
        pq.write_table(half, tmp_path / "t" / f"{part}.parquet", row_group_size=25_000)
    place = str(request.param)
    await desk.make_data_folder(place)
    async for _ in desk.copy_data(str(tmp_path / "t"), place):
        pass
    return place


async def test_a_table_on_a_host_is_read_where_it_is(far: str, desk: AsyncDesk) -> None:
    info = await desk.table_info(far)
    assert (info.rows, info.files, info.columns[0].most) == (200_000, 2, 199_999)
    pages = await asyncio.gather(
        *(desk.table_page(far, offset=at, limit=5, columns=["n"]) for at in (0, 99_998, 199_990))
    )
    assert [page.rows[0][0] for page in pages] == [0, 99_998, 199_990]
    assert pages[1].rows[-1] == (100_002,)
    page = await desk.table_page(far, order_by=("n", True), limit=2, where=[("n", "<", 50)])
    assert page.rows == ((49, "w49"), (48, "w48"))
    assert await desk.table_count(far, where=[("n", ">=", 150_000)]) == 50_000
    assert (await desk.table_sql(far, "select max(n) as n from t")).rows == ((199_999,),)
    with pytest.raises(NotFound, match="no table is called"):
        await desk.table_info(f"{far}/none")


async def test_a_table_on_a_host_is_browsed(far: str, desk: AsyncDesk) -> None:
    async with DeskApp(desk).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, far)
        await until(pilot, lambda: "row 1 of 200,000" in text_of(pilot))
        await pilot.press("G")
        await until(pilot, lambda: screen.grid.value == 199_999)


@pytest.mark.parametrize("system", ["here", "memory", "s3"])
async def test_a_table_is_browsed_wherever_it_is(
    desk: AsyncDesk, tmp_path: Path, system: str, request: pytest.FixtureRequest
) -> None:
    place = {"here": str(tmp_path / "t"), "memory": "memory://browsed/t"}.get(system, "")
    if system == "s3":
        request.getfixturevalue("s3")
        await desk.make_data_folder("s3://browsed")
        place = "s3://browsed/t"
    rows = pa.table({"n": list(range(2_000)), "month": [n % 3 for n in range(2_000)]})
    await desk.write_table(rows, place, partition_cols=["month"])
    async with DeskApp(desk).run_test(size=(120, 36)) as pilot:
        screen = await _open(pilot, place)
        await until(pilot, lambda: "row 1 of 2,000" in text_of(pilot))
        await pilot.press("G")
        await until(pilot, lambda: screen.grid.value == 1_997)  # the last of month 2
        await pilot.press("S")
        await until(pilot, lambda: screen.grid.value == 1_999)


async def test_a_bucket_that_is_not_there_says_so(desk: AsyncDesk, s3: str) -> None:
    async with DeskApp(desk).run_test(size=(120, 36)) as pilot:
        await _open(pilot, "s3://nowhere/t")
        await until(pilot, lambda: "nowhere" in "".join(said(pilot)))
        async with asyncio.timeout(2):
            await pilot.press("escape", "q")
        await until(pilot, lambda: not isinstance(pilot.app.screen, TableScreen))
