"""Which Python of a host is used, and why not another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from rhdesk.errors import SetupFailed

OLDEST: Final = (3, 11)
"""Of what runs on the far side."""
NEWEST: Final = (3, 14)
"""The newest that Ray has wheels for."""

NAMES: Final = tuple(f"python3.{minor}" for minor in range(14, 5, -1))
PLACES: Final = (
    "/usr/bin/python3*",
    "/usr/local/bin/python3*",
    "/opt/*/bin/python3",
    "$HOME/.pyenv/versions/*/bin/python3",
    "$HOME/miniconda3/bin/python3",
    "$HOME/anaconda3/bin/python3",
    "$HOME/miniforge3/bin/python3",
    "$HOME/.local/bin/python3*",
    "$HOME/.local/share/uv/python/*/bin/python3",
)
ASKED: Final = """
import sys, struct, platform
lacks = []
for name in ("ssl", "sqlite3", "ctypes", "zlib"):
    try:
        __import__(name)
    except Exception:
        lacks.append(name)
said = (".".join(map(str, sys.version_info[:3])), platform.python_implementation(),
        str(struct.calcsize("P") * 8), platform.libc_ver()[0] or "-", ",".join(lacks),
        sys.executable)
print("|".join(said))
"""
"""Asked of each: version, implementation, bits, C library, modules that are missing,
and the program itself."""


class Python(msgspec.Struct, frozen=True, kw_only=True):
    """A Python that was seen on a host."""

    path: str
    version: tuple[int, int, int] = (0, 0, 0)
    refused: str = ""
    """Why it is not used; empty for one that could be."""

    @property
    def minor(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def judged(path: str, said: str) -> Python:
    """What a Python answered to `ASKED`, and what follows."""
    parts = said.strip().split("|")
    if len(parts) != 6:
        return Python(path=path, refused=f"it does not run: {said.strip()[:80] or 'no answer'}")
    numbers = tuple(int(word) for word in parts[0].split("."))
    version = (numbers[0], numbers[1], numbers[2])
    name = ".".join(map(str, version))
    wanted = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    lacks = [module for module in parts[4].split(",") if module]
    if version[:2] < OLDEST:
        why = f"{name} is too old: {wanted} will do"
    elif version[:2] > NEWEST:
        why = f"{name} is newer than Ray has packages for: {wanted} will do"
    elif parts[1] != "CPython":
        why = f"it is {parts[1]}: Ray has packages for CPython only"
    elif parts[2] != "64":
        why = "it is a 32-bit Python: Ray has packages for 64 bits only"
    elif parts[3] not in {"glibc", "-"}:
        why = f"its C library is {parts[3]}: Ray has packages for glibc only"
    elif lacks:
        why = f"it lacks {', '.join(lacks)}"
    else:
        why = ""
    # Itself, not what led to it: a shim takes a second to find it each time.
    return Python(path=parts[5] or path, version=version, refused=why)


def chosen(seen: Sequence[Python], *, host: str, like: tuple[int, int]) -> Python:
    """The one to use: of this desk's own minor version, else the newest.

    Raises:
        SetupFailed: There is none; the message says which were seen and why each was refused.
    """
    good = [python for python in seen if not python.refused]
    if not good:
        told = "; ".join(f"{python.path}: {python.refused}" for python in seen)
        raise SetupFailed(
            f"{host} has no Python that can be used ({told or 'none was found'}). Install "
            f"Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} there, "
            "or say where one is: rhdesk up HOST --python PATH"
        )
    return max(good, key=lambda python: (python.version[:2] == like, python.version))
