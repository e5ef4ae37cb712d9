"""Between a host and a bucket nothing goes through this machine: the bytes are counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from rhdesk.desk import AsyncDesk
from tests.conftest import Lab
from tests.integration.data.test_contract import finished
from tests.testbed import path as paths
from tests.testbed.hosts import Host

SIZE = 8_000_000
FEW = 200_000
"""What may cross this machine: signatures, names, and how it goes."""


@pytest.fixture
def host(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    made = lab.host("gpubox")
    monkeypatch.setenv("HOME", str(lab.home))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    S3FileSystem.clear_instance_cache()  # fsspec keeps one, and with it the address it began with
    yield made
    S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(lab: Lab, host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket that the host reaches as well as this machine does."""
    server = ThreadedMotoServer(ip_address=f"{lab.bed.network}.255.254", port=0, verbose=False)
    server.start()
    address, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{address}:{port}")
    yield f"s3://{uuid4().hex[:12]}"
    server.stop()


@pytest.fixture
def way(lab: Lab, host: Host) -> Iterator[paths.Path]:
    """All that this machine and the host say to each other."""
    config = lab.home / ".ssh" / "config"
    with paths.path(host.address, round_trip_s=0.0) as way:
        far = f"HostName 127.0.0.1\n  Port {way.port}\n  HostKeyAlias {host.address}\n"
        config.write_text(config.read_text().replace(f"HostName {host.address}\n", far))
        yield way


@pytest.fixture
async def desk(way: paths.Path) -> AsyncIterator[AsyncDesk]:
    async with AsyncDesk.open() as opened:
        yield opened


def fill(host: Host) -> Path:
    folder = host.root / "root" / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "large").write_bytes(bytes(range(256)) * (SIZE // 256))
    (folder / "deep" / "a *b ü").write_bytes(b"small")
    return folder


async def test_up_and_down_without_a_detour(
    desk: AsyncDesk, host: Host, bucket: str, way: paths.Path
) -> None:
    folder = fill(host)
    await desk.make_data_folder(bucket)
    told = await finished(desk.copy_data("gpubox:data", f"{bucket}/x"))
    assert told == "2 files, 8.0 MB, 2 without a detour through here"
    assert way.back < FEW
    assert await desk.read_data(f"{bucket}/x/deep/a *b ü") == b"small"
    again = await finished(desk.copy_data("gpubox:data", f"{bucket}/x"))
    assert again.startswith("0 files, 0.0 MB, 2 there already")
    there = way.there
    await finished(desk.copy_data(f"{bucket}/x", "gpubox:back"))
    assert way.there - there < FEW
    back = host.root / "root" / "back"
    assert (back / "large").read_bytes() == (folder / "large").read_bytes()
    assert (back / "deep" / "a *b ü").read_bytes() == b"small"
    assert not list(back.rglob("*.rhdesk-part"))


async def test_a_bucket_the_host_does_not_reach_is_reached_through_here(
    desk: AsyncDesk, host: Host, s3: str, way: paths.Path
) -> None:
    """The control: here the bytes do cross, and it is said why."""
    fill(host)
    bucket = f"s3://{uuid4().hex[:12]}"
    await desk.make_data_folder(bucket)
    told = await finished(desk.copy_data("gpubox:data", f"{bucket}/x"))
    assert "through this machine, as the host said:" in told
    assert "Connection refused" in told
    assert way.back > SIZE
    assert (await desk.data_entry(f"{bucket}/x/large")).size_bytes == SIZE


async def test_a_host_without_python_is_served_from_here(
    desk: AsyncDesk, host: Host, bucket: str, way: paths.Path
) -> None:
    fill(host)
    for folder in ("usr/bin", "usr/local/bin", "bin"):
        for name in ("python3", "python"):
            (host.root / folder / name).unlink(missing_ok=True)
    await desk.make_data_folder(bucket)
    told = await finished(desk.copy_data("gpubox:data", f"{bucket}/x"))
    assert "through this machine, as the host said: the program on the host ended" in told
    assert way.back > SIZE
