"""What one run printed, on disk, in order, numbered by position.

A spool is a file of lines ``[at, stream, "text"]\\n`` (JSON, newline-free inside). Each printed line
is one append, done by the worker before `print` returns: kill any process and every line that was
printed is still there. Writers append whole lines with O_APPEND, so two of them cannot mix.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import msgspec

from rhdesk.wire.frames import SpoolLine

STDOUT: Final = 1
STDERR: Final = 2
MAX_LINE: Final = 256 * 1024
"""Characters of one line; a longer one continues on the next."""
_READ: Final = 256 * 1024
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SpoolLine).decode


class SpoolWriter:
    """Appends lines; made at the first line, so that a silent run has no file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._fd = -1
        self.lines = 0

    def write(self, stream: int, texts: list[str]) -> None:
        if self._fd < 0:
            self._fd = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        at = time.time()
        data = b"".join(_encode(SpoolLine(at, stream, text)) + b"\n" for text in texts)
        self.lines += len(texts)
        while data:
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class SpoolReader:
    """Reads a spool that may still be growing; keeps its place."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._fd = -1
        self._rest = b""
        self.next_seq = 0
        """Number of the line the next `read` starts with."""

    def read(self) -> list[SpoolLine]:
        """The lines that came since the last read, a bounded number of them at a time."""
        if self._fd < 0:
            try:
                self._fd = os.open(self._file, os.O_RDONLY)
            except FileNotFoundError:
                return []
        data = os.read(self._fd, _READ)
        if not data:
            return []
        *whole, self._rest = (self._rest + data).split(b"\n")
        self.next_seq += len(whole)
        return [_decode(line) for line in whole]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class LineCutter:
    """Cuts what is written to a stream into lines.

    A carriage return starts the line again, as on a terminal, which is how progress bars draw
    themselves: the line as it stood is given out at most every `REDRAW_S` seconds.
    """

    REDRAW_S: Final = 0.5

    def __init__(self) -> None:
        self._open = ""
        self._redrawn_at = 0.0

    def cut(self, text: str) -> list[str]:
        if "\n" not in text and "\r" not in text:
            self._open += text
            return self._overlong()
        *whole, self._open = (self._open + text).split("\n")
        lines = [piece for line in whole for piece in _pieces(_last_drawn(line))]
        if "\r" in self._open:
            drawn, _, self._open = self._open.rpartition("\r")
            now = time.monotonic()
            if self._open == "" and now - self._redrawn_at < self.REDRAW_S:
                self._open = _last_drawn(drawn) + "\r"
            elif (shown := _last_drawn(drawn)) and now - self._redrawn_at >= self.REDRAW_S:
                self._redrawn_at = now
                lines.append(shown)
        return lines + self._overlong()

    def rest(self) -> list[str]:
        """What was written after the last newline."""
        line, self._open = _last_drawn(self._open), ""
        return _pieces(line) if line else []

    def _overlong(self) -> list[str]:
        if len(self._open) <= MAX_LINE:
            return []
        *whole, self._open = _pieces(self._open)
        return whole


def _last_drawn(line: str) -> str:
    """What a terminal would show of *line* after its carriage returns."""
    if "\r" not in line:
        return line
    return next((part for part in reversed(line.split("\r")) if part), "")


def _pieces(line: str) -> list[str]:
    if len(line) <= MAX_LINE:
        return [line]
    return [line[at : at + MAX_LINE] for at in range(0, len(line), MAX_LINE)]
