"""Rows of a table as one file: counted, and written wholly or not at all."""

# pyright: basic
# pyarrow ships no types; mypy reads it as Any.

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from rhdesk.data.file_table import FileTable
from rhdesk.data.tables import Condition, as_json
from rhdesk.data.warehouse import Warehouse
from rhdesk.errors import AlreadyExists, BadInput, RhdeskError, StoreUnwritable
from rhdesk.models import TableWritten

FORMATS: Final = ("csv", "parquet", "jsonl")
_ROWS: Final = 1 << 18
"""Of a batch."""


def export(
    table: FileTable | Warehouse,
    file: str,
    *,
    format: str = "",
    columns: Sequence[str] | None = None,
    where: Sequence[Condition] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> TableWritten:
    """Write rows as the file *file*, a batch at a time; see `TableVerbs.export_table`.

    Args:
        stopped: Asked before every batch; when it says yes, nothing is left behind.
    """
    target = Path(file).expanduser()
    format = format or target.suffix.lstrip(".").lower()
    if format not in FORMATS:
        raise BadInput(f"{file} is exported as none of {', '.join(FORMATS)}: let it end in one")
    rows = 0
    with _beside(target) as part:
        schema = table.schema(columns)
        found = table.batches(columns=columns, where=where, batch_rows=_ROWS)
        try:
            with _writer(part, format, schema) as write:
                for batch in found:
                    if stopped():
                        raise BadInput(f"the export to {file} was stopped; nothing was written")
                    write(batch)
                    rows += batch.num_rows
        except pa.ArrowException as exc:
            raise BadInput(f"{format} cannot hold these rows: {exc}") from exc
    return TableWritten(path=str(target), version=0, rows=rows, files=1)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A path beside *target* that becomes it if all goes well, and goes away if not."""
    if target.exists():
        raise AlreadyExists(f"{target} exists; choose another name")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        part.rename(target)
    except RhdeskError:
        raise
    except OSError as exc:
        raise StoreUnwritable(f"cannot write {target}: {exc.strerror or exc}") from exc
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _writer(part: Path, format: str, schema: Any) -> Iterator[Callable[[Any], object]]:
    if format == "parquet":
        with pq.ParquetWriter(part, schema) as parquet:
            yield parquet.write_batch
    elif format == "csv":
        with pc.CSVWriter(part, schema) as csv:
            yield csv.write_batch
    else:
        with part.open("wb") as lines:
            encoder = msgspec.json.Encoder()

            def write(batch: Any) -> None:
                rows = (as_json(row) for row in batch.to_pylist())
                lines.write(encoder.encode_lines(rows))

            yield write
