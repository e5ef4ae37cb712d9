"""A folder of a project as it would travel: each file judged and hashed, and remembered.

What was seen is kept between programs, as git keeps its index: a file whose time, size and inode
are as before is not read again, and where the rules are as before it is not judged again either.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file
from rhdesk.beneath import check_link
from rhdesk.code.ignore import FILES, Rule, Rules, holds_secret, looks_secret
from rhdesk.errors import BadInput
from rhdesk.models import FileVerdict
from rhdesk.wire.tree import FILE, LINK, PROGRAM, Entry, Tree

INCLUDED: Final = "included"
IGNORED: Final = "ignored"
_UNSURE_NS: Final = 20_000_000
"""A file changed so shortly before it was read may change again without its time telling."""
_IN_ONE_READ: Final = 1 << 20
_RULES: Final = frozenset(FILES)


class _Seen(msgspec.Struct, array_like=True):
    """A file as it was last seen, and what was decided."""

    reason: str
    mtime_ns: int = -1
    size: int = 0
    inode: int = 0
    """Negative for one its owner may execute, as a changed mode has no time of its own here; 0 where
    it must be looked at again."""
    kind: str = FILE
    hash: bytes = b""
    link: str = ""

    @property
    def entry(self) -> Entry:
        return Entry(self.kind, self.hash, self.size, self.mtime_ns, self.link)

    def is_still(self, found: os.stat_result) -> bool:
        """Whether the file looks as it did; asked of every file at every look."""
        return (
            self.mtime_ns == found.st_mtime_ns
            and self.size == found.st_size
            and self.inode == (-found.st_ino if _is_program(found) else found.st_ino)
        )


class _Inside(msgspec.Struct, array_like=True):
    """What is in one folder."""

    rules: str
    """Which rules held; under others everything in it is judged again."""
    names: dict[str, _Seen]


class _Index(msgspec.Struct, array_like=True):
    made: str
    """By which rhdesk and with which limit; another one starts anew."""
    root: str = ""
    folders: dict[str, _Inside] = {}


class Folder:
    """A folder and what travels of it. For one thread at a time.

    Args:
        index: Where what was seen is kept.
        largest_bytes: Files above this are held back.
    """

    def __init__(self, root: Path, index: Path, *, largest_bytes: int) -> None:
        self.root = root
        self._top = _repository(root)
        self._prefix = f"{root.relative_to(self._top).as_posix()}/" if root != self._top else ""
        """What a path begins with, seen from the top of its repository, whose rules hold too."""
        self._file = index
        self._largest = largest_bytes
        self._made = f"1 {largest_bytes}"
        self._index = self._load()
        self._tree: Tree | None = None
        self._is_changed = False
        self._began_ns = 0
        self._tell: Callable[[int], None] = lambda _: None
        self._read: Callable[[str, Entry, bytes], None] = lambda _path, _entry, _data: None
        self._count = 0

    # ---- looking

    def scan(
        self,
        tell: Callable[[int], None] = lambda _: None,
        read: Callable[[str, Entry, bytes], None] = lambda _path, _entry, _data: None,
    ) -> str:
        """Look at every file; the hash of the tree they make.

        Args:
            tell: Hears how many files were looked at, after each folder.
            read: Hears of each file that travels and had to be read, with what is in it, unless
                it is a large one.

        Raises:
            BadInput: The folder, or an ignore file in it, cannot be read.
        """
        self._tell, self._count, self._read = tell, 0, read
        self._began_ns = time.time_ns()
        seen: set[str] = set()
        waiting = [("", self._above())]
        while waiting:
            folder, rules = waiting.pop()
            seen.add(folder)
            waiting.extend(self._look_in(folder, rules))
        for gone in self._index.folders.keys() - seen:
            self._drop(gone)
        return self._settled()

    def look_at(self, paths: Iterable[str]) -> str:
        """Look at what is known to have changed, and nothing else; the hash of the tree now."""
        asked = set(paths)
        if any(path.rpartition("/")[2] in FILES for path in asked):
            return self.scan()
        self._began_ns = time.time_ns()
        for folder in sorted(set(map(_folder_of, asked))):
            if (rules := self._rules_of(folder)) is None:
                continue
            waiting = self._look_in(folder, rules)
            known = self._index.folders
            waiting = [each for each in waiting if each[0] not in known or each[0][:-1] in asked]
            while waiting:
                place, inside = waiting.pop()
                waiting.extend(self._look_in(place, inside))
        for path in asked:
            if not (self.root / path).is_dir():
                self._drop_below(f"{path}/")
        return self._settled()

    def tree(self) -> Tree:
        """The files that travel, as last looked at."""
        if self._tree is None:
            self._tree = Tree(
                (folder + name, seen.entry)
                for folder, inside in self._index.folders.items()
                for name, seen in inside.names.items()
                if seen.reason == INCLUDED
            )
        return self._tree

    def held_back(self) -> list[FileVerdict]:
        """What stays here though no rule ignores it: secrets, large files, what cannot travel."""
        return [
            self.why(path)
            for path in sorted(
                folder + name
                for folder, inside in self._index.folders.items()
                for name, seen in inside.names.items()
                if seen.reason != INCLUDED and seen.reason != IGNORED
            )
        ]

    def keep(self) -> None:
        """Keep what was seen for the next program."""
        if self._is_changed:
            whole_file.write(self._file, [_encode(self._index)])
            self._is_changed = False

    def read(self, path: str, offset: int = 0, length: int = -1) -> bytes:
        """A file's content now, or a piece of it."""
        file = os.open(f"{self.root}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if length >= 0:
                return os.pread(file, length, offset)
            return b"".join(iter(partial(os.read, file, _IN_ONE_READ), b""))
        finally:
            os.close(file)

    # ---- one file

    def why(self, path: str) -> FileVerdict:
        """Whether a path travels, and what decides.

        Raises:
            BadInput: Nothing is there.
        """
        parts = path.strip("/").split("/")
        rules = self._with_own(self._above(), "")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            rule = self._decide(rules, folder, is_folder=True)
            if rule is not None and rule.ignores:
                return _verdict(path, IGNORED, rule)
            rules = self._with_own(rules, f"{folder}/")
        path = "/".join(parts)
        place = self.root / path
        try:
            found = place.lstat()
        except OSError as exc:
            raise BadInput(f"{path!r} is not in {self.root}: {exc.strerror}") from exc
        rule = self._decide(rules, path, is_folder=stat.S_ISDIR(found.st_mode))
        if stat.S_ISDIR(found.st_mode):
            is_ignored = rule is not None and rule.ignores
            return _verdict(path, IGNORED if is_ignored else INCLUDED, rule)
        seen = self._judge(path, found, rule)
        return _verdict(path, seen.reason, rule, size=found.st_size)

    # ---- underneath

    def _look_in(self, folder: str, rules: Rules) -> list[tuple[str, Rules]]:
        """Look at one folder; the folders in it that are to be looked at, with their rules."""
        try:
            entries = list(os.scandir(f"{self.root}/{folder}"))
        except NotADirectoryError:
            return []
        except OSError as exc:
            if not folder:
                raise BadInput(f"{self.root} cannot be read: {exc.strerror}") from exc
            entries = []
        if not _RULES.isdisjoint([entry.name for entry in entries]):
            rules = self._with_own(rules, folder)
        before = self._index.folders.get(folder)
        known = before.names if before is not None and before.rules == rules.key else {}
        names: dict[str, _Seen] = {}
        below: list[tuple[str, Rules]] = []
        for entry in entries:
            name = entry.name
            if entry.is_dir(follow_symlinks=False):
                rule = self._decide(rules, folder + name, is_folder=True)
                if rule is None or not rule.ignores:
                    below.append((f"{folder}{name}/", rules))
                continue
            seen = known.get(name)
            if seen is None or seen.reason != IGNORED:
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:  # gone between two looks
                    continue
                if seen is None or not seen.is_still(found):
                    rule = self._decide(rules, folder + name, is_folder=False)
                    seen = self._judge(folder + name, found, rule)
            names[name] = seen
        self._count += len(entries)
        self._tell(self._count)
        self._note(folder, names, before, rules.key)
        return below

    def _judge(self, path: str, found: os.stat_result, rule: Rule | None) -> _Seen:
        if rule is not None and rule.ignores:
            return _Seen(IGNORED)
        wanted = rule is not None and rule.is_of_rhdesk
        inode = -found.st_ino if _is_program(found) else found.st_ino
        seen = _Seen("", found.st_mtime_ns, found.st_size, inode)
        if found.st_mtime_ns > self._began_ns - _UNSURE_NS:
            seen.inode = 0
        if not _can_be_said(path):
            seen.reason = "name"
        elif stat.S_ISLNK(found.st_mode):
            self._judge_link(path, seen)
        elif not stat.S_ISREG(found.st_mode):
            seen.reason = "special"
        elif found.st_size > self._largest and not wanted:
            seen.reason = "large"
        elif looks_secret(path.rpartition("/")[2]) and not wanted:
            seen.reason = "secret"
        else:
            seen.kind = PROGRAM if _is_program(found) else FILE
            self._judge_content(path, seen, wanted=wanted)
        return seen

    def _judge_link(self, path: str, seen: _Seen) -> None:
        try:
            seen.link = os.readlink(self.root / path)
            check_link(path, seen.link)
        except (BadInput, OSError):
            seen.reason = "link out"
            return
        seen.kind, seen.reason = LINK, INCLUDED
        seen.hash = sha256(os.fsencode(seen.link)).digest()
        if not _can_be_said(seen.link):
            seen.reason = "name"

    def _judge_content(self, path: str, seen: _Seen, *, wanted: bool) -> None:
        try:
            file = os.open(f"{self.root}/{path}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                head = os.read(file, _IN_ONE_READ)
                whole, seen.size = sha256(head), len(head)
                while len(head) == _IN_ONE_READ and (piece := os.read(file, _IN_ONE_READ)):
                    whole.update(piece)
                    seen.size += len(piece)
            finally:
                os.close(file)
        except OSError:
            seen.reason = "unreadable"
            return
        seen.hash = whole.digest()
        seen.reason = "secret" if not wanted and holds_secret(head) else INCLUDED
        if seen.reason == INCLUDED and seen.size == len(head):
            self._read(path, seen.entry, head)

    def _note(
        self, folder: str, names: dict[str, _Seen], before: _Inside | None, rules: str
    ) -> None:
        old = before.names if before is not None else {}
        if before is None or names != old or before.rules != rules:
            self._is_changed = True
            self._index.folders[folder] = _Inside(rules, names)
            if self._tree is not None:
                self._mend(folder, old, names)

    def _mend(self, folder: str, old: dict[str, _Seen], names: dict[str, _Seen]) -> None:
        """Bring the tree that is in memory up to what is in one folder."""
        assert self._tree is not None, "asked before"
        for name in old:
            if (now := names.get(name)) is None or now.reason != INCLUDED:
                self._tree.drop(folder + name)
        for name, seen in names.items():
            if seen.reason == INCLUDED and seen is not old.get(name):
                self._tree.put(folder + name, seen.entry)

    def _above(self) -> Rules:
        """The rules of the repository above this folder."""
        rules = Rules()
        parts = self._prefix.split("/")[:-1]
        for depth in range(len(parts)):
            above = "/".join(parts[:depth])
            rules = rules.inside(self._top, f"{above}/" if above else "")
        return rules

    def _with_own(self, rules: Rules, folder: str) -> Rules:
        return rules.inside(self._top, self._prefix + folder)

    def _decide(self, rules: Rules, path: str, *, is_folder: bool) -> Rule | None:
        return rules.decide(self._prefix + path, is_folder=is_folder)

    def _rules_of(self, folder: str) -> Rules | None:
        """Those that hold above a folder, without its own; None where it is ignored."""
        rules = self._above()
        parts = folder.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            above = "/".join(parts[: depth - 1])
            rules = self._with_own(rules, f"{above}/" if above else "")
            rule = self._decide(rules, "/".join(parts[:depth]), is_folder=True)
            if rule is not None and rule.ignores:
                return None
        return rules

    def _drop_below(self, folder: str) -> None:
        if folder in self._index.folders:
            for each in [each for each in self._index.folders if each.startswith(folder)]:
                self._drop(each)

    def _drop(self, folder: str) -> None:
        """Forget a folder that is gone."""
        gone = self._index.folders.pop(folder)
        self._is_changed = True
        if self._tree is not None:
            for name in gone.names:
                self._tree.drop(folder + name)

    def _settled(self) -> str:
        if self._is_changed or not self._index.root:
            self._index.root = self.tree().root
        return self._index.root

    def _load(self) -> _Index:
        try:
            found = msgspec.msgpack.decode(self._file.read_bytes(), type=_Index)
        except (OSError, msgspec.DecodeError):
            return _Index(self._made)
        return found if found.made == self._made else _Index(self._made)


_encode: Final = msgspec.msgpack.Encoder().encode


def largest(tree: Tree, count: int) -> Iterator[FileVerdict]:
    """The largest files that travel."""
    by_size = sorted(tree.entries.items(), key=lambda each: each[1].size, reverse=True)
    for path, entry in by_size[:count]:
        yield FileVerdict(path=path, travels=True, reason=INCLUDED, size=entry.size)


def _verdict(path: str, reason: str, rule: Rule | None, *, size: int = 0) -> FileVerdict:
    return FileVerdict(
        path=path,
        travels=reason == INCLUDED,
        reason=reason,
        rule=rule.text if rule is not None else "",
        file=rule.file if rule is not None else "",
        size=size,
    )


def _folder_of(path: str) -> str:
    above = path.rpartition("/")[0]
    return f"{above}/" if above else ""


def _repository(root: Path) -> Path:
    """The top of the repository a folder is in; itself where it is in none."""
    return next((each for each in (root, *root.parents) if (each / ".git").exists()), root)


def _is_program(found: os.stat_result) -> bool:
    return bool(found.st_mode & stat.S_IXUSR) and stat.S_ISREG(found.st_mode)


def _can_be_said(text: str) -> bool:
    """Whether a name is text at all; what is not cannot be named on another machine."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
