"""Secrets: kept sealed on this machine, read from and written to where providers look for them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rhdesk.desk.audit import AuditVerbs
from rhdesk.errors import BadInput
from rhdesk.models import Check, Finding, Keeper, Provider, Secret, SecretText, Values

if TYPE_CHECKING:
    from rhdesk.wire.secrets import Delivered


class SecretVerbs(AuditVerbs):
    """Whatever opens or changes a secret is written down first; what cannot be is not done."""

    async def secrets(self) -> list[Secret]:
        """Every secret, by name: what is known of it, never a value."""
        return await asyncio.to_thread(lambda: self.secrets_room.all())

    async def put_secret(
        self,
        name: str,
        values: Mapping[str, SecretText],
        *,
        provider: str = "",
        expect: int = -1,
    ) -> Secret:
        """Keep a secret: a new version, after which a power cut can no longer undo it.

        Args:
            values: By field.
            provider: Whose credentials it is; decides where `save_provider` writes it.
            expect: The version it is to follow, 0 for none; -1 is whichever there is.

        Raises:
            AlreadyExists: Another version is there than was expected.
            BadInput: The name or a field's is none.
            Refused: The secrets are locked.
        """
        await self.audit("secret.put", name)
        return await asyncio.to_thread(
            lambda: self.secrets_room.put(name, values, provider=provider, expect=expect)
        )

    async def read_secret(self, name: str, *, version: int = 0) -> Values:
        """The values of a secret; version 0 is the newest.

        Raises:
            NotFound: No such secret, or no such version.
            Refused: The secrets are locked, or this one was changed on the disk.
        """
        await self.audit("secret.read", name, f"version {version}" if version else "")
        return await asyncio.to_thread(lambda: self.secrets_room.read(name, version=version))

    async def secret_history(self, name: str) -> list[Secret]:
        """The versions of a secret, newest first."""
        return await asyncio.to_thread(lambda: self.secrets_room.history(name))

    async def rename_secret(self, old: str, new: str) -> Secret:
        """Give a secret another name; its versions go with it."""
        await self.audit("secret.rename", old, f"to {new}")
        return await asyncio.to_thread(lambda: self.secrets_room.rename(old, new))

    async def delete_secret(self, name: str) -> None:
        """Remove a secret with all its versions. What its provider's file holds stays."""
        await self.audit("secret.delete", name)
        await asyncio.to_thread(lambda: self.secrets_room.delete(name))

    # ---- providers

    async def providers(self) -> list[Provider]:
        """Whose credentials are understood, and where there are some on this machine."""
        from rhdesk.secrets.providers import seen
        from rhdesk.secrets.providers.place import Place

        return await asyncio.to_thread(seen, Place.here())

    async def load_provider(
        self, provider: str, *, name: str = "", from_env: bool = False
    ) -> Secret:
        """Keep what a provider has on this machine; the same again makes no version.

        Args:
            name: What to call it; by default as its provider.
            from_env: Read its variables only, not its files.

        Raises:
            NotFound: It has nothing here; the message names every place that was looked at.
            BadInput: What is there cannot be understood.
        """
        from rhdesk.secrets.providers import read
        from rhdesk.secrets.providers.place import Place

        found = await asyncio.to_thread(read, provider, Place.here(), from_env=from_env)
        values = {field: SecretText(text) for field, text in found.items()}
        name = name or provider
        for kept in await self.secrets():
            if kept.name == name and await self.read_secret(name) == values:
                return kept
        return await self.put_secret(name, values, provider=provider)

    async def save_provider(self, name: str, *, version: int = 0, provider: str = "") -> list[str]:
        """Write a secret where its provider looks for it; returns the files.

        What those files hold for others, another profile or registry, stays.

        Args:
            provider: Whose; by default whose it was put as.

        Raises:
            BadInput: It is nobody's, lacks a field, or what is there cannot be merged with.
        """
        from rhdesk.secrets.providers import provider as known
        from rhdesk.secrets.providers.place import Place

        whose = provider or (await self.secret_history(name))[0].provider
        if not whose:
            raise BadInput(f"{name} is nobody's credentials; say whose: --provider aws")
        values = await self.read_secret(name, version=version)
        await self.audit("secret.write", name, f"where {whose} looks for it")
        revealed = {field: value.reveal() for field, value in values.items()}
        try:
            files = await asyncio.to_thread(known(whose).write, revealed, Place.here())
        except ValueError as exc:
            raise BadInput(str(exc)) from exc
        return [str(file) for file in files]

    async def _delivered(self, names: Sequence[str], to: str) -> Delivered:
        """Secrets for an environment, each opened and written down as sent there."""
        from rhdesk.secrets.delivery import delivered
        from rhdesk.wire.secrets import Delivered

        found: dict[str, tuple[str, Values]] = {}
        for name in names:
            whose = (await self.secret_history(name))[0].provider
            found[name] = (whose, await self.read_secret(name))
            await self.audit("secret.send", name, f"to {to}")
        return delivered(found) if found else Delivered()

    # ---- who keeps them, and what guards them

    async def secret_keeper(self) -> Keeper:
        """Who keeps secrets now."""
        if folder := await asyncio.to_thread(self.secret_choice.team_folder):
            return Keeper(name="store", where=folder)
        place = await asyncio.to_thread(self.secret_choice.place)
        if place is None:
            return Keeper(name="sealed", where=str(self.settings.data_dir / "secrets"))
        return Keeper(name="vault", where=f"{place.address}/{place.mount}/{place.folder}")

    async def use_vault(
        self,
        address: str,
        credential: SecretText,
        *,
        mount: str = "secret",
        folder: str = "rhdesk",
        namespace: str = "",
        role_id: str = "",
        ca_file: str = "",
    ) -> Keeper:
        """Keep secrets in a HashiCorp Vault or OpenBao from now on (KV version 2).

        What is kept here stays here, and is seen again when the sealed keeper is used again.

        Args:
            credential: A token; with *role_id*, AppRole's secret id. It is kept sealed.
            folder: Below the mount; every secret is in it.

        Raises:
            Refused, ConnectionFailed: It does not answer so; nothing has changed.
        """
        from rhdesk.secrets.choice import VaultPlace

        place = VaultPlace(
            address=address.rstrip("/"),
            mount=mount,
            folder=folder,
            namespace=namespace,
            role_id=role_id,
            ca_file=ca_file,
        )
        await self.audit("secret.keeper", place.address)
        await asyncio.to_thread(self.secret_choice.use_vault, place, credential)
        return await self.secret_keeper()

    async def use_store_keeper(self, folder: str, passphrase: SecretText) -> Keeper:
        """Keep secrets in a folder of the team's store from now on, sealed before they go there.

        Args:
            passphrase: The team's; whoever comes first decides it. It is kept sealed here.

        Raises:
            Refused: It is another one, or you may not call in that folder.
            ConnectionFailed: The store is away; nothing has changed.
        """
        from rhdesk.desk.team_line import TeamLine

        full = await self.store_room.call(lambda names: names.folder_named(folder))
        await self.audit("secret.keeper", full)
        line = TeamLine(self)
        await asyncio.to_thread(self.secret_choice.use_team, full, passphrase, line)
        return await self.secret_keeper()

    async def use_sealed(self) -> Keeper:
        """Keep secrets on this machine from now on; what the Vault holds stays there."""
        await self.audit("secret.keeper", "sealed")
        await asyncio.to_thread(self.secret_choice.use_sealed)
        return await self.secret_keeper()

    async def verify_keeper(self) -> list[Check]:
        """Try everything a keeper promises on the one that is used, under a name of its own.

        Never raises for what it finds.
        """
        from rhdesk.secrets.contract import verify

        return await asyncio.to_thread(lambda: verify(self.secrets_room))

    async def secret_guard(self) -> str:
        """What guards the keys: ``file``, ``keyring`` or ``passphrase``; empty before any."""
        return await asyncio.to_thread(lambda: self.secret_keys.guard)

    async def guard_secrets(self, guard: str) -> None:
        """Have something else guard the keys; no secret is touched.

        Raises:
            BadInput: There is no such guard.
            SetupFailed: This system has no keyring that keeps anything safe.
        """
        await self.audit("secret.guard", guard)
        await asyncio.to_thread(self.secret_keys.guard_with, guard)

    async def renew_secret_keys(self) -> int:
        """Seal every secret's key anew; returns how many versions that were. No value changes."""
        await self.audit("secret.renew", "every secret")
        return await asyncio.to_thread(self.secret_choice.sealed().renew_keys)

    async def check_secrets(self) -> list[Finding]:
        """Open every version of every secret, and say which do not open."""
        return await asyncio.to_thread(lambda: self.secrets_room.examine())
