"""The rooms of the desk, each entered, and its libraries imported, when a verb first needs it."""

from __future__ import annotations

import asyncio
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rhdesk.config import Settings
from rhdesk.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rhdesk.audit import Audit
    from rhdesk.clusters.registry import Registry
    from rhdesk.clusters.service import ClusterAdapter, Clusters
    from rhdesk.clusters.sky.service import Sky
    from rhdesk.code.bundle import CodeShelf
    from rhdesk.daemon.service import Daemon
    from rhdesk.daemon.watches import KeptWatches
    from rhdesk.data.contents import ContentsShelf
    from rhdesk.ports import Asks
    from rhdesk.rns.owned import OwnedNames
    from rhdesk.runs.recorder import Recorder
    from rhdesk.runs.results import Results
    from rhdesk.runs.service import Runs
    from rhdesk.secrets.choice import Choice
    from rhdesk.secrets.keeper import SecretKeeper
    from rhdesk.secrets.keys import Keys
    from rhdesk.sync.service import RemoteStore


class Rooms:
    """Which adapter stands behind which port; nothing else knows."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.asks: Asks | None = None
        """Who answers what only a person can; set by the front end that has one."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """In which they answer."""

    async def aclose(self) -> None:
        """Store what waits, and close every line."""
        opened = vars(self)
        if "clusters_room" in opened:
            await self.clusters_room.aclose()
        if "registry" in opened:
            await self.registry.aclose()
        if "names_room" in opened:
            await self.names_room.aclose()
        if "store_room" in opened:
            await self.store_room.aclose()
        if "results" in opened:
            self.results.close()
        if "recorder" in opened:
            self.recorder.close()

    @cached_property
    def clusters_room(self) -> Clusters:
        from rhdesk.clusters.here import Here
        from rhdesk.clusters.service import Clusters

        folder = self.settings.data_dir / "clusters" / "here"
        here = Here(folder, self.settings.cache_dir / "venvs")
        return Clusters(
            here, timeout_s=self.settings.connect_timeout_s, others=self._other_clusters
        )

    def _other_clusters(self) -> Mapping[str, ClusterAdapter]:
        """Without any, SSH is not even imported."""
        folder = self.settings.data_dir / "clusters"
        if next(folder.glob("*/spec.json"), None) is None:
            return {}
        return self.registry.clusters()

    @cached_property
    def registry(self) -> Registry:
        from rhdesk.clusters.registry import Registry

        folder = self.settings.data_dir / "clusters"
        return Registry(folder, self.settings.cache_dir, self.asks, sky=lambda: self.sky_room)

    @cached_property
    def sky_room(self) -> Sky:
        from rhdesk.clusters.sky.service import Sky

        return Sky(self.settings.data_dir / "skypilot")

    @cached_property
    def recorder(self) -> Recorder:
        from rhdesk.runs.recorder import Recorder

        return Recorder(self.settings.data_dir)

    @cached_property
    def results(self) -> Results:
        from rhdesk.runs.results import Results

        return Results(self.settings.data_dir / "results")

    @cached_property
    def runs_room(self) -> Runs:
        from rhdesk.runs.service import Runs

        return Runs(self.recorder, self.results, self.clusters_room)

    @cached_property
    def names_room(self) -> OwnedNames:
        from rhdesk.rns.owned import OwnedNames

        return OwnedNames(self.settings, Path.cwd())

    @cached_property
    def store_room(self) -> RemoteStore:
        from rhdesk.sync.service import RemoteStore

        return RemoteStore(
            self.settings.data_dir,
            shelf=lambda: self.shelf,
            timeout_s=self.settings.connect_timeout_s,
        )

    @cached_property
    def shelf(self) -> CodeShelf:
        from rhdesk.code.bundle import CodeShelf

        return CodeShelf(self.settings.data_dir / "code")

    @cached_property
    def contents(self) -> ContentsShelf:
        from rhdesk.data.contents import ContentsShelf

        return ContentsShelf(self.settings.data_dir / "contents")

    @cached_property
    def audit_room(self) -> Audit:
        from rhdesk.audit import Audit

        return Audit(self.settings.data_dir / "audit")

    @cached_property
    def secret_keys(self) -> Keys:
        from rhdesk.config import config_file
        from rhdesk.secrets.keys import Keys

        folder = self.settings.data_dir / "secrets"
        return Keys(folder, config_file().with_name("secrets.key"), self._passphrase)

    def _passphrase(self, prompt: str) -> str | None:
        """Of whoever is there, or from the file RHDESK_PASSPHRASE_FILE names; never in the loop."""
        if file := os.environ.get("RHDESK_PASSPHRASE_FILE"):
            try:
                return Path(file).read_text("utf-8").strip() or None
            except (OSError, UnicodeDecodeError) as exc:
                raise BadInput(f"the passphrase in {file} cannot be read: {exc}") from exc
        if self.asks is None or self.loop is None:
            return None
        return asyncio.run_coroutine_threadsafe(self.asks.secret(prompt), self.loop).result()

    @cached_property
    def secret_choice(self) -> Choice:
        from rhdesk.desk.team_line import TeamLine
        from rhdesk.secrets.choice import Choice

        return Choice(
            self.settings.data_dir / "secrets",
            self.secret_keys,
            cache_hours=self.settings.secret_cache_hours,
            timeout_s=self.settings.connect_timeout_s,
            line=TeamLine(self),
        )

    @property
    def secrets_room(self) -> SecretKeeper:
        return self.secret_choice.keeper()

    @cached_property
    def kept_watches(self) -> KeptWatches:
        from rhdesk.daemon.watches import KeptWatches

        return KeptWatches(self.settings.data_dir / "watches")

    @cached_property
    def daemon_room(self) -> Daemon:
        from rhdesk.daemon.service import Daemon

        return Daemon(self.settings.data_dir)
