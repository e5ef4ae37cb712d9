"""Sees the files of a folder change, and says so once they rest: saves in batches.

The core is plain: events in, batches out, the clock passed in. Around it is an observer of the
system's events, and a look at every file now and then, because events get lost: in a full queue,
while a laptop sleeps, on file systems of a network.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from rhdesk.code.edits import Print

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

QUIET_S: Final = 0.03
"""How long nothing may change before a batch is told: a save is several events."""
LONGEST_S: Final = 0.2
"""How long a batch may wait for quiet."""
LOOK_S: Final = 3.0
"""Between two looks at every file."""
_REST: Final = 20
"""Times as long as the last look took, at least, until the next."""
_MOST_WATCHES: Final = 40
"""Each has a thread, and a descriptor of which the system gives a user few."""
_NOT_FOLLOWED: Final = frozenset(
    {"__pycache__", "node_modules", "rh", "venv", "site-packages", "build", "dist"}
)
_ENDS_OF_EDITORS: Final = (".swp", ".swx", ".swo", "~", ".tmp", ".bak", ".pyc")
_LIMIT: Final = (
    "the system has no watches left, so files are looked at every second; raise the limit: "
    "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024"
)


class Batches:
    """Puts events together: a batch is told after *quiet_s* of rest, *longest_s* at the latest."""

    def __init__(self, quiet_s: float = QUIET_S, longest_s: float = LONGEST_S) -> None:
        self._quiet_s = quiet_s
        self._longest_s = longest_s
        self._paths: set[str] = set()
        self._first = 0.0
        self._last = 0.0

    def add(self, path: str, now: float) -> None:
        if not self._paths:
            self._first = now
        self._paths.add(path)
        self._last = now

    def due_s(self, now: float) -> float | None:
        """How long until the batch is ready; None when there is none."""
        if not self._paths:
            return None
        due = min(self._last + self._quiet_s, self._first + self._longest_s)
        return max(0.0, due - now)

    def take(self, now: float) -> frozenset[str]:
        """The batch, if it is ready."""
        if self.due_s(now) != 0.0:
            return frozenset()
        taken, self._paths = frozenset(self._paths), set()
        return taken


def is_followed(path: str) -> bool:
    """Whether a path, relative and with ``/``, is of interest: not an editor's, nor a tool's."""
    *folders, name = PurePosixPath(path).parts or ("",)
    if any(part.startswith(".") or part in _NOT_FOLLOWED for part in folders):
        return False
    if name in {".gitignore", ".rhdeskignore"}:
        return True
    # 4913 is the file vim makes to see whether it may write.
    return not (name.startswith((".", "#")) or name.endswith(_ENDS_OF_EDITORS) or name == "4913")


def folders_in(root: Path) -> Iterator[str]:
    """The folders below *root* that are followed, and it itself; links are not entered."""
    for place, names, _ in os.walk(root):
        names[:] = sorted(n for n in names if not n.startswith(".") and n not in _NOT_FOLLOWED)
        yield place


def _is_followed_folder(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    is_hidden = name.startswith(".") or name in _NOT_FOLLOWED
    return not is_hidden and entry.is_dir(follow_symlinks=False)


def look(root: Path, under: str = "") -> dict[str, Print]:
    """Every followed file and its print; of a folder in *root*, or of all of it."""
    found: dict[str, Print] = {}
    for place in folders_in(root / under):
        try:
            entries = list(os.scandir(place))
        except OSError:  # gone between two looks
            continue
        for entry in entries:
            path = os.path.relpath(entry.path, root).replace(os.sep, "/")
            if not is_followed(path):
                continue
            try:
                seen = entry.stat()
            except OSError:
                continue
            if stat.S_ISREG(seen.st_mode):
                found[path] = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
    return found


def differing(before: dict[str, Print], now: dict[str, Print]) -> frozenset[str]:
    return frozenset(p for p in before.keys() | now.keys() if before.get(p) != now.get(p))


class FolderWatch:
    """Watches a folder until it is closed. `wait` is called in one thread.

    Args:
        look_s: Between two looks at every file, where the system tells of changes.
        observe: Whether to ask the system at all; without, files are looked at every second.
    """

    def __init__(self, root: Path, *, look_s: float = LOOK_S, observe: bool = True) -> None:
        self.root = root.resolve()
        self.why = ""
        """Why there is only looking; empty when the system tells."""
        self._look_s = look_s
        self._batches = Batches()
        self._changed = threading.Condition()
        self._is_closed = False
        self._look_took_s = 0.0
        self._observer: BaseObserver | None = None
        self._watched: dict[str, Any] = {}
        """By folder, as the system was asked to watch it."""
        if observe:
            self._observe()
        else:
            self.why = "the system is not asked"
        self._seen = look(self.root)
        self._looked_at = time.monotonic()

    @property
    def how(self) -> str:
        return "polling" if self.why else "events"

    def wait(self, timeout_s: float) -> frozenset[str]:
        """The next batch of paths that differ from what was told last; empty after *timeout_s*."""
        until = time.monotonic() + timeout_s
        while (now := time.monotonic()) < until and not self._is_closed:
            look_s = min(self._look_s, 1.0) if self.why else self._look_s
            # However many files there are, most of the time is not spent looking at them.
            look_s = max(look_s, _REST * self._look_took_s)
            with self._changed:
                batch = self._batches.take(now)
                due_s = self._batches.due_s(now)
                look_due_s = self._looked_at + look_s - now
                if not batch and look_due_s > 0:
                    rest_s = look_due_s if due_s is None else min(due_s, look_due_s)
                    self._changed.wait(min(rest_s, until - now))
                    continue
            if found := self._look_at(batch) if batch else self._look():
                return found
        return frozenset()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()

    def _look(self) -> frozenset[str]:
        began = time.monotonic()
        now = look(self.root)
        found, self._seen = differing(self._seen, now), now
        self._looked_at = time.monotonic()
        self._look_took_s = self._looked_at - began
        self._follow()
        return found

    def _look_at(self, paths: frozenset[str]) -> frozenset[str]:
        """Look at what was told of, and at nothing else."""
        before: dict[str, Print] = {}
        now: dict[str, Print] = {}
        for path in paths:
            place = self.root / path
            try:
                at = place.lstat()
            except OSError:  # gone, and all that was in it
                before |= self._below(path)
                continue
            if stat.S_ISDIR(at.st_mode):
                self._follow()
                before |= self._below(path)
                now |= look(self.root, path)
            elif stat.S_ISREG(at.st_mode):
                now[path] = (at.st_mtime_ns, at.st_size, at.st_ino)
            if path in self._seen:
                before[path] = self._seen[path]
        for path in before:
            self._seen.pop(path, None)
        self._seen |= now
        return differing(before, now)

    def _below(self, path: str) -> dict[str, Print]:
        if path in self._seen:
            return {path: self._seen[path]}
        return {each: at for each, at in self._seen.items() if each.startswith(f"{path}/")}

    # ---- the system's events

    def _observe(self) -> None:
        from watchdog.observers import Observer  # deferred: only a watch needs it

        observer = Observer()
        try:
            observer.start()
        except OSError as exc:
            self.why = _why(exc)
            return
        self._observer = observer
        self._follow()

    def _follow(self) -> None:
        """Have the system tell of the top folder, and of all that is in each folder in it.

        Not of the top with all below it: environments and caches lie there, in more folders than
        the system may have watches left for.
        """
        from watchdog import events

        if self._observer is None:
            return
        observer = self._observer

        # Not of what is only opened or read: looking at the files would be told to itself.
        told: list[type[events.FileSystemEvent]] = [
            *(events.FileCreatedEvent, events.FileModifiedEvent, events.FileClosedEvent),
            *(events.FileDeletedEvent, events.FileMovedEvent, events.DirCreatedEvent),
            *(events.DirDeletedEvent, events.DirMovedEvent),
        ]

        class Handler(events.FileSystemEventHandler):
            def __init__(self, hear: Callable[[str], None]) -> None:
                self._hear = hear

            def on_any_event(self, event: Any) -> None:
                for place in filter(None, (event.src_path, event.dest_path)):
                    self._hear(os.fsdecode(place))

        top = str(self.root)
        inside = sorted(e.path for e in os.scandir(top) if _is_followed_folder(e))
        wanted = {top: False} | dict.fromkeys(inside, True)
        if len(inside) > _MOST_WATCHES:
            wanted = {top: True}
        for gone in self._watched.keys() - wanted.keys():
            observer.unschedule(self._watched.pop(gone))
        for place, recursive in wanted.items():
            if place in self._watched:
                continue
            try:
                self._watched[place] = observer.schedule(
                    Handler(self._hear), place, recursive=recursive, event_filter=told
                )
            except FileNotFoundError:
                continue
            except OSError as exc:
                self.why = _why(exc)
                self._observer = None
                observer.stop()
                observer.join()
                return

    def _hear(self, place: str) -> None:
        path = os.path.relpath(place, self.root).replace(os.sep, "/")
        if path != "." and is_followed(path):
            with self._changed:
                self._batches.add(path, time.monotonic())
                self._changed.notify_all()


def _why(exc: OSError) -> str:
    if exc.errno in {errno.ENOSPC, errno.EMFILE}:
        return _LIMIT
    return f"the system does not tell of changes: {exc.strerror or exc}"
