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
from rhdesk.errors import BadInput, NotFound, RhdeskError, ServletDied
from rhdesk.models import Synced, Watched

if TYPE_CHECKING:
    from rhdesk.code.bundle import Bundle
    from rhdesk.wire.messages import LiveSeen

_TURN_S: Final = 0.5
"""How long one wait in a thread may be; a watch that is closed ends so soon."""
_SHOWN: Final = 20


class WatchVerbs(LiveVerbs):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._watches: list[Watched] = []

    async def watch(
        self, folder: str = ".", *, on: str = "here", env: str = "", targets: Sequence[str] = ()
    ) -> AsyncGenerator[Synced]:
        """Have what is saved in *folder* be what the next call uses; one `Synced` for each save.

        The first comes at once: how it is now. What cannot be taken, a syntax error or a host that
        does not answer, leaves the code there as it was; the next save that can be taken heals it.

        Args:
            env: Environment on the cluster; empty is ``base``.
            targets: ``app.py:train``, seen from *folder*, or names saved of its code; empty is
                every name of this project that is saved of a file in it and live on the cluster.

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
        )
        self._watches.append(seen)
        try:
            changed: frozenset[str] = frozenset()
            while True:
                synced = await self._bring_over(root, on, env or "base", targets, changed)
                now = msgspec.structs.replace(
                    seen, how=watch.how, why=watch.why, last=synced, syncs=seen.syncs + 1
                )
                self._watches[self._watches.index(seen)] = now
                seen = now
                yield synced
                changed = frozenset()
                while not changed:
                    changed = await asyncio.to_thread(watch.wait, _TURN_S)
        finally:
            self._watches.remove(seen)
            await asyncio.to_thread(watch.close)

    async def watched(self) -> list[Watched]:
        """What this desk watches, and how the last sync of each went."""
        return list(self._watches)

    async def _bring_over(
        self, root: Path, on: str, env: str, targets: Sequence[str], changed: frozenset[str]
    ) -> Synced:
        began = time.monotonic()
        trees: dict[str, int] = {}
        errors: list[str] = []
        try:
            going = await self._targets(root, on, env, targets)
        except RhdeskError as exc:
            going, errors = {}, [str(exc)]
        for name, spec in going.items():
            try:
                bundle = await self.bundle(spec)
                why = (await self._be_live(name, bundle, on, env)).why
                trees[bundle.tree] = len(bundle.files)
            except RhdeskError as exc:
                why = str(exc)
            if why and why not in errors:
                errors.append(why)
        tree = next(iter(trees), "")
        return Synced(
            folder=str(root),
            cluster=on,
            tree=tree,
            at=datetime.now(UTC),
            files=trees.get(tree, 0),
            took_s=time.monotonic() - began,
            changed=tuple(sorted(changed)[:_SHOWN]),
            error="\n".join(errors),
        )

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
