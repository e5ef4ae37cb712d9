"""A run on machines elsewhere: whether they can be reached, and how a map is spread over them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from rhdesk.foreign import clean
from rhdesk.models import Run, RunStatus
from rhdesk_tui.wording import STYLES, clock, many, say_run


class Away:
    """Since when a host does not answer; false while it does."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._next = 0.0

    def __bool__(self) -> bool:
        return self._since is not None

    @property
    def tries(self) -> bool:
        """Whether somebody waits to try again."""
        return self._next > time.monotonic()

    def is_away(self, since: datetime) -> None:
        """It does not answer; the first time told counts."""
        self._since = self._since or since

    def is_back(self) -> None:
        self._since, self._next = None, 0.0

    def tries_in(self, seconds: float) -> None:
        self._next = time.monotonic() + seconds

    def said(self, cluster: str) -> str:
        """In words: since when, that the run goes on, and when it is tried again."""
        since = clock(self._since.timestamp())[:8] if self._since else ""
        again = f"tried again in {max(self._next - time.monotonic(), 0):.0f} s" if self.tries else (
            "followed when it is back"
        )  # fmt: skip
        return f"{cluster} away since {since}, the run goes on · {again}"


def by_node(shares: Sequence[Run]) -> Content:
    """The shares of a map folded into one line a node: how many are in which state."""
    if not shares:
        return Content("")
    counts: dict[str, Counter[RunStatus]] = {}
    for share in shares:
        counts.setdefault(share.node or "head", Counter())[share.status] += 1
    lines = [Content.styled(f"{many(len(shares), 'share')} on {many(len(counts), 'node')}",
                            STYLES["quiet"])]  # fmt: skip
    for node, states in counts.items():
        told: list[tuple[str, str]] = [(f"{clean(node):<16}", "bold")]
        for status in RunStatus:
            if states[status]:
                saying = say_run(status)
                told.append((f"{saying.text} {states[status]}   ", STYLES[saying.tone]))
        lines.append(Content.assemble(*told))
    return Content("\n").join(lines)
