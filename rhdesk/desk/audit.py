"""The audit of this desk: what was done with secrets, by whom, and whether the file is whole."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from rhdesk.current_run import current_run
from rhdesk.desk.rooms import Rooms
from rhdesk.models import Audited, AuditHead, Finding


class AuditVerbs(Rooms):
    async def audit(self, action: str, about: str, note: str = "") -> Audited:
        """Write down what is about to be done; durable when this returns.

        Raises:
            StoreUnwritable: It cannot be written, so it must not be done.
            DamagedStore: The file is not what was written.
        """
        if by := current_run():
            note = f"{note}, in run {by}" if note else f"in run {by}"
        return await asyncio.to_thread(self.audit_room.append, action, about, note)

    async def audited(self, *, limit: int = 100, matching: str = "") -> list[Audited]:
        """Rows of the audit, newest first.

        Args:
            matching: Text that the action, the name, the person or the note holds.
        """

        def found() -> list[Audited]:
            rows = (row for row in self.audit_room.rows() if not matching or _holds(row, matching))
            return list(reversed(deque(rows, maxlen=limit)))

        return await asyncio.to_thread(found)

    async def audit_head(self) -> AuditHead:
        """Its last row; kept elsewhere, it tells later whether the end was cut off."""
        return await asyncio.to_thread(self.audit_room.head)

    async def verify_audit(self, heads: Sequence[AuditHead] = ()) -> list[Finding]:
        """Everything wrong with the audit; nothing where every row is what was written.

        Args:
            heads: Kept elsewhere, of any time.
        """
        return await asyncio.to_thread(lambda: self.audit_room.examine(*heads))


def _holds(row: Audited, text: str) -> bool:
    whole = f"{row.action} {row.about} {row.who} {row.note}".lower()
    return all(word in whole for word in text.lower().split())
