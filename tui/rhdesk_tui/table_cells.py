"""Cells of a table as a person reads them: by type, cut short, and never obeyed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeGuard

from rich.cells import cell_len

from rhdesk.foreign import clean, clean_block
from rhdesk.models import Column
from rhdesk_tui.widgets.resource_list import fit
from rhdesk_tui.wording import Tone, as_json

Kind = Literal["number", "bool", "time", "text", "bytes", "nested"]

WIDEST: Final = 32
KEPT_TEXT: Final = 1_000
"""Characters of one cell that are kept for showing; the detail pane reads the whole cell."""
_DECIMALS: Final = 4
_NUMBERS: Final = re.compile(r"u?int\d+|float|double|halffloat|decimal")
_TIMES: Final = re.compile(r"timestamp|date|time|duration")
_NESTED: Final = re.compile(r"list|large_list|fixed_size_list|struct|map|union|dense_union")
_SHORT: Final = (
    (re.compile(r"^timestamp\[\w+, tz=(.+)\]$"), r"time \1"),
    (re.compile(r"^timestamp\[\w+\]$"), "time"),
    (re.compile(r"^date\d+\[\w+\]$"), "date"),
    (re.compile(r"^time\d+\[\w+\]$"), "clock"),
    (re.compile(r"^duration\[\w+\]$"), "duration"),
    (re.compile(r"^(large_)?string(_view)?$"), "text"),
    (re.compile(r"^dictionary<values=(\w+),.*$"), r"\1 ▤"),
    (re.compile(r"^(u?int\d+|float|double|bool)$"), r"\1"),
    (re.compile(r"^(\w+)<.*$", re.DOTALL), r"\1 ▸"),
)


class Cut(NamedTuple):
    """The beginning of a cell that is too long to keep."""

    text: str
    length: int


class Shown(NamedTuple):
    text: str
    tone: Tone


class Field(NamedTuple):
    """One column as the grid draws it."""

    name: str
    type: str
    """As Arrow spells it."""
    kind: Kind
    width: int
    decimals: int = 0
    """How many every number of the column is drawn with, so that their points are aligned."""

    @property
    def is_right(self) -> bool:
        return self.kind == "number"


def kind_of(arrow_type: str) -> Kind:
    """What sort of cells a column of this type has."""
    if found := re.match(r"dictionary<values=(\w+),", arrow_type):
        arrow_type = found[1]
    if _NUMBERS.match(arrow_type):
        return "number"
    if _TIMES.match(arrow_type):
        return "time"
    if _NESTED.match(arrow_type):
        return "nested"
    if arrow_type == "bool":
        return "bool"
    return "bytes" if "binary" in arrow_type else "text"


def kind_of_values(values: Iterable[Any]) -> Kind:
    """The same, where only the cells are known: of an answer to SQL."""
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, bool) for value in there):
        return "bool"
    if there and all(_is_number(value) for value in there):
        return "number"
    return "nested" if any(isinstance(value, dict | list) for value in there) else "text"


def column_of(name: str, values: Sequence[Any]) -> Column:
    """What cells that are all here tell of their column."""
    kind = kind_of_values(values)
    there = [value for value in values if value is not None]
    is_ordered = kind == "number" or all(isinstance(value, str) for value in there)
    bounds = (min(there), max(there)) if there and is_ordered else (None, None)
    return Column(
        name=name, type=kind, nulls=len(values) - len(there), least=bounds[0], most=bounds[1]
    )


def short_type(arrow_type: str) -> str:
    """A type in a word: ``int64``, ``text``, ``time UTC``, ``list ▸``."""
    for pattern, short in _SHORT:
        if pattern.match(arrow_type):
            return clean(pattern.sub(short, arrow_type))
    return clean(arrow_type)


def kept(value: Any) -> Any:
    """A cell as it stays in memory: whole, or its beginning."""
    if isinstance(value, str) and len(value) > KEPT_TEXT:
        return Cut(value[:KEPT_TEXT], len(value))
    if isinstance(value, dict | list):
        text = as_json(value)
        return Cut(text[:KEPT_TEXT], len(text)) if len(text) > KEPT_TEXT else value
    return value


def field_of(name: str, arrow_type: str, kind: Kind, values: Iterable[Any]) -> Field:
    """A column with the width and the decimals that *values* need."""
    values = list(values)
    decimals = max((_decimals(value) for value in values), default=0)
    field = Field(name, arrow_type, kind, 1, decimals)
    head = max(min(cell_len(clean(name)) + 2, WIDEST), cell_len(short_type(arrow_type)))
    widths = [cell_len(shown(value, field).text) for value in values]
    most = WIDEST if kind != "number" else 48
    return field._replace(width=min(max([head, 4, *widths]), most))


def shown(value: Any, field: Field) -> Shown:
    """A cell on one line; what is null, empty or cut says so."""
    if value is None:
        return Shown("∅", "quiet")
    if isinstance(value, Cut):
        return Shown(_one_line(value.text), "")
    if isinstance(value, bool):
        return Shown("✓", "good") if value else Shown("✗", "quiet")
    if _is_number(value):
        return Shown(_number(value, field.decimals), "")
    if isinstance(value, str):
        if field.kind == "number":  # nan, inf, and decimals, which JSON cannot hold
            return Shown(clean(value), "warn" if value in {"nan", "inf", "-inf"} else "")
        if field.kind == "time":
            return Shown(clean(value.replace("T", " ", 1)), "")
        if field.kind == "bytes":
            return Shown(f"0x{value}", "quiet")
        return Shown(_one_line(value), "")
    return Shown(_one_line(as_json(value)), "accent")


def _one_line(text: str) -> str:
    first, _, rest = text[:200].partition("\n")
    more = "…⏎" if rest or len(text) > 200 else ""
    line = clean(first.rstrip("\r")).replace("\t", "→")
    return fit(line, WIDEST - cell_len(more)) + more


def _number(value: float, decimals: int) -> str:
    """Digits in groups of three from five digits on: years and small numbers stay as they are."""
    if isinstance(value, int):
        grouped = f"{value:,}"
        return grouped.replace(",", " ") if abs(value) >= 10_000 else str(value)
    size = abs(value)
    if size and (size < 10**-_DECIMALS or size >= 1e15):
        return f"{value:.4g}"
    text = f"{value:,.{max(decimals, 1)}f}"
    return text.replace(",", " ") if size >= 10_000 else text.replace(",", "")


def _decimals(value: Any) -> int:
    """How many decimals a number has, as far as they are drawn."""
    if not isinstance(value, float) or not math.isfinite(value):
        return 0
    return len(f"{value:.{_DECIMALS}f}".rstrip("0").partition(".")[2])


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def whole(value: Any) -> str:
    """A cell in full, unfolded: of what is nested a line for every member."""
    if value is None:
        return "∅ null"
    if isinstance(value, str):
        return clean_block(value) if value else "(empty text)"
    return clean_block(as_json(value, indent=2))


def as_text(value: Any) -> str:
    """A cell as it is copied: nothing for null, text as it is, the rest as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else as_json(value)
