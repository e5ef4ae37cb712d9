"""rhdesk's own code for the far side, as one file that is called what it hashes to."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from rhdesk import whole_file
from rhdesk.errors import SetupFailed

_CORE: Final = ("models", "wire")
"""Packages of the core that the servlet speaks; its plain modules go along."""
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
"""Every file's time, so that the same code is the same archive."""


class Archive(NamedTuple):
    file: Path
    digest: str


def servlet_archive(cache_dir: Path) -> Archive:
    """The archive of what is installed here; made once for each version of it.

    Raises:
        SetupFailed: A package is not installed.
    """
    files = sorted(_files())
    listing = hashlib.sha256()
    for name, file in files:
        listing.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    digest = listing.hexdigest()[:16]
    place = cache_dir / "servlets" / f"{digest}.zip"
    if not place.exists():
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = place.with_suffix(".part")
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, file in files:
                packed.writestr(zipfile.ZipInfo(name, _LONG_AGO), file.read_bytes())
        whole_file.write(place, [beside.read_bytes()])
        beside.unlink()
    return Archive(place, digest)


def _files() -> Iterator[tuple[str, Path]]:
    core, servlet = _package("rhdesk"), _package("rhdesk_servlet")
    for folder in (core, *(core / name for name in _CORE), servlet):
        inside = "rhdesk" if folder.is_relative_to(core) else "rhdesk_servlet"
        top = core if inside == "rhdesk" else servlet
        for file in folder.glob("*.py"):
            yield f"{inside}/{file.relative_to(top).as_posix()}", file


def _package(name: str) -> Path:
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise SetupFailed(f"the package {name} is not installed here")
    return Path(found.submodule_search_locations[0])
