"""A repository sent to a host, and its edits after it, beside ``rsync -a`` over the same SSH.

    python -m benchmarks.sync --files 50000

Needs root: the host is one of the tests' (tests/testbed/hosts.py), with its own network and sshd.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from rhdesk.desk import AsyncDesk
from rhdesk.models import Step, StepState, Synced
from tests.conftest import Lab
from tests.testbed.hosts import Host, bed

SIZES = (300, 1500, 4000, 9000)
EDITS = 40


def repository(root: Path, files: int) -> None:
    """Files of a few kilobytes in 5,000 folders, and rules that ignore some others."""
    dice = random.Random(1)
    for number in range(files):
        folder = root / f"package{number % 200}" / f"part{number // 200 % 25}"
        folder.mkdir(parents=True, exist_ok=True)
        text = dice.randbytes(dice.choice(SIZES) // 2).hex(" ", 30)
        (folder / f"file{number}.py").write_text(text)
    rules = ["*.log", "build/", "dist/", "/data/raw", "*.ckpt", "*.tmp", ".idea/", "docs/_build"]
    (root / ".gitignore").write_text("\n".join(rules) + "\n")


async def pushed(desk: AsyncDesk, folder: Path, *, tell: bool = False) -> tuple[float, Synced]:
    began = time.monotonic()
    last: Step | Synced | None = None
    async with aclosing(desk.push(str(folder), on="gpubox")) as events:
        async for event in events:
            last = event
            if isinstance(event, Step) and event.state is StepState.DONE and tell:
                print(f"  {event.what}: {event.detail}, {event.elapsed_s:.2f} s")
    assert isinstance(last, Synced)
    return time.monotonic() - began, last


def rsynced(lab: Lab, folder: Path, to: str) -> float:
    began = time.monotonic()
    known = lab.home / ".ssh/known_hosts"
    ssh = f"ssh -F {lab.home}/.ssh/config -o UserKnownHostsFile={known}"
    command = ["rsync", "-a", "-e", ssh, f"{folder}/", f"gpubox:{to}/"]
    subprocess.run(command, check=True, env=lab.environ)
    return time.monotonic() - began


async def edited(desk: AsyncDesk, folder: Path, host: Host) -> list[float]:
    """Seconds from a save to the file being whole on the host, with the folder watched."""
    taken: list[float] = []
    async with aclosing(desk.watch(str(folder), on="gpubox", files=True)) as syncs:
        first = await anext(syncs)
        assert not first.error, first.error
        (there,) = (host.root / "root/.rhdesk").glob("**/work/*/copies/*/.gitignore")
        for number in range(EDITS):
            name = f"package{number}/part0/file{number}.py"
            waiting = asyncio.ensure_future(anext(syncs))
            await asyncio.sleep(0.2)
            text = f"edit {number} {time.time()}"
            (folder / ".new").write_text(text)
            began = time.monotonic()
            (folder / ".new").rename(folder / name)
            await asyncio.to_thread(until_it_says, there.parent / name, text)
            taken.append(time.monotonic() - began)
            assert not (await waiting).error
    return taken


def until_it_says(file: Path, text: str) -> None:
    while file.read_text("utf-8", "replace") != text:
        time.sleep(0.001)


def share(taken: Sequence[float], of: float) -> float:
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * of))]


async def measure(lab: Lab, folder: Path, host: Host) -> None:
    before = rsynced(lab, folder, "/root/rsync-1")
    async with AsyncDesk.open() as desk:
        first, synced = await pushed(desk, folder, tell=True)
        assert synced.sent_files > 0
    after = rsynced(lab, folder, "/root/rsync-2")
    theirs = (before + after) / 2
    print(f"first sync: {first:.2f} s, rsync {before:.2f} and {after:.2f} s: {first / theirs:.2f}")
    async with AsyncDesk.open() as desk:
        await desk.cluster("gpubox")
        checks = [(await pushed(desk, folder))[0] for _ in range(5)]
        unchanged = [rsynced(lab, folder, "/root/rsync-2") for _ in range(3)]
        print(
            f"nothing changed: {checks[0] * 1000:.0f} ms from a new program, then p50 "
            f"{share(checks[1:], 0.5) * 1000:.0f} ms; rsync p50 "
            f"{share(unchanged, 0.5) * 1000:.0f} ms"
        )
        taken = await edited(desk, folder, host)
        p50, p95 = share(taken, 0.5) * 1000, share(taken, 0.95) * 1000
        print(f"a file saved, until it is on the host: p50 {p50:.0f} ms, p95 {p95:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, bed() as network:
        home = Path(place, "home")
        home.mkdir()
        lab = Lab(home, network, Path(place, "cache"))
        folder = Path(place, "repository")
        repository(folder, asked.files)
        host = lab.host("gpubox")
        lab.rhdesk("up", "gpubox")
        try:
            os.environ.update(lab.environ)
            asyncio.run(measure(lab, folder, host))
        finally:
            lab.rhdesk("down", "gpubox")


if __name__ == "__main__":
    main()
