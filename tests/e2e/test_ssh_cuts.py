"""The line to a host is cut while a log streams, calls are made and edits follow; RHDESK_SOAK=1.

With RHDESK_TEST_CUTS=100 it is cut a hundred times.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from rhdesk.code.folder import Folder
from rhdesk.desk import AsyncDesk
from rhdesk.models import RunStatus, Synced
from rhdesk.wire.tree import Entry, Tree
from tests.conftest import Lab
from tests.integration.ssh.test_cuts import WAYS, cut
from tests.testbed.hosts import Host

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        not os.environ.get("RHDESK_SOAK"), reason="a host takes a minute: RHDESK_SOAK=1"
    ),
]
CUTS: Final = int(os.environ.get("RHDESK_TEST_CUTS", "8"))
EQUAL_S: Final = 2.0
APP = """
import time

def count(n: int, pause: float) -> int:
    for number in range(n):
        print("line", number)
        time.sleep(pause)
    return n

def note(name: str) -> str:
    with open("/root/called", "a") as called:
        called.write(name + "\\n")
    return name
"""


def root_there(host: Host) -> str:
    """Hash of what is really on the host, read file by file."""
    try:
        (current,) = (host.root / "root/.rhdesk").glob("**/work/*/current")
        copy = current.parent / os.readlink(current)
        entries = [
            (str(file.relative_to(copy)), Entry("f", sha256(file.read_bytes()).digest(), 0, 0))
            for file in copy.rglob("*")
            if file.is_file() and not file.name.endswith(".rhdesk")
        ]
    except (OSError, ValueError):  # changed while it was read
        return ""
    return Tree(entries).root


async def until_equal(project: Path, index: Path, host: Host) -> float:
    """Seconds until the host has what is here."""
    began = time.monotonic()
    wanted = Folder(project, index, largest_bytes=1_000_000).scan()
    while time.monotonic() - began < 20:
        if await asyncio.to_thread(root_there, host) == wanted:
            break
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def test_nothing_is_lost_doubled_or_left_behind(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = lab.host("gpubox")
    lab.script("app.py", APP)
    for number in range(30):
        lab.script(f"data{number}.txt", str(number))
    lab.rhdesk("up", "gpubox")
    for name, value in lab.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(lab.project)
    dice = random.Random(6)
    took: list[float] = []

    async def work() -> None:
        async with AsyncDesk.open() as desk, asyncio.TaskGroup() as group:
            run = await desk.submit("app.py:count", {"n": 400 * CUTS, "pause": 0.003}, on="gpubox")
            seen: list[str] = []
            syncs: list[Synced] = []

            async def follow() -> None:
                async with aclosing(desk.follow(run.run_id)) as lines:
                    seen.extend([line.text async for line in lines])

            async def watch() -> None:
                async with aclosing(desk.watch(".", on="gpubox", files=True)) as found:
                    syncs.extend([each async for each in found])

            following = group.create_task(follow())
            watching = group.create_task(watch())
            await until_equal(lab.project, tmp_path / "index", host)
            for number in range(CUTS):
                for _ in range(dice.randint(1, 4)):
                    lab.script(f"data{dice.randint(0, 29)}.txt", f"{number} {dice.random()}")
                calling = group.create_task(
                    desk.submit("app.py:note", {"name": f"call {number}"}, on="gpubox")
                )
                await asyncio.sleep(dice.uniform(0.0, 0.3))
                await cut(host, WAYS[number % len(WAYS)], dice.uniform(0.1, 1.5))
                took.append(await until_equal(lab.project, tmp_path / "index", host))
                assert (await desk.wait((await calling).run_id)).status is RunStatus.SUCCEEDED
            await following
            watching.cancel()
            assert seen == [f"line {i}" for i in range(400 * CUTS)]
            assert (await desk.wait(run.run_id)).status is RunStatus.SUCCEEDED

    try:
        asyncio.run(work())
        print(f"equal after {sorted(took)[len(took) // 2]:.2f} s, at most {max(took):.2f} s")
        assert max(took) < EQUAL_S, sorted(took)[-5:]
        called = (host.root / "root/called").read_text().splitlines()
        assert sorted(called) == sorted(f"call {number}" for number in range(CUTS))
    finally:
        lab.rhdesk("down", "gpubox")
