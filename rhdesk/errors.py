"""What can go wrong, as a tree a caller can catch at any height.

* RhdeskError                      exit  what the caller can do
  + BadInput                          2  fix what was typed
    + BadName
    + BadRequirement
    + BadFunction
    + CannotSend                         an argument or result that cannot cross the wire
  + NotFound                          3  look elsewhere; `near` holds the closest names
  + AlreadyExists                     4  choose another name, or say overwrite
  + ConnectionFailed                  5  try again; `rhdesk doctor` says what is wrong
    + ServletDied                        the process that ran the call is gone; `reason` says why
    + Unreachable                        the way there is broken for now; what runs there goes on
  + Refused                           6  the far side does not know this token, or forbids it
    + UntrustedHost                      a host's key is unknown, or not the one it had; look at it
  + StoreBusy                         7  another rhdesk holds the lock; wait, or end it
  + StoreUnwritable                   8  make room, or make the folder writable
  + SetupFailed                       9  an environment, Ray or a cluster could not be made ready
  + RunFailed                        10  read the far side's traceback
    + RunCancelled                   11
    + RunTimedOut                    12
    + RunLost                        13  nobody can know how it ended; look before calling again
      + ItemsLost                        the same of some items of a map; `lost` says which
  + DamagedStore                     14  restore a backup of the store
  + BadSchema                        15  bring this rhdesk, or the database, up to date

Every class has a `code` that crosses the wire and becomes the same class on the other side, and
the `exit_code` the command ends with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self


class RhdeskError(Exception):
    """Base of everything rhdesk raises on purpose.

    Attributes:
        code: The word for this error on the wire and in ``--json``.
        exit_code: What the command exits with.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def facts(self) -> dict[str, Any]:
        """The attributes that belong to the error beside its text, ready for JSON."""
        return {}


class BadInput(RhdeskError, ValueError):
    """What was typed cannot be used as it is."""

    code = "bad_input"
    exit_code = 2


class BadName(BadInput):
    """Text that does not spell a resource name."""

    code = "bad_name"


class BadRequirement(BadInput):
    """A requirement that cannot be resolved or installed."""

    code = "bad_requirement"


class BadFunction(BadInput):
    """A function or class that cannot be found, imported or sent."""

    code = "bad_function"


class CannotSend(BadInput, TypeError):
    """A value that cannot cross the wire."""

    code = "cannot_send"


class NotFound(RhdeskError, LookupError):
    """Nothing is stored under this name.

    Attributes:
        name: What was looked up.
        near: The closest names that do exist, best first.
    """

    code = "not_found"
    exit_code = 3

    def __init__(self, name: str, *, kind: str = "resource", near: Sequence[str] = ()) -> None:
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"no {kind} is called {name!r}{hint}")
        self.name = name
        self.kind = kind
        self.near = tuple(near)

    @classmethod
    def told(cls, sentence: str) -> Self:
        """As somebody else said it."""
        made = cls("")
        made.args = (sentence,)
        return made

    def facts(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, "near": list(self.near)}


class AlreadyExists(RhdeskError):
    """The name is taken."""

    code = "already_exists"
    exit_code = 4


class ConnectionFailed(RhdeskError):
    """The cluster could not be reached; trying again may help."""

    code = "connection_failed"
    exit_code = 5


class ServletDied(ConnectionFailed):
    """The process that served the call is gone.

    Attributes:
        reason: Why, as the far side tells it ("killed by signal 9").
    """

    code = "servlet_died"

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason

    def facts(self) -> dict[str, Any]:
        return {"reason": self.reason}


class Unreachable(ConnectionFailed):
    """The way to a host is broken for now. What runs there goes on, and the way is tried again."""

    code = "unreachable"


class Refused(RhdeskError):
    """The far side refused: no token, a wrong one, or one for another cluster."""

    code = "refused"
    exit_code = 6


class UntrustedHost(Refused):
    """The key a host shows is not one that was trusted before.

    Attributes:
        host: As ssh calls it.
        fingerprint: Of the key it shows, ``SHA256:...``.
        is_changed: Another key was trusted before; this may be somebody in between.
    """

    code = "untrusted_host"

    def __init__(
        self, message: str, *, host: str, fingerprint: str, is_changed: bool = False
    ) -> None:
        super().__init__(message)
        self.host = host
        self.fingerprint = fingerprint
        self.is_changed = is_changed

    def facts(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "fingerprint": self.fingerprint,
            "is_changed": self.is_changed,
        }


class StoreBusy(RhdeskError):
    """Another process holds the lock on the store.

    Attributes:
        holder: Who, as "pid 123 since 12:00 (rhdesk up here)".
    """

    code = "store_busy"
    exit_code = 7

    def __init__(self, message: str, *, holder: str = "") -> None:
        super().__init__(message)
        self.holder = holder

    def facts(self) -> dict[str, Any]:
        return {"holder": self.holder}


class FilesChanged(RhdeskError):
    """Files went on being changed while they were read; try again when they rest."""

    code = "files_changed"
    exit_code = StoreBusy.exit_code


class StoreUnwritable(RhdeskError, OSError):
    """The folder that holds the record cannot be written: disk full, or read-only."""

    code = "store_unwritable"
    exit_code = 8


class SetupFailed(RhdeskError):
    """A cluster or an environment could not be made ready.

    Attributes:
        output: The last lines the failing step printed.
    """

    code = "setup_failed"
    exit_code = 9

    def __init__(self, message: str, *, output: str = "") -> None:
        super().__init__(message)
        self.output = output

    def facts(self) -> dict[str, Any]:
        return {"output": self.output}


class RunFailed(RhdeskError):
    """The function ran on the far side, and raised.

    Attributes:
        run_id: Which run.
        remote_traceback: The traceback as text, in the far side's own paths.
    """

    code = "run_failed"
    exit_code = 10

    def __init__(self, message: str, *, run_id: str = "", remote_traceback: str = "") -> None:
        super().__init__(message)
        self.run_id = run_id
        self.remote_traceback = remote_traceback

    def facts(self) -> dict[str, Any]:
        return {"run_id": self.run_id, "remote_traceback": self.remote_traceback}


class RunCancelled(RunFailed):
    """The run was cancelled before it finished."""

    code = "run_cancelled"
    exit_code = 11


class RunTimedOut(RunFailed, TimeoutError):
    """The run took longer than its time-out and was cancelled."""

    code = "run_timed_out"
    exit_code = 12


class RunLost(RunFailed):
    """The process that ran the function died; whether the function finished is unknown."""

    code = "run_lost"
    exit_code = 13


class ItemsLost(RunLost):
    """A map of which some items were lost; all the others finished.

    Attributes:
        lost: Why, by the number of the item.
        results: What the others returned, by the number of the item.
    """

    code = "items_lost"

    def __init__(
        self,
        message: str,
        *,
        run_id: str = "",
        lost: Mapping[int, str] | None = None,
        results: Mapping[int, Any] | None = None,
    ) -> None:
        super().__init__(message, run_id=run_id)
        self.lost = dict(lost or {})
        self.results = dict(results or {})

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"lost": {str(n): why for n, why in self.lost.items()}}


class DamagedStore(RhdeskError):
    """A row of the store does not match its hash: the disk, or somebody, changed it."""

    code = "damaged_store"
    exit_code = 14


class BadSchema(RhdeskError):
    """A database that this release cannot use."""

    code = "bad_schema"
    exit_code = 15


def error_classes() -> dict[str, type[RhdeskError]]:
    """Every class that has a `code` of its own, by that."""
    found: dict[str, type[RhdeskError]] = {}
    waiting: list[type[RhdeskError]] = [RhdeskError]
    while waiting:
        cls = waiting.pop()
        if "code" in vars(cls):
            found[cls.code] = cls
        waiting.extend(cls.__subclasses__())
    return found
