"""The run screen: keys and memory with a million lines stored, and how soon a printed line is seen.

Drives the real program in a terminal of its own (a pty), as a person's keys would.
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
from datetime import UTC, datetime
from pathlib import Path

from rhdesk.models import LogLine, Run, RunStatus
from rhdesk.runs.book import RunBook

LINES = 1_000_000
TICKS = """
import time


def tick():
    for _ in range(2000):
        print(f"tick={time.time():.6f}")
        time.sleep(0.01)
"""
KEYS = {"PgUp": b"\x1b[5~", "PgDn": b"\x1b[6~", "up": b"\x1b[A", "down": b"\x1b[B"}


def main() -> None:
    home = Path(tempfile.mkdtemp(prefix="rhdesk-screen-"))
    try:
        _fill(home / "data")
        _measure_keys(home)
        shutil.rmtree(home / "data")
        _measure_printing(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _fill(data: Path) -> None:
    began = time.perf_counter()
    book = RunBook(data / "runs.db")
    run = Run(
        run_id="f" * 32,
        function="~/digits",
        cluster="here",
        status=RunStatus.SUCCEEDED,
        submitted_at=datetime.now(UTC),
        started_at=datetime.now(UTC),
        ended_at=datetime.now(UTC),
    )
    book.record([run])
    for first in range(0, LINES, 5000):
        book.add_lines(
            [
                LogLine(
                    run.run_id, n, "stdout", time.time(), f"INFO step={n} loss={1 / (n + 1):.6f}"
                )
                for n in range(first, first + 5000)
            ]
        )
    took = time.perf_counter() - began
    print(f"{LINES:,} lines stored in {took:.1f} s, {LINES / took:,.0f} lines/s")
    began = time.perf_counter()
    hits = book.search("step 777777", limit=100)
    print(
        f"full-text search over them {(time.perf_counter() - began) * 1e3:.0f} ms, {len(hits)} hits"
    )
    book.close()


def _environ(home: Path) -> dict[str, str]:
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return environ | {
        "HOME": str(home),
        "RHDESK_DATA_DIR": str(home / "data"),
        "RHDESK_CACHE_DIR": str(home / "cache"),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }


@contextmanager
def _desk(home: Path) -> Generator[tuple[int, int]]:
    """The terminal desk with the newest run on screen: its pid, and the other end of its pty."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(home)
        os.execve(sys.executable, [sys.executable, "-m", "rhdesk.cli"], _environ(home))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    try:
        _quiet(terminal, 1.0, 10.0)
        os.write(terminal, b"3")
        _quiet(terminal, 0.5, 5.0)
        os.write(terminal, b"\r")
        yield pid, terminal
    finally:
        os.kill(pid, signal.SIGTERM)
        os.close(terminal)
        os.waitpid(pid, 0)


def _measure_keys(home: Path) -> None:
    with _desk(home) as (pid, terminal):
        _quiet(terminal, 1.5, 10.0)
        for name, key in KEYS.items():
            times = sorted(_painted(terminal, key) for _ in range(60))
            p50, p95 = times[30] * 1e3, times[57] * 1e3
            print(f"{name:<6} key to first paint  p50 {p50:5.1f} ms  p95 {p95:5.1f} ms")
        memory = Path(f"/proc/{pid}/status").read_text()
        resident = next(line for line in memory.splitlines() if line.startswith("VmRSS"))
        print(f"memory {int(resident.split()[1]) / 1024:.0f} MB")


def _measure_printing(home: Path) -> None:
    (home / "ticks.py").write_text(TICKS)
    rhdesk = [sys.executable, "-m", "rhdesk.cli"]
    subprocess.run([*rhdesk, "up"], env=_environ(home), cwd=home, check=True, capture_output=True)
    try:
        call = [*rhdesk, "call", "ticks.py:tick", "--no-follow"]
        subprocess.run(call, env=_environ(home), cwd=home, check=True, capture_output=True)
        with _desk(home) as (_, terminal):
            late = _latencies(terminal, 12.0)
    finally:
        subprocess.run([*rhdesk, "down"], env=_environ(home), check=True, capture_output=True)
    late.sort()
    p50, p95 = late[len(late) // 2] * 1e3, late[int(len(late) * 0.95)] * 1e3
    print(
        f"print to screen at 100 lines/s  p50 {p50:.0f} ms  p95 {p95:.0f} ms  ({len(late)} lines)"
    )


def _latencies(terminal: int, for_s: float) -> list[float]:
    """Age of each line when it first appears; what was printed before the screen opened is left out."""
    began = time.time()
    seen: dict[str, float] = {}
    give_up = time.perf_counter() + for_s
    while time.perf_counter() < give_up:
        ready, _, _ = select.select([terminal], [], [], 0.5)
        if ready:
            data = os.read(terminal, 1 << 20)
            now = time.time()
            for stamp in re.findall(rb"tick=(\d+\.\d{6})", data):
                seen.setdefault(stamp.decode(), now)
    return [at - float(stamp) for stamp, at in seen.items() if float(stamp) > began + 2]


def _painted(terminal: int, key: bytes) -> float:
    _quiet(terminal, 0.05, 1.0)
    began = time.perf_counter()
    os.write(terminal, key)
    ready, _, _ = select.select([terminal], [], [], 2.0)
    took = time.perf_counter() - began
    assert ready, "nothing was painted"
    return took


def _quiet(terminal: int, silence_s: float, most_s: float) -> None:
    """Read until nothing has come for *silence_s*."""
    give_up = time.perf_counter() + most_s
    while time.perf_counter() < give_up:
        ready, _, _ = select.select([terminal], [], [], silence_s)
        if not ready:
            return
        os.read(terminal, 1 << 20)


if __name__ == "__main__":
    main()
