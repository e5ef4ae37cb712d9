"""Whether git still has every version of every name, byte for byte; and what can be put back.

Each object that the ref reaches is read and its hash computed anew. That is what ``git fsck`` does
for a whole repository, which may be large, and whose other branches are none of our business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec

from rhdesk.errors import RhdeskError
from rhdesk.rns.repository import Repository

_CHUNK = 2_000


class Damage(msgspec.Struct, frozen=True):
    """An object that is gone, or is not what its name says."""

    object_id: str
    """Empty if git cannot even say which one it is."""
    what: str


class Objects(Repository):
    def damaged(self, tip: str) -> list[Damage]:
        """What of the history up to *tip* cannot be read."""
        try:
            out = self._git("rev-list", "--objects", "--missing=print", tip)
        except RhdeskError as exc:
            return [Damage("", str(exc))]
        found: list[Damage] = []
        there: list[tuple[str, str]] = []
        for line in out.decode("utf-8", "replace").splitlines():
            object_id, _, path = line.partition(" ")
            if object_id.startswith("?"):
                found.append(Damage(object_id[1:], f"{object_id[1:]} is gone"))
            else:
                there.append((object_id, path))
        paths = dict(there)
        ids = list(paths)
        for start in range(0, len(ids), _CHUNK):
            for object_id in self._unsound(ids[start : start + _CHUNK]):
                of = paths[object_id].partition("/")[2].removesuffix("/config.json")
                whose = f", a version of ~/{of}," if of else ""
                found.append(Damage(object_id, f"{object_id}{whose} is not what was stored"))
        return found

    def put_back(self, damaged: Sequence[Damage], files: Mapping[str, bytes]) -> set[str]:
        """Write each damaged blob anew of which *files* has the bytes; returns those now sound.

        What was there under its name is kept beside, as ``rhdesk-damaged-<id>``.
        """
        ids = [each.object_id for each in damaged if each.object_id in files]
        for object_id in ids:
            loose = self.place.common_dir / "objects" / object_id[:2] / object_id[2:]
            with suppress(FileNotFoundError):
                loose.rename(self.place.common_dir / f"rhdesk-damaged-{object_id}")
            self._git("hash-object", "-w", "--stdin", feed=files[object_id])
        return set(ids) - set(self._unsound(ids))

    def _unsound(self, ids: Sequence[str]) -> Iterator[str]:
        """Those of *ids* that do not hash to themselves."""
        if not ids:
            return
        try:
            out = self._git("cat-file", "--batch", feed="".join(f"{i}\n" for i in ids).encode())
            yield from _mismatched(ids, out)
        except (RhdeskError, ValueError):
            # git stops at one it cannot read; find out which.
            if len(ids) == 1:
                yield ids[0]
                return
            middle = len(ids) // 2
            yield from self._unsound(ids[:middle])
            yield from self._unsound(ids[middle:])


def _mismatched(ids: Sequence[str], out: bytes) -> list[str]:
    found: list[str] = []
    start = 0
    for object_id in ids:
        header_end = out.index(b"\n", start)
        told, kind, *size = out[start:header_end].split(b" ")
        if not size:
            found.append(object_id)
            start = header_end + 1
            continue
        start = header_end + 1 + int(size[0])
        body = out[header_end + 1 : start]
        start += 1
        hashed = hashlib.sha256 if len(object_id) == 64 else hashlib.sha1
        computed = hashed(b"%s %d\0%s" % (kind, len(body), body)).hexdigest()
        if computed != object_id or told.decode() != object_id:
            found.append(object_id)
    return found
