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
_LONGEST_ESCAPE: Final = 6
"""Bytes of one character in JSON at most."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SpoolLine).decode


class SpoolWriter:
    """Appends lines; made at the first line, so that a silent run has no file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._fd = -1
        self._waiting = b""
        self.lines = 0

    def write(self, stream: int, texts: list[str]) -> None:
        """Append lines.

        Raises:
            OSError: The disk is full; what is not written goes before the next lines.
        """
        if self._fd < 0:
            self._fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._waiting = b"" if _ends_whole(self._fd) else b"\n"
        at = time.time()
        self._waiting += b"".join(_line(at, stream, text) for text in texts)
        self.lines += len(texts)
        while self._waiting:
            self._waiting = self._waiting[os.write(self._fd, self._waiting) :]

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
        lines: list[SpoolLine] = []
        while not lines:  # one line may be longer than one read
            data = os.read(self._fd, _READ)
            if not data:
                return []
            *whole, self._rest = (self._rest + data).split(b"\n")
            lines = [line for each in whole if (line := _read(each)) is not None]
        self.next_seq += len(lines)
        return lines

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _line(at: float, stream: int, text: str) -> bytes:
    try:
        return _encode(SpoolLine(at, stream, text)) + b"\n"
    except UnicodeEncodeError:  # half a character, as in the name of a file that is not UTF-8
        whole = text.encode("utf-8", "replace").decode()
        return _encode(SpoolLine(at, stream, whole)) + b"\n"


def _ends_whole(fd: int) -> bool:
    size = os.fstat(fd).st_size
    return size == 0 or os.pread(fd, 1, size - 1) == b"\n"


def _read(data: bytes) -> SpoolLine | None:
    """One line; of one that a kill cut short what is there, and None when that is nothing."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        for cut in range(min(_LONGEST_ESCAPE, len(data))):
            try:
                return _decode(data[: len(data) - cut] + b'"]')
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
        return None


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
