"""What is live is rolled back and forward while it is called by name, a hundred times a second."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from typing import Any

import pytest

from rhdesk import processes
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


def assert_quick(switches: list[list[Any]]) -> None:
    """Most of them within two seconds; alone on a machine, all are."""
    took = sorted(ended - began for _, began, ended, _ in switches)
    assert took[len(took) // 2] <= 2, took


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
    assert len(load.answers) > 100
    assert len(switches) == SWITCHES
    ends = [*(began for _, began, _, _ in switches[1:]), time.monotonic()]
    for (to, _, took, live), end in zip(switches, ends, strict=True):
        assert [told[:3] for told in live] == [[True, "", ""]]
        word = next(w for w, version in versions.items() if version == to)
        assert set(load.between(took, end)) <= {word}
    assert_quick(switches)


PACKED = """
import six


def answer():
    return [{word!r}, six.__version__]
"""

SAVE_PACKED = """
import sys
import rhdesk as rh
env = rh.env(name="live-env", reqs=["six=={}".format(sys.argv[1])])
handle = rh.function("packed_work.py:answer", name="~/live/packed").to("here", env=env).save()
print(handle.history()[0].version)
"""


def test_packages_go_back_and_forth_with_the_code_that_needs_them(place: Place) -> None:
    versions: dict[str, list[str]] = {}
    script = place.script("save_packed.py", SAVE_PACKED)
    for word, six in (("one", "1.15.0"), ("two", "1.16.0")):
        place.script("packed_work.py", PACKED.format(word=word))
        version = place.python(str(script), six).stdout.strip()
        versions[version] = [word, six]
    first, second = versions
    address, token = address_of(place, "~/live/packed")
    with Load(address, token, "~/live/packed") as load:
        switches = back_and_forth(place, "~/live/packed", first, second, 6)
        time.sleep(0.2)
    assert load.failed == []
    assert sorted({tuple(answer.value) for answer in load.answers}) == [
        ("one", "1.15.0"),
        ("two", "1.16.0"),
    ]
    ends = [*(began for _, began, _, _ in switches[1:]), time.monotonic()]
    for (to, _, took, live), end in zip(switches, ends, strict=True):
        assert [told[:3] for told in live] == [[True, "", ""]]
        after = load.between(took, end)
        assert after.count(versions[to]) == len(after)
    assert_quick(switches)
    place.rhdesk("rollback", f"~/live/packed@{first}")
    told = place.rhdesk("call", "~/live/packed", "--json").stdout.splitlines()[-1]
    assert json.loads(told)["data"]["result"] == ["one", "1.15.0"]


COUNTER = """
from counter_parts import WORD


class Counter:
    def __init__(self, start):
        self.n = start

    def inc(self, by=1):
        self.n += by
        return [self.n, WORD]
"""

CHANGE = """
import json
from pathlib import Path
import rhdesk as rh
from counter_work import Counter
from rhdesk.handles.session import session

desk = session().desk
rh.module(Counter).to("here")(10, name="~/live/counter").save()
first = desk.load("~/live/counter").version
counter = rh.load("~/live/counter")
told = [counter.inc()]

def changed(record):
    (live,) = record.live
    told.append([live.is_current, live.instance, live.why, counter.inc()])

def saved():
    changed(desk.save_target("counter_work.py:Counter", "~/live/counter"))

Path("counter_parts.py").write_text("WORD = 'two'")
saved()
changed(desk.rollback(f"~/live/counter@{first}"))
work = Path("counter_work.py")
work.write_text(work.read_text().replace("by=1", "by=1000"))
saved()
print(json.dumps(told))
"""


def test_an_instance_keeps_its_state_across_a_rollback(place: Place) -> None:
    place.script("counter_work.py", COUNTER)
    place.script("counter_parts.py", "WORD = 'one'\n")
    done = place.python(str(place.script("change_counter.py", CHANGE)))
    assert json.loads(done.stdout) == [
        [11, "one"],
        [True, "moved", "", [12, "two"]],
        [True, "moved", "", [13, "one"]],
        [True, "made anew", "", [1010, "two"]],
    ]
    called = place.rhdesk("call", "~/live/counter.inc", "by=1").stdout
    assert json.loads(called) == [1011, "two"]


def test_a_handle_loaded_by_name_calls_what_the_name_means(place: Place) -> None:
    for word in ("one", "two"):
        place.script("plain_work.py", f"def answer():\n    return {word!r}\n")
        saved(place, "plain_work.py:answer", "~/live/plain")
    body = """
import rhdesk as rh
f = rh.function(name="~/live/plain")
new, old = [v.version for v in f.history()]
pinned = rh.load(f"~/live/plain@{old}")
told = [f(), pinned()]
back = f.rollback(old)
told += [f(), pinned(), back()]
f.rollback(new)
told += [f(), pinned(), back()]
rh.load("~/live/plain").unname()
told += [f(), pinned()]
print(" ".join(told))
"""
    told = place.python(str(place.script("handles.py", body))).stdout.split()
    assert told == ["two", "one", "one", "one", "one", "two", "one", "two", "two", "one"]


def test_what_a_run_saves_says_which_run_it_was(place: Place) -> None:
    body = """
import rhdesk as rh
def saves():
    import subprocess, sys
    from rhdesk.handles.resource import Resource
    Resource("~/made/here").save()
    child = "from rhdesk.handles.resource import Resource as R; R('~/made/below').save()"
    subprocess.run([sys.executable, "-c", child], check=True)
    return [Resource(name).history()[0].run_id for name in ("~/made/here", "~/made/below")]
f = rh.function(saves).to("here")
run_id = f.run()
print(f.get(run_id) == [run_id, run_id])
"""
    assert place.python(str(place.script("saves.py", body))).stdout == "True\n"


def test_a_version_that_cannot_be_imported_is_saved_and_not_live(place: Place) -> None:
    place.script("sound_work.py", "def answer():\n    return 'sound'\n")
    saved(place, "sound_work.py:answer", "~/live/sound")
    address, token = address_of(place, "~/live/sound")
    place.script("sound_work.py", "import nowhere_at_all\ndef answer():\n    return 'broken'\n")
    done = place.rhdesk("save", "sound_work.py:answer", "~/live/sound")
    assert "not live on here, env base" in done.stderr
    assert "nowhere_at_all" in done.stderr
    with Load(address, token, "~/live/sound") as load:
        load.after(0)
    assert load.failed == []
    assert {answer.value for answer in load.answers} == {"sound"}


def test_a_version_has_no_address_of_its_own(place: Place) -> None:
    place.script("sound_work.py", "def answer():\n    return 'sound'\n")
    version = saved(place, "sound_work.py:answer", "~/live/fixed")
    done = place.rhdesk("show", f"~/live/fixed@{version[:8]}", "--curl", check=False)
    assert done.returncode == 2
    assert "rhdesk rollback" in done.stderr


def test_of_two_programs_that_switch_one_name_the_last_save_is_live(place: Place) -> None:
    versions: dict[str, str] = {}
    for word in ("one", "two"):
        place.script("raced_work.py", f"def answer():\n    return {word!r}\n")
        versions[saved(place, "raced_work.py:answer", "~/live/raced")] = word
    address, token = address_of(place, "~/live/raced")
    first, second = versions
    script = str(place.script("race.py", BACK_AND_FORTH.replace("0.3", "0.01")))
    with Load(address, token, "~/live/raced") as load:
        both = [
            place.start(script, "~/live/raced", *order, "20")
            for order in ((first, second), (second, first))
        ]
        for program in both:
            told, error = program.communicate(timeout=120)
            assert program.returncode == 0, told + error
        ended = time.monotonic()
        load.after(ended)
    assert load.failed == []
    newest = json.loads(place.rhdesk("history", "~/live/raced", "--json").stdout)["data"][0]
    assert set(load.between(ended, time.monotonic())) == {versions[newest["version"]]}


def test_a_broken_cluster_leaves_the_rollback_of_the_name_standing(own_place: Place) -> None:
    versions: list[str] = []
    for word in ("one", "two"):
        own_place.script("broken_work.py", f"def answer():\n    return {word!r}\n")
        versions.append(saved(own_place, "broken_work.py:answer", "~/live/broken"))
    address_of(own_place, "~/live/broken")

    # Its servlet dies: it is started again, and knows what is live; then that is switched.
    servlet = own_place.data / "clusters" / "here" / "envs" / "base" / "servlet.json"
    os.kill(json.loads(servlet.read_text())["process"]["pid"], signal.SIGKILL)
    for word, version in zip(("one", "two"), versions, strict=True):
        done = own_place.rhdesk("rollback", f"~/live/broken@{version}")
        assert "live on here, env base" in done.stderr
        address = json.loads(servlet.read_text())["address"]
        token = (own_place.data / "clusters" / "here" / "token").read_text()
        with Load(address, token, "~/live/broken") as load:
            load.after(0)
        assert {answer.value for answer in load.answers} == {word}

    # The cluster itself breaks.
    cluster = own_place.data / "clusters" / "here" / "cluster.json"
    raylet = processes.find(int(json.loads(cluster.read_text())["core"]["raylet"]["pid"]))
    assert raylet is not None
    os.kill(raylet.pid, signal.SIGKILL)
    while processes.is_alive(raylet):
        time.sleep(0.02)
    done = own_place.rhdesk("rollback", f"~/live/broken@{versions[0]}")
    assert f"rhdesk rollback ~/live/broken@{versions[0][:10]}" in done.stderr
    assert "not live on here" in done.stderr
    assert "the cluster is broken" in done.stderr
    shown = json.loads(own_place.rhdesk("show", "~/live/broken", "--json").stdout)
    assert shown["data"]["record"]["version"] == versions[0]
    # The next call brings the cluster up again, and there the name means what it means here.
    assert own_place.rhdesk("call", "~/live/broken").stdout == "one\n"
    address, token = address_of(own_place, "~/live/broken")
    with Load(address, token, "~/live/broken") as load:
        load.after(0)
    assert {answer.value for answer in load.answers} == {"one"}


def test_with_no_cluster_a_rollback_is_one_of_the_name_alone(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = Place(tmp_path_factory.mktemp("nowhere"))
    place.script("alone.py", "def f():\n    return 1\n")
    first = saved(place, "alone.py:f", "~/alone")
    place.script("alone.py", "def f():\n    return 2\n")
    saved(place, "alone.py:f", "~/alone")
    done = place.rhdesk("rollback", f"~/alone@{first[:8]}")
    assert "live" not in done.stderr
    assert not (place.data / "clusters").exists()
