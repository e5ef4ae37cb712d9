"""A table opened, scrolled, filtered, asked and taken away; and what happens to bad ones."""

# ruff: noqa: ASYNC240 - the files are small and the disk is near

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from rhdesk_tui.screens.table import TableScreen
from rhdesk_tui.widgets.table_grid import TableGrid
from rhdesk_tui.widgets.table_window import KEPT_PAGES, PAGE
from tests.fakes.desk import FakeDesk
from tests.tui.conftest import Opened, said, settle, text_of, until
from tests.tui.house import with_tables
from tests.tui.test_store_screens import SIZES, app_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of flights; it is made once."""
    return Path(with_tables(FakeDesk(), tmp_path_factory.mktemp("made"))).read_bytes()


@pytest.fixture
def flights(desk: FakeDesk, tmp_path: Path, made: bytes) -> str:
    return with_tables(desk, tmp_path, made=made)


def grid_of(pilot: Pilot[None]) -> TableGrid:
    assert isinstance(pilot.app.screen, TableScreen)
    return pilot.app.screen.grid


async def open_table(pilot: Pilot[None], place: str = "~/flights") -> TableGrid:
    app_of(pilot).do(f"table {place}")
    await until(pilot, lambda: isinstance(pilot.app.screen, TableScreen))
    await until(pilot, lambda: grid_of(pilot).window is not None)
    await settle(pilot)
    return grid_of(pilot)


async def typed(pilot: Pilot[None], key: str, text: str) -> None:
    """Open a line, replace what is in it, and enter it."""
    await pilot.press(key)
    pilot.app.screen.query_one(Input).value = text  # each key of it would take a pilot a while
    await pilot.press("enter")
    await settle(pilot)


async def test_a_saved_table_opens_from_its_row(opened: Opened, flights: str) -> None:
    async with opened((140, 40)) as pilot:
        await pilot.press("R", "0", "slash", *"flights", "enter")
        await settle(pilot)
        await pilot.press("o")
        await until(pilot, lambda: "20,000 rows, 10 columns" in text_of(pilot))
        await pilot.press("q", "enter")
        await until(pilot, lambda: "row 1 of 20,000" in text_of(pilot))


@pytest.mark.parametrize("size", SIZES)
async def test_cells_are_drawn_by_their_types(
    opened: Opened, flights: str, size: tuple[int, int]
) -> None:
    async with opened(size) as pilot:
        await open_table(pilot, flights)
        rows = text_of(pilot).split("\n")
        head = next(row for row in rows if "arr_delay" in row)
        first, second = (next(row for row in rows if word in row) for word in ("05:15", "05:18"))
        # Numbers end where their column's name ends, text begins where its name begins.
        end = head.index("distance") + len("distance")
        assert first[:end].endswith(" 187")
        assert second[:end].endswith(" 4200")
        assert first.index("UA") == head.index("carrier")
        # Null, by a sign of its own; the points of the others are aligned.
        delay = head.index("arr_delay") + len("arr_delay")
        assert first[:delay].endswith("∅")
        assert second[:delay].endswith("27.8")
        await pilot.press("dollar_sign")
        await settle(pilot)
        assert "struct ▸" in text_of(pilot)


async def test_null_is_told_from_empty_text(opened: Opened, flights: str) -> None:
    async with opened((140, 40)) as pilot:
        grid = await open_table(pilot)
        grid.select_column("tail")
        await pilot.press("enter")
        await until(pilot, lambda: "(empty text)" in text_of(pilot))
        grid.select_column("note")
        await pilot.press("down")
        await until(pilot, lambda: "∅ null" in text_of(pilot))


async def test_only_what_is_in_sight_is_read(opened: Opened, desk: FakeDesk, flights: str) -> None:
    async with opened() as pilot:
        grid = await open_table(pilot)
        await pilot.press("G")
        await until(pilot, lambda: "row 20,000 of 20,000" in text_of(pilot))
        await until(pilot, lambda: isinstance(grid.value, int))
        pages = {a["offset"] // PAGE for verb, a in desk.asked if verb == "table_page"}
        assert pages <= {0, 1, 19_999 // PAGE - 1, 19_999 // PAGE}
        # A walk through all of it: what is in memory stays bounded.
        window = grid.window
        assert window is not None
        for row in range(0, 20_000, PAGE):
            await window.load((row // PAGE, 0))
        assert window.held <= KEPT_PAGES * PAGE * 10


@pytest.mark.parametrize(
    ("typed_text", "row"), [("812", 812), ("12,345", 12_345), ("50%", 10_001), ("999999", 20_000)]
)
async def test_jumps(opened: Opened, flights: str, typed_text: str, row: int) -> None:
    async with opened() as pilot:
        grid = await open_table(pilot)
        for key in ("colon", "@"):
            await pilot.press("g")
            await typed(pilot, key, typed_text)
            assert grid.row == row - 1
            assert f"row {row:,} of 20,000" in text_of(pilot)
        await until(pilot, lambda: isinstance(grid.value, int))
        assert grid.value == 1000 + grid.row * 7919 % 5000


async def test_a_jump_that_means_nothing_says_what_does(opened: Opened, flights: str) -> None:
    async with opened() as pilot:
        grid = await open_table(pilot)
        await typed(pilot, "@", "soon")
        assert any("one looks like 812004" in text for text in said(pilot))
        assert grid.row == 0


async def test_a_filter_is_pushed_down_counted_and_undone(
    opened: Opened, desk: FakeDesk, flights: str
) -> None:
    async with opened((140, 40)) as pilot:
        grid = await open_table(pilot)
        await typed(pilot, "f", "distance >= 4900 and carrier in UA, AA")
        await until(pilot, lambda: "(20,000 in all)" in text_of(pilot))
        assert "distance >= 4900 · carrier in UA, AA · z goes back" in text_of(pilot)
        assert "distance ◆" in text_of(pilot)
        where = (("distance", ">=", 4900), ("carrier", "in", ["UA", "AA"]))
        assert desk.asked[-1][1]["where"] == where
        frame = pq.read_table(flights).to_pydict()
        fits = [
            flight
            for flight, distance, carrier in zip(
                frame["flight"], frame["distance"], frame["carrier"], strict=True
            )
            if distance >= 4900 and carrier in {"UA", "AA"}
        ]
        assert grid.window is not None
        assert grid.window.total == len(fits)
        assert [grid.value_at(row, "flight") for row in range(20)] == fits[:20]
        await pilot.press("G")
        await until(pilot, lambda: grid.value_at(grid.row, "flight") == fits[-1])
        await pilot.press("z")
        await until(pilot, lambda: "of 20,000" in text_of(pilot))
        assert "z goes back" not in text_of(pilot)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("height > 3", "begins with no column; columns are flight, scheduled"),
        ("flight ~ 3", "'flight ~ 3' is no condition; one looks like: flight >= 30"),
        ("flight == many", "flight is int32, which 'many' is not"),
    ],
)
async def test_a_condition_that_means_nothing_leaves_the_rows(
    opened: Opened, flights: str, text: str, says: str
) -> None:
    async with opened() as pilot:
        grid = await open_table(pilot)
        await typed(pilot, "f", text)
        await until(pilot, lambda: any(says in each for each in said(pilot)))
        assert grid.value == 1000
        assert "row 1 of 20,000" in text_of(pilot)


async def test_a_filter_that_nothing_passes_says_so_and_goes_back(
    opened: Opened, flights: str
) -> None:
    async with opened() as pilot:
        await open_table(pilot)
        await typed(pilot, "f", "distance > 99999")
        await until(pilot, lambda: "No row is like that." in text_of(pilot))
        await pilot.press("z")
        await until(pilot, lambda: "row 1 of 20,000" in text_of(pilot))


async def test_rows_are_sorted_both_ways_and_left_as_they_were(
    opened: Opened, desk: FakeDesk, flights: str
) -> None:
    async with opened((140, 40)) as pilot:
        grid = await open_table(pilot)
        late = pq.read_table(flights)["arr_delay"].to_pylist()
        there = sorted(value for value in late if value is not None)
        grid.select_column("arr_delay")
        await pilot.press("s")
        await until(pilot, lambda: "arr_delay ▲ · z goes back" in text_of(pilot))
        assert [grid.value_at(row, "arr_delay") for row in range(40)] == there[:40]
        await pilot.press("S")
        await until(pilot, lambda: "arr_delay ▼ · z goes back" in text_of(pilot))
        assert grid.value == there[-1]
        pages = sum(verb == "table_page" for verb, _ in desk.asked)
        await pilot.press(*["pagedown"] * 12)
        await until(pilot, lambda: grid.value == there[-1 - grid.row])
        assert sum(verb == "table_page" for verb, _ in desk.asked) == pages, "a span is read once"
        await pilot.press("G")
        await until(pilot, lambda: grid.value is None)  # null comes last
        await typed(pilot, "f", "carrier == UA")
        await until(pilot, lambda: "carrier == UA · arr_delay ▼" in text_of(pilot))
        assert {grid.value_at(row, "carrier") for row in range(30)} == {"UA"}
        await pilot.press("S")
        await until(pilot, lambda: "▼" not in text_of(pilot))


async def test_what_has_no_order_says_so(opened: Opened, flights: str) -> None:
    async with opened() as pilot:
        grid = await open_table(pilot)
        grid.select_column("weather")
        await pilot.press("s")
        await until(pilot, lambda: any("has no order to sort by" in each for each in said(pilot)))
        assert grid.value_at(0, "flight") == 1000


async def test_a_small_table_s_columns_are_profiled_unasked(
    opened: Opened, desk: FakeDesk, flights: str
) -> None:
    async with opened((140, 40)) as pilot:
        grid = await open_table(pilot)
        grid.select_column("arr_delay")
        await pilot.press("down")
        await until(pilot, lambda: "the tallest bar is" in text_of(pilot))
        assert "▁" in text_of(pilot)
        grid.select_column("carrier")
        await pilot.press("down")
        await until(pilot, lambda: "The commonest values" in text_of(pilot))
        assert "5 different values" in text_of(pilot)


async def test_a_large_table_s_columns_are_profiled_when_asked(
    opened: Opened, desk: FakeDesk, flights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rhdesk_tui.table_reader.SMALL_BYTES", 10)
    async with opened((140, 40)) as pilot:
        await open_table(pilot)
        await pilot.press("down")
        await until(pilot, lambda: "p reads the column" in text_of(pilot))
        assert not [verb for verb, _ in desk.asked if verb == "column_profile"]
        await pilot.press("p")
        await until(pilot, lambda: "the tallest bar is" in text_of(pilot))


async def test_sql_answers_in_the_same_rows(opened: Opened, flights: str) -> None:
    async with opened((140, 40)) as pilot:
        grid = await open_table(pilot)
        await typed(pilot, ";", "select carrier, count(*) as n from t group by 1 order by 1")
        await until(pilot, lambda: "col 1/2" in text_of(pilot))
        assert [grid.value_at(row, "carrier") for row in range(5)] == [
            "AA",
            "B6",
            "DL",
            "EV",
            "UA",
        ]
        assert grid.value_at(0, "n") == 4000
        await typed(pilot, ";", "selec 1")
        await until(pilot, lambda: any("duckdb says" in text for text in said(pilot)))
        assert grid.value_at(0, "n") == 4000
        await pilot.press("escape", "z")
        await until(pilot, lambda: "col 3/10" in text_of(pilot))


async def test_what_takes_long_is_given_up_with_escape(
    opened: Opened, desk: FakeDesk, flights: str
) -> None:
    async with opened() as pilot:
        grid = await open_table(pilot)
        desk.table_gate.clear()
        await typed(pilot, "f", "distance > 4900")
        assert "◐ filtering…" in text_of(pilot)
        await pilot.press("down", "escape")
        await until(pilot, lambda: "◐" not in text_of(pilot))
        assert (grid.row, grid.value) == (1, 3919)
        assert "z goes back" not in text_of(pilot)
        desk.table_gate.set()


async def test_without_duckdb_sql_says_what_to_install(
    opened: Opened, flights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)  # as if it were not installed
    async with opened() as pilot:
        grid = await open_table(pilot)
        await typed(pilot, ";", "select 1")
        await until(pilot, lambda: any("rhdesk[sql]" in text for text in said(pilot)))
        assert grid.value == 1000


async def test_columns_are_frozen_hidden_and_shown_again(opened: Opened, flights: str) -> None:
    async with opened() as pilot:
        grid = await open_table(pilot)
        grid.select_column("carrier")
        await pilot.press("!", "dollar_sign")
        await settle(pilot)
        head = text_of(pilot).split("\n")[2]
        assert head.index("carrier") < head.index("note")
        assert "│" in head[2:-2]
        await pilot.press("minus")
        assert "note" not in grid.columns
        assert "1 hidden" in text_of(pilot)
        await pilot.press("equals_sign")
        assert grid.columns[0] == "carrier"
        assert len(grid.columns) == 10


async def test_what_is_nested_is_unfolded(opened: Opened, flights: str) -> None:
    async with opened() as pilot:
        grid = await open_table(pilot)
        grid.select_column("weather")
        await pilot.press("enter")
        await until(pilot, lambda: '  "gusts": [' in text_of(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: '"gusts": [' not in text_of(pilot).split("Enter")[-1])
        await pilot.press("v")
        await until(pilot, lambda: "2013-01-01T05:15:00" in text_of(pilot))


async def test_a_long_cell_is_cut_on_screen_and_whole_where_it_is_copied(
    opened: Opened, tmp_path: Path
) -> None:
    text = "long " * 4_000
    pq.write_table(pa.table({"n": [1], "t": [text]}), tmp_path / "long.parquet")
    async with opened((140, 40)) as pilot:
        grid = await open_table(pilot, str(tmp_path / "long.parquet"))
        grid.select_column("t")
        assert len(str(grid.value)) < 2_000
        await pilot.press("y")
        await settle(pilot)
        await pilot.press("1")
        await until(pilot, lambda: pilot.app.clipboard == text)


async def test_a_row_is_copied_as_json(opened: Opened, flights: str) -> None:
    async with opened() as pilot:
        await open_table(pilot)
        await pilot.press("down", "y")
        await settle(pilot)
        await pilot.press("2")
        await until(pilot, lambda: bool(pilot.app.clipboard))
        row = json.loads(pilot.app.clipboard)
        assert row["flight"] == 3919
        assert row["on_time"] is False
        assert row["weather"]["gusts"] == [1, 1]


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
async def test_what_passes_is_exported(
    opened: Opened, flights: str, tmp_path: Path, ending: str
) -> None:
    target = tmp_path / f"late.{ending}"
    async with opened() as pilot:
        await open_table(pilot)
        if ending == "csv":  # which holds nothing nested
            grid_of(pilot).select_column("weather")
            await pilot.press("minus")
        await typed(pilot, "f", "distance > 4950")
        await until(pilot, lambda: "in all" in text_of(pilot))
        await typed(pilot, "E", str(target))
        await until(pilot, lambda: "rows written" in text_of(pilot))
        desk = app_of(pilot).desk
        page = await desk.table_page(str(target), limit=1000, columns=["distance"])
        assert page.rows
        assert all(distance > 4950 for (distance,) in page.rows)


async def test_an_export_takes_no_file_s_place(
    opened: Opened, flights: str, tmp_path: Path
) -> None:
    (tmp_path / "there.csv").write_text("mine")
    async with opened() as pilot:
        await open_table(pilot)
        await typed(pilot, "E", str(tmp_path / "there.csv"))
        await until(pilot, lambda: any("exists; choose another" in each for each in said(pilot)))
    assert (tmp_path / "there.csv").read_text() == "mine"


async def test_the_place_is_remembered(opened: Opened, flights: str) -> None:
    async with opened() as pilot:
        grid = await open_table(pilot)
        await typed(pilot, "f", "carrier == UA")
        await until(pilot, lambda: "in all" in text_of(pilot))
        grid.select_column("dest")
        await typed(pilot, "@", "3000")
        await pilot.press("q")
        await settle(pilot)
        again = await open_table(pilot)
        assert again is not grid
        assert (again.row, again.column) == (2_999, "dest")
        assert "carrier == UA" in text_of(pilot)
        assert again.value_at(2_999, "carrier") == "UA"


# ---- what goes wrong


async def test_what_is_not_there_says_so(opened: Opened, tmp_path: Path) -> None:
    async with opened() as pilot:
        app_of(pilot).do(f"table {tmp_path}/none.parquet")
        await until(pilot, lambda: "no table is called" in text_of(pilot))
        assert "Nothing could be read here." in text_of(pilot)
        await pilot.press("escape", "q")
        await until(pilot, lambda: not isinstance(pilot.app.screen, TableScreen))


async def test_a_file_that_is_cut_off_says_so(opened: Opened, flights: str) -> None:
    data = Path(flights).read_bytes()
    Path(flights).write_bytes(data[: len(data) // 2])
    async with opened() as pilot:
        app_of(pilot).do("table ~/flights")
        await until(pilot, lambda: "cannot be read" in text_of(pilot))


async def test_a_table_that_goes_away_leaves_what_was_read(opened: Opened, flights: str) -> None:
    kept = Path(flights).read_bytes()
    async with opened() as pilot:
        grid = await open_table(pilot)
        Path(flights).unlink()
        await pilot.press("G")
        await until(pilot, lambda: any("no table is called" in each for each in said(pilot)))
        count = len(said(pilot))
        await pilot.press("up", "pageup", "pageup", "g")
        await settle(pilot)
        assert len(said(pilot)) == count, "the same is not said for every page"
        assert grid.value == 1000
        Path(flights).write_bytes(kept)
        await pilot.press("R", "G")
        await until(pilot, lambda: "row 20,000 of 20,000" in text_of(pilot))
        await until(pilot, lambda: isinstance(grid_of(pilot).value, int))


async def test_a_table_that_shrinks_says_how_far(opened: Opened, flights: str) -> None:
    async with opened() as pilot:
        grid = await open_table(pilot)
        pq.write_table(pq.read_table(flights).slice(0, 700), flights)
        await pilot.press("G")
        await until(pilot, lambda: any("has 700 rows now" in each for each in said(pilot)))
        await until(pilot, lambda: "of 700" in text_of(pilot))
        assert grid.row < 700
        await pilot.press("R")
        await until(pilot, lambda: "700 rows" in text_of(pilot))


async def test_keys_are_obeyed_while_a_page_is_on_its_way(
    opened: Opened, desk: FakeDesk, flights: str
) -> None:
    async with opened() as pilot:
        grid = await open_table(pilot)
        desk.table_gate.clear()
        async with asyncio.timeout(5):
            await pilot.press("G", "up", "right", "pageup")
            assert grid.row < 19_999
            assert "…" in text_of(pilot)
            await pilot.press("colon", *"help", "escape")
        under_way = sum(verb == "table_page" for verb, _ in desk.asked)
        await pilot.press(*["pageup"] * 30)
        assert sum(verb == "table_page" for verb, _ in desk.asked) <= under_way + 2
        desk.table_gate.set()
        await until(pilot, lambda: isinstance(grid.value_at(grid.row, "flight"), int))


async def test_a_table_of_unknown_length_is_counted_as_it_is_read(
    opened: Opened, tmp_path: Path
) -> None:
    lines = "".join(f"{n},w{n}\n" for n in range(1_000))
    (tmp_path / "a.csv").write_text(f"n,word\n{lines}")
    async with opened() as pilot:
        await open_table(pilot, str(tmp_path / "a.csv"))
        await until(pilot, lambda: "row 1 of 1,000" in text_of(pilot))
        await pilot.press("G")
        await until(pilot, lambda: "w999" in text_of(pilot))


async def test_an_empty_table_says_so(opened: Opened, tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), tmp_path / "a.parquet")
    async with opened() as pilot:
        await open_table(pilot, str(tmp_path / "a.parquet"))
        await until(pilot, lambda: "This table has no rows." in text_of(pilot))


async def test_of_a_thousand_columns_those_in_sight_are_read(
    opened: Opened, desk: FakeDesk, tmp_path: Path
) -> None:
    columns = {f"c{n:03}": list(range(n, n + 600)) for n in range(1_000)}
    pq.write_table(pa.table(columns), tmp_path / "wide.parquet")
    async with opened() as pilot:
        grid = await open_table(pilot, str(tmp_path / "wide.parquet"))
        await pilot.press("dollar_sign")
        await until(pilot, lambda: grid.value == 999)
        asked = {name for verb, a in desk.asked if verb == "table_page" for name in a["columns"]}
        assert len(asked) < 80
        assert "col 1000/1000" in text_of(pilot)
