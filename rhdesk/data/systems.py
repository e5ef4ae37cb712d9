"""Which filesystem stands behind the name of a system."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

import fsspec
from fsspec.registry import known_implementations

from rhdesk.errors import BadInput, NotFound, SetupFailed
from rhdesk.models import Location

HERE: Final = "here"
_SPELLED: Final = {"file": HERE, "local": HERE, "gcs": "gs", "az": "azure", "abfs": "azure"}
"""Other words for a system; ``file`` is what v0.0.12 calls this machine."""
_PROTOCOLS: Final = {HERE: "file", "azure": "abfs"}
_PACKAGES: Final = {"s3": "rhdesk[s3]", "gs": "gcsfs", "azure": "adlfs", "github": "requests"}
_BY_HOST: Final = frozenset({"sftp", "ssh", "scp"})
"""These name no system of their own: the host does, and is reached as clusters are."""
_SYSTEM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]*")


def parse(text: str, system: str = "") -> Location:
    """Read ``gpubox:data``, ``s3://bucket/key``, ``sftp://host/path`` or a path of this machine.

    Args:
        system: Where *text* is, if it does not say so itself.

    Raises:
        BadInput: It names no place, or says another system than *system*.
    """
    if not text or "\0" in text:
        raise BadInput(f"{text!r} is no place; places look like data/x, gpubox:x or s3://bucket/x")
    head, colon, path = text.partition(":")
    if not colon or not _SYSTEM.fullmatch(head):
        return _located(system or HERE, text)
    if path.startswith("//"):
        path = path[2:]
        if head in _BY_HOST:
            head, _, rest = path.partition("/")
            path = f"/{rest}"
            if not _SYSTEM.fullmatch(head):
                raise BadInput(f"{text!r} names no host; one that does: sftp://gpubox/data")
    if system and _spelled(system) != _spelled(head):
        raise BadInput(f"{text!r} is on {head}, not on {system}; say one of the two")
    return _located(head, path)


def is_of_host(system: str) -> bool:
    """Whether a system can only be a cluster or a host: fsspec knows no such protocol."""
    return _PROTOCOLS.get(system, system) not in known_implementations


def filesystem(system: str, *, clusters: Iterable[str] = (), **options: Any) -> Any:
    """The fsspec filesystem of a system that is no cluster.

    Args:
        clusters: Names to offer where *system* is none.
        options: For the filesystem, such as credentials; kept by nobody but it.

    Raises:
        NotFound: There is no such system; `near` holds the closest.
        SetupFailed: What speaks to it is not installed; the message says which package is.
    """
    system = _spelled(system)
    protocol = _PROTOCOLS.get(system, system)
    if protocol not in known_implementations:
        names = {*clusters, HERE, "azure", *known_implementations}
        raise NotFound(system, kind="system", near=get_close_matches(system, names, 3))
    if system == "s3":
        # What is signed for a host must hold for its headers too, which version 2 does not.
        options = {"config_kwargs": {"signature_version": "s3v4"}} | options
    try:
        # What others change must be seen, so no listing is kept.
        return fsspec.filesystem(protocol, use_listings_cache=False, **options)
    except ImportError as exc:
        package = _PACKAGES.get(system) or f"what fsspec needs for {system}"
        hint = f'pip install "{package}"' if system in _PACKAGES else str(exc)
        raise SetupFailed(f"{system} cannot be spoken to: {package} is missing; {hint}") from exc
    except (TypeError, ValueError) as exc:
        raise BadInput(f"{system} cannot be opened like this: {exc}") from exc


def _located(system: str, path: str) -> Location:
    system = _spelled(system)
    if system == HERE:
        # Whole, so that it means the same wherever the desk works; a folder may be asked for as one.
        path = os.path.abspath(os.path.expanduser(path)) + ("/" if path.endswith("/") else "")
    return Location(system, path)


def _spelled(system: str) -> str:
    return _SPELLED.get(system, system)
