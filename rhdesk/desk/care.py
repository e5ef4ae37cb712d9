"""Care: what is wrong with the stores of a desk and what mends it; names from and to elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rhdesk.desk.names import NameVerbs
from rhdesk.models import Exchanged, Finding, Imported


class CareVerbs(NameVerbs):
    async def fsck(self, *, mend: bool = False) -> list[Finding]:
        """Look at every store; nothing is found at a healthy desk.

        What any command mends in passing is mended here too, and told; nothing a person wrote is
        ever removed.

        Args:
            mend: Mend what can be mended; what is damaged is moved aside, not thrown away.
        """
        from rhdesk.code.care import examine as examine_code
        from rhdesk.runs.care import examine as examine_runs
        from rhdesk.sync.care import examine as examine_replica

        data_dir = self.settings.data_dir
        found = await self.names_room.call(lambda names: names.examine(mend=mend))
        if (await self.store_room.state()).url:
            found += await self.store_room.call(lambda names: examine_replica(names.replica))
        found += await asyncio.to_thread(examine_runs, data_dir, mend=mend)
        records = await self.names_room.call(lambda names: names.names())
        found += await asyncio.to_thread(examine_code, data_dir, records, mend=mend)
        return found

    async def rebuild(self) -> list[Finding]:
        """Make anew what is derived: the index of names, from git and files."""
        return await self.names_room.call(lambda names: names.rebuild())

    async def import_project(self, folder: str, *, dry_run: bool = False) -> Imported:
        """Bring over a project of Runhouse v0.0.12, its ``rh`` folder and ``~/.rh/config.yaml``.

        What comes over comes as it is; what does not is listed with the reason, and stays where
        it is.

        Args:
            folder: The project; it may be the one we are in.
            dry_run: Only tell what would come over.

        Raises:
            BadInput: It holds no ``rh`` folder.
        """
        from rhdesk.rns.old_project import import_project

        return await self.names_room.call(
            lambda names: import_project(names, Path(folder), Path.home(), dry_run=dry_run)
        )

    async def exchange(self, remote: str = "origin") -> Exchanged:
        """Fetch the names of a git remote, merge them with ours, and push.

        A name both sides changed is merged field by field. Where both changed the same field ours
        stands, and theirs is a version that `rollback` takes.

        Args:
            remote: The name of one in the git configuration, or a URL, or a folder.

        Raises:
            NotFound: No remote is called so.
            ConnectionFailed: It cannot be reached.
            Refused: It does not take what is pushed.
        """
        from rhdesk.rns.exchange import exchange

        return await exchange(self.names_room, remote)
