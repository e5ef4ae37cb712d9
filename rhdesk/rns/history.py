"""What changed from one version of a config to the next, in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from rhdesk.foreign import clean

_LONGEST_VALUE: Final = 24
_MOST_FIELDS: Final = 4
_UNTOLD: Final = {"name"}
"""Fields that say nothing a history does not say anyway."""


def summary(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """``alpha 0.1 -> 0.3, added gpu``; None stands for a name that was not there."""
    if after is None:
        return "deleted"
    if before is None:
        return "created"
    told: list[str] = []
    for field in changed_fields(before, after):
        if field in _UNTOLD:
            continue
        if field not in before:
            told.append(f"added {clean(field)}")
        elif field not in after:
            told.append(f"removed {clean(field)}")
        else:
            old, new = _short(before[field]), _short(after[field])
            told.append(f"{clean(field)} {old} -> {new}" if old and new else clean(field))
    if len(told) > _MOST_FIELDS:
        told[_MOST_FIELDS - 1 :] = [f"and {len(told) - _MOST_FIELDS + 1} more"]
    return ", ".join(told) or "unchanged"


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The fields that differ, in order."""
    return sorted(
        field
        for field in before.keys() | after.keys()
        if (field in before) != (field in after) or before.get(field) != after.get(field)
    )


def _short(value: Any) -> str:
    """A value as a summary shows it; "" if it is too long to be shown."""
    if isinstance(value, str):
        text = value if value.isprintable() and value and " " not in value else ""
    elif isinstance(value, Mapping | list):
        text = ""
    else:
        text = msgspec.json.encode(value).decode()
    return clean(text) if len(text) <= _LONGEST_VALUE else ""
