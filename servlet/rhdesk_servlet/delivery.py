"""Secrets of an environment while it lasts: a folder in memory that only its owner enters."""

from __future__ import annotations

import os
import shutil
from collections.abc import Container
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Final

from rhdesk.beneath import parts_of
from rhdesk.errors import SetupFailed, StoreUnwritable
from rhdesk.wire.messages import pack, unpack
from rhdesk.wire.secrets import FOLDER, KEPT, Delivered

_IN_MEMORY: Final = Path("/dev/shm")


def put(place: Path, given: Delivered, *, current: str = "") -> dict[str, str]:
    """Have *given* be there for the environment at *place*; the variables its runs need.

    Args:
        current: The folder its runs have now. It stays, as some of them may go on; those before
            are removed.

    Raises:
        BadInput: A path leads out of the folder.
        StoreUnwritable: There is no room.
    """
    data = pack(given)
    folder = Path(current)
    if not current or _data(folder) != data:
        folder = _beginning(place).with_name(f"{_beginning(place).name}-{token_hex(4)}")
        try:
            _fill(folder, given, data)
        except OSError as exc:
            shutil.rmtree(folder, ignore_errors=True)
            raise StoreUnwritable(f"secrets cannot be kept in {folder}: {exc.strerror}") from exc
    remove(place, but={folder, Path(current)})
    return {FOLDER: str(folder)} | {
        variable: str(folder / path) for variable, path in given.pointing.items()
    }


def remove(place: Path, *, but: Container[Path] = ()) -> None:
    """Nothing is left of what was put there; none is fine."""
    beginning = _beginning(place)
    for folder in beginning.parent.glob(f"{beginning.name}-*"):
        if folder not in but:
            shutil.rmtree(folder, ignore_errors=True)


def given_in(folder: str) -> Delivered:
    """What an environment was given; nothing where *folder* is empty.

    Raises:
        SetupFailed: It is gone, as it is after the machine was started again.
    """
    if not folder:
        return Delivered()
    if (data := _data(Path(folder))) is None:
        raise SetupFailed(
            "the secrets of this environment ended with the machine; "
            "make it again: rhdesk env make NAME --secret ..."
        )
    return unpack(memoryview(data), Delivered)


def _beginning(place: Path) -> Path:
    """What the names of an environment's folders begin with; not on a disk where that can be."""
    if os.access(_IN_MEMORY, os.W_OK):
        name = sha256(str(place).encode()).hexdigest()[:16]
        return _IN_MEMORY / f"rhdesk-{os.getuid()}-{name}"
    return place / "secrets"


def _fill(folder: Path, given: Delivered, data: bytes) -> None:
    folder.mkdir(mode=0o700, parents=True)
    for path, text in given.files.items():
        file = folder.joinpath(*parts_of(path))
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(file, text.encode())
    _write(folder / KEPT, data)


def _data(folder: Path) -> bytes | None:
    try:
        return (folder / KEPT).read_bytes()
    except OSError:
        return None


def _write(file: Path, data: bytes) -> None:
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(opened, "wb") as writing:
        writing.write(data)
