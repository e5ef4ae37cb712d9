"""What came over from a project of Runhouse v0.0.12, and what did not."""

from __future__ import annotations

import msgspec


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """An import, done or only tried."""

    folder: str
    """The project that was read."""
    is_dry_run: bool = False
    names: dict[str, str] = {}
    """What came over: full name to resource type."""
    kept: tuple[str, ...] = ()
    """Names that were here already, with the same content."""
    settings: dict[str, str] = {}
    """What of ``~/.rh/config.yaml`` is understood, and what it is called here."""
    not_understood: tuple[str, ...] = ()
    """What was left where it is, one sentence each: where it is, and why."""
    secrets: tuple[str, ...] = ()
    """Where secrets in clear text were found, one sentence each; never what they are."""
