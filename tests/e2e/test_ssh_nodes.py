"""Several hosts as one cluster over SSH: nodes, a host that is lost, autostop on the machines."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

from tests.conftest import Lab

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        os.environ.get("RHDESK_TEST_HOSTS") != "all", reason="long: RHDESK_TEST_HOSTS=all runs it"
    ),
]


def nodes(lab: Lab) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(lab.rhdesk("nodes", "duo", "--json").stdout)["data"]
    return found


def test_two_hosts_are_one_cluster_that_misses_a_lost_one_and_ends_itself(lab: Lab) -> None:
    one, two = lab.host("one"), lab.host("two")
    print(lab.rhdesk("up", "duo", one.name, two.name).stderr)
    try:
        assert [(n["name"], n["role"], n["state"]) for n in nodes(lab)] == [
            ("one", "head", "up"),
            ("two", "worker", "up"),
        ]
        print(lab.rhdesk("nodes", "duo").stdout, lab.rhdesk("stats", "duo").stdout)
        samples = json.loads(lab.rhdesk("stats", "duo", "--json").stdout)["data"]
        assert [sample["node"] for sample in samples] == ["one", "two"]
        print("one listens:", one.listening(), "two:", two.listening())

        two.freeze()
        began = time.monotonic()
        while (lost := nodes(lab)[1])["state"] == "up":
            assert time.monotonic() - began < 90
        print("lost after", round(time.monotonic() - began, 1), lost["why"])
        assert lost["why"]
        two.thaw()
        print(lab.rhdesk("up", "duo").stderr)
        assert [node["state"] for node in nodes(lab)] == ["up", "up"]

        lab.rhdesk("autostop", "duo", "0.05")
        give_up = time.monotonic() + 60
        while "stopped itself" not in (seen := lab.rhdesk("status", "duo").stdout):
            assert time.monotonic() < give_up, seen
            time.sleep(1)
        assert "down" in seen
        give_up = time.monotonic() + 20
        while any("ray" in str(pid) for host in (one, two) for pid in host.pids()):
            assert time.monotonic() < give_up
            time.sleep(0.5)
    finally:
        print(lab.rhdesk("down", "duo", check=False).stderr)
