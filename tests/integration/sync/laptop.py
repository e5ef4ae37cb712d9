"""A laptop of a test: its own data folder, its own clock, and no network unless it is given one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rhdesk.access.levels import Level
from rhdesk.code.bundle import CodeShelf
from rhdesk.models import Name, Record, StoreState
from rhdesk.server.serve import open_database
from rhdesk.sync.names import ReplicaNames
from rhdesk.sync.service import RemoteStore
from tests.integration.server.conftest import Served


class Laptop:
    """The store of one person on one machine. Also what a process of its own makes of a folder."""

    def __init__(self, home: Path, *, start: datetime | None = None) -> None:
        self.home = home
        self._start = start
        self._passed = timedelta()
        self.store = RemoteStore(
            home, shelf=lambda: CodeShelf(home / "code"), timeout_s=5.0, now=self.now
        )

    def now(self) -> datetime:
        """By this laptop's clock, which a test sets."""
        if self._start is None:
            return datetime.now(UTC)
        self._passed += timedelta(milliseconds=1)
        return self._start + self._passed

    def pass_time(self, time: timedelta) -> None:
        self._passed += time

    async def save(self, name: str, **fields: Any) -> Record:
        record = Record(name=name, resource_type="env", config=fields)
        return await self.store.call(lambda names: names.save(record))

    async def change(self, name: str, **fields: Any) -> Record:
        """Set some fields of what is there, and leave the others as they are."""

        def work(names: ReplicaNames) -> Record:
            before: dict[str, Any] = {}
            if names.exists(Name.parse(name)):
                before = names.load(Name.parse(name)).config
            record = Record(name=name, resource_type="env", config={**before, **fields})
            return names.save(record)

        return await self.store.call(work)

    async def load(self, name: str) -> Record:
        return await self.store.call(lambda names: names.load(Name.parse(name)))

    async def names(self) -> list[Record]:
        return await self.store.call(lambda names: names.names(folder="/"))

    async def settle(self, *, rounds: int = 5) -> StoreState:
        """In step, however often that takes."""
        state = await self.store.sync(timeout_s=120)
        for _ in range(rounds):
            if not state.queued and state.status == "current":
                break
            state = await self.store.sync(timeout_s=120)
        assert state.status == "current", state
        assert not state.queued, state
        return state


def grant(served: Served, user: str, folder: str, level: Level = Level.WRITE) -> None:
    """As who keeps the store does it."""
    database = open_database(served.database)
    with database.writing() as t:
        t.grant(t.next_seq(), user, folder, level)
    database.close()
