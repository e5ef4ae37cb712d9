"""What of a project travels to a cluster, why each file does or does not, and how a sync went."""

from __future__ import annotations

from datetime import datetime

import msgspec


class FileVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one file travels, and by which rule."""

    path: str
    """Relative to the folder, with ``/``."""
    travels: bool
    reason: str
    """``included``, ``ignored``, ``secret``, ``large``, ``link out``, ``special``, ``unreadable``,
    ``name``: a name that another system could not hold."""
    rule: str = ""
    """The rule that decided, as written: ``*.ckpt``."""
    file: str = ""
    """The file the rule is in, with its line: ``data/.gitignore:3``."""
    size: int = 0
    """Bytes."""


class CodePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would be sent of a folder; shown before it is."""

    folder: str
    tree: str
    """Hash of the tree the files make; names it on every cluster."""
    files: int
    size: int
    """Bytes."""
    held_back: tuple[FileVerdict, ...] = ()
    """What looks like a secret, is too large, or cannot travel; never what a rule ignores."""
    largest: tuple[FileVerdict, ...] = ()
    """Ten of what travels, largest first."""
    took_s: float = 0.0


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """How one sync of a folder to a cluster went."""

    folder: str
    cluster: str
    tree: str
    at: datetime
    """UTC."""
    files: int
    """In the tree."""
    sent_files: int = 0
    sent_bytes: int = 0
    took_s: float = 0.0
    changed: tuple[str, ...] = ()
    """Paths that differ from the tree before; at most twenty."""
    held_back: int = 0
    error: str = ""
    """Why the code there is still what it was: a syntax error, or a host that does not answer."""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A folder whose edits follow to a cluster."""

    folder: str
    cluster: str
    env: str = "base"
    since: datetime
    """UTC."""
    how: str = "events"
    """``events`` of the system, or ``polling`` where it has none left; `why` says why."""
    why: str = ""
    last: Synced | None = None
    syncs: int = 0
    targets: tuple[str, ...] = ()
    """What goes live; empty is every name of the folder that is."""
    files: bool = False
    """Whether every file of the folder follows."""
    is_kept: bool = False
    """Whether the daemon goes on with it, whichever programs end."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A file that runs wrote in a working folder, or changed there."""

    path: str
    size: int
    """Bytes."""
    at: datetime
    """When; UTC, by the clock of the machine it is on."""


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """What came back of a working folder."""

    folder: str
    """Where to."""
    cluster: str
    files: tuple[Written, ...]
    """What came, or what would."""
    kept: tuple[str, ...] = ()
    """Paths where another file is here, which stayed as it is."""
    refused: tuple[str, ...] = ()
    """Paths that are none inside a folder, or that this machine's file system cannot hold."""
    took_s: float = 0.0
