"""The names, lifted once from the thread that owns them to whoever awaits them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from rhdesk.config import Settings
from rhdesk.models import Name
from rhdesk.rns.names import LocalNames

T = TypeVar("T")


class OwnedNames:
    """`LocalNames` behind one thread, made there at the first question."""

    def __init__(self, settings: Settings, start: Path) -> None:
        self._owner = ThreadPoolExecutor(1, "rhdesk-names")
        self._names = LocalNames(settings, start)

    async def call(self, ask: Callable[[LocalNames], T]) -> T:
        """Ask in the owner's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._owner, ask, self._names)

    async def aclose(self) -> None:
        """Close; also while the interpreter ends, when executors take no more work."""
        try:
            await self.call(lambda names: names.close())
        except RuntimeError:
            return
        self._owner.shutdown()

    def folder(self, name: Name) -> Path:
        """Folder of a local name's config."""
        return self._names.place.rh.joinpath(*name.parts)
