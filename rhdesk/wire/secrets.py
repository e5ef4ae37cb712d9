"""Secrets on their way into an environment, and how they lie there for as long as it lasts."""

from __future__ import annotations

from typing import Final

import msgspec

FOLDER: Final = "RHDESK_SECRETS"
"""Variable with the folder they are in, on the cluster."""
KEPT: Final = ".kept"
"""The file there with all that was delivered."""


class Delivered(msgspec.Struct, frozen=True, array_like=True):
    """What an environment is given; it cannot be printed."""

    files: dict[str, str] = {}
    """What is in each file, by path below the folder."""
    pointing: dict[str, str] = {}
    """Variables that lead to them: paths below the folder."""
    variables: dict[str, str] = {}
    """Values that their providers read from the environment and from nowhere else."""
    values: dict[str, str] = {}
    """Every value, by the name that is printed instead."""

    def __repr__(self) -> str:
        return "Delivered(***)"
