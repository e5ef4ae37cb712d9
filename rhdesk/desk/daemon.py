"""The daemon, as seen from a desk."""

from __future__ import annotations

from rhdesk.desk.rooms import Rooms
from rhdesk.models import DaemonState


class DaemonVerbs(Rooms):
    async def daemon(self) -> DaemonState:
        """Whether the daemon runs, and what its loops are at; answers within two seconds."""
        return await self.daemon_room.state()

    async def start_daemon(self) -> DaemonState:
        """Start the daemon, or find it running.

        Raises:
            SetupFailed: It ended again at once; `output` holds the last lines of its log.
        """
        return await self.daemon_room.start()

    async def stop_daemon(self) -> DaemonState:
        """Stop the daemon, and return once it is gone."""
        return await self.daemon_room.stop()

    async def daemon_lines(self, *, limit: int = 200) -> list[str]:
        """The last lines of the daemon's log."""
        return self.daemon_room.lines(limit=limit)
