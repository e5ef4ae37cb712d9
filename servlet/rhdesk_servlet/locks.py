"""Locks: requirements resolved to exact versions, and the memory of what resolved to what.

A lock's hash is the name of the venv that is built from it, so nothing in a lock depends on where
a package was downloaded or on which machine's folder a project lay.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._\-]*[A-Za-z0-9])?")


class Lock(msgspec.Struct, frozen=True):
    """One resolution."""

    lines: tuple[str, ...]
    """Sorted: ``name==version``, ``name @ git+https://...@commit``, and ``name @ local:DIGEST``
    for a project kept in `Sources`; ``--hash=`` where the requirement had it."""
    python: str
    """Version of the interpreter, ``3.11.7``."""
    platform: str
    """As `sysconfig.get_platform` says it."""

    @property
    def hash(self) -> str:
        text = "\n".join((*self.lines, self.python, self.platform))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def packages(self) -> tuple[str, ...]:
        """For a person: the lines without hashes."""
        return tuple(line.partition(" --hash")[0] for line in self.lines)


class Remembered:
    """Locks by what was asked for: one small file each, replaced whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, asked: Sequence[str]) -> Lock | None:
        try:
            return msgspec.json.decode(self._file(asked).read_bytes(), type=Lock)
        except (FileNotFoundError, msgspec.DecodeError):
            # A damaged file costs a resolution, nothing else.
            return None

    def keep(self, asked: Sequence[str], lock: Lock) -> None:
        whole_file.write(self._file(asked), [msgspec.json.encode(lock)])

    def keep_only(self, hashes: set[str]) -> None:
        """Forget what did not resolve to one of *hashes*."""
        for file in self._folder.glob("*.json"):
            try:
                lock = msgspec.json.decode(file.read_bytes(), type=Lock)
            except msgspec.DecodeError:
                lock = None
            if lock is None or lock.hash not in hashes:
                file.unlink(missing_ok=True)

    def _file(self, asked: Sequence[str]) -> Path:
        text = "\0".join(sorted(set(asked)))
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def name_of(line: str) -> str:
    """The package a requirement is about, as indexes compare names; empty when it has none."""
    match = _NAME.match(line)
    if match is None or "://" in line.partition("@")[0] or line.startswith("constraint:"):
        return ""
    return re.sub(r"[-_.]+", "-", match[0]).lower()
