"""A tree of files as a desk and a host speak of it: each file by hash, the whole by one.

The hash of a folder is that of its entries, so that of the root names every file below it, as git
does it (git-scm.com/book, "Git Objects"); after one file changed, only the folders above it are
hashed again. When a file was changed is kept with it, and is no part of any hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Final

import msgspec

from rhdesk.beneath import check_link, parts_of
from rhdesk.errors import BadInput

LINK: Final = "l"
FILE: Final = "f"
PROGRAM: Final = "x"
"""A file its owner may execute."""
_KINDS: Final = (FILE, PROGRAM, LINK)
MOST: Final = 2_000_000
"""Files a tree may hold."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A file or a link."""

    kind: str
    hash: bytes
    """SHA-256 of the content; of a link, of where it leads."""
    size: int
    """Bytes."""
    mtime_ns: int
    """When it was changed where it comes from; nanoseconds of Unix time."""
    link: str = ""
    """Where a link leads."""

    def is_like(self, other: Entry | None) -> bool:
        """Whether it is the same file, whenever it was changed."""
        return other is not None and (self.kind, self.hash) == (other.kind, other.hash)


class Tree:
    """Files by path, and the hash of it all.

    Raises:
        BadInput: A path leads out, a file stands where a folder is, or they are too many.
    """

    def __init__(self, entries: Iterable[tuple[str, Entry]] = ()) -> None:
        self.entries: dict[str, Entry] = {}
        self._inside: dict[str, dict[str, Entry | None]] = {"": {}}
        """By folder: names in it; None for a folder."""
        self._hashes: dict[str, bytes] = {}
        for path, entry in entries:
            self.put(path, entry)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def root(self) -> str:
        """Hash of the whole tree, hex."""
        return self._hash("").hex()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries.values())

    def put(self, path: str, entry: Entry) -> None:
        """Add a file, or replace it."""
        if entry.kind not in _KINDS:
            raise BadInput(f"{path!r} is of a kind that is not known: {entry.kind!r}")
        if entry.kind == LINK:
            check_link(path, entry.link)
        if path not in self.entries:
            parts_of(path)
            if len(self.entries) >= MOST:
                raise BadInput(f"a tree may hold {MOST} files")
        folder, _, name = path.rpartition("/")
        inside = self._inside.get(folder)
        if inside is None:
            inside = self._make(folder)
        if inside.get(name, entry) is None:
            raise BadInput(f"{path!r} is a file and a folder")
        inside[name] = entry
        self.entries[path] = entry
        self._touch(folder)

    def drop(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""
        if self.entries.pop(path, None) is None:
            return
        folder, _, name = path.rpartition("/")
        self._touch(folder)
        del self._inside[folder][name]
        while folder and not self._inside[folder]:
            del self._inside[folder]
            folder, _, name = folder.rpartition("/")
            del self._inside[folder][name]

    def changed(self, gone: Iterable[str], put: Mapping[str, Entry]) -> Tree:
        """The same tree, changed in place: what went first, then what came."""
        for path in gone:
            self.drop(path)
        for path, entry in put.items():
            self.put(path, entry)
        return self

    def copy(self) -> Tree:
        made = Tree()
        made.entries = dict(self.entries)
        made._inside = {folder: dict(names) for folder, names in self._inside.items()}
        made._hashes = dict(self._hashes)
        return made

    def _make(self, folder: str) -> dict[str, Entry | None]:
        above, _, name = folder.rpartition("/")
        inside = self._inside.get(above)
        if inside is None:
            inside = self._make(above)
        if name in inside:
            raise BadInput(f"{folder!r} is a file and a folder")
        inside[name] = None
        return self._inside.setdefault(folder, {})

    def _touch(self, folder: str) -> None:
        self._hashes.pop(folder, None)
        while folder:
            folder = folder.rpartition("/")[0]
            self._hashes.pop(folder, None)

    def _hash(self, folder: str) -> bytes:
        if (known := self._hashes.get(folder)) is not None:
            return known
        pieces: list[bytes] = []
        inside = self._inside[folder]
        for name in sorted(inside):
            entry = inside[name]
            if entry is None:
                kind, digest = "d", self._hash(f"{folder}/{name}" if folder else name)
            else:
                kind, digest = entry.kind, entry.hash
            pieces += (f"{kind} {name}\0".encode(), digest)
        self._hashes[folder] = sha256(b"".join(pieces)).digest()
        return self._hashes[folder]


class Change(msgspec.Struct, frozen=True, array_like=True):
    """From one tree to another."""

    base: str
    """Hash of the tree it starts from."""
    root: str
    gone: list[str]
    put: dict[str, Entry]


def between(before: Tree, now: Tree) -> Change:
    """What makes *before* into *now*."""
    gone = [path for path in before.entries if path not in now.entries]
    put = {
        path: entry
        for path, entry in now.entries.items()
        if not entry.is_like(before.entries.get(path))
    }
    return Change(before.root, now.root, gone, put)


def case_twins(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Paths that are one on a file system that does not tell upper from lower case."""
    seen: dict[str, str] = {}
    for path in paths:
        if (first := seen.setdefault(path.casefold(), path)) != path:
            yield first, path
