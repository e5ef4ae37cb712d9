from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot

from rhdesk.config import Settings
from rhdesk.desk import AsyncDesk
from rhdesk.errors import ConnectionFailed
from rhdesk.models import Failure, LogLine, RunStatus
from rhdesk_tui.app import DeskApp
from rhdesk_tui.screens.confirm import Confirm
from rhdesk_tui.screens.run import RunScreen
from rhdesk_tui.widgets.log_view import LogView
from rhdesk_tui.widgets.log_window import KEPT_PAGES, PAGE
from tests.fakes.desk import NOW, FakeDesk, Written, make_run
from tests.tui.conftest import Opened, said, settle, text_of, until
from tests.tui.house import TRACEBACK

MILLION = 1_000_000
SIZES = [(80, 24), (140, 40)]


async def show(pilot: Pilot[None], run_id: str) -> LogView:
    assert isinstance(pilot.app, DeskApp)
    pilot.app.show_run(run_id)
    await settle(pilot)
    assert isinstance(pilot.app.screen, RunScreen)
    return pilot.app.screen.log_view


@pytest.fixture
def running(desk: FakeDesk) -> str:
    """A run in progress that has printed nothing yet."""
    run = make_run(0, status=RunStatus.RUNNING, ended_at=None, run_id="feed0001")
    desk.all_runs.insert(0, run)
    desk.logs[run.run_id] = Written(0)
    return run.run_id


@pytest.fixture
def million(desk: FakeDesk) -> str:
    """A finished run of a million lines, one in a hundred thousand an error."""
    run = make_run(0, run_id="beef0001", lines=MILLION)
    desk.all_runs.insert(0, run)
    desk.logs[run.run_id] = Written(
        MILLION, lambda seq: f"{'ERROR' if seq % 100_000 == 777 else 'INFO'} number {seq}"
    )
    return run.run_id


@pytest.mark.parametrize("size", SIZES)
async def test_lines_show_as_they_are_printed(
    opened: Opened, desk: FakeDesk, running: str, size: tuple[int, int]
) -> None:
    async with opened(size) as pilot:
        await show(pilot, running)
        assert "waiting for the first line" in text_of(pilot)
        desk.print_line(running, "hello")
        await until(pilot, lambda: "│ hello" in text_of(pilot))
        desk.print_line(running, "oh no", "stderr")
        await until(pilot, lambda: "» oh no" in text_of(pilot))
        for n in range(100):
            desk.print_line(running, f"line {n}")
        await until(pilot, lambda: "line 99" in text_of(pilot))
        desk.returns[running] = {"accuracy": 0.98}
        desk.end(running, RunStatus.SUCCEEDED)
        await until(pilot, lambda: '{"accuracy": 0.98}' in text_of(pilot))
        assert "✓ done" in text_of(pilot)


async def test_a_burst_is_drawn_a_few_times_not_once_a_line(
    opened: Opened, desk: FakeDesk, running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as pilot:
        log = await show(pilot, running)
        drawn: list[int] = []
        extend = log.extend

        def counted(lines: list[LogLine], total: int) -> None:
            drawn.append(len(lines))
            extend(lines, total)

        monkeypatch.setattr(log, "extend", counted)
        for n in range(5_000):
            desk.print_line(running, f"line {n}")
        await until(pilot, lambda: "line 4999" in text_of(pilot))
        assert sum(drawn) == 5_000, "every line arrived, once"
        assert len(drawn) < 30
        assert log.window.held <= KEPT_PAGES * PAGE


async def test_moving_up_freezes_the_view_and_counts_what_comes(
    opened: Opened, desk: FakeDesk, running: str
) -> None:
    for n in range(200):
        desk.print_line(running, f"line {n}")
    async with opened() as pilot:
        log = await show(pilot, running)
        assert log.following
        await pilot.press("pageup")
        await settle(pilot)
        assert not log.following
        before = [row for row in text_of(pilot).splitlines() if "│" in row and "line 1" in row]
        for n in range(50):
            desk.print_line(running, f"more {n}")
        await until(pilot, lambda: "50 new lines below" in text_of(pilot))
        after = [row for row in text_of(pilot).splitlines() if "│" in row and "line 1" in row]
        assert [row[:30] for row in after] == [row[:30] for row in before]
        await pilot.press("end")
        await until(pilot, lambda: "more 49" in text_of(pilot))
        assert log.following


@pytest.mark.parametrize("size", SIZES)
async def test_a_million_lines_are_never_read_whole(
    opened: Opened, desk: FakeDesk, million: str, size: tuple[int, int]
) -> None:
    async with opened(size) as pilot:
        log = await show(pilot, million)
        await until(pilot, lambda: "Result" in text_of(pilot))
        await settle(pilot)
        assert f"number {MILLION - 1}" in text_of(pilot), "the last page comes first"
        assert log.window.fetched <= 3 * PAGE
        await pilot.press("home")
        await until(pilot, lambda: "number 0" in text_of(pilot))
        for _ in range(20):
            await pilot.press("pagedown")
        await settle(pilot)
        await pilot.press("at", *"500000", "enter")
        await until(pilot, lambda: "number 499999" in text_of(pilot))
        await pilot.press("end")
        await until(pilot, lambda: f"number {MILLION - 1}" in text_of(pilot))
        assert desk.lines_read < 8_000
        assert desk.most_read <= 2 * PAGE
        assert log.window.held <= KEPT_PAGES * PAGE


async def test_scrolling_by_wheel_through_a_million_lines_stays_bounded(
    opened: Opened, desk: FakeDesk, million: str
) -> None:
    async with opened() as pilot:
        log = await show(pilot, million)
        for y in range(0, MILLION, MILLION // 60):
            log.scroll_to(y=y, animate=False, immediate=True)
            await pilot.pause()
        await settle(pilot)
        assert log.window.held <= KEPT_PAGES * PAGE
        assert not log.following
        assert "…" not in "".join(row[8:30] for row in text_of(pilot).splitlines()[3:20])


async def test_search_goes_on_and_back_and_marks_what_it_found(
    opened: Opened, desk: FakeDesk, million: str
) -> None:
    async with opened() as pilot:
        log = await show(pilot, million)
        await pilot.press("home")
        await pilot.press("slash", *"number 99", "enter")
        await until(pilot, lambda: log.cursor == 99)
        await pilot.press("n")
        await until(pilot, lambda: log.cursor == 990)
        await pilot.press("N")
        await until(pilot, lambda: log.cursor == 99)
        assert "/number 99" in text_of(pilot)
        await pilot.press("escape")
        assert log.needle == ""


async def test_e_jumps_between_errors(opened: Opened, desk: FakeDesk, million: str) -> None:
    async with opened() as pilot:
        log = await show(pilot, million)
        await pilot.press("home", "e")
        await until(pilot, lambda: log.cursor == 777)
        await pilot.press("e")
        await until(pilot, lambda: log.cursor == 100_777)
        await pilot.press("E")
        await until(pilot, lambda: log.cursor == 777)
        await pilot.press("E")
        await until(pilot, lambda: "no error above" in said(pilot))


async def test_wrapping_shows_whole_lines_and_says_when_it_does_not(
    opened: Opened, desk: FakeDesk, running: str
) -> None:
    desk.print_line(running, "a" * 150 + "END")
    desk.print_line(running, "b" * 1_000_000)
    desk.print_line(running, "last")
    async with opened() as pilot:
        log = await show(pilot, running)
        assert "… +999,9" in text_of(pilot)
        await pilot.press("w")
        await settle(pilot)
        assert log.following
        assert "last" in text_of(pilot)
        await pilot.press("home")
        await settle(pilot)
        assert "END" in text_of(pilot)
        await pilot.press("down")
        await settle(pilot)
        assert "characters, y copies them" in text_of(pilot)
        await pilot.press("down")
        await settle(pilot)
        assert log.cursor == 2
        assert "last" in text_of(pilot)


async def test_times_cycle_between_clock_and_elapsed(
    opened: Opened, desk: FakeDesk, running: str
) -> None:
    desk.print_line(running, "one")
    desk.print_line(running, "two")
    async with opened() as pilot:
        await show(pilot, running)
        await pilot.press("t")
        await settle(pilot)
        assert ":00.250 │ two" in text_of(pilot)
        await pilot.press("t")
        await settle(pilot)
        assert "+0.2s │ two" in text_of(pilot)


async def test_lines_are_selected_and_copied(opened: Opened, desk: FakeDesk, running: str) -> None:
    for n in range(30):
        desk.print_line(running, f"line {n}")
    async with opened() as pilot:
        await show(pilot, running)
        await pilot.press("up", "v", "up", "up")
        await settle(pilot)
        assert "3 selected" in text_of(pilot)
        await pilot.press("y")
        await until(pilot, lambda: pilot.app.clipboard == "line 26\nline 27\nline 28")
        await pilot.press("y")
        await settle(pilot)
        await pilot.press("1")
        await until(pilot, lambda: pilot.app.clipboard == "line 26")


async def test_a_log_is_saved_to_a_file_page_by_page(
    opened: Opened, desk: FakeDesk, tmp_path: Path
) -> None:
    run = make_run(0, run_id="cafe0001")
    desk.all_runs.insert(0, run)
    desk.logs[run.run_id] = Written(12_345)
    target = tmp_path / "out.log"
    async with opened() as pilot:
        await show(pilot, run.run_id)
        await pilot.press("S")
        await settle(pilot)
        for line in pilot.app.screen.query("#command-line"):
            line.value = str(target)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: f"to {target}" in said(pilot)[0] if said(pilot) else False)
        assert target.read_text().splitlines() == [f"line {n}" for n in range(12_345)]
        assert sorted(os.listdir(tmp_path)) == ["home", "out.log"]
        await pilot.press("S")
        for line in pilot.app.screen.query("#command-line"):
            line.value = str(target)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: "exists; choose another name" in said(pilot)[0])


@pytest.mark.parametrize("size", SIZES)
async def test_a_failure_shows_its_traceback(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    failure = Failure(kind="ValueError", message="[b]no[/b]", traceback=TRACEBACK)
    run = make_run(0, run_id="dead0001", status=RunStatus.FAILED, failure=failure)
    desk.all_runs.insert(0, run)
    async with opened(size) as pilot:
        await show(pilot, run.run_id)
        shown = text_of(pilot)
        assert "ValueError: [b]no[/b]" in shown
        assert 'File "/home/ana/vision/train.py", line 41, in train' in shown
        assert "This run printed nothing." in shown


async def test_a_result_of_records_shows_as_a_table(opened: Opened) -> None:
    async with opened() as pilot:
        await pilot.press("3", "down", "enter")
        await until(pilot, lambda: "accuracy  seconds" in text_of(pilot))
        assert "256  0.002     0.964      6.1" in text_of(pilot)


async def test_cancelling_asks_and_then_reaches_the_run(
    opened: Opened, desk: FakeDesk, running: str
) -> None:
    async with opened() as pilot:
        await show(pilot, running)
        await pilot.press("c")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "■ cancelled" in text_of(pilot))
        assert ("cancel", running) in desk.asked


async def test_a_lost_connection_leaves_the_lines_and_says_so(
    opened: Opened, desk: FakeDesk, running: str
) -> None:
    desk.print_line(running, "kept")
    desk.fails["follow"] = ConnectionFailed("nothing answers on 127.0.0.1:1")
    async with opened() as pilot:
        await show(pilot, running)
        await until(pilot, lambda: "✖ nothing answers" in text_of(pilot))
        assert "│ kept" in text_of(pilot)
        desk.fails.clear()
        await pilot.press("R")
        desk.print_line(running, "and on")
        await until(pilot, lambda: "│ and on" in text_of(pilot))


async def test_an_unknown_run_is_said_not_thrown(opened: Opened) -> None:
    async with opened() as pilot:
        await show(pilot, "nope")
        assert "✖ no run is called 'nope'" in text_of(pilot)


async def test_resizing_keeps_the_end_in_sight(
    opened: Opened, desk: FakeDesk, running: str
) -> None:
    for n in range(300):
        desk.print_line(running, f"line {n}")
    async with opened() as pilot:
        await show(pilot, running)
        for size in ((140, 40), (60, 16), (100, 30)):
            await pilot.resize_terminal(*size)
            await settle(pilot)
            assert "line 299" in text_of(pilot)


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncGenerator[tuple[AsyncDesk, str]]:
    """A run of 30,000 lines in the real store, its cluster long gone."""
    settings = Settings.load(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    async with AsyncDesk.open(settings) as desk:
        run = make_run(3, run_id="5707ed01", ended_at=NOW + timedelta(seconds=5))
        lines = [
            LogLine(run.run_id, n, "stdout", NOW.timestamp() + n,
                    f"{'ERROR' if n == 12_000 else 'INFO'} number {n}")
            for n in range(30_000)
        ]  # fmt: skip

        desk.recorder.submitted(run)
        desk.recorder.lines(lines)
        desk.recorder.ended(run)
        desk.recorder.flush()
        yield desk, run.run_id


async def test_the_real_store_feeds_the_log(opened: Opened, stored: tuple[AsyncDesk, str]) -> None:
    desk, run_id = stored
    async with opened(on=desk) as pilot:
        log = await show(pilot, run_id)
        await until(pilot, lambda: "number 29999" in text_of(pilot))
        await pilot.press("home", "e")
        await until(pilot, lambda: log.cursor == 12_000)
        await pilot.press("slash", *"number 17", "enter")
        await until(pilot, lambda: log.cursor == 17_000)
        assert log.window.fetched < 3_000
        await pilot.press("escape", "q", "3")
        await until(pilot, lambda: "30,000" in text_of(pilot))
