"""Watching: what each save became, a syntax error that leaves old code serving, start and stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from rhdesk.errors import BadInput
from rhdesk.models import Synced, Watched
from tests.fakes.desk import NOW, FakeDesk
from tests.tui.conftest import Opened, said, settle, text_of, until
from tests.tui.house import with_saves
from tests.tui.test_store_screens import SIZES, app_of


@pytest.mark.parametrize("size", SIZES)
async def test_saves_are_told_newest_first_and_an_error_says_what_still_serves(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_saves(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("watch /somewhere/vision lab train")
        await until(pilot, lambda: "old code serves" in text_of(pilot))
        shown = text_of(pilot)
        assert "the code there is still what it was" in shown
        assert "line 41: expected ':'" in shown
        assert "lab train" in shown
        assert ("watch", ("/somewhere/vision", "lab", "train")) in desk.asked
        desk.save_file("train.py", sent_files=1, sent_bytes=2_000, took_s=0.044)
        await until(pilot, lambda: "≡ live" in text_of(pilot))
        assert "old code serves" not in text_of(pilot)
        assert "44 ms" in text_of(pilot)


async def test_it_goes_on_behind_other_screens_and_stops_when_told(
    opened: Opened, desk: FakeDesk
) -> None:
    async with opened() as pilot:
        app_of(pilot).do("watch")
        await until(pilot, lambda: "No folder is watched" in text_of(pilot))
        await pilot.press("n")
        await settle(pilot)
        assert str(Path.cwd())[:20] in text_of(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "◐ first look" in text_of(pilot))
        await pilot.press("escape")
        desk.save_file("net\x1b[2Jwork.py")
        await settle(pilot)
        assert len(desk.watches) == 1
        app_of(pilot).do("watch")
        await until(pilot, lambda: "work.py" in text_of(pilot))
        assert "\x1b" not in text_of(pilot)
        await pilot.press("x")
        await until(pilot, lambda: "■ stopped" in text_of(pilot))
        assert desk.watches == []
        await pilot.press("r")
        await until(pilot, lambda: len(desk.watches) == 1)


async def test_a_folder_that_cannot_be_watched_says_why_and_one_is_not_watched_twice(
    opened: Opened, desk: FakeDesk
) -> None:
    async with opened() as pilot:
        app_of(pilot).do("watch /v lab")
        await settle(pilot)
        app_of(pilot).do("watch /v lab")
        await until(pilot, lambda: any("watched for lab already" in text for text in said(pilot)))
        assert len(desk.watches) == 1
        desk.fails["watch"] = BadInput("'/nowhere' is no folder")
        app_of(pilot).do("watch /nowhere")
        await until(pilot, lambda: "✖ ended" in text_of(pilot))
        await pilot.press("down")
        await until(pilot, lambda: "is no folder" in text_of(pilot))
        app_of(pilot).do("watch a b c d")
        assert any("say a folder behind watch" in text for text in said(pilot))


async def test_what_the_daemon_watches_is_shown_and_ended_from_here(
    opened: Opened, desk: FakeDesk
) -> None:
    last = Synced(folder="/w/speech", cluster="lab", tree="t", at=NOW, files=3, changed=("a.py",))
    desk.watches.append(
        Watched(folder="/w/speech", cluster="lab", since=NOW, last=last, syncs=2, is_kept=True)
    )
    async with opened() as pilot:
        app_of(pilot).do("watch")
        await until(pilot, lambda: "the daemon, also when this app ends" in text_of(pilot))
        assert "speech" in text_of(pilot)
        assert "a.py" in text_of(pilot)
        await pilot.press("x")
        await until(pilot, lambda: "No folder is watched" in text_of(pilot))
        assert ("drop_watch", ("/w/speech", "lab")) in desk.asked
