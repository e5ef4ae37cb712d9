"""A table of 100,000,000 rows on screen: first page, last row, keys, a filter, memory.

    python -m benchmarks.table_screen /somewhere/with/room [rows]

Drives the real program in a terminal of its own (a pty), as a person's keys would. The table is
the one of `benchmarks.table_page`, made there if it is not there yet. A time ends when the value
that was asked for has been painted, not when something has.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

LIMITS_S = {"first page": 1.0, "last row": 1.0, "middle": 1.0, "filter": 2.0}
KEY_LIMIT_S = 0.05
LIMIT_MB = 250
PRESSES = 100
KEYS = {"PgDn": b"\x1b[6~", "PgUp": b"\x1b[5~", "down": b"\x1b[B", "up": b"\x1b[A"}
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_]|\].*?(?:\x07|\x1b\\))", re.DOTALL)


class Terminal:
    """The far end of the program's terminal, and what it painted since it was last asked."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def quiet(self, silence_s: float = 0.3, most_s: float = 10.0) -> str:
        """What is painted until nothing has been for *silence_s*."""
        seen = b""
        give_up = time.perf_counter() + most_s
        while time.perf_counter() < give_up:
            ready, _, _ = select.select([self._fd], [], [], silence_s)
            if not ready:
                break
            seen += os.read(self._fd, 1 << 20)
        return _plain(seen)

    def until(self, text: str, most_s: float = 30.0) -> float:
        """Seconds until *text* is painted."""
        began, seen = time.perf_counter(), b""
        while (left := began + most_s - time.perf_counter()) > 0:
            ready, _, _ = select.select([self._fd], [], [], left)
            if ready:
                seen += os.read(self._fd, 1 << 20)
                if text in _plain(seen):
                    return time.perf_counter() - began
        raise AssertionError(f"{text!r} was never painted; what was: {_plain(seen)[-2000:]}")

    def timed(self, keys: bytes, text: str) -> float:
        self.quiet(0.05, 2.0)
        self.type(keys)
        return self.until(text)


def _plain(data: bytes) -> str:
    return _ESCAPES.sub(b"", data).decode("utf-8", "replace")


def _cell(number: int) -> str:
    """A whole number as the grid spells it."""
    return f"{number:,}".replace(",", " ") if number >= 10_000 else str(number)


@contextmanager
def _desk(home: Path) -> Generator[tuple[int, Terminal]]:
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environ |= {
        "HOME": str(home), "RHDESK_DATA_DIR": str(home / "data"), "TERM": "xterm-256color",
        "RHDESK_CACHE_DIR": str(home / "cache"), "COLORTERM": "truecolor",
    }  # fmt: skip
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(home)
        os.execve(sys.executable, [sys.executable, "-m", "rhdesk.cli"], environ)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
    try:
        yield pid, Terminal(fd)
    finally:
        os.kill(pid, signal.SIGTERM)
        os.close(fd)
        os.waitpid(pid, 0)


def measure(folder: Path, rows: int) -> bool:
    took: dict[str, float] = {}
    keys: dict[str, tuple[float, float]] = {}
    home = Path(tempfile.mkdtemp(prefix="rhdesk-table-"))
    try:
        with _desk(home) as (pid, terminal):
            terminal.quiet(1.5, 15.0)
            terminal.type(f":table {folder}".encode())
            terminal.quiet()
            took["first page"] = terminal.timed(b"\r", f"row 1 of {rows:,}")
            terminal.quiet()
            for name, key in KEYS.items():
                keys[name] = _press(terminal, name, key)
            took["last row"] = terminal.timed(b"G", _cell(rows - 1))
            terminal.type(b":50%")
            took["middle"] = terminal.timed(b"\r", _cell(rows // 2))
            terminal.type(b"f")
            terminal.quiet()
            first = rows // 4 * 3
            terminal.type(f">= {first}".encode())
            took["filter"] = terminal.timed(b"\r", _cell(first))
            terminal.until(f"of {rows - first:,} ({rows:,} in all)")
            terminal.quiet()
            keys["PgDn filtered"] = _press(terminal, "PgDn", KEYS["PgDn"], first)
            status = Path(f"/proc/{pid}/status").read_text()
        peak_kb = re.search(r"VmHWM:\s+(\d+)", status)
        assert peak_kb is not None
        return _report(took, keys, int(peak_kb[1]) / 1024)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _press(terminal: Terminal, name: str, key: bytes, first: int = 0) -> tuple[float, float]:
    """The median and the 95th percentile of one key, to the paint of the row it leads to.

    Args:
        first: What stands in the first row.
    """
    terminal.type(b"\x1b[H" if name.endswith(("Dn", "down")) else b":50%\r")
    terminal.quiet()
    terminal.type(key)
    at = [int(row.replace(",", "")) for row in re.findall(r"row ([\d,]+) of", terminal.quiet())]
    here = at[-1] - 1
    terminal.type(key)
    at = [int(row.replace(",", "")) for row in re.findall(r"row ([\d,]+) of", terminal.quiet())]
    step = at[-1] - 1 - here
    here += step
    times: list[float] = []
    for _ in range(PRESSES):
        here += step
        times.append(terminal.timed(key, _cell(first + here)))
    times.sort()
    return times[PRESSES // 2], times[int(PRESSES * 0.95)]


def _report(took: dict[str, float], keys: dict[str, tuple[float, float]], peak_mb: float) -> bool:
    for what, seconds in took.items():
        print(f"{what:14} {seconds:7.3f} s   at most {LIMITS_S[what]:.1f}")
    for name, (p50, p95) in keys.items():
        print(
            f"{name:14} p50 {p50 * 1e3:5.1f} ms  p95 {p95 * 1e3:5.1f} ms   "
            f"at most {KEY_LIMIT_S * 1e3:.0f}"
        )
    print(f"{'memory, peak':14} {peak_mb:5.0f} MB   below {LIMIT_MB}")
    fast = all(took[what] <= LIMITS_S[what] for what in took)
    return fast and peak_mb < LIMIT_MB and all(p95 <= KEY_LIMIT_S for _, p95 in keys.values())


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000_000
    folder = Path(sys.argv[1]) / f"rows-{rows}"
    if not folder.exists():
        make = "import sys; from benchmarks.table_page import make; from pathlib import Path; "
        make += "make(Path(sys.argv[1]), int(sys.argv[2]))"
        subprocess.run([sys.executable, "-c", make, str(folder), str(rows)], check=True)
    return 0 if measure(folder, rows) else 1


if __name__ == "__main__":
    sys.exit(main())
