"""What a place held when it was saved: every file's size and hash, under one hash of it all.

A hash is SHA-256; of a file in a bucket what the bucket tells of it (its ETag), which changes when
the file does: to read a bucket through for its hashes would cost as much as fetching it. Blocking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from rhdesk import whole_file
from rhdesk.data.place import Place
from rhdesk.errors import BadInput, NotFound
from rhdesk.models import FileChange, Held


class Contents(msgspec.Struct, frozen=True):
    """Files by path below the place; of a single file, its path is empty."""

    files: dict[str, tuple[int, str]]
    """Bytes, and ``sha256:...`` or ``etag:...``."""

    @classmethod
    def of(cls, place: Place) -> Contents:
        """
        Raises:
            NotFound: Nothing is there.
        """
        entry = place.entry()
        if entry.kind == "file":
            return cls({"": (entry.size_bytes, _mark(place))})
        found = place.tree()
        return cls({p: (each.size_bytes, _mark(place.at(each.path))) for p, each in found.items()})

    @property
    def encoded(self) -> bytes:
        """The same for the same files."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def held(self) -> Held:
        return Held(
            hash=sha256(self.encoded).hexdigest(),
            files=len(self.files),
            size_bytes=sum(size for size, _ in self.files.values()),
        )

    def changes(self, after: Contents) -> Iterator[FileChange]:
        """What differs from *after*, by path."""
        for path in sorted(self.files.keys() | after.files.keys()):
            before, now = self.files.get(path), after.files.get(path)
            if before != now:
                kind = "added" if before is None else "removed" if now is None else "changed"
                yield FileChange(path=path or ".", kind=kind)


class ContentsShelf:
    """Contents that were saved, by their hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, contents: Contents) -> Held:
        held = contents.held
        file = self._file(held.hash)
        if not file.exists():
            whole_file.write(file, [contents.encoded], durable=True)
        return held

    def get(self, digest: str) -> Contents:
        """
        Raises:
            NotFound: It was saved on another machine, or is damaged.
        """
        try:
            data = self._file(digest).read_bytes()
        except FileNotFoundError:
            data = b""
        if sha256(data).hexdigest() != digest:
            raise NotFound(digest[:12], kind="list of files, saved on this machine,")
        return msgspec.json.decode(data, type=Contents)

    def _file(self, digest: str) -> Path:
        if len(digest) != 64 or not digest.isalnum():
            raise BadInput(f"{digest[:80]!r} is no hash of a list of files")
        return self._folder / digest[:2] / f"{digest}.json"


def contents_hash(config: Mapping[str, Any]) -> str:
    """Hash of what a saved place held; empty where its config says none."""
    contents = config.get("contents")
    return str(contents.get("hash", "")) if isinstance(contents, dict) else ""


def changes_between(
    shelf: ContentsShelf, before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[FileChange, ...]:
    """Which files differ between what two configs held; none where that is not known here."""
    old, new = contents_hash(before), contents_hash(after)
    if not old or not new or old == new:
        return ()
    try:
        return tuple(shelf.get(old).changes(shelf.get(new)))
    except NotFound:
        return ()


def _mark(place: Place) -> str:
    """What tells one content of a file from another."""
    if place.where.system in {"s3", "gs", "azure"}:
        told = place.files.info(place.path)
        tag = str(told.get("ETag") or told.get("etag") or told.get("md5Hash") or "").strip('"')
        if tag:
            return f"etag:{tag}"
    return f"sha256:{place.sha256()}"
