"""Key pairs of SSH, and the pair SkyPilot makes for itself.

A key that is there is never written over: whoever lost it could not have it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from rhdesk.secrets.providers.place import Place


class Ssh:
    """Every pair in ``~/.ssh``: two fields each, ``id_ed25519`` and ``id_ed25519.pub``."""

    name: ClassVar[str] = "ssh"
    fields: ClassVar[tuple[str, ...]] = ("id_ed25519", "id_ed25519.pub")
    variables: ClassVar[Mapping[str, str]] = {}
    pointing: ClassVar[Mapping[str, str]] = {}

    def places(self, place: Place) -> list[Path]:
        return [place.home / ".ssh"]

    def read(self, place: Place) -> dict[str, str]:
        (folder,) = self.places(place)
        found: dict[str, str] = {}
        there = place.names(folder)
        for public in there:
            private = public.removesuffix(".pub")
            if private != public and self.is_ours(private) and private in there:
                found[private] = place.text(folder / private)
                found[public] = place.text(folder / public)
        return found

    def write(self, values: Mapping[str, str], place: Place) -> list[Path]:
        (folder,) = self.places(place)
        there = place.names(folder)
        for name, text in values.items():
            if "/" in name or name.startswith(".") or not self.is_ours(name.removesuffix(".pub")):
                raise ValueError(f"{name!r} is no name for a key of {self.name}")
            if name in there and place.text(folder / name) != text:
                raise ValueError(f"{folder / name} is another key; move it away first")
        return [
            place.put(folder / name, text) for name, text in values.items() if name not in there
        ]

    def is_ours(self, key: str) -> bool:
        return not key.startswith("sky-key")


class Sky(Ssh):
    """``~/.ssh/sky-key`` and its public half."""

    name: ClassVar[str] = "sky"
    fields: ClassVar[tuple[str, ...]] = ("sky-key", "sky-key.pub")

    def is_ours(self, key: str) -> bool:
        return key == "sky-key"
