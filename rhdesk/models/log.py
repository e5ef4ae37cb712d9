"""One line a run printed."""

from __future__ import annotations

from typing import Literal

import msgspec

Stream = Literal["stdout", "stderr"]


class LogLine(msgspec.Struct, frozen=True):
    run_id: str
    seq: int
    """0-based position in the run's log; lets a broken stream resume where it stopped."""
    stream: Stream
    at: float
    """Seconds since the epoch, by the cluster's clock, when the line was printed."""
    text: str
    """Without its newline; control bytes are gone (see `rhdesk.foreign`)."""


class LogHit(msgspec.Struct, frozen=True):
    """A line a search found."""

    line: LogLine
    function: str
    cluster: str
