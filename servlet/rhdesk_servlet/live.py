"""Live names: which definition a call by name means here.

One small file for each name, replaced whole, so that an env servlet that is started again answers
as the one before it did. A cluster that is brought up again starts with none: what was saved while
it was down it has not heard of.
"""

from __future__ import annotations

import difflib
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file
from rhdesk.errors import NotFound


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    definition: str
    """Hash of the definition."""
    owner: str = ""
    """Whose name it is: two projects may each have a ``~/train``. Empty for anybody's."""


class LiveNames:
    def __init__(self, folder: Path, cluster_id: str) -> None:
        self._folder = folder / cluster_id
        for other in folder.iterdir() if folder.is_dir() else ():
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)
        self._known = _read_all(self._folder)

    def find(self, name: str) -> Pointer | None:
        return self._known.get(name)

    def named(self, name: str) -> Pointer:
        """What a call of *name* means.

        Raises:
            NotFound: Nothing was sent under that name; `near` holds the closest.
        """
        try:
            return self._known[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._known, 3)
            raise NotFound(name, kind="function here", near=near) from None

    def point(self, pointer: Pointer) -> None:
        """From now on calls by its name mean its definition."""
        if self._known.get(pointer.name) != pointer:
            whole_file.write(self._file(pointer.name), [_encode(pointer)])
            self._known[pointer.name] = pointer

    def _file(self, name: str) -> Path:
        return self._folder / sha256(name.encode()).hexdigest()


_encode: Final = msgspec.json.Encoder().encode


def _read_all(folder: Path) -> dict[str, Pointer]:
    found: dict[str, Pointer] = {}
    for file in folder.iterdir() if folder.is_dir() else ():
        try:
            pointer = msgspec.json.decode(file.read_bytes(), type=Pointer)
        except msgspec.DecodeError:
            continue  # a damaged one is as one that was never sent
        found[pointer.name] = pointer
    return found
