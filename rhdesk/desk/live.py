"""What is live: a saved function or module that a cluster answers calls of by name.

A version is code, environment and config together, and saving one switches all of it. Everything
that can fail or take long comes first: the environment is made, the code is sent and imported,
while the version before goes on answering. Then one pointer moves on the cluster.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import msgspec

from rhdesk.desk.calls import CallVerbs, env_name, env_spec
from rhdesk.errors import BadInput, NotFound, RhdeskError, ServletDied
from rhdesk.models import ClusterState, Live, Record

if TYPE_CHECKING:
    from rhdesk.code.bundle import Bundle
    from rhdesk.wire.messages import LiveSeen

_LIVE_TYPES: Final = {"function", "module"}
_TRIES: Final = 5


class LiveVerbs(CallVerbs):
    async def save(
        self, record: Record, *, overwrite: bool = True, run_id: str = "", note: str = ""
    ) -> Record:
        """Save a record under its name: a new version, unless nothing changed.

        A function or module that is live on a cluster is switched there, with no call that fails;
        `Record.live` says where it is, and where it could not be and why. It is saved either way.

        Args:
            run_id: The run that saves it; by default the one this code is part of, if it is.
            note: Why, in a few words, for the history.

        Raises:
            AlreadyExists: The name is taken, and *overwrite* is false.
            StoreUnwritable: It could not be written; nothing was saved.
        """
        saved = await super().save(record, overwrite=overwrite, run_id=run_id, note=note)
        if saved.resource_type not in _LIVE_TYPES or "code" not in saved.config:
            return saved
        return msgspec.structs.replace(saved, live=tuple(await self._switch(saved)))

    async def _switch(self, saved: Record) -> list[Live]:
        """Switch what is live to *saved*, or to what was saved since: the newest has the last word."""
        found: list[Live] = []
        newest = saved
        for _ in range(_TRIES):
            found = await self._switch_to(newest)
            if not found or (now := await self._now(newest)).version == newest.version:
                break
            newest = now
        if newest.version != saved.version:
            why = f"{saved.name} is {newest.version[:10]} by now, and that is what is live"
            found = [msgspec.structs.replace(live, is_current=False, why=why) for live in found]
        return found

    async def _now(self, record: Record) -> Record:
        try:
            return await self.load(record.name)
        except NotFound:  # deleted meanwhile
            return record

    async def _switch_to(self, record: Record) -> list[Live]:
        if not (self.settings.data_dir / "clusters").is_dir():
            return []  # nothing was ever up: no need to enter the room
        found: list[Live] = []
        for cluster in await self.clusters():
            if cluster.state is ClusterState.UP:
                found += await self._switch_on(cluster.name, record)
            elif cluster.state is not ClusterState.DOWN:
                why = f"the cluster is {cluster.state}: {cluster.why}"
                env = env_name(record)
                found.append(Live(cluster=cluster.name, env=env, is_current=False, why=why))
        return found

    async def _switch_on(self, cluster: str, record: Record) -> list[Live]:
        """Switch the environments of a cluster where the name is live."""
        from rhdesk.code.bundling import record_bundle

        bundle = record_bundle(record)
        # An instance is called by its key, which is its name unless it was made without one.
        called = str(record.config.get("key") or record.name)
        found: list[Live] = []
        try:
            envs = await self.clusters_room.envs(cluster)
            up = [env.name for env in envs if env.state == "up" or env.name == env_name(record)]
            for env in up:
                if await self._is_live(cluster, env, called, bundle):
                    found.append(await self._switch_in(cluster, env, called, record, bundle))
        except RhdeskError as exc:
            env = env_name(record)
            found.append(Live(cluster=cluster, env=env, is_current=False, why=str(exc)))
        return found

    async def _is_live(self, cluster: str, env: str, called: str, bundle: Bundle) -> bool:
        """Whether calls by this project's name are answered there."""
        client = await self.clusters_room.client(cluster)
        try:
            seen = await client.live(env, called)
        except NotFound:
            return False
        return seen.owner in {"", self._owner(called)}

    async def _switch_in(
        self, cluster: str, env: str, called: str, record: Record, bundle: Bundle
    ) -> Live:
        began = time.monotonic()
        told = Live(cluster=cluster, env=env, is_current=False)
        try:
            if env != env_name(record):
                raise BadInput(
                    f"{record.name} is called in env {env_name(record)} now; what calls it by "
                    f"its address in env {env} gets the version before"
                )
            try:
                seen = await self._go_live(cluster, env, called, record, bundle)
            except (NotFound, ServletDied) as exc:  # it was told, and has lost it since; or died
                if isinstance(exc, ServletDied):
                    await self.clusters_room.revive_env(cluster, env)
                self.forget_sent()
                seen = await self._go_live(cluster, env, called, record, bundle)
        except RhdeskError as exc:
            return msgspec.structs.replace(told, why=str(exc))
        return msgspec.structs.replace(
            told,
            is_current=not seen.why,
            instance=seen.instance,
            why=seen.why,
            took_s=time.monotonic() - began,
        )

    async def _go_live(
        self, cluster: str, env: str, called: str, record: Record, bundle: Bundle
    ) -> LiveSeen:
        digest = await self.send(called, bundle, on=cluster, env=env)
        asked = self._going_live(called, digest)
        client = await self.clusters_room.client(cluster)
        spec = env_spec(record)
        if spec is None:
            return await client.go_live(env, called, asked)
        # Code and packages in one: the environment becomes what this version needs in the moment
        # the name means it.
        instance = ""
        making = self._make_env(spec, on=cluster, name=called, live=asked)
        async with aclosing(making) as steps:
            async for step in steps:
                instance = step.detail
        return msgspec.structs.replace(await client.live(env, called), instance=instance)
