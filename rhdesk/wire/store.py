"""What a desk and the remote store say to each other.

The rules (R1-R13) and what they guarantee are on the page beside `rhdesk.sync`. In short: a write
says which revision it was made on and carries a key, so that a retry never writes twice; what the
store accepted comes back to everybody, its author included, through one feed in the order of the
commits.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

API: Final = 1
"""The protocol spoken here."""
OLDEST_API: Final = 1
"""The oldest one still understood; the store keeps two behind its own."""
API_HEADER: Final = "Rhdesk-Api"
"""``1;min=1`` in every request; a mismatch is answered with 426."""

EPOCH_HEADER: Final = "Rhdesk-Epoch"

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time that says its zone: others read it elsewhere."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A revision of a resource, as the store has it."""

    rid: str
    """What it is, whatever it is called: a UUID."""
    rev: int
    """1 for the first; one more with each write."""
    seq: int
    """Its place among all writes of the store."""
    name: str
    """``/owner/group/leaf``; of a deleted one, the name it had."""
    body: dict[str, Any] | None = None
    """The config, ``name`` and ``resource_type`` in it; None: deleted."""
    op_id: str
    author: str
    at: Moment
    """When it was committed, by the store's clock, UTC; for reading, never for order."""
    saved_at: Moment | None = None
    """When its author saved it, by the author's clock."""
    run_id: str = ""
    """The run that wrote it; empty if a person did."""
    note: str = ""
    """What the author said of it: ``rollback to 1a2b3c``."""


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """A write. Its key, and the revision it was made on, stand beside it."""

    body: dict[str, Any] | None = None
    """None deletes."""
    saved_at: Moment | None = None
    run_id: str = ""
    note: str = ""
    restore: bool = False
    """A body for what was deleted, and meant: nothing else brings it back."""


class Based(msgspec.Struct, frozen=True):
    """The revision a write was made on; (``""``, 0) where there was none."""

    epoch: str
    rev: int

    @property
    def etag(self) -> str:
        return f'"{self.epoch}.{self.rev}"'

    @classmethod
    def of_etag(cls, etag: str) -> Based:
        """Read ``"epoch.rev"``.

        Raises:
            ValueError: It is not one.
        """
        epoch, point, rev = etag.strip().strip('"').rpartition(".")
        if not point or not rev.isdecimal() or len(rev) > 18:
            raise ValueError(f'{etag!r} is not "<epoch>.<revision>"')
        return cls(epoch, int(rev))


# ---- answers to a write


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    epoch: str
    rev: int
    seq: int


class Stale(msgspec.Struct, frozen=True, tag="stale"):
    """Somebody else wrote in between, or deleted it; nothing was written."""

    epoch: str
    current: Stored | None = None
    """None: there is no such resource."""


class WrongEpoch(msgspec.Struct, frozen=True, tag="epoch"):
    """The store was restored from a backup since; revisions of before mean nothing."""

    epoch: str


class Taken(msgspec.Struct, frozen=True, tag="taken"):
    """Another resource has the name."""

    epoch: str
    other: Stored


class Denied(msgspec.Struct, frozen=True, tag="denied"):
    reason: str


class Invalid(msgspec.Struct, frozen=True, tag="invalid"):
    """No store would take it: sending it again changes nothing."""

    reason: str


Answer = Accepted | Stale | WrongEpoch | Taken | Denied | Invalid


# ---- the feed and the listing


class RecordRow(msgspec.Struct, frozen=True, tag="record"):
    seq: int
    stored: Stored


class HiddenRow(msgspec.Struct, frozen=True, tag="hidden"):
    """A resource this reader could see was moved to where it cannot."""

    seq: int
    rid: str


class AccessRow(msgspec.Struct, frozen=True, tag="access"):
    """What this reader may see has changed."""

    seq: int
    readable: list[str]
    """The folders it may read now, each with all below it; what it has of others must go."""
    gained: bool = False
    """There may be resources it never saw: list anew."""


FeedRow = RecordRow | HiddenRow | AccessRow


class ChangesPage(msgspec.Struct, frozen=True, tag="changes"):
    """What happened after `since`, in the order of the commits."""

    epoch: str
    since: int
    next: int
    """Where to go on; everything up to here was looked at."""
    rows: list[FeedRow]
    more: bool = False


class Gone(msgspec.Struct, frozen=True, tag="gone"):
    """The feed does not reach back so far, or the epoch is another: list anew."""

    epoch: str


class ListingPage(msgspec.Struct, frozen=True, tag="listing"):
    """Live resources the reader may read, by rid."""

    epoch: str
    seq: int
    """Of the store's last write when the page was read."""
    after: str
    rows: list[Stored]
    more: bool = False
    kept: dict[str, int] = {}
    """Of each epoch before this one, the last write that the store still has: it was restored from
    a backup of then, and lost what came after."""


class VersionsPage(msgspec.Struct, frozen=True):
    """Revisions of one resource, newest first."""

    rows: list[Stored]
    more: bool = False


class About(msgspec.Struct, frozen=True, kw_only=True):
    """Which store this is, and who is asking."""

    api: int = API
    oldest_api: int = OLDEST_API
    epoch: str
    user: str
    folder: str
    """The asker's own, ``/ada``; what ``@`` stands for."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What one principal may do in one folder and below."""

    principal: str
    folder: str
    level: str
    """``none``, ``read``, ``call``, ``write`` or ``admin``."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Every answer that is not what was asked for."""

    code: str
    message: str
    """A sentence for a person: what was tried, and what a right one looks like."""
