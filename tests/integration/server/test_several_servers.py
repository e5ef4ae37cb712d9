"""Several servers before one database: what one writes, the others tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.server.conftest import Served, Told, env, new_id, own_database


@pytest.fixture
def pair(tmp_path: Path, postgres_url: str) -> Iterator[list[Served]]:
    url = own_database(postgres_url)
    servers = [Served(url, tmp_path), Served(url, tmp_path)]
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        server.stop()


def test_who_waits_at_one_server_hears_what_was_written_at_another(pair: list[Served]) -> None:
    one, other = pair
    ada = one.user("ada")
    about = one.ask("GET", "/v1/about", token=ada).json
    assert about == other.ask("GET", "/v1/about", token=ada).json
    seq = other.ask("GET", "/v1/listing", token=ada).json["seq"]
    heard: list[Told] = []
    path = f"/v1/changes?epoch={about['epoch']}&since={seq}&wait=20"
    waiting = threading.Thread(target=lambda: heard.append(other.ask("GET", path, token=ada)))
    waiting.start()
    assert one.put(ada, env("/ada/x")).status == 200
    waiting.join(30)
    assert [row["stored"]["name"] for row in heard[0].json["rows"]] == ["/ada/x"]


def test_of_two_writes_on_one_revision_one_is_made_wherever_they_are_sent(
    pair: list[Served],
) -> None:
    ada, rid = pair[0].user("ada"), new_id()
    etag = pair[0].put(ada, env("/ada/x"), rid=rid).headers["etag"]
    for turn in range(10):
        told: list[Told] = []

        def write(server: Served, by: int, etag: str = etag, told: list[Told] = told) -> None:
            told.append(server.put(ada, env("/ada/x", by=by), rid=rid, based=etag))

        threads = [threading.Thread(target=write, args=(pair[n % 2], n)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(answer.status for answer in told) == [200, 412, 412, 412], turn
        etag = next(answer.headers["etag"] for answer in told if answer.status == 200)


def test_a_write_sent_again_to_another_server_is_made_once(pair: list[Served]) -> None:
    ada, rid, key = pair[0].user("ada"), new_id(), new_id()
    first = pair[0].put(ada, env("/ada/x"), rid=rid, op_id=key)
    again = pair[1].put(ada, env("/ada/x"), rid=rid, op_id=key)
    assert first.json == again.json
