"""Calls that make or end machines, written down before they are made: after any crash it is known
what may be there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import processes
from rhdesk.errors import StoreUnwritable
from rhdesk.whole_file import flush_folder

UNHEARD: Final = "nobody heard its end"
"""Of a call whose rhdesk was killed: machines are there, and may be half made."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call, and how it ended."""

    id: str
    cluster: str
    verb: str
    """``launch``, ``start``, ``stop``, ``down``, ``autostop``."""
    at: datetime
    pid: int = 0
    started: int = 0
    """Of the rhdesk that made it."""
    price_per_hour: float = 0.0
    """Of the machines a launch was for; 0 is not known."""
    outcome: str = ""
    """``done``, or why it failed; empty: nobody heard its end."""

    @property
    def is_open(self) -> bool:
        """Whether who made it may still hear its end."""
        return not self.outcome and processes.is_alive(processes.Process(self.pid, self.started))


class Journal:
    """Args:
    file: One JSON object a line; appended to, and flushed to the disk.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def begin(self, cluster: str, verb: str) -> Call:
        """Write down a call that is about to be made.

        Raises:
            StoreUnwritable: It cannot be; then the call must not be made.
        """
        own = processes.this()
        call = Call(
            id=secrets.token_hex(6),
            cluster=cluster,
            verb=verb,
            at=datetime.now(UTC),
            pid=own.pid,
            started=own.started,
        )
        self._append(call)
        return call

    def end(self, call: Call, outcome: str = "done", *, price_per_hour: float = 0.0) -> None:
        self._append(
            msgspec.structs.replace(
                call, outcome=outcome, at=datetime.now(UTC), price_per_hour=price_per_hour
            )
        )

    def price_at(self, cluster: str, when: datetime) -> float:
        """What the machines of a cluster cost an hour at a time; 0 when none were known to be there."""
        price = 0.0
        for call in self.calls():
            if call.cluster == cluster and call.at <= when and call.outcome == "done":
                price = 0.0 if call.verb in {"down", "stop"} else call.price_per_hour or price
        return price

    def calls(self) -> list[Call]:
        """Each call once, as it ended, in the order they were begun."""
        found: dict[str, Call] = {}
        for call in self._read():
            found[call.id] = call
        return list(found.values())

    def last(self, cluster: str) -> Call | None:
        """The newest call that makes or ends the machines of a cluster."""
        those = [c for c in self.calls() if c.cluster == cluster and c.verb != "autostop"]
        return those[-1] if those else None

    def may_be_there(self) -> set[str]:
        """Clusters that may have machines, by what was called."""
        last = {call.cluster: call for call in self.calls() if call.verb != "autostop"}
        return {
            name for name, call in last.items() if call.verb != "down" or call.outcome != "done"
        }

    def _read(self) -> Iterator[Call]:
        try:
            lines = self._file.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            try:
                if line:
                    yield msgspec.json.decode(line, type=Call)
            except msgspec.DecodeError:
                continue  # torn by a crash before it was on the disk: its call was never made

    def _append(self, call: Call) -> None:
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_new = not self._file.exists()
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            opened = os.open(self._file, flags, 0o600)
            try:
                size = os.fstat(opened).st_size
                if size and os.pread(opened, 1, size - 1) != b"\n":
                    os.write(opened, b"\n")  # behind a line that a crash tore
                os.write(opened, msgspec.json.encode(call) + b"\n")
                os.fsync(opened)
            finally:
                os.close(opened)
            if is_new:
                flush_folder(self._file.parent)
        except OSError as exc:
            raise StoreUnwritable(f"{self._file} cannot be written: {exc.strerror}") from exc
