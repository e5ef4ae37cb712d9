"""Rows of a table read by the machine that holds it: filtered there, and sent as an Arrow stream.

The machine needs a Python with pyarrow. The stream is held up by whoever is slow to read it: what
is not read fills the channel's window, then the far side's pipe, then it waits.
"""

# pyright: basic
# pyarrow ships no types; mypy reads it as Any.

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Final

import msgspec
import pyarrow as pa

from rhdesk.data import reading
from rhdesk.data.host_tables import TableFiles
from rhdesk.data.on_host import WINDOW, NotThere, Start, Talks
from rhdesk.data.tables import Condition, Opened, batches, known, typed
from rhdesk.errors import BadInput, ConnectionFailed
from rhdesk.foreign import clean

_PROGRAM: Final = inspect.getsource(reading) + "\n\nserve()\n"


def rows(
    table: Opened,
    *,
    columns: Sequence[str] | None = None,
    where: Sequence[Condition] = (),
    batch_rows: int = 65_536,
    ahead: int = 4,
) -> Iterator[Any]:
    """Batches of a table wherever it is: read by its machine if that can, else from here.

    Raises:
        As `rhdesk.data.tables.batches`, and ConnectionFailed where the line breaks: what came until
        then is not all of the table.
    """
    if isinstance(table.fs, TableFiles) and table.fs.far is not None:
        with suppress(NotThere):
            return table.fs.far.batches(
                table, columns=columns, where=where, batch_rows=batch_rows, ahead=ahead
            )
    return batches(table, columns=columns, where=where, batch_rows=batch_rows, ahead=ahead)


class _Answer(msgspec.Struct):
    rows: int = 0
    failed: str = ""


class FarTables:
    """Reads on one host, over a channel of its own for each stream."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._why_not = ""
        self._reading: set[Talks] = set()

    def close(self) -> None:
        """End what still runs on the host."""
        for talks in list(self._reading):
            talks.close()

    def batches(
        self,
        table: Opened,
        *,
        columns: Sequence[str] | None,
        where: Sequence[Condition],
        batch_rows: int,
        ahead: int,
    ) -> Iterator[Any]:
        """As `rows`; closing it ends what runs on the host.

        Raises:
            NotThere: The host has no Python with pyarrow.
        """
        if columns is not None:
            known(table, columns)
        asked = {
            "files": table.dataset.files,
            "format": table.format,
            "base": table.root if table.fs.isdir(table.root) else None,
            "is_listed": table.manifest is not None,
            "columns": columns,
            "where": [(name, how, reading.packed(to)) for name, how, to in typed(table, where)],
            "batch_rows": batch_rows,
            "ahead": ahead,
        }
        return self._read(table.path, self._begun(asked))

    def _begun(self, asked: dict[str, Any]) -> Talks:
        if self._why_not:
            raise NotThere(self._why_not)
        try:
            talks = self._start(_PROGRAM, "pyarrow", WINDOW)
        except ConnectionFailed as exc:
            self._why_not = str(exc)
            raise NotThere(self._why_not) from exc
        try:
            answer = msgspec.json.decode(
                talks.ask(msgspec.json.encode(asked) + b"\n"), type=_Answer
            )
        except BaseException:
            talks.close()
            raise
        if answer.failed:
            talks.close()
            raise BadInput(f"the host cannot read it: {clean(answer.failed)}")
        return talks

    def _read(self, path: str, talks: Talks) -> Iterator[Any]:
        rows = 0
        self._reading.add(talks)
        try:
            rest = talks.rest()
            try:
                with pa.ipc.open_stream(pa.PythonFile(rest, "r")) as stream:
                    for batch in stream:
                        rows += batch.num_rows
                        yield batch
                _see_whole(path, rows, rest)
            except (pa.ArrowException, OSError, EOFError, msgspec.DecodeError) as exc:
                raise ConnectionFailed(f"{path} broke off after {rows:,} rows: {exc}") from exc
        finally:
            self._reading.discard(talks)
            talks.close()


def _see_whole(path: str, rows: int, rest: BinaryIO) -> None:
    """Read what the host says after the rows; to Arrow the end of the line is the end of a table."""
    answer = msgspec.json.decode(rest.readline(), type=_Answer)
    if answer.failed:
        raise BadInput(f"{path} cannot be read: {clean(answer.failed)}")
    if answer.rows != rows:
        raise ConnectionFailed(f"{path} broke off after {rows:,} of {answer.rows:,} rows")
