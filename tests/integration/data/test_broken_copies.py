"""Copies to a host and back, broken anywhere: nothing half-written has a name, and they go on.

Three points in CI; RHDESK_SOAK=1 takes twenty.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from rhdesk.data import carrying
from rhdesk.data.carrier import Carrier
from rhdesk.data.moving import Moving
from rhdesk.data.place import PART
from rhdesk.desk import AsyncDesk
from rhdesk.errors import ConnectionFailed
from tests.conftest import Lab
from tests.integration.data.test_contract import finished
from tests.testbed import path as paths
from tests.testbed.hosts import Host

SMALL = 300
LARGE = 40_000_000
POINTS = 20 if os.environ.get("RHDESK_SOAK") else 3
BREAKS = ("this program", "the connection", "the program there")


@pytest.fixture
def host(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = lab.host("gpubox")
    monkeypatch.setenv("HOME", str(lab.home))
    return made


@pytest.fixture
def way(lab: Lab, host: Host) -> Iterator[paths.Path]:
    config = lab.home / ".ssh" / "config"
    with paths.path(host.address, round_trip_s=0.0) as way:
        far = f"HostName 127.0.0.1\n  Port {way.port}\n  HostKeyAlias {host.address}\n"
        config.write_text(config.read_text().replace(f"HostName {host.address}\n", far))
        yield way


def fill(folder: Path) -> int:
    """Files, the large one in the middle of their order; how many bytes they are."""
    dice = Random(3)
    folder.mkdir()
    for number in range(SMALL):
        (folder / f"{number:03}").write_bytes(dice.randbytes(dice.choice((10, 5000, 20000))))
    (folder / "150-large").write_bytes(dice.randbytes(LARGE))
    (folder / "150-large").chmod(0o750)
    return sum(file.stat().st_size for file in folder.iterdir())


def wrong(source: Path, target: Path) -> list[str]:
    """Files of *target* that are not as in *source*."""
    found = [file for file in target.iterdir() if not file.name.endswith(PART)]
    return [f.name for f in found if f.read_bytes() != (source / f.name).read_bytes()]


def broken(
    lab: Lab, host: Host, way: paths.Path, words: tuple[str, str], at: int, how: str
) -> None:
    """Copy until *at* bytes have gone, and break it."""
    way.there = way.back = 0
    copying = lab.start("-m", "rhdesk.cli", "data", "cp", *words)
    give_up = time.monotonic() + 60
    while max(way.there, way.back) < at and time.monotonic() < give_up:
        assert copying.poll() is None, copying.communicate()
        time.sleep(0.001)
    if how == "this program":
        copying.kill()
    elif how == "the connection":
        way.reset()
    else:
        for pid in host.pids():
            with suppress(OSError):
                if b"serve()" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, 9)
    said, errors = copying.communicate(timeout=60)
    assert copying.returncode, (said, errors)
    assert "Traceback" not in errors


@pytest.mark.parametrize("point", range(POINTS))
def test_it_goes_on_and_the_hashes_agree(
    lab: Lab, host: Host, way: paths.Path, point: int
) -> None:
    dice = Random(point)
    here, there = lab.project / "tree", host.root / "root" / "tree"
    is_put = point % 2 == 0
    size = fill(here if is_put else there)
    source, target = (here, there) if is_put else (there, here)
    words = ("tree", "gpubox:tree") if is_put else ("gpubox:tree", "tree")
    at = dice.randrange(200_000, size * 9 // 10)
    broken(lab, host, way, words, at, BREAKS[point % 3])
    whole_so_far = 0
    if target.exists():
        assert not wrong(source, target)
        whole_so_far = sum(file.stat().st_size for file in target.iterdir())
    way.there = way.back = 0
    lab.python("-m", "rhdesk.cli", "data", "cp", *words)
    assert max(way.there, way.back) < size - whole_so_far + 500_000
    assert not wrong(source, target)
    assert sorted(os.listdir(target)) == sorted(os.listdir(source))
    assert (target / "150-large").stat().st_mode & 0o777 == 0o750


async def _cut_in_the_middle(desk: AsyncDesk, host: Host, source: Path, where: str) -> None:
    def cut(_: str) -> None:
        for pid in host.pids():
            with suppress(OSError):
                if b"serve()" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, 9)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Moving, "_say", lambda _, name, sent: cut(name) if sent > 5_000_000 else None
        )
        with pytest.raises(ConnectionFailed):
            await finished(desk.copy_data(str(source), where))


async def test_without_a_name_of_its_own_a_file_would_be_half_written(
    host: Host, desk: AsyncDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "tree", host.root / "root" / "tree"
    fill(source)
    monkeypatch.setattr(Moving, "_part", staticmethod(lambda target: target))
    await _cut_in_the_middle(desk, host, source, "gpubox:tree")
    assert wrong(source, target) == ["150-large"]


async def test_gone_on_from_without_a_look_at_the_hash_it_would_be_wrong(
    host: Host, desk: AsyncDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "tree", host.root / "root" / "tree"
    fill(source)
    await _cut_in_the_middle(desk, host, source, "gpubox:tree")
    (source / "150-large").write_bytes(
        Random(9).randbytes(LARGE)
    )  # the same size, another content
    with monkeypatch.context() as patch:
        patch.setattr(Carrier, "_same", lambda _, pairs, is_put: [True] * len(pairs))
        await finished(desk.copy_data(str(source), "gpubox:tree"))
    assert wrong(source, target) == ["150-large"]
    await finished(desk.copy_data(str(source), "gpubox:tree"))
    assert not wrong(source, target)


async def test_what_arrives_otherwise_than_it_was_sent_is_no_file(
    host: Host, desk: AsyncDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = host.root / "root" / "tree"
    fill(source)
    exactly = carrying._exactly

    def flipped(reading: object, size: int) -> bytes:
        data = exactly(reading, size)  # type: ignore[arg-type]
        return data[:-1] + bytes([data[-1] ^ 1]) if size == carrying.PIECE else data

    monkeypatch.setattr(carrying, "_exactly", flipped)
    with pytest.raises(ConnectionFailed, match="not what was sent"):
        await finished(desk.copy_data("gpubox:tree", str(tmp_path / "tree")))
    assert not wrong(source, tmp_path / "tree")
    assert not (tmp_path / "tree" / "150-large").exists()


async def test_a_full_disk_there_is_said_and_leaves_nothing_half_written(
    host: Host, desk: AsyncDesk, tmp_path: Path
) -> None:
    source = tmp_path / "tree"
    fill(source)
    host.exec("/bin/mkdir", "/root/disk")
    host.exec("/bin/mount", "-t", "tmpfs", "-o", "size=8m", "disk", "/root/disk")
    with pytest.raises(Exception, match="No space left"):
        await finished(desk.copy_data(str(source), "gpubox:disk/tree"))
    written = host.root / "root" / "disk" / "tree"
    assert not wrong(source, written)
    assert not [name for name in os.listdir(written) if name.endswith(PART)]
    (source / "150-large").unlink()  # the control: what fits goes
    assert "there already" in await finished(desk.copy_data(str(source), "gpubox:disk/tree"))
