"""Values kept on a cluster under a key: encoded payloads, one file each.

They are files, not process memory, so they outlive the worker that made them and every env reads
them; a reader maps the file, so an array costs no copy. The name of a file is the hash of its key:
a key may hold any character.
"""

from __future__ import annotations

import difflib
import mmap
from hashlib import sha256
from pathlib import Path

from rhdesk import whole_file
from rhdesk.errors import NotFound
from rhdesk.wire.payload import Payload
from rhdesk.wire.pickles import Buffer


class ObjectFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, key: str, payload: Payload) -> None:
        self.write_pieces(key, payload.pieces())

    def write_pieces(self, key: str, pieces: list[Buffer]) -> None:
        name = key.encode()
        head = len(name).to_bytes(4, "little") + name
        whole_file.write(self._file(key), [head, bytes(-len(head) % 64), *pieces])

    def read(self, key: str) -> Payload:
        """The payload under *key*, mapped.

        Raises:
            NotFound: There is none; `near` holds the closest keys.
        """
        return Payload.read(self.read_bytes(key))

    def read_bytes(self, key: str) -> memoryview:
        try:
            with self._file(key).open("rb") as file:
                name = int.from_bytes(file.read(4), "little")
                start = 4 + name + -(4 + name) % 64
                mapped = mmap.mmap(
                    file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE
                )
        except FileNotFoundError:
            raise self._not_found(key) from None
        return memoryview(mapped)[start:]

    def keys(self) -> list[str]:
        """Every key, sorted."""
        found: list[str] = []
        for file in self._files():
            with file.open("rb") as opened:
                found.append(opened.read(int.from_bytes(opened.read(4), "little")).decode())
        return sorted(found)

    def rename(self, old: str, new: str) -> None:
        """Move a value to another key; a value already there is replaced."""
        self.write_pieces(new, [self.read_bytes(old)])
        self._file(old).unlink(missing_ok=True)

    def delete(self, keys: list[str]) -> list[str]:
        """Delete; returns the keys that were there."""
        gone: list[str] = []
        for key in keys:
            try:
                self._file(key).unlink()
            except FileNotFoundError:
                continue
            gone.append(key)
        return gone

    def clear(self) -> None:
        for file in self._files():
            file.unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self._folder / sha256(key.encode()).hexdigest()

    def _files(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return [file for file in self._folder.iterdir() if not file.name.startswith(".")]

    def _not_found(self, key: str) -> NotFound:
        return NotFound(key, kind="object", near=difflib.get_close_matches(key, self.keys(), 3))
