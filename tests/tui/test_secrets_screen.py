"""Secrets on the screen: masked unless asked for, hidden again, kept, loaded and removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rhdesk.errors import Refused
from rhdesk.models import SecretText
from rhdesk.secrets.sealed import SealedKeeper
from tests.fakes.desk import FakeDesk
from tests.tui.conftest import Opened, said, settle, text_of
from tests.tui.test_store_screens import SIZES, app_of

CANARY = "canary-4711"


async def keep(desk: FakeDesk) -> None:
    await desk.put_secret("openai", {"api_key": SecretText(CANARY)}, provider="openai")


@pytest.mark.parametrize("size", SIZES)
async def test_a_value_is_shown_only_when_asked_for_and_hidden_again(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    await keep(desk)
    await desk.put_secret("zz", {"k": SecretText("other")})
    async with opened(size) as pilot:
        app_of(pilot).do("secrets")
        await settle(pilot)
        assert "openai" in text_of(pilot)
        assert "guarded by a file" in text_of(pilot)
        assert CANARY not in text_of(pilot)
        await pilot.press("x")
        await settle(pilot)
        assert CANARY in text_of(pilot)
        await pilot.press("x")
        await settle(pilot)
        assert CANARY not in text_of(pilot)
        await pilot.press("x")
        await settle(pilot)
        await pilot.press("down")
        await settle(pilot)
        assert CANARY not in text_of(pilot)


async def test_it_is_hidden_when_another_screen_comes_and_after_a_while(
    opened: Opened, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rhdesk_tui.screens.secrets.SHOWN_S", 0.2)
    await keep(desk)
    async with opened() as pilot:
        app_of(pilot).do("secrets")
        await settle(pilot)
        await pilot.press("x")
        await pilot.pause(0.5)
        await settle(pilot)
        assert CANARY not in text_of(pilot)


async def test_copying_a_value_shows_nothing(opened: Opened, desk: FakeDesk) -> None:
    await keep(desk)
    async with opened() as pilot:
        app_of(pilot).do("secrets")
        await settle(pilot)
        await pilot.press("c")
        await settle(pilot)
        assert pilot.app.clipboard == CANARY
        assert CANARY not in text_of(pilot)
        assert "not shown" in said(pilot)[0]
        assert CANARY not in said(pilot)[0]


async def test_one_is_kept_and_given_its_next_version(opened: Opened, desk: FakeDesk) -> None:
    async with opened() as pilot:
        app_of(pilot).do("secrets")
        await settle(pilot)
        assert "No secret is kept yet" in text_of(pilot)
        await pilot.press("n", *"mine", "enter", *"token", "enter", *"one")
        await settle(pilot)
        assert "one" not in text_of(pilot).replace("none", "")
        await pilot.press("enter")
        await settle(pilot)
        await pilot.press("e", *"two", "enter")
        await settle(pilot)
        assert (await desk.read_secret("mine"))["token"] == SecretText("two")
        assert (await desk.secret_history("mine"))[0].version == 2
        await pilot.press("ctrl+d")
        await settle(pilot)
        assert "cannot be had back" in text_of(pilot)
        await pilot.press("tab", "enter")
        await settle(pilot)
        assert await desk.secrets() == []


async def test_what_a_provider_has_here_is_offered_and_loaded(
    opened: Opened, desk: FakeDesk
) -> None:
    file = Path.home() / ".lambda_cloud" / "lambda_keys"
    file.parent.mkdir()
    file.write_text(f"api_key = {CANARY}\n")
    async with opened() as pilot:
        app_of(pilot).do("secrets")
        await settle(pilot)
        assert "On this machine, but not kept" in text_of(pilot)
        await pilot.press("l")
        await settle(pilot)
        assert (await desk.read_secret("lambda"))["api_key"] == SecretText(CANARY)
        file.unlink()
        await pilot.press("w")
        await settle(pilot)
        assert CANARY in file.read_text()
        assert CANARY not in text_of(pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_one_is_written_on_a_machine_that_is_named(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    await desk.put_secret("mine", {"api_key": SecretText(CANARY)}, provider="lambda")
    file = Path.home() / ".lambda_cloud" / "lambda_keys"
    async with opened(size) as pilot:
        app_of(pilot).do("secrets")
        await settle(pilot)
        await pilot.press("s")
        await settle(pilot)
        assert "Write mine on another machine" in text_of(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert not file.exists()
        await pilot.press("s", *"here", "enter")
        await settle(pilot)
        assert CANARY in file.read_text()
        assert "lambda_keys of here" in said(pilot)[0]
        assert CANARY not in text_of(pilot) + "".join(said(pilot))


async def test_locked_secrets_are_told_and_the_list_stays(
    opened: Opened, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(desk)

    def locked(*_: object, **__: object) -> None:
        raise Refused("the secrets are locked, and nobody is here to give the passphrase")

    monkeypatch.setattr(SealedKeeper, "read", locked)
    async with opened() as pilot:
        app_of(pilot).do("secrets")
        await settle(pilot)
        await pilot.press("x")
        await settle(pilot)
        assert "the secrets are locked" in text_of(pilot)
        assert "openai" in text_of(pilot)
