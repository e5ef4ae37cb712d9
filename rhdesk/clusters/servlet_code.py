"""The servlet's own code, as it goes to a node: two packages, named by the hash of what they are.

It goes on the path of every environment, where the rest of site-packages must not show.
"""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rhdesk.errors import SetupFailed

_PACKAGES: Final = ("rhdesk", "rhdesk_servlet")


def files() -> dict[str, Path]:
    """Each file by its path beneath the code folder, sorted.

    Raises:
        SetupFailed: A package is not installed here.
    """
    found: dict[str, Path] = {}
    for package in _PACKAGES:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise SetupFailed(f"the package {package} is not installed here")
        root = Path(spec.submodule_search_locations[0])
        for file in root.rglob("*"):
            if "__pycache__" not in file.parts and file.is_file():
                found[str(Path(package) / file.relative_to(root))] = file
    return dict(sorted(found.items()))


def digest(those: dict[str, Path]) -> str:
    """Names what is in *those*: 16 hexadecimal digits."""
    total = sha256()
    for name, file in those.items():
        total.update(name.encode() + b"\0" + sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]


def program(name: str) -> bytes:
    """The source of a program that a machine runs before anything of ours is on it.

    Raises:
        SetupFailed: The servlet's package is not installed here.
    """
    found = find_spec("rhdesk_servlet")
    if found is None or not found.submodule_search_locations:
        raise SetupFailed("the package rhdesk_servlet is not installed here")
    return (Path(found.submodule_search_locations[0]) / name).read_bytes()


def lay_out(folder: Path) -> Path:
    """See that the code is in *folder* under its hash; returns where."""
    those = files()
    place = folder / digest(those)
    if place.is_dir():
        return place
    beside = folder / f".{os.getpid()}"
    shutil.rmtree(beside, ignore_errors=True)
    for name, file in those.items():
        (beside / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(file, beside / name)
    try:
        beside.rename(place)
    except OSError:  # somebody else was quicker
        shutil.rmtree(beside, ignore_errors=True)
    return place
