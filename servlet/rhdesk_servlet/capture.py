"""Where printed text goes in a worker: to the spool of the run that printed it.

`print` and `logging` write through `RunStream`, which knows the run of the current thread or task.
What C code and subprocesses write to descriptors 1 and 2 goes to two files beside, from which the
env servlet moves it into the spool: it can do so while the worker is stuck in C, or dead.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import threading
from contextvars import ContextVar
from pathlib import Path

from rhdesk.foreign import decode
from rhdesk.redaction import Redaction
from rhdesk_servlet.spool import STDERR, STDOUT, LineCutter, SpoolWriter

current_log: ContextVar[RunLog | None] = ContextVar("rhdesk_run_log", default=None)


class RunLog:
    """The two streams of one run, cut into lines and spooled without secrets."""

    def __init__(self, file: Path, redaction: Redaction) -> None:
        self._redaction = redaction
        self._spool = SpoolWriter(file)
        self._cutters = {STDOUT: LineCutter(), STDERR: LineCutter()}
        self._lock = threading.Lock()

    def write(self, stream: int, text: str) -> None:
        with self._lock:
            if lines := self._cutters[stream].cut(text):
                self._spool.write(stream, [self._redaction(line) for line in lines])

    def finish(self) -> int:
        """Spool what was not ended by a newline; returns how many lines this log wrote."""
        with self._lock:
            for stream, cutter in self._cutters.items():
                if lines := cutter.rest():
                    self._spool.write(stream, [self._redaction(line) for line in lines])
            self._spool.close()
            return self._spool.lines


class RunStream(io.TextIOBase):
    """What `sys.stdout` and `sys.stderr` are in a worker."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, stream: int) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        log = current_log.get() or fallback.log
        if log is None:
            os.write(self._stream, text.encode("utf-8", "replace"))
        else:
            log.write(self._stream, text)
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._stream

    def flush(self) -> None:
        """Nothing waits: a whole line is spooled when it is written."""

    @property
    def buffer(self) -> io.BufferedIOBase:
        return _RunBytes(self)


class _RunBytes(io.BufferedIOBase):
    """``sys.stdout.buffer``, for code that prints bytes."""

    def __init__(self, text: RunStream) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self._text.write(decode(bytes(data)))
        return len(data)


class _Fallback:
    """The log of text printed by a thread that knows no run: the run's, if there is but one."""

    log: RunLog | None = None


fallback = _Fallback()


def install(folder: Path) -> None:
    """Point this process's output at the spools."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for stream, name in ((STDOUT, "out"), (STDERR, "err")):
        fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(fd, stream)
        os.close(fd)
    sys.stdout = RunStream(STDOUT)
    sys.stderr = RunStream(STDERR)


class RawOutput:
    """The files behind descriptors 1 and 2 of one worker, read from where a run began."""

    def __init__(self, folder: Path, redaction: Redaction) -> None:
        self._redaction = redaction
        self._files = {STDOUT: folder / "out", STDERR: folder / "err"}
        self._at = {STDOUT: 0, STDERR: 0}
        self._cutters = {STDOUT: LineCutter(), STDERR: LineCutter()}
        self._decoders = {STDOUT: _decoder(), STDERR: _decoder()}

    def skip(self) -> None:
        """Forget what is there: it belongs to nobody."""
        for stream, file in self._files.items():
            if _size(file):
                os.truncate(file, 0)  # writers append, so they go on at the start
            self._at[stream] = 0
            self._cutters[stream] = LineCutter()
            self._decoders[stream] = _decoder()

    def take(self, spool: SpoolWriter, *, last: bool = False) -> None:
        """Move what came since into *spool*; with *last*, unfinished lines too."""
        for stream, file in self._files.items():
            lines: list[str] = []
            if _size(file) > self._at[stream]:
                with file.open("rb") as opened:
                    opened.seek(self._at[stream])
                    data = opened.read()
                self._at[stream] += len(data)
                lines = self._cutters[stream].cut(self._decoders[stream].decode(data))
            if last:
                lines += self._cutters[stream].rest()
            if lines:
                spool.write(stream, [self._redaction(line) for line in lines])


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
