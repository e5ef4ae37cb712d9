"""One cluster: how it is, how busy, which environments and nodes, what ran there last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content

from rhdesk.foreign import clean
from rhdesk.models import Cluster, ClusterState, Env, NodeStats, Run
from rhdesk_tui.cards import Card, cluster_card
from rhdesk_tui.loads import memory_percent, sparkline
from rhdesk_tui.messages import BeginJob, OfferCopies, ShowRun
from rhdesk_tui.page import Page
from rhdesk_tui.screens.confirm import Confirm
from rhdesk_tui.spellings import Spelling, cli, of_cluster
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.widgets.load_charts import LoadCharts
from rhdesk_tui.widgets.resource_list import fit
from rhdesk_tui.wording import STYLES, age, many, run_duration, say_env, say_run
from rhdesk_tui.workplace import Workplace

_EVERY_S: Final = 3.0
_KEYS: Final = 12
"""Objects named; the explorer has all."""
_SPARK: Final = 8


class ClusterScreen(Page):
    CSS_PATH = "cluster.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "up", "Up", id="cluster.up"),
        Binding("D", "down", "Down", id="cluster.down"),
        Binding("l", "logs", "Last run's log", id="cluster.logs"),
        Binding("d", "check", "Doctor", id="cluster.doctor"),
        Binding("y", "copy", "Copy", id="cluster.copy"),
    ]

    def __init__(self, workplace: Workplace, name: str) -> None:
        super().__init__(workplace)
        self.cluster = Cluster(name=name)
        self._last: Run | None = None

    def compose_body(self) -> ComposeResult:
        with Container(id="halves"):
            with VerticalScroll(id="about", classes="pane"):
                yield LoadCharts(self.workplace.loads)
                yield CardView(id="card")
            with VerticalScroll(id="inside", classes="pane"):
                yield CardView(id="inside-card")

    def path(self) -> tuple[str, ...]:
        return ("Clusters", self.cluster.name)

    def on_mount(self) -> None:
        self.query_one("#about").border_title = Content(clean(self.cluster.name))
        self.query_one("#inside").border_title = "Inside"
        self.query_one("#about").focus()
        self.begin(self._look, "look")
        self.set_interval(_EVERY_S, self._look_again)

    def _look_again(self) -> None:
        if self.is_current:
            self.begin(self._look, "look")

    async def _look(self) -> None:
        name = self.cluster.name
        self.cluster = cluster = await self.desk.cluster(name)
        known = [c for c in self.workplace.clusters if c.name != name]
        self.workplace.clusters = sorted([*known, cluster], key=lambda c: c.name)
        is_up = cluster.state is ClusterState.UP
        self.query_one(LoadCharts).watch_node(name if is_up else None)
        self.query_one("#card", CardView).show(cluster_card(cluster, self.now()))
        self.refresh_bar()
        self.refresh_bindings()
        runs = await self.desk.runs(cluster=name, limit=8)
        self._last = runs[0] if runs else None
        envs = await self.desk.envs(name) if is_up else []
        keys = await self.desk.keys(on=name) if is_up else []
        self.query_one("#inside-card", CardView).show(self._inside(envs, keys, runs))

    def _inside(self, envs: list[Env], keys: list[str], runs: list[Run]) -> Card:
        now = self.now()
        card = Card()
        card.heading("Environments")
        for env in envs:
            said = say_env(env.state)
            card.row(
                Content.assemble(
                    (f"{clean(env.name):<16} ", "bold"), (f"{said.text:<11} ", STYLES[said.tone]),
                    f"{many(len(env.packages), 'package'):<13} ",
                    (clean(env.why) or f"pid {env.pid}  {age(env.started_at, now)}",
                     STYLES["quiet"]),
                )
            )  # fmt: skip
        if not envs:
            card.line("None: they live while the cluster is up.", "quiet")
        card.heading("Nodes")
        past = self.workplace.loads.past(self.cluster.name)
        for node, samples in past.items():
            node_rows(card, node, samples)
        if not past:
            card.line("No figures yet.", "quiet")
        card.heading(many(len(keys), "object"))
        if keys:
            more = f"  and {len(keys) - _KEYS} more" if len(keys) > _KEYS else ""
            card.line(", ".join(keys[:_KEYS]) + more)
        else:
            card.line("None is kept there.", "quiet")
        card.heading("Last runs here")
        for run in runs:
            said = say_run(run.status)
            card.row(
                Content.assemble(
                    (f"{said.text:<12}", STYLES[said.tone]), f"{clean(run.function):<20} ",
                    (f"{age(run.started_at or run.submitted_at, now):>4} ago  "
                     f"{run_duration(run, now)}", STYLES["quiet"]),
                )
            )  # fmt: skip
        if not runs:
            card.line("None yet.", "quiet")
        return card

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "down":
            return self.cluster.state is not ClusterState.DOWN
        if action == "up":
            return self.cluster.state is not ClusterState.UP
        return super().check_action(action, parameters)

    def action_up(self) -> None:
        name = self.cluster.name
        job = BeginJob(f"up {name}", cli("up", name), lambda: self.desk.up(name), name)
        self.post_message(job)

    def action_down(self) -> None:
        self.owner.push_screen(down_question(self.cluster.name), self._down)

    def _down(self, yes: bool | None) -> None:
        name = self.cluster.name
        if yes:
            job = BeginJob(f"down {name}", cli("down", name), lambda: self.desk.down(name), name)
            self.post_message(job)

    def action_logs(self) -> None:
        if self._last is not None:
            self.post_message(ShowRun(self._last.run_id))

    def action_check(self) -> None:
        from rhdesk_tui.screens.checks import ChecksScreen

        self.owner.push_screen(ChecksScreen(self.workplace, self.cluster.name))

    def spellings(self) -> list[Spelling]:
        return of_cluster(self.cluster.name)

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def node_rows(card: Card, node: str, samples: Sequence[NodeStats]) -> None:
    """One machine: CPU, memory and each GPU over the last minutes, and now."""
    loads = [
        ("cpu", [each.cpu_percent for each in samples]),
        ("mem", [memory_percent(each) for each in samples]),
    ]
    gpus = samples[-1].gpus
    for at in range(len(gpus)):
        name = "gpu" if len(gpus) == 1 else f"gpu{at}"
        loads.append((name, [each.gpus[at].percent for each in samples if at < len(each.gpus)]))
    for first in range(0, len(loads), 3):
        told: list[Content | tuple[str, str]] = [
            (f"{fit(clean(node), 10) if not first else '':<10}", "bold")
        ]
        for label, percents in loads[first : first + 3]:
            told += [
                (f" {label:<4}", STYLES["quiet"]),
                (sparkline(percents, _SPARK), STYLES["accent"]),
                (f" {percents[-1]:3.0f}%", ""),
            ]
        card.row(Content.assemble(*told))


def down_question(name: str) -> Confirm:
    return Confirm(
        f"Bring {name} down?",
        "Ends the processes it started: runs in progress, environments and objects kept there. "
        "The record of runs and their logs stays on this machine.",
        cli("down", name),
        "Bring down",
    )
