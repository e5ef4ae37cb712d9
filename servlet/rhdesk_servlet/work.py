"""A working folder on a node: a tree that is there whole or not at all, and what runs write in it.

Runs have it as their current folder. While none is going on it is changed in place, so that what
runs wrote stays beside it; while one is, the change goes into a copy, and the run keeps what it
started with. A run holds a lock on its copy, which ends with its process however that ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

from rhdesk import whole_file
from rhdesk.beneath import Beneath
from rhdesk.errors import BadInput, NotFound
from rhdesk.wire.messages import pack, unpack
from rhdesk.wire.tree import LINK, PROGRAM, Change, Entry, Tree, between
from rhdesk.wire.work import Content, Early, Offer, Wanted, WorkSeen, Written

CURRENT: Final = "current"
APPLYING: Final = "applying"
"""While it is there, what is current is neither the tree before nor the one after."""
_BESIDE: Final = ".rhdesk"
_AT_ONCE: Final = 1 << 20
_JOURNAL_BYTES: Final = 4 * 1024 * 1024


class WorkFolder:
    """One working folder. Blocking; any thread, one at a time."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._tree: Tree | None = None
        self._offered: _Offered | None = None
        self._early: dict[str, bytes] = {}
        """Files that came before their tree: hashes by path."""

    def seen(self) -> WorkSeen:
        with self._lock:
            return self._seen()

    def change(self, change: Change, contents: dict[bytes, bytes]) -> WorkSeen:
        """Make the tree another one; of a change from a tree that is not here, nothing is done.

        Raises:
            BadInput: It leads out of the folder, lacks a content, or does not make what it says.
        """
        with self._lock:
            tree = self._whole()
            if tree is None or tree.root != change.base:
                return self._seen(is_taken=False)
            self._check(contents)
            made = tree.copy().changed(change.gone, change.put)
            if made.root != change.root:
                raise BadInput("a change of a working folder does not make the tree it names")
            needed = {entry.hash for entry in change.put.values() if entry.kind != LINK}
            if needed - contents.keys() - self._kept(tree, needed - contents.keys()).keys():
                return self._seen(is_taken=False)
            self._apply(change, made, contents)
            return self._seen()

    def early(self, files: Sequence[Early]) -> None:
        """Take files of a tree that will be offered, where none is whole yet; else do nothing.

        Raises:
            BadInput: A path leads out of the folder.
        """
        with self._lock:
            fresh = self._fresh()
            if fresh is None:
                return
            with Beneath(fresh) as copy:
                for file in files:
                    if sha256(file.data).digest() == file.entry.hash:
                        _put(copy, file.path, file.entry, file.data)
                        self._early[file.path] = file.entry.hash

    def offer(self, offer: Offer) -> list[bytes]:
        """Get ready for a whole tree; returns the hashes of the contents that are not here.

        Raises:
            BadInput: A path leads out of the folder, or the tree is not the one it says.
        """
        with self._lock:
            tree = Tree(offer.entries)
            if tree.root != offer.root:
                raise BadInput("a working folder's tree is not the one its name says")
            if self._offered is not None:
                self._offered.close()
            before = self._whole()
            have: set[bytes] = set()
            if before is not None:
                put = between(before, tree).put.values()
                have = {entry.hash for entry in tree.entries.values()}
                changed = {entry.hash for entry in put if entry.kind != LINK}
                have -= changed - self._kept(before, changed).keys()
            self._offered = _Offered(self._place, tree, have, self._fresh(), self._early)
            self._early = {}
            return self._offered.missing()

    def receive(self, contents: Sequence[Content]) -> list[bytes]:
        """Take contents of the tree that was offered; the hashes of those that are another file's.

        Raises:
            NotFound: None was, or this program was started again since: it is offered anew.
        """
        with self._lock:
            offered = self._being_offered()
            return [each.hash for each in contents if not offered.receive(each)]

    def finish(self) -> WorkSeen:
        """Have the offered tree be the one that is here.

        Raises:
            NotFound: None was offered.
            BadInput: Contents are missing still.
        """
        with self._lock:
            offered = self._being_offered()
            if lacking := offered.missing():
                raise BadInput(f"{len(lacking)} files of the working folder were not sent")
            if offered.fresh is not None:
                changes_of(offered.fresh).unlink(missing_ok=True)
                self._keep(offered.fresh, offered.tree)
                self._point_at(offered.fresh)
                (self._place / APPLYING).unlink(missing_ok=True)
                self._tidy()
            else:
                assert self._tree is not None, "it is whole: the copy is changed"
                self._apply(between(self._tree, offered.tree), offered.tree, {})
            shutil.rmtree(self._place / "incoming", ignore_errors=True)
            offered.close()
            self._offered = None
            return self._seen()

    def written(self, under: str) -> list[Written]:
        """What runs wrote here: files that are not of the tree, or changed; oldest first."""
        with self._lock:
            tree = self._whole() or Tree()
            self._tidy()
            found: list[Written] = []
            with Beneath(self._copy()) as copy:
                for path, at in _below(copy, under):
                    if not _is_as(tree.entries.get(path), at) and _is_of_runs(path, at):
                        program = bool(at.st_mode & 0o100)
                        found.append(Written(path, at.st_size, at.st_mtime_ns, program))
            return sorted(found, key=lambda each: (each.mtime_ns, each.path))

    def read(self, wanted: Sequence[Wanted]) -> list[bytes]:
        """Pieces of files; a piece beyond a file's end is shorter, or empty.

        Raises:
            NotFound: One is gone, or no file.
        """
        with self._lock, Beneath(self._copy()) as copy:
            found: list[bytes] = []
            for each in wanted:
                try:
                    opened = copy.read(each.path)
                except FileNotFoundError:
                    raise NotFound(each.path, kind="file of the working folder") from None
                try:
                    found.append(os.pread(opened, each.length, each.offset))
                finally:
                    os.close(opened)
            return found

    # ---- what is kept

    def _whole(self) -> Tree | None:
        """The tree that is current; None when none is whole."""
        if (self._place / APPLYING).exists() or not (self._place / CURRENT).is_symlink():
            self._tree = None
            return None
        if self._tree is None:
            self._tree = _kept_of(self._copy())
        return self._tree

    def _seen(self, *, is_taken: bool = True) -> WorkSeen:
        tree = self._whole()
        if tree is None:
            return WorkSeen(is_taken=False)
        return WorkSeen(
            root=tree.root,
            files=len(tree),
            size=tree.size,
            place=str(self._place / CURRENT),
            is_taken=is_taken,
        )

    def _keep(self, copy: Path, tree: Tree) -> None:
        """Write down which tree a copy is."""
        whole_file.write(tree_of(copy), [pack(Offer(tree.root, list(tree.entries.items())))])
        # Changes that are read once more on top of what they led to change nothing.
        changes_of(copy).unlink(missing_ok=True)
        self._tree = tree

    def _keep_change(self, change: Change, tree: Tree) -> None:
        """The same of the current copy, in a few bytes."""
        with changes_of(self._copy()).open("ab") as opened:
            data = pack(change)
            opened.write(len(data).to_bytes(4, "little") + data)
            length = opened.tell()
        self._tree = tree
        if length > _JOURNAL_BYTES:
            self._keep(self._copy(), tree)

    # ---- copies

    def _apply(self, change: Change, made: Tree, contents: dict[bytes, bytes]) -> None:
        """Change what is current, or a copy of it where a run is in it."""
        tree = self._whole()
        assert tree is not None, "its callers asked"
        with self._alone(self._copy()) as is_alone:
            if is_alone:
                whole_file.write(self._place / APPLYING, [pack(change)])
                self._write(self._copy(), tree, change, contents)
                self._keep_change(change, made)
                (self._place / APPLYING).unlink()
        if not is_alone:
            copy = self._new_copy()
            _fill(self._copy(), copy, tree)
            self._write(copy, tree, change, contents)
            self._keep(copy, made)
            self._point_at(copy)
        self._tidy()

    def _write(self, copy: Path, tree: Tree, change: Change, contents: dict[bytes, bytes]) -> None:
        incoming = self._place / "incoming"
        needed = {e.hash for e in change.put.values() if e.kind != LINK} - contents.keys()
        # A content that is only moved is read before what is there is changed.
        kept = self._kept(tree, {h for h in needed if not (incoming / h.hex()).exists()})
        with Beneath(copy) as beneath:
            for path in change.gone:
                beneath.remove(path)
            for path, entry in change.put.items():
                if entry.kind == LINK:
                    beneath.link(path, entry.link)
                    continue
                data = contents.get(entry.hash, kept.get(entry.hash))
                file = incoming / entry.hash.hex()
                _put(beneath, path, entry, file if data is None else data)

    def _kept(self, tree: Tree, hashes: set[bytes]) -> dict[bytes, bytes]:
        """Contents that are here already, under another path perhaps; not what a run changed."""
        found: dict[bytes, bytes] = {}
        if not hashes:
            return found
        with Beneath(self._copy()) as beneath:
            for path, entry in tree.entries.items():
                if entry.hash not in hashes or entry.hash in found or entry.kind == LINK:
                    continue
                with suppress(FileNotFoundError), open(beneath.read(path), "rb") as opened:
                    data = opened.read()
                    if sha256(data).digest() == entry.hash:
                        found[entry.hash] = data
        return found

    def _fresh(self) -> Path | None:
        """Where a tree is put together when none is here whole; one that was begun is gone on with."""
        if self._whole() is not None:
            return None
        (self._place / CURRENT).unlink(missing_ok=True)
        (self._place / APPLYING).unlink(missing_ok=True)
        begun = self._copies()
        return begun[-1] if begun else self._new_copy()

    def _new_copy(self) -> Path:
        begun = self._copies()
        made = self._place / "copies" / str(int(begun[-1].name) + 1 if begun else 1)
        made.mkdir(mode=0o700, parents=True)
        return made

    def _copies(self) -> list[Path]:
        """All of them, the newest last."""
        found = [each for each in (self._place / "copies").glob("*") if each.name.isdigit()]
        return sorted(found, key=lambda each: int(each.name))

    def _copy(self) -> Path:
        try:
            return self._place / os.readlink(self._place / CURRENT)
        except FileNotFoundError:
            raise NotFound("working folder", kind="whole folder on this node") from None

    def _point_at(self, copy: Path) -> None:
        beside = self._place / f"{CURRENT}{_BESIDE}"
        beside.unlink(missing_ok=True)
        beside.symlink_to(copy.relative_to(self._place))
        beside.replace(self._place / CURRENT)

    def _tidy(self) -> None:
        """Remove copies that no run is in any more; what runs wrote there comes along."""
        current = self._copy()
        for old in self._copies():
            if old == current:
                continue
            with self._alone(old) as is_alone:
                if not is_alone:
                    continue
                had = _kept_of(old) or Tree()
                with Beneath(old) as source, Beneath(current) as target:
                    for path, at in list(source.files()):
                        by_run = _is_of_runs(path, at) and not _is_as(had.entries.get(path), at)
                        if by_run and target.stat(path) is None:
                            with suppress(BadInput):
                                target.take(old / path, path)
                shutil.rmtree(old, ignore_errors=True)
                for beside in (tree_of(old), changes_of(old), lock_of(old)):
                    beside.unlink(missing_ok=True)

    @contextmanager
    def _alone(self, copy: Path) -> Generator[bool]:
        """Keep runs out of a copy; says False where one is in it."""
        with lock_of(copy).open("a") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def _being_offered(self) -> _Offered:
        if self._offered is None:
            raise NotFound("tree", kind="tree that was offered")
        return self._offered

    @staticmethod
    def _check(contents: dict[bytes, bytes]) -> None:
        for digest, data in contents.items():
            if sha256(data).digest() != digest:
                raise BadInput(f"a file arrived changed: {digest.hex()[:12]}")


class _Offered:
    """A tree that is being sent: what of it is here, and what came."""

    def __init__(
        self,
        place: Path,
        tree: Tree,
        have: set[bytes],
        fresh: Path | None,
        early: dict[str, bytes],
    ) -> None:
        self.tree = tree
        self.fresh = fresh
        """The copy it is put together in; None where a whole one is changed."""
        self._incoming = place / "incoming"
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._paths: dict[bytes, list[str]] = {}
        self._came: dict[bytes, set[tuple[int, int]]] = {}
        """Pieces of large files: offset and length."""
        already = {each.name for each in self._incoming.iterdir()}
        links: list[str] = []
        for path, entry in tree.entries.items():
            if entry.kind == LINK:
                links.append(path)
            elif fresh is not None or not (entry.hash in have or entry.hash.hex() in already):
                self._paths.setdefault(entry.hash, []).append(path)
        self._copy = Beneath(fresh or self._incoming)
        if fresh is not None:
            self._go_on(fresh, links, already, early)

    def close(self) -> None:
        self._copy.close()

    def _go_on(
        self, fresh: Path, links: list[str], already: set[str], early: dict[str, bytes]
    ) -> None:
        """Of a tree that was begun, keep what is right; what runs wrote stays too."""
        for path, at in list(self._copy.files()):
            entry = self.tree.entries.get(path)
            if _is_as(entry, at) and entry is not None and entry.kind != LINK:
                if early.get(path) == entry.hash:
                    self._has(entry.hash, path)
                    continue
                with (fresh / path).open("rb") as opened:
                    if file_digest(opened, "sha256").digest() == entry.hash:
                        self._has(entry.hash, path)
                        continue
            if entry is not None:
                self._copy.remove(path)
        for path in links:
            self._copy.link(path, self.tree.entries[path].link)
        for digest in [each for each in self._paths if each.hex() in already]:
            self._place(digest, (self._incoming / digest.hex()).read_bytes())

    def missing(self) -> list[bytes]:
        return list(self._paths)

    def receive(self, content: Content) -> bool:
        """Take a content, or a piece; whether it is, as far as it came, what its hash says."""
        if content.hash not in self._paths:
            return True  # it came twice
        if len(content.data) == content.total:
            if sha256(content.data).digest() != content.hash:
                return False
            self._place(content.hash, content.data)
            return True
        part = self._incoming / f".{content.hash.hex()}"
        with open(os.open(part, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as opened:
            opened.seek(content.offset)
            opened.write(content.data)
            came = self._came.setdefault(content.hash, set())
            came.add((content.offset, len(content.data)))
            if sum(length for _, length in came) < content.total:
                return True
            del self._came[content.hash]
            opened.seek(0)
            if file_digest(opened, "sha256").digest() != content.hash:
                part.unlink()
                return False
        self._place(content.hash, part)
        return True

    def _place(self, digest: bytes, data: bytes | Path) -> None:
        """Put a content where it belongs; into a whole copy not before all of them are here."""
        if self.fresh is None:
            file = self._incoming / digest.hex()
            if isinstance(data, Path):
                data.replace(file)
            else:
                whole_file.write(file, [data])
            del self._paths[digest]
            return
        for path in self._paths.pop(digest):
            _put(self._copy, path, self.tree.entries[path], data)
        if isinstance(data, Path):
            data.unlink()

    def _has(self, digest: bytes, path: str) -> None:
        self._paths[digest].remove(path)
        if not self._paths[digest]:
            del self._paths[digest]


class WorkFolders:
    """The working folders of a node, by id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, WorkFolder] = {}

    def get(self, key: str) -> WorkFolder:
        """One of them; made when it is first asked for.

        Raises:
            BadInput: *key* is no id.
        """
        if not (key.isalnum() and key.isascii() and len(key) <= 64):
            raise BadInput(f"{key[:64]!r} is no id of a working folder")
        if key not in self._known:
            place = self._folder / key
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._known[key] = WorkFolder(place)
        return self._known[key]


def lock_of(copy: Path) -> Path:
    """The file that who is in a copy holds a lock on."""
    return copy.with_name(f"{copy.name}.lock")


def tree_of(copy: Path) -> Path:
    """Where it is written which tree a copy is."""
    return copy.with_name(f"{copy.name}.tree")


def changes_of(copy: Path) -> Path:
    """What changed it since."""
    return copy.with_name(f"{copy.name}.changes")


def _kept_of(copy: Path) -> Tree | None:
    """Which tree a copy is; None where that cannot be read: it is offered anew."""
    try:
        tree = Tree(unpack(tree_of(copy).read_bytes(), Offer).entries)
        for change in _changes(changes_of(copy)):
            tree.changed(change.gone, change.put)
    except (OSError, BadInput):
        return None
    return tree


def _put(beneath: Beneath, path: str, entry: Entry, data: bytes | Path) -> None:
    executable = entry.kind == PROGRAM
    if isinstance(data, bytes):
        beneath.write(path, [data], executable=executable, mtime_ns=entry.mtime_ns)
        return
    with data.open("rb") as opened:
        pieces = iter(partial(opened.read, _AT_ONCE), b"")
        beneath.write(path, pieces, executable=executable, mtime_ns=entry.mtime_ns)


def _is_as(entry: Entry | None, at: os.stat_result) -> bool:
    """Whether a file looks as the tree has it."""
    if entry is None:
        return False
    if entry.kind == LINK:
        return stat.S_ISLNK(at.st_mode)
    return (at.st_size, at.st_mtime_ns) == (entry.size, entry.mtime_ns)


def _is_of_runs(path: str, at: os.stat_result) -> bool:
    is_file = stat.S_ISREG(at.st_mode)
    return is_file and "__pycache__/" not in path and not path.endswith(_BESIDE)


def _below(copy: Beneath, under: str) -> Iterator[tuple[str, os.stat_result]]:
    """The files below *under*, or the file it is."""
    if under and (at := copy.stat(under)) is not None and not stat.S_ISDIR(at.st_mode):
        yield under, at
        return
    yield from copy.files(under)


def _fill(source: Path, target: Path, tree: Tree) -> None:
    """Copy the files of the tree; what a run changed meanwhile is copied as it changed it."""
    with Beneath(source) as old, Beneath(target) as new:
        for path, entry in tree.entries.items():
            if entry.kind == LINK:
                new.link(path, entry.link)
                continue
            with open(old.read(path), "rb") as opened:
                pieces = iter(partial(opened.read, _AT_ONCE), b"")
                program = entry.kind == PROGRAM
                new.write(path, pieces, executable=program, mtime_ns=entry.mtime_ns)


def _changes(file: Path) -> Iterator[Change]:
    """What was kept of changes; one that was not written whole was not answered either."""
    data = file.read_bytes() if file.exists() else b""
    at = 0
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        piece = data[at + 4 : at + 4 + length]
        if len(piece) < length:
            return
        yield unpack(piece, Change)
        at += 4 + length
