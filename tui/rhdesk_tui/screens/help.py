"""Every key that does something where you are, read from the bindings themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from rhdesk_tui.commands import VERBS

_TITLES = {
    "explorer": "This list", "list": "Moving in a list", "log": "The log", "run": "This run",
    "invoke": "This form", "history": "This history", "cluster": "This cluster",
    "page": "Everywhere", "app": "Everywhere", "bar": "The command line", "said": "Messages",
    "job": "This job", "search": "Search", "checks": "Checks",
}  # fmt: skip


class KeyHelp(NamedTuple):
    section: str
    keys: str
    does: str
    enabled: bool


def keys_of(app: App[None], screen: Screen[Any]) -> list[KeyHelp]:
    """What can be pressed on *screen* now, in the order it was declared, widgets first."""
    found: dict[tuple[str, str], KeyHelp] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if not binding.id or not binding.description:
            continue
        room = binding.id.partition(".")[0]
        key = app.get_key_display(binding)
        at = (room, binding.description)
        if at in found:
            found[at] = found[at]._replace(keys=f"{found[at].keys} {key}")
        else:
            section = _TITLES.get(room, "Everywhere")
            found[at] = KeyHelp(section, key, binding.description, active.enabled)
    return list(found.values())


class Help(ModalScreen[None]):
    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "leave", "Close", id="help.close"),
    ]

    def __init__(self, keys: Sequence[KeyHelp]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(self._content())

    def on_mount(self) -> None:
        box = self.query_one("#help")
        box.border_title = "Keys"
        box.border_subtitle = "Esc closes"
        box.focus()

    def action_leave(self) -> None:
        self.dismiss()

    def _content(self) -> Content:
        lines: list[Content] = []
        sections: dict[str, list[KeyHelp]] = {}
        for key in self._keys:
            sections.setdefault(key.section, []).append(key)
        first = [name for name in sections if name.startswith("This")]
        for section in [*first, *(name for name in sections if name not in first)]:
            keys = sections[section]
            lines += [Content.styled(section, "bold $accent")]
            for key in keys:
                lines.append(
                    Content.assemble(
                        (f"  {key.keys:<14}", "bold $key"),
                        (key.does, "" if key.enabled else "$quiet"),
                    )
                )
            lines.append(Content(""))
        lines += [Content.styled("Behind :", "bold $accent")]
        for verb in VERBS:
            lines.append(Content.assemble((f"  {verb.usage:<30}", "bold $key"), verb.does))
        lines += [
            Content(""),
            Content.styled("Behind /", "bold $accent"),
            Content.assemble(("  word          ", "bold $key"), "these letters in this order"),
            Content.assemble(("  'word         ", "bold $key"), "exactly this"),
            Content.assemble(("  !word         ", "bold $key"), "not this"),
        ]
        return Content("\n").join(lines)
