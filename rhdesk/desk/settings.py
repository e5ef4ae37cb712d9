"""Settings: why each is what it is, setting them, and what is wrong in their files."""

from __future__ import annotations

import asyncio
from typing import Any

from rhdesk.desk.names import NameVerbs
from rhdesk.errors import BadInput
from rhdesk.models import Flaw, Record, Setting

SHARED = "@/settings"
"""Where a person's settings are kept in a store, for their other machines."""


class SettingVerbs(NameVerbs):
    """This desk goes on with the settings it was opened with; what is set counts from the next."""

    async def explain_settings(self, key: str = "") -> list[Setting]:
        """Every setting, or one, with everybody who had a say in it.

        Raises:
            NotFound: No setting is called *key*.
            BadInput: A file or variable holds what cannot be; `lint_settings` lists all of it.
        """
        from rhdesk.config.explain import explain

        return await asyncio.to_thread(explain, key)

    async def set_setting(self, key: str, value: str | None, *, project: bool = False) -> str:
        """Set *key* in a settings file, or with None take it out; returns the file.

        Args:
            project: In the ``rhdesk.toml`` of the project; by default in the person's own file.

        Raises:
            BadInput: There is no such setting, it cannot have this value, or it is not for a
                project to decide.
        """
        from rhdesk.config.file import write

        return str(await asyncio.to_thread(write, key, value, project=project))

    async def lint_settings(self) -> list[Flaw]:
        """Everything wrong in the settings files and variables."""
        from rhdesk.config.explain import lint

        return await asyncio.to_thread(lint)

    async def settings_schema(self) -> dict[str, Any]:
        """A JSON Schema of the settings files, for editors."""
        from rhdesk.config.explain import schema

        return schema()

    async def upload_settings(self, name: str = SHARED) -> Record:
        """Save what the person's own file says under a name, for their other machines.

        Folders stay: they are this machine's.
        """
        from rhdesk.config.explain import own

        said = await asyncio.to_thread(own)
        return await self.save(
            Record(name=name, resource_type="settings", config={"settings": said})
        )

    async def download_settings(self, name: str = SHARED) -> list[str]:
        """Write what is saved under a name into the person's own file; returns what was set.

        Raises:
            NotFound: Nothing was uploaded under it.
            BadInput: It is no settings, or one of them cannot be; then nothing is written.
        """
        from rhdesk.config.file import write_all

        said = (await self.load(name)).config.get("settings")
        if not isinstance(said, dict):
            raise BadInput(f"{name} holds no settings; upload some: rhdesk config upload")
        await asyncio.to_thread(write_all, said)
        return sorted(said)
