"""Versions, where things came from, and the store: what the screens show and ask the desk for."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from rhdesk.models import DaemonState, Finding, Record
from rhdesk_tui.app import DeskApp
from tests.fakes.desk import FakeDesk
from tests.tui.conftest import Opened, said, settle, text_of, until
from tests.tui.house import with_past, with_store

SIZES = [(80, 24), (140, 40)]


def app_of(pilot: object) -> DeskApp:
    app = getattr(pilot, "app", None)
    assert isinstance(app, DeskApp)
    return app


@pytest.mark.parametrize("size", SIZES)
async def test_names_of_the_store_stand_beside_ours_with_how_they_stand_to_it(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_store(desk)
    async with opened(size) as pilot:
        await pilot.press("0")
        await settle(pilot)
        shown = text_of(pilot)
        await pilot.press("end")
        await settle(pilot)
        shown += text_of(pilot)
        for words in ("≠ conflict", "≡ in step", "↑ queued", "✖ refused", "~/digits"):
            assert words in shown
        assert "2 conflicts" in shown.split("\n")[0]
        await pilot.press("slash", *"queued", "enter")
        await settle(pilot)
        assert "/ana/sketch" in text_of(pilot)
        assert "/vision/augment" not in text_of(pilot)


async def test_without_a_store_there_is_no_column_for_it(opened: Opened) -> None:
    async with opened() as pilot:
        await pilot.press("0")
        await settle(pilot)
        assert "STORE" not in text_of(pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_a_diff_shows_fields_and_code_and_jumps_between_changes(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_past(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("history ~/digits")
        await settle(pilot)
        await pilot.press("d")
        await settle(pilot)
        shown = text_of(pilot)
        assert "/env/reqs" in shown
        assert "+ 1" in shown
        assert "train.py  changed" in shown
        rows = [row for row in shown.split("\n") if "Net(64)" in row]
        assert ("Net(128)" in rows[0]) is (size[0] >= 140), "wide screens show both sides beside"
        await pilot.press("n", "n", "N")
        await settle(pilot)


async def test_a_rollback_is_asked_about_done_and_can_be_undone(
    opened: Opened, desk: FakeDesk
) -> None:
    with_past(desk)
    newest, before = desk.past["~/digits"][:2]
    async with opened() as pilot:
        app_of(pilot).do("history ~/digits")
        await settle(pilot)
        await pilot.press("r")
        await settle(pilot)
        assert ("rollback", f"~/digits@{before.version}") not in desk.asked
        await pilot.press("down", "r")
        await until(pilot, lambda: "Roll back to" in text_of(pilot))
        assert "/env/reqs" in text_of(pilot)
        await pilot.press("right", "enter")
        await until(pilot, lambda: any("again; undo it with" in text for text in said(pilot)))
        assert ("rollback", f"~/digits@{before.version}") in desk.asked
        assert any(newest.version[:8] in text for text in said(pilot))
        await until(pilot, lambda: "rollback to" in text_of(pilot))


@pytest.mark.parametrize("size", SIZES)
async def test_lineage_is_a_tree_that_can_be_turned_round(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_past(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("lineage ~/digits")
        await settle(pilot)
        shown = text_of(pilot)
        assert "▶ ~/vision/augment wrote it" in shown
        assert "· here:scans it read" in shown
        assert "▶ ~/vision/fetch wrote it" in shown
        await pilot.press("tab")
        await until(pilot, lambda: "nothing would break" in text_of(pilot))
        assert ("dependents", "~/digits") in desk.asked


async def test_deleting_says_what_came_of_it(opened: Opened, desk: FakeDesk) -> None:
    desk.touched = [
        edge.__class__(
            run_id="r1", kind="read", name="~/digits", at=edge.at, function="~/vision/eval"
        )
        for edge in with_past(desk).touched[:1]
    ]
    async with opened() as pilot:
        await pilot.press("ctrl+d")
        await until(pilot, lambda: "Delete ~/digits?" in text_of(pilot))
        assert "~/vision/eval" in text_of(pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_a_conflict_is_decided_field_by_field_and_undone(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_store(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("conflicts")
        await until(pilot, lambda: "both changed /env/reqs" in text_of(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "2 choices" in text_of(pilot))
        await pilot.press("down", "space")
        await settle(pilot)
        assert "◂ ours" in text_of(pilot)
        await pilot.press("a")
        await until(pilot, lambda: any("decided" in text for text in said(pilot)))
        asked = dict(desk.asked)["resolve"]
        assert asked == ("c0ffee", "", {"/env/reqs": "theirs", "/rate": "ours"}, "")
        await pilot.press("U")
        await until(pilot, lambda: ("reopen", "c0ffee") in desk.asked)
        await pilot.press("o", "a")
        await until(pilot, lambda: dict(desk.asked)["resolve"][1] == "ours")


async def test_a_deleted_side_is_one_choice_and_ours_can_go_elsewhere(
    opened: Opened, desk: FakeDesk
) -> None:
    with_store(desk)
    async with opened() as pilot:
        app_of(pilot).do("conflicts")
        await settle(pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "deleted here, changed there" in text_of(pilot))
        assert "(deleted)" in text_of(pilot)
        await pilot.press("c")
        await settle(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "resolve" in dict(desk.asked))
        assert dict(desk.asked)["resolve"][3] == "/vision/old-mine"


async def test_a_refused_write_is_seen_and_dropped_when_asked_twice(
    opened: Opened, desk: FakeDesk
) -> None:
    with_store(desk)
    async with opened() as pilot:
        app_of(pilot).do("conflicts")
        await settle(pilot)
        await pilot.press("end")
        await settle(pilot)
        assert "may not write in /lab" in text_of(pilot)
        await pilot.press("ctrl+d")
        await settle(pilot)
        assert desk.refused
        await pilot.press("right", "enter")
        await until(pilot, lambda: not desk.refused)


async def test_a_refused_write_is_saved_elsewhere_and_kept_when_that_name_is_taken(
    opened: Opened, desk: FakeDesk
) -> None:
    with_store(desk)
    desk.records["~/baseline"] = Record(name="~/baseline", resource_type="env", config={})
    async with opened() as pilot:
        app_of(pilot).do("conflicts")
        await settle(pilot)
        await pilot.press("end", "c", "enter")
        await until(pilot, lambda: ("save", "~/baseline") in desk.asked)
        await settle(pilot)
        assert desk.refused
        await pilot.press("c", "2", "enter")
        await until(pilot, lambda: not desk.refused)
        assert desk.records["~/baseline2"].config["env"]
        assert any("saved as ~/baseline2" in text for text in said(pilot))


@pytest.mark.parametrize("size", SIZES)
async def test_the_store_screen_tells_and_acts(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_store(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("store")
        await until(pilot, lambda: "names.vision.example" in text_of(pilot))
        shown = text_of(pilot)
        assert "3 writes" in shown
        assert "did not answer in time" in shown
        assert "store away for 1h" in shown
        assert "running, pid 4711" in shown
        await pilot.press("d")
        await until(pilot, lambda: desk.background == DaemonState(status="stopped"))
        await pilot.press("s")
        await until(pilot, lambda: ("sync", None) in desk.asked)
        await pilot.press("O")
        await settle(pilot)
        await pilot.press("right", "enter")
        await until(pilot, lambda: "Nobody is logged in" in text_of(pilot))


async def test_a_token_is_typed_without_being_shown(opened: Opened, desk: FakeDesk) -> None:
    async with opened() as pilot:
        app_of(pilot).do("store")
        await until(pilot, lambda: "Nobody is logged in" in text_of(pilot))
        await pilot.press("L")
        await settle(pilot)
        url, token = pilot.app.screen.query(Input)
        url.value, token.value = "https://names.example", "rhd_user_canary"
        token.focus()
        await settle(pilot)
        assert "canary" not in text_of(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: ("login", "https://names.example") in desk.asked)
        assert not any("canary" in text for text in said(pilot))


async def test_nothing_that_waits_is_said_in_words(opened: Opened) -> None:
    async with opened() as pilot:
        app_of(pilot).do("conflicts")
        await until(pilot, lambda: "Nothing waits for you" in text_of(pilot))
        app_of(pilot).do("share")
        await settle(pilot)
        assert any("share @ bob read" in text for text in said(pilot))
        app_of(pilot).do("rollback ~/digits")
        await settle(pilot)


async def test_care_tells_what_is_wrong_and_mends_it(opened: Opened, desk: FakeDesk) -> None:
    async with opened() as pilot:
        app_of(pilot).do("fsck")
        await until(pilot, lambda: "nothing is wrong" in text_of(pilot))
        desk.findings = [
            Finding(store="runs", what="runs.db is torn", remedy="rhdesk fsck --mend")
        ]
        await pilot.press("R")
        await until(pilot, lambda: "runs.db is torn" in text_of(pilot))
        assert "rhdesk fsck --mend" in text_of(pilot)
        await pilot.press("m")
        await until(pilot, lambda: "✓ mended" in text_of(pilot))
        await pilot.press("b")
        await until(pilot, lambda: ("rebuild", None) in desk.asked)


async def test_an_old_project_is_looked_at_before_it_comes_over(
    opened: Opened, desk: FakeDesk
) -> None:
    async with opened() as pilot:
        app_of(pilot).do("import /old/project")
        await until(pilot, lambda: "1 name would come over" in text_of(pilot))
        assert "token in config.yaml" in text_of(pilot)
        await pilot.press("I")
        await until(pilot, lambda: "1 name came over" in text_of(pilot))
        asked = [what for verb, what in desk.asked if verb == "import_project"]
        assert asked == [("/old/project", True), ("/old/project", False)]


async def test_an_exchange_tells_what_came_and_what_both_changed(opened: Opened) -> None:
    async with opened() as pilot:
        app_of(pilot).do("exchange backup")
        await until(pilot, lambda: "both changed /rate; ours stands" in text_of(pilot))
        assert "rhdesk rollback ~/digits@7e577e577e" in text_of(pilot)
