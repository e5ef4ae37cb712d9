"""The versions of names: commits on a ref of their own, in the user's git repository or in ours.

The ref is ``refs/rhdesk/names``. Its tree holds the ``config.json`` of every name, under two hex
digits that spread them (``3f/digits/config.json``): a save writes one small folder, however many
names there are. ``git push origin refs/rhdesk/names`` takes all of it along, and
``git log refs/rhdesk/names -- '*/digits/config.json'`` shows one name. The user's branch, index,
HEAD and working tree are never touched, and no hook runs.

1. A save is one ``git fast-import``: blob, trees, commit and ref in one process, flushed to disk.
2. It moves the ref only from the commit it was made on; if somebody was faster it says `Moved`,
   and the caller looks again and starts over.
3. A process that is killed in between leaves unreachable objects, which git collects, and at
   worst the ref's ``.lock``, which the next save removes once nobody can be behind it.

GitPython is named here only, and nothing of it outlives a method.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from tempfile import TemporaryDirectory
from typing import Final, cast

import msgspec

try:
    from git import Git, Repo
except ImportError as exc:  # GitPython's way to say that there is no git to run
    from rhdesk.errors import SetupFailed

    raise SetupFailed("git is not installed, or not on PATH; names are kept in git") from exc

from rhdesk.errors import ConnectionFailed, RhdeskError, StoreBusy, StoreUnwritable
from rhdesk.rns import blobs as blobs_of_git
from rhdesk.rns.versions import Change
from rhdesk.rns.work_tree import Moved, WorkTree, flush_folder, flush_tree, is_name

RENAMED_FROM: Final = "Renamed-From"
RENAMED_TO: Final = "Renamed-To"
"""Trailers of a commit that renamed; their values are names as the tree spells them."""
RUN: Final = "Rhdesk-Run"
NOTE: Final = "Rhdesk-Note"
"""Trailers of a save: the run that made it, and why it was made."""

_DEAD_LOCK_S: Final = 1.0
"""git holds the lock of a ref for milliseconds; one this old, with no git at work, is nobody's."""

_UNPACK_LIMIT: Final = 100
"""So many objects are a pack of their own; fewer are unpacked, as git's own commits are."""

_SAFE: Final = (
    *(
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "log.showSignature=false",
    ),
    *("-c", "core.fsync=all", "-c", f"fastimport.unpackLimit={_UNPACK_LIMIT}", "-c", "gc.auto=0"),
    "--literal-pathspecs",
)
"""Not left to anybody's settings: nothing foreign runs, and what is said to be saved is."""

_SIGNS_S: Final = 5.0
"""Reading who signs takes a tenth of a save; who changes it may wait so long to see it."""

_UNFINISHED: Final = ".new-"
_UNFINISHED_S: Final = 60.0

_CROOKED: Final = re.compile(r"[\x00-\x20\x7f<>]+")


_FASTER: Final = (
    "Not updating",
    "but expected",
    "reference already exists",
    ".lock': File exists",
)
"""How git says that somebody else is moving the ref."""


class Commit(msgspec.Struct, frozen=True):
    """One commit to be made."""

    message: str
    edits: Sequence[tuple[str, bytes | None]]
    """Names and their new files; None deletes."""
    at: datetime
    author: str = ""
    """``Ann`` or ``Ann <ann@x>``; empty for the person git knows, or ``user@host``."""
    merges: str = ""
    """Another commit it also comes of."""


class Repository:
    def __init__(self, place: WorkTree, *, patience_s: float = 15.0) -> None:
        """*patience_s* is how long another git process may keep the ref locked."""
        self.place = place
        self._patience_s = patience_s
        self._signs = ("", "", 0.0)
        """Name and address git knew, and until when that is believed."""

    def create(self) -> None:
        """Make our own repository, if it is not there yet; a user's is never made or changed.

        Raises:
            StoreUnwritable: Its folder cannot be written.
        """
        if self.place.exists or not self.place.is_ours:
            return
        root = self.place.root
        try:
            root.mkdir(parents=True, exist_ok=True)
            _clear_unfinished(root)
            with TemporaryDirectory(dir=root, prefix=_UNFINISHED) as folder:
                self._make_in(Path(folder))
        except OSError as exc:
            if isinstance(exc, StoreUnwritable):
                raise
            raise StoreUnwritable(f"cannot make {root}: {exc.strerror or exc}") from exc

    def _make_in(self, folder: Path) -> None:
        """Make the repository in *folder* and move it to its place whole.

        A ``git init`` that is cut off leaves what looks like a repository and is none.
        """
        made = folder / ".git"
        place = msgspec.structs.replace(self.place, root=folder, git_dir=made, common_dir=made)
        repository = type(self)(place)
        repository._git("-c", "init.defaultBranch=main", "init", "--quiet", "--template=")
        repository._git("config", "core.fsync", "all")
        flush_tree(made)
        try:
            made.rename(self.place.git_dir)
        except OSError:
            if not self.place.exists:  # if it is there, another process was faster
                raise
        flush_folder(self.place.root)

    def tip(self) -> str:
        """The commit the ref points at; "" before the first."""
        return self._git("for-each-ref", "--format=%(objectname)", self.place.ref).decode().strip()

    def commit(self, tip: str, commits: Sequence[Commit]) -> str:
        """Add *commits* to *tip*, all or none, and move the ref there; returns the new tip.

        Raises:
            Moved: The ref was no longer at *tip*.
            StoreBusy: Another git process keeps the ref locked.
            StoreUnwritable: The repository cannot be written.
        """
        self.clear_dead_lock()
        self._clear_crash_reports()
        committer = self._person("")
        stream: list[bytes] = [b"feature done\n"]
        for commit in commits:
            when = f"{int(commit.at.timestamp())} +0000".encode()
            stream += [
                b"commit ", self.place.ref.encode(), b"\nmark :1\n",
                b"author ", self._person(commit.author, committer), b" ", when, b"\n",
                b"committer ", committer, b" ", when, b"\n",
                _data(commit.message.encode("utf-8", "replace")),
            ]  # fmt: skip
            if tip:
                stream.append(b"from " + tip.encode() + b"\n")
                tip = ""
            if commit.merges:
                stream.append(b"merge " + commit.merges.encode() + b"\n")
            for name, data in commit.edits:
                path = _tree_path(name).encode()
                if data is None:
                    stream.append(b"D " + path + b"\n")
                else:
                    stream += [b"M 100644 inline ", path, b"\n", _data(data)]
            stream.append(b"\n")
        stream.append(b"get-mark :1\ndone\n")
        # What is unpacked at once is flushed then; its pack, which goes, need not be.
        objects = sum(name.count("/") + 4 for c in commits for name, _ in c.edits) + len(commits)
        flushed = "loose-object,reference" if objects < _UNPACK_LIMIT else "all"
        return (
            self._git(
                *("-c", f"core.fsync={flushed}", "fast-import", "--quiet"), feed=b"".join(stream)
            )
            .decode()
            .strip()
        )

    def listing(self, tip: str) -> dict[str, str]:
        """The blob of every name at *tip*."""
        out = self._git("ls-tree", "-r", "-z", "--full-tree", tip)
        found: dict[str, str] = {}
        for line in out.split(b"\0"):
            kind, _, path = line.partition(b"\t")
            name = _name_at(path.decode("utf-8", "replace"))
            if name and kind.startswith(b"100"):
                found[name] = kind.split(b" ")[2].decode()
        return found

    def read(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """The bytes of each blob."""
        return blobs_of_git.read(self.place, blobs)

    def is_above(self, tip: str, commit: str) -> bool:
        """Whether *commit* is still there, and *tip* came of it."""
        try:
            found = self._git("merge-base", tip, commit)
        except RhdeskError:
            return False
        return found.decode().strip() == commit

    def has_merge(self, tip: str, since: str) -> bool:
        """Whether what came to *tip* since that commit came from two sides."""
        span = f"{since}..{tip}" if since else tip
        return bool(self._git("rev-list", "--merges", "--max-count=1", span).strip())

    def changes(
        self, tip: str, name: str = "", *, limit: int = 0, since: str = ""
    ) -> list[Change]:
        """What happened to *name*, or to every name, up to *tip*; newest first.

        Args:
            limit: Look at so many commits at most; 0 for all.
            since: Only what *tip* has and this commit has not.
        """
        keys = (RENAMED_FROM, RENAMED_TO, RUN, NOTE)
        trailers = (f"%(trailers:key={key},valueonly)%x00" for key in keys)
        layout = f"--format=%x01%H%x00%an%x00%ct%x00{''.join(trailers)}"
        out = self._git(
            *("-c", "log.showRoot=true", "log", "--raw", "-z", "--no-abbrev", "--no-renames"),
            *("--no-color", "--no-ext-diff", "--no-notes", "--diff-merges=off", layout),
            *((f"--max-count={limit}",) if limit else ()),
            *(() if name else ("--topo-order",)),
            *(f"{since}..{tip}" if since else tip, "--"),
            *((_tree_path(name),) if name else ()),
        )
        found: list[Change] = []
        words = iter(out.split(b"\0"))
        commit = author = ""
        told: list[str] = []
        at = datetime.fromtimestamp(0, UTC)
        for word in words:
            word = word.lstrip(b"\n")
            if word.startswith(b"\x01"):
                commit = word[1:].decode()
                author = next(words).decode("utf-8", "replace")
                at = datetime.fromtimestamp(int(next(words)), UTC)
                told = [next(words).decode("utf-8", "replace").strip() for _ in keys]
            elif word.startswith(b":"):
                _, mode, _, blob, _ = word.decode().split(" ")
                changed = _name_at(next(words).decode("utf-8", "replace"))
                if changed:
                    there = blob if mode.startswith("100") else ""
                    found.append(Change(changed, commit, author, at, there, *told))
        return found

    def _person(self, name: str, known: bytes = b"") -> bytes:
        """``name <address>`` for git; the address, and by default the name, are git's own."""
        if known and not name:
            return known
        person, address, until = self._signs
        if time.monotonic() > until:
            here = f"{_user()}@{os.uname().nodename}"
            with Repo(self.place.git_dir) as repo:
                settings = repo.config_reader()
                person = str(settings.get_value("user", "name", default="") or here)
                address = str(settings.get_value("user", "email", default="") or here)
            self._signs = (person, address, time.monotonic() + _SIGNS_S)
        if "<" in name:
            name, address = name.split("<", 1)
        return f"{_straight(name or person)} <{_straight(address)}>".encode("utf-8", "replace")

    def clear_dead_lock(self) -> None:
        """Remove the ref's lock if whoever took it was killed; wait for one who may be alive."""
        lock = self.place.common_dir / f"{self.place.ref}.lock"
        patience = time.monotonic() + self._patience_s
        while True:
            try:
                age_s = time.time() - lock.stat().st_mtime
            except (FileNotFoundError, NotADirectoryError):
                return
            holder = self._git_at_work()
            # A time stamp in the future says nothing about age; then only the holder counts.
            if not holder and (age_s > _DEAD_LOCK_S or age_s < 0):
                with suppress(FileNotFoundError):
                    lock.unlink()
                return
            if time.monotonic() > patience:
                raise StoreBusy(
                    f"{lock} is held by another git process; end it, or remove the file",
                    holder=holder,
                )
            time.sleep(0.05)

    def _clear_crash_reports(self) -> None:
        """Remove what fast-import leaves in the git directory when it fails or is cut off."""
        for report in self.place.git_dir.glob("fast_import_crash_*"):
            with suppress(OSError):
                if b"refs/rhdesk/" in report.read_bytes():
                    report.unlink()

    def _git_at_work(self) -> str:
        """A git process that works in this repository, as "pid 123 (git)"; "" if none does."""
        inside = (str(self.place.root), str(self.place.common_dir.parent))
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (process / "comm").read_text().strip()
                if command.startswith("git"):
                    folder = str((process / "cwd").readlink())
                    if any(folder == top or folder.startswith(f"{top}/") for top in inside):
                        return f"pid {process.name} ({command})"
        return ""

    def _git(self, *arguments: str, feed: bytes = b"", network_s: float = 0.0) -> bytes:
        """Run one git command to its end and return what it printed.

        Args:
            network_s: How long it may talk to a network. By default no transport is allowed, so
                that a partial clone cannot make reading a name wait for one.

        Raises:
            ConnectionFailed: It took longer; it and what it started are ended.
        """
        environment = blobs_of_git.environment(self.place)
        if not network_s:
            environment["GIT_ALLOW_PROTOCOL"] = "none"
        shell = Git(str(self.place.root))
        command = ["git", *_SAFE, *arguments]
        # What GitPython hands out is a Popen that ends its process when it is dropped.
        process = cast(
            "Popen[bytes]",
            shell.execute(
                command,
                istream=PIPE,
                as_process=True,
                env=environment,
                # Of its own, so that ssh and its like can be ended with it.
                start_new_session=bool(network_s),
            ),
        )
        try:
            out, err = process.communicate(feed, timeout=network_s or None)
        except TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise ConnectionFailed(f"no answer in {network_s:g} s; git was ended") from None
        if process.returncode:
            self._clear_crash_reports()
            raise self._failure(arguments, err.decode("utf-8", "replace").strip())
        return out

    def _failure(self, arguments: tuple[str, ...], told: str) -> RhdeskError:
        if any(words in told for words in _FASTER):
            return Moved(f"{self.place.ref} is being moved by another process")
        words = [a for before, a in pairwise(("", *arguments)) if before != "-c" and a[0] != "-"]
        what = f"git {words[0] if words else ''} failed"
        if "fast-import" in arguments or "init" in arguments:
            return StoreUnwritable(f"cannot write {self.place.git_dir}: {told or what}")
        return RhdeskError(f"{what} in {self.place.git_dir}: {told}")


def _clear_unfinished(root: Path) -> None:
    """Remove what was left by processes that were killed while they made a repository."""
    for folder in root.glob(f"{_UNFINISHED}*"):
        if time.time() - folder.stat().st_mtime > _UNFINISHED_S:
            shutil.rmtree(folder, ignore_errors=True)


def _tree_path(name: str) -> str:
    return f"{hashlib.sha256(name.encode()).hexdigest()[:2]}/{name}/config.json"


def _name_at(path: str) -> str:
    """The name a path of the tree belongs to; "" for a path no save of ours writes."""
    name = path[3:].removesuffix("/config.json")
    # A ref that was fetched may hold any path; one that leaves rh/ must not become a file.
    return name if is_name(name) and path == _tree_path(name) else ""


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _user() -> str:
    import getpass  # only the rare machine without a configured git needs it

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _straight(text: str) -> str:
    return _CROOKED.sub(" ", text).strip() or "unknown"
