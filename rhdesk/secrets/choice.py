"""Which keeper a desk uses: the sealed folder, or a Vault that somebody pointed it at."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file
from rhdesk.errors import DamagedStore, Refused, StoreUnwritable
from rhdesk.models import SecretText
from rhdesk.secrets.cached import CachedKeeper
from rhdesk.secrets.keeper import SecretKeeper
from rhdesk.secrets.keys import Keys
from rhdesk.secrets.sealed import SealedKeeper
from rhdesk.secrets.team import Line, TeamKeeper

_CREDENTIAL: Final = "credential"


class VaultPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a Vault is, and who speaks to it; the token or the secret id is beside it, sealed."""

    address: str
    mount: str = "secret"
    folder: str = "rhdesk"
    """Below the mount; every secret is in it."""
    namespace: str = ""
    role_id: str = ""
    """Of AppRole; empty means that a token is given."""
    ca_file: str = ""


class Choice:
    """Where secrets are kept.

    Args:
        folder: The desk's folder of secrets.
        line: To the team's store, where somebody is logged in to one.
        cache_hours: How long what was read of a Vault may be used while it is away.
    """

    def __init__(
        self,
        folder: Path,
        keys: Keys,
        *,
        cache_hours: float,
        timeout_s: float,
        line: Line | None = None,
    ) -> None:
        self._line = line
        self._teams: dict[str, TeamKeeper] = {}
        self._folder = folder
        self._keys = keys
        self._cache_hours = cache_hours
        self._timeout_s = timeout_s

    def place(self) -> VaultPlace | None:
        """The Vault that is used; None is the sealed folder."""
        try:
            data = (self._folder / "keeper" / "vault.json").read_bytes()
            return msgspec.json.decode(data, type=VaultPlace)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as exc:
            raise DamagedStore(
                f"{self._folder / 'keeper' / 'vault.json'} cannot be read: {exc}; "
                "say it again: rhdesk secret keeper vault ADDRESS"
            ) from exc

    def team_folder(self) -> str:
        """The folder of the team's store that is used; "" where none is."""
        try:
            data = (self._folder / "keeper" / "team.json").read_bytes()
            return str(msgspec.json.decode(data, type=dict[str, str])["folder"])
        except FileNotFoundError:
            return ""
        except (msgspec.DecodeError, KeyError) as exc:
            raise DamagedStore(
                f"{self._folder / 'keeper' / 'team.json'} cannot be read: {exc}; "
                "say it again: rhdesk secret keeper store FOLDER"
            ) from exc

    def use_team(self, folder: str, passphrase: SecretText, line: Line) -> None:
        """Keep secrets in the team's store from now on; its keys are opened with the
        passphrase first.

        Raises:
            Refused, ConnectionFailed: It does not answer so; nothing has changed.
        """
        place = self._team_place(folder)
        TeamKeeper(line, folder, place, passphrase).open_keys()
        self._teams.pop(folder, None)
        self.use_sealed()
        self._beside("keeper").put(_CREDENTIAL, {"value": passphrase})
        data = msgspec.json.encode({"folder": folder})
        try:
            whole_file.write(self._folder / "keeper" / "team.json", [data], durable=True)
        except OSError as exc:
            raise StoreUnwritable(f"{self._folder} cannot be written: {exc.strerror}") from exc

    def keeper(self) -> SecretKeeper:
        """Who keeps secrets now."""
        if folder := self.team_folder():
            passphrase = self._beside("keeper").read(_CREDENTIAL)["value"]
            return self._team(folder, passphrase, self._line)
        place = self.place()
        if place is None:
            return self.sealed()
        credential = self._beside("keeper").read(_CREDENTIAL)["value"]
        return CachedKeeper(
            self._vault(place, credential), self._beside("cache"), hours=self._cache_hours
        )

    def sealed(self) -> SealedKeeper:
        return SealedKeeper(self._folder, self._keys)

    def use_vault(self, place: VaultPlace, credential: SecretText) -> None:
        """Keep secrets in a Vault from now on; it is asked for its list first.

        Raises:
            Refused, ConnectionFailed: It does not answer so; nothing has changed.
        """
        self._vault(place, credential).all()
        (self._folder / "keeper" / "team.json").unlink(missing_ok=True)
        self._beside("keeper").put(_CREDENTIAL, {"value": credential})
        data = msgspec.json.format(msgspec.json.encode(place))
        try:
            whole_file.write(self._folder / "keeper" / "vault.json", [data], durable=True)
        except OSError as exc:
            raise StoreUnwritable(f"{self._folder} cannot be written: {exc.strerror}") from exc

    def use_sealed(self) -> None:
        """Keep secrets here from now on; what the Vault holds stays there, and its copies go."""
        for name in ("vault.json", "team.json"):
            (self._folder / "keeper" / name).unlink(missing_ok=True)
        for folder in ("keeper", "cache"):
            beside = self._beside(folder)
            for each in beside.all():
                beside.delete(each.name)

    def _vault(self, place: VaultPlace, credential: SecretText) -> SecretKeeper:
        from rhdesk.secrets.vault import VaultKeeper  # deferred: hvac is slow to import

        return VaultKeeper(place, credential, timeout_s=self._timeout_s)

    def _team(self, folder: str, passphrase: SecretText, line: Line | None) -> SecretKeeper:
        if line is None:
            raise Refused(f"the store keeps the secrets, in {folder}, and nobody asks it here")
        if folder not in self._teams:
            self._teams[folder] = TeamKeeper(line, folder, self._team_place(folder), passphrase)
        return self._teams[folder]

    def _team_place(self, folder: str) -> Path:
        return self._folder / "team" / sha256(folder.encode()).hexdigest()[:16]

    def _beside(self, name: str) -> SealedKeeper:
        return SealedKeeper(self._folder / name, self._keys)
