"""The first row of every screen: where you are on the left, how things stand on the right."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from rhdesk.foreign import clean
from rhdesk_tui.widgets.resource_list import fit
from rhdesk_tui.wording import STYLES, Saying

_ARROW: Final = " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} "


class TopBar(Widget):
    DEFAULT_CSS = """
    TopBar { height: 1; dock: top; background: $panel; color: $foreground; padding: 0 1; }
    """

    path: reactive[tuple[str, ...]] = reactive[tuple[str, ...]](())
    truth: reactive[tuple[Saying, ...]] = reactive[tuple[Saying, ...]](())

    def render(self) -> Content:
        room = self.size.width
        right: list[Saying] = []
        for foreign in self.truth:
            saying = Saying(clean(foreign.text), foreign.tone)
            if cell_len("  ".join(s.text for s in [*right, saying])) <= max(room // 2, room - 34):
                right.append(saying)
        wide = cell_len("  ".join(s.text for s in right))
        trail = fit(
            clean(_ARROW.join(self.path)),
            max(room - wide - 10, 6),
        )
        gap = max(room - wide - 8 - cell_len(trail), 1)
        parts: list[tuple[str, str]] = [
            ("rhdesk", "bold $primary"), ("  ", ""), (trail, "bold"), (" " * gap, ""),
        ]  # fmt: skip
        for number, saying in enumerate(right):
            parts.append(("  " if number else "", ""))
            parts.append((saying.text, STYLES[saying.tone]))
        return Content.assemble(*parts)
