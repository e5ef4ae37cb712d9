"""The stores of `tests.integration.server`, and people who are logged in to one in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from rhdesk.config import Settings
from rhdesk.desk import AsyncDesk
from tests.integration.server.conftest import Served, database, database_url, postgres_url

__all__ = ["database", "database_url", "postgres_url"]

LogIn = Callable[[str], AbstractAsyncContextManager[AsyncDesk]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A store on loopback, in a file; on PostgreSQL the day of the team is tried."""
    store = Served(str(tmp_path / "store"), tmp_path)
    store.start()
    yield store
    if store.process is not None and store.process.poll() is None:
        store.stop()


@pytest.fixture
def log_in(served: Served, tmp_path: Path) -> LogIn:
    """A desk of its own for a person of the store, who is made if need be."""

    @asynccontextmanager
    async def opened(name: str) -> AsyncGenerator[AsyncDesk]:
        settings = Settings(data_dir=tmp_path / name / "data", cache_dir=tmp_path / name / "cache")
        async with AsyncDesk.open(settings) as desk:
            await desk.login(served.url, served.user(name, scope="admin"))
            yield desk

    return opened
