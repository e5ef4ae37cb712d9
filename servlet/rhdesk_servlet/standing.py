"""Where the runs of a worker stand: in their environment's working folder, held while one goes on.

The folder may be changed between two runs (`work`), or be another copy by then; modules that were
imported from it are imported again where it was.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rhdesk.errors import SetupFailed
from rhdesk_servlet.work import APPLYING, CURRENT, changes_of, lock_of, tree_of

VARIABLE: Final = "RHDESK_WORK"
"""Tells a worker its environment's working folder."""


class Standing:
    """The current folder of this process.

    Args:
        place: A folder; one of `WorkFolder` is the link to its current copy. Empty for none.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._is_sent = os.path.basename(place) == CURRENT
        self._on_path = ""
        self._seen: tuple[int, int] = (0, 0)

    @property
    def is_somewhere(self) -> bool:
        return bool(self._place)

    @contextmanager
    def held(self) -> Generator[None]:
        """Stand in the folder; it stays as it is meanwhile.

        Raises:
            SetupFailed: It is not there whole.
        """
        if not self._place:
            yield
            return
        if not self._is_sent:
            self._stand(self._place)
            yield
            return
        held = self._hold()
        try:
            yield
        finally:
            os.close(held)

    def _hold(self) -> int:
        above = Path(self._place).parent
        while True:
            try:
                copy = above / os.readlink(self._place)
                held = os.open(lock_of(copy), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                raise _not_whole() from None
            fcntl.flock(held, fcntl.LOCK_SH)
            if above / os.readlink(self._place) == copy:
                break
            os.close(held)  # it became another one while this waited
        if (above / APPLYING).exists():
            os.close(held)
            raise _not_whole()
        self._stand(str(copy), _state(copy))
        return held

    def _stand(self, folder: str, state: tuple[int, int] = (0, 0)) -> None:
        if self._on_path != folder:
            if self._on_path in sys.path:
                sys.path[sys.path.index(self._on_path)] = folder
            else:
                sys.path.insert(0, folder)
        if (self._on_path, self._seen) != (folder, state):
            self._forget_modules()
            self._on_path, self._seen = folder, state
        if os.getcwd() != folder:
            os.chdir(folder)

    def _forget_modules(self) -> None:
        if not self._on_path:
            return
        inside = self._on_path + os.sep
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(inside):
                del sys.modules[name]


def _state(copy: Path) -> tuple[int, int]:
    """Changes whenever the tree does."""
    stamps = [0, 0]
    for number, file in enumerate((tree_of(copy), changes_of(copy))):
        with suppress(FileNotFoundError):
            stamps[number] = file.stat().st_mtime_ns
    return stamps[0], stamps[1]


def _not_whole() -> SetupFailed:
    return SetupFailed(
        "the working folder is not whole on this node, so nothing runs in it; send it again: "
        "rhdesk sync push"
    )
