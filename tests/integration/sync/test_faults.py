"""A laptop that is killed, whose disk is full or read-only: what it said was saved, is."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rhdesk.errors import StoreUnwritable
from tests.integration.server.conftest import Served
from tests.integration.sync.laptop import Laptop
from tests.integration.sync.writer import NAMES

KILLS = int(os.environ.get("RHDESK_TEST_KILLS", "70"))


def killed(home: Path, first: int, after_s: float, *how: str) -> list[int]:
    """What a writer said it had saved before it was killed."""
    words = ["-m", "tests.integration.sync.writer", str(home), str(first), *how]
    child = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE)
    assert child.stdout is not None
    told = child.stdout.readline()  # it has begun
    time.sleep(after_s)
    child.kill()
    told += child.stdout.read()
    child.wait(20)
    child.stdout.close()
    return [int(line) for line in told.split(b"\n")[:-1]]


async def lost(laptop: Laptop, acknowledged: list[int]) -> list[int]:
    kept: dict[str, object] = {}
    for number in range(NAMES):
        kept |= (await laptop.load(f"/ada/n{number}")).config
    return [number for number in acknowledged if kept.get(f"f{number}") != number]


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_acknowledged_is_lost_to_kills(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, draw = tmp_path / "ada", random.Random(7)
    laptop = Laptop(home)
    await laptop.store.login(served.url, served.user("ada"))
    acknowledged: list[int] = []
    slowest = 0.0
    for kill in range(KILLS):
        acknowledged += killed(home, 100_000 * (kill + 1), draw.uniform(0.0, 0.4))
        if kill % 10 == 0:
            began = time.monotonic()
            assert await laptop.names()
            slowest = max(slowest, time.monotonic() - began)
    await laptop.settle()
    assert await lost(laptop, acknowledged) == []
    other = Laptop(tmp_path / "elsewhere")
    await other.store.login(served.url, served.user("ada"))
    await other.settle()
    assert await lost(other, acknowledged) == []
    assert slowest < 2.0
    with capsys.disabled():
        print(f"\n{KILLS} kills, {len(acknowledged)} writes acknowledged, 0 lost")
    for each in (laptop, other):
        await each.store.aclose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_laptop_that_says_so_too_early_loses_some(served: Served, tmp_path: Path) -> None:
    """The negative control: the same kills, told before the disk had it."""
    home, draw = tmp_path / "ada", random.Random(7)
    laptop = Laptop(home)
    await laptop.store.login(served.url, served.user("ada"))
    told: list[int] = []
    for kill in range(8):
        told += killed(home, 100_000 * (kill + 1), draw.uniform(0.0, 0.2), "too-early")
    for number in range(NAMES):
        await laptop.change(f"/ada/n{number}", settled=True)
    assert await lost(laptop, told)
    await laptop.store.aclose()


# ---- the disk


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._run("mount", "-t", "tmpfs", "-o", "size=700k,mode=0700", "tmpfs", str(folder))

    def remount(self, options: str) -> None:
        self._run("mount", "-o", f"remount,{options}", str(self.folder))

    def unmount(self) -> None:
        self._run("umount", "--lazy", str(self.folder))

    @staticmethod
    def _run(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.getuid() != 0:
        pytest.skip("only root can mount a file system")
    try:
        made = Disk(tmp_path / "disk")
    except subprocess.CalledProcessError:
        pytest.skip("this machine does not let root mount a file system")
    yield made
    made.unmount()


@pytest.fixture
async def small(disk: Disk, served: Served) -> Laptop:
    """A laptop on a small disk."""
    laptop = Laptop(disk.folder)
    await laptop.store.login(served.url, served.user("ada"))
    return laptop


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_on_a_full_disk_a_save_fails_before_it_says_saved(small: Laptop, disk: Disk) -> None:
    saved: list[int] = []
    tried: list[int] = []
    error: StoreUnwritable | None = None
    while error is None and len(saved) < 2000:
        number = len(tried)
        tried.append(number)
        try:
            await small.change(f"/ada/n{number % NAMES}", **{f"f{number}": number})
            saved.append(number)
        except StoreUnwritable as exc:
            error = exc
    assert error is not None
    assert len(saved) > 10
    assert await lost(small, saved) == []  # a full disk can be read
    assert await lost(small, tried) == tried[-1:]  # the negative control: the check sees one
    # Another program opens what is there, still without room.
    again = Laptop(disk.folder)
    assert await lost(again, saved) == []
    with pytest.raises(StoreUnwritable):
        await again.change("/ada/n0", text="x" * 200_000)
    disk.remount("size=20m")
    await again.change("/ada/n0", more=1)
    await again.settle()
    assert await lost(again, saved) == []
    for each in (small, again):
        await each.store.aclose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_read_only_folder_is_read_and_says_so_when_written(
    small: Laptop, disk: Disk
) -> None:
    await small.change("/ada/n0", f0=0)
    await small.store.aclose()  # the kernel wants nobody to have a file open for writing
    disk.remount("ro")
    laptop = Laptop(disk.folder)
    assert (await laptop.load("/ada/n0")).config["f0"] == 0
    with pytest.raises(StoreUnwritable):
        await laptop.change("/ada/n0", f1=1)
    assert "f1" not in (await laptop.load("/ada/n0")).config
    assert (await laptop.store.state()).queued == 1
    await laptop.store.aclose()
    disk.remount("rw")
    laptop = Laptop(disk.folder)
    await laptop.change("/ada/n0", f1=1)
    await laptop.settle()
    await laptop.store.aclose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_damaged_mirror_is_read_anew_from_the_store(
    served: Served, tmp_path: Path
) -> None:
    home = tmp_path / "ada"
    laptop = Laptop(home)
    await laptop.store.login(served.url, served.user("ada"))
    for number in range(40):
        await laptop.save(f"/ada/n{number}", text="precious", number=number)
    await laptop.settle()
    before = [(r.name, r.version) for r in await laptop.names()]
    await laptop.save("/ada/waiting", text="not there yet")
    await laptop.store.aclose()
    (mirror,) = home.glob("sync/*/mirror.db")
    draw = random.Random(3)
    for _ in range(20):
        data = bytearray(mirror.read_bytes())
        spots = [at for at in range(len(data)) if data.startswith(b"precious", at)]
        data[draw.choice(spots)] ^= 1 << draw.randrange(7)
        mirror.write_bytes(data)
        laptop = Laptop(home)
        aside = set(home.glob("sync/*/mirror.damaged-*.db"))
        state = await laptop.store.sync(timeout_s=30)
        assert state.status == "current"
        assert set(home.glob("sync/*/mirror.damaged-*.db")) != aside, "it was not noticed"
        found = {r.name: r for r in await laptop.names()}
        assert [(n, found[n].version) for n, _ in before] == before
        assert found["/ada/waiting"].config["text"] == "not there yet"
        await laptop.store.aclose()
    assert len(list(home.glob("sync/*/mirror.damaged-*.db"))) == 1
