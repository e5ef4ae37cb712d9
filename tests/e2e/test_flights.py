"""The flights example: to a real S3 over HTTP by month, by pages, with SQL, and into a training."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer

from tests.conftest import Place

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
def bucket(place: Place) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    before: dict[str, Any] = dict(place.environ)
    place.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    name = f"flights-{uuid4().hex[:8]}"
    place.rhdesk("data", "mkdir", f"s3://{name}")
    yield name
    place.environ.clear()
    place.environ |= before
    server.stop()


def test_flights_are_written_asked_and_trained_on(place: Place, bucket: str) -> None:
    at = f"s3://{bucket}/flights"
    shown = place.python("-m", "rhdesk.demo.flights", at, timeout_s=200).stdout
    assert "wrote 336,776 rows as 12 files" in shown
    assert re.search(r"EV +54173 flights +15\.8 min late", shown)
    first, best = map(float, re.findall(r"(\d+\.\d) min at first, (\d+\.\d) at best", shown)[0])
    assert best < 0.6 * first
    assert len(re.findall(r"rows: off by", shown)) == 3

    listed = place.rhdesk("data", "ls", at).stdout
    assert [f"month={n}" in listed for n in range(1, 13)] == [True] * 12
    again = place.python("-c", f"from rhdesk.demo import flights; flights.write({at!r})").stdout
    assert "is there" in again
