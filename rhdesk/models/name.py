"""Resource names: grammar only, no look-ups.

    x                    in the current folder
    ~/x                  in the working git repository
    @/x                  in your default folder of the remote store
    /owner/group/.../x   in the remote store
    ^x                   shipped with rhdesk
    ./x                  in the current folder, said aloud
    x@version            at a version: the first 4 or more characters of its hash
    x@{2026-10-01}       as it was when that day ended (UTC)
    x@{2026-10-01T12:00} as it was at that time (UTC)

The spellings are those of Runhouse v0.0.12; versions and dates are ours.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Final, Self

import msgspec

from rhdesk.errors import BadName

_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}"
_DAY: Final = r"\d{4}-\d\d-\d\d"
_NAME: Final = re.compile(
    rf"(?P<root>~/|@/|/|\^|\./|)(?P<path>{_PART}(?:/{_PART})*)"
    rf"(?:@(?P<version>[0-9a-f]{{4,64}}|\{{{_DAY}(?:[T ]\d\d:\d\d(?::\d\d)?Z?)?\}}))?",
    re.ASCII,
)
_LONGEST: Final = 512
"""Characters of a whole name; what fits in any file system below any folder."""

_HINT: Final = "names look like train, ~/train, /owner/group/train or ~/train@1a2b3c"


class Name(msgspec.Struct, frozen=True, order=True):
    """A parsed name.

    Attributes:
        root: ``~``, ``@``, ``/`` or ``^``.
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
        if match is None:
            raise BadName(f"{_shown(text)} is not a name; {_HINT}")
        if len(text) > _LONGEST:
            raise BadName(f"{_shown(text)} is too long: a name has at most {_LONGEST} characters")
        parts = tuple(match["path"].split("/"))
        version = match["version"] or ""
        if version.startswith("{"):
            _moment(version)
        root = match["root"][:1]
        if root in {"", "."}:
            if folder in {"~", "@", "/", "^", "~/", "@/", ""}:
                return cls(folder[:1] or "~", parts, version)
            base = cls.parse(folder.rstrip("/"))
            return cls.parse(str(cls(base.root, base.parts + parts, version)))
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

    @property
    def as_of(self) -> datetime | None:
        """The last moment a ``{date}`` includes, in UTC; a day includes all of itself."""
        return _moment(self.version) if self.version.startswith("{") else None

    def __str__(self) -> str:
        joint = "" if self.root in {"/", "^"} else "/"
        at = f"@{self.version}" if self.version else ""
        return f"{self.root}{joint}{'/'.join(self.parts)}{at}"


def _moment(version: str) -> datetime:
    text = version.strip("{}").removesuffix("Z")
    try:
        if len(text) == len("2026-10-01"):
            return datetime.combine(date.fromisoformat(text), time.max, tzinfo=UTC)
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as exc:
        raise BadName(
            f"{version} is not a time: {exc}; "
            "times look like {2026-10-01} or {2026-10-01T12:00}, in UTC"
        ) from exc


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
