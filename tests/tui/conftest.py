"""Screens driven by a pilot over the same lived-in house the screenshots show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from textual import _wait
from textual.pilot import Pilot

from rhdesk.desk import AsyncDesk
from rhdesk_tui.app import DeskApp
from tests.fakes.desk import NOW, FakeDesk
from tests.tui.house import lived_in

_wait.SLEEP_GRANULARITY = 0.004  # a pilot waits so long, twice or more, for every key
_wait.SLEEP_IDLE = 0.002

Opened = Callable[..., AbstractAsyncContextManager[Pilot[None]]]


@pytest.fixture
def desk() -> FakeDesk:
    return lived_in()


@pytest.fixture
def opened(desk: FakeDesk) -> Opened:
    """Opens the app over the house, or over another desk; waits until the first screen is full."""

    @asynccontextmanager
    async def open_app(
        size: tuple[int, int] = (80, 24), *, on: AsyncDesk | None = None
    ) -> AsyncGenerator[Pilot[None]]:
        app = DeskApp(desk if on is None else on, now=lambda: NOW)
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            yield pilot
            errors = [s.text for s in app.workplace.said.newest_first() if "itself" in s.text]
            assert not errors

    return open_app


async def settle(pilot: Pilot[None], rounds: int = 4) -> None:
    """Let what was started reach the screen."""
    await asyncio.sleep(0.02 * rounds)
    await pilot.pause()


async def until(pilot: Pilot[None], claim: Callable[[], bool], tries: int = 100) -> None:
    """Wait for something a worker does."""
    for _ in range(tries):
        if claim():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"never came true; on screen is\n{text_of(pilot)}")


def text_of(pilot: Pilot[None]) -> str:
    """What is on screen, as plain text, one row a line."""
    compositor = pilot.app.screen._compositor
    return "\n".join(strip.text for strip in compositor.render_strips())


def said(pilot: Pilot[None]) -> list[str]:
    """What was said so far, newest first."""
    assert isinstance(pilot.app, DeskApp)
    return [said.text for said in pilot.app.workplace.said.newest_first()]
