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


class TableWritten(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    version: int
    rows: int
    """How many this write added."""
    files: int
