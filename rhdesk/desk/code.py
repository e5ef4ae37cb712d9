"""Code: what is behind a name or a file, what it takes, and how it gets to a cluster."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from rhdesk.config import Settings
from rhdesk.desk.clusters import ClusterVerbs
from rhdesk.desk.names import NameVerbs
from rhdesk.errors import BadInput, NotFound
from rhdesk.models import Name, Record, Signature

if TYPE_CHECKING:
    from rhdesk.clusters.servlet_client import ServletClient
    from rhdesk.code.bundle import Bundle
    from rhdesk.wire.messages import GoLive

_UNASKED_FILES: Final = 16
_UNASKED_BYTES: Final = 256 * 1024
"""Code up to this is sent rather than asked for."""


class CodeVerbs(ClusterVerbs, NameVerbs):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._sent: dict[tuple[str, str], set[str]] = {}
        """Hashes of the definitions each env servlet was sent, by cluster id and env."""
        self._files_there: dict[tuple[str, str], set[str]] = {}
        """Hashes of the files each was seen to have, likewise."""

    async def signature(self, target: str, *, method: str = "") -> Signature:
        """What a function or method takes, without importing it.

        Args:
            target: A saved name, or ``app.py:train``.
            method: Of a module; empty is the function itself, or the class's construction.
        """
        bundle = await self.bundle(target)
        if not method or method == "call":
            return bundle.signature
        try:
            return bundle.methods[method]
        except KeyError:
            raise NotFound(
                method, kind=f"method of {target}", near=sorted(bundle.methods)
            ) from None

    async def methods(self, target: str) -> list[str]:
        """A module's public methods; ``["call"]`` for a function."""
        bundle = await self.bundle(target)
        return sorted(bundle.methods) if bundle.kind == "module" else ["call"]

    async def bundle(self, target: str) -> Bundle:
        """The code behind a saved name or ``app.py:train``; of the latter, kept on the shelf.

        Raises:
            NotFound: No such name.
            BadFunction: The file, or the function in it, is not there or cannot be read.
        """
        from rhdesk.code.bundling import bundle_of_spec, is_spec, record_bundle

        if is_spec(target):
            bundle, blobs = bundle_of_spec(target)
            self.shelf.keep(blobs)
            return bundle
        return record_bundle(await self.load(target))

    async def save_target(
        self, target: str, name: str, *, env: str = "", overwrite: bool = True
    ) -> Record:
        """Save ``app.py:train`` under a name, its code with it."""
        from rhdesk.code.bundling import bundle_record

        bundle = await self.bundle(target)
        record = bundle_record(str(Name.parse(name)), bundle, system="here", env=env)
        return await self.save(record, overwrite=overwrite)

    async def send(
        self,
        name: str,
        bundle: Bundle,
        *,
        on: str,
        env: str,
        node: str = "",
        live: bool = False,
    ) -> str:
        """Have an env servlet know a function or class; returns what a call names it by.

        Only what the servlet lacks travels. Sending twice costs nothing.

        Args:
            node: Of the cluster; empty is its head.
            live: Have calls by *name* mean it from now on, whoever's they were. Otherwise they go
                on to mean what they do, if anything: a saved name may be called at any version.
        """
        digest = bundle.digest(name)
        await self.mend(on)
        client = await self.clusters_room.client(on, node)
        address = f"{client.line.node} {await client.address(env)}"
        known = self._sent.setdefault((client.line.cluster_id, address), set())
        if digest not in known:
            files = self._files_there.setdefault((client.line.cluster_id, address), set())
            await self._define(client, name, bundle, env, files)
            known.add(digest)
        if live:
            await client.go_live(env, name, self._going_live(name, digest, take=True))
        return digest

    async def _define(
        self, client: ServletClient, name: str, bundle: Bundle, env: str, there: set[str]
    ) -> None:
        if bundle.tree and not await self._put_the_rest(client, bundle, env, there):
            lacking = await client.missing(env, sorted(set(bundle.files.values())))
            blobs = {each: await self._file_of_code(each) for each in lacking}
            await client.put_code(env, bundle.tree, bundle.files, blobs)
        there.update(bundle.files.values())
        blob = await self._file_of_code(bundle.blob) if bundle.blob else b""
        await client.define(env, bundle.definition(name), blob, owner=self._owner(name))

    async def _put_the_rest(
        self, client: ServletClient, bundle: Bundle, env: str, there: set[str]
    ) -> bool:
        """Send what is not known to be *there*, without asking: an edit is a few small files.

        To ask is a round trip. False where it was not tried, or where more was lacking.
        """
        rest = set(bundle.files.values()) - there
        if not there or len(rest) > _UNASKED_FILES:
            return False
        blobs = {each: await self._file_of_code(each) for each in sorted(rest)}
        if sum(map(len, blobs.values())) > _UNASKED_BYTES:
            return False
        try:
            await client.put_code(env, bundle.tree, bundle.files, blobs)
        except BadInput:  # it has lost some since
            return False
        return True

    def _going_live(self, name: str, digest: str, *, take: bool = False) -> GoLive:
        from rhdesk.wire.messages import GoLive

        return GoLive(definition=digest, owner=self._owner(name), take=take)

    def _owner(self, name: str) -> str:
        """Whose *name* is, on a cluster that other projects use too: ``~/x`` is this project's."""
        if not name.startswith("~/"):
            return ""
        folder = self.names_room.folder(Name.parse(name))
        return sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    async def _file_of_code(self, digest: str) -> bytes:
        """From the shelf; or, of what another machine saved, from the store."""
        try:
            return self.shelf.load(digest)
        except NotFound:
            if not (await self.store_room.state()).url:
                raise
        return await self.store_room.fetch_code(digest)

    def forget_sent(self) -> None:
        """Send definitions anew: an env servlet turned out not to know what it was told."""
        self._sent.clear()
        self._files_there.clear()
