"""``rh.table``: rows in files, as v0.0.12 spelled it.

flights = rh.table(frame, name="~/flights", path="flights", partition_cols=["month"])
flights.write().save()
for batch in rh.load("~/flights").stream(batch_size=1000):
    ...
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Self

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
        stream_format: What `stream` gives: ``pyarrow``, ``pandas``, ``polars``, ``dict``, or a dict
            of arrays by column: ``numpy``, ``torch``, ``tf``.
        metadata: Anything to keep with the name.
    """

    RESOURCE_TYPE = "table"
    KIND: ClassVar[str] = "pyarrow"
    """The library its frames are of; see `rhdesk.data.frames.KINDS`."""
    STREAM_FORMAT: ClassVar[str] = "pyarrow"

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
        from rhdesk.data.frames import STREAMS  # pyarrow: only who has tables needs it

        super().__init__(name, dryrun)
        self.path, self.system = path, system
        self.data_config = dict(data_config or {})
        self.partition_cols = list(partition_cols)
        self.stream_format = stream_format or self.STREAM_FORMAT
        if self.stream_format not in STREAMS:
            raise BadInput(f"{stream_format!r} streams nothing; what does: {', '.join(STREAMS)}")
        self.metadata = dict(metadata or {})
        self._data = data
        self._contents: dict[str, Any] = {}

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Table:
        """What a saved config describes, v0.0.12's among them."""
        kinds = {kind.__name__: kind for kind in _KINDS.values()}
        return kinds.get(config.get("resource_subtype") or "", Table)(
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
        """Save where it is and, if it is there, which files it holds with their hashes.

        Raises:
            BadInput: Its address holds a password, which would be saved with it.
        """
        from rhdesk.data.warehouse import is_warehouse, read_address

        if not is_warehouse(self.address):
            self._contents = held(self.address)
        elif read_address(self.address).password:
            raise BadInput(
                f"{read_address(self.address).shown} has a password in it, which is not saved: "
                "leave it to ~/.pgpass, PGPASSWORD, or what your database has for that"
            )
        return super().save(name, overwrite)

    @property
    def fsspec_url(self) -> str:
        """Its address: ``s3://bucket/flights``."""
        if self.system in _HERE or "://" in self.path:
            return self.path
        return f"{self.system}://{self.path}"

    @property
    def address(self) -> str:
        """As the desk spells it: of a cluster or a host ``gpubox:flights``."""
        from rhdesk.data.systems import is_of_host

        url = self.fsspec_url
        is_url = "://" in self.path or self.system in _HERE
        return url if is_url or not is_of_host(self.system) else f"{self.system}:{self.path}"

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
            self.address,
            mode=mode,
            partition_cols=self.partition_cols,
            options=self.data_config,
        )
        return self

    def fetch(self, columns: Sequence[str] | None = None) -> Any:
        """All of it, as a frame of the library it was made of; it has to fit in memory.

        Raises:
            SetupFailed: That library is not installed here.
        """
        from rhdesk.data.frames import frame_of

        found = session().desk.read_table(self.address, columns=columns, options=self.data_config)
        return frame_of(found, self.KIND)

    def stream(
        self,
        batch_size: int,
        drop_last: bool = False,
        shuffle_seed: int | None = None,
        shuffle_buffer_size: int | None = None,
        prefetch_batches: int | None = None,
        as_dict: bool = False,
    ) -> Iterator[Any]:
        """Batches of *batch_size* rows in its `stream_format`; memory holds a few of them.

        Args:
            as_dict: Lists by column, whatever its `stream_format` is.
        """
        from rhdesk.data.frames import batch_as

        batches = session().desk.stream_table(
            self.address,
            batch_size=batch_size,
            drop_last=drop_last,
            shuffle_seed=shuffle_seed,
            shuffle_buffer_size=shuffle_buffer_size,
            prefetch=4 if prefetch_batches is None else prefetch_batches,
            options=self.data_config,
        )
        for batch in batches:
            yield batch_as(batch, "dict" if as_dict else self.stream_format)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Rows, each a dict."""
        for batch in session().desk.stream_table(self.address, options=self.data_config):
            yield from batch.to_pylist()

    def __len__(self) -> int:
        """Rows in the files; of csv and JSON they are counted."""
        rows = session().desk.table_info(self.address, options=self.data_config).rows
        if rows is not None:
            return rows
        batches = session().desk.stream_table(self.address, options=self.data_config)
        return sum(batch.num_rows for batch in batches)

    def __bool__(self) -> bool:
        return True  # not by its length: an empty table is one

    def exists_in_system(self) -> bool:
        """Whether there is a table where it says."""
        try:
            session().desk.table_info(self.address, options=self.data_config)
        except NotFound:
            return False
        return True

    def to(
        self, system: Any, path: str | None = None, data_config: dict[str, Any] | None = None
    ) -> Self:
        """Copy its files to another system; without *path* under its own name where that starts.

        Raises:
            BadInput: *data_config* is given, or the two are one.
        """
        if data_config:
            raise BadInput("a copy takes no data_config; set up its provider")
        where = system if isinstance(system, str) else str(getattr(system, "name", system))
        leaf = posixpath.basename(self.path.rstrip("/"))
        other = type(self)(
            path or leaf,
            system=where,
            partition_cols=self.partition_cols,
            stream_format=self.stream_format,
            metadata=self.metadata,
        )
        session().show(session().desk.copy_data(self._files, other._files))
        return other

    def rm(self, recursive: bool = True) -> None:
        """Remove its files, all versions of them."""
        session().desk.remove_data(self._files, recursive=recursive)

    @property
    def _files(self) -> str:
        from rhdesk.data.warehouse import is_warehouse, read_address

        if is_warehouse(self.address):
            shown = read_address(self.address).shown
            raise BadInput(
                f"{shown} is no files: its rows are copied by write(), and its table "
                "is dropped by its database's own programs"
            )
        return self.address

    def set_metadata(self, key: str, val: Any) -> None:
        self.metadata[key] = val

    def get_metadata(self, key: str) -> Any:
        """What was kept under *key*; None if nothing was."""
        return self.metadata.get(key)


class PandasTable(Table):
    """Its frames are pandas', and so are its batches."""

    KIND = "pandas"
    STREAM_FORMAT = "pandas"


class PolarsTable(Table):
    """Its frames are polars', and so are its batches."""

    KIND = "polars"
    STREAM_FORMAT = "polars"


class HuggingFaceTable(Table):
    """Its frames are `datasets.Dataset`."""

    KIND = "datasets"


class RayTable(Table):
    """Its frames are `ray.data.Dataset`; reading one needs Ray to run."""

    KIND = "ray"


class DaskTable(Table):
    """Its frames are `dask.dataframe.DataFrame`."""

    KIND = "dask"


class RapidsTable(Table):
    """Its frames are `cudf.DataFrame`."""

    KIND = "cudf"


_KINDS: Final[dict[str, type[Table]]] = {
    kind.KIND: kind
    for kind in (PandasTable, PolarsTable, HuggingFaceTable, RayTable, DaskTable, RapidsTable)
}


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
    from rhdesk.data.frames import kind_of

    return _KINDS.get(kind_of(data), Table)(
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
