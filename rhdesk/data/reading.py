"""Rows of a dataset, a batch at a time; nothing runs far ahead of whoever is slow.

Of all that is imported, only pyarrow has to be installed: the text of this file is also sent to a
machine that has it, and reads there what that machine holds (`rhdesk.data.far_tables`).
"""

# pyright: basic
# pyarrow ships no types; mypy reads it as Any.

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.dataset as ds


def batches(
    dataset: Any,
    *,
    columns: Sequence[str] | None,
    kept: Any,
    batch_rows: int,
    ahead: int,
    scan: Any = None,
) -> Iterator[Any]:
    """Record batches in the order of the rows, none longer than *batch_rows*, none empty.

    What is in memory is *ahead* batches, or a row group of parquet where that is more: a scan of
    all of it would run ahead of a slow reader by a gigabyte.

    Args:
        kept: A filter of pyarrow's; parquet answers it from its statistics where it can.
    """
    schema = dataset.schema
    for fragment in dataset.get_fragments(kept):
        parts = [fragment]
        if isinstance(fragment, ds.ParquetFileFragment):
            parts = fragment.split_by_row_group(kept, schema)
        for part in parts:
            read = part.to_batches(
                schema=schema,
                columns=list(columns) if columns is not None else None,
                filter=kept,
                batch_size=batch_rows,
                batch_readahead=ahead,
                fragment_scan_options=scan,
            )
            yield from (batch for batch in read if batch.num_rows)


def condition(name: str, how: str, values: Any) -> Any:
    """A comparison as a filter.

    Args:
        how: ``==``, ``<`` and so on, with one value; or ``in``, ``not in`` with any number.
        values: An array of the column's type.
    """
    column = ds.field(name)
    if how in {"in", "not in"}:
        found = column.isin(values)
        return ~found if how == "not in" else found
    return {
        "==": column.__eq__,
        "!=": column.__ne__,
        "<": column.__lt__,
        "<=": column.__le__,
        ">": column.__gt__,
        ">=": column.__ge__,
    }[how](values[0])


def packed(values: Any) -> str:
    """An array as text that keeps its type."""
    batch = pa.record_batch([values], names=["values"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return base64.b64encode(sink.getvalue()).decode()


def unpacked(text: str) -> Any:
    with pa.ipc.open_stream(base64.b64decode(text)) as stream:
        return stream.read_all()["values"].combine_chunks()


def serve() -> None:
    """Answer one question, a line of JSON, from standard input: a line that says whether it can be
    done, the batches as an Arrow stream, and a line with how many rows they were, for the end of
    such a stream and the end of a connection look alike.
    """
    with open(1, "wb", 1 << 20, closefd=False) as out:
        out.write(b"ready\n")
        out.flush()
        answer = _answer(json.loads(sys.stdin.readline()), out)
        out.write(json.dumps(answer).encode() + b"\n")


def _answer(asked: dict[str, Any], out: BinaryIO) -> dict[str, Any]:
    rows = 0
    try:
        flavour = ds.partitioning(flavor="hive")
        if asked["is_listed"]:
            flavour = ds.HivePartitioning.discover(infer_dictionary=False)
        dataset = ds.dataset(
            asked["files"],
            format=asked["format"],
            partitioning=flavour,
            partition_base_dir=asked["base"],
        )
        kept = None
        for name, how, values in asked["where"]:
            one = condition(name, how, unpacked(values))
            kept = one if kept is None else kept & one
        schema = dataset.schema
        if asked["columns"] is not None:
            schema = pa.schema([schema.field(name) for name in asked["columns"]])
        out.write(b"{}\n")
        with pa.ipc.new_stream(out, schema) as stream:
            for batch in batches(
                dataset,
                columns=asked["columns"],
                kept=kept,
                batch_rows=asked["batch_rows"],
                ahead=asked["ahead"],
            ):
                stream.write_batch(batch)
                rows += batch.num_rows
    except (pa.ArrowException, OSError) as exc:
        return {"rows": rows, "failed": str(exc)}
    return {"rows": rows}
