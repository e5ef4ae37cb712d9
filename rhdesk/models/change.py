"""What differs between two versions of a resource."""

from __future__ import annotations

from typing import Any

import msgspec


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """One field that differs."""

    pointer: str
    """Where it is, as a JSON pointer: ``/env/reqs``."""
    kind: str
    """``added``, ``removed`` or ``changed``."""
    before: Any = None
    after: Any = None


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a function's or module's code that differs."""

    path: str
    kind: str
    """``added``, ``removed`` or ``changed``."""
    lines: tuple[str, ...] = ()
    """A unified diff; empty where a side is not text, or no longer kept here."""


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """Two versions, and what differs."""

    before: str
    """A name with its version, ``~/train@1a2b3c``."""
    after: str
    fields: tuple[FieldChange, ...] = ()
    files: tuple[FileChange, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.fields and not self.files
