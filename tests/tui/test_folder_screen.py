"""A folder before it travels: what goes, what stays and why; sent, and brought back."""

from __future__ import annotations

import pytest

from rhdesk.models import Step, StepState
from tests.fakes.desk import FakeDesk
from tests.tui.conftest import Opened, said, settle, text_of, until
from tests.tui.house import with_plan
from tests.tui.test_store_screens import SIZES, app_of


@pytest.mark.parametrize("size", SIZES)
async def test_what_travels_and_what_stays_is_told_before_anything_is_sent(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_plan(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("folder vision lab")
        await until(pilot, lambda: "1,204 files travel, 3 held back" in text_of(pilot))
        shown = text_of(pilot)
        assert ("plan_sync", "vision") in desk.asked
        assert "it looks like a secret" in shown
        assert "epoch=9.ckpt" in shown
        assert not [asked for asked in desk.asked if asked[0] == "push"]


async def test_a_file_is_asked_about_and_one_that_is_not_there_says_so(
    opened: Opened, desk: FakeDesk
) -> None:
    with_plan(desk)
    async with opened() as pilot:
        app_of(pilot).do("folder vision lab")
        await settle(pilot)
        await pilot.press("w", *"datasets", "enter")
        await until(pilot, lambda: "a link that leads out of the folder" in text_of(pilot))
        await pilot.press("w", *"nothing", "enter")
        await until(pilot, lambda: any("No such file" in text for text in said(pilot)))


async def test_it_is_sent_and_what_runs_wrote_is_brought_back_step_by_step(
    opened: Opened, desk: FakeDesk
) -> None:
    with_plan(desk)
    desk.steps = [Step(what="send vision to lab", state=StepState.DONE, detail="3 files, 0.1 MB")]
    async with opened() as pilot:
        app_of(pilot).do("folder vision lab")
        await settle(pilot)
        await pilot.press("s", "enter")
        await until(pilot, lambda: "3 files, 0.1 MB" in text_of(pilot))
        assert ("push", ("vision", "lab")) in desk.asked
        await pilot.press("escape")
        await pilot.press("b", *" out", "enter")
        await until(pilot, lambda: "out/model.pt" in text_of(pilot))
        assert "differs here and stays" in text_of(pilot)
        assert ("pull", ("out", "lab", "vision")) in desk.asked
