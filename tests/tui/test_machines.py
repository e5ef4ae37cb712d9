"""Machines elsewhere: their load kept for every screen, a host that is away, a map over nodes."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from rhdesk.errors import ConnectionFailed
from rhdesk.models import Cluster, ClusterState
from rhdesk_tui.loads import Loads, sparkline
from tests.fakes.desk import NOW, FakeDesk
from tests.tui.conftest import Opened, settle, text_of, until
from tests.tui.house import with_lab
from tests.tui.test_store_screens import SIZES, app_of


@pytest.mark.parametrize("size", SIZES)
async def test_a_cluster_shows_the_load_of_each_machine_and_what_is_kept_there(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_lab(desk)
    async with opened(size) as pilot:
        for _ in range(12):
            app_of(pilot).workplace.loads.take("lab", await desk.stats("lab"))
        app_of(pilot).do("cluster lab")
        await until(pilot, lambda: "Environments" in text_of(pilot))
        await pilot.press("tab")
        for word in ("gpu-2", "2 objects", "scaler", "~/vision/evaluate"):
            for _ in range(40):
                if word in text_of(pilot):
                    break
                await pilot.press("down")
            assert word in text_of(pilot), text_of(pilot)


async def test_two_screens_share_one_sample_and_a_node_that_left_is_forgotten() -> None:
    desk = FakeDesk()
    with_lab(desk)
    loads = Loads(desk)
    await loads.ask("lab")
    await loads.ask("lab")
    assert [verb for verb, _ in desk.asked].count("stats") == 1
    loads.take("lab", desk.samples[1][:2])
    past = loads.past("lab")
    assert sorted(past) == ["gpu-1", "gpu-2"]
    assert [len(samples) for samples in past.values()] == [2, 2]
    assert loads.past("elsewhere") == {}


def test_a_sparkline_has_the_newest_at_its_right_end() -> None:
    assert sparkline([0, 50, 100], 5) == "··▁▅█"
    assert sparkline([100, 0, 100], 2) == "▁█"
    assert sparkline([-1, 250], 2) == "▁█"


@pytest.mark.parametrize("size", SIZES)
async def test_a_map_is_folded_to_a_line_a_node(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    run = with_lab(desk)
    async with opened(size) as pilot:
        app_of(pilot).show_run(run)
        await until(pilot, lambda: "24 shares on 3 nodes" in text_of(pilot), tries=250)
        (line,) = [each for each in text_of(pilot).splitlines() if "gpu-2" in each]
        assert "✓ done 4" in line
        assert "▶ running 2" in line
        assert "✖ failed 2" in line


async def test_a_run_whose_host_is_away_says_since_when_and_is_followed_when_it_is_back(
    opened: Opened, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rhdesk_tui.screens.run.AGAIN_S", 0.4)
    monkeypatch.setattr("rhdesk_tui.screens.run._HOST_S", 0.1)
    run = with_lab(desk)
    up = desk.known[-1]
    desk.known[-1] = msgspec.structs.replace(
        up, state=ClusterState.UNREACHABLE, seen_at=NOW - timedelta(minutes=2)
    )
    desk.fails["follow"] = ConnectionFailed("gpu-1 did not answer")
    desk.print_line(run, "before")
    async with opened((140, 40)) as pilot:
        app_of(pilot).show_run(run)
        await until(pilot, lambda: "lab away since" in text_of(pilot))
        assert "the run goes on" in text_of(pilot)
        assert "before" in text_of(pilot)
        await settle(pilot)
        assert "following" not in text_of(pilot)
        del desk.fails["follow"]
        desk.known[-1] = up
        desk.print_line(run, "after")
        await until(pilot, lambda: "│ after" in text_of(pilot))
        await until(pilot, lambda: "away since" not in text_of(pilot))
        assert "following" in text_of(pilot)


async def test_a_run_on_a_host_that_answers_is_not_called_away(
    opened: Opened, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rhdesk_tui.screens.run._HOST_S", 0.1)
    run = with_lab(desk)
    desk.print_line(run, "here")
    desk.known.append(Cluster(name="other", state=ClusterState.UNREACHABLE))
    async with opened() as pilot:
        app_of(pilot).show_run(run)
        await until(pilot, lambda: "24 shares" in text_of(pilot))
        assert "away since" not in text_of(pilot)
        assert "following" in text_of(pilot)
