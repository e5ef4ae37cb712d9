"""The keys that secrets are sealed under, and what guards them.

Every secret has a key of its own, sealed under a *root key*. The root keys are in one file, each
sealed under what its guard gives: a key file, the system's keyring, or a passphrase. So another
passphrase touches this file alone, and another root key (`renew`) the secrets' keys but no value.
A root key goes only when nothing is sealed under it any more.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from rhdesk import whole_file
from rhdesk.errors import BadInput, DamagedStore, NotFound, Refused, SetupFailed, StoreUnwritable
from rhdesk.secrets import envelope
from rhdesk.secrets.envelope import Stretch

GUARDS: Final = ("file", "keyring", "passphrase")
_SERVICE: Final = "rhdesk"

Passphrase = Callable[[str], str | None]
"""Asks a person; None is no answer."""


class RootKey(msgspec.Struct, frozen=True, kw_only=True):
    key_id: str
    sealed: bytes


class KeyRing(msgspec.Struct, frozen=True, kw_only=True):
    """The file of root keys; the last one seals what is new."""

    guard: str
    guard_id: str
    """Name of the key in the keyring; and what a sealed root key is good for."""
    stretch: Stretch | None = None
    keys: tuple[RootKey, ...]


class Keys:
    """Root keys, opened when first needed and forgotten by `lock`.

    Args:
        folder: Where the file of root keys is.
        key_file: Where the key file is, of the guard ``file``: not beside the secrets, so that a
            copy of the one is no copy of both.
        passphrase: How to ask for one.
    """

    def __init__(self, folder: Path, key_file: Path, passphrase: Passphrase) -> None:
        self._file = folder / "keys.json"
        self._key_file = key_file
        self._passphrase = passphrase
        self._opened: dict[str, bytes] = {}

    @property
    def guard(self) -> str:
        """What guards the root keys; empty before there are any."""
        ring = self._read()
        return ring.guard if ring else ""

    def lock(self) -> None:
        """Forget every opened key."""
        self._opened.clear()

    def newest(self) -> tuple[str, bytes]:
        """The root key that seals what is new; the first one is made when it is first needed."""
        ring = self._read() or self._make("file")
        key_id = ring.keys[-1].key_id
        return key_id, self.root(key_id)

    def root(self, key_id: str) -> bytes:
        """A root key.

        Raises:
            Refused: The guard does not open: a wrong passphrase, another key file.
            NotFound: The key file, or the keyring's entry, is gone.
            DamagedStore: There is no such root key.
        """
        if (known := self._opened.get(key_id)) is not None:
            return known
        ring = self._read()
        if ring is None or all(key.key_id != key_id for key in ring.keys):
            raise DamagedStore(
                f"the root key {key_id} is not in {self._file}; restore a backup of it"
            )
        guarding = self._guarding(ring)
        for key in ring.keys:
            self._opened[key.key_id] = envelope.unseal(
                guarding, key.sealed, _about(ring, key.key_id)
            )
        return self._opened[key_id]

    def guard_with(self, guard: str) -> None:
        """Have something else guard the root keys. The secrets themselves are not touched.

        Raises:
            BadInput: There is no such guard.
            SetupFailed: The system has no keyring that keeps anything safe.
        """
        if guard not in GUARDS:
            raise BadInput(f"{guard!r} guards no keys; {', '.join(GUARDS)} do")
        ring = self._read()
        if ring is None:
            self._make(guard)
            return
        for key in ring.keys:
            self.root(key.key_id)
        self._write(guard, dict(self._opened), [key.key_id for key in ring.keys])
        self._forget(ring)

    def renew(self) -> str:
        """Add a root key, which seals what is new from now on; returns its id."""
        ring = self._read()
        if ring is None:
            return self._make("file").keys[-1].key_id
        guarding, key_id = self._guarding(ring), secrets.token_hex(8)
        key = envelope.new_key()
        sealed = envelope.seal(guarding, key, _about(ring, key_id))
        made = msgspec.structs.replace(
            ring, keys=(*ring.keys, RootKey(key_id=key_id, sealed=sealed))
        )
        self._save(made)
        self._opened[key_id] = key
        return key_id

    def keep_only(self, used: set[str]) -> None:
        """Drop the root keys that nothing is sealed under; the newest one stays."""
        ring = self._read()
        if ring is None:
            return
        kept = tuple(key for key in ring.keys if key.key_id in used or key is ring.keys[-1])
        if kept != ring.keys:
            self._save(msgspec.structs.replace(ring, keys=kept))
        for key_id in set(self._opened) - {key.key_id for key in kept}:
            del self._opened[key_id]

    # ---- the file

    def _make(self, guard: str) -> KeyRing:
        key_id = secrets.token_hex(8)
        key = envelope.new_key()
        self._write(guard, {key_id: key}, [key_id])
        self._opened[key_id] = key
        made = self._read()
        assert made is not None, "just written"
        return made

    def _write(self, guard: str, keys: dict[str, bytes], order: list[str]) -> None:
        ring = KeyRing(
            guard=guard,
            guard_id=secrets.token_hex(8),
            stretch=envelope.new_stretch() if guard == "passphrase" else None,
            keys=(),
        )
        guarding = self._new_guarding(ring)
        sealed = tuple(
            RootKey(key_id=each, sealed=envelope.seal(guarding, keys[each], _about(ring, each)))
            for each in order
        )
        self._save(msgspec.structs.replace(ring, keys=sealed))

    def _read(self) -> KeyRing | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=KeyRing)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as exc:
            raise DamagedStore(f"{self._file} is damaged: {exc}; restore a backup of it") from exc

    def _save(self, ring: KeyRing) -> None:
        _put(self._file, msgspec.json.format(msgspec.json.encode(ring)))

    # ---- what guards it

    def _guarding(self, ring: KeyRing) -> bytes:
        match ring.guard:
            case "file":
                return self._from_file(ring.guard_id)
            case "keyring":
                return self._from_keyring(ring.guard_id)
            case _:
                assert ring.stretch is not None, "a passphrase is stretched"
                return envelope.stretched(self._ask("passphrase of your secrets"), ring.stretch)

    def _new_guarding(self, ring: KeyRing) -> bytes:
        if ring.guard == "passphrase":
            assert ring.stretch is not None, "a passphrase is stretched"
            said = self._ask("new passphrase for your secrets")
            if said != self._ask("the same again"):
                raise BadInput("the two passphrases differ; nothing was changed")
            return envelope.stretched(said, ring.stretch)
        key = envelope.new_key()
        text = base64.b64encode(key).decode()
        if ring.guard == "keyring":
            keyring = _keyring()
            keyring.set_password(_SERVICE, ring.guard_id, text)
        else:
            lines = [
                f"# rhdesk: opens your secrets; keep a copy elsewhere\n{ring.guard_id} {text}\n"
            ]
            before = self._key_file.read_text() if self._key_file.exists() else ""
            _put(self._key_file, (before + lines[0]).encode())
        return key

    def _from_file(self, guard_id: str) -> bytes:
        try:
            lines = self._key_file.read_text("ascii").splitlines()
        except OSError as exc:
            raise NotFound(
                str(self._key_file), kind=f"key file that opens the secrets ({exc.strerror})"
            ) from exc
        for line in lines:
            name, _, text = line.partition(" ")
            if name == guard_id:
                return _key_of(text, str(self._key_file))
        raise Refused(f"{self._key_file} is of other secrets: it has no key {guard_id}")

    def _from_keyring(self, guard_id: str) -> bytes:
        text = _keyring().get_password(_SERVICE, guard_id)
        if text is None:
            raise NotFound(guard_id, kind="key of rhdesk in the system's keyring")
        return _key_of(text, "the system's keyring")

    def _forget(self, ring: KeyRing) -> None:
        """Drop what guarded the keys before, once something else does."""
        if ring.guard == "keyring":
            _keyring().delete_password(_SERVICE, ring.guard_id)
        elif ring.guard == "file":
            lines = self._key_file.read_text("ascii").splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith(f"{ring.guard_id} ")]
            if any(not line.startswith("#") for line in kept):
                _put(self._key_file, "".join(kept).encode())
                return
            try:
                self._key_file.unlink()
            except OSError as exc:
                raise StoreUnwritable(
                    f"{self._key_file} opens nothing any more, and cannot be removed: "
                    f"{exc.strerror}; remove it yourself"
                ) from exc

    def _ask(self, what: str) -> str:
        said = self._passphrase(what)
        if not said:
            raise Refused(
                "the secrets are locked, and nobody is here to give the passphrase; a program finds "
                "it in the file that RHDESK_PASSPHRASE_FILE names"
            )
        return said


def _about(ring: KeyRing, key_id: str) -> bytes:
    return f"rhdesk root key {ring.guard_id} {key_id}".encode()


def _key_of(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != envelope.KEY_BYTES:
        raise Refused(f"what {where} holds is no key of rhdesk")
    return key


def _keyring() -> Any:
    """The system's keyring, if it has one that keeps anything safe.

    Raises:
        SetupFailed: It has none, or the package is not installed.
    """
    try:
        import keyring  # deferred: most desks use a key file
    except ImportError:
        raise SetupFailed("the keyring needs a package: pip install keyring") from None
    backend = type(keyring.get_keyring()).__module__
    if backend.rpartition(".")[2] in {"fail", "null"} or "PlaintextKeyring" in repr(
        keyring.get_keyring()
    ):
        raise SetupFailed(
            "this system has no keyring that keeps anything safe; "
            "use a key file or a passphrase: rhdesk secret guard passphrase"
        )
    return keyring


def _put(file: Path, data: bytes) -> None:
    try:
        whole_file.write(file, [data], durable=True)
    except OSError as exc:
        raise StoreUnwritable(f"{file} cannot be written: {exc.strerror}") from exc
