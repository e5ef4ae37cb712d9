"""How cells, conditions and places in a table are read and spelled; no screen is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from rhdesk.errors import BadInput, NotFound, RhdeskError
from rhdesk.models import Record, TablePage
from rhdesk_tui.table_cards import sparkline
from rhdesk_tui.table_cells import Cut, Field, field_of, kept, kind_of, short_type, shown
from rhdesk_tui.table_view import (
    TableSource,
    TableView,
    as_cli,
    parse,
    row_number,
    source_of,
    spell,
)
from rhdesk_tui.widgets.table_window import MISSING, PAGE, Key, TableWindow

COLUMNS = ["dep", "dep_delay", "a b", "carrier"]


@pytest.mark.parametrize(
    ("arrow_type", "kind", "short"),
    [
        ("int64", "number", "int64"),
        ("decimal128(10, 2)", "number", "decimal128(10, 2)"),
        ("timestamp[us, tz=Europe/Berlin]", "time", "time Europe/Berlin"),
        ("date32[day]", "time", "date"),
        ("large_string", "text", "text"),
        ("dictionary<values=string, indices=int32, ordered=0>", "text", "string ▤"),
        ("list<item: struct<a: int64>>", "nested", "list ▸"),
        ("bool", "bool", "bool"),
        ("binary", "bytes", "binary"),
    ],
)
def test_a_type_is_known_by_its_name(arrow_type: str, kind: str, short: str) -> None:
    assert kind_of(arrow_type) == kind
    assert short_type(arrow_type) == short


@pytest.mark.parametrize(
    ("value", "arrow_type", "text"),
    [
        (None, "string", "∅"),
        ("", "string", ""),
        (2013, "int64", "2013"),
        (-1_234_567, "int64", "-1 234 567"),
        (0.5, "double", "0.50"),
        (12_345.678, "double", "12 345.68"),
        (1e-9, "double", "1e-09"),
        ("nan", "double", "nan"),
        ("12.30", "decimal128(10, 2)", "12.30"),
        (True, "bool", "✓"),
        (False, "bool", "✗"),
        ("2013-01-01T05:15:00", "timestamp[us]", "2013-01-01 05:15:00"),
        ("00ff", "binary", "0x00ff"),
        ("two\nlines", "string", "two…⏎"),
        ("\x1b[31mred\ta", "string", "red→a"),
        ({"a": [1]}, "struct<a: list<item: int64>>", '{"a": [1]}'),
        (Cut("x" * 1_000, 9_000), "string", "x" * 29 + "……⏎"),
    ],
)
def test_a_cell_is_drawn_by_its_type(value: Any, arrow_type: str, text: str) -> None:
    assert shown(value, Field("c", arrow_type, kind_of(arrow_type), 20, 2)).text == text


def test_a_column_is_as_wide_as_its_cells_and_points_are_aligned() -> None:
    field = field_of("x", "double", "number", [1.5, None, 1234567.25, -0.1])
    assert field.decimals == 2
    assert field.width == len("1 234 567.25")
    assert shown(1.5, field).text == "1.50"
    assert field_of("a long name", "int8", "number", [1]).width == len("a long name") + 2


def test_long_cells_are_cut_where_they_are_kept() -> None:
    assert kept("x" * 5_000) == Cut("x" * 1_000, 5_000)
    nested = kept({"a": ["x"] * 1_000})
    assert isinstance(nested, Cut)
    assert nested.length > 1_000
    assert kept({"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("dep_delay >= 30", (("dep_delay", ">=", 30),)),
        ("dep = x", (("dep", "==", "x"),)),
        ("a b != 2 AND carrier in UA, AA", (("a b", "!=", 2), ("carrier", "in", ["UA", "AA"]))),
        ("carrier not in (UA)", (("carrier", "not in", ["UA"]),)),
        ('carrier == "12"', (("carrier", "==", "12"),)),
        ("carrier == x > y", (("carrier", "==", "x > y"),)),
    ],
)
def test_conditions_are_read_and_spelled_the_same(text: str, found: Any) -> None:
    assert parse(text, COLUMNS) == found
    assert parse(" and ".join(map(spell, found)), COLUMNS) == found


@pytest.mark.parametrize("text", ["", "dep", "dep ~ 3", "other == 3", "dep 3"])
def test_what_is_no_condition_says_what_is(text: str) -> None:
    with pytest.raises(BadInput, match=r"begins with no column|one looks like"):
        parse(text, COLUMNS)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("1", 0), ("812 004", 812_003), ("1,000", 999), ("0", 0), ("50%", 500), ("100%", 999),
        ("101%", None), ("x", None), ("-3", None), ("%", None),
    ],
)  # fmt: skip
def test_a_row_is_meant_by_number_or_share(text: str, row: int | None) -> None:
    assert row_number(text, 1_000) == row
    if "%" in text:
        assert row_number(text, None) is None


def test_what_is_on_screen_can_be_typed_in_a_shell() -> None:
    view = TableView(where=(("dep", ">", 3),))
    said = as_cli(TableSource("x.parquet"), view, 40)
    assert said == "rhdesk data head x.parquet --from 40 --where 'dep > 3'"
    assert as_cli(TableSource("x"), TableView(sql="select 1"), 0) == "rhdesk data sql x 'select 1'"
    assert as_cli(TableSource("x"), TableView(where=(("a", "in", [1]),)), 0) == ""


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"path": "t", "system": "file"}, "t"),
        ({"path": "b/t", "system": "s3"}, "s3://b/t"),
        ({"path": "s3://b/t", "system": "s3"}, "s3://b/t"),
        ({"path": "t"}, "t"),
    ],
)
def test_a_saved_table_says_where_it_is(config: dict[str, Any], place: str) -> None:
    record = Record(
        name="~/t", resource_type="table", config=config, saved_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert source_of(record) == TableSource(place, None, "~/t")


def test_a_record_without_a_path_is_no_place() -> None:
    with pytest.raises(BadInput, match="does not say where"):
        source_of(Record(name="~/t", resource_type="table", config={}))


def test_a_sparkline_goes_from_the_least_to_the_most() -> None:
    assert sparkline([0, 7], 8) == "▁█"
    assert sparkline([float("nan"), 1, 1], 8) == "▁▁"
    assert sparkline([1], 8) == ""
    assert len(sparkline(list(range(1_000)), 40)) == 40


class Far:
    """Rows far away: asked for one page at a time, answered when the test says so."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.asked: list[int] = []
        self.error: RhdeskError | None = None
        self.arrived: list[Key] = []
        self.told: list[RhdeskError] = []
        self.begun: list[Key] = []

    async def fetch(self, start: int, most: int, names: Sequence[str]) -> TablePage:
        self.asked.append(start // PAGE)
        if self.error:
            raise self.error
        rows = range(start, max(min(start + most, self.rows), start))
        return TablePage(
            path="t", columns=tuple(names), offset=start, rows=tuple((n,) for n in rows)
        )

    def window(self, total: int | None) -> TableWindow:
        return TableWindow(
            self.fetch, ["n"], total,
            start=self.begun.append, arrived=self.arrived.append, failed=self.told.append,
        )  # fmt: skip


async def drain(far: Far, window: TableWindow) -> None:
    while far.begun:
        await window.read(far.begun.pop(0))


async def test_only_where_the_eye_is_counts() -> None:
    """Pages that were passed by before they were begun are never read."""
    far = Far(100_000)
    window = far.window(100_000)
    for top in range(0, 50_000, 1_000):
        window.want(range(top, top + 30), [0], ahead=1)
    assert len(far.begun) <= 2
    await drain(far, window)
    last = 49_000 // PAGE
    assert len(far.asked) <= 4
    assert {last, last + 1} < set(far.asked)
    assert window.cell(49_000, 0) == 49_000
    assert window.cell(10_000, 0) is MISSING


async def test_rows_that_end_early_are_noticed() -> None:
    far = Far(700)
    window = far.window(100_000)
    window.want(range(90_000, 90_030), [0])
    await drain(far, window)
    assert window.shrunk_from == 100_000
    window.want(range(600, 630), [0])
    await drain(far, window)
    assert window.total == 700


async def test_rows_of_unknown_number_end_where_they_end() -> None:
    far = Far(PAGE + 10)
    window = far.window(None)
    assert window.rows == PAGE
    window.want(range(30), [0], ahead=1)
    await drain(far, window)
    assert window.total is None
    assert window.rows == 2 * PAGE
    window.want(range(PAGE, PAGE + 30), [0])
    await drain(far, window)
    assert window.total == PAGE + 10
    assert window.shrunk_from is None


async def test_what_fails_is_told_and_not_tried_for_ever() -> None:
    far = Far(1_000)
    far.error = NotFound("t", kind="table")
    window = far.window(1_000)
    for _ in range(5):
        window.want(range(30), [0])
        await drain(far, window)
    assert len(far.asked) == 1
    assert len(far.told) == 1
    far.error = None
    window.forget_failures()
    window.want(range(30), [0])
    await drain(far, window)
    assert window.cell(0, 0) == 0


async def test_two_at_once_at_most_and_the_newest_next() -> None:
    far = Far(100_000)
    window = far.window(100_000)
    gate = asyncio.Event()
    under_way = most = 0
    plain = far.fetch

    async def slow(start: int, count: int, names: Sequence[str]) -> TablePage:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await gate.wait()
        under_way -= 1
        return await plain(start, count, names)

    window._fetch = slow
    running: list[asyncio.Task[None]] = []
    window._start = lambda key: running.append(asyncio.create_task(window.read(key)))
    for top in range(0, 60_000, 3_000):
        window.want(range(top, top + 30), [0], ahead=1)
        await asyncio.sleep(0)
    gate.set()
    while waiting := [task for task in running if not task.done()]:
        await asyncio.wait(waiting)
    assert most == 2
    assert window.cell(57_000, 0) == 57_000
