"""Every system the contract is kept on: this machine, memory, a bucket over HTTP, a real sshd."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer

from rhdesk.desk import AsyncDesk

SYSTEMS = ["here", "memory", "s3", "sftp", "cluster"]


@pytest.fixture(scope="session")
def _buckets() -> Iterator[str]:
    """The address of an S3 of its own."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(_buckets: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An S3 that this process's credentials open; its address."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", _buckets)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return _buckets


@pytest.fixture
async def desk() -> AsyncIterator[AsyncDesk]:
    async with AsyncDesk.open() as opened:
        yield opened


@pytest.fixture(params=SYSTEMS)
def spot(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place of one system that nobody else uses, spelled for the desk."""
    name = uuid4().hex[:12]
    match request.param:
        case "here":
            return str(tmp_path / name)
        case "memory":
            return f"memory://{name}"
        case "s3":
            request.getfixturevalue("s3")
            return f"s3://{name}"
        case system:
            lab = request.getfixturevalue("lab")
            lab.host("gpubox")
            monkeypatch.setenv("HOME", str(lab.home))
            return f"gpubox:{name}" if system == "cluster" else f"sftp://gpubox/tmp/{name}"
