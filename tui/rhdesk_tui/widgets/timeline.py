"""The steps of a long action one below the other, what each said folded under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget
from textual.widgets import Static

from rhdesk.foreign import clean, clean_block
from rhdesk.models import Step, StepState
from rhdesk_tui.jobs import Job
from rhdesk_tui.widgets.resource_list import fit
from rhdesk_tui.wording import STYLES, duration, many, say_step

_LIVE: Final = 4
"""Lines shown of a step at work, its newest."""
_OPEN: Final = 200
_WIDEST: Final = 34


class Timeline(Static, can_focus=True):
    """A step that is at work, or failed, shows its last lines; Enter unfolds any."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "fold", "Output", id="job.fold", key_display="Enter"),
        Binding("up,k", "move(-1)", "Step before", id="job.previous", show=False),
        Binding("down,j", "move(1)", "Next step", id="job.next", show=False),
    ]
    DEFAULT_CSS = """
    Timeline { height: auto; }
    """

    def __init__(self, job: Job, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.job = job
        self._at: int | None = None
        """The step a person chose; None follows the newest."""
        self._unfolded: set[str] = set()
        self._tops: list[int] = []

    @property
    def at(self) -> int:
        """The step the mark is on; -1 while there is none."""
        last = len(self.job.steps) - 1
        return last if self._at is None else min(self._at, last)

    def show(self) -> None:
        """Draw the job as it is now."""
        if not self.job.steps:
            self._at = None
        lines: list[Content] = []
        self._tops = []
        for number, step in enumerate(self.job.steps):
            self._tops.append(len(lines))
            lines += self._step(step, chosen=number == self.at)
        if not lines and not self.job.is_finished:
            lines.append(Content.styled("◐ starting: nothing to report yet", STYLES["accent"]))
        lines += ending(self.job)
        self.update(Content("\n").join(lines))

    def _step(self, step: Step, *, chosen: bool) -> list[Content]:
        saying = say_step(step.state)
        sign, word = saying.text.split(" ", 1)
        wide = min(max(len(clean(each.what)) for each in self.job.steps), _WIDEST)
        said = self.job.said.get(step.what, ())
        ends = step.state in {StepState.DONE, StepState.FAILED}
        note = step.detail if ends or not said else ""
        if ends and said and step.what not in self._unfolded:
            note = f"{note}  ⏎ {many(len(said), 'line')}".strip()
        head = Content.assemble(
            ("▌" if chosen and self.has_focus else " ", STYLES["accent"]),
            (f"{sign} ", STYLES[saying.tone]),
            (f"{fit(clean(step.what), wide):<{wide}} ", "bold"),
            (f"{word:<8}", STYLES[saying.tone]),
            f"{duration(step.elapsed_s):>6}  ",
            (clean(note), STYLES["quiet"]),
        )
        shown = list(self._shown(step, said))
        if step.detail and step.what in self._unfolded and ends:
            shown.append(step.detail)
        width = max(self.size.width, 20)
        return [head.truncate(width, ellipsis=True), *map(self._output, shown)]

    def _shown(self, step: Step, said: Sequence[str]) -> list[str]:
        if step.what in self._unfolded:
            return list(said)[-_OPEN:]
        return [] if step.state is StepState.DONE else list(said)[-_LIVE:]

    def _output(self, line: str) -> Content:
        """One line of output, cut where it meets the edge; Copy has all of it."""
        text = Content.assemble(("   │ ", STYLES["quiet"]), (clean(line), STYLES["quiet"]))
        return text.truncate(max(self.size.width, 20), ellipsis=True)

    def on_resize(self) -> None:
        self.show()

    def on_focus(self) -> None:
        self.show()

    def on_blur(self) -> None:
        self.show()

    def action_move(self, by: int) -> None:
        if self.job.steps:
            self._at = max(0, min(self.at + by, len(self.job.steps) - 1))
            self.show()
            self._bring_into_view(self._tops[self._at])

    def _bring_into_view(self, line: int) -> None:
        pane = self.parent
        if isinstance(pane, Widget):
            region = Region(0, self.virtual_region.y + line, 1, 1)
            pane.scroll_to_region(region, animate=False)

    def action_fold(self) -> None:
        if self.job.steps:
            self._unfolded ^= {self.job.steps[self.at].what}
            self.show()


def ending(job: Job) -> list[Content]:
    """How it ended, what to do about it, and the same as a command."""
    lines = [Content("")]
    if job.error:
        lines.append(Content.styled(f"✖ {clean_block(job.error)}", STYLES["bad"]))
        if job.output:
            lines += [Content(""), Content.styled("It printed", "bold"),
                      Content(clean_block(job.output))]  # fmt: skip
        lines.append(Content(""))
        if job.cluster:
            look = f"→ d looks at everything {clean(job.cluster)} needs, one by one; r tries again"
            lines.append(Content.styled(look, STYLES["accent"]))
        else:
            lines.append(Content.styled("→ r tries again", STYLES["accent"]))
    elif job.is_finished:
        skipped = any(s.state is StepState.FAILED for s in job.steps)
        words = "✓ Done." + (" Some steps failed." if skipped else "")
        lines.append(Content.styled(words, STYLES["good"]))
    lines.append(Content.assemble(("CLI  ", STYLES["quiet"]), clean(job.cli)))
    return lines
