"""Processes of this machine by what is true of them, from /proc: nothing here matches by name.

A pid alone may belong to somebody else by the time it is used; with its start time it is an
identity. Core and servlet both end processes this way.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec


class Process(msgspec.Struct, frozen=True):
    """A process, for good."""

    pid: int
    started: int
    """Start time in clock ticks after boot."""


def find(pid: int) -> Process | None:
    """Who has *pid* now; None for nobody, or for a zombie."""
    stat = _stat(pid)
    return None if stat is None or stat[0] in {"Z", "X"} else Process(pid, int(stat[19]))


def this() -> Process:
    """The process that asks."""
    found = find(os.getpid())
    if found is None:
        raise RuntimeError("/proc is not mounted; rhdesk needs it to know its processes")
    return found


def is_alive(process: Process) -> bool:
    return find(process.pid) == process


def program(pid: int) -> str:
    """File name of the program *pid* runs; empty when there is none."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return ""
    return os.path.basename(command.decode("utf-8", "replace"))


def children(parent: int) -> list[int]:
    return [pid for pid in _pids() if (stat := _stat(pid)) and int(stat[1]) == parent]


def family(head: Process, *, mark: str = "", title: str = "", since: int = 0) -> list[Process]:
    """Everything that comes from *head*, without it: descendants and members of its session.

    The session is asked for because a child whose parent died belongs to init.

    Args:
        mark: ``NAME=value`` in the variables a process was started with; finds those that left
            session and parent behind.
        title: What *head* calls itself (`/proc/<pid>/comm`); finds those that left and were
            forked without starting another program, which have its title and not its variables.
        since: Only processes started at or after this tick.
    """
    parents: dict[int, int] = {}
    found: set[int] = set()
    for pid in _pids():
        if stat := _stat(pid):
            parents[pid] = int(stat[1])
            if int(stat[3]) == head.pid or _is_marked(pid, mark, title):
                found.add(pid)
    found.add(head.pid)
    grew = True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    found.discard(head.pid)
    known = (find(pid) for pid in sorted(found))
    # Nobody is older than the head it comes from: such a pid has changed hands.
    youngest = max(since, head.started)
    return [each for each in known if each is not None and each.started >= youngest]


def left_behind(mark: str, title: str) -> list[Process]:
    """What a head that is gone has left: everything with its *mark* or its *title* (see `family`)."""
    known = (find(pid) for pid in _pids() if _is_marked(pid, mark, title))
    return [each for each in known if each is not None]


def end(those: Iterable[Process], how: signal.Signals = signal.SIGKILL) -> None:
    """Signal each one that is still who it was."""
    for each in those:
        if is_alive(each):
            try:
                os.kill(each.pid, how)
            except ProcessLookupError:
                continue


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _stat(pid: int) -> list[str] | None:
    """The fields of ``/proc/<pid>/stat`` from the state on."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()


def _is_marked(pid: int, mark: str, title: str) -> bool:
    return (title != "" and _reads(pid, "comm").rstrip(b"\n") == title.encode()) or (
        mark != "" and mark.encode() in _reads(pid, "environ").split(b"\0")
    )


def _reads(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""
