"""What screens and widgets ask of the app; none of them knows it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from textual.message import Message

from rhdesk.models import Conflict, Step
from rhdesk_tui.jobs import Job
from rhdesk_tui.spellings import Spelling
from rhdesk_tui.table_view import TableSource
from rhdesk_tui.watching import Following


@dataclass
class ShowRun(Message):
    run_id: str
    line: int | None = None
    """Where to put the cursor; by default the log is followed."""


@dataclass
class ShowInvoke(Message):
    target: str


@dataclass
class ShowHistory(Message):
    name: str


@dataclass
class ShowDiff(Message):
    before: str
    """A name with or without a version, as `diff` takes it."""
    after: str = ""


@dataclass
class ShowLineage(Message):
    name: str
    down: bool = False


@dataclass
class ShowConflicts(Message):
    """What waits for a person."""


@dataclass
class ShowConflict(Message):
    conflict: Conflict


@dataclass
class ShowCluster(Message):
    name: str


@dataclass
class ShowTable(Message):
    source: TableSource


@dataclass
class CopyText(Message):
    """Put text on the clipboard and say so."""

    what: str
    text: str


@dataclass
class OfferCopies(Message):
    """Let the user choose what to copy."""

    spellings: list[Spelling]


@dataclass
class BeginJob(Message):
    """Do something long that goes on when the screen is left."""

    title: str
    cli: str
    start: Callable[[], AsyncGenerator[Step]]
    cluster: str = ""
    """The one it brings up or down."""


@dataclass
class AgainJob(Message):
    """Try a long action again that ended."""

    job: Job


@dataclass
class BringUp(Message):
    """Bring a cluster up whose plan was seen."""

    cluster: str


@dataclass
class ShowChecks(Message):
    """What `doctor` says of a cluster."""

    cluster: str


@dataclass
class TypedCommand(Message):
    """A line typed behind ``:``."""

    text: str


@dataclass
class BeginWatch(Message):
    """Have the edits of a folder follow to a cluster: ``FOLDER [CLUSTER [ENV]]``."""

    text: str


@dataclass
class SendFolder(Message):
    """Have a folder be on a cluster as it is here."""

    folder: str
    cluster: str


@dataclass
class BringBack(Message):
    """Bring what runs wrote in a folder on a cluster."""

    folder: str
    cluster: str
    path: str


@dataclass
class EndWatch(Message):
    watch: Following
