"""Long actions that go on while other screens are shown: a cluster coming up, an env built."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from rhdesk.errors import RhdeskError, SetupFailed
from rhdesk.models import Step, StepState

_KEPT = 500
"""Lines kept of what one step said."""


@dataclass
class Job:
    """One action and the steps it went through.

    Attributes:
        title: What it does, for a person: ``up here``.
        cli: The same as a command.
        start: Begins it, and begins it again.
        cluster: The one it brings up or down; a doctor can look at it.
    """

    title: str
    cli: str
    start: Callable[[], AsyncGenerator[Step]]
    cluster: str = ""
    steps: list[Step] = field(default_factory=list[Step])
    is_finished: bool = False
    error: str = ""
    output: str = ""
    """What the failing step printed."""
    said: dict[str, deque[str]] = field(default_factory=dict[str, deque[str]])
    """What each step said while it was at work, oldest first, by the step's name."""

    @property
    def now(self) -> str:
        """The step it is at, in words."""
        if self.error:
            return "failed"
        if self.is_finished:
            return "done"
        if not self.steps:
            return "starting"
        step = self.steps[-1]
        return f"{step.what}: {step.detail}" if step.detail else step.what

    def note(self, step: Step) -> None:
        """Take in one event; a step that is known by name is brought up to date."""
        if step.state is StepState.PROGRESS and step.detail:
            self.said.setdefault(step.what, deque(maxlen=_KEPT)).append(step.detail)
        for at in range(len(self.steps) - 1, -1, -1):
            if self.steps[at].what == step.what:
                self.steps[at] = step
                return
        self.steps.append(step)

    async def follow(self, changed: Callable[[], None]) -> None:
        """Run to the end, from the beginning; a failure is kept, not raised."""
        self.is_finished, self.error, self.output = False, "", ""
        self.steps.clear()
        self.said.clear()
        try:
            async with aclosing(self.start()) as steps:
                async for step in steps:
                    self.note(step)
                    changed()
                    if step.state is StepState.FAILED:
                        self.error = self.error or f"{step.what}: {step.detail or 'failed'}"
        except SetupFailed as exc:
            self.error = str(exc)
            self.output = exc.output
        except RhdeskError as exc:
            self.error = str(exc)
        finally:
            self.is_finished = True
            changed()
