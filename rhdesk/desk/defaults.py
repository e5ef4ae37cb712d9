"""Defaults of folders of the store: what is meant there where nobody says anything."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from rhdesk.desk.lanes import LaneVerbs
from rhdesk.errors import BadInput, ConnectionFailed, NotFound, Refused, RhdeskError
from rhdesk.models import DefaultSaid, Record, StoreState

if TYPE_CHECKING:
    from rhdesk.config.group_layer import GroupDefaults
    from rhdesk.sync.names import ReplicaNames

_EVERY_S: Final = 60.0
LEAF: Final = "_defaults"
"""The name, in a folder, of what it says: a resource like others, with history and rights."""


class DefaultVerbs(LaneVerbs):
    async def folder_defaults(self, folder: str = "@") -> list[DefaultSaid]:
        """The defaults that count in a folder, by key, each with the folder that says it.

        They come from what is here of the store; no network.
        """
        from rhdesk.config.group_layer import resolved

        full = await self._full(folder)
        told = await self._take_over_defaults()
        if told is None:
            return []
        found = resolved(told, full)
        return [
            DefaultSaid(key=key, value=value, folder=said)
            for key, (value, said) in sorted(found.items())
        ]

    async def set_default(self, folder: str, key: str, value: str | None) -> Record:
        """Have a folder, and all below that say nothing else, mean *value*; None takes it back.

        Raises:
            BadInput: There is no such default, or it cannot have this value.
        """
        from rhdesk.config.group_layer import KEYS

        if key not in KEYS:
            near = get_close_matches(key, KEYS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BadInput(f"{key} is no default of a folder; they are {', '.join(KEYS)}{hint}")
        name = f"{await self._full(folder)}/{LEAF}"
        said: dict[str, Any] = {}
        with suppress(NotFound):
            said = dict((await self.load(name)).config.get("defaults") or {})
        if value is None:
            said.pop(key, None)
        else:
            said[key] = _checked(key, value)
        made = Record(name=name, resource_type="defaults", config={"defaults": said})
        record = await self.save(made, note=f"{key} = {value}" if value is not None else "")
        await self._take_over_defaults()
        return record

    async def _take_over_defaults(self) -> GroupDefaults | None:
        """Have the settings know what the folders of the store say by now; None: nobody is logged
        in."""
        from rhdesk.config.group_layer import GroupDefaults, keep_defaults

        try:
            told = await self.store_room.call(_told)
        except BadInput:
            told = None
        data_dir = self.settings.data_dir
        await asyncio.to_thread(keep_defaults, data_dir, told)
        return told if isinstance(told, GroupDefaults) else None

    async def sync(self, *, timeout_s: float = 30.0) -> StoreState:
        """Send what waits and read what is new; ends when nothing is left to do, the store cannot
        be reached, or the time is over."""
        state = await self.store_room.sync(timeout_s=timeout_s)
        if state.status == "current":
            await self._take_over_defaults()
            with suppress(ConnectionFailed, Refused):
                await self.policy()
        return state

    async def stay_in_step(self) -> None:
        """Send what waits and read what is new, as it happens, until cancelled.

        One process at a time does; another that asks takes over when it ends. What of it counts
        without a network, rights and defaults, is written down every minute.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self.store_room.keep())
            while True:
                await asyncio.sleep(_EVERY_S)
                with suppress(RhdeskError):
                    await self._take_over_defaults()
                    await self.policy()

    async def logout(self, *, discard: bool = False) -> StoreState:
        """Log out; what was read of the store is removed from this machine.

        Raises:
            BadInput: Writes wait for the store, and *discard* is false.
        """
        state = await self.store_room.logout(discard=discard)
        await self._take_over_defaults()
        return state


def _told(names: ReplicaNames) -> GroupDefaults:
    from rhdesk.config.group_layer import KEYS, GroupDefaults

    folders: dict[str, dict[str, Any]] = {}
    for record in names.names(folder="/", resource_type="defaults"):
        said = record.config.get("defaults")
        folder, _, leaf = record.name.rpartition("/")
        if leaf == LEAF and isinstance(said, dict):
            # Others wrote it: what is none of the defaults, or has no value of one, says nothing.
            folders[folder] = {k: v for k, v in said.items() if k in KEYS and _is_one(k, v)}
    return GroupDefaults(at=names.folder, folders=folders)


def _checked(key: str, value: str) -> Any:
    if key == "autostop":
        if not value.removeprefix("-").isdecimal() or int(value) < -1:
            raise BadInput(f"autostop cannot be {value!r}: it is minutes, or -1 for never")
        return int(value)
    if key == "budget":
        try:
            amount = float(value)
        except ValueError:
            amount = -1.0
        if not 0 <= amount < 1e12:
            raise BadInput(f"budget cannot be {value!r}: it is an amount, like 200")
        return amount
    if not value.strip() or not value.isprintable():
        raise BadInput(f"{key} cannot be {value!r}: it is a word")
    return value


def _is_one(key: str, value: object) -> bool:
    if key == "autostop":
        return isinstance(value, int) and not isinstance(value, bool) and value >= -1
    if key == "budget":
        return isinstance(value, int | float) and value >= 0
    return isinstance(value, str) and value.isprintable()
