"""The files under ``rh/``, and which git repository keeps their versions. No git runs here.

Names live in the nearest folder above the start that holds ``rh/`` or ``.git``. Where that folder
is in no git repository, they live in one of rhdesk's own, made by the first save.

A name is a folder or a resource, never both, as with files: below a folder that holds a
``config.json`` nothing is looked for. That keeps a listing at one stat per name, and a path
from meaning two things.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import msgspec

from rhdesk.errors import RhdeskError, StoreBusy, StoreUnwritable

_FILE: Final = "config.json"
_STAGED: Final = ".config.json."
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}", re.ASCII)
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST: Final = 510
"""Characters of a name without ``~/``; as `rhdesk.models.Name` has it."""
_RACY_NS: Final = 50_000_000
"""A file changed this recently may change again under the same time stamp."""


Stamp: TypeAlias = tuple[int, int]
"""What tells that a file may have changed without reading it: mtime in ns, size in bytes."""

UNREADABLE: Final[Stamp] = (0, -1)
"""The stamp of a file that is there and cannot be looked at."""


class Staged(NamedTuple):
    """A file written in full beside its place, not yet in it."""

    temporary: str
    stamp: Stamp


class Moved(RhdeskError):
    """The ref is not where it was when a commit was prepared; nothing has changed."""


class WorkTree(msgspec.Struct, frozen=True):
    root: Path
    """The folder that holds ``rh/``."""
    git_dir: Path
    """What git calls the git directory of this working tree; it need not exist yet."""
    common_dir: Path
    """Where refs and objects are; another folder in a linked worktree only."""
    ref: str
    """The ref that records the names; one for each folder that holds an ``rh/``."""
    is_ours: bool = False
    """Made by rhdesk, outside any repository of the user's."""

    @classmethod
    def find(cls, start: Path, fallback: Path) -> WorkTree:
        """The working tree of *start*; *fallback* is where ours is, or will be.

        The home directory is the last folder looked at; outside it, the root of the file system.
        """
        home = Path(os.path.expanduser("~")).resolve()
        root: Path | None = None
        start = start.resolve()
        for folder in (start, *start.parents):
            if root is None and _is_folder(folder / "rh"):
                root = folder
            git_dir = _git_dir(folder)
            if git_dir is not None:
                return cls._recorded_in(git_dir, folder, root or folder)
            if folder == home:
                break
        own = fallback / ".git"
        return cls(fallback, own, own, "refs/rhdesk/names", is_ours=True)

    @classmethod
    def _recorded_in(cls, git_dir: Path, top: Path, root: Path) -> WorkTree:
        common = git_dir
        ref = "refs/rhdesk"
        # Two working trees, or two rh/ folders, that share a repository differ in their files;
        # on one ref, each would take the other's for edits made by hand.
        with suppress(OSError):
            common = (git_dir / (git_dir / "commondir").read_text().strip()).resolve()
            ref += f"/worktree-{git_dir.name}"
        if root != top:
            inner = hashlib.sha256(os.fsencode(root.relative_to(top))).hexdigest()[:12]
            ref += f"/in-{inner}"
        return cls(root, git_dir, common, f"{ref}/names")

    @property
    def exists(self) -> bool:
        return (self.git_dir / "HEAD").exists()

    @property
    def is_writable(self) -> bool:
        """Whether a version could be recorded, as far as one can tell without trying."""
        places = (self.root, self.git_dir, self.common_dir / "objects", self.common_dir / "refs")
        return all(os.access(place, os.W_OK) for place in places)

    @property
    def rh(self) -> Path:
        """The folder of the names; it need not exist."""
        return self.root / "rh"

    def file(self, name: str) -> Path:
        return self.rh / name / _FILE

    def tip(self) -> str | None:
        """The commit the ref points at, "" before the first; None where only git can tell."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return (self.common_dir / self.ref).read_text("ascii").strip()
        if (self.common_dir / "reftable").is_dir():
            return None
        with suppress(FileNotFoundError), open(self.common_dir / "packed-refs", "rb") as packed:
            wanted = b" " + self.ref.encode()
            for line in packed:
                if line.rstrip().endswith(wanted):
                    return line.split(b" ", 1)[0].decode("ascii")
        return ""

    # ---- looking

    def scan(self, known: Collection[str]) -> tuple[dict[str, Stamp], list[str]]:
        """The stamp of every file under ``rh/``, and the folders a killed process left unfinished.

        The spelling of *known* names is not checked again.
        """
        found: dict[str, Stamp] = {}
        unfinished: list[str] = []
        folders = [("", str(self.rh))]
        while folders:
            prefix, path = folders.pop()
            try:
                descriptor = os.open(path, _FOLDER)
            except PermissionError:
                found |= {name: UNREADABLE for name in known if name.startswith(prefix)}
                continue
            except OSError:
                continue
            try:
                with os.scandir(descriptor) as entries:
                    for entry in entries:
                        name = prefix + entry.name
                        if not entry.is_dir(follow_symlinks=False):
                            if entry.name.startswith(_STAGED):
                                unfinished.append(prefix.rstrip("/"))
                            continue
                        if name not in known and not is_name(name):
                            continue
                        file = f"{entry.name}/{_FILE}"
                        try:
                            seen = os.stat(file, dir_fd=descriptor, follow_symlinks=False)
                        except FileNotFoundError:
                            folders.append((f"{name}/", f"{path}/{entry.name}"))
                        except OSError:
                            found[name] = UNREADABLE
                        else:
                            if stat.S_ISREG(seen.st_mode):
                                found[name] = (seen.st_mtime_ns, seen.st_size)
            finally:
                os.close(descriptor)
        return found, unfinished

    def unfinished(self) -> list[str]:
        """Every folder in which a killed process left what it had staged.

        `scan` comes by those of names that are not saved yet; the others wait for the next save.
        """
        return [
            Path(folder).relative_to(self.rh).as_posix()
            for folder, _, files in os.walk(self.rh)
            if any(file.startswith(_STAGED) for file in files)
        ]

    def stamp(self, name: str) -> Stamp | None:
        """The stamp of one file; None if there is none, or not as `scan` would find it."""
        path = str(self.rh)
        try:
            for part in name.split("/"):
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    return None
                path = f"{path}/{part}"
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                return None
            seen = os.lstat(f"{path}/{_FILE}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return UNREADABLE
        return (seen.st_mtime_ns, seen.st_size) if stat.S_ISREG(seen.st_mode) else None

    def read(self, name: str) -> tuple[Stamp, bytes]:
        """The file of *name* and the stamp it was read under.

        Raises:
            OSError: It is gone, or may not be read.
        """
        descriptor = os.open(self.file(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            seen = os.fstat(descriptor)
            data = file.read()
        settled = time.time_ns() - seen.st_mtime_ns > _RACY_NS
        return (seen.st_mtime_ns if settled else 0, seen.st_size), data

    def has_folder(self, name: str) -> bool:
        return _is_folder(self.rh / name)

    def resource_above(self, name: str) -> str:
        """The nearest folder of *name* that is itself a resource, or ""."""
        parts = name.split("/")
        above = ("/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
        return next((folder for folder in above if self.stamp(folder) is not None), "")

    # ---- writing, under the lock

    def stage(self, name: str, data: bytes) -> Staged:
        """Write the file of *name* beside its place, on the disk in full.

        Raises:
            StoreUnwritable: It cannot be written; nothing has changed.
        """
        file = self.file(name)
        temporary = f"{file.parent}/{_STAGED}{os.getpid()}"
        try:
            self._make_folder(file.parent)
            self._sweep(file.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o666), "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
                seen = os.fstat(stream.fileno())
        except OSError as exc:
            with suppress(OSError):
                os.unlink(temporary)
            self._prune(file.parent)
            raise _unwritable(file, exc) from exc
        return Staged(temporary, (seen.st_mtime_ns, seen.st_size))

    def place(self, name: str, staged: Staged) -> None:
        """Put the staged file where it belongs; it is on the disk when this returns."""
        file = self.file(name)
        try:
            os.replace(staged.temporary, file)
            flush_folder(file.parent)
        except OSError as exc:
            raise _unplaced(file, exc) from exc

    def unstage(self, name: str, staged: Staged) -> None:
        """Undo `stage`."""
        with suppress(OSError):
            os.unlink(staged.temporary)
        self._prune(self.file(name).parent)

    def clear(self, folder: str) -> None:
        """Remove what a killed process left in *folder*, and the folder if that empties it."""
        self._prune(self.rh / folder)

    def remove(self, name: str) -> None:
        """Remove the file of *name* and the folders it leaves empty; other files stay."""
        file = self.file(name)
        try:
            file.unlink(missing_ok=True)
            if file.parent.is_dir():
                flush_folder(file.parent)
        except OSError as exc:
            raise _unplaced(file, exc) from exc
        self._prune(file.parent)

    @contextmanager
    def locked(self, timeout_s: float) -> Generator[None]:
        """Hold the lock that every rhdesk takes before it writes here; it dies with its holder.

        Raises:
            StoreBusy: Another process kept it for *timeout_s*.
            StoreUnwritable: The git directory cannot be written.
        """
        file = self.git_dir / "rhdesk.lock"
        try:
            descriptor = os.open(
                file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
            )
        except OSError as exc:
            raise _unwritable(file, exc) from exc
        try:
            deadline = time.monotonic() + timeout_s
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        told = os.pread(descriptor, 200, 0).decode("ascii", "replace").strip()
                        holder = told or "not known"
                        raise StoreBusy(
                            f"another rhdesk ({holder}) is writing the names of {self.root}",
                            holder=holder,
                        ) from None
                    time.sleep(0.005)
            with suppress(OSError):
                # A full disk must not keep a reader out; the text is only for who waits.
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"pid {os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def _make_folder(self, folder: Path) -> None:
        """Make *folder* and those above it, down from the root; never through a symbolic link."""
        path = self.root
        for part in folder.relative_to(self.root).parts:
            above, path = path, path / part
            try:
                os.mkdir(path)
            except FileExistsError:
                if not _is_folder(path):
                    raise NotADirectoryError(
                        20, "is in the way: not a folder", str(path)
                    ) from None
            else:
                flush_folder(above)

    def _sweep(self, folder: Path) -> None:
        """Remove what a killed process had staged; under the lock, it is nobody's."""
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(_STAGED):
                    os.unlink(entry.path)

    def _prune(self, folder: Path) -> None:
        with suppress(OSError):
            self._sweep(folder)
            while folder not in (self.root, self.rh):
                folder.rmdir()
                folder = folder.parent


def is_name(text: str) -> bool:
    """Whether *text*, as a path below ``rh/``, stays there and can be a name."""
    return len(text) <= _LONGEST and all(
        _PART.fullmatch(part) and part.lower() != _FILE for part in text.split("/")
    )


def _unwritable(file: Path, exc: OSError) -> StoreUnwritable:
    return StoreUnwritable(f"cannot write {file}: {exc.strerror or exc}; nothing was saved")


def _unplaced(file: Path, exc: OSError) -> StoreUnwritable:
    return StoreUnwritable(
        f"cannot write {file}: {exc.strerror or exc}; the version is in git, and the file will "
        "follow when the names are next looked at"
    )


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _git_dir(folder: Path) -> Path | None:
    git_dir = folder / ".git"
    if git_dir.is_file():
        with suppress(OSError, UnicodeDecodeError):
            text = git_dir.read_text().strip()
            if text.startswith("gitdir: "):
                git_dir = (folder / text.removeprefix("gitdir: ")).resolve()
    return git_dir if (git_dir / "HEAD").is_file() else None


def flush_tree(top: Path) -> None:
    """Have every file and folder below *top* on the disk."""
    for folder, _, files in os.walk(top):
        for name in files:
            descriptor = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        flush_folder(Path(folder))


def flush_folder(folder: Path) -> None:
    """Have what is in *folder*, and what is not any more, on the disk."""
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
