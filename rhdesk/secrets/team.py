"""The keeper that a team shares: sealed on each desk, kept by the team's store, which has no key.

Root keys are those of `rhdesk.secrets.keys`, guarded by a passphrase that the members know; the file
of them, of no use without it, is in the store too. What the store sees of a secret is its name, its
fields' names and when it was saved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import msgspec

from rhdesk import whole_file
from rhdesk.errors import AlreadyExists, DamagedStore, NotFound, RhdeskError
from rhdesk.models import Finding, Secret, SecretText, Values
from rhdesk.secrets.keeper import check
from rhdesk.secrets.keys import Keys
from rhdesk.secrets.sealed import Sealed, SealedKeeper
from rhdesk.wire.team import NewSecret, RenamedSecret, SealedSecret

T = TypeVar("T")
_RING: Final = "_ring"
"""The name, in the folder, of the file of root keys."""
_TRIES: Final = 5


class Line(Protocol):
    """Asks the store, and waits for what it says."""

    def __call__(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: msgspec.Struct | None = None,
        **given: str | int,
    ) -> T: ...


class TeamKeeper:
    """Blocking.

    Args:
        line: To the store, as the person who is logged in.
        folder: Of the store; every secret is in it or below.
        here: Where the file of root keys is kept on this machine.
        passphrase: The team's.
    """

    def __init__(self, line: Line, folder: str, here: Path, passphrase: SecretText) -> None:
        self.name = "store"
        self._line = line
        self._folder = folder
        self._here = here
        self._keys = Keys(here, here / "unused", lambda _: passphrase.reveal())
        self._sealer = SealedKeeper(here, self._keys)
        self._has_ring = False

    def put(
        self, name: str, values: Mapping[str, SecretText], *, provider: str = "", expect: int = -1
    ) -> Secret:
        """Save a new version; it is in the store when this returns.

        Raises:
            Refused: You may not write there, or the passphrase is another one.
        """
        check(name, values)
        self._fetch_ring()
        for _ in range(_TRIES):
            last = self._last(name)
            if expect not in (-1, last):
                raise AlreadyExists(
                    f"{name} is at version {last} by now, not {expect}; look at it, then put again"
                )
            now = datetime.now(UTC)
            sealed = self._sealer.seal(name, last + 1, values, provider, now)
            new = NewSecret(
                name=self._full(name),
                provider=provider,
                fields=list(values),
                envelope=msgspec.to_builtins(sealed),
                expect=last,
            )
            try:
                made = self._line("PUT", "/v1/secrets", SealedSecret, body=new)
            except AlreadyExists:
                if expect != -1:
                    raise
                continue
            return self._seen(made, made.version)
        raise AlreadyExists(f"others put {name} again and again meanwhile; try once more")

    def read(self, name: str, *, version: int = 0) -> Values:
        """The values of a version; 0 is the newest."""
        check(name)
        self._fetch_ring()
        for told in reversed(self._versions(name)):
            if version in (0, told.version):
                return self._opened(name, told)
        raise NotFound(f"{name}@{version}", kind="version of a secret")

    def all(self) -> list[Secret]:
        """Every secret, by name; nothing is opened."""
        told = self._line("GET", "/v1/secrets", list[SealedSecret], folder=self._folder)
        return [self._seen(each, each.version) for each in told if self._short(each) != _RING]

    def history(self, name: str) -> list[Secret]:
        """Its versions, newest first."""
        check(name)
        return [self._seen(each, each.version) for each in reversed(self._versions(name))]

    def delete(self, name: str) -> None:
        """Remove a secret with all its versions."""
        check(name)
        self._versions(name)
        self._line("DELETE", "/v1/secrets", type(None), name=self._full(name))

    def rename(self, old: str, new: str) -> Secret:
        """Give a secret another name; each version is sealed for it anew."""
        check(old)
        check(new)
        self._fetch_ring()
        envelopes: list[dict[str, Any]] = []
        for told in self._versions(old):
            values = self._opened(old, told)
            sealed = self._sealer.seal(new, told.version, values, told.provider, told.saved_at)
            envelopes.append(msgspec.to_builtins(sealed))
        asked = RenamedSecret(old=self._full(old), new=self._full(new), envelopes=envelopes)
        made = self._line("POST", "/v1/secrets/rename", SealedSecret, body=asked)
        return self._seen(made, len(envelopes))

    def examine(self) -> list[Finding]:
        """Open every version and say which do not."""
        self._fetch_ring()
        found: list[Finding] = []
        for each in self.all():
            for told in self._versions(each.name):
                try:
                    self._opened(each.name, told)
                except RhdeskError as exc:
                    what = f"{self._full(each.name)} version {told.version}: {exc}"
                    remedy = "restore a backup of the store, or put it again"
                    found.append(Finding(store="secrets", what=what, remedy=remedy))
        return found

    def open_keys(self) -> None:
        """See that the passphrase opens the team's keys; the first who comes makes them.

        Raises:
            Refused: It does not, or you may not read them.
        """
        self._fetch_ring()
        self._keys.newest()

    # ---- the ring of root keys

    def _fetch_ring(self) -> None:
        """Have the team's root keys here; the first who needs them makes them."""
        if self._has_ring:
            return
        full = self._full(_RING)
        try:
            ring = self._line("GET", "/v1/secrets/versions", list[SealedSecret], name=full)
        except NotFound:
            ring = []
        if not ring:
            self._publish(full)
            ring = self._line("GET", "/v1/secrets/versions", list[SealedSecret], name=full)
        self._keep(ring)
        self._has_ring = True

    def _publish(self, full: str) -> None:
        (self._here / "keys.json").unlink(missing_ok=True)
        self._keys.lock()
        self._keys.guard_with("passphrase")
        text = (self._here / "keys.json").read_text("utf-8")
        try:
            self._line(
                "PUT", "/v1/secrets", SealedSecret,
                body=NewSecret(name=full, fields=["keys"], envelope={"keys": text}, expect=0),
            )  # fmt: skip
        except AlreadyExists:
            self._keys.lock()  # somebody else was first; theirs counts

    def _keep(self, ring: Sequence[SealedSecret]) -> None:
        text = (ring[-1].envelope or {}).get("keys")
        if not isinstance(text, str):
            raise DamagedStore(f"{self._full(_RING)} holds no keys; restore a backup of the store")
        whole_file.write(self._here / "keys.json", [text.encode()])

    # ---- underneath

    def _full(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _short(self, told: SealedSecret) -> str:
        return told.name.removeprefix(f"{self._folder}/")

    def _last(self, name: str) -> int:
        try:
            return self._versions(name)[-1].version
        except NotFound:
            return 0

    def _versions(self, name: str) -> list[SealedSecret]:
        """Oldest first; the store's audit says that they were told."""
        if name == _RING:
            raise NotFound(name, kind="secret")
        try:
            return self._line(
                "GET", "/v1/secrets/versions", list[SealedSecret], name=self._full(name)
            )
        except NotFound as exc:
            near = get_close_matches(name, [each.name for each in self.all()], 3)
            raise NotFound(name, kind="secret", near=near) from exc

    def _opened(self, name: str, told: SealedSecret) -> Values:
        try:
            sealed = msgspec.convert(told.envelope or {}, Sealed)
        except msgspec.ValidationError as exc:
            raise DamagedStore(f"version {told.version} of {name} is none: {exc}") from exc
        if sealed.version != told.version:
            raise DamagedStore(f"version {told.version} of {name} is version {sealed.version}")
        return self._sealer.unseal(name, sealed)

    def _seen(self, told: SealedSecret, versions: int) -> Secret:
        return Secret(
            name=self._short(told),
            version=told.version,
            fields=told.fields,
            provider=told.provider,
            saved_at=told.saved_at,
            versions=versions,
        )
