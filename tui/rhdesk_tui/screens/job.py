"""A long action, step by step; leaving the screen does not stop it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content

from rhdesk.foreign import clean
from rhdesk_tui.jobs import Job
from rhdesk_tui.messages import AgainJob, OfferCopies, ShowChecks
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling
from rhdesk_tui.widgets.timeline import Timeline
from rhdesk_tui.workplace import Workplace


class JobScreen(Page):
    CSS_PATH = "job.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again", "Try again", id="job.again"),
        Binding("d", "check", "Doctor", id="job.doctor"),
        Binding("y", "copy", "Copy", id="job.copy"),
    ]

    def __init__(self, workplace: Workplace, job: Job) -> None:
        super().__init__(workplace)
        self.job = job

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="steps", classes="pane"):
            yield Timeline(self.job, id="timeline")

    def path(self) -> tuple[str, ...]:
        return ("Jobs", self.job.title)

    def on_mount(self) -> None:
        self.query_one(Timeline).focus()
        self.changed()

    def changed(self) -> None:
        """Draw the job as it is now."""
        if not self.query(Timeline):  # a job may fail before its screen is there
            return
        job = self.job
        pane = self.query_one("#steps")
        pane.border_title = Content(clean(job.title))
        pane.border_subtitle = "" if job.is_finished else "Esc leaves it running"
        self.query_one(Timeline).show()
        if not job.is_finished:
            pane.scroll_end(animate=False)
        self.refresh_bar()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "again":
            return bool(self.job.error)
        if action == "check":
            return bool(self.job.cluster) and self.job.is_finished
        return super().check_action(action, parameters)

    def action_again(self) -> None:
        self.post_message(AgainJob(self.job))

    def action_check(self) -> None:
        self.post_message(ShowChecks(self.job.cluster))

    def spellings(self) -> list[Spelling]:
        steps = "\n".join(f"{s.state:<8} {s.elapsed_s:7.1f}s  {s.what}  {s.detail}"
                          for s in self.job.steps)  # fmt: skip
        found = [Spelling("as CLI", self.job.cli), Spelling("steps", steps)]
        if said := [f"{what}: {line}" for what, lines in self.job.said.items() for line in lines]:
            found.append(Spelling("output", "\n".join(said)))
        if self.job.error:
            found.append(Spelling("error", f"{self.job.error}\n{self.job.output}".strip()))
        return found

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))
