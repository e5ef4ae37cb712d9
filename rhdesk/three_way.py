"""What changed between two JSON objects, and what two people changed, merged: field by field.

A field is named by its JSON pointer (RFC 6901): ``/env/reqs``. Objects are looked into; lists and
everything else count as one value. ``1``, ``1.0`` and ``true`` are different values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from rhdesk.models import FieldChange

T = TypeVar("T")


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


_ABSENT: Final = _Absent()


class Merged(NamedTuple):
    """What `merge` made of two changes."""

    fields: dict[str, Any]
    """Where both changed the same field, it holds theirs."""
    overlaps: list[str]
    """Pointers of the fields both changed, each to something else; sorted."""


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    """The fields that differ, in order of their pointers."""
    found: list[FieldChange] = []
    _compare("", before, after, found)
    return sorted(found, key=lambda change: change.pointer)


def merge(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Merged:
    """Both changes to *base*: a field only one side changed is that side's."""
    overlaps: list[str] = []
    return Merged(_merge_objects("", base, ours, theirs, overlaps), sorted(overlaps))


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are spelled the same."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict | list):
        return one == other and _spelled(one) == _spelled(other)
    return bool(one == other)


class Found(NamedTuple):
    value: Any


def at(fields: Mapping[str, Any], pointer: str) -> Found | None:
    """What is at *pointer*, "" for all of it; None where nothing is."""
    value: Any = fields
    for part in _parts(pointer):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return Found(value)


def take(fields: Mapping[str, Any], pointer: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """*fields* with the field at *pointer* as it is in *source*; gone if it is not there."""
    return _take(fields, _parts(pointer), source)


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _take(fields: Mapping[str, Any], parts: list[str], source: Any) -> dict[str, Any]:
    taken = dict(fields)
    name, *rest = parts
    value = source.get(name, _ABSENT) if isinstance(source, Mapping) else _ABSENT
    inner = taken.get(name)
    if rest and isinstance(inner, Mapping):
        taken[name] = _take(inner, rest, value)
    elif rest:
        taken[name] = _take({}, rest, value)
    elif value is _ABSENT:
        taken.pop(name, None)
    else:
        taken[name] = value
    return taken


def _compare(
    pointer: str, before: Mapping[str, Any], after: Mapping[str, Any], found: list[FieldChange]
) -> None:
    for name in before.keys() | after.keys():
        here = f"{pointer}/{_escaped(name)}"
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            _compare(here, old, new, found)
        elif old is _ABSENT:
            found.append(FieldChange(pointer=here, kind="added", after=new))
        elif new is _ABSENT:
            found.append(FieldChange(pointer=here, kind="removed", before=old))
        elif not same(old, new):
            found.append(FieldChange(pointer=here, kind="changed", before=old, after=new))


def _merge_objects(
    pointer: str,
    base: Mapping[str, Any],
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    overlaps: list[str],
) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in sorted(ours.keys() | theirs.keys()):
        here = f"{pointer}/{_escaped(name)}"
        b, o, t = (side.get(name, _ABSENT) for side in (base, ours, theirs))
        if isinstance(o, Mapping) and isinstance(t, Mapping):
            b = b if isinstance(b, Mapping) else {}
            value: Any = _merge_objects(here, b, o, t, overlaps)
        elif same(o, b) or same(o, t):
            value = t
        elif same(t, b):
            value = o
        else:
            overlaps.append(here)
            value = t
        if value is not _ABSENT:
            merged[name] = value
    return merged


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _spelled(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")
