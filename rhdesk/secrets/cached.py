"""A keeper that is elsewhere, and what was read of it: usable while it is away, for a while.

What was read is kept sealed on this machine with the time it was read. When the keeper does not
answer, that is what is read, until it is too old; then the secret is locked until the keeper is back.
Writes wait for nothing: they need the keeper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from rhdesk.errors import ConnectionFailed, NotFound, Refused
from rhdesk.models import Finding, Secret, SecretText, Values
from rhdesk.secrets.keeper import SecretKeeper

_READ_AT: Final = "read at"
_KEPT: Final = "kept"


class CachedKeeper:
    """A `SecretKeeper` over one that is elsewhere.

    Args:
        elsewhere: The keeper itself.
        here: A sealed keeper of this machine, used for nothing else.
        hours: How old what was read may be and still be used; 0 keeps nothing.
    """

    def __init__(
        self,
        elsewhere: SecretKeeper,
        here: SecretKeeper,
        *,
        hours: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._elsewhere = elsewhere
        self._here = here
        self._hours = hours
        self._now = now

    @property
    def name(self) -> str:
        return self._elsewhere.name

    def put(
        self, name: str, values: Mapping[str, SecretText], *, provider: str = "", expect: int = -1
    ) -> Secret:
        seen = self._elsewhere.put(name, values, provider=provider, expect=expect)
        self._remember(name, seen.version, dict(values), seen)
        return seen

    def read(self, name: str, *, version: int = 0) -> Values:
        try:
            values = self._elsewhere.read(name, version=version)
        except ConnectionFailed as exc:
            return self._recall(name, version, exc)
        except (NotFound, Refused):
            # Whoever lost the right to it, or deleted it, keeps no copy here either.
            self._forget(name)
            raise
        self._remember(name, version, values)
        return values

    def all(self) -> list[Secret]:
        try:
            return self._elsewhere.all()
        except ConnectionFailed:
            known = [self._seen(kept.name) for kept in self._here.all()]
            found = sorted((each for each in known if each), key=lambda each: each.name)
            if not found:
                raise
            return found

    def history(self, name: str) -> list[Secret]:
        return self._elsewhere.history(name)

    def delete(self, name: str) -> None:
        self._elsewhere.delete(name)
        self._forget(name)

    def rename(self, old: str, new: str) -> Secret:
        seen = self._elsewhere.rename(old, new)
        self._forget(old)
        return seen

    def examine(self) -> list[Finding]:
        return self._elsewhere.examine()

    # ---- what was read

    def _remember(
        self, name: str, version: int, values: Values, seen: Secret | None = None
    ) -> None:
        """Keep the newest version, with when it was read."""
        if not self._hours or version not in (0, seen.version if seen else 0):
            return
        about: Values = {_READ_AT: SecretText(self._now().isoformat())}
        if seen is None and (before := self._seen(name)) is not None:
            seen = before
        if seen is not None:
            about[_KEPT] = SecretText(msgspec.json.encode(seen).decode())
        with suppress(NotFound):
            self._here.delete(name)  # an old version of it is of no use to anybody
        self._here.put(name, about | {f"={field}": value for field, value in values.items()})

    def _recall(self, name: str, version: int, why: ConnectionFailed) -> Values:
        try:
            held = self._here.read(name)
        except NotFound:
            raise why from None
        kept = self._seen(name)
        age = self._now() - datetime.fromisoformat(held[_READ_AT].reveal())
        if version and (kept is None or kept.version != version):
            raise why
        if not timedelta(0) <= age <= timedelta(hours=self._hours):
            raise ConnectionFailed(
                f"{name} was read {age.total_seconds() / 3600:.0f} h ago, and may be used for "
                f"{self._hours:g} h without its keeper; {why}"
            ) from why
        return {field[1:]: value for field, value in held.items() if field.startswith("=")}

    def _seen(self, name: str) -> Secret | None:
        with suppress(NotFound):
            if (text := self._here.read(name).get(_KEPT)) is not None:
                return msgspec.json.decode(text.reveal(), type=Secret)
            kept = self._here.history(name)[0]
            fields = tuple(field[1:] for field in kept.fields if field.startswith("="))
            return msgspec.structs.replace(kept, version=0, fields=fields, keeper=self.name)
        return None

    def _forget(self, name: str) -> None:
        with suppress(NotFound):
            self._here.delete(name)
