"""What every keeper promises, tried on one that is used: under a name of its own, removed after."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress

from rhdesk.errors import AlreadyExists, NotFound, RhdeskError
from rhdesk.models import Check, SecretText, Values
from rhdesk.secrets.keeper import SecretKeeper


def verify(keeper: SecretKeeper) -> list[Check]:
    """Try each promise; what is broken is in the checks, nothing is raised for it."""
    name = f"rhdesk-verify/{secrets.token_hex(6)}"
    moved = f"{name}-moved"
    trial = _Trial(keeper, name)
    checks: list[Check] = []
    promises: list[tuple[str, Callable[[], str]]] = [
        ("a secret that is put is read again", trial.is_read),
        ("a put is a version, and old ones stay", trial.is_versioned),
        ("of two who put at once, one is told", trial.is_checked),
        ("values are any text", trial.is_any_text),
        ("it is listed without a value", trial.is_listed),
        ("it is renamed with its versions", lambda: trial.is_renamed(moved)),
        ("what is deleted is gone", lambda: trial.is_deleted(moved)),
    ]
    try:
        for what, tried in promises:
            try:
                broken = tried()
            except RhdeskError as exc:
                broken = str(exc)
            checks.append(Check(what=what, ok=not broken, evidence=broken or "so it was"))
    finally:
        for each in (name, moved):
            with suppress(RhdeskError):
                keeper.delete(each)
    return checks


class _Trial:
    """Each promise as a question; the answer is what is broken, empty for nothing."""

    def __init__(self, keeper: SecretKeeper, name: str) -> None:
        self._keeper = keeper
        self._name = name

    def is_read(self) -> str:
        given = _values(a="1", b="2")
        seen = self._keeper.put(self._name, given, provider="aws", expect=0)
        if (seen.version, seen.provider, set(seen.fields)) != (1, "aws", {"a", "b"}):
            return f"it came back as version {seen.version} of {seen.provider or 'nobody'}"
        return "" if self._keeper.read(self._name) == given else "another value came back"

    def is_versioned(self) -> str:
        self._keeper.put(self._name, _values(a="3"))
        old = self._keeper.read(self._name, version=1) == _values(a="1", b="2")
        new = self._keeper.read(self._name) == _values(a="3")
        numbers = [seen.version for seen in self._keeper.history(self._name)]
        return "" if old and new and numbers == [2, 1] else f"versions are {numbers}"

    def is_checked(self) -> str:
        try:
            self._keeper.put(self._name, _values(a="late"), expect=1)
        except AlreadyExists:
            return ""
        return "a put that expected an older version was taken"

    def is_any_text(self) -> str:
        given = _values(a="line\n\x1b[31m ünï 🔑 \"'\\", empty="", long="x" * 100_000)
        self._keeper.put(self._name, given)
        return "" if self._keeper.read(self._name) == given else "another text came back"

    def is_listed(self) -> str:
        found = [seen for seen in self._keeper.all() if seen.name == self._name]
        return "" if len(found) == 1 else f"it is listed {len(found)} times"

    def is_renamed(self, moved: str) -> str:
        self._keeper.rename(self._name, moved)
        if self._keeper.read(moved, version=1) != _values(a="1", b="2"):
            return "its first version did not come along"
        return "" if _is_gone(self._keeper, self._name) else "the old name is still there"

    def is_deleted(self, moved: str) -> str:
        self._keeper.delete(moved)
        return "" if _is_gone(self._keeper, moved) else "it is still read"


def _values(**fields: str) -> Values:
    return {field: SecretText(text) for field, text in fields.items()}


def _is_gone(keeper: SecretKeeper, name: str) -> bool:
    try:
        keeper.read(name)
    except NotFound:
        return True
    return False
