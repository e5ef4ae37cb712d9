"""Folders whose edits follow to a cluster while the app runs, whatever screen is shown."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from rhdesk.errors import RhdeskError
from rhdesk.models import Synced, Watched

_KEPT = 200


@dataclass
class Following:
    """One watch and what its saves became.

    Attributes:
        folder: Absolute.
        cluster: Where what is saved goes live.
        env: There.
        syncs: Newest first; the last two hundred.
        error: Why it ended by itself; empty while it goes on.
        by_daemon: The daemon watches, and goes on when this app ends.
    """

    folder: str
    cluster: str
    env: str
    start: Callable[[], AsyncGenerator[Synced]]
    syncs: deque[Synced] = field(default_factory=lambda: deque[Synced](maxlen=_KEPT))
    is_on: bool = True
    error: str = ""
    by_daemon: bool = False

    @classmethod
    def kept(cls, seen: Watched, start: Callable[[], AsyncGenerator[Synced]]) -> Following:
        """One of the daemon's, as it was last seen."""
        syncs = deque((seen.last,) if seen.last else (), maxlen=_KEPT)
        return cls(seen.folder, seen.cluster, seen.env, start, syncs, by_daemon=True)

    @property
    def key(self) -> str:
        return f"{self.folder} {self.cluster} {self.env}"

    @property
    def title(self) -> str:
        return Path(self.folder).name or self.folder

    async def follow(self, changed: Callable[[], None]) -> None:
        """Go on until cancelled; a failure is kept, not raised."""
        self.is_on, self.error = True, ""
        try:
            async with aclosing(self.start()) as syncs:
                async for synced in syncs:
                    self.syncs.appendleft(synced)
                    changed()
        except RhdeskError as exc:
            self.error = str(exc)
        finally:
            self.is_on = False
            changed()
