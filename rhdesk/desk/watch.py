"""Watching: a saved file is live on a cluster before its author has switched windows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from rhdesk.config import Settings
from rhdesk.desk.live import LiveVerbs
from rhdesk.errors import BadInput, ConnectionFailed, NotFound, RhdeskError, ServletDied
from rhdesk.models import Synced, Watched

if TYPE_CHECKING:
    from rhdesk.code.bundle import Bundle
    from rhdesk.code.watch import FolderWatch
    from rhdesk.wire.messages import LiveSeen

_TURN_S: Final = 0.5
"""How long one wait in a thread may be; a watch that is closed ends so soon."""
_AGAIN_S: Final = 0.7
"""Between two tries to reach a host that is away."""
_SHOWN: Final = 20


class WatchVerbs(LiveVerbs):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._watches: list[Watched] = []

    async def watch(
        self,
        folder: str = ".",
        *,
        on: str = "here",
        env: str = "",
        targets: Sequence[str] = (),
        files: bool = False,
    ) -> AsyncGenerator[Synced]:
        """Have what is saved in *folder* be what the next call uses; one `Synced` for each save.

        The first comes at once: how it is now. What cannot be taken, a syntax error or a host that
        does not answer, leaves the code there as it was; the next save that can be taken heals it.

        Args:
            env: Environment on the cluster; empty is ``base``.
            targets: ``app.py:train``, seen from *folder*, or names saved of its code; empty is
                every name of this project that is saved of a file in it and live on the cluster.
            files: Every file of the folder follows too, to where runs of an environment with this
                ``working_dir`` stand; those in folders whose name begins with a dot at the next
                `push`.

        Raises:
            BadInput: *folder* is no folder.
        """
        from rhdesk.code.watch import FolderWatch

        root = _folder(folder)
        watch = await asyncio.to_thread(FolderWatch, root)
        seen = Watched(
            folder=str(root),
            cluster=on,
            env=env or "base",
            since=datetime.now(UTC),
            how=watch.how,
            why=watch.why,
            targets=tuple(targets),
            files=files,
        )
        self._watches.append(seen)
        try:
            changed: frozenset[str] = frozenset()
            while True:
                synced, is_away = await self._bring_over(
                    root, on, env or "base", targets, changed, files
                )
                if changed or seen.last is None or synced.error != seen.last.error:
                    seen = self._keep_seen(seen, watch, synced)
                    yield synced
                changed = frozenset()
                tries_at = time.monotonic() + _AGAIN_S
                while not changed and not (is_away and time.monotonic() > tries_at):
                    changed = await asyncio.to_thread(watch.wait, _TURN_S)
        finally:
            self._watches.remove(seen)
            await asyncio.to_thread(watch.close)

    def _keep_seen(self, seen: Watched, watch: FolderWatch, synced: Synced) -> Watched:
        now = msgspec.structs.replace(
            seen, how=watch.how, why=watch.why, last=synced, syncs=seen.syncs + 1
        )
        self._watches[self._watches.index(seen)] = now
        return now

    async def watched(self) -> list[Watched]:
        """What this desk watches and what the daemon does, and how the last sync of each went."""
        return [*self._watches, *await asyncio.to_thread(self.kept_watches.all)]

    async def keep_watch(
        self,
        folder: str = ".",
        *,
        on: str,
        env: str = "",
        targets: Sequence[str] = (),
        files: bool = False,
    ) -> Watched:
        """Have the daemon watch a folder from now on, as `watch` does, whichever programs end.

        Raises:
            BadInput: *folder* is no folder.
            NotFound: There is no such cluster.
        """
        root = _folder(folder)
        if on not in self.clusters_room.names():
            raise NotFound(on, kind="cluster", near=self.clusters_room.names())
        kept = Watched(
            folder=str(root),
            cluster=on,
            env=env or "base",
            since=datetime.now(UTC),
            targets=tuple(targets),
            files=files,
            is_kept=True,
        )
        await asyncio.to_thread(self.kept_watches.keep, kept)
        return kept

    async def drop_watch(self, folder: str = ".", *, on: str) -> Watched:
        """Have the daemon end a watch.

        Raises:
            NotFound: It keeps none of that folder and cluster.
        """
        root = await asyncio.to_thread(Path(folder).resolve)
        return await asyncio.to_thread(self.kept_watches.drop, str(root), on)

    async def _bring_over(
        self,
        root: Path,
        on: str,
        env: str,
        targets: Sequence[str],
        changed: frozenset[str],
        files: bool,
    ) -> tuple[Synced, bool]:
        """How it went, and whether it is worth trying again with nothing saved since."""
        began = time.monotonic()
        trees: dict[str, int] = {}
        errors: list[str] = []
        is_away = False
        brought = Synced(folder=str(root), cluster=on, tree="", at=datetime.now(UTC), files=0)
        going: dict[str, str] = {}
        try:
            if files and on != "here":
                brought = await self._bring_changes(str(root), on, changed)
            if targets or not files:
                going = await self._targets(root, on, env, targets)
        except RhdeskError as exc:
            errors = [str(exc)]
            is_away = isinstance(exc, ConnectionFailed)
        for name, spec in going.items():
            try:
                bundle = await self.bundle(spec)
                why = (await self._be_live(name, bundle, on, env)).why
                trees[bundle.tree] = len(bundle.files)
            except RhdeskError as exc:
                why, is_away = str(exc), is_away or isinstance(exc, ConnectionFailed)
            if why and why not in errors:
                errors.append(why)
        tree = brought.tree or next(iter(trees), "")
        synced = msgspec.structs.replace(
            brought,
            tree=tree,
            files=brought.files or trees.get(tree, 0),
            took_s=time.monotonic() - began,
            changed=tuple(sorted(changed)[:_SHOWN]),
            error="\n".join(errors),
        )
        return synced, is_away

    async def _be_live(self, name: str, bundle: Bundle, on: str, env: str) -> LiveSeen:
        try:
            return await self._point(name, bundle, on, env)
        except (NotFound, ServletDied) as exc:  # it was told, and has lost it since; or died
            if isinstance(exc, ServletDied):
                await self.clusters_room.revive_env(on, env)
            self.forget_sent()
            return await self._point(name, bundle, on, env)

    async def _point(self, name: str, bundle: Bundle, on: str, env: str) -> LiveSeen:
        digest = await self.send(name, bundle, on=on, env=env)
        client = await self.clusters_room.client(on)
        return await client.go_live(env, name, self._going_live(name, digest))

    async def _targets(
        self, root: Path, on: str, env: str, targets: Sequence[str]
    ) -> dict[str, str]:
        """What goes live: name on the cluster to ``/folder/app.py:train``."""
        from rhdesk.code.bundling import is_spec

        found: dict[str, str] = {}
        for target in targets:
            if is_spec(target):
                spec = _beneath(root, target)
                found[(await self.bundle(spec)).qualname] = spec
            else:
                record = await self.load(target)
                found[record.name] = self._spec(root, record.config, target)
        if targets:
            return found
        client = await self.clusters_room.client(on)
        for record in await self.resources("~"):
            try:
                spec = self._spec(root, record.config, record.name)
                await client.live(env, record.name)
            except (BadInput, NotFound):
                continue  # nothing of this folder, or not live there
            found[record.name] = spec
        if not found:
            raise BadInput(
                f"nothing in {root} is live on {on}: call a name saved of it there first, or say "
                "what is to be: --target app.py:train"
            )
        return found

    def _spec(self, root: Path, config: dict[str, object], name: str) -> str:
        code = config.get("code")
        module = str(code.get("module", "")) if isinstance(code, dict) else ""
        place = root.joinpath(*module.split("."))
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if module and isinstance(code, dict) and file.is_file():
                return f"{file}:{code['qualname']}"
        raise BadInput(f"{name} is not saved of a file in {root}: save it as app.py:train")


def _folder(folder: str) -> Path:
    root = Path(folder).resolve()
    if not root.is_dir():
        raise BadInput(f"{folder!r} is no folder: a watch is of a folder with code in it")
    return root


def _beneath(root: Path, spec: str) -> str:
    place, colon, qualname = spec.rpartition(":")
    file = root / place
    return f"{file}{colon}{qualname}" if file.is_file() else spec
