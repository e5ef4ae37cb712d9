"""Columns of a table read a row group at a time, as values that can be compared and counted."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes its compute functions as it is imported, and ships no types.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rhdesk.data.reading import batches
from rhdesk.data.tables import Opened, frugal

_BATCH_ROWS: Final = 1 << 18


def scan(table: Opened, names: Sequence[str], filter: Any) -> Iterator[Any]:
    """Record batches; a scan of it all would run ahead by a gigabyte of whoever is slow."""
    return batches(
        table.dataset,
        columns=names,
        kept=filter,
        batch_rows=_BATCH_ROWS,
        ahead=16,
        scan=frugal(table),
    )


def comparable(values: Any) -> Any:
    """An array as Arrow can rank it: dictionaries decoded, booleans as 0 and 1."""
    if pa.types.is_dictionary(values.type):
        return values.dictionary_decode()
    return values.cast(pa.int8()) if pa.types.is_boolean(values.type) else values


def plain(values: Any) -> Any:
    """The same, without null and NaN."""
    values = comparable(values).drop_null()
    if pa.types.is_floating(values.type):
        values = values.filter(pc.invert(pc.is_nan(values)))
    return values


class Counts:
    """Values and how often each was seen, put together now and then."""

    def __init__(self, together_at: int) -> None:
        self._together_at = together_at
        self._parts: list[Any] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, values: Any) -> None:
        counted = values.value_counts()
        self._parts.append(pa.table({"value": counted.field(0), "count": counted.field(1)}))
        self._size += len(counted)
        if self._size > self._together_at:
            self.together()

    def together(self) -> Any:
        """Every value once, in no order: a table of value and count."""
        whole = pa.table({"value": pa.nulls(0), "count": pa.array([], pa.int64())})
        if self._parts:
            whole = pa.concat_tables(self._parts).group_by("value").aggregate([("count", "sum")])
            whole = pa.table({"value": whole["value"], "count": whole["count_sum"]})
        self.keep(whole)
        return whole

    def keep(self, whole: Any) -> None:
        """Go on with these."""
        self._parts, self._size = [whole], len(whole)
