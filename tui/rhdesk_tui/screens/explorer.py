"""The first screen: everything there is, by kind, with what is under the cursor beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from rhdesk.errors import BadInput
from rhdesk.foreign import clean
from rhdesk.models import Cluster, ClusterState, Env, Record, Run
from rhdesk_tui import cards
from rhdesk_tui.filtering import Filter
from rhdesk_tui.messages import (
    BeginJob,
    OfferCopies,
    ShowCluster,
    ShowHistory,
    ShowInvoke,
    ShowLineage,
    ShowRun,
    ShowTable,
    TypedCommand,
)  # fmt: skip
from rhdesk_tui.page import Page
from rhdesk_tui.screens.cluster import down_question
from rhdesk_tui.screens.confirm import Confirm
from rhdesk_tui.shelves import SHELVES, Item, ResourceShelf, RunShelf, Shelf
from rhdesk_tui.spellings import (
    Spelling,
    cli,
    delete_key_cli,
    delete_record_cli,
    drop_env_cli,
    remove_run_cli,
)  # fmt: skip
from rhdesk_tui.table_view import source_of
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.widgets.command_bar import CommandBar
from rhdesk_tui.widgets.kind_rail import KindEntry, KindRail
from rhdesk_tui.widgets.load_charts import LoadCharts
from rhdesk_tui.widgets.resource_list import ResourceList
from rhdesk_tui.wording import STYLES, as_json, count, many
from rhdesk_tui.workplace import Workplace

_EVERY_S: Final = 2.0
_DETAIL_AFTER_S: Final = 0.06


class Explorer(Page):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "invoke", "Invoke", id="explorer.invoke"),
        Binding("o", "open_table", "Rows", id="explorer.open_table"),
        Binding("l", "logs", "Logs", id="explorer.logs"),
        Binding("h", "history", "History", id="explorer.history"),
        Binding("w", "lineage", "Why", id="explorer.lineage"),
        Binding("u", "up", "Up", id="explorer.up"),
        Binding("D", "down", "Down", id="explorer.down"),
        Binding("n", "add_machine", "Add a machine", id="explorer.add_machine"),
        Binding("slash", "filter", "Filter", id="explorer.filter", key_display="/", priority=True),
        Binding(
            "colon", "command", "Command", id="explorer.command", key_display=":", priority=True
        ),
        Binding("y", "copy", "Copy", id="explorer.copy"),
        Binding("ctrl+d", "delete", "Delete", id="explorer.delete"),
        Binding("p", "pin", "Pin", id="explorer.pin"),
        Binding("R", "reload", "Refresh", id="explorer.reload", show=False),
        *[
            Binding(s.digit, f"kind('{s.word}')", s.title, id=f"explorer.{s.word}", show=False)
            for s in SHELVES
        ],
    ]

    def __init__(self, workplace: Workplace) -> None:
        super().__init__(workplace)
        self.shelves: dict[str, Shelf] = {s.word: s(self.desk, self.now) for s in SHELVES}
        self.word = "functions"
        self._filters: dict[str, Filter] = {word: Filter("") for word in self.shelves}
        self._cursors: dict[str, str | None] = {}
        runs = self.shelves["runs"]
        if isinstance(runs, RunShelf):
            runs.wanted = self._fetch_runs

    # ---- what is on it

    def compose_body(self) -> ComposeResult:
        yield KindRail(stacked=False, id="strip")
        with Horizontal(id="body"):
            yield KindRail(stacked=True, id="rail")
            with Container(id="panes"):
                with Vertical(id="list-pane", classes="pane"):
                    yield ResourceList(id="list")
                    yield Static(id="lesson")
                with VerticalScroll(id="inspector", classes="pane"):
                    yield LoadCharts(self.workplace.loads)
                    yield CardView(id="card")

    def path(self) -> tuple[str, ...]:
        key, item = self.listing.key, self.item
        if isinstance(item, Run):
            key = f"{item.function} {item.run_id[:8]}"
        return (self.shelf.title, key) if key else (self.shelf.title,)

    @property
    def shelf(self) -> Shelf:
        return self.shelves[self.word]

    @property
    def listing(self) -> ResourceList:
        return self.query_one(ResourceList)

    @property
    def shown(self) -> Filter:
        return self._filters[self.word]

    @property
    def item(self) -> Item | None:
        key = self.listing.key
        return None if key is None else self.shelf.item(key)

    async def on_mount(self) -> None:
        self.listing.focus()
        self.begin(self._first_look, "first")
        self.set_interval(_EVERY_S, self._keep_fresh)

    # ---- loading

    async def _first_look(self) -> None:
        """The shown kind first, then the others for their counts; one that fails stops none."""
        await self._load()
        self.workplace.clusters = await self.desk.clusters()
        self.workplace.store = await self.desk.store_state()
        self.refresh_bar()
        for word, shelf in self.shelves.items():
            if word != self.word:
                await self._guarded(partial(self._count, shelf))
        self._draw_rail()

    async def _count(self, shelf: Shelf) -> None:
        await shelf.load()
        self._draw_rail()

    def _keep_fresh(self) -> None:
        if self.is_current and self.is_mounted:
            self.begin(self._refresh_live, "fresh")

    async def _refresh_live(self) -> None:
        self.workplace.clusters = await self.desk.clusters()
        store = await self.desk.store_state()
        news = store != self.workplace.store
        self.workplace.store = store
        if self.shelf.lives or (news and isinstance(self.shelf, ResourceShelf)):
            await self._load()
        self.refresh_bar()
        self._draw_rail()

    async def _load(self) -> None:
        word, shelf = self.word, self.shelf
        shift = await shelf.load()
        if isinstance(shelf, RunShelf):
            visible = self.listing.visible_range
            await shelf.fetch(visible.start + shift, max(visible.stop, visible.start + 1) + shift)
            if self._filters[word] and shift:
                shelf.forget_scan()
                self.begin(partial(shelf.scan, self._draw_list), "scan")
        if word == self.word:
            self._draw_list(shift)
        if word == "resources" or word == "functions":
            known = set(self.workplace.names)
            records = shelf.items if isinstance(shelf, ResourceShelf) else []
            self.workplace.names = sorted(known | {record.name for record in records})

    def _fetch_runs(self, start: int, stop: int) -> None:
        self.begin(partial(self._bring_runs, start, stop), "page")

    async def _bring_runs(self, start: int, stop: int) -> None:
        shelf = self.shelves["runs"]
        if isinstance(shelf, RunShelf):
            await shelf.fetch(start, stop)
            self.listing.arrived()

    # ---- drawing

    def _draw_list(self, shift: int = 0) -> None:
        shelf, shown = self.shelf, self.shown
        rows = shelf.rows(shown)
        empty = shelf.count is not None and not len(rows)
        self.listing.show(shelf.columns, rows, shown=shown, shift=shift)
        self.listing.display = not empty
        self.set_class(empty, "-empty")
        lesson = self.query_one("#lesson", Static)
        lesson.display = empty
        if empty:
            lesson.update(self._lesson())
            if shelf.count == 0 or not shown:
                self.query_one(CardView).show(cards.Card())
        pane = self.query_one("#list-pane")
        number = "" if shelf.count is None else f" {count(shelf.count)}"
        title = f"{shelf.title}{number}"
        if shown:
            title += f" · /{clean(shown.text)} · {many(len(rows), 'match', 'matches')}"
        pane.border_title = Content(title)
        scanning = isinstance(shelf, RunShelf) and shown and not shelf.is_scanned
        at = f"{count(self.listing.cursor + 1)} of {count(len(rows))}" if len(rows) else ""
        pane.border_subtitle = Content("reading all runs…" if scanning else at)
        self._draw_rail()
        self.refresh_bindings()

    def _draw_rail(self) -> None:
        entries = tuple(
            KindEntry(s.word, s.title, s.digit, s.count) for s in self.shelves.values()
        )
        jobs = tuple(
            f"{'✖' if job.error else '✓' if job.is_finished else '◐'} {job.title}"
            for job in self.workplace.jobs[-5:]
        )
        for rail in self.query(KindRail):
            rail.entries = entries
            rail.chosen = self.word
            rail.jobs = jobs

    def _lesson(self) -> Content:
        lesson, shown = self.shelf.lesson, self.shown
        if shown and self.shelf.count:
            return Content.assemble(
                ("Nothing matches ", "bold"), (shown.text, "bold"), (".\n\n", "bold"),
                ("Esc", "bold $key"), "  clears the filter, which hides ",
                many(self.shelf.count, "row"),
                "\n\nwords fit loosely, ", ("'word", "$key"), " exactly, ", ("!word", "$key"),
                " must not be there",
            )  # fmt: skip
        return Content.assemble(
            (self.shelf.why or lesson.why, "bold"), "\n\n",
            ((f":{lesson.does}" if lesson.key == ":" else lesson.key).ljust(8), "bold $key"),
            "" if lesson.key == ":" else lesson.does, "\n\n",
            (f"{'CLI':<8}", STYLES["quiet"]), lesson.cli, "\n",
            (f"{'Python':<8}", STYLES["quiet"]), lesson.python, "\n\n",
            (":", "bold $key"), " is the command line, ", ("/", "bold $key"), " filters, ",
            ("?", "bold $key"), " shows every key",
        )  # fmt: skip

    @on(ResourceList.Highlighted)
    def _highlighted(self, event: ResourceList.Highlighted) -> None:
        self._cursors[self.word] = event.key
        self.refresh_bar()
        self.refresh_bindings()
        rows = self.shelf.rows(self.shown) if not self.shown else None
        if rows is not None and len(rows):
            at = f"{count(self.listing.cursor + 1)} of {count(len(rows))}"
            self.query_one("#list-pane").border_subtitle = Content(at)
        self.begin(self._describe, "card")

    async def _describe(self) -> None:
        """Fill the inspector; first with what is here, then with what has to be asked for."""
        charts = self.query_one(LoadCharts)
        item, key = self.item, self.listing.key
        card = self.query_one(CardView)
        pane = self.query_one("#inspector")
        title = self.path()[-1] if key else ""
        pane.border_title = Content(clean(title[:200]))
        charts.watch_node(item.name if isinstance(item, Cluster)
                          and item.state is ClusterState.UP else None)  # fmt: skip
        now = self.now()
        if item is None:
            card.show(cards.Card())
        elif isinstance(item, Record):
            card.show(cards.record_card(item, (), (), now))
            await asyncio.sleep(_DETAIL_AFTER_S)
            versions = await self.desk.history(item.name, limit=20)
            runs = await self.desk.runs(function=item.name, limit=4)
            card.show(cards.record_card(item, versions, runs, now))
        elif isinstance(item, Run):
            card.show(cards.run_card(item, now))
        elif isinstance(item, Cluster):
            card.show(cards.cluster_card(item, now))
        elif isinstance(item, Env):
            card.show(cards.env_card(item, now))
        else:
            cluster, _, name = item.partition("/")
            card.show(cards.object_card(name, cluster, "…"))
            await asyncio.sleep(_DETAIL_AFTER_S)
            value = as_json(await self.desk.get(name, on=cluster), indent=2)
            card.show(cards.object_card(name, cluster, value))
        self.query_one("#inspector", VerticalScroll).scroll_home(animate=False)

    # ---- choosing kinds and filtering

    def action_kind(self, word: str) -> None:
        self.show_kind(word)

    @on(KindRail.Chosen)
    def _kind_chosen(self, event: KindRail.Chosen) -> None:
        self.show_kind(event.word)

    def show_kind(self, word: str, shown: str | None = None) -> None:
        """List another kind; each kind keeps its own filter and cursor."""
        self.remove_class("-zoomed")
        changed = word != self.word
        self.word = word
        if shown is not None:
            self._set_filter(shown)
        if changed:
            self.listing.reset()
        self._draw_list()
        if changed and (was := self._cursors.get(word)):
            self.listing.select(was)
        self._highlighted(ResourceList.Highlighted(self.listing.key))
        self.listing.focus()
        self.begin(self._load, "load")

    def action_filter(self) -> None:
        self.ask("/", text=self.shown.text, note="word 'exact !not")

    @on(CommandBar.Typed)
    def _filter_typed(self, event: CommandBar.Typed) -> None:
        if event.sign == "/":
            self._set_filter(event.text)
            self._draw_list()

    def left(self, sign: str) -> None:
        if sign == "/":
            self._set_filter("")
            self._draw_list()

    def _set_filter(self, text: str) -> None:
        self._filters[self.word] = Filter(text)
        shelf = self.shelf
        if isinstance(shelf, RunShelf):
            if self.shown and not shelf.is_scanned:
                self.begin(partial(shelf.scan, self._draw_list), "scan", exclusive=True)
            elif not self.shown:
                shelf.forget_scan()

    def action_back(self) -> None:
        if self.has_class("-zoomed"):
            self.remove_class("-zoomed")
            self.listing.focus()
        elif self.shown:
            self._set_filter("")
            self._draw_list()
            self.listing.focus()
        elif self.focused is not self.listing:
            self.listing.focus()
        else:
            super().action_back()

    def action_close(self) -> None:
        if self.has_class("-zoomed"):
            self.action_back()
        else:
            super().action_close()

    # ---- verbs

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        item = self.item if self.is_mounted else None
        named = isinstance(item, Record)
        callable_ = isinstance(item, Record) and item.resource_type in {"function", "module"}
        match action:
            case "invoke":
                return callable_ or isinstance(item, Run)
            case "open_table":
                return isinstance(item, Record) and item.resource_type == "table"
            case "logs":
                return named or isinstance(item, Run)
            case "history" | "lineage":
                return named
            case "up":
                return isinstance(item, Cluster) or self.word in {"clusters", "envs", "objects"}
            case "add_machine":
                return self.word == "clusters"
            case "down":
                return isinstance(item, Cluster)
            case "pin":
                return isinstance(item, Run)
            case "delete":
                return item is not None and not isinstance(item, Cluster)
            case "copy":
                return item is not None
            case _:
                return super().check_action(action, parameters)

    @on(ResourceList.Opened)
    def _opened(self, event: ResourceList.Opened) -> None:
        item = self.item
        if isinstance(item, Run):
            self.post_message(ShowRun(item.run_id))
        elif isinstance(item, Cluster):
            self.post_message(ShowCluster(item.name))
        elif isinstance(item, Record) and item.resource_type == "table":
            self.action_open_table()
        else:
            self.add_class("-zoomed")
            self.query_one("#inspector").focus()

    def action_invoke(self) -> None:
        item = self.item
        if isinstance(item, Record):
            self.post_message(ShowInvoke(item.name))
        elif isinstance(item, Run):
            self.post_message(ShowInvoke(item.function))

    def action_open_table(self) -> None:
        if isinstance(self.item, Record):
            try:
                self.post_message(ShowTable(source_of(self.item)))
            except BadInput as exc:
                self.complain(str(exc))

    def action_logs(self) -> None:
        self.begin(self._show_last_run, "logs")

    async def _show_last_run(self) -> None:
        item = self.item
        if isinstance(item, Run):
            self.post_message(ShowRun(item.run_id))
        elif isinstance(item, Record):
            runs = await self.desk.runs(function=item.name, limit=1)
            if runs:
                self.post_message(ShowRun(runs[0].run_id))
            else:
                self.notify(f"{item.name} has not run yet: i invokes it", markup=False)

    def action_history(self) -> None:
        if isinstance(self.item, Record):
            self.post_message(ShowHistory(self.item.name))

    def action_lineage(self) -> None:
        if isinstance(self.item, Record):
            self.post_message(ShowLineage(self.item.name))

    def action_up(self) -> None:
        name = self.item.name if isinstance(self.item, Cluster) else "here"
        job = BeginJob(f"up {name}", cli("up", name), lambda: self.desk.up(name), name)
        self.post_message(job)

    def action_add_machine(self) -> None:
        self.post_message(TypedCommand("add"))

    def action_down(self) -> None:
        if not isinstance(self.item, Cluster):
            return
        name = self.item.name
        job = BeginJob(f"down {name}", cli("down", name), lambda: self.desk.down(name), name)
        self.owner.push_screen(down_question(name), lambda yes: self._if(yes, job))

    def _if(self, yes: bool | None, job: BeginJob) -> None:
        if yes:
            self.post_message(job)

    def action_copy(self) -> None:
        if spellings := self.spellings():
            self.post_message(OfferCopies(spellings))

    def spellings(self) -> list[Spelling]:
        key = self.listing.key
        return [] if key is None else self.shelf.spellings(key)

    def action_pin(self) -> None:
        if isinstance(self.item, Run):
            self.begin(partial(self._pin, self.item), "pin")

    async def _pin(self, run: Run) -> None:
        run = await self.desk.pin(run.run_id, pinned=not run.pinned)
        kept = "is kept for good" if run.pinned else "may be removed when it is old"
        self.notify(f"{run.run_id[:8]} {kept}", markup=False)
        await self._load()
        await self._describe()

    def action_reload(self) -> None:
        self.begin(self._first_look, "first")

    def action_delete(self) -> None:
        item = self.item
        if item is None or isinstance(item, Cluster):
            return
        self.begin(partial(self._ask_to_delete, item), "ask")

    async def _ask_to_delete(self, item: Record | Run | Env | str) -> None:
        needed_by: tuple[str, ...] = ()
        if isinstance(item, Record):
            needed_by = (await self.desk.dependents(item.name)).dependents()

        def answered(yes: bool | None) -> None:
            if yes:
                self.begin(partial(self._delete, item), "delete")

        self.owner.push_screen(_deletion(item, needed_by), answered)

    async def _delete(self, item: Item) -> None:
        """Delete what was asked about, whatever the cursor is on by now."""
        if isinstance(item, Record):
            await self.desk.delete(item.name)
            said = f"deleted {item.name}"
        elif isinstance(item, Run):
            removed = await self.desk.remove_runs([item.run_id])
            said = f"removed {many(removed, 'run')}"
        elif isinstance(item, Env):
            await self.desk.drop_env(item.name, on=item.cluster)
            said = f"dropped {item.name} on {item.cluster}"
        elif isinstance(item, Cluster):
            return
        else:
            cluster, _, key = item.partition("/")
            await self.desk.delete_keys([key], on=cluster)
            said = f"deleted {key} on {cluster}"
        self.notify(said, markup=False)
        await self._load()


def _deletion(item: Record | Run | Env | str, needed_by: Sequence[str] = ()) -> Confirm:
    if isinstance(item, Record):
        is_here = item.name.startswith("~")
        needed = f" {many(len(needed_by), 'thing')} came of it: {', '.join(needed_by[:3])}."
        return Confirm(
            f"Delete {item.name}?",
            f"The name goes from {'this repository' if is_here else 'the store, for everybody'}. "
            f"Its {item.resource_type} is not stopped, its runs stay in the record, and earlier "
            f"versions stay in {'git' if is_here else 'its history'}."
            f"{needed if needed_by else ''}",
            delete_record_cli(item), "Delete",
        )  # fmt: skip
    if isinstance(item, Run):
        return Confirm(
            f"Remove run {item.run_id[:8]} of {item.function}?",
            f"Its record, its result and {many(item.lines, 'log line')} are removed from this "
            "machine. There is no way back.",
            remove_run_cli(item), "Remove",
        )  # fmt: skip
    if isinstance(item, Env):
        return Confirm(
            f"Drop env {item.name} on {item.cluster}?",
            "Its servlet ends, with the runs in it and the state its modules keep. The packages "
            "stay cached, so that it is quick to make again.",
            drop_env_cli(item), "Drop",
        )  # fmt: skip
    cluster, _, key = item.partition("/")
    return Confirm(
        f"Delete {key} on {cluster}?",
        "The value is gone from the cluster's object store. There is no way back.",
        delete_key_cli(key, cluster), "Delete",
    )  # fmt: skip
