"""Where a saved function or module answers calls by name."""

from __future__ import annotations

import msgspec


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """A name on one environment of a cluster, after a new version of it was saved."""

    cluster: str
    env: str
    is_current: bool
    """Whether calls by name land on the saved version; if not, they land on what was there."""
    instance: str = ""
    """Of a module that has an instance there: ``kept``, ``moved`` with its state to the new code,
    or ``made anew`` because its class changed."""
    why: str = ""
    """Why it is not current, or why its instance is as it was."""
    took_s: float = 0.0
    """From the question to the first call on the new version."""
