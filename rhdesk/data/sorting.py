"""A page of a table in another order, without ever holding the table.

1. Which values stand at the page's first and last rank is found from the column alone: near the
   front by keeping the smallest seen so far, elsewhere by a sample that says between which values
   to look, and a pass that counts what is before them and what is between.
2. The rows with those values, and between them, are read with a filter that parquet's statistics
   answer where they can. Rows of the same value stay in the order of the table.

Memory is bounded by the sample and the values between, not by the rows. Null comes last, NaN
before it, whichever way the order goes.
"""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes its compute functions as it is imported, and ships no types.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from rhdesk.data.scanning import Counts, comparable, plain, scan
from rhdesk.data.tables import Condition, Opened, as_json, expression, known, spoken
from rhdesk.errors import BadInput
from rhdesk.models import TablePage

_NEAR: Final = 20_000
"""Up to this rank the smallest values are simply kept."""
_SAMPLE: Final = 200_000
_MARGIN: Final = 1_000
"""Ranks in the sample by which its guess may be wrong: more than four standard deviations."""
_MANY: Final = 400_000
"""Values collected before equal ones are put together."""


class _Ranked(NamedTuple):
    """Some of a column's values in order, and how many rows are before the first of them."""

    before: int
    values: Any
    counts: Any


def sorted_page(
    table: Opened,
    order: tuple[str, bool],
    *,
    offset: int,
    limit: int,
    columns: Sequence[str] | None = None,
    where: Sequence[Condition] = (),
) -> TablePage:
    """The rows from rank *offset* on.

    Args:
        order: A column, and whether its largest value comes first.

    Raises:
        BadInput: There is no such column, or its values have no order.
    """
    if offset < 0 or limit < 1:
        raise BadInput(
            f"a page begins at row 0 or later and has a row at least: {offset}, {limit}"
        )
    name, descending = order
    names = list(columns) if columns is not None else table.dataset.schema.names
    known(table, [*names, name])
    kind = table.dataset.schema.field(name).type
    if pa.types.is_nested(kind):
        raise BadInput(f"{name} is {kind}, which has no order to sort by")
    with spoken(table.path):
        search = _Search(table, name, descending, expression(table, where))
        found = search.rows(offset, limit, names)
    held = [[as_json(cell) for cell in found[each].to_pylist()] for each in names]
    rows = tuple(zip(*held, strict=True))
    return TablePage(path=table.path, columns=tuple(names), offset=offset, rows=rows)


class _Search:
    def __init__(self, table: Opened, name: str, descending: bool, kept: Any) -> None:
        self._table, self._name, self._descending, self._kept = table, name, descending, kept
        field = ds.field(name)
        kind = table.dataset.schema.field(name).type
        self._is_bool, self._is_float = pa.types.is_boolean(kind), pa.types.is_floating(kind)
        self._order = "descending" if descending else "ascending"
        self._null = field.is_null()
        self._nan = ~field.is_null() & field.is_null(nan_is_null=True)

    def rows(self, offset: int, limit: int, names: Sequence[str]) -> Any:
        """The rows of these ranks as a pyarrow table."""
        nulls = self._count(self._null)
        nans = self._count(self._nan) if self._is_float else 0
        plain = self._count(None) - nulls - nans
        parts = [*self._plain(offset, min(offset + limit, plain), plain, names)]
        for filter, count, first in ((self._nan, nans, plain), (self._null, nulls, plain + nans)):
            start, stop = max(offset, first), min(offset + limit, first + count)
            if start < stop:
                parts.append(self._read(filter, start - first, stop - start, names))
        if not parts:
            parts.append(self._table.dataset.schema.empty_table())
        return pa.concat_tables([part.select(names) for part in parts])

    def _plain(self, start: int, stop: int, total: int, names: Sequence[str]) -> Iterator[Any]:
        """Rows that are neither null nor NaN, from rank *start* up to *stop*."""
        if start >= stop:
            return
        ranked = self._near(stop) if stop <= _NEAR else self._far(start, stop, total)
        ends = ranked.before + numpy.cumsum(ranked.counts.to_numpy())
        first, last = (int(at) for at in numpy.searchsorted(ends, [start, stop - 1], side="right"))
        begin = int(ends[first]) - ranked.counts[first].as_py()
        low, high = self._typed(ranked.values[first]), self._typed(ranked.values[last])
        field = ds.field(self._name)
        if first == last:
            yield self._read(field == low, start - begin, stop - start, names)
            return
        yield self._read(field == low, start - begin, int(ends[first]) - start, names)
        if last > first + 1:
            down = self._descending
            between = (field < low) & (field > high) if down else (field > low) & (field < high)
            found = self._read(between, 0, int(ends[last - 1] - ends[first]), names)
            keys = comparable(found[self._name].combine_chunks())
            # Stable, unlike Arrow's own: equal values stay in the order of the table.
            ranks = pc.rank(keys, self._order, tiebreaker="min")
            yield found.take(pa.array(numpy.argsort(ranks.to_numpy(), kind="stable")))
        yield self._read(field == high, 0, stop - int(ends[last - 1]), names)

    # ---- which values

    def _near(self, need: int) -> _Ranked:
        """The first *need* values in order."""
        bound: Any = None
        kept = Counts(_MANY)
        for values in self._values():
            if bound is not None:
                values = values.filter(self._not_after(values, bound))
            if len(values) > need:  # no batch has more than that to say
                values = values.take(
                    pc.select_k_unstable(values, need, sort_keys=[("", self._order)])
                )
            kept.add(values)
            if len(kept) > 4 * need:
                first = self._first(kept, need)
                kept.keep(first)
                bound = first["value"][-1]
        first = self._first(kept, need)
        return _Ranked(0, first["value"].combine_chunks(), first["count"].combine_chunks())

    def _first(self, kept: Counts, need: int) -> Any:
        """The first values in order, so many that there are *need* rows of them."""
        whole = kept.together().sort_by([("value", self._order)])
        enough = int(numpy.searchsorted(numpy.cumsum(whole["count"].to_numpy()), need)) + 1
        return whole.take(pa.array(range(min(enough, len(whole)))))

    def _far(self, start: int, stop: int, total: int) -> _Ranked:
        """Values around these ranks: a sample says which; if it was wrong, all are counted."""
        low, high = self._guess(start, stop, total)
        before, between = 0, Counts(_MANY)
        for values in self._values():
            if low is not None:
                earlier = pc.invert(self._not_before(values, low))
                before += pc.sum(earlier).as_py() or 0
                values = values.filter(pc.invert(earlier))
            if high is not None:
                values = values.filter(self._not_after(values, high))
            between.add(values)
        whole = between.together().sort_by([("value", self._order)])
        ranked = _Ranked(before, whole["value"].combine_chunks(), whole["count"].combine_chunks())
        counted = before + (pc.sum(ranked.counts).as_py() or 0)
        if (low is None and high is None) or (before <= start and counted >= stop):
            return ranked
        return self._far(start, stop, 0)

    def _guess(self, start: int, stop: int, total: int) -> tuple[Any, Any]:
        if total < _SAMPLE:
            return None, None
        random = numpy.random.default_rng(total)
        share = _SAMPLE / total
        picked = [values.filter(pa.array(random.random(len(values)) < share))
                  for values in self._values()]  # fmt: skip
        sample = pa.chunked_array(picked).combine_chunks()
        sample = sample.take(pc.array_sort_indices(sample, order=self._order))
        size = len(sample)
        at, to = int(start / total * size) - _MARGIN, int(stop / total * size) + _MARGIN
        return sample[at] if at > 0 else None, sample[to] if to < size else None

    def _not_before(self, values: Any, bound: Any) -> Any:
        return (pc.less_equal if self._descending else pc.greater_equal)(values, bound)

    def _not_after(self, values: Any, bound: Any) -> Any:
        return (pc.greater_equal if self._descending else pc.less_equal)(values, bound)

    def _values(self) -> Iterator[Any]:
        """The column, without null and NaN, as values that can be compared."""
        for batch in scan(self._table, [self._name], self._kept):
            values = plain(batch.column(0))
            if len(values):
                yield values

    def _typed(self, value: Any) -> Any:
        return value.cast(pa.bool_()) if self._is_bool else value

    # ---- reading

    def _read(self, filter: Any, skip: int, take: int, names: Sequence[str]) -> Any:
        """Rows that pass *filter*, in the order of the table."""
        wanted = list(dict.fromkeys([*names, self._name]))
        got: list[Any] = []
        for batch in scan(self._table, wanted, self._both(filter)):
            part = batch.slice(skip, take)
            skip = max(skip - batch.num_rows, 0)
            take -= part.num_rows
            if part.num_rows:
                got.append(part)
            if not take:
                break
        schema = pa.schema([self._table.dataset.schema.field(each) for each in wanted])
        return pa.Table.from_batches(got, schema)

    def _count(self, filter: Any) -> int:
        return int(self._table.dataset.count_rows(filter=self._both(filter)))

    def _both(self, filter: Any) -> Any:
        if self._kept is None or filter is None:
            return self._kept if filter is None else filter
        return self._kept & filter
