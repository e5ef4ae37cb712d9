"""How busy machines were over the last minutes: one sample serves every screen that shows it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from rhdesk.desk import AsyncDesk
from rhdesk.models import NodeStats

_FRESH_S: Final = 1.5
"""Asking sooner would halve the time a CPU share is of."""
_KEPT: Final = 300
_BARS: Final = "▁▂▃▄▅▆▇█"


class Loads:
    def __init__(self, desk: AsyncDesk) -> None:
        self._desk = desk
        self._past: dict[str, dict[str, deque[NodeStats]]] = {}
        self._asked: dict[str, float] = {}

    async def ask(self, cluster: str) -> Sequence[NodeStats]:
        """The newest sample of each node, the head first; asked for only when the last is old.

        Raises:
            ConnectionFailed: It cannot be reached.
        """
        since = time.monotonic() - self._asked.get(cluster, float("-inf"))
        if since < _FRESH_S and cluster in self._past:
            return [samples[-1] for samples in self._past[cluster].values()]
        self._asked[cluster] = time.monotonic()
        found = await self._desk.stats(cluster)
        self.take(cluster, found)
        return found

    def take(self, cluster: str, found: Sequence[NodeStats]) -> None:
        """Keep one sample of each node; a node that is gone takes its past with it."""
        known = self._past.get(cluster, {})
        for stats in found:
            known.setdefault(stats.node, deque(maxlen=_KEPT)).append(stats)
        self._past[cluster] = {stats.node: known[stats.node] for stats in found}

    def past(self, cluster: str) -> dict[str, list[NodeStats]]:
        """The samples of each node, oldest first; nothing of a cluster nobody asked about."""
        return {node: list(samples) for node, samples in self._past.get(cluster, {}).items()}


def memory_percent(stats: NodeStats) -> float:
    return stats.memory_used_bytes / max(stats.memory_total_bytes, 1) * 100


def sparkline(percents: Sequence[float], width: int) -> str:
    """The newest *width* percentages as bars, newest at the right end; dots where none is yet."""
    bars = [_BARS[min(int(max(p, 0.0) / 100 * len(_BARS)), len(_BARS) - 1)] for p in percents]
    return "".join(bars[-width:]).rjust(width, "·")
