"""``rh.table``: rows in files, as v0.0.12 spelled it.

flights = rh.table(frame, name="~/flights", path="flights", partition_cols=["month"])
flights.write().save()
for batch in rh.load("~/flights").stream(batch_size=1000):
    ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Self

from rhdesk.errors import BadInput, NotFound
from rhdesk.handles.folder import held
from rhdesk.handles.resource import Resource
from rhdesk.handles.session import session

_HERE: Final = ("", "file", "here")


class Table(Resource):
    """A table: where it is, and rows that are still to be written there.

    Attributes:
        path: The file, or the folder of files.
        system: fsspec's word for where that is: ``file``, ``s3``.
        data_config: What that file system wants to know.
        partition_cols: Columns whose values become folders.
        stream_format: What `stream` gives: ``pyarrow`` or ``pandas``.
        metadata: Anything to keep with the name.
    """

    RESOURCE_TYPE = "table"
    STREAM_FORMAT = "pyarrow"

    def __init__(
        self,
        path: str,
        *,
        name: str | None = None,
        system: str = "file",
        data: Any = None,
        data_config: Mapping[str, Any] | None = None,
        partition_cols: Sequence[str] = (),
        stream_format: str = "",
        metadata: Mapping[str, Any] | None = None,
        dryrun: bool = False,
    ) -> None:
        super().__init__(name, dryrun)
        self.path, self.system = path, system
        self.data_config = dict(data_config or {})
        self.partition_cols = list(partition_cols)
        self.stream_format = stream_format or self.STREAM_FORMAT
        if self.stream_format not in {"pyarrow", "pandas"}:
            raise BadInput(f"{stream_format!r} streams nothing; what does: pyarrow, pandas")
        self.metadata = dict(metadata or {})
        self._data = data
        self._contents: dict[str, Any] = {}

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Table:
        """What a saved config describes, v0.0.12's among them."""
        kind = PandasTable if config.get("resource_subtype") == "PandasTable" else Table
        return kind(
            config["path"],
            name=config.get("name"),
            system=config.get("system") or "file",
            data_config=config.get("data_config"),
            partition_cols=config.get("partition_cols") or (),
            stream_format=config.get("stream_format") or "",
            metadata=config.get("metadata"),
        )

    @property
    def config_for_rns(self) -> dict[str, Any]:
        return super().config_for_rns | {
            "path": self.path,
            "system": self.system,
            "data_config": self.data_config,
            "partition_cols": self.partition_cols,
            "stream_format": self.stream_format,
            "metadata": self.metadata,
            **({"contents": self._contents} if self._contents else {}),
        }

    def save(self, name: str | None = None, overwrite: bool = True) -> Self:
        """Save where it is and, if it is there, which files it holds with their hashes."""
        self._contents = held(self.fsspec_url)
        return super().save(name, overwrite)

    @property
    def fsspec_url(self) -> str:
        """Its address: ``s3://bucket/flights``."""
        if self.system in _HERE or "://" in self.path:
            return self.path
        return f"{self.system}://{self.path}"

    @property
    def data(self) -> Any:
        """The rows it was made with; those in the files if it was made without."""
        return self._data if self._data is not None else self.fetch()

    @data.setter
    def data(self, data: Any) -> None:
        self._data = data

    def write(self, mode: str = "overwrite") -> Self:
        """Write its data; what is there is replaced, as in v0.0.12, once all of it is written.

        Args:
            mode: ``append`` adds a version instead; ``new`` fails if something is there.
        """
        if self._data is None:
            raise BadInput(f"{self!r} holds no data to write; set .data first")
        session().desk.write_table(
            self._data,
            self.fsspec_url,
            mode=mode,
            partition_cols=self.partition_cols,
            options=self.data_config,
        )
        return self

    def fetch(self, columns: Sequence[str] | None = None) -> Any:
        """All of it, in its own type; it has to fit in memory."""
        return session().desk.read_table(
            self.fsspec_url, columns=columns, options=self.data_config
        )

    def stream(
        self,
        batch_size: int,
        drop_last: bool = False,
        shuffle_seed: int | None = None,
        shuffle_buffer_size: int | None = None,
        prefetch_batches: int | None = None,
    ) -> Iterator[Any]:
        """Batches of *batch_size* rows in its `stream_format`; memory holds a few of them."""
        batches = session().desk.stream_table(
            self.fsspec_url,
            batch_size=batch_size,
            drop_last=drop_last,
            shuffle_seed=shuffle_seed,
            shuffle_buffer_size=shuffle_buffer_size,
            prefetch=4 if prefetch_batches is None else prefetch_batches,
            options=self.data_config,
        )
        for batch in batches:
            yield batch.to_pandas() if self.stream_format == "pandas" else batch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Rows, each a dict."""
        for batch in session().desk.stream_table(self.fsspec_url, options=self.data_config):
            yield from batch.to_pylist()

    def __len__(self) -> int:
        """Rows in the files; of csv and JSON they are counted."""
        rows = session().desk.table_info(self.fsspec_url, options=self.data_config).rows
        if rows is not None:
            return rows
        batches = session().desk.stream_table(self.fsspec_url, options=self.data_config)
        return sum(batch.num_rows for batch in batches)

    def __bool__(self) -> bool:
        return True  # not by its length: an empty table is one

    def exists_in_system(self) -> bool:
        """Whether there is a table where it says."""
        try:
            session().desk.table_info(self.fsspec_url, options=self.data_config)
        except NotFound:
            return False
        return True

    def set_metadata(self, key: str, val: Any) -> None:
        self.metadata[key] = val

    def get_metadata(self, key: str) -> Any:
        """What was kept under *key*; None if nothing was."""
        return self.metadata.get(key)


class PandasTable(Table):
    """A table whose own type is a pandas frame."""

    STREAM_FORMAT = "pandas"

    def fetch(self, columns: Sequence[str] | None = None) -> Any:
        """All of it as a frame."""
        return super().fetch(columns).to_pandas()


def table(
    data: Any = None,
    name: str | None = None,
    path: str | None = None,
    system: str | None = None,
    data_config: dict[str, Any] | None = None,
    partition_cols: list[str] | None = None,
    mkdir: bool = False,
    dryrun: bool = False,
    stream_format: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Table:
    """A table of *data*, or of the files at *path*, or the one saved as *name*.

    Args:
        path: By default a folder among rhdesk's own data, after its name.
        mkdir: Does not count: folders are made when rows are written.

    Raises:
        NotFound: There is neither data nor path, and nothing is saved as *name*.
        BadInput: It is given neither data, nor a path, nor a name.
    """
    if data is None and path is None:
        if name is None:
            raise BadInput("a table is of data, at a path, or has a name that is saved")
        return Table.from_name(name, dryrun=dryrun)
    if path is None:
        if name is None:
            raise BadInput("a table of data needs a path or a name to be written under")
        leaf = name.rpartition("/")[2]
        path = str(session().desk.asynchronous.settings.data_dir / "tables" / leaf)
    kind = PandasTable if type(data).__module__.partition(".")[0] == "pandas" else Table
    return kind(
        path,
        name=name,
        system=system or "file",
        data=data,
        data_config=data_config,
        partition_cols=partition_cols or (),
        stream_format=stream_format or "",
        metadata=metadata,
        dryrun=dryrun,
    )
