"""Tables that are written: whole files first, then the list that makes them the table."""

# pyright: basic
# pyarrow and fsspec ship no types; mypy reads them as Any.

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.dataset as ds

from rhdesk.data.frames import reader_of
from rhdesk.data.tables import locate, open_table, spoken
from rhdesk.data.versions import Manifest, commit, newest
from rhdesk.errors import AlreadyExists, BadInput
from rhdesk.models import TableWritten

MODES: Final = ("new", "append", "overwrite")
_ENDINGS: Final = {"parquet": "parquet", "arrow": "arrow", "csv": "csv"}


def write(
    data: Any,
    path: str,
    *,
    mode: str = "new",
    format: str = "parquet",
    partition_cols: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    files: tuple[Any, str] | None = None,
) -> TableWritten:
    """Write *data* to the folder *path*.

    Args:
        data: As `rhdesk.data.frames.reader_of` takes it.
        mode: ``new``, ``append``, which takes the format and partitions that are there, or
            ``overwrite``.
        partition_cols: Columns whose values become folders, ``month=3``.
        files: As `open_table` has it.

    Raises:
        AlreadyExists: *mode* is ``new`` and something is there; or another wrote the same version.
        BadInput: The columns differ from those that are there, or *data* is no table.
        StoreUnwritable: The disk is full or read-only. What was there is as it was.
    """
    if mode not in MODES:
        raise BadInput(f"{mode!r} is no way to write; ways are {', '.join(MODES)}")
    if format not in _ENDINGS:
        raise BadInput(f"{format!r} is no format to write; formats are {', '.join(_ENDINGS)}")
    reader = reader_of(data)
    fs, root = files or locate(path, options)
    with spoken(path):
        before = newest(fs, root) if fs.isdir(root) else None
        if mode == "new" and fs.exists(root) and (fs.isfile(root) or fs.ls(root)):
            raise AlreadyExists(f"{path} is there; append to it, or overwrite it")
        if mode != "new" and before is None and fs.exists(root):
            raise BadInput(f"{path} was not written by rhdesk, which changes only what it wrote")
    if mode == "append" and before is not None:
        same_columns(
            path, open_table(path, options, files=(fs, root)).dataset.schema, reader.schema
        )
        format, partition_cols = before.format, before.partition_cols
    for name in partition_cols:
        if name not in reader.schema.names:
            raise BadInput(
                f"{name!r} is no column to partition by; columns are "
                f"{', '.join(reader.schema.names)}"
            )
    with spoken(path), _unmade(fs, root) as made:
        rows, names = _write_files(reader, fs, root, format, partition_cols, made)
        kept = before.files if before and mode == "append" else ()
        version = before.version + 1 if before else 1
        manifest = Manifest(
            version=version,
            format=format,
            files=(*kept, *names),
            partition_cols=tuple(partition_cols),
        )
        commit(fs, root, manifest)
    if before and mode == "overwrite":
        # Already no part of the table; one that stays behind costs room and nothing else.
        for file in before.files:
            with suppress(OSError):
                fs.rm_file(posixpath.join(root, file))
    return TableWritten(path=path, version=version, rows=rows, files=len(names))


@contextmanager
def _unmade(fs: Any, root: str) -> Iterator[str]:
    """A mark for the names of files; whatever carries it goes if they do not become a table."""
    mark, was_there = uuid4().hex[:12], fs.exists(root)
    try:
        yield mark
    except BaseException:
        with suppress(OSError):
            for file in fs.find(root):
                if f"part-{mark}-" in file:
                    fs.rm_file(file)
            if not was_there:
                fs.rm(root, recursive=True)
        raise


def _write_files(
    reader: Any, fs: Any, root: str, format: str, partition_cols: Sequence[str], mark: str
) -> tuple[int, list[str]]:
    rows, files = 0, []

    def counted() -> Iterator[Any]:
        nonlocal rows
        for batch in reader:
            rows += batch.num_rows
            yield batch

    split = pa.schema([reader.schema.field(name) for name in partition_cols])
    fs.makedirs(root, exist_ok=True)
    ds.write_dataset(
        counted(),
        root,
        schema=reader.schema,
        filesystem=fs,
        format=format,
        partitioning=ds.partitioning(split, flavor="hive") if partition_cols else None,
        basename_template=f"part-{mark}-{{i}}.{_ENDINGS[format]}",
        existing_data_behavior="overwrite_or_ignore",
        # One thread: rows stay in the order they came.
        use_threads=False,
        file_visitor=lambda file: files.append(posixpath.relpath(file.path, root)),
    )
    return rows, sorted(files, key=_number)


def _number(file: str) -> tuple[str, int]:
    """``month=1/part-0af3-10.parquet`` after ``part-0af3-9``."""
    folder, name = posixpath.split(file)
    return folder, int(name.rpartition("-")[2].partition(".")[0])


def same_columns(path: str, there: Any, given: Any) -> None:
    have = {field.name: field.type for field in there}
    new = {field.name: field.type for field in given}
    faults = [f"{name} is missing" for name in have if name not in new]
    faults += [f"{name} is not there" for name in new if name not in have]
    faults += [
        f"{name} is {have[name]} there and {kind} here"
        for name, kind in new.items()
        if name in have and have[name] != kind
    ]
    if faults:
        raise BadInput(f"these rows do not fit {path}: {'; '.join(faults)}")
