"""Local projects, kept as they were when they were asked for.

A project is copied before it is built: the build leaves its droppings in the copy, and what is
installed is what the digest says, even when the folder is edited meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from rhdesk.errors import BadRequirement
from rhdesk_servlet.locks import name_of

_SKIPPED: Final = {
    ".git", ".hg", ".venv", "venv", "__pycache__", "node_modules", ".tox", ".nox", ".pytest_cache",
    ".mypy_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints",
}  # fmt: skip
_SKIPPED_AT_TOP: Final = {"build", "dist"}
_WITH_EXTRAS: Final = re.compile(r"(?P<path>.+?)(?P<extras>\[[^\[\]/]*\])?", re.DOTALL)
_HISTORY: Final = re.compile(r"setuptools.scm|hatch.vcs|versioningit|versioneer|dunamai")
"""Build tools that read the version from git; the history is copied for them alone."""


class Source(msgspec.Struct, frozen=True):
    """A project as it was copied."""

    digest: str
    """SHA-256 over its files' names and contents, 16 characters."""
    place: Path
    """The copy."""
    extras: str
    """``[gpu]``, or nothing."""
    name: str
    """What the project calls itself, or else what its folder is called."""

    @property
    def line(self) -> str:
        """A requirement that installs it; nameless, since only the build knows the true name."""
        return f"{self.place}{self.extras}"

    @property
    def locked(self) -> str:
        """How a lock names it: without the path."""
        return f"{name_of(self.name) or self.name} @ local:{self.digest}"


class Sources:
    """The copies, by digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, spec: str) -> Source:
        """Copy the project at *spec*, an absolute path with perhaps extras, unless it is here.

        Raises:
            BadRequirement: There is nothing at the path.
        """
        path, extras = _split(spec)
        digest = _digest(path)
        place = self._folder / digest / path.name
        if not place.exists():
            self._copy(path, place)
        return Source(digest, place, extras, _project_name(path))

    def line(self, locked: str) -> str | None:
        """The requirement for a lock's ``name @ local:DIGEST``; None when the copy is gone."""
        _, _, digest = locked.partition(" @ local:")
        return next((str(place) for place in (self._folder / digest).glob("*")), None)

    def prune(self, keep: set[str]) -> None:
        """Remove every copy whose digest is not in *keep*."""
        if self._folder.is_dir():
            for entry in self._folder.iterdir():
                if entry.name not in keep:
                    shutil.rmtree(entry, ignore_errors=True)

    def _copy(self, path: Path, place: Path) -> None:
        beside = self._folder / f".{place.parent.name}.{os.getpid()}.{id(place)}"
        shutil.rmtree(beside, ignore_errors=True)
        try:
            for file in _files(path):
                target = beside / path.name / file.relative_to(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
            if (path / ".git").exists() and _HISTORY.search(_pyproject_text(path)):
                shutil.copytree(path / ".git", beside / path.name / ".git", symlinks=True)
            if path.is_file():
                (beside).mkdir(parents=True)
                shutil.copy2(path, beside / path.name)
            try:
                beside.rename(place.parent)
            except OSError:
                # Somebody else copied the same content first.
                if not place.exists():
                    raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def fingerprint(spec: str) -> str:
    """Changes when a file of the project does, as far as sizes and times tell; reads no content.

    Raises:
        BadRequirement: There is nothing at the path.
    """
    path, _ = _split(spec)
    seen = hashlib.sha256(spec.encode())
    for file in [path] if path.is_file() else _files(path):
        stat = file.stat()
        seen.update(f"\0{file}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_mode}".encode())
    return f"local:{seen.hexdigest()}"


def _split(spec: str) -> tuple[Path, str]:
    match = _WITH_EXTRAS.fullmatch(spec)
    path = Path(match["path"] if match is not None else spec)
    if not path.is_absolute() or not path.exists():
        raise BadRequirement(
            f"there is no project at {str(path)!r} on the cluster; give the path of a folder with "
            "a pyproject.toml, like local:./lib"
        )
    return path, (match["extras"] or "") if match is not None else ""


def _files(top: Path) -> Iterator[Path]:
    """Files in a stable order; a link to a file is a file, one to a folder is not followed."""
    for folder, folders, names in os.walk(top):
        skipped = _SKIPPED | _SKIPPED_AT_TOP if folder == str(top) else _SKIPPED
        folders[:] = sorted(
            name for name in folders if name not in skipped and not name.endswith(".egg-info")
        )
        for name in sorted(names):
            file = Path(folder, name)
            if not name.endswith((".pyc", ".pyo")) and file.is_file():
                yield file


def _digest(path: Path) -> str:
    seen = hashlib.sha256()
    for file in [path] if path.is_file() else _files(path):
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        shown = file.name if path.is_file() else str(file.relative_to(path))
        seen.update(f"{shown}\0{os.access(file, os.X_OK)}\0{digest}\0".encode(errors="replace"))
    return seen.hexdigest()[:16]


def _project_name(path: Path) -> str:
    if path.is_file():
        return path.name.partition("-")[0]
    try:
        table: dict[str, Any] = tomllib.loads(_pyproject_text(path)).get("project", {})
    except tomllib.TOMLDecodeError as exc:
        raise BadRequirement(f"{str(path / 'pyproject.toml')!r} is not TOML: {exc}") from exc
    return str(table.get("name") or path.name)


def _pyproject_text(path: Path) -> str:
    try:
        return (path / "pyproject.toml").read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
