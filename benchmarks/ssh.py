"""Calls on a host over SSH: what the way costs beside the same call on this machine.

    python -m benchmarks.ssh

Needs root: the host is one of the tests' (tests/testbed/hosts.py), with its own network and sshd;
the long way to it is a proxy that delays (tests/testbed/path.py).
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rhdesk.clusters.ssh.config import resolve
from rhdesk.clusters.ssh.link import HostLink
from rhdesk.models import ClusterSpec
from tests.conftest import Lab
from tests.testbed.hosts import bed
from tests.testbed.path import path

APP = "def length(data):\n    return len(data)\n"
CALLS = 300
FAR_CALLS = 40
LARGE = 64 * 1024 * 1024
ROUND_TRIP_S = 0.05


def timed(do: Callable[[], Any], count: int, *, pause_s: float = 0.0) -> list[float]:
    taken: list[float] = []
    for _ in range(count):
        time.sleep(pause_s)
        began = time.monotonic()
        do()
        taken.append(time.monotonic() - began)
    return sorted(taken)


def at_ms(taken: Sequence[float], share: float) -> float:
    return sorted(taken)[int(len(taken) * share)] * 1000


async def raw_channel_s() -> float:
    """Seconds that as many bytes take through a bare channel of the same connection."""
    link = HostLink(resolve("gpubox", ClusterSpec(name="gpubox", hosts=("gpubox",))))
    data = bytes(LARGE)
    best = float("inf")
    try:
        connection = await link.connection()
        for _ in range(5):
            async with connection.run("cat > /dev/null; echo done") as ran:
                began = time.monotonic()
                await ran.write(data)
                await ran.close_stdin()
                assert b"done" in [line.strip() async for line in ran.lines()]
                best = min(best, time.monotonic() - began)
    finally:
        await link.aclose()
    return best


def openssh_s(lab: Lab) -> float:
    """The same through OpenSSH, without the time to connect."""
    known = lab.home / ".ssh/known_hosts"
    ssh = ["ssh", "-F", f"{lab.home}/.ssh/config", "-o", f"UserKnownHostsFile={known}", "gpubox"]
    command = [*ssh, "cat > /dev/null"]

    def send(size: int) -> float:
        began = time.monotonic()
        subprocess.run(command, input=bytes(size), check=True)
        return time.monotonic() - began

    return min(send(LARGE) for _ in range(3)) - min(send(0) for _ in range(3))


def measure(lab: Lab) -> None:
    import rhdesk as rh

    near = rh.function("app.py:length").to("here")
    far = rh.function("app.py:length").to("gpubox")
    small = b"x"
    timed(lambda: near(small), 30)
    timed(lambda: far(small), 30)
    here: list[float] = []
    there: list[float] = []
    for _ in range(CALLS // 10):  # side by side, so that what else the machine does hits both
        here += timed(lambda: near(small), 10)
        there += timed(lambda: far(small), 10)
    for share in (0.5, 0.95):
        near_ms, far_ms = (at_ms(taken, share) for taken in (here, there))
        print(
            f"warm call, p{share * 100:.0f}: here {near_ms:.2f} ms, over SSH {far_ms:.2f} ms, "
            f"+{far_ms - near_ms:.2f} ms"
        )
    large = os.urandom(LARGE)
    far(large)
    took = timed(lambda: far(large), 5)[0]
    raw, openssh = asyncio.run(raw_channel_s()), openssh_s(lab)
    print(
        f"64 MB argument: {LARGE / took / 1e6:.0f} MB/s; a bare channel {LARGE / raw / 1e6:.0f}, "
        f"OpenSSH {LARGE / openssh / 1e6:.0f}: {raw / took:.0%} and {openssh / took:.0%}"
    )


def measure_far() -> None:
    import rhdesk as rh

    near, far = (rh.function("app.py:length").to(on) for on in ("here", "gpubox"))
    timed(lambda: far(b"x"), 5)
    # A call after a pause meets cold caches; the far ones all do, as they wait for each other.
    here = at_ms(timed(lambda: near(b"x"), FAR_CALLS, pause_s=ROUND_TRIP_S), 0.5)
    there = at_ms(timed(lambda: far(b"x"), FAR_CALLS), 0.5)
    trip = at_ms(round_trips(), 0.5)
    more = there - here - trip
    print(
        f"{trip:.2f} ms away: here {here:.2f} ms, there {there:.2f} ms: "
        f"a round trip and {more:.2f} ms"
    )


def round_trips() -> list[float]:
    """A few bytes through the same long way and back, with nothing at its end but an echo."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo() -> None:
        answered, _ = listener.accept()
        while data := answered.recv(4096):
            answered.sendall(data)

    threading.Thread(target=echo, daemon=True).start()
    with (
        path("127.0.0.1", listener.getsockname()[1], round_trip_s=ROUND_TRIP_S) as way,
        socket.create_connection(("127.0.0.1", way.port)) as line,
    ):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def trip() -> None:
            line.sendall(b"x" * 200)
            line.recv(4096)

        return timed(trip, FAR_CALLS)


def main() -> None:
    with tempfile.TemporaryDirectory() as place, bed() as network:
        home = Path(place, "home")
        home.mkdir()
        lab = Lab(home, network, Path(place, "cache"))
        lab.script("app.py", APP)
        host = lab.host("gpubox")
        lab.rhdesk("up", "gpubox")
        lab.rhdesk("up")
        os.environ.update(lab.environ)
        os.chdir(lab.project)
        config = home / ".ssh" / "config"
        near = config.read_text()
        try:
            measure(lab)
            with path(host.address, round_trip_s=ROUND_TRIP_S) as way:
                far = f"HostName 127.0.0.1\n  Port {way.port}\n  HostKeyAlias {host.address}\n"
                config.write_text(near.replace(f"HostName {host.address}\n", far))
                program = "from benchmarks.ssh import measure_far; measure_far()"
                root = str(Path(__file__).parents[1])
                done = lab.python("-c", f"import sys; sys.path.append({root!r}); {program}")
                print(done.stdout, end="")
        finally:
            config.write_text(near)
            lab.rhdesk("down", "gpubox")
            lab.rhdesk("down")


if __name__ == "__main__":
    main()
