"""10,000 small files and one of 2 GB to a host and back, next to rsync and scp over the same SSH.

    python -m benchmarks.copying [--files 10000] [--megabytes 2000] [--rounds 3]

Needs root: the host is one of the tests' (tests/testbed/hosts.py), with its own network and sshd,
and its disk is memory. Each round takes rhdesk and the peer one after the other, into a folder that
is not there yet; rhdesk's connection is made first, the peer's is part of it (0.1 to 0.2 s).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from rhdesk.blocking import Desk
from tests.testbed.hosts import Host, bed

GOAL = 1.3


def small(folder: Path, count: int) -> None:
    """Files of 100 bytes to 20 kB in folders of 100."""
    dice = Random(1)
    for number in range(count):
        place = folder / f"{number // 100}"
        if number % 100 == 0:
            place.mkdir(parents=True)
        (place / f"{number}.bin").write_bytes(
            dice.randbytes(dice.choice((100, 1000, 5000, 20000)))
        )


def large(file: Path, megabytes: int) -> None:
    file.parent.mkdir(parents=True)
    with file.open("wb") as out:
        for number in range(megabytes):
            out.write(Random(number).randbytes(1_000_000))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(files: int, megabytes: int, rounds: int) -> bool:
    is_good = True
    with bed() as network, tempfile.TemporaryDirectory(prefix="rhdesk-", dir="/dev/shm") as made:
        home = Path(made)
        host = network.host("gpubox")
        network.ssh_home(home)
        config = home / ".ssh" / "config"
        config.write_text(f"UserKnownHostsFile {home}/.ssh/known_hosts\n{config.read_text()}")
        os.environ |= {"HOME": made, "RHDESK_DATA_DIR": f"{made}/data"}
        small(home / "small", files)
        large(home / "large" / "file", megabytes)
        far = host.root / "root"
        shutil.copytree(home / "small", far / "small")
        shutil.copytree(home / "large", far / "large")
        ssh = f"ssh -F {config}"
        with Desk() as desk:
            list(desk.list_data("gpubox:small"))

            def ours(source: str, target: str) -> None:
                for _ in desk.copy_data(source, target):
                    pass

            def rsync(source: str, target: str) -> None:
                command = ["rsync", "-a", "-e", ssh, f"{source}/", f"{target}/"]
                subprocess.run(command, check=True)

            def scp(source: str, target: str) -> None:
                command = ["scp", "-q", "-F", str(config), f"{source}/file", f"{target}/file"]
                subprocess.run(command, check=True)

            peers = {"rsync": rsync, "scp": scp}
            for what, peer, put in (
                ("small", "rsync", True), ("small", "rsync", False), ("large", "rsync", True),
                ("large", "rsync", False), ("large", "scp", True), ("large", "scp", False),
            ):  # fmt: skip
                took = _rounds(home, host, what, put, (ours, peers[peer]), rounds)
                ratio = took[0] / took[1]
                way = "there" if put else "back"
                print(
                    f"{what} {way:5}  rhdesk {took[0]:6.2f} s  {peer:5} {took[1]:6.2f} s  "
                    f"{ratio:5.2f}   at most {GOAL}"
                )
                is_good &= ratio <= GOAL
    return is_good


def _rounds(
    home: Path,
    host: Host,
    what: str,
    put: bool,
    copies: tuple[Callable[[str, str], None], ...],
    rounds: int,
) -> list[float]:
    """Median seconds of each, taken in turn; what was written is compared and removed."""
    took: list[list[float]] = [[] for _ in copies]
    origin = home / what
    for _ in range(rounds):
        for number, copy in enumerate(copies):
            target = (host.root / "root" if put else home) / "target"
            shutil.rmtree(target, ignore_errors=True)
            if what == "large":
                target.mkdir()
            source, to = (str(origin), "gpubox:target") if put else (f"gpubox:{what}", str(target))
            took[number].append(_seconds(partial(copy, source, to)))
            command = ["diff", "-rq", str(origin), str(target)]
            subprocess.run(command, check=True)
    shutil.rmtree(target)
    return [statistics.median(each) for each in took]


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--files", type=int, default=10_000)
    words.add_argument("--megabytes", type=int, default=2000)
    words.add_argument("--rounds", type=int, default=3)
    asked = words.parse_args()
    return 0 if measure(asked.files, asked.megabytes, asked.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
