"""Runs a piece of work again and again, each time with another of its durable calls going wrong.

`fi.c` is preloaded into a Python that waits with everything imported; for each run it forks a
child, which does the work, tells through a pipe what it was told, and may be killed on the way.
"""

from __future__ import annotations

import enum
import json
import mmap
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

SOURCE: Final = Path(__file__).with_name("fi.c")
_CONTROL: Final = struct.Struct("<qqq")

_WAITING: Final = """
import ctypes, json, os, signal, sys, time

# Orphans come here, not to init: only who is reaped is certainly done writing.
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
exec(compile(sys.argv[1], "<work>", "exec"), globals())
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        try:
            work(asked, lambda word: os.write(1, f"{word}\\n".encode()))
        except BaseException as exc:
            told = json.dumps([type(exc).__name__, str(exc), isinstance(exc, RhdeskError)])
            os.write(1, f"raised {told}\\n".encode())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    give_up = time.monotonic() + 10
    while True:
        try:
            orphan, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if not orphan:
            time.sleep(0.001)
            if time.monotonic() > give_up:
                os.killpg(child, signal.SIGKILL)
    os.write(1, f"ended {status}\\n".encode())
"""


class What(enum.IntEnum):
    """What happens at the call; the numbers are those of `fi.c`."""

    NOTHING = 0
    KILL = 1
    """Only the process that makes it: rhdesk, or the git it started."""
    KILL_GROUP = 2
    GIVE_EIO = 3
    DISK_FULL = 4
    """It and every later one, except what removes."""
    SHORT_WRITE = 5
    """It writes half, and says so."""
    TORN_WRITE = 6
    """It writes half, and everything is killed."""


class Outcome(NamedTuple):
    calls: int
    said: list[str]
    """What the work acknowledged, in order; a line that was cut off is none."""
    raised: list[Any] | None
    """Class, text, and whether it was an error raised on purpose."""
    was_killed: bool


def build(folder: Path) -> Path:
    """The library, compiled into *folder*."""
    library = folder / "fi.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


class Injector:
    """One waiting Python.

    Args:
        work: Source that defines ``work(asked, say)``, and imports all it needs.
        below: Calls on paths below this folder count.
    """

    def __init__(
        self, library: Path, folder: Path, below: Path, work: str, environ: Mapping[str, str]
    ) -> None:
        control = folder / "control"
        control.write_bytes(_CONTROL.pack(0, 0, 0))
        self.log = folder / "calls"
        with control.open("r+b") as opened:
            self._control = mmap.mmap(opened.fileno(), _CONTROL.size)
        self._waiting = subprocess.Popen(
            [sys.executable, "-c", _WAITING, work],
            env={
                **environ,
                "LD_PRELOAD": str(library),
                "FI_CONTROL": str(control),
                "FI_PATH": str(below),
                "FI_LOG": str(self.log),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._waiting.stdin is not None
        assert self._waiting.stdout is not None
        self._waiting.stdin.close()
        self._waiting.wait(timeout=30)
        self._waiting.stdout.close()
        self._control.close()

    def run(self, asked: Mapping[str, Any], what: What = What.NOTHING, at: int = 0) -> Outcome:
        """Do the work once; at durable call number *at*, *what* happens."""
        assert self._waiting.stdin is not None
        assert self._waiting.stdout is not None
        self._control[:] = _CONTROL.pack(0, at, what)
        self.log.write_text("")
        self._waiting.stdin.write(json.dumps(asked) + "\n")
        self._waiting.stdin.flush()
        said: list[str] = []
        raised: list[Any] | None = None
        while True:
            line = self._waiting.stdout.readline()
            assert line, "the waiting Python has ended"
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "ended":
                break
            if word == "raised":
                raised = json.loads(rest)
            else:
                said.append(line.rstrip("\n"))
        calls = _CONTROL.unpack(self._control[:])[0]
        return Outcome(calls, said, raised, was_killed=rest != "0")

    def calls(self) -> list[tuple[int, str, str]]:
        """Number, call and path of every durable call of the last run."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        told = [line.split(" ", 2) for line in lines]
        return [(int(number), call, path) for number, call, path in told]
