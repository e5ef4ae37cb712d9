"""How a run ended, as the caller meets it: a value, or the error it deserves."""

from __future__ import annotations

from rhdesk.errors import (
    RhdeskError,
    RunCancelled,
    RunFailed,
    RunLost,
    RunTimedOut,
    error_classes,
)
from rhdesk.models import Away, Failure, Run, RunStatus
from rhdesk.wire.messages import Fault, error_of

_BY_KIND = {cls.code: cls for cls in (RunCancelled, RunTimedOut, RunLost)}


def raise_failure(run: Run) -> None:
    """Raise what a finished run failed with; nothing for one that succeeded.

    Raises:
        RunFailed: The function raised.
        RunCancelled, RunTimedOut, RunLost: It ended otherwise.
    """
    if run.status is RunStatus.SUCCEEDED:
        return
    failure = run.failure or Failure(kind=str(run.status), message="no reason was recorded")
    if run.status is RunStatus.LOST:
        raise RunLost(failure.message, run_id=run.run_id)
    raise failure_error(failure, run.run_id)


def describe_away(run: Run, away: Away | None) -> str:
    """What a person who waits for a run is told when its host goes away, and when it is back."""
    where = run.node or run.cluster
    if away is None:
        return f"{where} is reachable again"
    return (
        f"{where} is not reachable since {away.since.astimezone():%H:%M:%S}: {away.why}; "
        f"the run goes on there, and is followed again when {where} is back"
    )


def failure_error(failure: Failure, run_id: str) -> RhdeskError:
    """The error a failure deserves: one of ours by its code, else `RunFailed`."""
    known = error_classes().get(failure.kind)
    if known is not None and not issubclass(known, RunFailed):
        return error_of(Fault(code=failure.kind, message=failure.message))
    cls = _BY_KIND.get(failure.kind, RunFailed)
    message = failure.message
    if cls is RunFailed:
        kind = failure.kind.removeprefix("builtins.")
        message = f"{kind}: {message}" if message else kind
    return cls(message, run_id=run_id, remote_traceback=failure.traceback)
