"""Versions of a table: which files are it.

A write puts whole files under names of its own and, last of all, one list: ``_versions/00000002.json``.
That list is what makes them the table, so a write that stops in the middle, for whatever reason, has
changed nothing that a reader sees. Arrow, duckdb and Spark pass over names that begin with ``_``.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec

from rhdesk.errors import AlreadyExists, DamagedStore

_FOLDER: Final = "_versions"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    format: str
    files: tuple[str, ...]
    """Relative to the table, in the order of its rows."""
    partition_cols: tuple[str, ...] = ()


def newest(fs: Any, root: str) -> Manifest | None:
    """The newest version; None of a table that was not written here.

    Raises:
        DamagedStore: Its list of files cannot be read.
    """
    folder = posixpath.join(root, _FOLDER)
    if not fs.isdir(folder):
        return None
    fs.invalidate_cache(folder)
    lists = sorted(name for name in fs.ls(folder, detail=False) if name.endswith(".json"))
    if not lists:
        return None
    try:
        return msgspec.json.decode(fs.cat_file(lists[-1]), type=Manifest)
    except msgspec.DecodeError as exc:
        raise DamagedStore(f"{lists[-1]} is no list of a table's files: {exc}") from exc


def commit(fs: Any, root: str, manifest: Manifest) -> None:
    """Make *manifest* the newest version, wholly or not at all.

    Raises:
        AlreadyExists: Somebody else wrote this version in the meantime.
    """
    folder = posixpath.join(root, _FOLDER)
    path = posixpath.join(folder, f"{manifest.version:08}.json")
    data = msgspec.json.encode(manifest)
    fs.makedirs(folder, exist_ok=True)
    try:
        _create(fs, path, data)
    except FileExistsError as exc:
        raise AlreadyExists(
            f"version {manifest.version} of {root} was written by somebody else in the meantime; "
            "write again"
        ) from exc


def _create(fs: Any, path: str, data: bytes) -> None:
    if "file" not in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)):
        fs.pipe_file(path, data, mode="create")
        return
    # A link is made or not made: no reader ever finds half a list, no two writers the same one.
    beside = Path(f"{path}.{uuid4().hex}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)
