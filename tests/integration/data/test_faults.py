"""What goes wrong with data: it is said clearly, nothing is half-written, nothing is lost."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs
from fsspec.implementations.local import LocalFileSystem

from rhdesk.data.moving import Left, Moving
from rhdesk.data.place import PART, Place
from rhdesk.data.systems import parse
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, NotFound, StoreUnwritable
from rhdesk.models import Location
from tests.integration.data.test_contract import finished

SIZE = 24 << 20


def here(path: Path) -> Place:
    return Place(Location("here", str(path)), LocalFileSystem())


async def test_a_system_that_is_none_is_told_with_the_nearest(desk: AsyncDesk) -> None:
    with pytest.raises(NotFound, match="memori") as caught:
        await desk.list_data("memori://x")
    assert "memory" in caught.value.near


@pytest.mark.parametrize("text", ["", "a\0b", "sftp:///x"])
def test_what_names_no_place_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse(text)


def test_a_place_says_its_system_once() -> None:
    assert parse("s3://bucket/x", "s3") == Location("s3", "bucket/x")
    with pytest.raises(BadInput, match="not on gs"):
        parse("s3://bucket/x", "gs")


@pytest.mark.parametrize("point", random.Random(7).sample(range(1, SIZE >> 20), 20))
def test_a_copy_that_was_interrupted_goes_on_where_it_was(tmp_path: Path, point: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(random.Random(point).randbytes(SIZE))
    told: list[str] = []

    def stop_there(text: str) -> None:
        told.append(text)
        if len(told) == point:
            first.stop()

    first = Moving(stop_there)
    with pytest.raises(Left):
        first.copy(here(source), here(target))
    assert not target.exists()
    again = Moving(lambda _: None).copy(here(source), here(target))
    assert again.size_bytes == SIZE - (point << 20)
    assert target.read_bytes() == source.read_bytes()
    assert not list(tmp_path.glob(f".*{PART}"))


def test_what_an_earlier_copy_left_counts_only_if_it_is_still_the_same(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(SIZE))
    first = Moving(lambda _: first.stop())
    with pytest.raises(Left):
        first.copy(here(source), here(target))
    source.write_bytes(b"x" * SIZE)
    again = Moving(lambda _: None).copy(here(source), here(target))
    assert again.size_bytes == SIZE
    assert target.read_bytes() == b"x" * SIZE


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    disk = tmp_path / "small"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_a_full_disk_leaves_what_was_there(
    desk: AsyncDesk, small: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (small / "target").write_bytes(b"before")
    source.write_bytes(bytes(8 << 20))
    with pytest.raises(StoreUnwritable, match="No space left"):
        await finished(desk.move_data(str(source), str(small / "target")))
    assert (small / "target").read_bytes() == b"before"
    assert os.listdir(small) == ["target"]
    assert source.stat().st_size == 8 << 20
    source.write_bytes(bytes(1 << 20))  # the control: with room the same copy goes well
    await finished(desk.move_data(str(source), str(small / "target")))
    assert (small / "target").stat().st_size == 1 << 20


async def test_keys_that_lead_outside_are_refused_before_anything_is_written(
    desk: AsyncDesk, s3: str, tmp_path: Path
) -> None:
    bucket: Any = s3fs.S3FileSystem(skip_instance_cache=True)
    bucket.mkdir("hostile")
    bucket.call_s3("put_object", Bucket="hostile", Key="x/good", Body=b"good")
    await finished(desk.copy_data("s3://hostile/x", str(tmp_path / "control")))
    assert (tmp_path / "control" / "good").read_bytes() == b"good"
    bucket.call_s3("put_object", Bucket="hostile", Key="x/../evil", Body=b"evil")
    with pytest.raises(BadInput, match="outside"):
        await finished(desk.copy_data("s3://hostile/x", str(tmp_path / "target")))
    assert not (tmp_path / "target").exists()
    assert not (tmp_path / "evil").exists()


async def test_a_bucket_that_does_not_exist_is_said_and_the_source_stays(
    desk: AsyncDesk, s3: str, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"kept")
    with pytest.raises(NotFound, match="no-such-bucket"):
        await finished(desk.move_data(str(tmp_path / "source"), "s3://no-such-bucket/x"))
    assert (tmp_path / "source").read_bytes() == b"kept"
