"""The keeper that needs nothing but this machine: a file per secret, each version sealed.

What a person must know to find a secret is readable in the file: its name, its fields' names, when
it was saved. A file is replaced whole, so whoever dies in the middle of it loses nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import quote

import msgspec

from rhdesk import whole_file
from rhdesk.errors import (
    AlreadyExists,
    DamagedStore,
    NotFound,
    RhdeskError,
    StoreUnwritable,
)
from rhdesk.models import Finding, Secret, SecretText, Values
from rhdesk.secrets import envelope
from rhdesk.secrets.keeper import check
from rhdesk.secrets.keys import Keys


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a secret, as it is in the file."""

    version: int
    saved_at: datetime
    provider: str
    fields: tuple[str, ...]
    key_id: str
    """The root key its own key is sealed under."""
    key: bytes
    value: bytes


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A secret's file."""

    name: str
    versions: tuple[Sealed, ...]
    """Oldest first."""


class SealedKeeper:
    """Blocking; several processes may use one folder.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path, keys: Keys) -> None:
        self.name = "sealed"
        self._folder = folder
        self.keys = keys

    def put(
        self, name: str, values: Mapping[str, SecretText], *, provider: str = "", expect: int = -1
    ) -> Secret:
        """Save a new version; when this returns no power cut can undo it."""
        check(name, values)
        with self._alone():
            kept = self._find(name)
            last = kept.versions[-1].version if kept and kept.versions else 0
            if expect not in (-1, last):
                raise AlreadyExists(
                    f"{name} is at version {last} by now, not {expect}; look at it, then put again"
                )
            sealed = self.seal(name, last + 1, values, provider, datetime.now(UTC))
            before = kept.versions if kept else ()
            made = Kept(name=name, versions=(*before, sealed))
            self._write(made)
        return _seen(made)

    def read(self, name: str, *, version: int = 0) -> Values:
        """The values of a version; 0 is the newest.

        Raises:
            NotFound: No such secret, or no such version.
            Refused: The keys are locked, or the file was changed.
        """
        kept = self._get(name)
        for sealed in reversed(kept.versions):
            if version in (0, sealed.version):
                return self.unseal(name, sealed)
        raise NotFound(f"{name}@{version}", kind="version of a secret")

    def all(self) -> list[Secret]:
        """Every secret, by name; nothing is opened."""
        return [_seen(kept) for kept in self._all()]

    def history(self, name: str) -> list[Secret]:
        """Its versions, newest first."""
        kept = self._get(name)
        return [
            _seen(msgspec.structs.replace(kept, versions=kept.versions[: at + 1]))
            for at in reversed(range(len(kept.versions)))
        ]

    def delete(self, name: str) -> None:
        """Remove a secret with all its versions.

        Raises:
            NotFound: There is none.
        """
        with self._alone():
            self._get(name)
            self._remove(name)

    def rename(self, old: str, new: str) -> Secret:
        """Give a secret another name; its versions go with it.

        Raises:
            AlreadyExists: The new name is taken.
        """
        check(new)
        with self._alone():
            kept = self._get(old)
            if self._find(new) is not None:
                raise AlreadyExists(f"a secret is called {new} already; choose another name")
            # The seal is good for one name only, so each version is sealed anew.
            versions = tuple(
                self.seal(new, each.version, self.unseal(old, each), each.provider, each.saved_at)
                for each in kept.versions
            )
            made = Kept(name=new, versions=versions)
            self._write(made)
            self._remove(old)
        return _seen(made)

    def renew_keys(self) -> int:
        """Seal every secret's key under a new root key; returns how many versions that were.

        The values stay as they are. Ended in the middle it is taken up by the next call.
        """
        with self._alone():
            key_id = self.keys.renew()
            root = self.keys.root(key_id)
            count = 0
            for kept in self._all():
                versions = tuple(
                    self._rewrapped(kept.name, each, key_id, root) for each in kept.versions
                )
                self._write(Kept(name=kept.name, versions=versions))
                count += len(versions)
            self.keys.keep_only({key_id})
        return count

    def examine(self) -> list[Finding]:
        """Open every version and say which do not."""
        found: list[Finding] = []
        for file in sorted(self._folder.glob("*.json")):
            if file.name == "keys.json":
                continue
            try:
                kept = self._decode(file)
                for each in kept.versions:
                    self.unseal(kept.name, each)
            except RhdeskError as exc:
                found.append(
                    Finding(
                        store="secrets", what=f"{file}: {exc}", remedy="restore a backup of it"
                    )
                )
        return found

    # ---- sealing

    def seal(
        self,
        name: str,
        version: int,
        values: Mapping[str, SecretText],
        provider: str,
        saved_at: datetime,
    ) -> Sealed:
        """A version, sealed for this name and number only."""
        key_id, root = self.keys.newest()
        own = envelope.new_key()
        fields = tuple(values)
        plain = msgspec.json.encode({field: values[field].reveal() for field in fields})
        about = _about(name, version, provider, fields)
        return Sealed(
            version=version,
            saved_at=saved_at,
            provider=provider,
            fields=fields,
            key_id=key_id,
            key=envelope.seal(root, own, about),
            value=envelope.seal(own, plain, about),
        )

    def unseal(self, name: str, sealed: Sealed) -> Values:
        """What `seal` sealed.

        Raises:
            Refused: It was sealed for another name or number, or under another key.
        """
        about = _about(name, sealed.version, sealed.provider, sealed.fields)
        own = envelope.unseal(self.keys.root(sealed.key_id), sealed.key, about)
        plain = msgspec.json.decode(envelope.unseal(own, sealed.value, about), type=dict[str, str])
        return {field: SecretText(text) for field, text in plain.items()}

    def _rewrapped(self, name: str, sealed: Sealed, key_id: str, root: bytes) -> Sealed:
        about = _about(name, sealed.version, sealed.provider, sealed.fields)
        own = envelope.unseal(self.keys.root(sealed.key_id), sealed.key, about)
        return msgspec.structs.replace(sealed, key_id=key_id, key=envelope.seal(root, own, about))

    # ---- the folder

    def _place(self, name: str) -> Path:
        return self._folder / f"{quote(name, safe='')}.json"

    def _all(self) -> list[Kept]:
        files = sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []
        return [self._decode(file) for file in files if file.name != "keys.json"]

    def _find(self, name: str) -> Kept | None:
        file = self._place(name)
        return self._decode(file) if file.exists() else None

    def _get(self, name: str) -> Kept:
        if (kept := self._find(name)) is None:
            names = [each.name for each in self._all()]
            raise NotFound(name, kind="secret", near=get_close_matches(name, names, 3))
        return kept

    def _decode(self, file: Path) -> Kept:
        try:
            return msgspec.json.decode(file.read_bytes(), type=Kept)
        except msgspec.DecodeError as exc:
            raise DamagedStore(f"{file} is damaged: {exc}; restore a backup of it") from exc

    def _write(self, kept: Kept) -> None:
        data = msgspec.json.format(msgspec.json.encode(kept))
        with _writing(self._folder):
            whole_file.write(self._place(kept.name), [data], durable=True)

    def _remove(self, name: str) -> None:
        with _writing(self._folder):
            self._place(name).unlink()
            whole_file.flush_folder(self._folder)

    @contextmanager
    def _alone(self) -> Generator[None]:
        """One writer at a time; the kernel frees the lock of one that died."""
        with _writing(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


@contextmanager
def _writing(folder: Path) -> Generator[None]:
    try:
        yield
    except RhdeskError:
        raise
    except OSError as exc:
        raise StoreUnwritable(f"{folder} cannot be written: {exc.strerror}") from exc


def _seen(kept: Kept) -> Secret:
    last = kept.versions[-1]
    return Secret(
        name=kept.name,
        version=last.version,
        fields=last.fields,
        provider=last.provider,
        saved_at=last.saved_at,
        versions=len(kept.versions),
    )


def _about(name: str, version: int, provider: str, fields: tuple[str, ...]) -> bytes:
    """What a seal is good for; whatever of it is changed in the file, the seal no longer opens."""
    return msgspec.json.encode([name, version, provider, fields])
