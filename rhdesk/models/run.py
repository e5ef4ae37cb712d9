"""One call of one function on one cluster, from submission to its end."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class RunStatus(StrEnum):
    SUBMITTED = "submitted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """The process that ran it died; whether the function finished is unknown."""

    @property
    def is_finished(self) -> bool:
        return self in {
            RunStatus.SUCCEEDED,
            RunStatus.FAILED,
            RunStatus.CANCELLED,
            RunStatus.LOST,
        }


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run did not succeed. Text only: nothing here is ever unpickled."""

    kind: str
    """Qualified class name of the exception, or an rhdesk error code."""
    message: str
    traceback: str = ""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    run_id: str
    """Also the idempotency key of the call: the far side runs it at most once."""
    function: str
    """Name of the function or module, ``~/digits`` or the bare name of one never saved."""
    method: str = "call"
    cluster: str
    env: str = "base"
    status: RunStatus = RunStatus.SUBMITTED
    submitted_at: datetime
    """UTC."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    code_tree: str = ""
    """Hash of the code the call named; empty for code that travelled by value."""
    inputs: str = ""
    """Hash of the encoded arguments."""
    inputs_text: str = ""
    """The arguments for a person, cut to 200 characters."""
    result: str = ""
    """Hash of the encoded result."""
    result_text: str = ""
    """The result for a person, cut to 200 characters."""
    failure: Failure | None = None
    lines: int = 0
    """Log lines stored so far."""
    pinned: bool = False
    """Retention never removes a pinned run."""
    origin: dict[str, Any] = {}
    """Who asked: program, user, host."""
    node: str = ""
    """The machine of the cluster it runs on; empty is the head, or of a map several."""
    share_of: str = ""
    """Run id of the map that this run is a share of."""


class Away(msgspec.Struct, frozen=True, kw_only=True):
    """A run cannot be reached now. It goes on where it is."""

    since: datetime
    """UTC."""
    why: str
