"""Servers that are killed at any moment: what they acknowledged is there, once."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import pytest

from rhdesk.server.serve import open_database
from tests.integration.server.conftest import Served, env, new_id

KILLS: Final = 30
"""Of each database."""
CLIENTS: Final = 3


class Load:
    """Clients that write, and that send again what was not answered."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._over = threading.Event()
        self.acknowledged: dict[str, tuple[str, int, int]] = {}
        """By key: the resource, the revision, and what was written."""
        self.strange: list[Any] = []
        self.sent_again = 0
        self._threads = [
            threading.Thread(target=self._client, args=(which,)) for which in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _client(self, which: int) -> None:
        rid, etag, number = "", "", 0
        while not self._over.is_set():
            if number % 5 == 0:
                rid, etag = new_id(), ""  # another resource
            number += 1
            op_id, told = new_id(), None
            while told is None and not self._over.is_set():
                told = self._put(rid, op_id, etag, which, number)
                self.sent_again += told is None
            if told is None:
                return
            if told["type"] != "accepted":
                self.strange.append(told)
                return
            etag = f'"{told["epoch"]}.{told["rev"]}"'
            self.acknowledged[op_id] = (rid, told["rev"], number)

    def _put(self, rid: str, op_id: str, etag: str, which: int, number: int) -> Any:
        before = {"If-Match": etag} if etag else {"If-None-Match": "*"}
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": op_id, **before}
        body = {"body": env(f"/ada/w{which}-{rid}", number=number)}
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            line.request("PUT", f"/v1/r/{rid}", json.dumps(body), headers)
            answer = line.getresponse()
            return json.loads(answer.read()) if answer.status < 500 else None
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(0.02)
            return None
        finally:
            line.close()


def _lost(database: str, load: Load) -> list[str]:
    """Acknowledged writes that are not there as they were acknowledged; the store is whole."""
    opened = open_database(database)
    try:
        opened.check()
        lost = []
        with opened.reading() as t:
            for op_id, (rid, rev, number) in load.acknowledged.items():
                found = t.op(op_id)
                there = found and (found[0].rid, found[0].rev) == (rid, rev)
                if not (there and found and (found[0].body or {})["number"] == number):
                    lost.append(op_id)
    finally:
        opened.close()
    return lost


@pytest.mark.slow
def test_a_server_killed_under_load_loses_nothing_it_acknowledged(
    database_url: str, tmp_path: Path
) -> None:
    served, random_ = Served(database_url, tmp_path), random.Random(3)
    load = Load(served.port, served.user("ada"))
    served.start()
    load.start()
    try:
        for _ in range(KILLS):
            time.sleep(random_.uniform(0.05, 0.4))
            served.kill()
            served.start()
        time.sleep(0.3)
    finally:
        load.stop()
        served.kill()
    print(f"{KILLS} kills, {len(load.acknowledged)} acknowledged, {load.sent_again} sent again")
    assert not load.strange
    assert len(load.acknowledged) > KILLS
    assert load.sent_again > 0
    assert _lost(database_url, load) == []


EAGER = """
import sys, threading
from pathlib import Path
from rhdesk.server import store
from rhdesk.server.serve import open_database, serve
from rhdesk.wire.store import Accepted

put = store.Store.put
def eager(self, principal, rid, op_id, based, what):
    threading.Timer(0.2, put, (self, principal, rid, op_id, based, what)).start()
    with self.database.reading() as t:
        return Accepted(t.head().epoch, based.rev + 1, 0)
store.Store.put = eager
serve(open_database(sys.argv[1]), port=int(sys.argv[2]))
"""


def test_the_control_a_server_that_answers_before_it_commits_loses_writes(tmp_path: Path) -> None:
    served = Served(str(tmp_path / "store"), tmp_path)
    load = Load(served.port, served.user("ada"))
    served.process = subprocess.Popen(
        [sys.executable, "-c", EAGER, served.database, str(served.port)]
    )
    load.start()
    try:
        until = time.monotonic() + 20
        while len(load.acknowledged) < 20 and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        served.kill()
        load.stop()
    assert _lost(served.database, load)
