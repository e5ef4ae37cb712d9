"""Adding a machine, and bringing one up step by step: what it says, what went wrong, trying again."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from rhdesk.errors import NotFound, SetupFailed
from rhdesk.models import Check, Step, StepState
from rhdesk_tui.screens.add_machine import AddMachine
from rhdesk_tui.screens.checks import ChecksScreen
from rhdesk_tui.screens.job import JobScreen
from tests.fakes.desk import FakeDesk
from tests.tui.conftest import Opened, settle, text_of, until
from tests.tui.house import with_a_broken_host
from tests.tui.test_store_screens import SIZES, app_of


@pytest.mark.parametrize("size", SIZES)
async def test_an_alias_is_chosen_and_brought_up_by_keys_alone(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    desk.aliases = ["gpu\x1b[31mbox", "bastion"]
    async with opened(size) as pilot:
        await pilot.press("4")
        await settle(pilot)
        assert "n Add a machine" in text_of(pilot)
        await pilot.press("n")
        await until(pilot, lambda: "bastion" in text_of(pilot))
        assert "\x1b" not in text_of(pilot)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, JobScreen))
        assert ("add_host", ("bastion", "")) in desk.asked
        assert ("up", "bastion") in desk.asked
        assert "up bastion" in text_of(pilot)


async def test_a_host_nobody_knows_is_said_in_the_dialog_and_nothing_is_added(
    opened: Opened, desk: FakeDesk
) -> None:
    desk.aliases = ["gpubox"]
    known = list(desk.known)
    async with opened() as pilot:
        app_of(pilot).do("add")
        await settle(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "say which machine" in text_of(pilot))
        await pilot.press(*"gpubax", "enter")
        await until(pilot, lambda: "✖" in text_of(pilot) and "gpubax" in text_of(pilot))
        assert isinstance(pilot.app.screen, AddMachine)
        assert pilot.app.screen.query_one("#host", Input).value == "gpubax"
        assert desk.known == known
        assert not any(verb == "up" for verb, _ in desk.asked)


async def test_what_is_typed_narrows_the_aliases_and_a_name_may_differ(
    opened: Opened, desk: FakeDesk
) -> None:
    desk.aliases = ["gpubox", "bastion"]
    async with opened() as pilot:
        app_of(pilot).do("add")
        await until(pilot, lambda: "bastion" in text_of(pilot))
        await pilot.press(*"gpu")
        await until(pilot, lambda: "bastion" not in text_of(pilot))
        await pilot.press("down", "tab", *"fast", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, JobScreen))
        assert ("add_host", ("gpubox", "fast")) in desk.asked
        assert ("up", "fast") in desk.asked


@pytest.mark.parametrize("size", SIZES)
async def test_what_a_step_said_is_folded_under_it_and_a_failure_says_what_to_do(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_a_broken_host(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("up gpubox")
        await until(pilot, lambda: "no space left" in text_of(pilot))
        shown = text_of(pilot)
        assert "ray unpacked" in shown
        assert "msgspec unpacked" not in shown
        assert "r tries again" in shown
        assert "d looks at everything gpubox needs" in shown
        await pilot.press("enter")
        await until(pilot, lambda: "msgspec unpacked" in text_of(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "msgspec unpacked" not in text_of(pilot))


async def test_trying_again_begins_anew_and_the_doctor_looks_at_that_host(
    opened: Opened, desk: FakeDesk
) -> None:
    desk.fails["up"] = SetupFailed("Ray does not start", output="bind: address in use")
    async with opened() as pilot:
        app_of(pilot).do("up gpubox")
        await until(pilot, lambda: "bind: address in use" in text_of(pilot))
        del desk.fails["up"]
        desk.steps = [Step(what="start Ray", state=StepState.DONE)]
        await pilot.press("r")
        await until(pilot, lambda: "✓ Done." in text_of(pilot))
        assert "bind: address in use" not in text_of(pilot)
        assert [verb for verb, _ in desk.asked].count("up") == 2
        await pilot.press("r")
        await settle(pilot)
        assert [verb for verb, _ in desk.asked].count("up") == 2
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChecksScreen))
        await until(pilot, lambda: ("doctor", "gpubox") in desk.asked)


async def test_the_doctor_says_cause_and_remedy_and_what_it_could_not_look_at(
    opened: Opened, desk: FakeDesk
) -> None:
    desk.checks = [
        Check(what="login", ok=False, evidence="gpubox takes none of 2 keys",
              remedy="ssh-copy-id ana@gpubox"),
    ]  # fmt: skip
    async with opened() as pilot:
        app_of(pilot).do("doctor gpubox")
        await until(pilot, lambda: "1 check, 1 wrong" in text_of(pilot))
        assert "gpubox takes none of 2 keys" in text_of(pilot)
        assert "→ ssh-copy-id ana@gpubox" in text_of(pilot)
        desk.fails["doctor"] = NotFound("gpubox", kind="host")
        await pilot.press("R")
        await until(pilot, lambda: "gpubox could not be looked at" in text_of(pilot))
        assert "→ ssh-copy-id ana@gpubox" in text_of(pilot), "what was seen stays"
        await pilot.press("u")
        await until(pilot, lambda: ("up", "gpubox") in desk.asked)
