"""``rhdesk`` without arguments: open the desk, show it, leave the terminal as it was."""

from __future__ import annotations

import asyncio

from rhdesk.config import Settings
from rhdesk.desk import AsyncDesk
from rhdesk_tui.app import DeskApp


async def _serve(settings: Settings) -> None:
    async with AsyncDesk.open(settings) as desk:
        await DeskApp(desk, theme=settings.theme).run_async()


def main(settings: Settings | None = None) -> None:
    """Run until the user leaves.

    Raises:
        RhdeskError: The desk cannot be opened.
    """
    asyncio.run(_serve(settings or Settings.load()))
