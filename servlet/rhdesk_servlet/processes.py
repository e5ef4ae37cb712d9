"""Processes by what is true of them, from /proc: start times, families, and ending them.

A pid alone may belong to somebody else by the time it is used; with its start time it is an
identity. Nothing here matches by name.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

_PROC = Path("/proc")


class Process(msgspec.Struct, frozen=True):
    pid: int
    started: int
    """Clock ticks after boot."""
    parent: int
    session: int
    state: str


def look(pid: int) -> Process | None:
    """The process *pid* now; None when there is none, or only its zombie."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    rest = text[text.rindex(")") + 2 :].split()
    if rest[0] in "ZX":
        return None
    return Process(pid, int(rest[19]), int(rest[1]), int(rest[3]), rest[0])


def is_alive(pid: int, started: int) -> bool:
    found = look(pid)
    return found is not None and found.started == started


def everything() -> Iterator[Process]:
    for entry in os.listdir(_PROC):
        if entry.isdigit() and (found := look(int(entry))):
            yield found


def family(root: int, *, mark: str = "", since: int = 0) -> list[Process]:
    """Processes that come from *root*: descendants, its session, and whoever carries *mark*.

    Args:
        root: A pid; it is not among the result.
        mark: ``NAME=value`` in the environment a process was started with; finds those that left
            session and parent behind.
        since: Only processes started at or after this tick.
    """
    all_now = list(everything())
    children: dict[int, list[Process]] = {}
    for process in all_now:
        children.setdefault(process.parent, []).append(process)
    found: dict[int, Process] = {}
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child.pid not in found:
                found[child.pid] = child
                waiting.append(child.pid)
    for process in all_now:
        if process.session == root or (mark and _has(process.pid, mark)):
            found[process.pid] = process
    found.pop(root, None)
    return [process for process in found.values() if process.started >= since]


def end(processes: Iterable[Process], how: signal.Signals = signal.SIGKILL) -> None:
    """Signal each one that is still who it was."""
    for process in processes:
        if is_alive(process.pid, process.started):
            try:
                os.kill(process.pid, how)
            except ProcessLookupError:
                continue


def _has(pid: int, mark: str) -> bool:
    try:
        environ = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return mark.encode() in environ.split(b"\0")
