"""Tables that are there: opened, looked at, read batch by batch. pyarrow reads, fsspec finds."""

# pyright: basic
# pyarrow and fsspec ship no types; mypy reads them as Any.

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds

from rhdesk.data import reading
from rhdesk.data.versions import Manifest, newest
from rhdesk.errors import BadInput, NotFound, Refused, StoreUnwritable
from rhdesk.models import Column, TableInfo, TablePage

Condition = tuple[str, str, Any]
"""A column, one of `COMPARISONS`, a value. Several must all hold."""

COMPARISONS: Final = ("==", "!=", "<=", ">=", "<", ">", "in", "not in")
FORMATS: Final = {
    **{"parquet": "parquet", "pq": "parquet"},
    **{"arrow": "arrow", "feather": "arrow", "ipc": "arrow"},
    **{"csv": "csv", "jsonl": "json", "ndjson": "json", "json": "json"},
}
"""What a file's ending says it is, as pyarrow calls it."""


class Opened(NamedTuple):
    path: str
    fs: Any
    root: str
    """*path* as the file system spells it."""
    format: str
    manifest: Manifest | None
    dataset: Any


def open_table(
    path: str, options: Mapping[str, Any] | None = None, *, files: tuple[Any, str] | None = None
) -> Opened:
    """Open a file or a folder of files; their footers are read when they are needed.

    Args:
        options: What the file system of *path* wants to know: fsspec's words.
        files: The file system, and what it calls *path*, where that is known.

    Raises:
        NotFound: Nothing is there.
        BadInput: It is no table; the message names the file.
    """
    fs, root = files or locate(path, options)
    with spoken(path):
        if not fs.exists(root):
            raise NotFound(path, kind="table")
        manifest = newest(fs, root) if fs.isdir(root) else None
        if manifest:
            source: Any = [posixpath.join(root, file) for file in manifest.files]
            kind, base = manifest.format, root
        else:
            source, kind, base = root, _format(fs, root), None
        flavour = ds.partitioning(flavor="hive")
        if manifest and manifest.partition_cols:
            flavour = ds.HivePartitioning.discover(infer_dictionary=False)
        dataset = ds.dataset(
            source, format=kind, filesystem=fs, partitioning=flavour, partition_base_dir=base
        )
    return Opened(path, fs, root, kind, manifest, dataset)


def locate(path: str, options: Mapping[str, Any] | None = None) -> tuple[Any, str]:
    """The file system of *path*, and what it calls it.

    Raises:
        BadInput: Nothing installed here reads such an address; the message says what does.
    """
    try:
        fs, root = fsspec.core.url_to_fs(path, **dict(options or {}))
    except ImportError as exc:
        raise BadInput(f"{path} cannot be opened: {exc}") from exc
    except ValueError as exc:
        raise BadInput(f"{path!r} is no address of a table: {exc}") from exc
    return fs, root


def _format(fs: Any, root: str) -> str:
    """What the ending of the file, or of the first file in the folder, says."""
    name = root
    if fs.isdir(root):
        name = next((f for f in sorted(fs.find(root)) if _ending(f) in FORMATS), "")
    if (ending := _ending(name)) not in FORMATS:
        raise BadInput(
            f"{root} holds no table; files of one end in .{', .'.join(sorted(FORMATS))}"
        )
    return FORMATS[ending]


def is_table(path: str) -> bool:
    """Whether a path ends as a file of a table does."""
    return _ending(path) in FORMATS


def _ending(name: str) -> str:
    return posixpath.splitext(name)[1].lstrip(".").lower()


@contextmanager
def spoken(path: str) -> Iterator[None]:
    """pyarrow's and the operating system's faults, as ours."""
    try:
        yield
    except pa.ArrowException as exc:
        raise BadInput(f"{path} cannot be read: {exc}") from exc
    except FileNotFoundError as exc:
        raise NotFound(exc.filename or path, kind="file") from exc
    except PermissionError as exc:
        raise Refused(f"{path} may not be touched: {exc.strerror or exc}") from exc
    except OSError as exc:
        # Of a file that is cut off, pyarrow says OSError too, without a number.
        if exc.errno is None:
            raise BadInput(f"{path} cannot be read: {exc}") from exc
        raise StoreUnwritable(f"{path}: {exc.strerror or exc}") from exc


def info(table: Opened) -> TableInfo:
    """What the files' footers say; no row is read."""
    with spoken(table.path):
        fragments = list(table.dataset.get_fragments())
        seen = _statistics(fragments) if table.format == "parquet" else {}
        cheap = table.format in {"parquet", "arrow"}
        return TableInfo(
            path=table.path,
            format=table.format,
            rows=sum(f.count_rows() for f in fragments) if cheap else None,
            files=len(fragments),
            size_bytes=sum(table.fs.size(f.path) or 0 for f in fragments),
            columns=tuple(
                seen.get(field.name) or Column(name=field.name, type=str(field.type))
                for field in table.dataset.schema
            ),
            partition_cols=table.manifest.partition_cols if table.manifest else (),
            version=table.manifest.version if table.manifest else 0,
        )


def _statistics(fragments: Sequence[Any]) -> dict[str, Column]:
    """Nulls and bounds of every plain column, if every row group of every file tells them."""
    found: dict[str, Column] = {}
    untold: set[str] = set()
    for fragment in fragments:
        schema = fragment.physical_schema
        for group in range(fragment.metadata.num_row_groups):
            row_group = fragment.metadata.row_group(group)
            for at in range(row_group.num_columns):
                chunk = row_group.column(at)
                name, stats = chunk.path_in_schema, chunk.statistics
                if name not in schema.names:  # a part of a nested column
                    continue
                if stats is None or not stats.has_null_count:
                    untold.add(name)
                    continue
                bounds = (stats.min, stats.max) if stats.has_min_max else (None, None)
                one = Column(
                    name=name,
                    type=str(schema.field(name).type),
                    nulls=stats.null_count,
                    least=as_json(bounds[0]),
                    most=as_json(bounds[1]),
                )
                found[name] = _both(found[name], one) if name in found else one
    return {name: column for name, column in found.items() if name not in untold}


def _both(one: Column, other: Column) -> Column:
    def pick(choose: Any, a: Any, b: Any) -> Any:
        return b if a is None else a if b is None else choose(a, b)

    return Column(
        name=one.name,
        type=one.type,
        nulls=(one.nulls or 0) + (other.nulls or 0),
        least=pick(min, one.least, other.least),
        most=pick(max, one.most, other.most),
    )


def expression(table: Opened, where: Sequence[Condition]) -> Any:
    """*where* as a filter of pyarrow's, which parquet answers from its statistics where it can.

    Raises:
        BadInput: As `typed`.
    """
    whole = None
    for name, how, values in typed(table, where):
        one = reading.condition(name, how, values)
        whole = one if whole is None else whole & one
    return whole


def typed(table: Opened, where: Sequence[Condition]) -> list[tuple[str, str, Any]]:
    """*where*, with the values of each as an array of its column's type.

    Raises:
        BadInput: No such column or comparison, or a value that the column cannot hold.
    """
    found: list[tuple[str, str, Any]] = []
    for name, how, value in where:
        known(table, [name])
        kind = table.dataset.schema.field(name).type
        if how not in COMPARISONS:
            raise BadInput(f"{how!r} compares nothing; what does: {' '.join(COMPARISONS)}")
        try:
            values = pa.array(list(value) if how in {"in", "not in"} else [value]).cast(kind)
        except (pa.ArrowException, TypeError) as exc:
            raise BadInput(f"{name} is {kind}, which {value!r} is not: {exc}") from exc
        found.append((name, how, values))
    return found


def known(table: Opened, columns: Sequence[str]) -> None:
    """See that there are such columns.

    Raises:
        BadInput: There are not; the message says which there are.
    """
    names = table.dataset.schema.names
    for name in columns:
        if name not in names:
            raise BadInput(f"{table.path} has no column {name!r}; it has {', '.join(names)}")


def chosen(table: Opened, columns: Sequence[str] | None) -> Any:
    """The schema of these columns, or of all."""
    schema = table.dataset.schema
    known(table, columns or ())
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])


def count(table: Opened, where: Sequence[Condition] = ()) -> int:
    """How many rows there are for which *where* holds."""
    kept = expression(table, where)
    with spoken(table.path):
        return int(table.dataset.count_rows(filter=kept))


def batches(
    table: Opened,
    *,
    columns: Sequence[str] | None = None,
    where: Sequence[Condition] = (),
    batch_rows: int = 65_536,
    ahead: int = 4,
    scan: Any = None,
) -> Iterator[Any]:
    """Record batches in the order of the rows; see `rhdesk.data.reading.batches`."""
    if columns is not None:
        known(table, columns)
    kept = expression(table, where)
    with spoken(table.path):
        yield from reading.batches(
            table.dataset,
            columns=columns,
            kept=kept,
            batch_rows=batch_rows,
            ahead=ahead,
            scan=scan,
        )


def whole(
    table: Opened, *, columns: Sequence[str] | None = None, where: Sequence[Condition] = ()
) -> Any:
    """All of it as one pyarrow table."""
    if columns is not None:
        known(table, columns)
    kept = expression(table, where)
    with spoken(table.path):
        return table.dataset.to_table(columns=columns, filter=kept)


def page(
    table: Opened,
    *,
    offset: int = 0,
    limit: int = 50,
    columns: Sequence[str] | None = None,
    where: Sequence[Condition] = (),
) -> TablePage:
    """The rows from *offset* on, at most *limit*.

    Without a filter a parquet table is entered at the row group that holds the row, so its last
    page costs what its first does.
    """
    if offset < 0 or limit < 1:
        raise BadInput(
            f"a page begins at row 0 or later and has a row at least: {offset}, {limit}"
        )
    skip, source = offset, table
    if table.format == "parquet" and not where:
        skip, source = _enter(table, offset)
    rows: list[tuple[Any, ...]] = []
    found = batches(
        source, columns=columns, where=where, batch_rows=8192, ahead=1, scan=frugal(table)
    )
    for batch in found:
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        wanted = batch.slice(skip, limit - len(rows))
        skip = 0
        held = [[as_json(cell) for cell in column.to_pylist()] for column in wanted.columns]
        rows.extend(zip(*held, strict=True))
        if len(rows) >= limit:
            break
    names = columns if columns is not None else table.dataset.schema.names
    return TablePage(path=table.path, columns=tuple(names), offset=offset, rows=tuple(rows))


def frugal(table: Opened) -> Any:
    """How to scan it and hold little: else pyarrow reads far more of a file than the next rows."""
    if table.format != "parquet":
        return None
    return ds.ParquetFragmentScanOptions(pre_buffer=False, use_buffered_stream=True)


def _enter(table: Opened, offset: int) -> tuple[int, Opened]:
    """The table from the row group of row *offset* on; and how many rows to skip there."""
    with spoken(table.path):
        fragments = list(table.dataset.get_fragments())
        for at, fragment in enumerate(fragments):
            if offset >= (held := fragment.count_rows()):
                offset -= held
                continue
            groups = fragment.metadata
            for group in range(groups.num_row_groups):
                if offset < groups.row_group(group).num_rows:
                    inside = fragment.subset(row_group_ids=range(group, groups.num_row_groups))
                    rest = [inside, *islice(fragments, at + 1, None)]
                    return offset, table._replace(dataset=_of_fragments(table, rest))
                offset -= groups.row_group(group).num_rows
        return 0, table._replace(dataset=_of_fragments(table, []))


def _of_fragments(table: Opened, fragments: list[Any]) -> Any:
    return ds.FileSystemDataset(
        fragments, table.dataset.schema, table.dataset.format, table.dataset.filesystem
    )


def as_json(value: Any) -> Any:
    """A cell as JSON can hold it: bytes as hex, times in ISO 8601, what is nested all the way."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has neither nan nor inf
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): as_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
