"""What a long action is doing, said while it does it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class StepState(StrEnum):
    STARTED = "started"
    PROGRESS = "progress"
    DONE = "done"
    FAILED = "failed"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one step; a step begins STARTED and ends DONE or FAILED."""

    what: str
    """The step, for a person: "start Ray"."""
    state: StepState
    detail: str = ""
    """One line: what it is doing, or how it ended."""
    elapsed_s: float = 0.0
    """Seconds since the step started."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing `doctor` looked at."""

    what: str
    ok: bool
    evidence: str
    """What was seen."""
    remedy: str = ""
    """What to do about it; empty when ok."""
