"""HashiCorp Vault or OpenBao as keeper: KV version 2, check-and-set always on. hvac, named here alone.

A secret's fields are the fields in Vault, so other tools read them; whose credentials it is and what
its fields are called is in the secret's own metadata there. Vault numbers the versions.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

import hvac
import hvac.exceptions
import requests

from rhdesk.errors import (
    AlreadyExists,
    BadInput,
    ConnectionFailed,
    DamagedStore,
    NotFound,
    Refused,
    RhdeskError,
)
from rhdesk.foreign import clean
from rhdesk.models import Finding, Secret, SecretText, Values
from rhdesk.secrets.choice import VaultPlace
from rhdesk.secrets.keeper import check

_DEPTH: Final = 16
"""Folders below each other that are listed."""
_SOON_S: Final = 60
"""A token that is good for less than this is renewed before it is used."""
_LOOK_S: Final = 300
"""So often a token without an end is looked at."""


class VaultKeeper:
    """Secrets in a Vault. Blocking; one thread at a time.

    Args:
        credential: The token; or with a role id, AppRole's secret id.
        timeout_s: Seconds to wait for an answer.
    """

    def __init__(self, place: VaultPlace, credential: SecretText, *, timeout_s: float) -> None:
        if not place.address.startswith("https://") and not _is_loopback(place.address):
            raise BadInput(
                f"{place.address} would carry the token in the clear; give an https:// address"
            )
        self.name = "vault"
        self._place = place
        self._credential = credential
        self._client: Any = hvac.Client(
            url=place.address,
            namespace=place.namespace or None,
            timeout=max(1, round(timeout_s)),
            verify=place.ca_file or True,
            allow_redirects=False,
        )
        self._good_until = 0.0
        """On the monotonic clock; when the token has to be looked at again."""

    def put(
        self, name: str, values: Mapping[str, SecretText], *, provider: str = "", expect: int = -1
    ) -> Secret:
        check(name, values)
        if expect < 0:
            expect = self._version(name)
        revealed = {field: value.reveal() for field, value in values.items()}
        about = {"provider": provider, "fields": _spelled(tuple(values))}
        with self._speaking(name) as kv:
            try:
                kv.create_or_update_secret(
                    self._path(name), revealed, cas=expect, mount_point=self._place.mount
                )
            except hvac.exceptions.InvalidRequest as exc:
                if "check-and-set" not in str(exc):
                    raise
                raise AlreadyExists(
                    f"{name} is not at version {expect} any more; look at it, then put again"
                ) from exc
            kv.update_metadata(
                self._path(name), custom_metadata=about, mount_point=self._place.mount
            )
        return self._seen(name)

    def read(self, name: str, *, version: int = 0) -> Values:
        with self._speaking(name) as kv:
            answer = kv.read_secret_version(
                self._path(name),
                version=version or None,
                mount_point=self._place.mount,
                raise_on_deleted_version=True,
            )
            found = answer["data"]["data"]
        return {field: SecretText(str(value)) for field, value in found.items()}

    def all(self) -> list[Secret]:
        return [self._seen(name) for name in sorted(self._names())]

    def history(self, name: str) -> list[Secret]:
        metadata = self._metadata(name)
        versions = sorted((int(number) for number in metadata["versions"]), reverse=True)
        return [_secret(name, metadata, version) for version in versions]

    def delete(self, name: str) -> None:
        self._metadata(name)
        with self._speaking(name) as kv:
            kv.delete_metadata_and_all_versions(self._path(name), mount_point=self._place.mount)

    def rename(self, old: str, new: str) -> Secret:
        """Vault cannot rename: every version is written anew, then the old name goes."""
        check(new)
        if self._version(new):
            raise AlreadyExists(f"a secret is called {new} already; choose another name")
        for seen in reversed(self.history(old)):
            values = self.read(old, version=seen.version)
            self.put(new, values, provider=seen.provider)
        self.delete(old)
        return self._seen(new)

    def examine(self) -> list[Finding]:
        found: list[Finding] = []
        for secret in self.all():
            try:
                self.read(secret.name)
            except RhdeskError as exc:
                found.append(Finding(store="secrets", what=f"{secret.name}: {exc}"))
        return found

    # ---- speaking to it

    def _path(self, name: str) -> str:
        return f"{self._place.folder}/{name}" if self._place.folder else name

    def _names(self) -> list[str]:
        found: list[str] = []
        waiting = [("", 0)]
        while waiting:
            folder, depth = waiting.pop()
            try:
                with self._speaking(folder) as kv:
                    answer = kv.list_secrets(self._path(folder), mount_point=self._place.mount)
                    keys = [str(key) for key in answer["data"]["keys"]]
            except NotFound:
                continue  # an empty folder is none
            for key in keys:
                if key.endswith("/") and depth < _DEPTH:
                    waiting.append((folder + key, depth + 1))
                elif not key.endswith("/"):
                    found.append(folder + key)
        return found

    def _metadata(self, name: str) -> dict[str, Any]:
        try:
            with self._speaking(name) as kv:
                answer = kv.read_secret_metadata(self._path(name), mount_point=self._place.mount)
                found: dict[str, Any] = answer["data"]
                return found
        except NotFound:
            near = get_close_matches(name, self._names(), 3)
            raise NotFound(name, kind="secret", near=near) from None
        raise AssertionError("unreachable")

    def _version(self, name: str) -> int:
        """The newest version there is, 0 for none."""
        try:
            return int(self._metadata(name)["current_version"])
        except NotFound:
            return 0

    def _seen(self, name: str) -> Secret:
        metadata = self._metadata(name)
        return _secret(name, metadata, int(metadata["current_version"]))

    @contextmanager
    def _speaking(self, name: str) -> Generator[Any]:
        """Logged in; hvac's and requests' errors end here, and no value is in a message."""
        where = f"the Vault at {self._place.address}"
        try:
            self._log_in()
            yield self._client.secrets.kv.v2
        except hvac.exceptions.InvalidPath as exc:
            raise NotFound(name, kind="secret") from exc
        except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized) as exc:
            self._good_until = 0.0
            if self._place.role_id:
                self._client.token = None
            raise Refused(
                f"{where} does not allow {name or 'this'}: {_said(exc)}; "
                "its token may have ended: rhdesk secret keeper vault"
            ) from exc
        except hvac.exceptions.VaultDown as exc:
            raise ConnectionFailed(f"{where} is sealed or not serving: {_said(exc)}") from exc
        except hvac.exceptions.InvalidRequest as exc:
            raise BadInput(f"{where} refused {name}: {_said(exc)}") from exc
        except hvac.exceptions.VaultError as exc:
            raise ConnectionFailed(f"{where} failed: {_said(exc)}") from exc
        except requests.RequestException as exc:
            kind = type(exc).__name__
            raise ConnectionFailed(f"{where} cannot be reached ({kind})") from exc
        except (KeyError, TypeError, ValueError) as exc:
            raise DamagedStore(f"{where} answered what is no answer of a Vault") from exc

    def _log_in(self) -> None:
        """Have a token that is good for a while yet: renewed while it can be, then had anew."""
        if time.monotonic() < self._good_until:
            return
        if not self._client.token:
            self._authenticate()
        told = self._client.auth.token.lookup_self()["data"]
        left_s = int(told.get("ttl") or 0)
        if left_s and left_s <= _SOON_S and told.get("renewable"):
            left_s = int(self._client.auth.token.renew_self()["auth"]["lease_duration"])
        if left_s and left_s <= _SOON_S and self._place.role_id:
            self._authenticate()
        # A token without an end says 0.
        self._good_until = time.monotonic() + (max(1, left_s - _SOON_S) if left_s else _LOOK_S)

    def _authenticate(self) -> None:
        if self._place.role_id:
            self._client.auth.approle.login(self._place.role_id, self._credential.reveal())
        else:
            self._client.token = self._credential.reveal()


def _secret(name: str, metadata: Mapping[str, Any], version: int) -> Secret:
    about = metadata.get("custom_metadata") or {}
    kept = metadata["versions"]
    return Secret(
        name=clean(name),
        version=version,
        fields=tuple(clean(field) for field in _fields(about.get("fields", ""))),
        provider=clean(str(about.get("provider", ""))),
        saved_at=datetime.fromisoformat(kept[str(version)]["created_time"]),
        keeper="vault",
        versions=len(kept),
    )


def _spelled(fields: tuple[str, ...]) -> str:
    """Names of fields as one text; Vault allows 512 bytes of it."""
    text = ",".join(fields)
    return text if len(text.encode()) <= 512 else f"{len(fields)} fields"


def _fields(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _said(error: Exception) -> str:
    """What Vault itself said: its errors, never what was sent."""
    errors = getattr(error, "errors", None)
    text = "; ".join(map(str, errors)) if isinstance(errors, list) and errors else ""
    return clean(text)[:200] or type(error).__name__


def _is_loopback(address: str) -> bool:
    host = address.removeprefix("http://").partition("/")[0].partition(":")[0]
    return host in {"localhost", "127.0.0.1"} or host.startswith("127.")
