"""What a key costs while 100,000 names are filtered, beside a DataTable filled anew at each key.

    python -m benchmarks.filter

A key is everything from the changed text to the finished screen: choosing the rows, and drawing
those that are seen. The peer chooses with ``in``, and fills Textual's own table with the matches.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import DataTable

from rhdesk.models import Record
from rhdesk_tui.app import DeskApp
from rhdesk_tui.screens.explorer import Explorer
from tests.fakes.desk import NOW, FakeDesk

COUNT = 100_000
TYPED = ("vision", "train-99", "vis 'eval", "model !old", "x9y9")


def names() -> list[Record]:
    folders = ("vision", "text", "audio", "old", "lab")
    kinds = ("train", "eval", "model", "clean", "embed")
    return [
        Record(
            name=f"~/{folders[n % 5]}/{kinds[n // 5 % 5]}-{n}", resource_type="function",
            config={}, version=f"{n:040x}", saved_at=datetime(2026, 10, 1, tzinfo=UTC),
        )
        for n in range(COUNT)
    ]  # fmt: skip


class Table(App[None]):
    def compose(self) -> ComposeResult:
        yield DataTable()


async def typed(
    pilot: Pilot[None], show: Callable[[str], None], words: tuple[str, ...]
) -> list[float]:
    """Milliseconds of every key of *words*, typed letter by letter and taken back at once."""
    took: list[float] = []
    for word in words:
        for end in range(1, len(word) + 1):
            began = time.perf_counter()
            show(word[:end])
            pilot.app.screen._compositor.render_strips()
            took.append((time.perf_counter() - began) * 1000)
        show("")
        await pilot.pause()
    return took


async def ours(records: list[Record]) -> list[float]:
    desk = FakeDesk()
    desk.records = {record.name: record for record in records}
    app = DeskApp(desk, now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("0")
        await pilot.pause(1.0)
        screen = app.screen
        assert isinstance(screen, Explorer)

        def show(text: str) -> None:
            screen._set_filter(text)
            screen._draw_list()

        return await typed(pilot, show, TYPED)


async def peer(records: list[Record]) -> list[float]:
    app = Table()
    lines = [record.name for record in records]
    async with app.run_test(size=(120, 40)) as pilot:
        table = app.query_one(DataTable[str])
        table.add_columns("NAME", "TYPE", "VERSION")

        def show(text: str) -> None:
            table.clear()
            found = [n for n, line in enumerate(lines) if text and text in line]
            table.add_rows((lines[n], "function", records[n].version[:8]) for n in found)

        return await typed(pilot, show, ("vision", "train-99"))


def told(what: str, took: list[float]) -> float:
    centiles = statistics.quantiles(took, n=100)
    p50, p95 = centiles[49], centiles[94]
    print(f"{what:<22} p50 {p50:8.1f} ms   p95 {p95:8.1f} ms   {len(took)} keys")
    return p95


async def main() -> None:
    records = names()
    mine = told("rhdesk", await ours(records))
    theirs = told("DataTable, filled anew", await peer(records))
    print(f"ratio of the p95: {mine / theirs:.3f}")


if __name__ == "__main__":
    asyncio.run(main())
