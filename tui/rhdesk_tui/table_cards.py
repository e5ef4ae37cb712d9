"""What is told beside the rows of a table: a column, the whole schema, a row, a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import chop_cells
from textual.content import Content

from rhdesk.foreign import clean
from rhdesk.models import Column, TableInfo
from rhdesk_tui.cards import Card
from rhdesk_tui.table_cells import Cut, kind_of, short_type, whole
from rhdesk_tui.wording import STYLES, Tone, count, many, size

_BARS: Final = "▁▂▃▄▅▆▇█"
_MOST_TEXT: Final = 20_000


def sparkline(values: Sequence[float], width: int) -> str:
    """Values in order, each *width*-th of them a bar between the least and the most."""
    finite = [value for value in values if value - value == 0]
    if len(finite) < 2 or width < 1:
        return ""
    step = max(len(finite) / width, 1)
    picked = [finite[int(at * step)] for at in range(min(width, len(finite)))]
    least, most = min(picked), max(picked)
    spread = (most - least) or 1
    return "".join(_BARS[round((value - least) / spread * 7)] for value in picked)


def facts_of(card: Card, column: Column, rows: int | None) -> Card:
    """What the footers of the files tell of a column."""
    if column.least is not None:
        card.fact("least", _bound(column.least)).fact("most", _bound(column.most))
    if column.nulls is None:
        card.fact("nulls", "the files keep no statistics", "quiet")
    elif column.nulls and rows:
        card.fact("nulls", f"{count(column.nulls)}  ({column.nulls / rows:.1%})", "warn")
    else:
        card.fact("nulls", count(column.nulls))
    return card


def column_line(column: Column, values: Sequence[float], rows: int | None, width: int) -> Card:
    """A column in three lines, for a low screen."""
    bounds = ""
    if column.least is not None:
        bounds = f"{_bound(column.least)} … {_bound(column.most)}"
    nulls = "" if column.nulls is None else f"{count(column.nulls)} null"
    if column.nulls and rows:
        nulls += f" ({column.nulls / rows:.1%})"
    said = "   ".join(part for part in (short_type(column.type), bounds, nulls) if part)
    card = Card().row(Content.styled(clean(said), ""))
    return card.row(_spark(values, width))


def column_card(column: Column, values: Sequence[float], rows: int | None, width: int) -> Card:
    card = Card().fact("column", column.name, "strong").fact("type", column.type, "accent")
    facts_of(card, column, rows)
    if line := sparkline(values, width):
        card.heading("In the rows about the cursor")
        card.row(Content.styled(line, "$primary"))
        card.line(f"{min(values):,.6g} … {max(values):,.6g}", "quiet")
    return card


def _spark(values: Sequence[float], width: int) -> Content:
    line = sparkline(values, min(width // 2, 48))
    if not line:
        return Content("")
    told = f"  {min(values):,.6g} … {max(values):,.6g} about the cursor"
    return Content.assemble((line, "$primary"), (told, STYLES["quiet"]))


def schema_card(info: TableInfo, here: str, hidden: Sequence[str]) -> Card:
    """Every column: its type, its nulls and its bounds."""
    rows = "unknown" if info.rows is None else count(info.rows)
    card = Card().fact("rows", rows, "strong").fact("columns", count(len(info.columns)))
    card.fact("files", f"{many(info.files, 'file')} of {info.format}, {size(info.size_bytes)}")
    if info.version:
        card.fact("version", f"{info.version} written here")
    if info.partition_cols:
        card.fact("folders by", ", ".join(info.partition_cols))
    card.heading("Columns")
    wide = min(max((len(clean(c.name)) for c in info.columns), default=0), 24)
    for column in info.columns:
        bounds = "" if column.least is None else f"{_bound(column.least)} … {_bound(column.most)}"
        nulls = f"{count(column.nulls)} null  " if column.nulls else ""
        off = "hidden  " if column.name in hidden else ""
        name = f"{'▌' if column.name == here else ' '}{clean(column.name)[:wide]:<{wide}}  "
        card.row(
            Content.assemble(
                (name, STYLES["strong"] if column.name == here else ""),
                (f"{short_type(column.type):<10}  ", STYLES["accent"]),
                (off + nulls, STYLES["warn"]),
                (clean(bounds), STYLES["quiet"]),
            )
        )
    return card


def cell_card(name: str, arrow_type: str, row: int, value: Any, width: int) -> Card:
    """A cell in full; what is nested a line for every member, and more if it is wide."""
    card = Card().fact("column", name, "strong").fact("row", count(row + 1))
    told = arrow_type
    if isinstance(value, str) and kind_of(arrow_type) == "text":
        told += f", {many(len(value), 'character')}"
    card.fact("type", told, "accent").line("")
    text = whole(value)
    cut = len(text) - _MOST_TEXT
    tone: Tone = "quiet" if value is None or value == "" else ""
    for line in text[:_MOST_TEXT].split("\n"):
        if isinstance(value, dict | list):  # its indents say what belongs to what
            for piece in chop_cells(line, width):
                card.row(Content(piece))
        else:
            card.line(line, tone)
    if cut > 0:
        card.line(f"… {cut:,} more characters, y copies them", "quiet")
    return card


def row_card(row: int, cells: Mapping[str, Any]) -> Card:
    """A row with a line, or a few, for each of its cells."""
    card = Card().fact("row", count(row + 1), "accent").line("")
    for name, value in cells.items():
        text = value.text + "…" if isinstance(value, Cut) else whole(value)
        card.fact(name, text, "quiet" if value is None or value == "" else "")
    return card


def _bound(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return clean(str(value))[:40]
