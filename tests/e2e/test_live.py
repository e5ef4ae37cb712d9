"""What is live is rolled back and forward while it is called by name, a hundred times a second."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.conftest import Place
from tests.e2e.load import Load

pytestmark = pytest.mark.ray

VERSION = """
import time

from live_parts import NAME

time.sleep(0.2)  # a package that takes a moment to import


def answer():
    time.sleep(0.02)
    return NAME
"""

SWITCHES = 20

BACK_AND_FORTH = """
import json, sys, time
from rhdesk.blocking import Desk
name, first, second, count = sys.argv[1:]
with Desk() as desk:
    time.sleep(0.5)
    for number in range(int(count)):
        to = (first, second)[number % 2]
        began = time.monotonic()
        record = desk.rollback(f"{name}@{to}")
        took = time.monotonic()
        live = [[l.is_current, l.instance, l.why, l.took_s] for l in record.live]
        print(json.dumps([to, began, took, live]), flush=True)
        time.sleep(0.3)
"""


def saved(place: Place, target: str, name: str) -> str:
    done = place.rhdesk("save", target, name, "--json")
    version: str = json.loads(done.stdout)["data"]["version"]
    return version


def address_of(place: Place, name: str, *more: str) -> tuple[str, str]:
    """Where a saved name is called over HTTP, and the token; it is live from then on."""
    line = place.rhdesk("show", name, "--curl", *more).stdout
    found = re.search(r"http://([^/]+)/", line)
    assert found is not None, line
    return found[1], (place.data / "clusters" / "here" / "token").read_text()


def back_and_forth(
    place: Place, name: str, first: str, second: str, count: int = SWITCHES
) -> list[list[Any]]:
    script = place.script("back_and_forth.py", BACK_AND_FORTH)
    done = place.python(str(script), name, first, second, str(count))
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_live_function_goes_back_and_forth_and_no_call_fails(place: Place) -> None:
    versions: dict[str, str] = {}
    for word in ("one", "two"):
        place.script("live_parts.py", f"NAME = {word!r}\n")
        place.script("live_work.py", VERSION)
        versions[word] = saved(place, "live_work.py:answer", "~/live/answer")
    address, token = address_of(place, "~/live/answer")
    with Load(address, token, "~/live/answer") as load:
        switches = back_and_forth(place, "~/live/answer", versions["one"], versions["two"])
        time.sleep(0.2)
    assert load.failed == []
    assert {answer.value for answer in load.answers} == {"one", "two"}
    assert len(load.answers) > 500
    assert len(switches) == SWITCHES
    ends = [*(began for _, began, _, _ in switches[1:]), time.monotonic()]
    for (to, began, took, live), end in zip(switches, ends, strict=True):
        assert [told[:3] for told in live] == [[True, "", ""]]
        assert took - began <= 2
        word = next(w for w, version in versions.items() if version == to)
        after = load.between(took, end)
        assert after
        assert set(after) == {word}
    print(sorted(round(took - began, 2) for _, began, took, _ in switches))
