"""One run, as it happens and ever after: its log, how it stands, and how it ended."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from rhdesk.errors import ConnectionFailed, RhdeskError, RunFailed
from rhdesk.foreign import clean
from rhdesk.models import ClusterState, Failure, LogLine, Run, RunStatus
from rhdesk_tui.away import Away, by_node
from rhdesk_tui.levels import ERRORS
from rhdesk_tui.log_file import save_log
from rhdesk_tui.messages import CopyText, OfferCopies, ShowInvoke
from rhdesk_tui.page import Page
from rhdesk_tui.screens.confirm import Confirm
from rhdesk_tui.spellings import Spelling, cli, of_run
from rhdesk_tui.widgets.command_bar import CommandBar
from rhdesk_tui.widgets.log_view import LogView
from rhdesk_tui.widgets.result_view import ResultView
from rhdesk_tui.wording import Saying, as_json, count, many, run_duration, say_run, size
from rhdesk_tui.workplace import Workplace

_FRAME_S: Final = 0.05
"""The log is drawn at most this often; lines that come faster share a frame."""
AGAIN_S: Final = 5.0
"""Between two tries to follow a run whose host is away."""
_HOST_S: Final = 3.0
_MOST_COPIED: Final = 5_000
_CLIPBOARD: Final = 74_994
"""Bytes most terminals take in one clipboard sequence."""


class RunScreen(Page):
    CSS_PATH = "run.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "Find", id="run.find", key_display="/", priority=True),
        Binding("n", "again(0)", "Next hit", id="run.next", show=False),
        Binding("N", "again(1)", "Hit before", id="run.previous", show=False),
        Binding("e", "error(0)", "Error", id="run.next_error"),
        Binding("E", "error(1)", "Error before", id="run.previous_error", show=False),
        Binding("at", "jump", "Line", id="run.jump", key_display="@", priority=True),
        Binding("y", "copy", "Copy", id="run.copy"),
        Binding("ctrl+s,S", "save", "Save", id="run.save", key_display="S"),
        Binding("c", "cancel", "Cancel", id="run.cancel"),
        Binding("r", "result", "Result", id="run.result", show=False),
        Binding("R", "reload", "Connect again", id="run.reload", show=False),
        Binding("i", "invoke", "Call again", id="run.invoke", show=False),
    ]  # fmt: skip

    def __init__(self, workplace: Workplace, run_id: str, *, line: int | None = None) -> None:
        super().__init__(workplace)
        self.run_id = run_id
        self.record: Run | None = None
        self._line = line
        self._fresh: list[LogLine] = []
        self._drawn_at = 0.0
        self._due: Timer | None = None
        self._marks: deque[tuple[float, int]] = deque(maxlen=40)
        self._value: Any = None
        self._has_value = False
        self.away = Away()

    def compose_body(self) -> ComposeResult:
        yield Static(id="shares")
        with Vertical(id="log-pane", classes="pane"):
            yield LogView(self._lines, id="log")
            yield Static(id="empty")
        yield ResultView(id="outcome", classes="pane")

    @property
    def log_view(self) -> LogView:
        return self.query_one(LogView)

    def path(self) -> tuple[str, ...]:
        run = self.record
        return ("Runs", f"{run.function if run else '…'} {self.run_id[:8]}")

    def truth(self) -> tuple[Saying, ...]:
        run = self.record
        if run is None:
            return ()
        said = [say_run(run.status), Saying(run_duration(run, self.now()), "")]
        lines = self.log_view.total if self.is_mounted else run.lines
        said.append(Saying(many(lines, "line"), ""))
        if not run.status.is_finished and (rate := self._rate()):
            said.append(Saying(f"{rate:,.0f}/s", "quiet"))
        said.append(Saying(f"on {run.cluster}", "quiet"))
        return tuple(said)

    async def on_mount(self) -> None:
        self.log_view.focus()
        self.begin(self._watch, "watch")
        self.set_interval(0.5, self._tick)
        self.set_interval(_HOST_S, self._look_around)

    async def _lines(self, start: int, stop: int) -> list[LogLine]:
        return await self.desk.lines(self.run_id, start, stop)

    # ---- following

    async def _watch(self) -> None:
        """Show the stored end, then what is still being printed, then how it ended."""
        self.record = run = await self.desk.run(self.run_id)
        self.run_id = run.run_id
        total = await self.desk.count_lines(run.run_id)
        await self.log_view.open(total)
        self._dress()
        if self._line is not None:
            await self.log_view.go_to(self._line)
        if not run.status.is_finished:
            self.record = await self._follow_to_the_end(run)
        self.away.is_back()
        self._dress()
        await self._show_outcome(self.record)
        await self._look_at_shares()

    async def _follow_to_the_end(self, run: Run) -> Run:
        """Follow it, again and again where its host is away; gives the run that ended."""
        told = False
        while True:
            try:
                await self._follow(self.log_view.total - 1)
                return await self.desk.wait(self.run_id)
            except ConnectionFailed as exc:
                self._flush()
                self.record = run = await self.desk.run(self.run_id)
                if run.status.is_finished:
                    return run
                self.away.is_away(self.now())
                if not told:
                    self.complain(
                        f"{exc}. The run goes on; its log is followed when {run.cluster} is back."
                    )
                    told = True
            self.away.tries_in(AGAIN_S)
            self._dress()
            await asyncio.sleep(AGAIN_S)

    async def _follow(self, last: int) -> None:
        async with aclosing(self.desk.follow(self.run_id, after=last)) as lines:
            async for line in lines:
                self.away.is_back()
                self._fresh.append(line)
                self._draw_soon()
                if self.record is not None and self.record.status is RunStatus.SUBMITTED:
                    self.record = await self.desk.run(self.run_id)
        self._flush()

    def _draw_soon(self) -> None:
        """The first line of a burst is drawn at once, the rest of it a frame later."""
        if self._due is not None:
            return
        wait = self._drawn_at + _FRAME_S - time.monotonic()
        if wait <= 0:
            self._flush()
        else:
            self._due = self.set_timer(wait, self._flush)

    def _flush(self) -> None:
        if self._due is not None:
            self._due.stop()
            self._due = None
        fresh, self._fresh = self._fresh, []
        if fresh and self.is_mounted:
            self._drawn_at = time.monotonic()
            total = fresh[-1].seq + 1
            self.log_view.extend(fresh, max(total, self.log_view.total))
            self._dress()

    def _rate(self) -> float:
        """Lines per second over the last seconds."""
        if len(self._marks) < 2:
            return 0.0
        (since, before), (until, after) = self._marks[0], self._marks[-1]
        return (after - before) / max(until - since, 0.001)

    def _tick(self) -> None:
        run = self.record
        if run is None or run.status.is_finished or not self.is_current:
            return
        self._marks.append((time.monotonic(), self.log_view.total))
        while len(self._marks) > 2 and self._marks[-1][0] - self._marks[0][0] > 4:
            self._marks.popleft()
        self.refresh_bar()
        if self.away:
            self._dress()
        if run.status is RunStatus.SUBMITTED:
            self.begin(self._look_again, "status")

    def _look_around(self) -> None:
        if self.record is not None and not self.record.status.is_finished and self.is_current:
            self.begin(self._look_at_host, "host")

    async def _look_at_host(self) -> None:
        """Whether the cluster it runs on can be reached, and how the shares of a map are."""
        if self.record is None:
            return
        seen = await self.desk.cluster(self.record.cluster)
        if seen.state is ClusterState.UNREACHABLE:
            self.away.is_away(seen.seen_at or self.now())
        elif seen.state is ClusterState.UP and not self.away.tries:
            self.away.is_back()
        self._dress()
        await self._look_at_shares()

    async def _look_at_shares(self) -> None:
        shares = await self.desk.shares(self.run_id)
        told = self.query_one("#shares", Static)
        told.display = bool(shares)
        told.update(by_node(shares))

    async def _look_again(self) -> None:
        if self.record is not None and not self.record.status.is_finished:
            self.record = await self.desk.run(self.run_id)
            self._dress()

    async def _show_outcome(self, run: Run) -> None:
        outcome = self.query_one(ResultView)
        ended = say_run(run.status).text
        if run.failure is not None:
            outcome.show_failure(run.failure, ended)
        elif run.status is RunStatus.SUCCEEDED:
            try:
                self._value = await self.desk.result(run.run_id)
            except RunFailed as exc:
                failure = Failure(kind=exc.code, message=str(exc), traceback=exc.remote_traceback)
                outcome.show_failure(failure, ended)
            except RhdeskError as exc:
                outcome.show_note("Result", f"{run.result_text}\n(in full: {exc})".strip())
            else:
                self._has_value = True
                outcome.show_result(self._value)
        elif run.status.is_finished:
            outcome.show_note(ended, "The run left no failure to show.")
        self.refresh_bindings()

    # ---- drawing

    @on(LogView.Changed)
    def _dress(self) -> None:
        """Say around the log what the log is doing."""
        run, log = self.record, self.log_view
        live = run is not None and not run.status.is_finished
        pane = self.query_one("#log-pane")
        if log.unseen:
            title = f"Log · paused · {many(log.unseen, 'new line')} below, End follows"
        elif run is not None and live and self.away:
            title = f"Log · {self.away.said(clean(run.cluster))}"
        elif live:
            title = "Log · following" if log.following else "Log · paused, End follows"
        else:
            title = "Log"
        pane.border_title = Content(title)
        said = [f"line {count(log.cursor + 1)} of {count(log.total)}"] if log.total else []
        if log.mark is not None:
            said.append(f"{count(len(log.selected))} selected")
        if log.needle:
            said.append(f"/{clean(log.needle[:20])}")
        if log.wrapping:
            said.append("wrapped")
        said.append("» stderr")
        pane.border_subtitle = Content(" · ".join(said))
        empty = self.query_one("#empty", Static)
        log.display = bool(log.total)
        empty.display = not log.total
        if not log.total:
            words = "◐ waiting for the first line…" if live else "This run printed nothing."
            empty.update(words if run is not None else "◐ reading…")
        elif self.focused is None and not self.bar.is_open:
            log.focus()
        self.refresh_bar()

    # ---- the line at the bottom

    def action_find(self) -> None:
        self.ask("/", note="Enter finds, n N go on")

    def action_jump(self) -> None:
        self.ask("@", note=f"1 to {count(self.log_view.total)}")

    def action_save(self) -> None:
        name = self.record.function if self.record else "run"
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.")
        where = Path.cwd() / f"{safe or 'run'}-{self.run_id[-8:]}.log"
        self.ask("save to", text=str(where), note="Enter saves")

    @on(CommandBar.Typed)
    def _find_typed(self, event: CommandBar.Typed) -> None:
        if event.sign == "/":
            self.log_view.needle = event.text

    def left(self, sign: str) -> None:
        if sign == "/":
            self.log_view.needle = ""
            self._dress()

    def entered(self, sign: str, text: str) -> None:
        if sign == "/":
            self.log_view.needle = text
            if text:
                self.begin(partial(self._find, backwards=False, here=True), "find")
        elif sign == "save to":
            if text:
                path = Path(text).expanduser()
                self.begin(partial(self._save, path), "save", exclusive=False)
        elif text.isdecimal():
            if self.log_view.total:
                self.begin(partial(self.log_view.go_to, int(text) - 1), "find")
        elif sign == "@" and text:
            self.notify(f"{text!r} is not a line number", severity="warning", markup=False)
        else:
            super().entered(sign, text)

    # ---- finding

    def action_again(self, backwards: int) -> None:
        if not self.log_view.needle:
            self.action_find()
        else:
            self.begin(partial(self._find, backwards=bool(backwards)), "find")

    async def _find(self, *, backwards: bool, here: bool = False) -> None:
        log = self.log_view
        start = log.cursor - 1 if here and not log.following else log.cursor
        if log.following:
            backwards = True
            start = log.total
        found = await self.desk.find_line(
            self.run_id, log.needle, after=start, backwards=backwards
        )
        if found is None and here and not backwards:
            found = await self.desk.find_line(
                self.run_id, log.needle, after=log.total, backwards=True
            )
        if found is None:
            where = "above" if backwards else "below"
            self.notify(f"no {log.needle!r} {where}", severity="warning", markup=False)
            return
        await log.go_to(found)

    def action_error(self, backwards: int) -> None:
        self.begin(partial(self._find_error, backwards=bool(backwards)), "find")

    async def _find_error(self, *, backwards: bool) -> None:
        log = self.log_view
        if log.following:
            backwards = True
        after = log.total if log.following else log.cursor
        found = await self.desk.find_level(self.run_id, ERRORS, after=after, backwards=backwards)
        if found is None:
            where = "above" if backwards else "below"
            self.notify(f"no error {where}", severity="information", markup=False)
            return
        await log.go_to(found)

    # ---- taking away

    def spellings(self) -> list[Spelling]:
        found = of_run(self.record) if self.record else []
        if self._has_value:
            value = self._value
            text = value if isinstance(value, str) else as_json(value, indent=2)
            found.append(Spelling("result", text))
        elif self.record and self.record.failure:
            failure = self.record.failure
            text = failure.traceback or f"{failure.kind}: {failure.message}"
            found.append(Spelling("traceback", text))
        return found

    def action_copy(self) -> None:
        if self.log_view.mark is not None:
            self.begin(self._copy_lines, "copy")
        else:
            self.begin(self._offer, "copy")

    async def _offer(self) -> None:
        log = self.log_view
        found = self.spellings()
        if log.total:
            lines = await self._lines(log.cursor, log.cursor + 1)
            if lines:
                found.insert(0, Spelling("line", lines[0].text))
        self.post_message(OfferCopies(found))

    async def _copy_lines(self) -> None:
        chosen = self.log_view.selected
        if len(chosen) > _MOST_COPIED:
            self.complain(
                f"{many(len(chosen), 'line')} are too many for a clipboard: S saves to a file",
                warning=True,
            )
            return
        lines = await self._lines(chosen.start, chosen.stop)
        text = "\n".join(line.text for line in lines)
        if len(text.encode()) > _CLIPBOARD:
            self.complain(f"{size(len(text))} are too much for a clipboard: S saves to a file",
                          warning=True)  # fmt: skip
            return
        self.log_view.mark = None
        self.post_message(CopyText(many(len(lines), "line"), text))

    async def _save(self, path: Path) -> None:
        total = self.log_view.total

        def progress(done: int) -> None:
            self.query_one("#log-pane").border_subtitle = f"saving {done / max(total, 1):.0%}"

        written = await save_log(self._lines, total, path, progress)
        self._dress()
        self.notify(f"saved {many(total, 'line')} ({size(written)}) to {path}", markup=False)

    # ---- acting on the run

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "cancel":
            return self.record is not None and not self.record.status.is_finished
        return super().check_action(action, parameters)

    def action_cancel(self) -> None:
        run = self.record
        if run is None or run.status.is_finished:
            return
        question = Confirm(
            f"Cancel {run.function} {run.run_id[:8]}?",
            "The function is stopped where it is, with the processes it started. What it has "
            "done so far stays done; its log and record stay here.",
            cli("cancel", run.run_id),
            "Cancel the run",
        )
        self.owner.push_screen(question, self._cancel_if)

    def _cancel_if(self, yes: bool | None) -> None:
        if yes:
            self.begin(self._cancel, "cancel")

    async def _cancel(self) -> None:
        await self.desk.cancel(self.run_id)
        self.notify("cancelling: the run ends within seconds", markup=False)

    def action_result(self) -> None:
        """Give the result the room, or give it back."""
        self.toggle_class("-outcome")
        outcome = self.query_one(ResultView)
        if self.has_class("-outcome") and outcome.display:
            outcome.focus()
        else:
            self.remove_class("-outcome")
            self.log_view.focus()

    def action_invoke(self) -> None:
        if self.record is not None:
            self.post_message(ShowInvoke(self.record.function))

    def action_reload(self) -> None:
        self.begin(self._watch, "watch")

    def action_back(self) -> None:
        log = self.log_view
        if self.has_class("-outcome"):
            self.action_result()
        elif log.mark is not None:
            log.mark = None
            self._dress()
        elif log.needle:
            log.needle = ""
            self._dress()
        else:
            super().action_back()
