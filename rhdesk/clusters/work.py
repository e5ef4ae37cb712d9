"""A working folder on one node: brought there as one stream of what it lacks, and read back."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from typing import Final

import msgspec

from rhdesk.clusters.servlet_client import ServletClient
from rhdesk.errors import FilesChanged, RhdeskError
from rhdesk.wire import routes
from rhdesk.wire.messages import pack, unpack
from rhdesk.wire.tree import LINK, Entry, Tree, between
from rhdesk.wire.work import PIECE, Changed, Content, Early, Offer, Wanted, WorkSeen, Written

_AT_ONCE: Final = 3
"""Messages with contents on their way: one is read here, one travels, one is written there."""
_MOST_IN_ONE: Final = 2000
_LONG_S: Final = 600.0


Reader = Callable[[str, int, int], bytes]
"""Reads a file here: its path, from which byte on, and how many; below 0 is all."""


class Sent(msgspec.Struct, frozen=True):
    """What it took to have a tree be there."""

    seen: WorkSeen
    files: int = 0
    """Contents that travelled."""
    size: int = 0
    """Their bytes."""


class Ahead:
    """Sends files to nodes that have nothing yet, while the folder is still being looked at.

    Nothing depends on it: what does not arrive this way is asked for when the tree is known.
    """

    def __init__(self, clients: Sequence[WorkClient]) -> None:
        self._clients = clients
        self._batches: queue.Queue[list[Early] | None] = queue.Queue(_AT_ONCE)
        self._batch: list[Early] = []
        self._size = 0
        self._is_broken = False
        self.files = 0
        self.size = 0

    def add(self, path: str, entry: Entry, data: bytes) -> None:
        """Of the thread that looks: send a file. Waits while the way is full."""
        self._batch.append(Early(path, entry, data))
        self._size += len(data)
        if self._size > PIECE or len(self._batch) >= _MOST_IN_ONE:
            self._hand_over()

    def end(self) -> None:
        """Of the same thread: that was all."""
        self._hand_over()
        self._batches.put(None)

    async def carry(self) -> None:
        """Send until all is sent."""
        while (batch := await asyncio.to_thread(self._batches.get)) is not None:
            if self._is_broken:
                continue
            try:
                for client in self._clients:
                    await client.early(batch)
            except RhdeskError:
                self._is_broken = True
                continue
            self.files += len(batch)
            self.size += sum(len(file.data) for file in batch)

    def _hand_over(self) -> None:
        if self._batch and not self._is_broken:
            self._batches.put(self._batch)
        self._batch, self._size = [], 0


class WorkClient:
    """One working folder on the node a client speaks to.

    Args:
        key: The folder's id there.
    """

    def __init__(self, client: ServletClient, key: str) -> None:
        self._client = client
        self._key = key

    async def seen(self) -> WorkSeen:
        return unpack(await self._ask("GET", ""), WorkSeen)

    async def early(self, files: Sequence[Early]) -> None:
        """Send files before the tree they are of; of use only where nothing is whole yet."""
        await self._ask("POST", "early", pack(list(files)))

    async def bring(
        self,
        tree: Tree,
        read: Reader,
        *,
        base: Tree | None = None,
        tell: Callable[[int, int], None] = lambda _files, _bytes: None,
    ) -> Sent:
        """Have *tree* be there; what is there already does not travel.

        Args:
            read: Called in a thread.
            base: A tree that may be there: a small change of it takes one message.
            tell: Hears how many files and bytes have travelled.

        Raises:
            FilesChanged: A file was changed while it was read; look again, and bring that.
            BadInput: The node refuses the tree.
        """
        if base is not None and base.root != tree.root:
            sent = await self._change(base, tree, read)
            if sent is not None:
                return sent
        seen = await self.seen()
        if seen.root == tree.root:
            return Sent(seen)
        return await self._offer(tree, read, tell)

    async def written(self, under: str = "") -> list[Written]:
        """What runs wrote there, oldest first."""
        return unpack(await self._ask("GET", routes.written(under)), list[Written])

    async def contents(
        self, files: Sequence[Written]
    ) -> AsyncGenerator[tuple[Written, int, bytes]]:
        """Pieces of files: which, from which byte on, and what; whole files in their order.

        Raises:
            NotFound: One is gone.
            FilesChanged: One was cut shorter meanwhile.
        """
        for batch in _pieces(files):
            wanted = [Wanted(file.path, offset, length) for file, offset, length in batch]
            answer = await self._ask("POST", "read", pack(wanted))
            found = unpack(answer, list[bytes])
            for (file, offset, length), data in zip(batch, found, strict=True):
                if len(data) != length:
                    raise FilesChanged(f"{file.path} was changed while it was read")
                yield file, offset, data

    async def _change(self, base: Tree, tree: Tree, read: Reader) -> Sent | None:
        """One message; None where it would be too large, or another tree is there."""
        change = between(base, tree)
        files = {e.hash: path for path, e in change.put.items() if e.kind != LINK}
        sizes = {e.hash: e.size for e in change.put.values() if e.kind != LINK}
        if sum(sizes.values()) > PIECE or len(files) > _MOST_IN_ONE:
            return None
        contents = await asyncio.to_thread(_read_all, files, read)
        answer = await self._ask("POST", "change", pack(Changed(change, contents)))
        seen = unpack(answer, WorkSeen)
        if not seen.is_taken or seen.root != tree.root:
            return None
        return Sent(seen, len(contents), sum(map(len, contents.values())))

    async def _offer(self, tree: Tree, read: Reader, tell: Callable[[int, int], None]) -> Sent:
        offer = pack(Offer(tree.root, list(tree.entries.items())))
        missing = set(unpack(await self._ask("POST", "offer", offer), list[bytes]))
        paths = {
            entry.hash: (path, entry.size)
            for path, entry in tree.entries.items()
            if entry.hash in missing and entry.kind != LINK
        }
        travelled = [0, 0]
        batches = _batches(paths, read)

        async def carry() -> None:
            for batch in batches:
                contents = await asyncio.to_thread(batch)
                answer = await self._ask("POST", "contents", pack(contents))
                if wrong := unpack(answer, list[bytes]):
                    raise FilesChanged(f"{paths[wrong[0]][0]} was changed while it was sent")
                travelled[0] += sum(c.offset + len(c.data) == c.total for c in contents)
                travelled[1] += sum(len(c.data) for c in contents)
                tell(*travelled)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(carry())
        except* RhdeskError as errors:
            raise _first(errors) from None
        return Sent(unpack(await self._ask("POST", "finish"), WorkSeen), *travelled)

    async def _ask(self, method: str, verb: str, content: bytes = b"") -> bytes:
        route = routes.work(self._key, verb)
        return await self._client.ask_gateway(method, route, content=content, timeout_s=_LONG_S)


def _first(errors: BaseExceptionGroup[RhdeskError]) -> RhdeskError:
    """One of several that ended together; the others have the same cause."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, RhdeskError), "the group holds no other"
    return found


def _read_all(files: dict[bytes, str], read: Reader) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for digest, path in files.items():
        found[digest] = _read(path, read)
        if sha256(found[digest]).digest() != digest:
            raise FilesChanged(f"{path} was changed while it was sent")
    return found


def _read(path: str, read: Reader, offset: int = 0, length: int = -1) -> bytes:
    try:
        return read(path, offset, length)
    except FileNotFoundError:
        raise FilesChanged(f"{path} went away while it was sent") from None


def _batches(
    paths: dict[bytes, tuple[str, int]], read: Reader
) -> Iterator[Callable[[], list[Content]]]:
    """Reads of about a message each; many small files, or a piece of a large one."""
    batch: list[tuple[bytes, str]] = []
    length = 0
    for digest, (path, size) in paths.items():
        if size > PIECE:
            yield from _in_pieces(digest, path, size, read)
            continue
        if batch and (length + size > PIECE or len(batch) >= _MOST_IN_ONE):
            yield _whole(batch, read)
            batch, length = [], 0
        batch.append((digest, path))
        length += size
    if batch:
        yield _whole(batch, read)


def _whole(batch: list[tuple[bytes, str]], read: Reader) -> Callable[[], list[Content]]:
    def contents() -> list[Content]:
        found: list[Content] = []
        for digest, path in batch:
            data = _read(path, read)
            found.append(Content(digest, len(data), 0, data))
        return found

    return contents


def _in_pieces(
    digest: bytes, path: str, size: int, read: Reader
) -> Iterator[Callable[[], list[Content]]]:
    """A large file, which is never in memory whole."""
    for offset in range(0, size, PIECE):
        length = min(PIECE, size - offset)
        yield partial(_piece, digest, path, size, offset, length, read)


def _piece(
    digest: bytes, path: str, size: int, offset: int, length: int, read: Reader
) -> list[Content]:
    data = _read(path, read, offset, length)
    if len(data) != length:
        raise FilesChanged(f"{path} was changed while it was sent")
    return [Content(digest, size, offset, data)]


def _pieces(files: Sequence[Written]) -> Iterator[list[tuple[Written, int, int]]]:
    """What to ask for in one message each: file, offset and length."""
    batch: list[tuple[Written, int, int]] = []
    length = 0
    for file in files:
        for offset in range(0, max(file.size, 1), PIECE):
            piece = min(PIECE, file.size - offset)
            if batch and (length + piece > PIECE or len(batch) >= _MOST_IN_ONE):
                yield batch
                batch, length = [], 0
            batch.append((file, offset, piece))
            length += piece
    if batch:
        yield batch
