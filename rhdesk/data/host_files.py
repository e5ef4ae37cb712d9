"""The files of a host as a filesystem of fsspec, over an SFTP channel that is open already.

fsspec's own trusts every host key and logs in by itself; here the connection of the cluster is
used, which asked whether the host is trusted.
"""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from typing import Any, Protocol

from fsspec.spec import AbstractFileSystem

from rhdesk.data.on_host import OnHost


class Seen(Protocol):
    """What SFTP tells of a file."""

    filename: str
    st_size: int | None
    st_mode: int | None
    st_mtime: int | None


class Channel(Protocol):
    """What is asked of an SFTP client."""

    def listdir_attr(self, path: str = ...) -> list[Any]: ...
    def stat(self, path: str) -> Any: ...
    def lstat(self, path: str) -> Any: ...
    def open(self, filename: str, mode: str = ..., bufsize: int = ...) -> Any: ...
    def mkdir(self, path: str, mode: int = ...) -> None: ...
    def rmdir(self, path: str) -> None: ...
    def remove(self, path: str) -> None: ...
    def posix_rename(self, oldpath: str, newpath: str) -> None: ...
    def close(self) -> None: ...


class HostFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """Paths are the host's; relative ones start at the home there. Used by one thread at a time.

    Args:
        on_host: What can be done there by a program is.
    """

    protocol = "host"
    cachable = False

    def __init__(self, channel: Channel, on_host: OnHost | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._channel = channel
        self.on_host = on_host

    def close(self) -> None:
        self._channel.close()
        if self.on_host is not None:
            self.on_host.close()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        spelled = str(path)
        return spelled.rstrip("/") or ("/" if spelled.startswith("/") else ".")

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        return self._told(path, self._channel.lstat(path))

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        path = self._strip_protocol(path)
        seen = self.info(path)
        found = [seen]
        if seen["type"] == "directory":
            folder = "" if path == "." else f"{path.rstrip('/')}/"
            found = [
                self._told(f"{folder}{each.filename}", each)
                for each in self._channel.listdir_attr(path)
            ]
        found.sort(key=lambda each: each["name"])
        return found if detail else [each["name"] for each in found]

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        if create_parents:
            self.makedirs(path, exist_ok=False)
        else:
            self._channel.mkdir(self._strip_protocol(path))

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        path = self._strip_protocol(path)
        if self.isdir(path):
            if not exist_ok:
                raise FileExistsError(path)
            return
        parent = self._parent(path)
        if parent and parent != path:
            self.makedirs(parent, exist_ok=True)
        self._channel.mkdir(path)

    def rmdir(self, path: str) -> None:
        self._channel.rmdir(self._strip_protocol(path))

    def rm_file(self, path: str) -> None:
        self._channel.remove(self._strip_protocol(path))

    def _rm(self, path: str) -> None:
        self.rm_file(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """A link is removed, never what it leads to."""
        path = self._strip_protocol(path)
        if self.info(path)["type"] != "directory":
            self.rm_file(path)
            return
        if not recursive:
            raise IsADirectoryError(path)
        for each in self.ls(path):
            self.rm(each["name"], recursive=True)
        self.rmdir(path)

    def mv(
        self,
        path1: str,
        path2: str,
        recursive: bool = False,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        self._channel.posix_rename(self._strip_protocol(path1), self._strip_protocol(path2))

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Any = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **options: Any,
    ) -> Any:
        file = self._channel.open(self._strip_protocol(path), mode, 1 << 15)
        if mode == "rb":
            file.prefetch()
        else:
            file.set_pipelined(True)
        return file

    def _told(self, path: str, seen: Any) -> dict[str, Any]:
        """A link to a file is the file; one to a folder is not entered, for it may lead back."""
        mode = seen.st_mode or 0
        if stat.S_ISLNK(mode):
            try:
                seen = self._channel.stat(path)
            except OSError:
                return {"name": path, "size": 0, "type": "other"}
            mode = seen.st_mode or 0
            if stat.S_ISDIR(mode):
                return {"name": path, "size": 0, "type": "other"}
        kind = "directory" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"
        return {
            "name": path,
            "size": seen.st_size or 0,
            "type": kind,
            "mtime": datetime.fromtimestamp(seen.st_mtime or 0, UTC),
        }
