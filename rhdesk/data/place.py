"""A location and the filesystem it is on: what is asked of one side. Blocking."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final

from fsspec.implementations.local import LocalFileSystem

from rhdesk.data.faults import told
from rhdesk.data.host_files import HostFiles
from rhdesk.data.on_host import NotThere
from rhdesk.errors import BadInput, NotFound, RhdeskError
from rhdesk.models import Entry, Location

PART: Final = ".rhdesk-part"
"""What the name of a file ends with that is not whole yet."""
PIECE: Final = 1 << 20
"""Bytes read and written at once."""
_KINDS: Final = {"file": "file", "directory": "folder"}


class Place:
    """Args:
    files: The filesystem of fsspec that *where* is on.
    """

    def __init__(self, where: Location, files: Any) -> None:
        self.where = where
        self.files = files
        self.path = where.path

    def __str__(self) -> str:
        return str(self.where)

    def close(self) -> None:
        """Give back the channel to a host; fsspec keeps what others need."""
        if isinstance(self.files, HostFiles):
            self.files.close()

    def at(self, path: str) -> Place:
        """Another path of the same system."""
        return Place(Location(self.where.system, path), self.files)

    def below(self, relative: str) -> Place:
        """A path below this one.

        Raises:
            BadInput: It would be outside.
        """
        parts = relative.split("/")
        if relative.startswith("/") or "\0" in relative or {"", ".", ".."} & set(parts):
            raise BadInput(f"{relative!r} would be outside {self}; nothing was written there")
        return self.at(posixpath.join(self.path, relative))

    def entry(self) -> Entry:
        """
        Raises:
            NotFound: Nothing is here.
        """
        with told(self):
            return _entry(self.files.info(self.path))

    def kind(self) -> str:
        """``file``, ``folder``, ``other``, or empty where nothing is."""
        try:
            return self.entry().kind
        except NotFound:
            return ""

    def entries(self) -> list[Entry]:
        """What is in a folder, by path; of a file, itself."""
        with told(self):
            found = [_entry(each) for each in self.files.ls(self.path, detail=True)]
        # Of a folder, object stores list the empty object that stands for it too.
        marker = self.path.strip("/")
        is_alone = len(found) == 1 and found[0].kind == "file"
        kept = [each for each in found if is_alone or each.path.strip("/") != marker]
        return sorted(kept, key=lambda each: each.path)

    def tree(self) -> dict[str, Entry]:
        """Every file in a folder and below, by its path from here; links to folders left out."""
        found: dict[str, Entry] = {}
        waiting: list[tuple[str, Place]] = [("", self)]
        while waiting:
            prefix, folder = waiting.pop()
            for each in folder.entries():
                relative = prefix + posixpath.basename(each.path.rstrip("/"))
                if each.kind == "folder":
                    waiting.append((f"{relative}/", folder.at(each.path)))
                elif each.kind == "file" and not relative.endswith(PART):
                    found[relative] = each
        return dict(sorted(found.items()))

    def read(self, limit: int) -> bytes:
        """The first *limit* bytes of a file, or with -1 all of it."""
        with told(self), self.files.open(self.path, "rb") as file:
            data: bytes = file.read(limit)
            return data

    def write(self, data: bytes) -> None:
        """Beside, then renamed: whoever reads finds what was there or all that is.

        Raises:
            BadInput: It is a folder.
        """
        if self.has_folders and self.kind() == "folder":
            raise BadInput(f"{self} is a folder; name a file in it")
        self.make_room()
        part = self.at(f"{posixpath.join(posixpath.dirname(self.path), '.')}{token_hex(8)}{PART}")
        try:
            with told(self):
                part.files.pipe_file(part.path, data)
            part.rename(self)
        except BaseException:
            with suppress(RhdeskError):
                part.remove()
            raise

    def sha256(self) -> str:
        """Of what is in the file, as hexadecimal digits; on a host it is made there."""
        if isinstance(self.files, HostFiles) and self.files.on_host is not None:
            with suppress(NotThere):  # a host without Python: read it
                made = self.files.on_host.ask(do="hashes", path=self.path, kind="sha256")
                return str(made["hash"])
        digest = hashlib.sha256()
        opened: Any
        with told(self), self.files.open(self.path, "rb") as opened:
            file: Any = opened
            while piece := file.read(PIECE):
                digest.update(piece)
        return digest.hexdigest()

    def make_folder(self) -> None:
        """With those above it; one that is there is left as it is."""
        with told(self):
            self.files.makedirs(self.path, exist_ok=True)

    def make_room(self) -> None:
        """Make the folder that this is to be in, where the system has folders."""
        parent = posixpath.dirname(self.path.rstrip("/"))
        if parent and not _is_bucket(self, parent):
            self.at(parent).make_folder()

    @property
    def has_folders(self) -> bool:
        """Whether it keeps files as disks do: folders are real, and a file can be added to."""
        return isinstance(self.files, LocalFileSystem | HostFiles)

    def rename(self, to: Place) -> None:
        """Within one system; a file that was there under the other path is replaced.

        Neither this nor `remove` may use what takes patterns: ``*`` is a letter in a name.
        """
        with told(to):
            if self.has_folders:
                self.files.mv(self.path, to.path)
            else:
                self.files.cp_file(self.path, to.path)
                self.files.rm_file(self.path)

    def remove(self, *, recursive: bool = False) -> None:
        """
        Raises:
            NotFound: Nothing is here.
            BadInput: It is a folder, and *recursive* is false.
        """
        if self.path.strip("/") in {"", "."}:
            raise BadInput(f"{self.where.system} as a whole is not removed; name a folder in it")
        if self.entry().kind != "folder":
            with told(self):
                self.files.rm_file(self.path)
            return
        if not recursive:
            raise BadInput(f"{self} is a folder; say that all in it is to go: --recursive")
        with told(self):
            if self.has_folders:
                self.files.rm(self.path, recursive=True)
                return
        self._remove_keys()

    def _remove_keys(self) -> None:
        for each in self.entries():
            if each.kind == "folder":
                self.at(each.path)._remove_keys()
            else:
                with told(each.path):
                    self.files.rm_file(each.path)
        with told(self), suppress(FileNotFoundError):
            if self.files.exists(self.path):  # of most, nothing is left without what was in it
                self.files.rmdir(self.path)


def _is_bucket(place: Place, parent: str) -> bool:
    """Making a bucket is asked for by name, not a side effect of writing a file."""
    return place.where.system in {"s3", "gs", "azure"} and "/" not in parent.strip("/")


def _entry(told: Mapping[str, Any]) -> Entry:
    at = told.get("mtime") or told.get("LastModified") or told.get("created")
    if isinstance(at, int | float):
        at = datetime.fromtimestamp(at, UTC)
    return Entry(
        path=str(told["name"]),
        kind=_KINDS.get(str(told["type"]), "other"),
        size_bytes=int(told.get("size") or 0),
        modified_at=at if isinstance(at, datetime) else None,
    )
