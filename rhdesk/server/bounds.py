"""How much one write may hold, and what no database could keep."""

from __future__ import annotations

from datetime import UTC
from typing import Any, Final

from rhdesk.errors import BadInput
from rhdesk.models import Name
from rhdesk.wire.store import Put

_DEEPEST: Final = 32
_MOST_MEMBERS: Final = 4096
_LONGEST: Final = {"note": 4096, "run_id": 128}


def refuse_monstrous(put: Put) -> None:
    """See that *put* is a write any database keeps as it is.

    Raises:
        BadInput: It is larger than a record ever is, or holds what cannot be written down.
    """
    _measure(put.body)
    for field, longest in _LONGEST.items():
        text = getattr(put, field)
        if len(text) > longest or "\0" in text:
            raise BadInput(
                f"the {field} is text of at most {longest} characters, none of them NUL"
            )
    if put.saved_at is not None:
        try:
            put.saved_at.astimezone(UTC)
        except OverflowError:
            raise BadInput("saved_at is no time that UTC has") from None


def read_folder(text: str) -> str:
    """A folder of the store, ``/`` being all of it.

    Raises:
        BadInput: It is none.
    """
    if text == "/":
        return text
    name = Name.parse(text)
    if name.root != "/" or name.version:
        raise BadInput(f"{text!r} is no folder of a store; one looks like /ada/models")
    return str(name)


def _measure(body: Any) -> None:
    members, level = 0, [body]
    for _ in range(_DEEPEST + 1):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                members += len(each)
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        level = [each for each in inner if isinstance(each, dict | list)]
        if members > _MOST_MEMBERS:
            raise BadInput(f"a config has at most {_MOST_MEMBERS} members")
        if not level:
            return
    raise BadInput(f"a config is nested at most {_DEEPEST} deep")
