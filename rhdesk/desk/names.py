"""Names: what is saved under them, and the versions they had."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from rhdesk.config import Settings
from rhdesk.current_run import current_run
from rhdesk.desk.rooms import Rooms
from rhdesk.errors import BadInput, NotFound, SetupFailed, StoreBusy, StoreUnwritable
from rhdesk.models import Edge, Name, Record, Version

if TYPE_CHECKING:
    from rhdesk.ports import NameStore

T = TypeVar("T")

_NOTED = 10_000
"""So many notes are remembered, not to be made twice."""


class NameVerbs(Rooms):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._noted: set[tuple[str, str, str, str]] = set()
        """What was noted for the lineage of runs that this process is part of."""

    async def save(
        self, record: Record, *, overwrite: bool = True, run_id: str = "", note: str = ""
    ) -> Record:
        """Save a record under its name: a new version, unless nothing changed.

        Args:
            run_id: The run that saves it; by default the one this code is part of, if it is.
            note: Why, in a few words, for the history.

        Raises:
            AlreadyExists: The name is taken, and *overwrite* is false.
            StoreUnwritable: It could not be written; nothing was saved.
        """
        by = run_id or current_run()
        saved = await self._ask(
            Name.parse(record.name),
            lambda names: names.save(record, overwrite=overwrite, run_id=by, note=note),
        )
        if by:
            self.note("wrote", str(Name.parse(saved.name).without_version), saved.version, by=by)
        return saved

    async def load(self, name: str) -> Record:
        """The record under a name, ``~/train`` or ``~/train@1a2b3c``.

        Raises:
            NotFound: There is none; `near` holds the closest names.
        """
        parsed = Name.parse(name)
        try:
            record = await self._ask(parsed, lambda names: names.load(parsed))
        except NotFound:
            if parsed.is_local or not parsed.version:
                raise
            # The store may have versions that this machine never saw.
            await self.store_room.fill(parsed.without_version)
            record = await self._ask(parsed, lambda names: names.load(parsed))
        if by := current_run():
            self.note("read", str(parsed.without_version), record.version, by=by)
        return record

    async def exists(self, name: str) -> bool:
        parsed = Name.parse(name)
        return await self._ask(parsed, lambda names: names.exists(parsed))

    async def resources(self, folder: str = "", *, resource_type: str = "") -> list[Record]:
        """Records in a folder and below it, by name; ``/`` and ``@`` are those of the store."""
        if folder[:1] in {"@", "/"}:
            return await self.store_room.call(
                lambda names: names.names(folder=folder, resource_type=resource_type)
            )
        return await self.names_room.call(
            lambda names: names.names(folder=folder, resource_type=resource_type)
        )

    async def rename(self, old: str, new: str) -> Record:
        """Give a resource another name; its history goes with it.

        Raises:
            BadInput: One of the two is kept in the repository, the other in the store.
        """
        from_name, to_name = Name.parse(old), Name.parse(new)
        if from_name.is_local != to_name.is_local:
            raise BadInput(
                f"{old} and {new} are kept in two places, and a history cannot move; "
                f"save it as {new}, then delete {old}"
            )
        return await self._ask(from_name, lambda names: names.rename(from_name, to_name))

    async def delete(self, name: str) -> None:
        """Delete a name; its versions stay in the history."""
        parsed = Name.parse(name)
        await self._ask(parsed, lambda names: names.delete(parsed))

    async def history(self, name: str, *, limit: int = 100) -> list[Version]:
        """The versions of a name, newest first; of the store's, those it can tell within a second
        included."""
        parsed = Name.parse(name)
        if not parsed.is_local:
            await self.store_room.fill(parsed)
        return await self._ask(parsed, lambda names: names.history(parsed, limit=limit))

    def note(self, kind: str, name: str, version: str = "", *, by: str) -> None:
        """Note for the lineage that run *by* ``read`` or ``wrote`` something, each once.

        Where the record of runs cannot be written this is not noted, and what was asked for goes
        on: a save is made by then, and its version says which run it was of.
        """
        edge = Edge(run_id=by, kind=kind, name=name, version=version, at=datetime.now(UTC))
        known = (by, kind, name, version)
        if version and known in self._noted:
            return
        with suppress(StoreUnwritable, StoreBusy, SetupFailed):
            self.recorder.touched(edge)
            if len(self._noted) >= _NOTED:
                self._noted.clear()
            self._noted.add(known)

    async def _ask(self, name: Name, ask: Callable[[NameStore], T]) -> T:
        """Ask whoever keeps a name: the repository, or the replica of the store."""
        if name.is_local:
            return await self.names_room.call(ask)
        return await self.store_room.call(ask)
