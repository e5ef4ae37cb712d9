"""The last row of every screen: the keys that do something here, as many as fit."""

from __future__ import annotations

from typing import Any, cast

from textual.app import App
from textual.binding import ActiveBinding
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget


class KeyHints(Widget):
    """Reads the bindings that are active now; `?` always keeps its place at the right end."""

    DEFAULT_CSS = """
    KeyHints { height: 1; dock: bottom; background: $panel; color: $foreground; padding: 0 1; }
    """

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)  # pyright: ignore[reportUnknownMemberType]

    def _changed(self, screen: Screen[Any]) -> None:
        self.refresh()

    def _lateness(self, active: ActiveBinding) -> tuple[bool, bool]:
        """What belongs to this very screen comes first, what every screen has after it."""
        return active.node is not self.screen, (active.binding.id or "").startswith("page.")

    def render(self) -> Content:
        if not self.screen.is_current:
            return Content("")
        app = cast("App[None]", self.app)  # pyright: ignore[reportUnknownMemberType]
        shown: list[tuple[str, str]] = []
        found = list(self.screen.active_bindings.values())
        in_line = [active for active in found if (active.binding.id or "").startswith("bar.")]
        for active in in_line or sorted(found, key=self._lateness):
            binding = active.binding
            if not binding.show or not active.enabled or binding.action == "help":
                continue
            if binding.description not in {what for _, what in shown}:
                shown.append((app.get_key_display(binding), binding.description))
        last = "? Help"
        room = self.size.width - len(last) - 2
        parts: list[tuple[str, str]] = []
        used = 0
        for key, what in shown:
            if used + len(key) + len(what) + 3 > room:
                continue
            parts += [(key, "bold $key"), (f" {what}  ", "")]
            used += len(key) + len(what) + 3
        parts += [(" " * (self.size.width - used - len(last)), ""), ("?", "bold $key")]
        return Content.assemble(*parts, " Help")
