"""What the store needs of a database; `memory` in the tests, `sql` in earnest, fit by shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from rhdesk.access.levels import Level
from rhdesk.models import Lane
from rhdesk.wire.store import Stored


class Head(msgspec.Struct, frozen=True):
    """Where the store is."""

    epoch: str
    """Another one after each restore from a backup; compared, never ordered."""
    seq: int
    """Of the last write."""
    oldest_seq: int
    """The feed tells what came after this one, and nothing older."""


class Entry(msgspec.Struct, frozen=True):
    """One row of the feed: a resource was written, or a principal's grants changed."""

    seq: int
    rid: str = ""
    principal: str = ""
    folder: str = ""
    """Where the grants changed."""


class Reading(Protocol):
    """One transaction that reads, and sees one state of the store."""

    def head(self) -> Head: ...
    def kept(self) -> Mapping[str, int]:
        """Of each epoch before this one, the last write that survived the restore that ended it.

        A restore adds the epoch of the backup with the backup's `Head.seq`.
        """
        ...

    def resource(self, rid: str) -> Stored | None: ...
    def live_named(self, name: str) -> Stored | None: ...
    def op(self, op_id: str) -> tuple[Stored, str] | None:
        """The revision a write made, with the digest of that write; None if it made none."""
        ...

    def feed(self, since: int, limit: int) -> list[Entry]:
        """Entries after *since*, in order."""
        ...

    def folders_of(self, rid: str) -> set[str]:
        """Every folder the resource was ever in."""
        ...

    def listing(self, after: str, limit: int, folders: list[str]) -> list[Stored]:
        """Live resources in and below *folders*, by rid, after *after*."""
        ...

    def versions(self, rid: str, before: int, limit: int) -> list[Stored]:
        """Revisions below *before*, newest first; 0 for all."""
        ...

    def grants(self, principal: str) -> Mapping[str, Level]:
        """What a principal may do now, by folder: of themselves, and by their groups."""
        ...

    def acts_as(self, principal: str) -> set[str]:
        """*principal*, and every group they are in."""
        ...

    def lane_of(self, folder: str) -> Lane | None:
        """The lane *folder* is, or is in: nothing but promotions is written there."""
        ...

    def grants_in(self, folder: str) -> Mapping[str, Level]:
        """What was granted in exactly this folder, by principal."""
        ...


class Writing(Reading, Protocol):
    """One transaction that writes; no other one writes meanwhile."""

    def next_seq(self) -> int:
        """The next place in the order of commits. It locks the head row until the commit, which
        makes the order of places the order of commits: a sequence would not."""
        ...

    def add(self, stored: Stored, digest: str) -> None:
        """The new revision, its version and its entry in the feed."""
        ...

    def grant(self, seq: int, principal: str, folder: str, level: Level) -> None: ...
    def note(self, seq: int, principal: str, action: str, about: str) -> object:
        """A row of the audit."""
        ...

    def forget_before(self, seq: int) -> None:
        """Drop the feed's entries up to *seq*. Resources deleted by then may go as well; versions
        stay, and with them the ids of the ops: a request that comes twice, years apart, writes
        once."""
        ...


class Database(Protocol):
    def reading(self) -> AbstractContextManager[Reading]: ...
    def writing(self) -> AbstractContextManager[Writing]:
        """Commits when left without an exception, before anybody is answered."""
        ...

    def principals(self) -> Iterator[str]: ...
