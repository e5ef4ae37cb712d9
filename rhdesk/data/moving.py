"""Copying between any two places: resumable, verified by hash, sparing what is there. Blocking.

A file is written beside the one it will be and renamed once what can be read there has the hash
of what was sent; until then whatever had its name is as it was.
"""

from __future__ import annotations

import hashlib
import posixpath
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any, Final

import msgspec
from fsspec.implementations.local import LocalFileSystem

from rhdesk.data.carrier import Carried, Carrier
from rhdesk.data.direct import Direct, direct
from rhdesk.data.faults import told
from rhdesk.data.host_files import HostFiles
from rhdesk.data.on_host import NotThere
from rhdesk.data.place import PART, PIECE, Place
from rhdesk.errors import BadInput, ConnectionFailed, RhdeskError, StoreUnwritable
from rhdesk.models import Entry

_AT_ONCE: Final = 8
"""Files on their way together, where both sides can serve more than one."""


class Moved(msgspec.Struct, frozen=True):
    """What a copy did."""

    files: int
    """Those written; the ones that were there already are in `spared`."""
    size_bytes: int
    """Sent; what an earlier copy had sent of a file is not sent again."""
    spared: int
    straight: int = 0
    """Those that went between a host and a bucket, and not through this machine."""
    why_not: str = ""
    """Why one of them went through this machine."""

    def __str__(self) -> str:
        spared = f", {self.spared} there already" if self.spared else ""
        straight = f", {self.straight} without a detour through here" if self.straight else ""
        why = f"; through this machine, as the host said: {self.why_not}" if self.why_not else ""
        return f"{self.files} files, {self.size_bytes / 1e6:.1f} MB{spared}{straight}{why}"


class Left(RhdeskError):
    """The copy was told to stop."""


class Moving:
    """One copy.

    Args:
        tell: Hears how it goes, from any thread.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._direct: Direct | None = None
        self._straight_files = 0
        self._refused: str | None = None
        """Why a file did not go straight."""
        self._files = 0
        self._size = 0
        self._spared = 0

    def stop(self) -> None:
        """Have it end soon; what has gone of a file is kept to go on from, where that can be."""
        self._stopped.set()

    def copy(self, source: Place, target: Place) -> Moved:
        """A file to a file, or all that is in a folder into a folder that may be there already.

        A file goes into a folder that is there under its own name; so does a folder if *target*
        ends with ``/``.

        Raises:
            NotFound: *source* does not exist.
            BadInput: One is in the other, or a name would lead outside *target*.
            StoreUnwritable: There is no room; what was there is as it was.
        """
        entry = source.entry()
        to = self._final(source, entry, target)
        _refuse_itself(source, to)
        self._direct = direct(source, to)
        if entry.kind == "folder":
            self._folder(source, to)
        elif entry.kind == "file":
            to.make_room()
            if not self._carry([(source, to, entry)]):
                self._file(source, to, entry, to.entry() if to.kind() == "file" else None)
        else:
            raise BadInput(f"{source} is neither a file nor a folder")
        return Moved(
            self._files, self._size, self._spared, self._straight_files, self._refused or ""
        )

    def move(self, source: Place, target: Place) -> Moved:
        """The same, and then *source* is gone: removed only after everything has arrived."""
        entry = source.entry()
        to = self._final(source, entry, target)
        is_one_disk = source.has_folders and source.files is to.files
        if is_one_disk and not to.kind():
            _refuse_itself(source, to)
            to.make_room()
            source.rename(to)
            return Moved(1, 0, 0)
        moved = self.copy(source, target)
        source.remove(recursive=True)
        return moved

    def _final(self, source: Place, entry: Entry, target: Place) -> Place:
        into = target.path.endswith("/") or (entry.kind == "file" and target.kind() == "folder")
        return target.below(posixpath.basename(source.path.rstrip("/"))) if into else target

    def _folder(self, source: Place, target: Place) -> None:
        files = source.tree()
        # Every name is looked at before anything is written.
        places = {relative: target.below(relative) for relative in files}
        if target.kind() == "file":
            raise BadInput(f"{source} is a folder, and {target} is a file")
        if self._carry([(source.at(e.path), places[name], e) for name, e in files.items()]):
            return
        there = target.tree() if target.kind() else {}
        folders = {posixpath.dirname(place.path) for place in places.values()}
        if target.has_folders or not files:
            for folder in sorted({target.path, *folders}):
                target.at(folder).make_folder()

        def send(relative: str) -> None:
            here = source.at(files[relative].path)
            self._file(here, places[relative], files[relative], there.get(relative))

        is_one_line = isinstance(source.files, HostFiles) or isinstance(target.files, HostFiles)
        with ThreadPoolExecutor(1 if is_one_line else _AT_ONCE) as pool:
            sending = [pool.submit(send, relative) for relative in files]
            try:
                for each in sending:
                    each.result()
            except BaseException:
                self.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def _carry(self, files: Sequence[tuple[Place, Place, Entry]]) -> bool:
        """Whether they went all together, which they do between this machine and a host."""
        if not files:
            return False
        source, target, _ = files[0]
        host = target.files if isinstance(source.files, LocalFileSystem) else source.files
        near = source.files if host is target.files else target.files
        if not isinstance(host, HostFiles) or not isinstance(near, LocalFileSystem):
            return False
        if host.on_host is None:
            return False
        try:
            carrier = Carrier(
                host.on_host,
                stop_if_told=self._stop_if_told,
                tell=self._say,
                done=lambda sent, spared: self._count(sent, spared=spared),
            )
        except NotThere:
            return False  # no Python there: one after the other
        with closing(carrier):
            carried = [
                Carried(s.path, t.path, self._part(t).path, e.size_bytes) for s, t, e in files
            ]
            (carrier.put if host is target.files else carrier.get)(carried)
        return True

    def _stop_if_told(self) -> None:
        if self._stopped.is_set():
            raise Left

    def _file(self, source: Place, target: Place, entry: Entry, there: Entry | None) -> None:
        self._stop_if_told()
        if self._direct is not None and self._straight(source, target, entry):
            return
        if there is not None and there.size_bytes == entry.size_bytes:
            if source.sha256() == target.sha256():
                self._count(0, spared=True)
                return
        elif there is None and target.has_folders and target.kind():
            raise BadInput(f"{source} is a file, and {target} is none; nothing there was touched")
        part = self._part(target)
        try:
            sent = self._send(source, part)
            part.rename(target)
        except BaseException as exc:
            if not part.has_folders or isinstance(exc, StoreUnwritable):
                with suppress(RhdeskError):
                    part.remove()
            raise
        self._count(sent)

    def _straight(self, source: Place, target: Place, entry: Entry) -> bool:
        """Whether a file went without a detour through this machine."""
        assert self._direct is not None, "its caller asked"
        try:
            if source.has_folders:
                sent = self._direct.send(source, target, entry)
            else:
                part = self._part(target)
                sent = self._direct.fetch(source, part, entry)
                part.rename(target)
        except NotThere as exc:
            self._tell(f"through this machine: {exc}")
            if self._refused is None:
                self._refused = str(exc)
            return False
        self._count(sent, spared=not sent and entry.size_bytes > 0)
        self._straight_files += 1
        return True

    def _send(self, source: Place, part: Place) -> int:
        """Write what *part* lacks of *source*; returns how many bytes that was."""
        digest = hashlib.sha256()
        sent = 0
        with told(source), source.files.open(source.path, "rb") as reading:
            start = self._agreed(reading, part, digest) if part.has_folders else 0
            if not start:
                digest = hashlib.sha256()
                reading.seek(0)
            with told(part):
                writing = part.files.open(part.path, "ab" if start else "wb")
            try:
                while piece := reading.read(PIECE):
                    self._stop_if_told()
                    digest.update(piece)
                    with told(part):
                        writing.write(piece)
                    sent += len(piece)
                    self._say(posixpath.basename(source.path), sent)
                with told(part):
                    writing.close()
            except BaseException:
                _abandon(writing)
                raise
        if part.sha256() != digest.hexdigest():
            part.remove()
            raise ConnectionFailed(f"{source} did not arrive as it was sent; copy it again")
        return sent

    @staticmethod
    def _part(target: Place) -> Place:
        """The file that will be *target*; the same for every try."""
        key = hashlib.sha256(target.path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return target.at(posixpath.join(posixpath.dirname(target.path), f".{key}{PART}"))

    def _agreed(self, reading: Any, part: Place, digest: Any) -> int:
        """How many bytes an earlier copy left that are still those of the source; 0 if any differ."""
        if part.kind() != "file":
            return 0
        size = 0
        with told(part), part.files.open(part.path, "rb") as left:
            while piece := left.read(PIECE):
                if reading.read(len(piece)) != piece:
                    return 0
                digest.update(piece)
                size += len(piece)
        return size

    def _count(self, sent: int, *, spared: bool = False) -> None:
        with self._lock:
            self._size += sent
            self._spared += spared
            self._files += not spared
            done = self._files + self._spared
        self._tell(f"{done} files, {self._size / 1e6:.1f} MB")

    def _say(self, name: str, sent: int) -> None:
        self._tell(f"{name} {sent / 1e6:.1f} MB")


def _abandon(writing: Any) -> None:
    """Close without what closing would do: an object store would keep what it has as whole."""
    discard = getattr(writing, "discard", None)
    with suppress(Exception):
        if discard is not None and not isinstance(getattr(writing, "name", None), str):
            discard()
            writing.closed = True
        else:
            writing.close()


def _refuse_itself(source: Place, target: Place) -> None:
    if source.where.system != target.where.system:
        return
    mine, other = (f"{place.path.strip('/')}/" for place in (source, target))
    if mine.startswith(other) or other.startswith(mine):
        raise BadInput(f"{source} and {target} are one, or one is in the other")
