"""Clients that mean ill, hang up, dawdle or are let go: none of them gets more than a sentence."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import psycopg
import pytest

from rhdesk.server.routes import ROUTES
from rhdesk.server.store import Store
from tests.integration.server.conftest import Served, Told, env, new_id


@pytest.mark.parametrize(
    "more",
    [
        {"note": "a\0b"},
        {"run_id": "a\0b"},
        {"note": "n" * 5000},
        {"run_id": "r" * 200},
        {"saved_at": "0001-01-01T00:00:00+14:00"},
        {"saved_at": "2026-10-01T12:00:00"},
    ],
)
def test_what_cannot_be_written_down_is_refused_before_it_is_tried(
    served: Served, more: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": new_id(), "If-None-Match": "*"}
    body = {"body": env("/ada/x"), **more}
    path = f"/v1/r/{new_id()}"
    told = served.ask("PUT", path, token=served.user("ada"), body=body, headers=headers)
    assert told.status in {400, 422}, told.body


def test_a_parameter_no_database_would_take_does_not_reach_it(served: Served) -> None:
    ada = served.user("ada")
    assert served.ask("GET", "/v1/listing?after=%00", token=ada).status == 422
    both = {"If-Match": '"a.1"', "If-None-Match": "*", "Idempotency-Key": new_id()}
    told = served.ask("PUT", f"/v1/r/{new_id()}", token=ada, body={"body": None}, headers=both)
    assert told.status == 422


def test_what_was_deleted_and_forgotten_keeps_its_history_when_its_id_comes_again(
    served: Served,
) -> None:
    ada, rid = served.user("ada"), new_id()
    made = served.put(ada, env("/ada/x"), rid=rid)
    served.put(ada, None, rid=rid, based=made.headers["etag"])
    with served.accounts() as accounts:
        Store(accounts.database).forget_before(10**6)
    again = served.put(ada, env("/ada/x"), rid=rid)
    assert again.status == 412
    assert again.json["current"]["rev"] == 2
    assert again.json["current"]["body"] is None


def _waiting(served: Served, token: str, heard: list[Told]) -> threading.Thread:
    about = served.ask("GET", "/v1/about", token=token).json
    seq = served.ask("GET", "/v1/listing", token=token).json["seq"]
    path = f"/v1/changes?epoch={about['epoch']}&since={seq}&wait=15"
    thread = threading.Thread(target=lambda: heard.append(served.ask("GET", path, token=token)))
    thread.start()
    time.sleep(0.5)
    return thread


def test_who_waits_with_a_token_that_is_revoked_hears_nothing_more(served: Served) -> None:
    ada, heard = served.user("ada"), list[Told]()
    other = served.user("ada")
    thread = _waiting(served, other, heard)
    with served.accounts() as accounts:
        accounts.revoke(other.split("_")[2])
    time.sleep(0.1)
    served.put(ada, env("/ada/canary"))
    thread.join(20)
    assert heard[0].status == 401
    assert b"canary" not in heard[0].body


def test_who_waits_in_a_folder_that_is_taken_away_is_told_so_and_no_more(served: Served) -> None:
    ada, eve, heard = served.user("ada", scope="admin"), served.user("eve"), list[Told]()
    grant = {"principal": "eve", "folder": "/ada", "level": "read"}
    assert served.ask("PUT", "/v1/grants", token=ada, body=grant).status == 204
    thread = _waiting(served, eve, heard)
    served.ask("PUT", "/v1/grants", token=ada, body={**grant, "level": "none"})
    served.put(ada, env("/ada/canary"))
    thread.join(20)
    assert heard[0].json["rows"][0]["readable"] == ["/eve"]
    assert b"canary" not in heard[0].body


def test_a_token_waits_in_eight_places_and_hanging_up_gives_one_back(served: Served) -> None:
    ada = served.user("ada")
    epoch = served.ask("GET", "/v1/about", token=ada).json["epoch"]
    path = f"/v1/changes?epoch={epoch}&since=1&wait=20"
    lines = []
    for _ in range(8):
        line = socket.create_connection(("127.0.0.1", served.port))
        words = f"GET {path} HTTP/1.1\r\nHost: store\r\nAuthorization: Bearer {ada}\r\n\r\n"
        line.sendall(words.encode())
        lines.append(line)
    time.sleep(0.5)
    refused = served.ask("GET", path, token=ada)
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) > 0
    for line in lines:
        line.close()
    time.sleep(2.5)
    assert served.ask("GET", path.replace("wait=20", "wait=0.1"), token=ada).status == 200


def test_everything_that_goes_wrong_is_told_in_one_form(served: Served) -> None:
    ada = served.user("ada")
    asked = [
        served.ask("GET", "/", token=ada),
        served.ask("GET", "/v1/r", token=ada),
        served.ask("POST", "/v1/about", token=ada, data=b""),
        served.ask("DELETE", "/v1/openapi.json", token=ada),
        served.ask("GET", "/v1/r/%2e%2e%2fx", token=ada),
        served.ask("GET", f"/v1/r/{new_id()}", token=ada),
    ]
    assert [told.status for told in asked] == [404, 404, 405, 405, 404, 404]
    assert all(set(told.json) == {"code", "message"} for told in asked)


def test_without_a_token_not_even_the_protocol_is_told(served: Served) -> None:
    for route in ROUTES:
        told = served.ask(route.method, route.path, headers={"Rhdesk-Api": "9;min=9"})
        assert told.status == 401, route


def test_a_database_that_goes_away_in_the_middle_is_told_as_a_pause(
    served: Served, request: pytest.FixtureRequest
) -> None:
    if not served.database.startswith("postgresql"):
        pytest.skip("there is nothing between the server and its SQLite that could go away")
    ada = served.user("ada")
    served.ask("GET", "/v1/about", token=ada)
    told: list[Told] = []
    with (
        psycopg.connect(served.database) as holder,
        psycopg.connect(request.getfixturevalue("postgres_url"), autocommit=True) as keeper,
    ):
        holder.execute("SELECT 1 FROM head FOR UPDATE")
        writing = threading.Thread(target=lambda: told.append(served.put(ada, env("/ada/x"))))
        writing.start()
        # Reading goes on beside a writer that hangs.
        assert served.ask("GET", "/v1/about", token=ada).status == 200
        ended = 0
        for _ in range(100):
            ended = keeper.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock'"
            ).fetchone()[0]  # type: ignore[index]  # count() always has a row
            if ended:
                break
            time.sleep(0.05)
        writing.join(20)
    assert ended == 1
    assert told[0].status == 503
    assert told[0].json["code"] == "connection_failed"
    assert served.put(ada, env("/ada/x")).status == 200
