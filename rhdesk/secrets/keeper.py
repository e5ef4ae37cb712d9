"""What keeps secrets: the port behind which a sealed folder, a Vault and others stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from rhdesk.errors import BadInput
from rhdesk.models import Finding, Secret, SecretText, Values

LONGEST_NAME = 200
LARGEST = 1 << 20


class SecretKeeper(Protocol):
    """Blocking. What is put is durable when `put` returns, and a version is never changed."""

    @property
    def name(self) -> str:
        """``sealed``, ``vault``."""
        ...

    def put(
        self, name: str, values: Mapping[str, SecretText], *, provider: str = "", expect: int = -1
    ) -> Secret:
        """Save a new version.

        Args:
            expect: The version it is to follow, 0 for none; -1 is whichever there is.

        Raises:
            AlreadyExists: Another version is there than was expected.
            BadInput: The name or a field's is none, or the values are more than 1 MiB.
            Refused: The keeper is locked, or does not allow it.
            ConnectionFailed: It is not here, and cannot be reached.
        """
        ...

    def read(self, name: str, *, version: int = 0) -> Values:
        """The values of a version; 0 is the newest.

        Raises:
            NotFound: No such secret, or no such version.
            Refused, ConnectionFailed: As `put`.
        """
        ...

    def all(self) -> list[Secret]:
        """Every secret, by name; no value is opened for it."""
        ...

    def history(self, name: str) -> list[Secret]:
        """Its versions, newest first."""
        ...

    def delete(self, name: str) -> None:
        """Remove a secret with all its versions."""
        ...

    def rename(self, old: str, new: str) -> Secret:
        """Give a secret another name; its versions go with it.

        Raises:
            AlreadyExists: The new name is taken.
        """
        ...

    def examine(self) -> list[Finding]:
        """Open every version and say which do not."""
        ...


def check(name: str, values: Mapping[str, SecretText] | None = None) -> None:
    """See that a secret may have this name and hold these fields.

    Raises:
        BadInput: It may not. The message holds no value.
    """
    parts = name.split("/")
    if (
        not name.isprintable()
        or name != name.strip()
        or not 0 < len(name) <= LONGEST_NAME
        or any(part in {"", ".", ".."} or part.startswith(".") for part in parts)
        or name == "keys"
    ):
        raise BadInput(f"{name!r} is no name for a secret; names look like openai or team/aws")
    if values is None:
        return
    if not values or any(not field or not field.isprintable() for field in values):
        raise BadInput(f"{name} needs at least one field with a name, like api_key")
    if sum(len(value.reveal()) for value in values.values()) > LARGEST:
        raise BadInput(f"{name} is larger than 1 MiB; that is data, not a secret")
