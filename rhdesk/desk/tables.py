"""Tables: rows behind pyarrow, in files anywhere. Reading is done in threads."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rhdesk.desk.data import DataVerbs
from rhdesk.models import ColumnProfile, TableInfo, TablePage, TableWritten

if TYPE_CHECKING:
    from rhdesk.data.file_table import FileTable
    from rhdesk.data.warehouse import Warehouse

T = TypeVar("T")

_END: Final = object()
_BY_HOST: Final = ("sftp://", "ssh://", "scp://")


class TableVerbs(DataVerbs):
    async def table_info(
        self, path: str, *, options: Mapping[str, Any] | None = None
    ) -> TableInfo:
        """Columns, rows and statistics of a table, from its footers.

        Args:
            options: What the file system of *path* wants to know: fsspec's words.

        Raises:
            NotFound: Nothing is there.
            BadInput: It is no table, or one that is cut off.
        """
        return await self._of_table(path, options, lambda table: table.info())

    async def table_page(
        self,
        path: str,
        *,
        offset: int = 0,
        limit: int = 50,
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
        order_by: tuple[str, bool] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> TablePage:
        """Rows from *offset* on, as JSON can hold them.

        Args:
            where: ``("delay", ">=", 30)``; several must all hold.
            order_by: A column, and whether its largest value comes first; null is last.
        """
        return await self._of_table(
            path,
            options,
            lambda table: table.page(
                offset=offset, limit=limit, columns=columns, where=where, order_by=order_by
            ),
        )

    async def column_profile(
        self, path: str, column: str, *, options: Mapping[str, Any] | None = None
    ) -> ColumnProfile:
        """How the values of a column are spread; all of the column is read, nothing of it kept."""
        return await self._of_table(path, options, lambda table: table.profile(column))

    async def table_count(
        self,
        path: str,
        *,
        where: Sequence[tuple[str, str, Any]] = (),
        options: Mapping[str, Any] | None = None,
    ) -> int:
        """How many rows there are for which *where* holds; what statistics tell is not read."""
        return await self._of_table(path, options, lambda table: table.count(where))

    async def export_table(
        self,
        path: str,
        file: str,
        *,
        format: str = "",
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
        options: Mapping[str, Any] | None = None,
    ) -> TableWritten:
        """Write rows of a table as one file of this machine, whole or not at all.

        Args:
            format: ``csv``, ``parquet`` or ``jsonl``; by default what the name ends with.

        Raises:
            AlreadyExists: There is such a file; nothing is overwritten.
            BadInput: The format is none of these, or cannot hold one of the columns.
            StoreUnwritable: There is no room, or the folder cannot be written.
        """
        from rhdesk.data.export import export

        stopped = Event()
        try:
            return await self._of_table(
                path,
                options,
                lambda table: export(
                    table,
                    file,
                    format=format,
                    columns=columns,
                    where=where,
                    stopped=stopped.is_set,
                ),
            )
        finally:
            stopped.set()  # where nobody waits for it any more, its thread ends

    async def read_table(
        self,
        path: str,
        *,
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """All of it as a pyarrow table; it has to fit in memory."""
        return await self._of_table(
            path, options, lambda table: table.whole(columns=columns, where=where)
        )

    async def stream_table(
        self,
        path: str,
        *,
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
        batch_size: int = 65_536,
        drop_last: bool = False,
        shuffle_seed: int | None = None,
        shuffle_buffer_size: int | None = None,
        prefetch: int = 4,
        options: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Any]:
        """pyarrow record batches of *batch_size* rows each; the last may be shorter.

        Args:
            drop_last: Leave out a last one that is shorter.
            shuffle_seed: Shuffle, the same way for the same seed.
            shuffle_buffer_size: Among how many rows; more is nearer to a real shuffle.
            prefetch: How many batches may be read ahead.
        """
        from rhdesk.data.streams import see_sizes, stream

        see_sizes(batch_size, shuffle_buffer_size, prefetch)
        async with self._table(path, options) as table:

            def begin() -> Generator[Any]:
                return stream(
                    table.batches(
                        columns=columns, where=where, batch_rows=batch_size, ahead=prefetch
                    ),
                    batch_size=batch_size,
                    drop_last=drop_last,
                    shuffle_seed=shuffle_seed,
                    shuffle_buffer_size=shuffle_buffer_size,
                )

            batches = await to_thread(begin)
            try:
                while (batch := await to_thread(next, batches, _END)) is not _END:
                    yield batch
            finally:
                await to_thread(batches.close)

    async def write_table(
        self,
        data: Any,
        path: str,
        *,
        mode: str = "new",
        format: str = "parquet",
        partition_cols: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> TableWritten:
        """Write a table wholly or not at all; see `rhdesk.data.writing.write`."""
        return await self._of_table(
            path,
            options,
            lambda table: table.write(
                data, mode=mode, format=format, partition_cols=partition_cols
            ),
        )

    async def copy_table(
        self,
        source: str,
        path: str,
        *,
        mode: str = "new",
        format: str = "parquet",
        partition_cols: Sequence[str] = (),
    ) -> TableWritten:
        """Write the rows of one table as another, a batch at a time."""
        async with self._table(source) as read, self._table(path) as written:
            return await to_thread(
                lambda: written.write(
                    read.source(), mode=mode, format=format, partition_cols=partition_cols
                )
            )

    async def table_sql(
        self,
        path: str,
        statement: str,
        *,
        limit: int = 1000,
        options: Mapping[str, Any] | None = None,
    ) -> TablePage:
        """What a statement answers; the table is called ``t`` in it.

        A database answers in its own SQL; over files it is duckdb's.
        """
        return await self._of_table(
            path, options, lambda table: table.query(statement, limit=limit)
        )

    async def _of_table(
        self,
        path: str,
        options: Mapping[str, Any] | None,
        ask: Callable[[FileTable | Warehouse], T],
    ) -> T:
        """What *ask* makes of the table at a place, in a thread."""
        async with self._table(path, options) as table:
            return await to_thread(ask, table)

    @asynccontextmanager
    async def _table(
        self, path: str, options: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[FileTable | Warehouse]:
        from rhdesk.data.file_table import FileTable
        from rhdesk.data.warehouse import Warehouse, is_warehouse

        if not is_warehouse(path):
            async with self._files_of(path) as files:
                yield FileTable(path, options, files)
            return
        found = await to_thread(Warehouse, path, options)
        try:
            yield found
        finally:
            await to_thread(found.close)

    @asynccontextmanager
    async def _files_of(self, path: str) -> AsyncGenerator[tuple[Any, str] | None]:
        """The files of the cluster or host a table is on, over a channel that is its own and ends
        with it; None of any other system, which fsspec finds."""
        from rhdesk.data.systems import is_of_host, parse

        where = parse(path) if "://" not in path or path.startswith(_BY_HOST) else None
        clusters = await to_thread(self.clusters_room.names)
        is_there = where is not None and (where.system in clusters or is_of_host(where.system))
        if where is None or where.system == "here" or not is_there:
            yield None
            return
        from rhdesk.data.far_tables import FarTables
        from rhdesk.data.host_tables import TableFiles

        connection = await self._connection(where.system)
        files = TableFiles(await to_thread(connection.files), FarTables(connection.program))
        try:
            yield files, where.path
        finally:
            await to_thread(files.close)
