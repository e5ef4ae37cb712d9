"""Objects: values kept on a cluster under a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rhdesk.current_run import current_run
from rhdesk.desk.names import NameVerbs


class ObjectVerbs(NameVerbs):
    async def put(self, key: str, value: Any, *, on: str = "here", env: str = "base") -> None:
        """Keep a value on a cluster under a key; one already there is replaced."""
        from rhdesk.wire.payload import Payload

        await (await self.clusters_room.client(on)).put(
            env, key, Payload.of_result(value, f"{key!r}")
        )
        self.note_kept("wrote", key, on=on)

    async def get(self, key: str, *, on: str = "here") -> Any:
        """A value kept under a key, for eyes: what only Python can hold comes back described."""
        from rhdesk.runs.results import describe

        payload = await (await self.clusters_room.client(on)).get("base", key)
        self.note_kept("read", key, on=on)
        if payload.encodings == {"plain"}:
            return payload.result(may_unpickle=False)
        return {"type": sorted(payload.encodings)[0], "repr": describe(payload)}

    def note_kept(self, kind: str, key: str, *, on: str) -> None:
        """Note for the lineage that the run this code is part of, if it is, touched a value."""
        from rhdesk.runs.making import kept_name

        if by := current_run():
            self.note(kind, kept_name(on, key), by=by)

    async def keys(self, *, on: str = "here", env: str = "") -> list[str]:
        """Every key, sorted. Environments of a cluster share them."""
        return await (await self.clusters_room.client(on)).keys(env or "base")

    async def rename_key(self, old: str, new: str, *, on: str = "here") -> None:
        await (await self.clusters_room.client(on)).rename("base", old, new)

    async def delete_keys(self, keys: Sequence[str], *, on: str = "here") -> list[str]:
        """Delete values; returns the keys that were there."""
        return await (await self.clusters_room.client(on)).delete("base", keys)

    async def clear(self, *, on: str = "here") -> None:
        """Delete every value kept on a cluster."""
        await (await self.clusters_room.client(on)).delete("base", None)
