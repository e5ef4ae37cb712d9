"""A long action, step by step; leaving the screen does not stop it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from rhdesk.foreign import clean, clean_block
from rhdesk.models import StepState
from rhdesk_tui.jobs import Job
from rhdesk_tui.messages import OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling
from rhdesk_tui.wording import STYLES, duration, say_step
from rhdesk_tui.workplace import Workplace


class JobScreen(Page):
    CSS_PATH = "job.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", "Copy", id="job.copy")]

    def __init__(self, workplace: Workplace, job: Job) -> None:
        super().__init__(workplace)
        self.job = job

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="steps", classes="pane"):
            yield Static(id="timeline")

    def path(self) -> tuple[str, ...]:
        return ("Jobs", self.job.title)

    def on_mount(self) -> None:
        self.query_one("#steps").focus()
        self.changed()

    def changed(self) -> None:
        """Draw the job as it is now."""
        job = self.job
        pane = self.query_one("#steps")
        pane.border_title = Content(clean(job.title))
        pane.border_subtitle = "" if job.is_finished else "Esc leaves it running"
        self.query_one("#timeline", Static).update(_timeline(job))
        self.refresh_bar()

    def spellings(self) -> list[Spelling]:
        steps = "\n".join(f"{s.state:<8} {s.elapsed_s:7.1f}s  {s.what}  {s.detail}"
                          for s in self.job.steps)  # fmt: skip
        found = [Spelling("as CLI", self.job.cli), Spelling("steps", steps)]
        if self.job.error:
            found.append(Spelling("error", f"{self.job.error}\n{self.job.output}".strip()))
        return found

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def _timeline(job: Job) -> Content:
    lines: list[Content] = []
    for step in job.steps:
        saying = say_step(step.state)
        sign, word = saying.text.split(" ", 1)
        lines.append(
            Content.assemble(
                (f"{sign} ", STYLES[saying.tone]),
                (f"{clean(step.what):<26} ", "bold"),
                (f"{word:<8}", STYLES[saying.tone]),
                f"{duration(step.elapsed_s):>6}  ",
                (clean(step.detail), STYLES["quiet"]),
            )
        )
    if not job.steps and not job.is_finished:
        lines.append(Content.styled("◐ starting: nothing to report yet", STYLES["accent"]))
    lines.append(Content(""))
    if job.error:
        lines.append(Content.styled(f"✖ {clean(job.error)}", STYLES["bad"]))
        if job.output:
            lines += [Content(""), Content.styled("It printed", "bold"),
                      Content(clean_block(job.output))]  # fmt: skip
    elif job.is_finished:
        skipped = any(s.state is StepState.FAILED for s in job.steps)
        lines.append(Content.styled("✓ Done." + (" Some steps failed." if skipped else ""),
                                    STYLES["good"]))  # fmt: skip
    lines.append(Content.assemble(("CLI  ", STYLES["quiet"]), clean(job.cli)))
    return Content("\n").join(lines)
