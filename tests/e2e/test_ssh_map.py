"""A map over three hosts, one of which is lost in the middle; with RHDESK_SOAK=1."""

from __future__ import annotations

import json
import os
import time
from collections import Counter

import pytest

from tests.conftest import Lab

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        not os.environ.get("RHDESK_SOAK"), reason="three hosts take a minute: RHDESK_SOAK=1"
    ),
]

APP = """
import os, socket, time


def where():
    return socket.gethostname()


def square(x):
    with open("/var/tmp/side", "a") as out:
        out.write(f"{x}\\n")
    print("squaring", x)
    time.sleep(0.3)
    return x * x
"""
MAP = """
import json, sys
import rhdesk as rh, app
f = rh.function(app.square).to(rh.cluster("lab"))
placed = rh.function(app.where, resources={"node": "gpu-3"}).to(rh.cluster("lab"))
print("@@ placed", placed(), placed(), flush=True)
try:
    rh.function(app.where, resources={"GPU": 7}).to(rh.cluster("lab"))()
except rh.RhdeskError as error:
    print("@@ refused", str(error), flush=True)
print("@@ ready", flush=True)
try:
    results = f.map(range(90), idempotent=len(sys.argv) > 1, stream_logs=False)
    print("@@", json.dumps({"results": dict(enumerate(results)), "lost": {}}))
except rh.RhdeskError as error:
    if not hasattr(error, "lost"):
        raise
    print("@@", json.dumps({"results": error.results, "lost": error.lost}))
"""


def test_a_host_that_dies_in_a_map_takes_only_what_it_had(lab: Lab) -> None:
    hosts = [lab.host(name) for name in ("gpu-1", "gpu-2", "gpu-3")]
    lab.script("app.py", APP)
    lab.rhdesk("up", "lab", *(host.name for host in hosts))
    try:
        program = lab.start(str(lab.script("map.py", MAP)))
        assert program.stdout is not None
        told = ""
        while "@@ ready" not in told:
            line = program.stdout.readline()
            assert line, program.communicate()
            told += line
        assert "@@ placed gpu-3 gpu-3" in told
        assert "@@ refused no node of lab" in told
        side = hosts[1].root / "var/tmp/side"
        give_up = time.monotonic() + 60
        while not (side.exists() and len(side.read_text().split()) > 2):
            assert time.monotonic() < give_up, "nothing runs on the second host"
            time.sleep(0.05)
        ran = Counter(side.read_text().split())
        hosts[1].stop()
        out, err = program.communicate(timeout=180)
        assert "@@ {" in out, err
        ended = json.loads(out.partition("@@ ")[2])
        done, lost = set(map(int, ended["results"])), set(map(int, ended["lost"]))
        assert done | lost == set(range(90))
        assert not done & lost
        assert lost, "what the host had is unknown"
        assert all("gpu-2" in why for why in ended["lost"].values())
        for host in (hosts[0], hosts[2]):
            ran.update((host.root / "var/tmp/side").read_text().split())
        assert max(ran.values()) == 1
        runs = json.loads(lab.rhdesk("runs", "--json").stdout)["data"]
        assert [run["status"] for run in runs] == ["lost", "succeeded", "succeeded"]
        assert [run["node"] for run in runs] == ["", "gpu-3", "gpu-3"]
        shares = json.loads(lab.rhdesk("runs", "--of", "last", "--json").stdout)["data"]
        assert {share["node"] for share in shares} == {"gpu-1", "gpu-2", "gpu-3"}
    finally:
        lab.rhdesk("down", "lab", check=False)
