"""The table browser over the real desk: tables on this machine, in memory, in a bucket."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pyarrow as pa
import pytest
from textual.pilot import Pilot

from rhdesk.desk import AsyncDesk
from rhdesk_tui.app import DeskApp
from rhdesk_tui.screens.table import TableScreen
from tests.tui.conftest import said, text_of, until


async def _open(pilot: Pilot[None], place: str) -> TableScreen:
    assert isinstance(pilot.app, DeskApp)
    pilot.app.do(f"table {place}")
    await until(pilot, lambda: isinstance(pilot.app.screen, TableScreen))
    assert isinstance(pilot.app.screen, TableScreen)
    return pilot.app.screen


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
