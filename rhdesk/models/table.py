"""Tables: what is known of one without reading it, and a page of its rows."""

from __future__ import annotations

from typing import Any

import msgspec


class Column(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: str
    """As Arrow spells it: ``int64``, ``list<item: string>``."""
    nulls: int | None = None
    """How many are null; None where the files keep no statistics."""
    least: Any = None
    most: Any = None
    """The bounds that the files' statistics give; None where they give none."""


class TableInfo(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    format: str
    rows: int | None
    """None where counting would mean to read everything: only parquet and arrow know."""
    files: int
    size_bytes: int
    columns: tuple[Column, ...]
    partition_cols: tuple[str, ...] = ()
    version: int = 0
    """The newest that was written here; 0 of files that somebody else wrote."""


class TablePage(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    columns: tuple[str, ...]
    offset: int
    """0-based position of the first row, among those the filter lets through."""
    rows: tuple[tuple[Any, ...], ...]
    """Cells as JSON can hold them, in the order of the table."""


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """How the values of a column are spread: of numbers and times in bins, else the commonest."""

    name: str
    rows: int
    nulls: int
    least: Any = None
    most: Any = None
    bins: tuple[int, ...] = ()
    """How many values are in each of these equal parts of what is from `least` to `most`."""
    top: tuple[tuple[Any, int], ...] = ()
    """The commonest values and how often each is there, commonest first."""
    distinct: int | None = None
    """How many different values there are; None of bins, and where there were too many to tell."""
    is_exact: bool = True
    """Whether every value was counted; if not, a rare one may be missing or counted too low."""


class TableWritten(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    version: int
    rows: int
    """How many this write added."""
    files: int
