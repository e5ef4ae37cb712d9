"""pyarrow, in one place: tables as Arrow IPC streams. Imported when a table travels."""

# pyright: basic
# pyarrow ships no types; mypy reads it as Any, and nothing but bytes and Any leaves this file.

from __future__ import annotations

from typing import Any

import pyarrow

from rhdesk.wire.pickles import Buffer


def to_stream(value: Any) -> memoryview:
    """A Table or RecordBatch as one IPC stream."""
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, value.schema) as writer:
        writer.write(value)
    return memoryview(sink.getvalue())


def from_stream(data: Buffer, kind: str) -> Any:
    """The same again; columns are views into *data*."""
    reader = pyarrow.ipc.open_stream(pyarrow.py_buffer(data))
    return reader.read_all() if kind == "Table" else reader.read_next_batch()
