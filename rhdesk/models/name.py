"""Resource names: grammar only, no look-ups.

    x                    in the current folder
    ~/x                  in the working git repository
    @/x                  in your default folder of the remote store
    /owner/group/.../x   in the remote store
    ^x                   shipped with rhdesk
    ./x                  in the current folder, said aloud
    x@version            at a version: the first 4 or more characters of its hash
    x@{2026-10-01}       as it was at that time (UTC)

The spellings are those of Runhouse v0.0.12; versions and dates are ours.
"""

from __future__ import annotations

import re
from typing import Final, Self

import msgspec

from rhdesk.errors import BadName

_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9_.\-]*"
_NAME: Final = re.compile(
    rf"(?P<root>~/|@/|/|\^|\./|)(?P<path>{_PART}(?:/{_PART})*)"
    r"(?:@(?P<version>[0-9a-f]{4,64}|\{[^{}]+\}))?"
)
_HINT: Final = "names look like train, ~/train, /owner/group/train or ~/train@1a2b3c"


class Name(msgspec.Struct, frozen=True, order=True):
    """A parsed name.

    Attributes:
        root: ``~``, ``@``, ``/``, ``^`` or, for the current folder, the empty string.
        parts: The folders and, last, the leaf.
        version: A hash prefix, a ``{date}``, or the empty string for the newest.
    """

    root: str
    parts: tuple[str, ...]
    version: str = ""

    @classmethod
    def parse(cls, text: str, *, folder: str = "~") -> Self:
        """Read a name; one without a root belongs to *folder*.

        Raises:
            BadName: *text* does not spell a name.
        """
        match = _NAME.fullmatch(text)
        if match is None or any(part in {".", ".."} for part in match["path"].split("/")):
            raise BadName(f"{text!r} is not a name; {_HINT}")
        parts = tuple(match["path"].split("/"))
        version = match["version"] or ""
        root = match["root"].rstrip("/") or ("/" if match["root"] == "/" else "")
        if root in {"", "."}:
            here = folder.rstrip("/")
            if here in {"~", "@", "^", ""}:
                return cls(here or "~", parts, version)
            base = cls.parse(here)
            return cls(base.root, base.parts + parts, version)
        return cls(root, parts, version)

    @property
    def leaf(self) -> str:
        return self.parts[-1]

    @property
    def is_local(self) -> bool:
        """Kept in the working git repository or shipped with rhdesk; needs no network."""
        return self.root in {"~", "^"}

    @property
    def without_version(self) -> Self:
        return self if not self.version else type(self)(self.root, self.parts)

    def __str__(self) -> str:
        joint = "" if self.root in {"/", "^"} else "/"
        at = f"@{self.version}" if self.version else ""
        return f"{self.root}{joint}{'/'.join(self.parts)}{at}"
