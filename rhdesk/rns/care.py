"""A look at everything the names of a project are kept in, and what mends what is wrong with it.

Git is what cannot be made anew; the files are what a person edits; the index is derived from both,
and is remade when in doubt.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from rhdesk.errors import RhdeskError, StoreBusy, StoreUnwritable
from rhdesk.foreign import clean
from rhdesk.models import Finding
from rhdesk.rns import config_file, index
from rhdesk.rns.config_file import BROKEN
from rhdesk.rns.index import Row
from rhdesk.rns.local import LocalStore

_LOOKS: Final = 3
"""Others may write while this looks: what differs so many times in a row does differ."""
_OLD_S: Final = 60.0
_LOCKED_S: Final = 5.0
_SHOWN: Final = 5


def examine(store: LocalStore, *, mend: bool) -> list[Finding]:
    """Everything that is wrong with *store*; nothing for a healthy one.

    What any command would mend in passing (an index that is damaged, a save that was cut off, a
    file that git is ahead of) is mended here too, asked or not, and told.
    """
    found = [*_left_behind(store), *_damaged_index(store)]
    try:
        rows = store.rows()
    except RhdeskError as exc:
        return [
            *found,
            Finding(
                store="names",
                what=f"the names of {store.place.root} cannot be read: {exc}",
                remedy="fetch the ref from a copy that is whole: rhdesk exchange REMOTE",
            ),
        ]
    found += _stale_lock(store, mend=mend)
    history = list(_history(store, rows, mend=mend))
    found += history
    found += _unrecorded(store, rows)
    found += _broken(store, rows)
    found += _unseen(store, rows)
    if all(each.is_mended for each in history):  # otherwise there is nothing to compare with
        found += _disagreeing_index(store, mend=mend)
    return found


def rebuild(store: LocalStore) -> list[Finding]:
    """Make the index anew, and tell."""
    count = len(store.rebuild())
    names = "1 name" if count == 1 else f"{count:,} names"
    return [
        Finding(
            store="index",
            what=f"the index of {store.place.root} is made anew from git and files: {names}",
            is_mended=True,
        )
    ]


def _left_behind(store: LocalStore) -> Iterator[Finding]:
    unfinished = store.place.unfinished()
    if not unfinished:
        return
    with suppress(StoreBusy, StoreUnwritable), store.place.locked(_LOCKED_S):
        for folder in unfinished:
            store.place.clear(folder)
    still = store.place.unfinished()
    for folder in unfinished:
        yield Finding(
            store="names",
            what=f"a save of ~/{clean(folder)} was cut off before it was saved, and left a file",
            is_mended=folder not in still,
            remedy="the next save of that name removes it" if folder in still else "",
        )


def _damaged_index(store: LocalStore) -> Iterator[Finding]:
    file = store.index_file
    if not file.is_file() or not os.access(file, os.W_OK):
        return
    wrong = index.faults(file)
    if wrong:
        store.rebuild()
        yield Finding(
            store="index",
            what=f"the index {file} was damaged ({clean(wrong[0])}) and is made anew",
            is_mended=True,
        )


def _stale_lock(store: LocalStore, *, mend: bool) -> Iterator[Finding]:
    lock = store.place.common_dir / f"{store.place.ref}.lock"
    try:
        age_s = time.time() - lock.stat().st_mtime
    except OSError:
        return
    if 0 <= age_s < _OLD_S:
        return
    what = f"{lock} was left by a git process that was killed"
    if mend:
        with suppress(RhdeskError, OSError):
            store.repository.clear_dead_lock()
    gone = not lock.exists()
    yield Finding(
        store="names", what=what, is_mended=gone, remedy="" if gone else "the next save removes it"
    )


def _history(store: LocalStore, rows: Sequence[Row], *, mend: bool) -> Iterator[Finding]:
    tip = store.tip
    if not tip:
        return
    from rhdesk.rns.objects import Objects  # deferred: GitPython takes long to import

    objects = Objects(store.place)
    damaged = objects.damaged(tip)
    sound: set[str] = set()
    if mend and damaged:
        lost = {each.object_id for each in damaged}
        at_hand: dict[str, bytes] = {}
        for row in rows:
            if row.blob in lost:
                with suppress(OSError):
                    data = store.place.read(row.name)[1]
                    if config_file.read(data).blob_id(tip) == row.blob:
                        at_hand[row.blob] = data
        with suppress(RhdeskError, OSError):
            sound = objects.put_back(damaged, at_hand)
    for each in damaged:
        is_mended = each.object_id in sound
        yield Finding(
            store="names",
            what=f"the history in {store.place.git_dir} is damaged: {clean(each.what)}",
            is_mended=is_mended,
            remedy=""
            if is_mended
            else "rhdesk fsck --mend if its file is still here; otherwise bring the object from a "
            f"copy: git fetch --refetch REMOTE {store.place.ref}",
        )


def _unrecorded(store: LocalStore, rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if not row.is_recorded and row.resource_type != BROKEN:
            yield Finding(
                store="names",
                what=f"~/{row.name} was edited, and the edit is no version yet",
                remedy=f"make {store.place.root} and {store.place.git_dir} writable; "
                "the next look records it",
            )


def _broken(store: LocalStore, rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row.resource_type == BROKEN:
            file = str(store.place.file(row.name))
            told = config_file.complaint(file, msgspec.json.decode(row.config))
            yield Finding(
                store="names",
                what=f"~/{row.name} cannot be read: {told}",
                remedy=f"repair the file, or take back a version: rhdesk history ~/{row.name}",
            )


def _unseen(store: LocalStore, rows: Sequence[Row]) -> Iterator[Finding]:
    """Files below ``rh/`` that look like a name's, and are none."""
    known = {row.name for row in rows}
    rh = store.place.rh
    unseen: list[str] = []
    for folder, inner, files in os.walk(rh):
        inner.sort()
        if "config.json" in files:
            name = Path(folder).relative_to(rh).as_posix()
            if name not in known:
                unseen.append(name)
    for name in unseen[:_SHOWN]:
        above = store.place.resource_above(name)
        why = (
            f"~/{above} is a resource, and a name is a folder or a resource, not both"
            if above
            else "its folder does not spell a name, or is a link"
        )
        yield Finding(
            store="names",
            what=f"{rh}/{clean(name)}/config.json is not seen: {why}",
            remedy="give its folder another name, or import it: rhdesk import FOLDER",
        )
    if len(unseen) > _SHOWN:
        yield Finding(
            store="names",
            what=f"{len(unseen) - _SHOWN:,} more files below {rh} are not seen",
            remedy="give their folders other names",
        )


def _disagreeing_index(store: LocalStore, *, mend: bool) -> Iterator[Finding]:
    wrong = ""
    for _ in range(_LOOKS):
        wrong = _difference(store.rows(), store.rows_made_anew())
        if not wrong:
            return
    if mend:
        with suppress(StoreUnwritable):
            store.rebuild()
            if not _difference(store.rows(), store.rows_made_anew()):
                yield Finding(store="index", what=f"{wrong}; it is made anew", is_mended=True)
                return
    yield Finding(store="index", what=wrong, remedy="rhdesk rebuild")


def _difference(rows: Sequence[Row], anew: Sequence[Row]) -> str:
    """How the index differs from what git and files say; "" if it does not."""
    told = {row.name: _content(row) for row in rows}
    true = {row.name: _content(row) for row in anew}
    wrong = sorted(name for name in told.keys() | true.keys() if told.get(name) != true.get(name))
    if not wrong:
        return ""
    more = f" and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""
    return f"the index differs from git and files in ~/{wrong[0]}{more}"


def _content(row: Row) -> tuple[str, ...]:
    return (row.resource_type, row.config, row.version, row.recorded_version, row.blob)
