"""Working folders: what of one travels and why, sending it, and what runs wrote coming back."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from rhdesk.config import Settings
from rhdesk.desk.record import RunVerbs
from rhdesk.errors import BadInput, FilesChanged
from rhdesk.models import CodePlan, FileVerdict, Pulled, Step, StepState, Synced, Written

if TYPE_CHECKING:
    from rhdesk.clusters.servlet_client import ServletClient
    from rhdesk.clusters.work import Ahead, Sent
    from rhdesk.code.folder import Folder
    from rhdesk.wire.tree import Tree
    from rhdesk.wire.work import Written as WrittenThere

_TOLD_EVERY_S: Final = 0.3
_TRIES: Final = 3
_LARGEST: Final = 10
_SHOWN: Final = 20


class WorkVerbs(RunVerbs):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._folders: dict[Path, Folder] = {}
        self._trees_there: dict[tuple[str, str, str], Tree] = {}
        """What each node was last seen to have, by cluster id, node and working folder."""

    async def plan_sync(self, folder: str = ".") -> CodePlan:
        """What of a folder travels to a cluster, and what is held back; nothing is sent.

        Raises:
            BadInput: It is no folder, or cannot be read.
        """
        from rhdesk.code.folder import largest

        began = time.monotonic()
        found = self._folder(folder)

        def look() -> CodePlan:
            tree = found.scan()
            found.keep()
            files = found.tree()
            return CodePlan(
                folder=str(found.root),
                tree=tree,
                files=len(files),
                size=files.size,
                held_back=tuple(found.held_back()),
                largest=tuple(largest(files, _LARGEST)),
                took_s=time.monotonic() - began,
            )

        return await asyncio.to_thread(look)

    async def why_sync(self, path: str, *, folder: str = ".") -> FileVerdict:
        """Whether a file travels, and the rule and line that say so.

        Args:
            path: Seen from *folder*, or absolute.

        Raises:
            BadInput: Nothing is there, or it is outside *folder*.
        """
        found = self._folder(folder)
        return await asyncio.to_thread(found.why, _seen_from(found.root, path))

    async def push(self, folder: str = ".", *, on: str) -> AsyncGenerator[Step | Synced]:
        """Have a folder be on every machine of a cluster as it is here; yields how it goes.

        Only what a machine lacks travels. Runs in an environment with this ``working_dir`` stand
        in it; one that is going on keeps what it started with. Last comes a `Synced`.

        Raises:
            BadInput: It is no folder, or *on* is this machine.
            FilesChanged: Files were changed as fast as they could be read.
            ConnectionFailed: The cluster is not up, or cannot be reached.
        """
        if on == "here":
            raise BadInput(
                f"{folder} is on this machine already; send it to another: "
                "rhdesk sync push --on gpubox"
            )
        began = time.monotonic()
        found = self._folder(folder)
        what = f"look at {found.root.name}"
        yield Step(what=what, state=StepState.STARTED)
        clients = await self.clusters_room.clients(on)
        ahead = await self._look_and_send(found, clients)
        held = await asyncio.to_thread(found.held_back)
        await asyncio.to_thread(found.keep)
        tree = await asyncio.to_thread(found.tree)
        detail = f"{len(tree)} files" + (f", {len(held)} held back" if held else "")
        took_s = time.monotonic() - began
        yield Step(what=what, state=StepState.DONE, detail=detail, elapsed_s=took_s)
        sent_files, sent_bytes = ahead.files, ahead.size
        for client in clients:
            what = f"send {found.root.name} to {client.line.node or on}"
            started = time.monotonic()
            yield Step(what=what, state=StepState.STARTED)
            travelled = [0, 0]
            bringing = asyncio.ensure_future(self._bring(found, client, travelled))
            try:
                while not (await asyncio.wait({bringing}, timeout=_TOLD_EVERY_S))[0]:
                    yield Step(
                        what=what,
                        state=StepState.PROGRESS,
                        detail=_travelled(*travelled),
                        elapsed_s=time.monotonic() - started,
                    )
                sent = bringing.result()
            except Exception as exc:
                took_s = time.monotonic() - started
                yield Step(what=what, state=StepState.FAILED, detail=str(exc), elapsed_s=took_s)
                raise
            finally:
                bringing.cancel()
            sent_files, sent_bytes = sent_files + sent.files, sent_bytes + sent.size
            files, size = ahead.files + sent.files, ahead.size + sent.size
            detail = _travelled(files, size) if files else "it is as it is here"
            took_s = time.monotonic() - started
            yield Step(what=what, state=StepState.DONE, detail=detail, elapsed_s=took_s)
        yield Synced(
            folder=str(found.root),
            cluster=on,
            tree=found.tree().root,
            at=datetime.now(UTC),
            files=len(found.tree()),
            sent_files=sent_files,
            sent_bytes=sent_bytes,
            took_s=time.monotonic() - began,
            held_back=len(held),
        )

    async def pull(
        self,
        path: str = "",
        *,
        on: str,
        folder: str = ".",
        into: str = "",
        node: str = "",
        overwrite: bool = False,
        dry_run: bool = False,
    ) -> AsyncGenerator[Step | Pulled]:
        """Bring back what runs wrote in a working folder; yields how it goes, last a `Pulled`.

        Args:
            path: A file or folder in it; empty is all of it.
            folder: The folder here that it is the other end of.
            into: Where to; by default *folder* itself.
            node: On which machine; by default the head.
            overwrite: Also over files that are here and differ.
            dry_run: Bring nothing, only say what there is.

        Raises:
            BadInput: *path* leads out, or *into* is no folder.
            ConnectionFailed: The cluster is not up, or cannot be reached.
        """
        from rhdesk.beneath import parts_of
        from rhdesk.clusters.work import WorkClient

        began = time.monotonic()
        if path:
            parts_of(path)
        found = self._folder(folder)
        target = self._folder(into).root if into else found.root
        client = await self.clusters_room.client(on, node)
        work = WorkClient(client, _key(found.root))
        there = await work.written(path)
        wanted, kept, refused = await asyncio.to_thread(_sorted_out, target, there, overwrite)
        if not dry_run:
            what = f"bring back {len(wanted)} files"
            yield Step(what=what, state=StepState.STARTED)
            started, size = time.monotonic(), 0
            staged = _Staged(target)
            try:
                told = started
                async for file, offset, data in work.contents(wanted):
                    await asyncio.to_thread(staged.write, file, offset, data)
                    size += len(data)
                    if (now := time.monotonic()) - told > _TOLD_EVERY_S:
                        told, detail = now, f"{size} bytes"
                        yield Step(
                            what=what,
                            state=StepState.PROGRESS,
                            detail=detail,
                            elapsed_s=now - started,
                        )
                refused += await asyncio.to_thread(staged.put)
            finally:
                await asyncio.to_thread(staged.close)
            took_s = time.monotonic() - started
            detail = _travelled(len(wanted), size)
            yield Step(what=what, state=StepState.DONE, detail=detail, elapsed_s=took_s)
        gone = {each.partition(": ")[0] for each in refused}
        yield Pulled(
            folder=str(target),
            cluster=on,
            files=tuple(_said(each) for each in wanted if each.path not in gone),
            kept=tuple(kept),
            refused=tuple(refused),
            took_s=time.monotonic() - began,
        )

    # ---- for other verbs

    def _work_key(self, folder: str) -> str:
        """Id of a folder of this machine, on every cluster."""
        return _key(self._folder(folder).root)

    async def _look_and_send(self, folder: Folder, clients: Sequence[ServletClient]) -> Ahead:
        """Look at a folder; what is read for it goes at once to where nothing of it is yet."""
        from rhdesk.clusters.work import Ahead, WorkClient

        works = [WorkClient(client, _key(folder.root)) for client in clients]
        seen = await asyncio.gather(*(work.seen() for work in works))
        ahead = Ahead([work for work, at in zip(works, seen, strict=True) if not at.root])

        def look() -> None:
            try:
                if all(at.root for at in seen):
                    folder.scan()
                else:
                    folder.scan(read=ahead.add)
            finally:
                ahead.end()

        await asyncio.gather(asyncio.to_thread(look), ahead.carry())
        return ahead

    async def _bring_changes(self, folder: str, on: str, paths: frozenset[str]) -> Synced:
        """After a save: look at what changed, and at nothing else, and have it be on a cluster."""
        began = time.monotonic()
        found = self._folder(folder)
        if paths:
            await asyncio.to_thread(found.look_at, paths)
        else:
            await asyncio.to_thread(found.scan)
        files = size = 0
        for client in await self.clusters_room.clients(on):
            sent = await self._bring(found, client, [0, 0])
            files, size = files + sent.files, size + sent.size
        return Synced(
            folder=str(found.root),
            cluster=on,
            tree=found.tree().root,
            at=datetime.now(UTC),
            files=len(found.tree()),
            sent_files=files,
            sent_bytes=size,
            took_s=time.monotonic() - began,
            changed=tuple(sorted(paths)[:_SHOWN]),
        )

    async def _bring(self, folder: Folder, client: ServletClient, travelled: list[int]) -> Sent:
        from rhdesk.clusters.work import WorkClient

        def tell(files: int, size: int) -> None:
            travelled[:] = files, size

        key = _key(folder.root)
        there = client.line.cluster_id, client.line.node, key
        work = WorkClient(client, key)
        for tries_left in reversed(range(_TRIES)):
            tree, base = folder.tree(), self._trees_there.get(there)
            # What is kept as being there stays as it is when the folder's own tree changes.
            tree = base if base is not None and base.root == tree.root else tree.copy()
            try:
                sent = await work.bring(tree, folder.read, base=base, tell=tell)
            except FilesChanged:  # somebody went on editing
                if not tries_left:
                    raise
                await asyncio.to_thread(folder.scan)
                continue
            self._trees_there[there] = tree
            return sent
        raise AssertionError("the last try raises")

    def _folder(self, folder: str) -> Folder:
        from rhdesk.code.folder import Folder

        root = Path(folder).expanduser().resolve()
        if not root.is_dir():
            raise BadInput(f"{folder!r} is no folder")
        if (known := self._folders.get(root)) is None:
            index = self.settings.cache_dir / "sync" / f"{_key(root)}.index"
            largest = self.settings.largest_mb * 1_000_000
            known = self._folders[root] = Folder(root, index, largest_bytes=largest)
        return known


class _Staged:
    """Files that come in, put in their places once all of them are here."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._place = Path(tempfile.mkdtemp(prefix=".rhdesk-", dir=target))
        self._files: list[WrittenThere] = []

    def write(self, file: WrittenThere, offset: int, data: bytes) -> None:
        if offset == 0:
            self._files.append(file)
        with (self._place / str(len(self._files))).open("ab") as opened:
            opened.write(data)

    def put(self) -> list[str]:
        """Put them in their places; those that cannot be, with the reason."""
        from rhdesk.beneath import Beneath

        refused: list[str] = []
        with Beneath(self._target) as target:
            for number, file in enumerate(self._files, 1):
                staged = self._place / str(number)
                staged.chmod(0o700 if file.is_program else 0o600)
                os.utime(staged, ns=(file.mtime_ns, file.mtime_ns))
                try:
                    target.take(staged, file.path)
                except (BadInput, OSError) as exc:
                    refused.append(f"{file.path}: {exc}")
        return refused

    def close(self) -> None:
        shutil.rmtree(self._place, ignore_errors=True)


def _sorted_out(
    target: Path, there: list[WrittenThere], overwrite: bool
) -> tuple[list[WrittenThere], list[str], list[str]]:
    """What is to come, what differs here and stays, and what cannot be here."""
    from rhdesk.beneath import Beneath, parts_of
    from rhdesk.wire.tree import case_twins

    wanted: list[WrittenThere] = []
    kept: list[str] = []
    refused: list[str] = []
    twins = set[str]()
    if not _tells_case(target):
        twins = {second for _, second in case_twins(file.path for file in there)}
    with Beneath(target) as here:
        for file in there:
            try:
                parts_of(file.path)
                file.path.encode()
                if file.path in twins:
                    raise BadInput("another one differs in upper and lower case only")
                at = here.stat(file.path)
            except (BadInput, UnicodeEncodeError, OSError) as exc:
                refused.append(f"{file.path}: {exc}")
                continue
            if at is not None and (at.st_size, at.st_mtime_ns) == (file.size, file.mtime_ns):
                continue
            if at is not None and not overwrite:
                kept.append(file.path)
            else:
                wanted.append(file)
    return wanted, kept, refused


def _tells_case(folder: Path) -> bool:
    with tempfile.NamedTemporaryFile(prefix=".rhdesk-case-", dir=folder) as made:
        return not Path(made.name.swapcase()).exists()


def _said(file: WrittenThere) -> Written:
    at = datetime.fromtimestamp(file.mtime_ns / 1e9, UTC)
    return msgspec.convert({"path": file.path, "size": file.size, "at": at}, Written)


def _seen_from(root: Path, path: str) -> str:
    place = Path(os.path.normpath(root / path))
    if not place.is_relative_to(root) or place == root:
        raise BadInput(f"{path!r} is not inside {root}")
    return place.relative_to(root).as_posix()


def _key(root: Path) -> str:
    """Tells a folder from those of other machines, where both use one cluster."""
    return sha256(f"{socket.gethostname()}:{root}".encode("utf-8", "replace")).hexdigest()[:24]


def _travelled(files: int, size: int) -> str:
    return f"{files} files, {size / 1e6:.1f} MB"
