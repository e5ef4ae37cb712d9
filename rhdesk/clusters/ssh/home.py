"""Small files in a home on a host, read and written whole; a file is there whole or as it was."""

from __future__ import annotations

import posixpath
from contextlib import closing, suppress
from secrets import token_hex
from types import TracebackType
from typing import Final, Self

from rhdesk.clusters.ssh.connection import Connection
from rhdesk.errors import BadInput, StoreUnwritable

_LARGEST: Final = 4 * 1024 * 1024


class HostHome:
    """A home on a host. Blocking; for one thread.

    Raises:
        ConnectionFailed: The host has no sftp.
    """

    def __init__(self, connection: Connection) -> None:
        self._sftp = connection.files()
        self._host = connection.target.host
        self.path = self._sftp.normalize(".")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._sftp.close()

    def read(self, path: str) -> str:
        """A file's text, empty where there is none.

        Raises:
            BadInput: It is no text, or far too large for a file of this kind.
        """
        try:
            with closing(self._sftp.open(path, "rb")) as file:
                data = file.read(_LARGEST + 1)
        except FileNotFoundError:
            return ""
        except OSError as exc:
            raise BadInput(f"{path} of {self._host} cannot be read: {exc.strerror}") from exc
        if len(data) > _LARGEST:
            raise BadInput(f"{path} of {self._host} is larger than {_LARGEST >> 20} MiB")
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError:
            raise BadInput(f"{path} of {self._host} is no text") from None

    def names(self, folder: str) -> list[str]:
        """What is in a folder, sorted; empty where there is none."""
        try:
            return sorted(self._sftp.listdir(folder))
        except FileNotFoundError:
            return []

    def write(self, path: str, text: str) -> None:
        """Write a file that only its owner reads.

        Raises:
            StoreUnwritable: It cannot be; what was there is as it was.
        """
        beside = f"{path}.{token_hex(6)}.rhdesk"
        try:
            self._make(posixpath.dirname(path))
            try:
                with closing(self._sftp.open(beside, "wx")) as file:
                    file.chmod(0o600)  # before there is anything to read in it
                    file.write(text.encode())
                self._sftp.posix_rename(beside, path)
            except BaseException:
                with suppress(OSError):
                    self._sftp.remove(beside)
                raise
        except OSError as exc:
            raise StoreUnwritable(
                f"{path} of {self._host} cannot be written: {exc.strerror or exc}"
            ) from exc

    def _make(self, folder: str) -> None:
        try:
            self._sftp.stat(folder)
        except FileNotFoundError:
            self._make(posixpath.dirname(folder))
            self._sftp.mkdir(folder, 0o700)
