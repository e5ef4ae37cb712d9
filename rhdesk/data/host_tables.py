"""The files of a host as a table's readers want them: pieces of several files, from threads."""

from __future__ import annotations

import io
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, cast

from rhdesk.data.host_files import Channel, HostFiles

if TYPE_CHECKING:
    from rhdesk.data.far_tables import FarTables

_AT_ONCE: Final = 1 << 15
"""Bytes one request of SFTP answers; of more, the requests go out without waiting in between."""


class _Turn:
    """Who may use the channel now; after `over` nobody may, and whoever comes late is told."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._is_over = False

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._is_over:
            self._lock.release()
            raise ConnectionAbortedError("the table was closed")

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def over(self) -> None:
        """Wait for whoever has the channel now: Arrow's readers run ahead of those who stop."""
        with self._lock:
            self._is_over = True


class _Alone:
    """A channel that answers one thread after the other."""

    def __init__(self, channel: Channel, turn: _Turn) -> None:
        self._channel, self._turn = channel, turn

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._channel, name)

        def ask(*args: Any, **named: Any) -> Any:
            with self._turn:
                return asked(*args, **named)

        return ask

    def close(self) -> None:
        self._channel.close()


class TableFiles(HostFiles):
    """One channel for all of Arrow's threads, and only what is asked of a file is read.

    `HostFiles` reads ahead, which of a file that is entered in the middle would be all of it.

    Args:
        far: What reads whole tables there.
    """

    def __init__(self, channel: Channel, far: FarTables | None = None, **options: Any) -> None:
        self._turn = _Turn()
        self.far = far
        super().__init__(cast("Channel", _Alone(channel, self._turn)), **options)

    def close(self) -> None:
        if self.far is not None:
            self.far.close()
        self._turn.over()
        super().close()

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Any = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **options: Any,
    ) -> Any:
        path = self._strip_protocol(path)
        if mode == "rb":
            return _Pieces(self._channel.open(path, "rb"), self._turn)
        if mode == "xb" and self.exists(path):
            raise FileExistsError(path)
        file = self._channel.open(path, "wxb" if mode == "xb" else "wb")
        file.set_pipelined(True)  # the last answer is waited for when it is closed
        return _Written(file, self._turn)


class _Written(io.RawIOBase):
    def __init__(self, file: Any, turn: _Turn) -> None:
        self._file, self._turn = file, turn
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        piece = bytes(data)
        with self._turn:
            self._file.write(piece)
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            with self._turn:
                self._file.close()
        super().close()


class _Pieces(io.RawIOBase):
    def __init__(self, file: Any, turn: _Turn) -> None:
        self._file, self._turn = file, turn
        self._at = 0
        with turn:
            self._size = int(file.stat().st_size or 0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._at, 0)
        size = left if size < 0 else min(size, left)
        if not size:
            return b""
        with self._turn:
            if size <= _AT_ONCE:
                self._file.seek(self._at)
                data: bytes = self._file.read(size)
            else:
                data = b"".join(self._file.readv([(self._at, size)]))
        self._at += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            with suppress(ConnectionAbortedError), self._turn:
                self._file.close()
        super().close()
