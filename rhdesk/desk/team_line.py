"""The line to the team's store for those who wait in a thread: the keeper of secrets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from rhdesk.desk.rooms import Rooms

T = TypeVar("T")


class TeamLine:
    """Satisfies `rhdesk.secrets.team.Line`; used in a thread, never in a loop's own."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def __call__(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: msgspec.Struct | None = None,
        **given: str | int,
    ) -> T:
        store = self._rooms.store_room
        return asyncio.run(
            store.ask(lambda remote: remote.team(method, path, kind, body=body, **given))
        )
