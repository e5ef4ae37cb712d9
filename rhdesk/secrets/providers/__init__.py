"""Whose credentials are understood, each read and written in its own format and place."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Final

from rhdesk.errors import BadInput, NotFound
from rhdesk.models import Provider
from rhdesk.secrets.providers.documents import Docker, Gcp, GitHub, Kubeconfig
from rhdesk.secrets.providers.ini import Aws, Azure, Lambda
from rhdesk.secrets.providers.place import Credentials, Packed, Place
from rhdesk.secrets.providers.ssh import Sky, Ssh
from rhdesk.secrets.providers.tokens import Anthropic, HuggingFace, OpenAi, Wandb

_ALL: Final[tuple[Credentials, ...]] = (
    Aws(),
    Gcp(),
    Azure(),
    HuggingFace(),
    GitHub(),
    Lambda(),
    Sky(),
    Ssh(),
    OpenAi(),
    Anthropic(),
    Wandb(),
    Docker(),
    Kubeconfig(),
)
NAMES: Final = tuple(each.name for each in _ALL)


def provider(name: str) -> Credentials:
    """A provider by name.

    Raises:
        NotFound: It is not known; what is nobody's is put under a name of one's own.
    """
    for each in _ALL:
        if each.name == name:
            return each
    raise NotFound(name, kind="provider", near=get_close_matches(name, NAMES, 3))


def has_files(name: str) -> bool:
    """Whether credentials of *name* can be written somewhere; not those of nobody."""
    place = Packed(Path("/"), {}, {})
    return any(each.name == name and each.places(place) for each in _ALL)


def read(name: str, place: Place, *, from_env: bool = False) -> dict[str, str]:
    """A provider's credentials on this machine: its files, or its variables.

    Args:
        from_env: The variables only.

    Raises:
        NotFound: There are none; the message names every place that was looked at.
        BadInput: What is there cannot be understood.
    """
    known = provider(name)
    try:
        found = {} if from_env else known.read(place)
    except ValueError as exc:
        raise BadInput(str(exc)) from exc
    found = found or place.variables(known.variables)
    if not found:
        looked = [] if from_env else [str(file) for file in known.places(place)]
        raise NotFound(name, kind=f"credential ({', '.join([*looked, *known.variables])})")
    return found


def seen(place: Place) -> list[Provider]:
    """Every provider, and where its credentials are now."""
    return [_seen(each, place) for each in _ALL]


def _seen(known: Credentials, place: Place) -> Provider:
    places = known.places(place)
    found, flaw = "", ""
    try:
        if known.read(place):
            found = str(places[0])
    except (ValueError, OSError) as exc:
        flaw = str(exc)
    if not found and (said := place.variables(known.variables)):
        found = next(name for name, field in known.variables.items() if field in said)
    return Provider(
        name=known.name,
        fields=known.fields,
        places=tuple(str(file) for file in places),
        variables=tuple(known.variables),
        found=found,
        flaw=flaw,
    )
