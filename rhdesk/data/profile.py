"""One column of a table at a glance: how its values are spread, or which there are most of."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes its compute functions as it is imported, and ships no types.

from __future__ import annotations

from typing import Any, Final

import numpy
import pyarrow as pa
import pyarrow.compute as pc

from rhdesk.data.scanning import Counts, plain, scan
from rhdesk.data.tables import Opened, as_json, known, spoken
from rhdesk.errors import BadInput
from rhdesk.models import ColumnProfile

BINS: Final = 40
TOP: Final = 20
_MOST_VALUES: Final = 200_000
"""Different values that are counted one by one; of more, the rarest are let go."""


def profile(table: Opened, name: str) -> ColumnProfile:
    """Numbers and times in bins, of everything else the commonest values; the column is read.

    Raises:
        BadInput: There is no such column, or its values cannot be compared.
    """
    known(table, [name])
    kind = table.dataset.schema.field(name).type
    if pa.types.is_nested(kind):
        raise BadInput(f"{name} is {kind}; only plain values are counted")
    with spoken(table.path):
        is_measured = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if is_measured or pa.types.is_decimal(kind) or pa.types.is_temporal(kind):
            return _spread(table, name)
        return _commonest(table, name)


def _spread(table: Opened, name: str) -> ColumnProfile:
    rows = nulls = 0
    bounds: list[Any] = []
    for batch in scan(table, [name], None):
        values = batch.column(0)
        rows, nulls = rows + len(values), nulls + values.null_count
        found = pc.min_max(_finite(values))
        bounds += [each for each in (found["min"], found["max"]) if each.is_valid]
    if not bounds:
        return ColumnProfile(name=name, rows=rows, nulls=nulls)
    both = pc.min_max(pa.array(bounds, bounds[0].type))
    edges = _measured(pa.array([both["min"], both["max"]], bounds[0].type))
    counts = numpy.zeros(BINS, numpy.int64)
    for batch in scan(table, [name], None):
        numbers = _measured(_finite(batch.column(0)))
        counts += numpy.histogram(numbers, BINS, (edges[0], edges[1]))[0]
    return ColumnProfile(
        name=name, rows=rows, nulls=nulls, bins=tuple(int(each) for each in counts),
        least=as_json(both["min"].as_py()), most=as_json(both["max"].as_py()),
    )  # fmt: skip


def _finite(values: Any) -> Any:
    """What has a place on a line: neither null nor NaN nor infinite."""
    values = plain(values)
    return values.filter(pc.is_finite(values)) if pa.types.is_floating(values.type) else values


def _measured(values: Any) -> Any:
    """As numbers on a line: times as what they are stored as."""
    if pa.types.is_temporal(values.type):
        wide = values.type.bit_width == 64
        values = values.cast(pa.int64()) if wide else values.cast(pa.int32())
    return values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _commonest(table: Opened, name: str) -> ColumnProfile:
    rows = nulls = 0
    is_exact = True
    counts = Counts(2 * _MOST_VALUES)
    for batch in scan(table, [name], None):
        values = batch.column(0)
        rows, nulls = rows + len(values), nulls + values.null_count
        counts.add(plain(values))
        if len(counts) > _MOST_VALUES:
            whole = counts.together()
            if len(whole) > _MOST_VALUES:
                is_exact = False
                counts.keep(whole.sort_by([("count", "descending")]).slice(0, _MOST_VALUES // 2))
    whole = counts.together().sort_by([("count", "descending")])
    is_bool = pa.types.is_boolean(table.dataset.schema.field(name).type)
    values = [bool(v) if is_bool else as_json(v) for v in whole["value"][:TOP].to_pylist()]
    return ColumnProfile(
        name=name, rows=rows, nulls=nulls, is_exact=is_exact,
        distinct=len(whole) if is_exact else None,
        top=tuple(zip(values, whole["count"][:TOP].to_pylist(), strict=True)),
    )  # fmt: skip
