"""A setting: what it is, and everybody who had a say in it."""

from __future__ import annotations

from typing import Any

import msgspec


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer says."""

    layer: str
    """``default``, ``old`` (of v0.0.12), ``user``, ``project``, ``environment`` or ``command``."""
    where: str
    """The file, or the variable."""
    value: Any


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: Any
    about: str
    said: tuple[Said, ...]
    """Weakest first; the last one is what holds."""
    variable: str
    """What sets it in the environment."""

    @property
    def source(self) -> Said:
        """Who decided."""
        return self.said[-1]


class Flaw(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong in a settings file."""

    where: str
    """The file, with the line where it is known: ``config.toml:3``."""
    what: str
    remedy: str = ""
