"""The frames of other libraries, to Arrow and from it. None is imported but where one is used."""

# pyright: basic
# These libraries leave much untyped; only Any leaves this file.

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import chain
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds

from rhdesk.errors import BadInput, SetupFailed

_ROWS: Final = 65_536
"""Rows taken from another library at once."""


class Kind(NamedTuple):
    """Frames of one library."""

    package: str
    """What to install for it."""
    to_reader: Callable[[Any], Any]
    of_table: Callable[[Any], Any]
    """A frame of a pyarrow table; the library is installed."""


def reader_of(data: Any) -> Any:
    """*data* as one stream of record batches; nothing is copied that need not be.

    Args:
        data: Of pyarrow a table, batch, reader or dataset; a frame of pandas, polars, dask, cuDF,
            Hugging Face datasets or Ray Data; a list of dicts; or what streams itself as Arrow.

    Raises:
        BadInput: It is nothing that has rows and columns.
    """
    try:
        if isinstance(data, pa.RecordBatchReader):
            return data
        if isinstance(data, ds.Dataset):
            return data.scanner().to_reader()
        if isinstance(data, pa.RecordBatch):
            return pa.Table.from_batches([data]).to_reader()
        if (kind := kind_of(data)) in KINDS:
            return KINDS[kind].to_reader(data)
        if hasattr(data, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(data)
        if isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
            return pa.Table.from_pylist(data).to_reader()
    except (pa.ArrowException, TypeError) as exc:
        raise BadInput(f"these rows make no table: {exc}") from exc
    raise BadInput(
        f"{type(data).__name__} is no table; what is: pyarrow, {', '.join(KINDS)}, a list of "
        "dicts, or anything with __arrow_c_stream__"
    )


def kind_of(data: Any) -> str:
    """The library a frame is of; ``pyarrow`` of everything that is no frame of `KINDS`."""
    library = type(data).__module__.partition(".")[0]
    return "dask" if library == "dask_expr" else library if library in KINDS else "pyarrow"


def frame_of(table: Any, kind: str) -> Any:
    """A pyarrow table as a frame of another library.

    Raises:
        SetupFailed: The library is not installed; the message says which package to install.
        BadInput: There is no such kind.
    """
    if kind == "pyarrow":
        return table
    if kind not in KINDS:
        raise BadInput(f"{kind!r} is no kind of frame; kinds: pyarrow, {', '.join(KINDS)}")
    try:
        return KINDS[kind].of_table(table)
    except ImportError as exc:
        package = KINDS[kind].package
        raise SetupFailed(f'a {kind} frame needs {kind}: pip install "{package}"') from exc


def _of_pandas(frame: Any) -> Any:
    # By its own Arrow stream its index would become a column.
    return pa.Table.from_pandas(frame, preserve_index=False).to_reader()


def _of_polars(frame: Any) -> Any:
    whole = frame.collect() if hasattr(frame, "collect") else frame
    return pa.RecordBatchReader.from_stream(whole)


def _of_datasets(dataset: Any) -> Any:
    if isinstance(dataset, dict):
        raise BadInput(f"a DatasetDict is several tables; choose one: {', '.join(dataset)}")
    tables = dataset.with_format("arrow").iter(batch_size=_ROWS)
    return _of_tables(tables, dataset.features.arrow_schema if dataset.features else None)


def _of_ray(dataset: Any) -> Any:
    return _of_tables(dataset.iter_batches(batch_size=_ROWS, batch_format="pyarrow"), None)


def _of_dask(frame: Any) -> Any:
    if not hasattr(frame, "to_delayed") or not hasattr(frame, "columns"):
        raise BadInput(f"{type(frame).__name__} of dask is no frame; one is dask.dataframe's")
    parts = (frame.partitions[number].compute() for number in range(frame.npartitions))
    return _of_tables((pa.Table.from_pandas(part, preserve_index=False) for part in parts), None)


def _of_tables(tables: Iterator[Any], schema: Any) -> Any:
    """One stream of tables that come one after the other; the first says what the columns are."""
    tables = iter(tables)
    if schema is None:
        first = next(tables, None)
        if first is None:
            raise BadInput("these rows make no table: there is none, so no columns either")
        schema, tables = first.schema.remove_metadata(), chain([first], tables)
    schema = schema.remove_metadata()
    batches = (batch for table in tables for batch in table.cast(schema).to_batches())
    return pa.RecordBatchReader.from_batches(schema, batches)


def _to_dask(table: Any) -> Any:
    frames = import_module("dask.dataframe")
    return frames.from_pandas(table.to_pandas(), npartitions=max(1, table.num_rows // 1_000_000))


def _to_datasets(table: Any) -> Any:
    library = import_module("datasets")
    return library.Dataset(library.table.InMemoryTable(table))


KINDS: Final = {
    "pandas": Kind("pandas", _of_pandas, lambda table: table.to_pandas()),
    "polars": Kind("polars", _of_polars, lambda t: import_module("polars").from_arrow(t)),
    "datasets": Kind("datasets", _of_datasets, _to_datasets),
    "ray": Kind("ray[data]", _of_ray, lambda table: import_module("ray.data").from_arrow(table)),
    "dask": Kind("dask[dataframe]", _of_dask, _to_dask),
    "cudf": Kind(
        "cudf-cu12",
        lambda frame: frame.to_arrow().to_reader(),
        lambda table: import_module("cudf").DataFrame.from_arrow(table),
    ),
}


def batch_as(batch: Any, kind: str) -> Any:
    """A record batch for a training loop: of `STREAMS`.

    Raises:
        SetupFailed: The library is not installed.
        BadInput: There is no such kind, or a column has no numbers.
    """
    if kind not in STREAMS:
        raise BadInput(f"{kind!r} streams nothing; what does: {', '.join(STREAMS)}")
    try:
        return STREAMS[kind](batch)
    except ImportError as exc:
        raise SetupFailed(f"to stream as {kind} needs {exc.name}: pip install {exc.name}") from exc


def _arrays(batch: Any) -> dict[str, Any]:
    held = zip(batch.schema.names, batch.columns, strict=True)
    return {name: column.to_numpy(zero_copy_only=False) for name, column in held}


def _tensors(batch: Any, make: Callable[[Any], Any], library: str) -> dict[str, Any]:
    """A tensor of each column; its memory is not shared, for that of Arrow may not be written."""
    made: dict[str, Any] = {}
    for name, array in _arrays(batch).items():
        try:
            made[name] = make(array.copy())
        except (TypeError, ValueError) as exc:
            raise BadInput(f"{name} makes no tensor of {library}: {exc}") from exc
    return made


def _torch(batch: Any) -> dict[str, Any]:
    return _tensors(batch, import_module("torch").from_numpy, "torch")


def _tensorflow(batch: Any) -> dict[str, Any]:
    return _tensors(batch, import_module("tensorflow").convert_to_tensor, "tensorflow")


STREAMS: Final[dict[str, Callable[[Any], Any]]] = {
    "pyarrow": lambda batch: batch,
    "pandas": lambda batch: batch.to_pandas(),
    "polars": lambda batch: import_module("polars").from_arrow(batch),
    "dict": lambda batch: batch.to_pydict(),
    "numpy": _arrays,
    "torch": _torch,
    "tf": _tensorflow,
}
"""What a stream gives for each batch; of the last three a dict of arrays by column."""
