"""The daemon as a process: one at a time, private, and gone without a trace however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rhdesk import processes
from rhdesk.blocking import Desk
from rhdesk.daemon.lock import DaemonLock
from rhdesk.daemon.service import COMMAND
from rhdesk.errors import StoreBusy
from rhdesk.models import DaemonState


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as opened:
        yield opened
        opened.stop_daemon()


def test_it_starts_once_answers_and_stops(desk: Desk) -> None:
    assert desk.daemon().status == "stopped"
    first = desk.start_daemon()
    assert first.status == "running"
    assert {loop.name for loop in first.loops} >= {"runs", "health", "retention"}
    assert desk.start_daemon().pid == first.pid
    assert desk.stop_daemon().status == "stopped"
    assert processes.find(first.pid) is None
    assert not Path(first.socket).exists()
    assert any("started" in line for line in desk.daemon_lines())


def test_a_second_daemon_says_who_holds_the_lock(desk: Desk) -> None:
    first = desk.start_daemon()
    second = subprocess.run(COMMAND, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == StoreBusy.exit_code
    assert "runs here already" in second.stderr
    assert desk.daemon().pid == first.pid


def test_a_killed_ones_place_is_taken_over(desk: Desk) -> None:
    killed = desk.start_daemon()
    os.kill(killed.pid, signal.SIGKILL)
    _gone(killed)
    assert desk.daemon().status == "stopped"
    again = desk.start_daemon()
    assert again.status == "running"
    assert again.pid != killed.pid


def test_one_that_hangs_is_told_apart_and_ended(desk: Desk) -> None:
    hung = desk.start_daemon()
    os.kill(hung.pid, signal.SIGSTOP)
    assert desk.daemon().status == "not answering"
    os.kill(hung.pid, signal.SIGCONT)
    assert desk.stop_daemon().status == "stopped"
    _gone(hung)


def test_only_its_owner_can_open_its_socket(desk: Desk) -> None:
    state = desk.start_daemon()
    mode = Path(state.socket).stat()
    assert stat.S_ISSOCK(mode.st_mode)
    assert stat.S_IMODE(mode.st_mode) == 0o600
    assert stat.S_IMODE(Path(state.socket).parent.stat().st_mode) == 0o700
    inodes = {link for fd in Path(f"/proc/{state.pid}/fd").iterdir() if (link := _target(fd))}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        rows = Path(f"/proc/{state.pid}/net/{table}").read_text().splitlines()[1:]
        assert not {f"socket:[{row.split()[9]}]" for row in rows} & inodes, f"{table} is open"


def test_a_question_it_does_not_know_harms_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = desk.start_daemon()
    monkeypatch.chdir(Path(state.socket).parent)  # its whole path may be longer than one may be
    for nonsense in (b"\n", b"{}\n", b'{"ask":"rm"}\n', b"\xff" * 100 + b"\n", b"x" * (1 << 21)):
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(Path(state.socket).name)
            try:
                line.sendall(nonsense)
                line.shutdown(socket.SHUT_WR)
                assert line.recv(100) == b""
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert desk.daemon().pid == state.pid


def test_a_deep_home_folder_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    monkeypatch.setenv("RHDESK_DATA_DIR", str(deep))
    with Desk() as desk:
        try:
            assert desk.start_daemon().status == "running"
        finally:
            assert desk.stop_daemon().status == "stopped"


def test_it_says_why_it_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "runs.db").mkdir()
    monkeypatch.setenv("RHDESK_DATA_DIR", str(tmp_path / "data"))
    lock = DaemonLock(tmp_path / "data" / "daemon")
    lock.take()
    with pytest.raises(StoreBusy, match="runs here already") as refused:
        DaemonLock(tmp_path / "data" / "daemon").take()
    assert str(os.getpid()) in refused.value.holder
    lock.release()
    DaemonLock(tmp_path / "data" / "daemon").take()


def test_the_command_tells_the_same_as_json() -> None:
    def rhdesk(*words: str) -> dict[str, object]:
        done = subprocess.run(
            [sys.executable, "-m", "rhdesk.cli", "daemon", *words, "--json"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        told: dict[str, object] = json.loads(done.stdout)
        return told

    assert "stopped" in json.dumps(rhdesk("status"))
    try:
        assert "running" in json.dumps(rhdesk("start"))
        assert "runs" in json.dumps(rhdesk("status"))
    finally:
        assert "stopped" in json.dumps(rhdesk("stop"))
    assert COMMAND[-1] in json.dumps(rhdesk("unit"))
    installed = rhdesk("unit", "--install")
    assert "rhdesk.service" in json.dumps(installed)


def test_idle_it_uses_next_to_nothing(desk: Desk) -> None:
    state = desk.start_daemon()
    time.sleep(3)  # what it does once
    before = _cpu_s(state.pid)
    time.sleep(20)
    assert (_cpu_s(state.pid) - before) / 20 < 0.005


def _gone(state: DaemonState) -> None:
    until = time.monotonic() + 10
    while processes.find(state.pid) is not None:
        assert time.monotonic() < until
        time.sleep(0.02)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _target(fd: Path) -> str:
    try:
        return os.readlink(fd)
    except OSError:
        return ""
