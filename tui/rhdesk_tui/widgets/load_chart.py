"""How busy a node has been: a chart of percentages, newest at the right end."""

from __future__ import annotations

from collections import deque
from typing import Final

from textual.content import Content
from textual.widget import Widget

_BARS: Final = " ▁▂▃▄▅▆▇█"
KEPT: Final = 300


class LoadChart(Widget):
    """A label, the value now in words, and as many past values as there are cells."""

    DEFAULT_CSS = """
    LoadChart { height: 2; color: $foreground; }
    """

    def __init__(self, label: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._label = label
        self._past: deque[float] = deque(maxlen=KEPT)
        self._note = ""

    def add(self, percent: float, note: str) -> None:
        self._past.append(max(0.0, min(percent, 100.0)))
        self._note = note
        self.refresh()

    def forget(self) -> None:
        self._past.clear()
        self._note = ""
        self.refresh()

    def render(self) -> Content:
        width, height = self.size
        now = f"{self._past[-1]:3.0f}%" if self._past else "  - "
        head = Content.assemble((f"{self._label:<4}", "bold"), f"{now}  ", (self._note, "$quiet"))
        past = list(self._past)[-width:]
        rows = max(height - 1, 1)
        lines = [head]
        for row in range(rows - 1, -1, -1):
            cells = ""
            for value in past:
                eighths = round(value / 100 * rows * 8) - row * 8
                cells += _BARS[max(1 if row == 0 else 0, min(eighths, 8))]
            blank = ("·" if row == 0 else " ") * (width - len(past))
            lines.append(Content.assemble((blank, "$quiet"), (cells, "$primary")))
        return Content("\n").join(lines)
