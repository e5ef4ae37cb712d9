"""What one room needs of another, in its own words.

The rooms do not import each other; `rhdesk.desk` introduces the one to the other, and a class
satisfies these by shape.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from rhdesk.models import Name, Record, Version
from rhdesk.wire.frames import Frame
from rhdesk.wire.messages import Called, RunSeen


class Body(Protocol):
    """What a call sends: the arguments of one, or of every item of a map."""

    def to_bytes(self) -> bytes: ...


class RunLine(Protocol):
    """What following a run needs of an open line to a cluster."""

    async def submit(self, env: str, called: Called, payload: Body) -> RunSeen: ...
    def follow(
        self, env: str, run_id: str, *, after: int = -1, item: int = -1
    ) -> AsyncGenerator[Frame]: ...
    async def run_seen(self, env: str, run_id: str) -> RunSeen: ...
    async def cancel(self, env: str, run_id: str, *, force: bool) -> RunSeen: ...


class ClusterLines(Protocol):
    """Open lines to clusters, and what to do when one breaks."""

    async def client(self, name: str, node: str = "") -> RunLine: ...
    async def revive_env(self, name: str, env: str, node: str = "") -> str: ...
    async def why_gone(self, name: str, node: str) -> str: ...


class NameStore(Protocol):
    """Where names are kept: this project's in git, a team's in the replica of a remote store.

    Blocking; one thread owns it.
    """

    def save(
        self,
        record: Record,
        *,
        overwrite: bool = True,
        author: str = "",
        run_id: str = "",
        note: str = "",
    ) -> Record: ...
    def load(self, name: Name) -> Record: ...
    def exists(self, name: Name) -> bool: ...
    def names(self, *, folder: str = "", resource_type: str = "") -> list[Record]: ...
    def rename(self, old: Name, new: Name) -> Record: ...
    def delete(self, name: Name) -> None: ...
    def history(self, name: Name, *, limit: int = 100) -> list[Version]: ...


class Shelf(Protocol):
    """Files of code, by hash. Blocking; any thread may use it."""

    def keep(self, blobs: Mapping[str, bytes]) -> None: ...
    def load(self, digest: str) -> bytes: ...


class Asks(Protocol):
    """Questions that only a person can answer."""

    async def trust_host(self, host: str, key_type: str, fingerprint: str, note: str) -> bool:
        """Whether the key a host shows for the first time is the host's own."""
        ...

    async def secret(self, prompt: str) -> str | None:
        """A passphrase, password or code; None is no answer. It is kept nowhere."""
        ...
