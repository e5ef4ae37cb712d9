"""Rights, grants, groups, lanes and the audit: what the screen shows and asks the desk for."""

from __future__ import annotations

import pytest

from rhdesk.errors import Refused
from rhdesk.models import Audited
from tests.fakes.desk import NOW, FakeDesk
from tests.tui.conftest import Opened, said, settle, text_of, until
from tests.tui.house import with_team
from tests.tui.test_store_screens import app_of

SIZES = [(80, 24), (140, 40)]


@pytest.mark.parametrize("size", SIZES)
async def test_somebodys_rights_are_listed_with_the_chain_of_each(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_team(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("access dee")
        await until(pilot, lambda: "what dee may" in text_of(pilot))
        await pilot.press("end")
        await until(pilot, lambda: "dee in interns in vision: write in /vision" in text_of(pilot))
        assert "/ana/sketch" in text_of(pilot)
        await pilot.press("home")
        await until(pilot, lambda: "✖ may not read /ana/sketch" in text_of(pilot))
        assert "ask ana" in text_of(pilot)


async def test_a_question_is_answered_behind_can(opened: Opened, desk: FakeDesk) -> None:
    with_team(desk)
    async with opened() as pilot:
        app_of(pilot).do("can cy write /lab/baseline")
        await until(pilot, lambda: "cy ✖ may not write /lab/baseline" in text_of(pilot))
        assert ("access_why", ("cy", "write", "/lab/baseline")) in desk.asked
        assert "cy: read in /lab until" in text_of(pilot)
        app_of(pilot).do("can cy")
        await until(pilot, lambda: any("can bob write" in text for text in said(pilot)))


@pytest.mark.parametrize("size", SIZES)
async def test_each_table_has_its_key_and_says_what_is_in_it(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_team(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("access")
        for key, words in [
            ("2", "2026-10-08 12:00"), ("3", "ana, bo, interns"), ("4", "/lab read"),
            ("5", "/vision/prod"), ("6", "secret.read"), ("1", "what you may"),
        ]:  # fmt: skip
            await pilot.press(key)
            await until(pilot, lambda words=words: words in text_of(pilot))  # type: ignore[misc]
        await pilot.press("shift+tab")
        await until(pilot, lambda: "secret.read" in text_of(pilot))
        await pilot.press("slash", *"'dee", "enter")
        await until(pilot, lambda: "1 of 4" in text_of(pilot))
        assert "secret.read" in text_of(pilot)
        assert "promote.ask" not in text_of(pilot)


async def test_a_grant_is_given_and_taken_back_when_asked_twice(
    opened: Opened, desk: FakeDesk
) -> None:
    with_team(desk)
    async with opened() as pilot:
        app_of(pilot).do("access")
        await pilot.press("2")
        await until(pilot, lambda: "/lab" in text_of(pilot))
        await pilot.press("s", "ctrl+u", *"/vision bo", "enter")
        await until(pilot, lambda: any("FOLDER WHO LEVEL" in text for text in said(pilot)))
        await pilot.press("escape", "s", "ctrl+u", *"/vision eve read 3", "enter")
        await until(
            pilot, lambda: ("grant_access", ("/vision", ["eve"], "read", 3.0)) in desk.asked
        )
        await pilot.press("home", "ctrl+d")
        await until(pilot, lambda: "Take back admin of ana" in text_of(pilot))
        assert "rhdesk access grant /ana ana --level none" in text_of(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert not any(what == ("/ana", ["ana"], "none", 0.0) for _, what in desk.asked)
        await pilot.press("ctrl+d")
        await until(pilot, lambda: "Take back admin of ana" in text_of(pilot))
        await pilot.press("right", "enter")
        await until(pilot, lambda: ("grant_access", ("/ana", ["ana"], "none", 0.0)) in desk.asked)


async def test_a_promotion_is_asked_for_and_another_approved(
    opened: Opened, desk: FakeDesk
) -> None:
    with_team(desk)
    async with opened() as pilot:
        app_of(pilot).do("lanes")
        await until(pilot, lambda: "waiting" in text_of(pilot))
        await pilot.press("p", *"/vision/dev/train", "enter")
        await until(pilot, lambda: ("promote", ("/vision/dev/train", "")) in desk.asked)
        await settle(pilot)
        await pilot.press("home", "a")
        await until(pilot, lambda: ("approve", "5eed5eed5eed5eed") in desk.asked)
        await until(pilot, lambda: "waiting" not in text_of(pilot))


async def test_who_is_not_admin_of_all_sees_this_desks_own_audit(
    opened: Opened, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_team(desk)
    desk.fails["team_audited"] = Refused("ana is not admin of /")

    async def own(*, limit: int = 100, matching: str = "") -> list[Audited]:
        return [Audited(number=1, at=NOW, who="ana", action="secret.put", about="openai")]

    monkeypatch.setattr(desk, "audited", own)
    async with opened() as pilot:
        app_of(pilot).do("audit")
        await until(pilot, lambda: "secret.put" in text_of(pilot))


async def test_without_a_store_it_says_how_to_come_to_one(opened: Opened) -> None:
    async with opened() as pilot:
        app_of(pilot).do("access")
        await until(pilot, lambda: ":store logs in to one" in text_of(pilot))


async def test_names_of_others_are_harmless(opened: Opened, desk: FakeDesk) -> None:
    with_team(desk)
    desk.written_down = [
        Audited(number=1, at=NOW, who="\x1b]0;x\x07eve", action="[b]x", about="/a\x1b[2J", note="[/]")
    ]  # fmt: skip
    async with opened() as pilot:
        app_of(pilot).do("audit")
        await until(pilot, lambda: "[b]x" in text_of(pilot))
        assert "\x1b" not in text_of(pilot)
