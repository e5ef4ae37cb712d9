"""Secrets in a home on another machine, where their providers look for them there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rhdesk.desk.reach import ReachVerbs
from rhdesk.errors import BadInput
from rhdesk.models import SecretText

if TYPE_CHECKING:
    from rhdesk.clusters.ssh.home import HostHome
    from rhdesk.secrets.providers.place import Place


class SendingVerbs(ReachVerbs):
    async def send_secret(
        self,
        name: str,
        *,
        on: str,
        node: str = "",
        provider: str = "",
        values: Mapping[str, SecretText] | None = None,
    ) -> list[str]:
        """Write a secret where its provider looks for it on another machine; returns the files.

        They stay there until somebody removes them; for the time of an environment only, give it
        the secret: ``rhdesk env make NAME --secret aws``. What the files hold for others, another
        profile or registry, stays.

        Args:
            provider: Whose; by default whose it was put as.
            values: Send these instead of what is kept under *name*.

        Raises:
            BadInput: It is nobody's, lacks a field, its provider knows no file, or what is there
                cannot be merged with.
            ConnectionFailed: The machine cannot be reached.
        """
        from rhdesk.secrets.providers import provider as known

        if on == "here" and values is None:
            return await self.save_provider(name, provider=provider)
        whose = provider
        if not whose and values is None:
            whose = (await self.secret_history(name))[0].provider
        if not whose:
            raise BadInput(f"{name} is nobody's credentials; say whose: --provider aws")
        theirs = known(whose)
        given = await self.read_secret(name) if values is None else values
        await self.audit("secret.send", name, f"to {on}")
        revealed = {field: value.reveal() for field, value in given.items()}
        connection = await self._connection(on, node)

        def write() -> list[str]:
            from rhdesk.clusters.ssh.home import HostHome

            with HostHome(connection) as home:
                return [str(file) for file in theirs.write(revealed, _place(home))]

        try:
            return await asyncio.to_thread(write)
        except ValueError as exc:
            raise BadInput(str(exc)) from exc


def _place(home: HostHome) -> Place:
    from rhdesk.secrets.providers.place import Place

    class There(Place, frozen=True):
        def text(self, file: Path) -> str:
            return home.read(str(file))

        def names(self, folder: Path) -> list[str]:
            return home.names(str(folder))

        def put(self, file: Path, text: str) -> Path:
            home.write(str(file), text)
            return file

    return There(Path(home.path), {})
