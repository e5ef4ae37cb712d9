"""Files inside a folder, and never outside: whatever a path from elsewhere says.

Each folder on the way is opened by itself, relative to the one above and not through a link, so
neither ``..`` nor a link that is there, or is put there meanwhile, leads out. Core and servlet both
write what came over the wire this way.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from rhdesk.errors import BadInput

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT_OPEN: Final = 64
_LONGEST: Final = 4096
_DEEPEST: Final = 200


def parts_of(path: str) -> list[str]:
    """A path that stays inside, as its parts.

    Raises:
        BadInput: It is absolute, leads up or holds what no file name can.
    """
    parts = path.split("/")
    if (
        len(path) > _LONGEST
        or len(parts) > _DEEPEST
        or "\0" in path
        or any(part in {"", ".", ".."} for part in parts)
    ):
        raise BadInput(f"{path[:200]!r} is no path inside a folder; one looks like data/a.csv")
    return parts


class Beneath:
    """A folder that is written and read without leaving it. For one thread; close it."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: dict[tuple[str, ...], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._forget(())
        os.close(self._root)

    def write(
        self, path: str, pieces: Iterable[bytes], *, executable: bool = False, mtime_ns: int
    ) -> None:
        """Write a whole file, in place of what is there; its folders are made.

        Raises:
            BadInput: *path* leads out, or a folder or a link stands in the way.
            OSError: It could not be written; what was there is untouched.
        """
        folder, name = self._place(path)
        mode = 0o700 if executable else 0o600
        try:
            opened = os.open(name, _NEW, mode, dir_fd=folder)
        except FileExistsError:
            beside = f".{secrets.token_hex(8)}.rhdesk"
            opened = os.open(beside, _NEW, mode, dir_fd=folder)
            try:
                self._write(opened, pieces, mtime_ns)
                self._take_place(folder, beside, name, path)
            except BaseException:
                self._unlink(folder, beside)
                raise
        else:
            try:
                self._write(opened, pieces, mtime_ns)
            except BaseException:
                self._unlink(folder, name)
                raise

    def take(self, source: Path, path: str) -> None:
        """Move a finished file of the same file system to *path*, in place of what is there.

        Raises:
            BadInput: As `write`.
        """
        folder, name = self._place(path)
        try:
            os.rename(source, name, dst_dir_fd=folder)
        except (IsADirectoryError, NotADirectoryError):
            raise _in_the_way(path) from None

    def link(self, path: str, target: str) -> None:
        """Make a link that stays inside, in place of a file or link there.

        Raises:
            BadInput: The path or the target leads out.
        """
        check_link(path, target)
        folder, name = self._place(path)
        beside = f".{secrets.token_hex(8)}.rhdesk"
        os.symlink(target, beside, dir_fd=folder)
        try:
            self._take_place(folder, beside, name, path)
        except BaseException:
            self._unlink(folder, beside)
            raise

    def remove(self, path: str) -> None:
        """Remove a file or link, and the folders it leaves empty. One that is gone is no error."""
        parts = parts_of(path)
        try:
            folder = self._folder(tuple(parts[:-1]), make=False)
            os.unlink(parts[-1], dir_fd=folder)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return
        for depth in range(len(parts) - 1, 0, -1):
            above = tuple(parts[: depth - 1])
            self._forget(tuple(parts[:depth]))
            try:
                os.rmdir(parts[depth - 1], dir_fd=self._folder(above, make=False))
            except OSError:  # not empty, or gone already
                return

    def stat(self, path: str) -> os.stat_result | None:
        """What is there, a link not followed; None for nothing."""
        parts = parts_of(path)
        try:
            folder = self._folder(tuple(parts[:-1]), make=False)
            return os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, path: str) -> int:
        """A regular file, opened for reading; the caller closes the descriptor.

        Raises:
            FileNotFoundError: Nothing is there, or no regular file.
        """
        parts = parts_of(path)
        try:
            folder = self._folder(tuple(parts[:-1]), make=False)
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            opened = os.open(parts[-1], flags, dir_fd=folder)
        except NotADirectoryError:
            raise FileNotFoundError(errno.ENOENT, "no such file", path) from None
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                raise FileNotFoundError(errno.ENOENT, "a link, not a file", path) from None
            raise
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
        return opened

    def target(self, path: str) -> str:
        """What a link says."""
        parts = parts_of(path)
        return os.readlink(parts[-1], dir_fd=self._folder(tuple(parts[:-1]), make=False))

    def files(self, under: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Every file and link, with its `lstat`, below *under* or all; links are not entered."""
        start = tuple(parts_of(under)) if under else ()
        waiting = [start]
        while waiting:
            parts = waiting.pop()
            try:
                entries = list(os.scandir(self._folder(parts, make=False)))
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((*parts, entry.name))
                    continue
                try:
                    yield "/".join((*parts, entry.name)), entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue

    # ---- underneath

    def _place(self, path: str) -> tuple[int, str]:
        parts = parts_of(path)
        return self._folder(tuple(parts[:-1]), make=True), parts[-1]

    def _folder(self, parts: tuple[str, ...], *, make: bool) -> int:
        """A folder inside, open; one that is missing is made."""
        if not parts:
            return self._root
        if (known := self._open.get(parts)) is not None:
            return known
        above = self._folder(parts[:-1], make=make)
        try:
            opened = os.open(parts[-1], _FOLDER, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
            os.mkdir(parts[-1], 0o700, dir_fd=above)
            opened = os.open(parts[-1], _FOLDER, dir_fd=above)
        except OSError as exc:
            if exc.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            if not make:
                raise NotADirectoryError(exc.errno, exc.strerror) from None
            raise _in_the_way("/".join(parts)) from None
        if len(self._open) >= _KEPT_OPEN:
            self._drop_oldest(parts)
        self._open[parts] = opened
        return opened

    def _drop_oldest(self, wanted: tuple[str, ...]) -> None:
        for parts in [each for each in self._open if wanted[: len(each)] != each]:
            os.close(self._open.pop(parts))
            if len(self._open) < _KEPT_OPEN // 2:
                return

    def _forget(self, below: tuple[str, ...]) -> None:
        for parts in [each for each in self._open if each[: len(below)] == below]:
            os.close(self._open.pop(parts))

    @staticmethod
    def _write(opened: int, pieces: Iterable[bytes], mtime_ns: int) -> None:
        try:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(opened, rest) :]
            os.utime(opened, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(opened)

    @staticmethod
    def _take_place(folder: int, beside: str, name: str, path: str) -> None:
        try:
            os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
        except (IsADirectoryError, NotADirectoryError):
            raise _in_the_way(path) from None

    @staticmethod
    def _unlink(folder: int, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def check_link(path: str, target: str) -> None:
    """See that a link at *path* stays inside.

    Raises:
        BadInput: It leads out, or is absolute.
    """
    depth = len(parts_of(path)) - 1
    if not target or target.startswith("/") or "\0" in target or len(target) > _LONGEST:
        raise BadInput(f"the link {path!r} leads out of its folder")
    for part in target.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            raise BadInput(f"the link {path!r} leads out of its folder")


def _in_the_way(path: str) -> BadInput:
    return BadInput(f"{path!r} cannot be written: a folder, a file or a link stands in its way")
