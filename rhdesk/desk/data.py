"""Folders and files on any system: looking, reading, copying, moving, removing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from rhdesk.desk.names import NameVerbs
from rhdesk.desk.reach import ReachVerbs
from rhdesk.errors import BadInput, NotFound, SetupFailed
from rhdesk.models import DataCheck, Entry, FileChange, Held, Location, Step, StepState

if TYPE_CHECKING:
    from rhdesk.data.moving import Moved, Moving
    from rhdesk.data.place import Place

T = TypeVar("T")

_TELL_S = 0.05
"""Between two lines of how a copy goes."""


class DataVerbs(ReachVerbs, NameVerbs):
    """A place is spelled ``data/x``, ``gpubox:data/x``, ``sftp://host/x`` or ``s3://bucket/x``.

    All of these raise NotFound where there is no such system or file, Refused where it may not be
    touched, SetupFailed where what speaks to the system is not installed, and ConnectionFailed
    where it does not answer.
    """

    async def list_data(self, place: str = ".") -> list[Entry]:
        """What is in a folder, by path; of a file, itself."""
        return await self._at(place, lambda found: found.entries())

    async def data_entry(self, place: str) -> Entry:
        """What is at a place."""
        return await self._at(place, lambda found: found.entry())

    async def read_data(self, place: str, *, limit: int = -1) -> bytes:
        """What a file holds, or its first *limit* bytes."""
        return await self._at(place, lambda found: found.read(limit))

    async def write_data(self, place: str, data: bytes) -> None:
        """Have a file hold *data*; what it held stays until all of that is written."""
        await self._at(place, lambda found: found.write(data))

    async def hash_data(self, place: str) -> str:
        """SHA-256 of a file, as hexadecimal digits."""
        return await self._at(place, lambda found: found.sha256())

    async def make_data_folder(self, place: str) -> None:
        """Make a folder, or a bucket, and those above it; one that is there stays as it is."""
        await self._at(place, lambda found: found.make_folder())

    async def remove_data(self, place: str, *, recursive: bool = False) -> None:
        """Remove a file, or with *recursive* a folder and all in it; a link, not where it leads.

        Raises:
            BadInput: It is a folder, and *recursive* is false.
        """
        await self._at(place, lambda found: found.remove(recursive=recursive))

    async def note_data(self, place: str) -> Held:
        """Write down which files are at a place, with their hashes; what a saved place refers to."""
        from rhdesk.data.contents import Contents

        contents = await self._at(place, Contents.of)
        return await asyncio.to_thread(self.contents.keep, contents)

    async def check_data(self, name: str) -> DataCheck:
        """Whether a saved folder, file or table still holds what it held when it was saved.

        Args:
            name: Of the newest version, or with one: ``~/flights@1a2b3c``.

        Raises:
            BadInput: The name is of something else, or was saved before anything was there.
        """
        from rhdesk.data.contents import Contents, contents_hash

        record = await self.load(name)
        place, digest = _place_of(record.config), contents_hash(record.config)
        if not place or not digest:
            raise BadInput(f"{name} says of no files what they were; save it once they are there")
        now = await self._at(place, Contents.of)
        held = msgspec.convert(record.config["contents"], Held)
        changes: tuple[FileChange, ...] = ()
        with suppress(NotFound):  # saved elsewhere: that it differs is all that is known
            before = await asyncio.to_thread(self.contents.get, digest)
            changes = tuple(before.changes(now))
        return DataCheck(name=name, place=place, held=held, now=now.held, changes=changes)

    async def copy_data(self, source: str, target: str) -> AsyncGenerator[Step]:
        """Copy a file, or all that is in a folder into a folder that may be there already.

        What is there with the same hash is not sent. After a break the same copy goes on where it
        was: between disks in the middle of a file, to a bucket at the next file. A folder goes
        *into* target, under its own name, only if target ends with ``/``.

        Raises:
            StoreUnwritable: There is no room; what was there is as it was.
        """
        async for step in self._moving("copy", source, target):
            yield step

    async def move_data(self, source: str, target: str) -> AsyncGenerator[Step]:
        """The same, and then the source is gone: removed only after everything has arrived."""
        async for step in self._moving("move", source, target):
            yield step

    async def _moving(self, verb: str, source: str, target: str) -> AsyncGenerator[Step]:
        from rhdesk.data.moving import Moving

        said: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        last = 0.0

        def tell(text: str) -> None:
            # Waking this loop for each of thousands of small files would cost more than to copy them.
            nonlocal last
            if time.monotonic() - last > _TELL_S:
                loop.call_soon_threadsafe(said.put_nowait, text)
                last = time.monotonic()

        moving = Moving(tell)
        one, other = await self._place(source), await self._place(target)
        work = _told_when_done(
            moving, verb, one, other, lambda: loop.call_soon_threadsafe(said.put_nowait, None)
        )
        what = f"{verb} {source} to {target}"
        yield Step(what=what, state=StepState.STARTED)
        started = loop.time()
        working = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            while (line := await said.get()) is not None:
                if said.empty():  # a person sees the newest
                    yield Step(what=what, state=StepState.PROGRESS, detail=line)
            moved = await working
        finally:
            moving.stop()
            await asyncio.wait([working])
            for place in (one, other):
                await asyncio.to_thread(place.close)
        elapsed_s = loop.time() - started
        yield Step(what=what, state=StepState.DONE, detail=str(moved), elapsed_s=elapsed_s)

    async def _at(self, place: str, ask: Callable[[Place], T]) -> T:
        found = await self._place(place)
        try:
            return await asyncio.to_thread(ask, found)
        finally:
            await asyncio.to_thread(found.close)

    async def _place(self, text: str, system: str = "") -> Place:
        try:
            from rhdesk.data.place import Place
            from rhdesk.data.systems import parse
        except ModuleNotFoundError as exc:
            if exc.name != "fsspec":
                raise
            raise SetupFailed('data needs fsspec: pip install "rhdesk[data]"') from exc

        where = parse(text, system)
        return Place(where, await self._filesystem(where))

    async def _filesystem(self, where: Location) -> Any:
        """The fsspec filesystem that a location is on, for this desk."""
        from rhdesk.data.host_files import HostFiles
        from rhdesk.data.on_host import OnHost
        from rhdesk.data.systems import filesystem, is_of_host

        clusters = self.clusters_room.names()
        if where.system != "here" and (where.system in clusters or is_of_host(where.system)):
            try:
                connection = await self._connection(where.system)
            except NotFound as exc:
                if exc.name != where.system:
                    raise
            else:
                files = await asyncio.to_thread(connection.files)
                return HostFiles(files, OnHost(connection.program))
        return await asyncio.to_thread(filesystem, where.system, clusters=clusters)


def _place_of(config: Mapping[str, Any]) -> str:
    """A saved place, as a desk spells it."""
    path, system = str(config.get("path") or ""), str(config.get("system") or "")
    if not path or "://" in path or system in {"", "file", "here"}:
        return path
    return f"{system}:{path}"


def _told_when_done(
    moving: Moving, verb: str, source: Place, target: Place, done: Callable[[], object]
) -> Callable[[], Moved]:
    def work() -> Moved:
        try:
            return (moving.copy if verb == "copy" else moving.move)(source, target)
        finally:
            done()

    return work
