"""Telling a step while it is taken."""

from __future__ import annotations

from collections.abc import Callable

from rhdesk.models import Step, StepState


class Telling:
    """Makes the events of one step; its time runs from here.

    Args:
        clock: Seconds, from any origin.
    """

    def __init__(self, what: str, clock: Callable[[], float]) -> None:
        self._what = what
        self._clock = clock
        self._began = clock()

    def started(self, detail: str = "") -> Step:
        return self._step(StepState.STARTED, detail)

    def progress(self, detail: str) -> Step:
        return self._step(StepState.PROGRESS, detail)

    def done(self, detail: str = "") -> Step:
        return self._step(StepState.DONE, detail)

    def failed(self, detail: str) -> Step:
        return self._step(StepState.FAILED, detail)

    def _step(self, state: StepState, detail: str) -> Step:
        elapsed_s = self._clock() - self._began
        return Step(what=self._what, state=state, detail=detail, elapsed_s=elapsed_s)
