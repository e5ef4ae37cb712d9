"""What is told beside the rows of a table: a column, the whole schema, a row, a cell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len, chop_cells
from textual.content import Content

from rhdesk.foreign import clean
from rhdesk.models import Column, ColumnProfile, TableInfo
from rhdesk_tui.cards import Card
from rhdesk_tui.table_cells import Cut, Field, kind_of, short_type, shown, whole
from rhdesk_tui.widgets.resource_list import fit
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


def column_line(
    column: Column,
    values: Sequence[float],
    rows: int | None,
    width: int,
    profile: ColumnProfile | None = None,
) -> Card:
    """A column in two lines, for a low screen."""
    bounds = ""
    if column.least is not None:
        bounds = f"{_bound(column.least)} … {_bound(column.most)}"
    nulls = "" if column.nulls is None else f"{count(column.nulls)} null"
    if column.nulls and rows:
        nulls += f" ({column.nulls / rows:.1%})"
    said = "   ".join(part for part in (short_type(column.type), bounds, nulls) if part)
    card = Card().row(Content.styled(clean(said), ""))
    if profile is not None and profile.bins:
        told = (f"  {_bound(profile.least)} … {_bound(profile.most)}, all rows", STYLES["quiet"])
        return card.row(Content.assemble((bars(profile.bins), "$primary"), told))
    if profile is not None and profile.top:
        top = "   ".join(f"{_top(value)} {count(n)}" for value, n in profile.top[:8])
        return card.row(Content.styled(top, STYLES["quiet"]))
    line = sparkline(values, min(width // 2, 48))
    if not line:
        return card
    told = (f"  {min(values):,.6g} … {max(values):,.6g} about the cursor", STYLES["quiet"])
    return card.row(Content.assemble((line, "$primary"), told))


def column_card(
    column: Column,
    values: Sequence[float],
    rows: int | None,
    width: int,
    profile: ColumnProfile | None = None,
) -> Card:
    card = Card().fact("column", column.name, "strong").fact("type", column.type, "accent")
    facts_of(card, column, rows)
    if profile is not None:
        _add_profile(card, profile, width)
    elif kind_of(column.type) != "nested":
        card.fact("", "p reads the column for its histogram", "quiet")
    if line := sparkline(values, width):
        card.heading("In the rows about the cursor")
        card.row(Content.styled(line, "$primary"))
        card.line(f"{min(values):,.6g} … {max(values):,.6g}", "quiet")
    return card


def _add_profile(card: Card, profile: ColumnProfile, width: int) -> None:
    if profile.bins:
        card.heading("In all rows")
        lines = tall_bars(_fitted(profile.bins, width), 6)
        for line in lines:
            card.row(Content.styled(line, "$primary"))
        low, high = _bound(profile.least), _bound(profile.most)
        wide = len(lines[0])
        card.row(Content.styled(low + high.rjust(max(wide - len(low), len(high) + 1)), "$quiet"))
        card.line(f"the tallest bar is {many(max(profile.bins), 'row')}", "quiet")
    elif profile.top:
        card.heading("The commonest values")
        most = profile.top[0][1]
        wide = min(max(cell_len(_top(value)) for value, _ in profile.top), width // 2)
        room = max(width - wide - 12, 4)
        for value, number in profile.top:
            text = fit(_top(value), wide)
            pad = " " * (wide - cell_len(text) + 1)
            bar = "█" * max(round(number / most * room), 1)
            card.row(
                Content.assemble(text, pad, (bar, "$primary"), (f" {count(number)}", "$quiet"))
            )
        if profile.distinct is not None:
            card.line(many(profile.distinct, "different value"), "quiet")
        elif not profile.is_exact:
            card.line("of very many values the rarest were not counted", "quiet")


def bars(bins: Sequence[int]) -> str:
    """One row of bars; what is not nothing has one at least."""
    most = max(bins) or 1
    return "".join(" " if not n else _BARS[max(round(n / most * 7), 0)] for n in bins)


def tall_bars(bins: Sequence[int], height: int) -> list[str]:
    """The same in several rows, top to bottom."""
    most = max(bins) or 1
    eighths = [max(round(n / most * height * 8), 1 if n else 0) for n in bins]
    full = " " + _BARS
    return [
        "".join(full[max(0, min(each - row * 8, 8))] for each in eighths)
        for row in range(height - 1, -1, -1)
    ]


def _fitted(bins: Sequence[int], width: int) -> Sequence[int]:
    """As many bins as there is room for: each the sum of neighbours, or as wide as it can be."""
    step = -(-len(bins) // max(width, 1))
    found = [sum(bins[at : at + step]) for at in range(0, len(bins), step)]
    return [each for each in found for _ in range(max(width // len(found), 1))]


def _top(value: Any) -> str:
    text = shown(value, Field("", "", "text", 1)).text
    return text if value != "" else "(empty)"


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
    if isinstance(value, bool):
        return "✓" if value else "✗"
    text = re.sub(r"^(\d{4}-\d\d-\d\d)T", r"\1 ", str(value))
    return clean(text)[:40] or "(empty)"
