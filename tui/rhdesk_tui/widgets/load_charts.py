"""CPU and memory of a cluster's first node, asked for every two seconds while it is on screen."""

from __future__ import annotations

from functools import partial
from typing import Final

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker

from rhdesk.errors import RhdeskError
from rhdesk.foreign import clean
from rhdesk.models import NodeStats
from rhdesk_tui.loads import Loads, memory_percent
from rhdesk_tui.widgets.load_chart import LoadChart
from rhdesk_tui.wording import size

_EVERY_S: Final = 2.0


class LoadCharts(Horizontal):
    DEFAULT_CSS = """
    LoadCharts { height: 3; margin: 0 0 1 0;
        & > LoadChart { width: 1fr; height: 100%; margin: 0 2 0 0; }
        & > #load-note { display: none; width: 1fr; height: auto; color: $warning; }
    }
    """

    def __init__(self, loads: Loads) -> None:
        super().__init__()
        self._loads = loads
        self._cluster: str | None = None

    def compose(self) -> ComposeResult:
        yield LoadChart("cpu", id="cpu")
        yield LoadChart("mem", id="memory")
        yield Static(id="load-note")

    def on_mount(self) -> None:
        self.set_interval(_EVERY_S, self._poll)

    def watch_node(self, cluster: str | None) -> None:
        """Show another cluster's load, or none."""
        if cluster != self._cluster:
            self._cluster = cluster
            for chart in self.query(LoadChart):
                chart.forget()
            self.display = cluster is not None
            past = list(self._loads.past(cluster).values()) if cluster is not None else []
            for sample in past[0] if past else ():
                self._add(sample)
            self._poll()

    def _poll(self) -> None:
        if self._cluster is not None and self.is_on_screen and self.screen.is_current:
            _: Worker[None] = self.run_worker(
                partial(self._sample, self._cluster),
                group="load",
                exclusive=True,
                exit_on_error=False,
            )

    async def _sample(self, cluster: str) -> None:
        note = self.query_one("#load-note", Static)
        try:
            nodes = await self._loads.ask(cluster)
        except RhdeskError as exc:
            note.update(Content(clean(f"no load figures: {exc}")))
            note.display = True
            return
        note.display = False
        if not nodes or cluster != self._cluster:
            return
        self._add(nodes[0])

    def _add(self, node: NodeStats) -> None:
        self.query_one("#cpu", LoadChart).add(node.cpu_percent, "of all cores")
        self.query_one("#memory", LoadChart).add(
            memory_percent(node),
            f"{size(node.memory_used_bytes)} of {size(node.memory_total_bytes)}",
        )
