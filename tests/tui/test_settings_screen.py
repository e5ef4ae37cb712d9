"""The settings: what is shown of them, setting one, and files that are wrong."""

from __future__ import annotations

import pytest

from rhdesk.config import config_file
from tests.tui.conftest import Opened, settle, text_of
from tests.tui.test_store_screens import SIZES, app_of


@pytest.mark.parametrize("size", SIZES)
async def test_each_setting_stands_with_who_decided_it(
    opened: Opened, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RHDESK_KEEP_DAYS", "7")
    config_file().parent.mkdir(parents=True)
    config_file().write_text("keep_days = 30\n")
    async with opened(size) as pilot:
        app_of(pilot).do("config")
        await settle(pilot)
        await pilot.press("down", "down", "down")
        await settle(pilot)
        shown = text_of(pilot)
        for words in ("keep_days", "environment", "→ environment", "30", "RHDESK_KEEP_DAYS"):
            assert words in shown


async def test_a_setting_is_set_and_unset(opened: Opened) -> None:
    async with opened() as pilot:
        app_of(pilot).do("config")
        await settle(pilot)
        await pilot.press("end", "up", "up", "e")  # autostop_mins
        await pilot.press(*["backspace"] * 4, *"30", "enter")
        await settle(pilot)
        assert config_file().read_text() == "autostop_mins = 30\n"
        assert "user" in text_of(pilot)
        await pilot.press("u")
        await settle(pilot)
        assert config_file().read_text() == ""
        await pilot.press("e", *["backspace"] * 4, *"soon", "enter")
        await settle(pilot)
        assert "autostop_mins cannot be 'soon'" in text_of(pilot)
        assert config_file().read_text() == ""


async def test_a_file_that_is_wrong_says_where_and_what_to_do(opened: Opened) -> None:
    async with opened() as pilot:
        config_file().parent.mkdir(parents=True)
        config_file().write_text("# mine\nkep_days = 30\n")
        app_of(pilot).do("config")
        await settle(pilot)
        shown = text_of(pilot)
        assert "config.toml:2" in shown
        assert "did you mean keep_days?" in shown
