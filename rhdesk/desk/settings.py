"""Settings: why each is what it is, setting them, and what is wrong in their files."""

from __future__ import annotations

import asyncio
from typing import Any

from rhdesk.desk.rooms import Rooms
from rhdesk.models import Flaw, Setting


class SettingVerbs(Rooms):
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
