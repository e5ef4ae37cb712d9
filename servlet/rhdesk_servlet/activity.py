"""When anything last ran on a node or anybody called, and what follows from nothing having."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file

ACTIVE: Final = "active"
"""In the cluster's folder; its time is that of the last activity."""
AUTOSTOP: Final = "autostop.json"
_EVERY_S: Final = 1.0


class Activity:
    """A file that every servlet of the node touches, so that one that dies loses nothing."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / ACTIVE
        self._noted = -_EVERY_S

    def note(self) -> None:
        """Something happens now; written down once a second at most."""
        now = time.monotonic()
        if now - self._noted >= _EVERY_S:
            self._noted = now
            self._file.touch(mode=0o600)

    async def keep_noting(self, is_busy: Callable[[], bool]) -> None:
        """Note activity for as long as something runs."""
        while True:
            if is_busy():
                self.note()
            await asyncio.sleep(_EVERY_S)

    def idle_s(self) -> float:
        """Seconds since anything happened."""
        try:
            return max(0.0, time.time() - self._file.stat().st_mtime)
        except FileNotFoundError:
            self.note()
            return 0.0


class Autostop:
    """After how long a node that is idle ends itself; a gateway started again still knows it.

    Args:
        after_s: When nothing else was said since it was brought up; below 0 is never.
    """

    def __init__(self, folder: Path, after_s: float) -> None:
        self._file = folder / AUTOSTOP
        self.after_s = after_s
        if self._file.exists():
            self.after_s = msgspec.json.decode(self._file.read_bytes(), type=float)

    def set(self, after_s: float) -> None:
        self.after_s = after_s
        whole_file.write(self._file, [msgspec.json.encode(after_s)])

    def is_due(self, idle_s: float) -> bool:
        return 0 <= self.after_s <= idle_s

    def spelled(self) -> str:
        minutes = self.after_s / 60
        return f"{minutes:g} min" if minutes >= 1 else f"{self.after_s:g} s"
