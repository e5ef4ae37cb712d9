"""Venvs on disk, each named by its lock's hash.

A venv is built where it stays, because scripts inside it know their place; it counts once
``complete.json`` is in it, which is written last and removed first.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file
from rhdesk_servlet.locks import Lock

_HASH: Final = re.compile(r"[0-9a-f]{16}")
_MARKER: Final = "complete.json"


class Complete(msgspec.Struct, frozen=True):
    """What ``complete.json`` holds."""

    lock: Lock
    installed: tuple[str, ...]
    """The ``.dist-info`` folders that were there; one that has gone means somebody uninstalled or
    upgraded by hand, and the venv is no longer what its name says."""
    built_at: datetime
    """UTC."""


class Venvs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        return self._folder / name

    def python(self, name: str) -> Path:
        return self._folder / name / "bin" / "python"

    def find(self, name: str) -> Complete | None:
        """What was built as *name*; None while it was not built to the end."""
        try:
            data = (self.path(name) / _MARKER).read_bytes()
            return msgspec.json.decode(data, type=Complete)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None

    def is_whole(self, name: str) -> bool:
        """Built to the end, and nothing it was built with has gone since."""
        found = self.find(name)
        if found is None or not self.python(name).exists():
            return False
        return set(found.installed) <= set(self._installed(name))

    def complete(self, lock: Lock) -> None:
        """Write down that the venv of *lock* is as it should be now."""
        found = Complete(lock, tuple(self._installed(lock.hash)), datetime.now(UTC))
        whole_file.write(self.path(lock.hash) / _MARKER, [msgspec.json.encode(found)])

    def remove(self, name: str) -> None:
        """Nothing half-removed looks complete: the marker goes first."""
        (self.path(name) / _MARKER).unlink(missing_ok=True)
        if self.path(name).exists():
            shutil.rmtree(self.path(name))

    def names(self) -> list[str]:
        """All there are, half-built ones too, sorted."""
        if not self._folder.is_dir():
            return []
        return sorted(e.name for e in self._folder.iterdir() if _HASH.fullmatch(e.name))

    def size_bytes(self, name: str) -> int:
        """Disk the venv takes; a file it shares with uv's cache counts here too."""
        seen: dict[tuple[int, int], int] = {}
        for file in _walk(self.path(name)):
            stat = file.stat(follow_symlinks=False)
            seen[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
        return sum(seen.values())

    def _installed(self, name: str) -> list[str]:
        found = self.path(name).glob("lib/python*/site-packages/*.dist-info")
        return sorted(path.name for path in found)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))
