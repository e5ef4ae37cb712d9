"""``config.json``: how a record is written down, and how one is read that a person has edited.

The file is Runhouse v0.0.12's: indented JSON with ``name``, ``resource_type`` and
``resource_subtype``. What decides whether two files say the same is their canonical spelling
(sorted, without blanks), so indenting by hand is no new version.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final, cast

import msgspec

from rhdesk.errors import BadInput
from rhdesk.foreign import clean
from rhdesk.wire.canonical import spell, version_of

BROKEN: Final = "broken"
"""The resource type of a file that cannot be read as a record."""

_BYTE: Final = re.compile(r"\(byte (\d+)\)$")


class Config(msgspec.Struct, frozen=True):
    """What one ``config.json`` says."""

    resource_type: str
    canonical: str
    """ASCII JSON; of a broken file, an object that tells what is wrong with it."""
    version: str
    """40 hex digits of the SHA-256 of the canonical spelling; of a broken file, of its bytes."""
    data: bytes
    """The file."""

    @property
    def fields(self) -> dict[str, Any]:
        return msgspec.json.decode(self.canonical, type=dict[str, Any])

    def blob_id(self, commit: str) -> str:
        """What git calls the file; *commit* tells which hash the repository uses."""
        kind = hashlib.sha256 if len(commit) == 64 else hashlib.sha1
        return kind(b"blob %d\0%s" % (len(self.data), self.data)).hexdigest()


def write(name: str, resource_type: str, fields: dict[str, Any]) -> Config:
    """Spell *fields* as the file of *name*; what v0.0.12 needs to read it is filled in.

    Raises:
        BadInput: *fields* hold something JSON cannot.
    """
    if not resource_type or resource_type == BROKEN:
        raise BadInput(f"cannot save {name}: {resource_type!r} is not a type of resource")
    try:
        told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(fields))
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise BadInput(f"cannot save {name}: its config is not JSON: {exc}") from exc
    told |= {"name": name, "resource_type": resource_type}
    told.setdefault("resource_subtype", resource_type.capitalize())
    data = json.dumps(told, sort_keys=True, indent=4).encode("ascii") + b"\n"
    return _config(told, data)


def read(data: bytes) -> Config:
    """Read a file; one that is no record comes back as `BROKEN`, saying why and in which line."""
    try:
        told: Any = msgspec.json.decode(data)
    except (ValueError, RecursionError) as exc:
        return _broken(data, str(exc))
    if not isinstance(told, dict):
        return _broken(data, "a record is a JSON object, { ... }")
    fields = cast("dict[str, Any]", told)
    if not isinstance(fields.get("resource_type"), str):
        return _broken(data, "the member resource_type is missing")
    return _config(fields, data)


def complaint(file: str, fields: dict[str, Any]) -> str:
    """What to tell about a broken file, from the fields `read` gave it."""
    return f"{file}, line {fields['line']}: {fields['error']}"


def _config(fields: dict[str, Any], data: bytes) -> Config:
    canonical = spell(fields)
    return Config(clean(fields["resource_type"]), canonical, version_of(canonical), data)


def _broken(data: bytes, error: str) -> Config:
    at = _BYTE.search(error)
    position = int(at[1]) if at else len(data) if "truncated" in error else 0
    line = data.count(b"\n", 0, position) + 1
    told = {"error": clean(error), "line": line}
    return Config(BROKEN, spell(told), hashlib.sha256(data).hexdigest()[:40], data)
