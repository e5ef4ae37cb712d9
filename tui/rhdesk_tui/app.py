"""The application: opens screens when they are asked for, and keeps what is said."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, RhdeskError
from rhdesk.foreign import clean_block
from rhdesk.loops.keeper import Keeper
from rhdesk.models import ClusterSpec, Name, Pulled, Step, StepState
from rhdesk_tui.commands import DeskCommands, run_line
from rhdesk_tui.jobs import Job
from rhdesk_tui.messages import (
    AgainJob,
    BeginJob,
    BeginWatch,
    BringBack,
    BringUp,
    CopyText,
    EndWatch,
    OfferCopies,
    SendFolder,
    ShowChecks,
    ShowCluster,
    ShowConflict,
    ShowConflicts,
    ShowDiff,
    ShowHistory,
    ShowInvoke,
    ShowLineage,
    ShowRun,
    ShowTable,
    TypedCommand,
)  # fmt: skip
from rhdesk_tui.page import Page, Work
from rhdesk_tui.said import Said
from rhdesk_tui.screens.asking import ScreenAsks
from rhdesk_tui.screens.explorer import Explorer
from rhdesk_tui.screens.job import JobScreen
from rhdesk_tui.screens.watch import WatchScreen
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.table_view import TableSource
from rhdesk_tui.themes import DARK, LIGHT
from rhdesk_tui.watching import Following
from rhdesk_tui.widgets.command_bar import CommandBar
from rhdesk_tui.wording import say_store
from rhdesk_tui.workplace import Workplace

_FIRST_S = 0.5
"""The first screen comes first."""
_LOADED_S = 4.0


def _leave_alone_what_is_loaded() -> None:
    """Modules, screens and styles stay: the collector need not walk through them on every key.

    A full collection takes as long as five keys to paint; what is made later is collected in good
    time, if less often than a program without a screen would.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


class DeskApp(App[None]):
    TITLE = "rhdesk"
    CSS_PATH = ["app.tcss", "screens/explorer.tcss"]  # noqa: RUF012 - typed by the base class
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {DeskCommands}
    PAUSE_GC_ON_SCROLL: ClassVar[bool] = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", id="app.help", key_display="?"),
        Binding("M", "said", "Messages", id="app.messages", show=False),
        Binding("J", "job", "Newest job", id="app.job", show=False),
        Binding("T", "other_theme", "Light or dark", id="app.theme", show=False),
        Binding("ctrl+p", "command_palette", "Palette", id="app.palette", show=False),
    ]

    def __init__(
        self, desk: AsyncDesk, *, now: Callable[[], datetime] | None = None, theme: str = DARK.name
    ) -> None:
        super().__init__()
        self.workplace = Workplace(desk) if now is None else Workplace(desk, now)
        self.desk = desk
        self.animation_level = "none"
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = theme if theme in {DARK.name, LIGHT.name} else DARK.name

    def get_default_screen(self) -> Screen[None]:
        return Explorer(self.workplace)

    def on_ready(self) -> None:
        _leave_alone_what_is_loaded()
        self.desk.asks = ScreenAsks(self)
        _: Worker[None] = self.run_worker(self._keep, group="home", exit_on_error=False)
        self.set_timer(_LOADED_S, _leave_alone_what_is_loaded)

    async def _keep(self) -> None:
        """While the desk is open and no daemon runs, do what the daemon would."""
        await asyncio.sleep(_FIRST_S)
        await Keeper(self.desk, yields=True).keep()

    # ---- saying

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a toast, and keep it; what it says is text, never markup."""
        text = clean_block(message)
        self.workplace.said.add(Said(self.workplace.now(), severity, text))
        if len(text) > 400:
            text = text[:400] + "… (M shows all)"
        super().notify(text, title=title, severity=severity, timeout=timeout, markup=False)

    def begin(self, work: Work, group: str) -> None:
        """Start work that no screen owns."""
        _: Worker[None] = self.run_worker(
            partial(self._guarded, work), group=group, exit_on_error=False
        )

    async def _guarded(self, work: Work) -> None:
        try:
            await work()
        except RhdeskError as exc:
            self.notify(str(exc), severity="error")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            error = event.worker.error  # pyright: ignore[reportUnknownMemberType]
            self.notify(
                f"rhdesk itself went wrong ({type(error).__name__}: {error})", severity="error"
            )

    # ---- screens, by what is asked for

    @on(ShowRun)
    def _show_run(self, event: ShowRun) -> None:
        self.show_run(event.run_id, line=event.line)

    @on(ShowInvoke)
    def _show_invoke(self, event: ShowInvoke) -> None:
        self.show_invoke(event.target)

    @on(ShowHistory)
    def _show_history(self, event: ShowHistory) -> None:
        self.show_history(event.name)

    @on(ShowCluster)
    def _show_cluster(self, event: ShowCluster) -> None:
        self.show_cluster(event.name)

    @on(ShowTable)
    def _show_table(self, event: ShowTable) -> None:
        self.show_table(event.source)

    @on(ShowDiff)
    def _show_diff(self, event: ShowDiff) -> None:
        self.show_diff(event.before, event.after)

    @on(ShowLineage)
    def _show_lineage(self, event: ShowLineage) -> None:
        self.show_lineage(event.name, down=event.down)

    @on(ShowConflicts)
    def _show_conflicts(self, event: ShowConflicts) -> None:
        self.show_conflicts()

    @on(ShowConflict)
    def _show_conflict(self, event: ShowConflict) -> None:
        from rhdesk_tui.screens.conflict import ConflictScreen

        self.push_screen(ConflictScreen(self.workplace, event.conflict))

    @on(CopyText)
    def _copy_text(self, event: CopyText) -> None:
        self.copy(event.what, event.text)

    @on(OfferCopies)
    def _offer_copies(self, event: OfferCopies) -> None:
        from rhdesk_tui.screens.copy_menu import CopyMenu

        self.push_screen(CopyMenu(event.spellings), self._copy_chosen)

    @on(BeginJob)
    def _begin_job(self, event: BeginJob) -> None:
        self.start_job(event.title, event.cli, event.start, event.cluster)

    @on(AgainJob)
    def _again_job(self, event: AgainJob) -> None:
        if event.job.is_finished:
            self.begin(partial(self._run_job, event.job), "job")

    @on(BringUp)
    def _bring_up(self, event: BringUp) -> None:
        self.pop_screen()  # the plan
        self._begin_up(event.cluster)

    @on(ShowChecks)
    def _show_checks(self, event: ShowChecks) -> None:
        self.show_checks(event.cluster)

    @on(TypedCommand)
    def _typed_command(self, event: TypedCommand) -> None:
        self.do(event.text)

    def do(self, line: str) -> None:
        """Do what a line behind ``:`` says."""
        try:
            run_line(self, line)
        except BadInput as exc:
            self.notify(str(exc), severity="warning")

    def type_command(self, word: str) -> None:
        """Open the command line with a verb in it already."""
        for bar in self.screen.query(CommandBar):
            bar.ask(":", text=f"{word} ")

    def show_kind(self, word: str, shown: str | None = None) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if isinstance(self.screen, Explorer):
            self.screen.show_kind(word, shown)

    def show_run(self, run_id: str, *, line: int | None = None) -> None:
        from rhdesk_tui.screens.run import RunScreen

        self.push_screen(RunScreen(self.workplace, run_id, line=line))

    def show_invoke(self, target: str) -> None:
        from rhdesk_tui.screens.invoke import InvokeScreen

        self.push_screen(InvokeScreen(self.workplace, target))

    def show_history(self, name: str) -> None:
        from rhdesk_tui.screens.history import HistoryScreen

        self.push_screen(HistoryScreen(self.workplace, name))

    def show_diff(self, before: str, after: str = "") -> None:
        from rhdesk_tui.screens.diff import DiffScreen

        self.push_screen(DiffScreen(self.workplace, before, after))

    def show_lineage(self, name: str, *, down: bool = False) -> None:
        from rhdesk_tui.screens.lineage import LineageScreen

        self.push_screen(LineageScreen(self.workplace, name, down=down))

    def show_conflicts(self) -> None:
        from rhdesk_tui.screens.conflicts import ConflictsScreen

        self.push_screen(ConflictsScreen(self.workplace))

    def show_care(self, what: str, argument: str = "") -> None:
        from rhdesk_tui.screens.care import CareScreen

        self.push_screen(CareScreen(self.workplace, what, argument))

    def show_secrets(self) -> None:
        from rhdesk_tui.screens.secrets import SecretsScreen

        self.push_screen(SecretsScreen(self.workplace))

    def show_access(self, view: str, *, who: str = "", can: Sequence[str] = ()) -> None:
        from rhdesk_tui.screens.access import AccessScreen

        self.push_screen(AccessScreen(self.workplace, view, who=who, can=can))

    def show_settings(self) -> None:
        from rhdesk_tui.screens.settings import SettingsScreen

        self.push_screen(SettingsScreen(self.workplace))

    def show_store(self) -> None:
        from rhdesk_tui.screens.store import StoreScreen

        self.push_screen(StoreScreen(self.workplace))

    def show_cluster(self, name: str) -> None:
        from rhdesk_tui.screens.cluster import ClusterScreen

        self.push_screen(ClusterScreen(self.workplace, name))

    def show_search(self, text: str) -> None:
        from rhdesk_tui.screens.search import SearchScreen

        if not text:
            raise BadInput("say what to look for behind search")
        self.push_screen(SearchScreen(self.workplace, text))

    def show_checks(self, cluster: str) -> None:
        from rhdesk_tui.screens.checks import ChecksScreen

        self.push_screen(ChecksScreen(self.workplace, cluster))

    def show_folder(self, folder: str, cluster: str) -> None:
        from rhdesk_tui.screens.folder import FolderScreen

        self.push_screen(FolderScreen(self.workplace, folder, cluster))

    def show_table(self, source: TableSource) -> None:
        from rhdesk_tui.screens.table import TableScreen

        self.push_screen(TableScreen(self.workplace, source))

    def show_job(self) -> None:
        if not self.workplace.jobs:
            raise BadInput("no long action has been started yet")
        self.push_screen(JobScreen(self.workplace, self.workplace.jobs[-1]))

    def action_job(self) -> None:
        self.do("jobs")

    def action_said(self) -> None:
        from rhdesk_tui.screens.said import SaidScreen

        if not isinstance(self.screen, SaidScreen):
            self.push_screen(SaidScreen(self.workplace))

    def action_help(self) -> None:
        from rhdesk_tui.screens.help import Help, keys_of

        if not isinstance(self.screen, Help):
            self.push_screen(Help(keys_of(self, self.screen)))

    def action_other_theme(self) -> None:
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def use_theme(self, word: str) -> None:
        if word not in {"dark", "light"}:
            raise BadInput(f"{word!r} is no theme; themes are dark and light")
        self.theme = f"rhdesk-{word}"

    # ---- acting

    def copy(self, what: str, text: str) -> None:
        """Put text on the terminal's clipboard, and show what it was."""
        self.copy_to_clipboard(text)
        first, _, rest = text.strip().partition("\n")
        tail = "…" if len(first) > 90 or rest else ""
        self.notify(f"copied {what}: {first[:90]}{tail}", timeout=4)

    def _copy_chosen(self, spelling: Spelling | None) -> None:
        if spelling is not None:
            self.copy(spelling.label, spelling.text)

    def bring_up(self, name: str) -> None:
        """Bring a cluster up; of machines that cost something the plan is shown first."""

        async def look() -> None:
            names = await self.desk.cluster_names()
            spec = await self.desk.cluster_spec(name) if name in names else None
            if spec is not None and spec.machines is not None:
                self.provision(name, spec)
            else:
                self._begin_up(name)

        self.begin(look, "up")

    def _begin_up(self, name: str) -> None:
        self.start_job(f"up {name}", cli("up", name), lambda: self.desk.up(name), name)

    def provision(self, name: str = "", spec: ClusterSpec | None = None) -> None:
        """Ask for machines, show what they would cost, and bring them up."""
        from rhdesk_tui.screens.provision import ProvisionScreen

        self.push_screen(ProvisionScreen(self.workplace, name, spec))

    def show_orphans(self) -> None:
        """Machines nobody accounts for, and what all have cost."""
        from rhdesk_tui.screens.orphans import OrphansScreen

        self.push_screen(OrphansScreen(self.workplace))

    def add_machine(self, host: str = "") -> None:
        """Ask which machine to add, add it, and bring it up."""
        from rhdesk_tui.screens.add_machine import AddMachine

        def answered(name: str | None) -> None:
            if name:
                self.bring_up(name)

        self.push_screen(AddMachine(self.desk, host), answered)

    def bring_down(self, name: str) -> None:
        from rhdesk_tui.screens.cluster import down_question

        def answered(yes: bool | None) -> None:
            if yes:
                self.start_job(
                    f"down {name}", cli("down", name), lambda: self.desk.down(name), name
                )

        self.push_screen(down_question(name), answered)

    def start_job(
        self,
        title: str,
        spelled: str,
        start: Callable[[], AsyncGenerator[Step]],
        cluster: str = "",
    ) -> None:
        """Begin a long action and show it; a second one of the same kind shows the first."""
        for job in self.workplace.jobs:
            if job.title == title and not job.is_finished:
                self.push_screen(JobScreen(self.workplace, job))
                return
        job = Job(title, spelled, start, cluster)
        self.workplace.jobs.append(job)
        self.push_screen(JobScreen(self.workplace, job))
        self.begin(partial(self._run_job, job), "job")

    async def _run_job(self, job: Job) -> None:
        def changed() -> None:
            screen = self.screen
            if isinstance(screen, JobScreen) and screen.job is job:
                screen.changed()
            elif isinstance(screen, Page):
                screen.refresh_bar()

        await job.follow(changed)
        if job.error:
            self.notify(f"{job.title} failed: {job.error}", severity="error")
        else:
            self.notify(f"{job.title}: done")

    # ---- watching

    @on(BeginWatch)
    def _begin_watch(self, event: BeginWatch) -> None:
        self.do(f"watch {event.text}")

    @on(SendFolder)
    def _send_folder(self, event: SendFolder) -> None:
        folder, cluster = event.folder, event.cluster

        async def steps() -> AsyncGenerator[Step]:
            async with aclosing(self.desk.push(folder, on=cluster)) as events:
                async for each in events:
                    if isinstance(each, Step):
                        yield each

        spelled = cli("sync", "push", folder, "--on", cluster)
        self.start_job(f"send {folder} to {cluster}", spelled, steps, cluster)

    @on(BringBack)
    def _bring_back(self, event: BringBack) -> None:
        folder, cluster, path = event.folder, event.cluster, event.path

        async def steps() -> AsyncGenerator[Step]:
            async with aclosing(self.desk.pull(path, on=cluster, folder=folder)) as events:
                async for each in events:
                    if isinstance(each, Step):
                        yield each
                        continue
                    for step in _what_came(each):
                        yield step

        spelled = cli("sync", "pull", path, "--folder", folder, "--on", cluster)
        self.start_job(f"bring back from {cluster}", spelled, steps, cluster)

    @on(EndWatch)
    def _end_watch(self, event: EndWatch) -> None:
        _: list[Worker[None]] = self.workers.cancel_group(self, f"watch {event.watch.key}")

    def watch_folder(self, words: list[str]) -> None:
        """Have the edits of a folder follow to a cluster, and show what becomes of them.

        Args:
            words: Nothing, to show what is watched; or a folder, a cluster, an environment.
        """
        if words:
            self._start_watch(*words)
        self.show_watch()

    def _start_watch(self, folder: str, cluster: str = "here", env: str = "base") -> None:
        root = str(Path(folder).expanduser().resolve())
        new = Following(root, cluster, env, lambda: self.desk.watch(root, on=cluster, env=env))
        for old in list(self.workplace.watches):
            if old.key == new.key:
                if old.is_on:
                    raise BadInput(f"{root} is watched for {cluster} already")
                new.syncs.extend(old.syncs)
                self.workplace.watches.remove(old)
        self.workplace.watches.append(new)
        self.begin(partial(new.follow, self._watch_changed), f"watch {new.key}")

    def _watch_changed(self) -> None:
        screen = self.screen
        if isinstance(screen, WatchScreen):
            screen.changed()

    def show_watch(self) -> None:
        if not isinstance(self.screen, WatchScreen):
            self.push_screen(WatchScreen(self.workplace))
        else:
            self.screen.changed()

    def rollback(self, name: str) -> None:
        """Ask, then make an earlier version the newest."""
        from rhdesk_tui.screens.rollback import rollback_question

        def answered(yes: bool | None) -> None:
            if yes:
                self.begin(partial(self._rollback, name), "rollback")

        async def ask() -> None:
            self.push_screen(rollback_question(name, await self.desk.diff(name)), answered)

        self.begin(ask, "rollback")

    async def _rollback(self, name: str) -> None:
        before = await self._newest(name)
        record = await self.desk.rollback(name)
        if before == record.version:
            self.notify(f"{record.name} says that already")
            return
        undo = f"; undo it with :rollback {record.name}@{before[:8]}" if before else ""
        self.notify(f"{record.name} is at {record.version[:8]} again{undo}")
        for live in record.live:
            if live.why:
                self.notify(f"on {live.cluster} it could not be switched: {live.why}",
                            severity="warning")  # fmt: skip
        screen = self.screen
        if isinstance(screen, Page):
            screen.changed()

    async def _newest(self, name: str) -> str:
        """The version a name has now; "" where it is deleted."""
        versions = await self.desk.history(str(Name.parse(name).without_version), limit=1)
        return versions[0].version if versions and not versions[0].deleted else ""

    def sync(self) -> None:
        self.begin(self._sync, "sync")

    async def _sync(self) -> None:
        self.workplace.store = state = await self.desk.sync()
        self.notify(say_store(state, self.workplace.now()).text)

    def share(self, name: str, users: list[str], level: str) -> None:
        self.begin(partial(self._share, name, users, level), "share")

    async def _share(self, name: str, users: list[str], level: str) -> None:
        self.notify(f"{name}: {', '.join(await self.desk.share(name, users, level=level))}")

    def execute(self, command: str) -> None:
        if not command:
            raise BadInput("say the shell command behind exec")
        self.begin(partial(self._execute, command), "exec")

    async def _execute(self, command: str) -> None:
        run = await self.desk.exec([command])
        self.show_run(run.run_id)

    def put(self, key: str, value: Any) -> None:
        self.begin(partial(self._put, key, value), "put")

    async def _put(self, key: str, value: Any) -> None:
        await self.desk.put(key, value)
        self.notify(f"kept {key} on here")
        self.show_kind("objects")


def _what_came(pulled: Pulled) -> Iterator[Step]:
    """What a pull brought and what it left, a step each."""
    told = [(each.path, "came") for each in pulled.files]
    told += [(path, "differs here and stays") for path in pulled.kept]
    told += [(each.partition(": ")[0], each.partition(": ")[2]) for each in pulled.refused]
    told = told or [("nothing", "runs have written nothing there that is not here")]
    for path, how in told:
        yield Step(what=path, state=StepState.DONE, detail=how)
