"""Names through any git remote: fetched, merged name by name, pushed; no server of ours needed.

The ref ``refs/rhdesk/names`` of the remote is what its clones share. What was fetched is kept in
``refs/rhdesk/remotes/<remote>/names``, so that git keeps it too.

1. Fetch. No lock is held while a network is waited for.
2. Merge, against what both came from. A name only one side changed is that side's. A name both
   changed is merged field by field; where both changed the same field, ours stands. The merge is
   two commits: one that takes theirs of every such name, and one that makes of it what was
   merged. So every version of either side is in the history, and ``rollback`` finds it.
3. Push, if the remote is still where it was; otherwise from the start, a few times.

The user's branches, index and working tree are not touched, and no hook of this repository runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final

import msgspec

from rhdesk.errors import BadInput, ConnectionFailed, NotFound, Refused, RhdeskError, StoreBusy
from rhdesk.foreign import clean
from rhdesk.models import Exchanged, Overlap
from rhdesk.rns import config_file
from rhdesk.rns.config_file import BROKEN, Config
from rhdesk.rns.names import LocalNames
from rhdesk.rns.owned import OwnedNames
from rhdesk.rns.repository import Commit, Repository
from rhdesk.rns.work_tree import Moved, WorkTree
from rhdesk.three_way import merge, take

_TRIES: Final = 8
_PAUSE_S: Final = 0.3
_NETWORK_S: Final = 60.0
_CREDENTIALS: Final = re.compile(r"//[^/@\s]*@")
_OVERTAKEN: Final = (
    "stale info",
    "fetch first",
    "non-fast-forward",
    "failed to update ref",
    "cannot lock ref",
    "reference already exists",
    "incorrect old value",
)
"""How git says that somebody else pushed in between."""


async def exchange(owned: OwnedNames, remote: str, *, network_s: float = _NETWORK_S) -> Exchanged:
    """Fetch from *remote*, merge, and push.

    Args:
        remote: The name of one in the git configuration, or a URL, or a folder.
        network_s: How long each fetch and each push may take.

    Raises:
        NotFound: No remote is called so.
        ConnectionFailed: It cannot be reached, or took too long; nothing here has changed, or
            what is merged already waits to be pushed.
        Refused: The remote does not take what is pushed.
        StoreBusy: The remote is being moved by others all the time.
    """
    line = await owned.call(lambda names: _line(names, remote, network_s))
    brought: set[str] = set()
    conflicts: list[Overlap] = []
    for _ in range(_TRIES):
        theirs = await asyncio.to_thread(line.fetch)
        merged = await owned.call(partial(_merged, line, theirs))
        brought.update(merged.brought)
        conflicts += merged.conflicts
        if merged.tip == theirs:
            sent = 0
        else:
            try:
                sent = await asyncio.to_thread(line.push, merged.tip, theirs)
            except Moved:
                await asyncio.sleep(random.random() * _PAUSE_S)
                continue
        return Exchanged(
            remote=line.shown,
            brought=tuple(sorted(brought)),
            sent=sent,
            conflicts=tuple(conflicts),
        )
    raise StoreBusy(f"{line.shown} is being moved by others all the time; what is here is merged")


class Line(Repository):
    """The way to one remote."""

    def __init__(self, place: WorkTree, remote: str, network_s: float) -> None:
        super().__init__(place)
        self._remote = remote
        self._network_s = network_s
        self.shown = clean(_CREDENTIALS.sub("//", remote))
        inner = place.ref.removeprefix("refs/rhdesk/")
        # A working tree beside the main one is this machine's affair; remotes know none.
        self._ref = "refs/rhdesk/" + re.sub(r"^worktree-[^/]*/", "", inner)
        known = remote if re.fullmatch(r"[A-Za-z0-9_][\w.\-]*", remote) else ""
        at = known or f"at-{hashlib.sha256(remote.encode()).hexdigest()[:12]}"
        self._tracking = f"refs/rhdesk/remotes/{at}/{inner}"

    def check(self) -> None:
        """Raise unless the remote is one there could be."""
        if not self._remote or self._remote.startswith("-"):
            raise BadInput(f"{self.shown!r} is no remote; one looks like origin, or a URL")
        if "/" not in self._remote and ":" not in self._remote:
            known = self._git("remote").decode().split()
            if self._remote not in known:
                raise NotFound(self.shown, kind="git remote", near=known[:3])

    def fetch(self) -> str:
        """The commit the remote has now; "" if it has no names yet."""
        try:
            self._git(
                *("-c", "fetch.fsckObjects=true", "fetch", "--quiet", "--no-tags", "--no-prune"),
                *("--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-gc", "--refmap="),
                *("--", self._remote, f"+{self._ref}:{self._tracking}"),
                network_s=self._network_s,
            )
        except (ConnectionFailed, Moved):
            raise
        except RhdeskError as exc:
            if "couldn't find remote ref" not in str(exc):
                raise self._unreached(exc) from exc
            self._git("update-ref", "-d", self._tracking)
            return ""
        return self._git("rev-parse", "--verify", self._tracking).decode().strip()

    def push(self, tip: str, theirs: str) -> int:
        """Have the remote be at *tip*; returns how many versions it did not have.

        Raises:
            Moved: It is not at *theirs* any more.
        """
        span = f"{theirs}..{tip}" if theirs else tip
        count = int(self._git("rev-list", "--count", span))
        try:
            self._git(
                *("push", "--quiet", "--no-verify", "--no-signed", "--recurse-submodules=no"),
                *("--no-follow-tags", f"--force-with-lease={self._ref}:{theirs}"),
                *("--", self._remote, f"{tip}:{self._ref}"),
                network_s=self._network_s,
            )
        except (ConnectionFailed, Moved):
            raise
        except RhdeskError as exc:
            if any(words in str(exc) for words in _OVERTAKEN):
                raise Moved(f"{self.shown} was moved by another") from exc
            if "[remote rejected]" in str(exc):
                raise Refused(f"{self.shown} does not take the names: {_told(exc)}") from exc
            raise self._unreached(exc) from exc
        self._git("update-ref", self._tracking, tip)
        return count

    def base(self, ours: str, theirs: str) -> str:
        """What both came from; "" if they have nothing in common."""
        with suppress(RhdeskError):
            return self._git("merge-base", ours, theirs).decode().strip()
        return ""

    def move(self, tip: str, to: str) -> None:
        """Move our ref from *tip*, "" for none, to a commit that came of it.

        Raises:
            Moved: It is not at *tip* any more.
        """
        self.clear_dead_lock()
        self._git("update-ref", self.place.ref, to, tip or "0" * len(to))

    def _unreached(self, exc: RhdeskError) -> ConnectionFailed:
        return ConnectionFailed(f"{self.shown} cannot be reached: {_told(exc)}")


class Merged(msgspec.Struct, frozen=True):
    tip: str
    brought: Sequence[str]
    conflicts: Sequence[Overlap]


def _line(names: LocalNames, remote: str, network_s: float) -> Line:
    names.store.repository.create()
    line = Line(names.place, remote, network_s)
    line.check()
    return line


def _merged(line: Line, theirs: str, names: LocalNames) -> Merged:
    """Bring *theirs* in; in the thread that owns the names."""
    store = names.store
    before = {row.name: row.version for row in store.rows()}
    conflicts: list[Overlap] = []

    def plan(ours: str) -> bool:
        conflicts.clear()
        base = line.base(ours, theirs) if ours and theirs else ""
        if not theirs or base == theirs:
            return False
        if not ours or base == ours:
            line.move(ours, theirs)
            return True
        both = _Both(line, base, ours, theirs)
        line.commit(ours, both.commits(names.now()))
        conflicts.extend(both.conflicts)
        return True

    store.merge(plan)
    after = {row.name: row.version for row in store.rows()}
    brought = [
        f"~/{name}" for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    ]
    return Merged(store.tip, brought, conflicts)


class _Both:
    """Two sides that went their own ways."""

    def __init__(self, line: Line, base: str, ours: str, theirs: str) -> None:
        self._line = line
        self._theirs_commit = theirs
        self._base = line.listing(base) if base else {}
        self._ours = line.listing(ours)
        self._theirs = line.listing(theirs)
        self._folders = {
            name[: place.start()] for name in self._ours for place in re.finditer("/", name)
        }
        self._any_case = {name.casefold(): name for name in self._ours}
        self._kept: set[str] = set()
        self.conflicts: list[Overlap] = []

    def commits(self, at: datetime) -> list[Commit]:
        """What makes one of both: theirs where only they changed, then what is merged."""
        changed = [
            name
            for name in self._base.keys() | self._ours.keys() | self._theirs.keys()
            if self._theirs.get(name) not in (self._base.get(name), self._ours.get(name))
        ]
        contested = [n for n in changed if self._ours.get(n) != self._base.get(n)]
        sides = (self._base, self._ours, self._theirs)
        wanted = [side[n] for n in contested for side in sides if n in side]
        wanted += [self._theirs[n] for n in changed if n in self._theirs]
        blobs = self._line.read(wanted)
        taken: list[tuple[str, bytes | None]] = []
        for name in sorted(changed):
            data = blobs[self._theirs[name]] if name in self._theirs else None
            taken.append(self._placed(name, data))
        merged: list[tuple[str, bytes | None]] = []
        for name in sorted(contested):
            base, ours, theirs = (
                config_file.read(blobs[side[name]]) if name in side else None for side in sides
            )
            data = self._decided(name, base, ours, theirs)
            if data is not None:
                merged.append((name, data))
        first = f"exchange: merge the names of {self._line.shown}"
        commits = [Commit(first, taken, at, merges=self._theirs_commit)]
        if merged:
            commits.append(Commit(self._message(merged), merged, at))
        return commits

    def _decided(
        self, name: str, base: Config | None, ours: Config | None, theirs: Config | None
    ) -> bytes | None:
        """What becomes of a name both changed; None if theirs can stay as it is."""
        if ours is None or theirs is None:
            # Edited here and deleted there, or the other way round: what was edited stays.
            why = "edited-and-deleted" if theirs is None else "deleted-and-edited"
            self._conflict(name, why, ours, theirs)
            return ours.data if ours else None
        if BROKEN in (ours.resource_type, theirs.resource_type):
            self._conflict(name, "broken", ours, theirs)
            return ours.data
        readable = base is not None and base.resource_type != BROKEN
        before = base.fields if base is not None and readable else {}
        both = merge(before, ours.fields, theirs.fields)
        fields = both.fields
        for pointer in both.overlaps:
            fields = take(fields, pointer, ours.fields)
        if both.overlaps:
            self._conflict(name, "fields", ours, theirs, both.overlaps)
        kind = fields.get("resource_type", ours.resource_type)
        made = config_file.write(str(fields.get("name", f"~/{name}")), kind, fields)
        return made.data if made.version != theirs.version else None

    def _placed(self, name: str, data: bytes | None) -> tuple[str, bytes | None]:
        """Where a name of theirs can be kept: beside a name of ours that is in its way."""
        if data is None or name in self._ours or not self._is_taken(name):
            return name, data
        kept = f"{name.replace('/', '-')}-theirs"
        count = 1
        while kept in self._theirs or kept in self._kept or self._is_taken(kept):
            count += 1
            kept = f"{name.replace('/', '-')}-theirs-{count}"
        self._kept.add(kept)
        found = config_file.read(data)
        if found.resource_type != BROKEN:
            data = config_file.write(f"~/{kept}", found.resource_type, found.fields).data
        self._conflict(name, "name-taken", None, found, kept_as=f"~/{kept}")
        return kept, data

    def _is_taken(self, name: str) -> bool:
        """Whether ours has it, or a name that keeps it from being a name beside it."""
        above = (name[: place.start()] for place in re.finditer("/", name))
        return (
            name in self._folders
            or name.casefold() in self._any_case
            or any(folder in self._ours for folder in above)
        )

    def _conflict(
        self,
        name: str,
        why: str,
        ours: Config | None,
        theirs: Config | None,
        fields: Sequence[str] = (),
        kept_as: str = "",
    ) -> None:
        self.conflicts.append(
            Overlap(
                name=f"~/{name}",
                why=why,
                fields=tuple(map(clean, fields)),
                ours=ours.version if ours else "",
                theirs=theirs.version if theirs else "",
                kept_as=kept_as,
            )
        )

    def _message(self, merged: Sequence[tuple[str, bytes | None]]) -> str:
        told = {each.name: each for each in self.conflicts}
        lines: list[str] = []
        for name, _ in merged:
            overlap = told.get(f"~/{name}")
            if overlap is None:
                lines.append(f"~/{name}: both changes")
            elif not overlap.theirs:
                lines.append(f"~/{name}: kept, deleted by theirs")
            else:
                what = ", ".join(overlap.fields) or overlap.why
                lines.append(f"~/{name}: ours of {what}; theirs is @{overlap.theirs[:12]}")
        more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
        return f"exchange: {lines[0]}{more}\n\n" + "".join(f"{line}\n" for line in lines)


def _told(exc: RhdeskError) -> str:
    """What git said, without what could be a secret, in one line."""
    text = str(exc).partition(": ")[2] or str(exc)
    return clean(_CREDENTIALS.sub("//", " ".join(text.split())))
