"""The desk: the one object a front end holds; every verb of the product is a method here.

`rooms` says which adapter stands behind which port; each other module here holds the verbs about
one noun, and a room is entered, and its library imported, when a verb first needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rhdesk.config import Settings
from rhdesk.desk.care import CareVerbs
from rhdesk.desk.daemon import DaemonVerbs
from rhdesk.desk.data import DataVerbs
from rhdesk.desk.history import HistoryVerbs
from rhdesk.desk.lineage import LineageVerbs
from rhdesk.desk.machines import MachineVerbs
from rhdesk.desk.mapping import MapVerbs
from rhdesk.desk.objects import ObjectVerbs
from rhdesk.desk.sending import SendingVerbs
from rhdesk.desk.settings import SettingVerbs
from rhdesk.desk.store import StoreVerbs
from rhdesk.desk.tables import TableVerbs
from rhdesk.desk.team_audit import TeamAuditVerbs
from rhdesk.desk.watch import WatchVerbs

if TYPE_CHECKING:
    from rhdesk.ports import Asks


class AsyncDesk(
    TeamAuditVerbs,
    MachineVerbs,
    MapVerbs,
    WatchVerbs,
    SendingVerbs,
    HistoryVerbs,
    LineageVerbs,
    ObjectVerbs,
    DaemonVerbs,
    StoreVerbs,
    CareVerbs,
    SettingVerbs,
    TableVerbs,
    DataVerbs,
):
    """A desk. Made by `open`, which closes what it opened."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings | None = None, asks: Asks | None = None
    ) -> AsyncGenerator[AsyncDesk]:
        """Open a desk; nothing is read, created or connected until a verb needs it.

        Args:
            asks: Who answers what only a person can: whether a host is trusted, a passphrase.
                Without anybody, what would have to be asked is refused.
        """
        desk = cls(settings or Settings.load())
        desk.asks = asks
        desk.loop = asyncio.get_running_loop()
        try:
            yield desk
        finally:
            await desk.aclose()
