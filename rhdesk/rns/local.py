"""The local store: file, git and index of every ``~`` name, brought to agree.

The index remembers what file and git were when they last agreed. That memory decides who changed
since, as a merge base does:

* the file differs from it: somebody edited by hand, pulled or switched branches; the file becomes
  a version of its own,
* git differs from it: another process saved, or was killed before it could write the file; the
  file is written,
* both differ: the file becomes a version on top of git's, which stays in the history.

A write stages the new file beside its place, then commits, then renames: what fails fails before
anything is saved, and what is cut off after the commit is completed by whoever looks next.

Names here are spelled without ``~/``. One thread owns a store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from rhdesk.errors import SetupFailed, StoreBusy, StoreUnwritable
from rhdesk.rns import config_file
from rhdesk.rns.config_file import Config
from rhdesk.rns.index import DamagedIndex, Index, Row, index_file
from rhdesk.rns.versions import Change
from rhdesk.rns.work_tree import UNREADABLE, Moved, Staged, Stamp, WorkTree

if TYPE_CHECKING:
    from rhdesk.rns.repository import Repository

T = TypeVar("T")

BY_HAND: Final = "edited by hand"
"""The author of a version that was found in a file and that no rhdesk wrote."""

_TRIES: Final = 20
_WRITER_WAITS_S: Final = 30.0
_READER_WAITS_S: Final = 5.0


class Edit(msgspec.Struct, frozen=True):
    """What one commit changes."""

    message: str
    configs: Sequence[tuple[str, Config | None]]
    """Names and what they become; None deletes."""
    author: str = ""


Plan = Callable[[Mapping[str, Row]], Edit | None]


class Agreement(Enum):
    """Whose word counts when file and git are compared."""

    AGREED = "agreed"
    FILE = "file"
    GIT = "git"


def agreement(base: str, file: str, git: str) -> Agreement:
    """Who changed since *base*; each is a version, or "" where the name is not there."""
    if file == git:
        return Agreement.AGREED
    if file == base:
        return Agreement.GIT
    if file == "" and git != base:
        return Agreement.GIT  # removed here and changed there: the change is kept
    return Agreement.FILE


class LocalStore:
    def __init__(self, place: WorkTree, cache_dir: Path, now: Callable[[], datetime]) -> None:
        self.place = place
        self._cache_dir = cache_dir
        self._now = now
        self._opened: Index | None = None
        self._failures = 0

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    # ---- looking

    def rows(self) -> list[Row]:
        """Every name there is, in order, as the files are now.

        Edits are recorded where the repository can be written; elsewhere they are only shown.
        """
        return self._trusting_the_index(self._look_at_all)

    def row(self, name: str) -> Row | None:
        """One name as its file is now."""
        return self._trusting_the_index(lambda: self._look_at(name))

    def rebuild(self) -> list[Row]:
        """Make the index anew, from files and git alone; returns what it holds then."""
        self._index.remove()
        self._opened = None
        return self.rows()

    def merge(self, plan: Callable[[str], bool]) -> None:
        """Look, then have *plan* move the ref from the commit it is given, then look again.

        *plan* is called again if somebody else moves the ref in between; it says whether it did.

        Raises:
            StoreBusy: Others move it all the time.
            StoreUnwritable: An edit made by hand cannot be recorded, so nothing may be merged.
        """
        self.repository.create()
        for _ in range(_TRIES):
            for row in self.rows():
                if not row.is_recorded:
                    raise StoreUnwritable(
                        f"~/{row.name} was edited, and the edit cannot be recorded in "
                        f"{self.place.git_dir}; nothing was merged"
                    )
            with suppress(Moved):
                if plan(self.tip):
                    self.rows()
                return
        raise StoreBusy(f"{self.place.ref} is being moved by others all the time")

    def rows_made_anew(self) -> list[Row]:
        """What the index would hold if it were made now. Nothing is recorded or written."""
        other = LocalStore(self.place, self._cache_dir, self._now)
        other._opened = Index(None)
        try:
            other._take_in(record=False)
            return [row for row in other._index.rows() if row.version]
        finally:
            other.close()

    @property
    def index_file(self) -> Path:
        """Where the index is kept, or would be."""
        return index_file(self.place.root, self.place.ref, self._cache_dir)

    def names(self) -> list[str]:
        """The names the last look saw."""
        return self._trusting_the_index(lambda: self._index.names())

    def same_but_for_case(self, name: str, *, but: str = "") -> str:
        """A name, other than *but*, that *name* equals where case does not count."""
        parts = name.split("/")
        for count in range(1, len(parts) + 1):
            folder = "/".join(parts[:count])
            for other in (self._index.same_but_for_case(folder), *self._index.inside(folder)):
                if other not in ("", but) and not other.startswith(folder):
                    return other
        return ""

    def inside(self, folder: str) -> list[str]:
        """Up to two names in *folder*."""
        return self._index.inside(folder)

    @property
    def tip(self) -> str:
        """The commit of the newest version of anything; "" before the first."""
        tip = self.place.tip()
        return self.repository.tip() if tip is None else tip

    def changes(self, name: str, limit: int) -> list[Change]:
        """What happened to *name*, newest first; before a rename, to the name it had then.

        Args:
            limit: So many at most; 0 for all.
        """
        if self.tip == "":
            return []
        return self._trusting_the_index(lambda: self._changes(name, limit))

    def _changes(self, name: str, limit: int) -> list[Change]:
        self._fill_versions()
        found: list[Change] = []
        before = 0
        with self._index.versions() as table:
            while not (limit and len(found) >= limit):
                room = limit - len(found) if limit else None
                rows = table.of(name, limit=room + 1 if room else 0, before=before)
                # The commit that renamed is one change: that of the name it gave.
                named = found[-1].commit if found else ""
                rows = [row for row in rows if row[1].commit != named][:room]
                renamed = next((n for n, (_, c) in enumerate(rows) if c.renamed_from), None)
                if renamed is None or rows[renamed][1].renamed_from == name:
                    return found + [change for _, change in rows]
                found += [change for _, change in rows[: renamed + 1]]
                before, name = rows[renamed][0], rows[renamed][1].renamed_from
        return found

    def _fill_versions(self) -> None:
        """Have the index know every version up to the newest."""
        tip = self.tip
        with self._index.versions() as table:
            since = known = table.upto
        if known == tip:
            return
        # git is asked before the table is taken: it may take seconds, and others save meanwhile.
        if since is None or not self.repository.is_above(tip, since):
            since = ""
        fresh = self.repository.changes(tip, since=since)
        crossed = self._crossed(tip, since, fresh)
        with self._index.versions(to_fill=True) as table:
            if table.upto != known:
                return  # another process was faster; what is still missing is added next time
            if not since:
                table.clear()
            table.add(fresh[::-1], upto=tip)
            for name, changes in crossed.items():
                table.replace(name, changes[::-1])

    def _crossed(self, tip: str, since: str, fresh: Sequence[Change]) -> dict[str, list[Change]]:
        """What git says of each name whose newest version the log of all names gets wrong.

        That happens where two sides came together: the log cannot tell which of them won.
        """
        if not self.repository.has_merge(tip, since):
            return {}
        there = self.repository.listing(tip)
        newest = {change.name: change.blob for change in reversed(fresh)}
        wrong = [name for name, blob in newest.items() if blob != there.get(name, "")]
        return {name: self.repository.changes(tip, name) for name in wrong}

    @cached_property
    def repository(self) -> Repository:
        # GitPython takes longer to import than 10,000 names take to list; most looks need no git.
        from rhdesk.rns.repository import Repository

        return Repository(self.place)

    # ---- writing

    def write(self, names: Sequence[str], plan: Plan) -> datetime | None:
        """Carry out the edit that *plan* decides on; returns when, or None if it decided on none.

        *plan* is given the rows of those of *names* that exist, while no other rhdesk writes and
        file, git and index of each agree. It is called again if somebody else's git moves the
        ref in between.

        Raises:
            StoreBusy: Another process keeps the lock.
            StoreUnwritable: Nothing was saved.
        """
        self.repository.create()
        with self.place.locked(_WRITER_WAITS_S):
            for _ in range(_TRIES):
                with suppress(Moved):
                    tip, edit = self._trusting_the_index(lambda: self._planned(names, plan))
                    return self._carry_out(tip, edit) if edit else None
        raise StoreBusy(
            f"{self.place.ref} is being moved by others all the time; nothing was saved"
        )

    def _planned(self, names: Sequence[str], plan: Plan) -> tuple[str, Edit | None]:
        """The edit, and the commit it is meant for."""
        rows = {name: self._index.row(name) for name in names}
        for name, row in rows.items():
            # Below a folder nobody has looked at there may be names.
            unknown = row is None and self.place.has_folder(name) and not self._index.inside(name)
            if unknown or not self._is_current(name, row):
                self._take_in(record=True)
                rows = {name: self._index.row(name) for name in names}
                break
        there = {name: row for name, row in rows.items() if row is not None}
        return self._index.commit() or "", plan(there)

    def _carry_out(self, tip: str, edit: Edit) -> datetime:
        with ExitStack() as undo:
            staged: dict[str, Staged] = {}
            for name, config in edit.configs:
                if config is not None:
                    staged[name] = self.place.stage(name, config.data)
                    undo.callback(self.place.unstage, name, staged[name])
            at = self._now()
            tip = self._commit(tip, edit, at)
            undo.pop_all()
        # Saved. From here on whatever stops us is completed by the next look.
        for name, config in edit.configs:
            if config is None:
                self.place.remove(name)
        for name, file in staged.items():
            self.place.place(name, file)
        rows = [
            _row(name, config, staged[name].stamp, at, tip)
            for name, config in edit.configs
            if config is not None
        ]
        gone = [name for name, config in edit.configs if config is None]
        try:
            self._index.write(rows, gone=gone, commit=tip)
        except DamagedIndex:
            self._distrust_the_index()
        return at

    def _commit(self, tip: str, edit: Edit, at: datetime) -> str:
        from rhdesk.rns.repository import Commit  # see `repository`

        files = [(name, config.data if config else None) for name, config in edit.configs]
        return self.repository.commit(tip, [Commit(edit.message, files, at, edit.author)])

    # ---- agreeing

    def _look_at_all(self) -> list[Row]:
        rows = self._index.rows()
        stamps = {row[0]: (row[5], row[6]) for row in rows if row[3] == row[7]}
        if (
            len(stamps) != len(rows)
            or self._index.commit() != self.tip
            or self.place.scan(stamps) != (stamps, [])
        ):
            self._take_in_what_can_be()
            rows = [row for row in self._index.rows() if row.version]
        return rows

    def _look_at(self, name: str) -> Row | None:
        row = self._index.row(name)
        if not self._is_current(name, row):
            self._take_in_what_can_be()
            row = self._index.row(name)
        return row if row is not None and row.version else None

    def _is_current(self, name: str, row: Row | None) -> bool:
        if self._index.commit() != self.tip:
            return False
        stamp = self.place.stamp(name)
        return row.is_recorded and row.stamp == stamp if row else stamp is None

    def _take_in_what_can_be(self) -> None:
        if self.place.exists and self.place.is_writable:
            with suppress(StoreBusy, StoreUnwritable, SetupFailed, Moved):
                with self.place.locked(_READER_WAITS_S):
                    self._take_in(record=True)
                return
        self._take_in(record=False)

    def _take_in(self, *, record: bool) -> None:
        """Settle every name whose file or git is not what the index remembers.

        Args:
            record: For good, and under the lock. Otherwise the index only learns what the files
                are, and what is to be recorded stays to be recorded.
        """
        described = self._index.commit()
        tip = self.tip
        sights = self._sights(tip, described, record=record)
        settled = [s for s in sights if s.side is Agreement.AGREED]
        open_ = [s for s in sights if s.side is not Agreement.AGREED]
        rows = self._agreed_rows(tip, settled)
        gone = [s.name for s in settled if s.file is None]
        if record:
            by_hand = [s for s in open_ if s.side is Agreement.FILE]
            at = self._now()
            if by_hand:
                tip = self._commit(tip, _edit_by_hand(by_hand), at)
            rows += [_row(s.name, s.file, s.stamp, at, tip) for s in by_hand if s.file and s.stamp]
            rows += self._files_from_git(tip, [s for s in open_ if s.side is Agreement.GIT])
            gone += [s.name for s in open_ if _winner(s) is None]
            described = tip
        else:
            rows += [row for s in open_ if (row := _unrecorded_row(s)) is not None]
            if not open_:
                described = tip
        self._index.write(rows, gone=gone, commit=described)

    def _sights(self, tip: str, described: str | None, *, record: bool) -> list[_Sight]:
        known = {row.name: row for row in self._index.rows()}
        seen, unfinished = self.place.scan(known)
        if record:
            for folder in unfinished:
                self.place.clear(folder)
        blobs = self._blobs(tip, described, known, must=record)
        found: list[_Sight] = []
        for name in known.keys() | seen.keys() | blobs.keys():
            row, stamp, blob = known.get(name), seen.get(name), blobs.get(name, "")
            if (
                row is not None
                and row.stamp == stamp
                and row.blob == blob
                and (row.is_recorded or not record)
            ):
                continue
            if stamp is None:
                found.append(_Sight(name, row, None, None, blob))
            elif stamp != UNREADABLE:
                # Gone since the scan, or not for us to read: the next look will tell.
                with suppress(OSError):
                    stamp, data = self.place.read(name)
                    found.append(_Sight(name, row, stamp, config_file.read(data), blob))
        unread = [s for s in found if s.git_version(tip) is None]
        contents = self.repository.read(s.blob for s in unread) if unread else {}
        for sight in unread:
            sight.git = config_file.read(contents[sight.blob])
        for sight in found:
            base = sight.row.recorded_version if sight.row else ""
            file = sight.file.version if sight.file else ""
            sight.side = agreement(base, file, sight.git_version(tip) or "")
        return sorted(found, key=lambda sight: sight.name)

    def _blobs(
        self, tip: str, described: str | None, known: Mapping[str, Row], *, must: bool
    ) -> dict[str, str]:
        """What git holds at *tip*; asks git only if the index describes another commit."""
        if tip == "":
            return {}
        if described != tip:
            try:
                return self.repository.listing(tip)
            except SetupFailed:
                if must:
                    raise
        return {row.name: row.blob for row in known.values() if row.blob}

    def _agreed_rows(self, tip: str, sights: Sequence[_Sight]) -> list[Row]:
        untimed = [s.name for s in sights if s.row is None or s.row.version != s.version]
        times = self._saved_at(tip, untimed)
        rows: list[Row] = []
        for s in sights:
            if s.file is not None and s.stamp is not None:
                at = times.get(s.name) or datetime.fromtimestamp(
                    s.row.saved_at if s.row else 0, UTC
                )
                rows.append(_row(s.name, s.file, s.stamp, at, tip)._replace(blob=s.blob))
        return rows

    def _files_from_git(self, tip: str, sights: Sequence[_Sight]) -> list[Row]:
        """Write, or remove, the files in which git is ahead."""
        times = self._saved_at(tip, [s.name for s in sights if s.git is not None])
        rows: list[Row] = []
        for s in sights:
            if s.git is None:
                self.place.remove(s.name)
            else:
                staged = self.place.stage(s.name, s.git.data)
                self.place.place(s.name, staged)
                rows.append(_row(s.name, s.git, staged.stamp, times.get(s.name, self._now()), tip))
        return rows

    def _saved_at(self, tip: str, names: Sequence[str]) -> dict[str, datetime]:
        """When git says each of *names* got its newest version."""
        if len(names) > 3:
            changes = self.repository.changes(tip)
        else:
            changes = [c for name in names for c in self.repository.changes(tip, name, limit=1)]
        return {change.name: change.at for change in reversed(changes)}

    # ---- the index can be lost at any time

    @property
    def _index(self) -> Index:
        if self._opened is None:
            if self._failures > 1:
                self._opened = Index(None)
            else:
                self._opened = Index.of(self.place.root, self.place.ref, self._cache_dir)
        return self._opened

    def _trusting_the_index(self, work: Callable[[], T]) -> T:
        while True:
            try:
                return work()
            except DamagedIndex:
                if self._failures > 1:
                    raise
                self._distrust_the_index()

    def _distrust_the_index(self) -> None:
        """Drop the index; the next look makes a new one, the third in memory only."""
        self._failures += 1
        self._index.remove()
        self._opened = None


class _Sight(msgspec.Struct):
    """One name whose file or git is not what the index remembers."""

    name: str
    row: Row | None
    stamp: Stamp | None
    file: Config | None
    blob: str
    """In git; "" if git does not hold the name."""
    git: Config | None = None
    """What that blob says, where it had to be read."""
    side: Agreement = Agreement.AGREED

    @property
    def version(self) -> str:
        return self.file.version if self.file else ""

    def git_version(self, tip: str) -> str | None:
        """The version git holds, "" for none; None if only reading the blob can tell."""
        if not self.blob:
            return ""
        if self.git is not None:
            return self.git.version
        if self.row is not None and self.row.blob == self.blob:
            return self.row.recorded_version
        if self.file is not None and self.file.blob_id(tip) == self.blob:
            return self.file.version
        return None


def _winner(sight: _Sight) -> Config | None:
    return sight.git if sight.side is Agreement.GIT else sight.file


def _row(name: str, config: Config, stamp: Stamp, at: datetime, tip: str) -> Row:
    """The row of a name whose file and git are both *config*."""
    return Row(
        name,
        config.resource_type,
        config.canonical,
        config.version,
        int(at.timestamp()),
        *stamp,
        recorded_version=config.version,
        blob=config.blob_id(tip),
    )


def _unrecorded_row(sight: _Sight) -> Row | None:
    """The row of a name that cannot be settled: what the file is, and still what git was."""
    row = sight.row
    if sight.side is Agreement.GIT:
        return row
    if sight.file is None or sight.stamp is None:
        return row and row._replace(version="")
    mtime_ns, size = sight.stamp
    return Row(
        sight.name,
        sight.file.resource_type,
        sight.file.canonical,
        sight.file.version,
        mtime_ns // 1_000_000_000,
        mtime_ns,
        size,
        row.recorded_version if row else "",
        row.blob if row else "",
    )


def _edit_by_hand(sights: Sequence[_Sight]) -> Edit:
    names = ", ".join(f"~/{s.name}" for s in sights[:3])
    more = f" and {len(sights) - 3} more" if len(sights) > 3 else ""
    configs = [(s.name, s.file) for s in sights]
    return Edit(f"{BY_HAND}: {names}{more}", configs, author=BY_HAND)
