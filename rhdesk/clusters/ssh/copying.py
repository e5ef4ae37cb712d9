"""Files and folders between this machine and a host, whole or not at all. Blocking.

A file is written beside and renamed; where one of the two sides dies, what was there stays.
"""

from __future__ import annotations

import os
import posixpath
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import paramiko

from rhdesk.clusters.ssh.connection import Connection, told
from rhdesk.errors import BadInput, NotFound, RhdeskError, StoreUnwritable

Tell = Callable[[str, int], None]
"""Hears which file, and how many bytes of all have gone."""


class Copying:
    """One copy.

    Args:
        tell: Hears how it goes.
    """

    def __init__(self, connection: Connection, tell: Tell) -> None:
        self._host = connection.target.host
        self._files = connection.files()
        self._tell = tell
        self.count = 0
        self.size = 0

    def close(self) -> None:
        self._files.close()

    def put(self, source: Path, target: str) -> None:
        """From here to the host.

        Raises:
            NotFound: There is no such file here.
            StoreUnwritable: The host does not take it.
        """
        if not source.exists():
            raise NotFound(str(source), kind="file or folder here")
        target = self._there(target, source.name)
        try:
            if source.is_dir():
                for file in sorted(source.rglob("*")):
                    place = posixpath.join(target, file.relative_to(source).as_posix())
                    if file.is_symlink():
                        continue  # where it leads means nothing on another machine
                    if file.is_dir():
                        self._make_folder(place)
                    elif file.is_file():
                        self._put_file(file, place)
            else:
                self._put_file(source, target)
        except (OSError, EOFError, paramiko.SSHException) as exc:
            raise self._failed(exc, target) from exc

    def get(self, source: str, target: Path) -> None:
        """From the host to here; nothing is written outside *target*.

        Raises:
            NotFound: The host has no such file.
            StoreUnwritable: It cannot be written here.
        """
        try:
            mode = self._files.stat(source).st_mode or 0
        except OSError as exc:
            raise NotFound(source, kind=f"file or folder on {self._host}") from exc
        if target.is_dir():
            target = target / posixpath.basename(source.rstrip("/"))
        try:
            if stat.S_ISDIR(mode):
                for path, mode in self._walk(source):
                    self._get_file(posixpath.join(source, path), target / path, mode)
                target.mkdir(parents=True, exist_ok=True)
            else:
                self._get_file(source, target, mode)
        except RhdeskError:
            raise
        except (OSError, EOFError, paramiko.SSHException) as exc:
            raise self._failed(exc, str(target)) from exc

    def _there(self, target: str, name: str) -> str:
        """Where it goes: into a folder that is there, or to just this name."""
        with suppress(OSError):
            if stat.S_ISDIR(self._files.stat(target or ".").st_mode or 0):
                return posixpath.join(target or ".", name)
        return target

    def _put_file(self, file: Path, place: str) -> None:
        self._make_folder(posixpath.dirname(place))
        beside = f"{place}.{secrets.token_hex(4)}.part"
        try:
            self._files.put(str(file), beside, lambda gone, _: self._tell(str(file), gone))
            self._files.chmod(beside, stat.S_IMODE(file.stat().st_mode))
            self._files.posix_rename(beside, place)
        except BaseException:
            with suppress(OSError, EOFError, paramiko.SSHException):
                self._files.remove(beside)
            raise
        self._count(file.stat().st_size)

    def _get_file(self, source: str, place: Path, mode: int) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_name(f".{secrets.token_hex(8)}.part")
        try:
            self._files.get(source, str(beside), lambda gone, _: self._tell(source, gone))
            beside.chmod(stat.S_IMODE(mode) & 0o777)
            beside.replace(place)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        self._count(place.stat().st_size)

    def _walk(self, source: str) -> Iterator[tuple[str, int]]:
        """Plain files below a folder, by paths that stay below it."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            for entry in self._files.listdir_attr(posixpath.join(source, folder)):
                name = entry.filename
                if name in {"", ".", ".."} or "/" in name or "\0" in name:
                    raise BadInput(
                        f"{self._host} has a file called {name!r}, which leads elsewhere"
                    )
                path, mode = posixpath.join(folder, name), entry.st_mode or 0
                if stat.S_ISDIR(mode):
                    waiting.append(path)
                elif stat.S_ISREG(mode):
                    yield path, mode

    def _make_folder(self, place: str) -> None:
        if not place or place == "/":
            return
        try:
            self._files.stat(place)
        except OSError:
            self._make_folder(posixpath.dirname(place))
            with suppress(OSError):
                self._files.mkdir(place)

    def _count(self, size: int) -> None:
        self.count += 1
        self.size += size

    def _failed(self, error: BaseException, where: str) -> StoreUnwritable:
        return StoreUnwritable(
            f"{where} cannot be written: {told(error)}; what was there is as it was"
        )


def split(place: str) -> tuple[str, str]:
    """Cluster and path of ``gpubox:data/x``; no cluster for a path of this machine."""
    head, colon, path = place.partition(":")
    if not colon or "/" in head or os.sep in head or not head:
        return "", place
    return head, path
