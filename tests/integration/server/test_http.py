"""The rules of the store, told over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from rhdesk.server.routes import LARGEST_BODY, MOST_ROWS, ROUTES
from tests.integration.server.conftest import Served, env, new_id


def _path(path: str) -> str:
    return path.replace("{rid}", new_id()).replace("{digest}", "0" * 64)


def test_no_route_answers_without_a_token_that_is_good_now(served: Served) -> None:
    good = served.user("ada")
    with served.accounts() as accounts:
        expired = accounts.make_token("ada", lasts=timedelta(seconds=-1))
        revoked = accounts.make_token("ada")
        accounts.revoke(revoked.split("_")[2])
    head, _, secret = good.rpartition("_")
    other = f"{head}_{secret[::-1]}"
    for method, path in [(r.method, _path(r.path)) for r in ROUTES] + [
        ("GET", "/"),
        ("GET", "/x"),
    ]:
        for token in ("", "x", other, expired, revoked, good[:-1], good.upper()):
            told = served.ask(method, path, token=token, body={})
            assert told.status == 401, (method, path, token)
            assert method == "HEAD" or set(told.json) == {"code", "message"}
    assert served.ask("GET", "/v1/about", token=good).status == 200


def test_a_token_is_good_for_its_scope_only(served: Served) -> None:
    reader = served.user("ada", scope="read")
    for route in ROUTES:
        told = served.ask(route.method, _path(route.path), token=reader, body={})
        assert (told.status == 403) == (route.scope != "read"), route


def test_the_secret_of_a_token_is_nowhere_in_the_database(tmp_path: Path) -> None:
    store = Served(str(tmp_path / "store"), tmp_path)
    secret = store.user("ada").rpartition("_")[2]
    data = (tmp_path / "store" / "store.db").read_bytes()
    assert b"ada" in data
    assert secret.encode() not in data


def test_a_write_is_made_once_however_often_it_is_sent(served: Served) -> None:
    ada = served.user("ada")
    rid, op_id = new_id(), new_id()
    first = served.put(ada, env("/ada/x"), rid=rid, op_id=op_id)
    again = served.put(ada, env("/ada/x"), rid=rid, op_id=op_id)
    assert first.status == again.status == 200
    assert first.json == again.json
    versions = served.ask("GET", f"/v1/r/{rid}/versions", token=ada).json["rows"]
    assert [v["rev"] for v in versions] == [1]
    another = served.put(ada, env("/ada/x", more=1), rid=rid, op_id=op_id)
    assert another.status == 422


def test_a_write_on_an_old_revision_is_told_what_is_there(served: Served) -> None:
    ada = served.user("ada")
    rid = new_id()
    one = served.put(ada, env("/ada/x", a=1), rid=rid)
    etag = one.headers["etag"]
    assert served.put(ada, env("/ada/x", a=2), rid=rid, based=etag).status == 200
    stale = served.put(ada, env("/ada/x", a=3), rid=rid, based=etag)
    assert stale.status == 412
    assert stale.json["current"]["body"]["a"] == 2
    assert served.put(ada, env("/ada/x"), rid=new_id()).status == 409


def test_a_write_says_what_it_was_made_on_and_who_it_is(served: Served) -> None:
    ada = served.user("ada")
    path = f"/v1/r/{new_id()}"
    body = {"body": env("/ada/x")}
    key = {"Idempotency-Key": new_id()}
    assert served.ask("PUT", path, token=ada, body=body, headers=key).status == 428
    bad = served.ask("PUT", path, token=ada, body=body, headers={**key, "If-Match": "7"})
    assert bad.status == 422
    no_key = served.ask("PUT", path, token=ada, body=body, headers={"If-None-Match": "*"})
    assert no_key.status == 428
    assert "Idempotency-Key" in no_key.json["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "/ada/x"},
        {"resource_type": "env"},
        env("~/x"),
        env("/ada/x@1234"),
        env("/x"),
        env("/ada/../eve/x"),
        env("/ada/x\x1b[2J"),
        env("/ada/x", deep=json.loads("[" * 40 + "]" * 40)),
        env("/ada/x", wide={str(n): n for n in range(5000)}),
    ],
)
def test_what_no_store_would_take_is_refused_with_a_sentence(
    served: Served, body: dict[str, object]
) -> None:
    told = served.put(served.user("ada"), body)
    assert told.status == 422
    assert len(told.json.get("message") or told.json["reason"]) > 10


def test_a_body_that_is_too_large_is_refused_while_it_is_read(served: Served) -> None:
    ada = served.user("ada")
    headers = {"Idempotency-Key": new_id(), "If-None-Match": "*"}
    data = b'{"body": "' + b"x" * (LARGEST_BODY + 1)
    told = served.ask("PUT", f"/v1/r/{new_id()}", token=ada, data=data, headers=headers)
    assert told.status == 413
    garbage = served.ask("PUT", f"/v1/r/{new_id()}", token=ada, data=b"\xff{", headers=headers)
    assert garbage.status == 400


def test_nobody_sees_or_writes_what_they_were_not_granted(served: Served) -> None:
    ada, eve = served.user("ada"), served.user("eve")
    rid = new_id()
    etag = served.put(ada, env("/ada/x", secret="canary"), rid=rid).headers["etag"]
    epoch = served.ask("GET", "/v1/about", token=eve).json["epoch"]
    answers = [
        served.ask("GET", f"/v1/r/{rid}", token=eve),
        served.ask("GET", f"/v1/r/{rid}/versions", token=eve),
        served.ask("GET", "/v1/listing", token=eve),
        served.ask("GET", f"/v1/changes?epoch={epoch}&since=0", token=eve),
        served.ask("GET", "/v1/grants?folder=/ada", token=eve),
        served.put(eve, env("/ada/x"), rid=rid, based=etag),
        served.put(eve, env("/ada/x"), rid=rid),
        served.put(eve, env("/ada/y")),
        served.put(eve, env("/eve/x"), rid=rid, based=etag),
        served.put(eve, None, rid=rid, based=etag),
    ]
    assert all(b"canary" not in answer.body for answer in answers)
    assert [a.status for a in answers] == [404, 404, 200, 200, 403, 403, 403, 403, 403, 403]


def test_a_grant_counts_at_once_and_ends_at_once(served: Served) -> None:
    ada, eve = served.user("ada", scope="admin"), served.user("eve")
    rid = new_id()
    etag = served.put(ada, env("/ada/x"), rid=rid).headers["etag"]

    def let(level: str, folder: str = "/ada") -> int:
        body = {"principal": "eve", "folder": folder, "level": level}
        return served.ask("PUT", "/v1/grants", token=ada, body=body).status

    assert let("read") == 204
    assert served.ask("GET", f"/v1/r/{rid}", token=eve).status == 200
    assert served.put(eve, env("/ada/x", a=1), rid=rid, based=etag).status == 403
    assert let("write") == 204
    assert served.put(eve, env("/ada/x", a=1), rid=rid, based=etag).status == 200
    assert let("none") == 204
    assert served.ask("GET", f"/v1/r/{rid}", token=eve).status == 404
    assert let("read", "/eve") == 403
    assert let("king") == 422
    body = {"principal": "nobody", "folder": "/ada", "level": "read"}
    assert served.ask("PUT", "/v1/grants", token=ada, body=body).status == 404


def test_who_waits_for_news_hears_them_when_they_happen(served: Served) -> None:
    ada = served.user("ada")
    about = served.ask("GET", "/v1/about", token=ada).json
    served.put(ada, env("/ada/first"))
    page = served.ask("GET", f"/v1/changes?epoch={about['epoch']}&since=1", token=ada).json
    heard: list[tuple[float, int]] = []

    def wait() -> None:
        path = f"/v1/changes?epoch={about['epoch']}&since={page['next']}&wait=20"
        told = served.ask("GET", path, token=ada).json
        heard.append((time.monotonic(), len(told["rows"])))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.5)
    assert not heard
    served.put(ada, env("/ada/second"))
    written = time.monotonic()
    waiting.join(20)
    assert heard[0][1] == 1
    assert heard[0][0] - written < 5


def test_an_epoch_or_a_place_that_is_not_the_stores_means_list_anew(served: Served) -> None:
    ada = served.user("ada")
    epoch = served.ask("GET", "/v1/about", token=ada).json["epoch"]
    assert served.ask("GET", "/v1/changes?epoch=other&since=0", token=ada).status == 410
    assert served.ask("GET", f"/v1/changes?epoch={epoch}&since=99", token=ada).status == 410


def test_pages_are_as_long_as_was_asked_and_miss_nothing(served: Served) -> None:
    ada = served.user("ada")
    names = {f"/ada/n{n}" for n in range(25)}
    for name in names:
        served.put(ada, env(name))
    seen, after = set[str](), ""
    for _ in range(10):
        page = served.ask("GET", f"/v1/listing?limit=10&after={after}", token=ada).json
        seen |= {row["name"] for row in page["rows"]}
        after = page["rows"][-1]["rid"]
        if not page["more"]:
            break
    assert seen == names
    assert served.ask("GET", f"/v1/listing?limit={MOST_ROWS + 1}", token=ada).status == 422


def test_code_is_kept_by_its_digest(served: Served) -> None:
    import hashlib

    ada = served.user("ada")
    data = bytes(range(256)) * 10
    path = f"/v1/blobs/{hashlib.sha256(data).hexdigest()}"
    assert served.ask("HEAD", path, token=ada).status == 404
    assert served.ask("PUT", path, token=ada, data=data + b"x").status == 422
    assert served.ask("PUT", path, token=ada, data=data).status == 204
    assert served.ask("PUT", path, token=ada, data=data).status == 204
    assert served.ask("HEAD", path, token=ada).status == 200
    assert served.ask("GET", path, token=ada).body == data


def test_another_protocol_is_told_which_ones_there_are(served: Served) -> None:
    ada = served.user("ada")
    for header, status in (("1;min=1", 200), ("9;min=1", 200), ("9;min=8", 426), ("x", 426)):
        told = served.ask("GET", "/v1/about", token=ada, headers={"Rhdesk-Api": header})
        assert told.status == status, header


def test_a_revision_that_is_known_is_not_sent_again(served: Served) -> None:
    ada, rid = served.user("ada"), new_id()
    made = served.put(ada, env("/ada/x"), rid=rid)
    first = served.ask("GET", f"/v1/r/{rid}", token=ada)
    assert first.headers["etag"] == made.headers["etag"]
    known = {"If-None-Match": first.headers["etag"]}
    again = served.ask("GET", f"/v1/r/{rid}", token=ada, headers=known)
    assert (again.status, again.body) == (304, b"")
    served.put(ada, env("/ada/x", a=1), rid=rid, based=made.headers["etag"])
    assert served.ask("GET", f"/v1/r/{rid}", token=ada, headers=known).status == 200


def test_a_deletion_is_a_write_like_another(served: Served) -> None:
    ada, rid = served.user("ada"), new_id()
    etag = served.put(ada, env("/ada/x"), rid=rid).headers["etag"]
    path, key = f"/v1/r/{rid}", new_id()
    assert served.ask("DELETE", path, token=ada).status == 428
    sent = {"Idempotency-Key": key, "If-Match": etag}
    first = served.ask("DELETE", path, token=ada, headers=sent)
    again = served.ask("DELETE", path, token=ada, headers=sent)
    assert first.status == again.status == 200
    assert first.json == again.json
    assert served.ask("GET", path, token=ada).json["body"] is None
    assert served.ask("GET", "/v1/listing", token=ada).json["rows"] == []
    back = served.put(ada, env("/ada/x"), rid=rid, based=first.headers["etag"])
    assert back.status == 412


def test_prometheus_can_read_the_metrics(served: Served) -> None:
    ada = served.user("ada")
    for number in range(3):
        served.put(ada, env(f"/ada/x{number}"))
    told = served.ask("GET", "/v1/metrics", token=ada)
    assert told.headers["content-type"].startswith("text/plain")
    lines = dict(
        line.rsplit(" ", 1) for line in told.body.decode().splitlines() if not line.startswith("#")
    )
    assert lines['rhdesk_requests_total{route="put",status="200"}'] == "3"
    assert lines["rhdesk_resources"] == "3"
    assert served.ask("GET", "/v1/health", token=ada).json["status"] == "ok"
