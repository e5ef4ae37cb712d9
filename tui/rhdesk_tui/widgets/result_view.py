"""How a run ended: its result as a value or a table, or the failure with its traceback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from rhdesk.foreign import clean, clean_block
from rhdesk.models import Failure
from rhdesk_tui.widgets.resource_list import fit
from rhdesk_tui.wording import STYLES, as_json, many

_MOST_ROWS: Final = 200
_MOST_TEXT: Final = 20_000
_WIDEST: Final = 32


class ResultView(VerticalScroll):
    """Hidden until there is something to show."""

    DEFAULT_CSS = """
    ResultView { display: none; height: auto; max-height: 40%; scrollbar-size-vertical: 1; }
    """

    def compose(self) -> ComposeResult:
        yield Static(id="result")

    def show_result(self, value: Any) -> None:
        self.border_title = "Result"
        self.border_subtitle = "r enlarges"
        rows = _as_rows(value)
        self._show(_table(rows) if rows else _value(value))

    def show_failure(self, failure: Failure, ended: str) -> None:
        self.border_title = ended
        self.border_subtitle = "r enlarges"
        self._show(failure_content(failure))

    def show_note(self, title: str, text: str) -> None:
        self.border_title = title
        self._show(Content(clean_block(text)))

    def _show(self, content: Content) -> None:
        self.query_one("#result", Static).update(content)
        self.display = True
        self.scroll_home(animate=False)


def failure_content(failure: Failure) -> Content:
    """What was raised, then the traceback with the places in it easy to find."""
    head = f"{failure.kind}: {failure.message}" if failure.message else failure.kind
    lines = [Content.styled(clean_block(head[:_MOST_TEXT]), f"bold {STYLES['bad']}")]
    for line in clean_block(failure.traceback[-_MOST_TEXT:]).split("\n"):
        stripped = line.lstrip()
        if stripped.startswith("File "):
            lines.append(Content.styled(line, STYLES["accent"]))
        elif stripped.startswith(("^", "~")) or line.startswith("Traceback"):
            lines.append(Content.styled(line, STYLES["quiet"]))
        else:
            lines.append(Content(line))
    return Content("\n").join(lines)


def _value(value: Any) -> Content:
    text = value if isinstance(value, str) else as_json(value)
    if not isinstance(value, str) and len(text) > 100:
        text = as_json(value, indent=2)
    cut = len(text) - _MOST_TEXT
    shown = Content(clean_block(text[:_MOST_TEXT]))
    if cut > 0:
        shown = shown.append_text(f"\n… {cut:,} more characters, y copies them", STYLES["quiet"])
    return shown


def _as_rows(value: Any) -> list[dict[str, Any]]:
    """A list of records as rows; of anything else, nothing."""
    if not _is_a(list, value) or not all(_is_a(dict, row) and row for row in value):
        return []
    rows: list[dict[str, Any]] = value
    return rows


def _is_a(kind: type, value: Any) -> bool:
    return isinstance(value, kind)


def _table(rows: Sequence[Mapping[str, Any]]) -> Content:
    names: list[str] = []
    for row in rows[:_MOST_ROWS]:
        names += [name for name in row if name not in names]
    cells = [[_cell(row.get(name)) for name in names] for row in rows[:_MOST_ROWS]]
    heads = [fit(clean(str(name)), _WIDEST) for name in names]
    widths = [
        max([cell_len(head), *(cell_len(row[at]) for row in cells)])
        for at, head in enumerate(heads)
    ]
    numeric = [
        all(isinstance(row.get(name), (int, float)) for row in rows[:_MOST_ROWS]) for name in names
    ]

    def line(texts: Sequence[str]) -> str:
        padded: list[str] = []
        for text, width, right in zip(texts, widths, numeric, strict=True):
            space = " " * (width - cell_len(text))
            padded.append(space + text if right else text + space)
        return "  ".join(padded).rstrip()

    lines = [Content.styled(line(heads), f"bold {STYLES['quiet']}")]
    lines += [Content(line(row)) for row in cells]
    if len(rows) > _MOST_ROWS:
        more = many(len(rows) - _MOST_ROWS, "more row")
        lines.append(Content.styled(f"… {more}", STYLES["quiet"]))
    return Content("\n").join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "∅"
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else as_json(value)
    first, _, rest = text.partition("\n")
    return fit(clean(first[:200]) + ("…⏎" if rest else ""), _WIDEST)
