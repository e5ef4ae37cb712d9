"""Notices that files which code was read from have been saved again since."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

_UNSEEN: Final = (-1, -1, -1)

Print = tuple[int, int, int]
"""What tells one state of a file from another: when, how long, which inode."""


class Edits:
    """The files of one bundle as they were when it was made.

    Args:
        root: What *paths* are relative to; None where no file travels, and none is edited.
        since_ns: When the reading began, `time.time_ns`. A file written after that may have been
            read half, so it counts as edited.
    """

    def __init__(self, root: Path | None, paths: Iterable[str], since_ns: int) -> None:
        self._files = [root / path for path in paths] if root is not None else []
        self._prints: list[Print] = []
        self.take_in(since_ns)

    def take_in(self, since_ns: int) -> None:
        """Take the files as they are now for what was read."""
        prints = map(_print, self._files)
        self._prints = [found if found[0] < since_ns else _UNSEEN for found in prints]

    def are_there(self) -> bool:
        """Whether any file is not as it was; a `stat` of each, some microseconds."""
        return any(
            _print(file) != was for file, was in zip(self._files, self._prints, strict=True)
        )


def _print(file: Path) -> Print:
    try:
        seen = file.stat()
    except OSError:  # gone; what comes in its place will differ
        return (0, 0, 0)
    return (seen.st_mtime_ns, seen.st_size, seen.st_ino)
