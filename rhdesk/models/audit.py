"""Who did what, when: a row of the audit."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """One row; rows are chained, so that none can be taken out, changed or moved unnoticed."""

    number: int
    """Counts from 1, without a gap."""
    at: datetime
    """UTC."""
    who: str
    action: str
    """``secret.read``, ``secret.put`` ..."""
    about: str
    """On which name."""
    note: str = ""
    """What else there is to say; never a value."""
    hash: str = ""
    """SHA-256 over the hash of the row before and this row; see `rhdesk.chain`."""


class AuditHead(msgspec.Struct, frozen=True, kw_only=True):
    """Where the audit is: whoever keeps one of these notices later that the end was cut off."""

    number: int
    hash: str
