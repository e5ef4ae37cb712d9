"""A file is saved, and the next call uses it; a mistake is shown and the old code serves on."""

from __future__ import annotations

import copy
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.ray

APP = """
import watched_parts

CALLS = []


def watched_word():
    CALLS.append(1)
    return [watched_parts.WORD, len(CALLS)]
"""


def next_sync(watch: subprocess.Popen[str]) -> Any:
    assert watch.stdout is not None
    event = json.loads(watch.stdout.readline())
    assert event["kind"] == "synced", event
    return event["data"]


def parts(place: Place, text: str) -> None:
    """Saved as editors do: written beside, and renamed."""
    place.script(".watched_parts.new", text).rename(place.project / "watched_parts.py")


def by_name(line: str) -> Any:
    """As somebody with curl calls it."""
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture
def place(place: Place, tmp_path: Path) -> Place:
    """The session's cluster, and a project folder with no names of other tests to follow."""
    own = copy.copy(place)
    own.project = tmp_path
    return own


def test_a_save_is_in_the_next_call_and_a_mistake_keeps_the_old_code(place: Place) -> None:
    app: Path = place.script("watched_app.py", APP)
    parts(place, "WORD = 'one'\n")
    place.rhdesk("save", f"{app.name}:watched_word", "~/watched")
    line = place.rhdesk("show", "~/watched", "--curl").stdout
    assert by_name(line)[0] == "one"
    watch = place.start("-m", "rhdesk.cli", "watch", ".", "--json")
    try:
        assert next_sync(watch)["error"] == ""
        before = by_name(line)[1]
        parts(place, "WORD = 'two'\n")
        synced = next_sync(watch)
        assert (synced["changed"], synced["error"]) == (["watched_parts.py"], "")
        assert by_name(line) == ["two", before + 1]  # state of app.py stayed
        for broken, place_of_it in (("WORD = (\n", "line 1"), ("\n1 / 0\n", "watched_parts.py:2")):
            parts(place, broken)
            assert place_of_it in next_sync(watch)["error"]
            assert by_name(line)[0] == "two"
        parts(place, "WORD = 'healed'\n")
        assert next_sync(watch)["error"] == ""
        assert by_name(line)[0] == "healed"
    finally:
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=30)
    parts(place, "WORD = 'nobody watches'\n")
    assert by_name(line)[0] == "healed"  # the control


PROGRAM = """
import os, sys
import handle_parts
from handle_app import word, Keeper
import rhdesk as rh

def say(name, text):
    with open("." + name, "w") as file:
        file.write(text)
    os.rename("." + name, name)

far = rh.function(word).to("here")
Remote = rh.module(Keeper).to("here")
print(far())
say("handle_parts.py", "WORD = 'two'\\n")
print(far())
say("handle_parts.py", "WORD = = 'three'\\n")
print(far(), far())
say("handle_parts.py", "WORD = 'four'\\n")
print(far())
say("handle_app.py", "def word(n=1):\\n    for i in range(n):\\n        yield i\\n")
print(list(far(n=3)))
say("handle_app.py", "class Keeper:\\n    size = 2\\n\\ndef other():\\n    pass\\n")
print(Remote().remote.size, Keeper.size)
print(list(far(n=2)))
assert word() == "one", "this process keeps what it imported"
"""


def test_a_handle_calls_what_its_files_say_now(place: Place) -> None:
    place.script(
        "handle_app.py",
        "import handle_parts\n\nclass Keeper:\n    size = 1\n\n"
        "def word():\n    return handle_parts.WORD\n",
    )
    place.script("handle_parts.py", "WORD = 'one'\n")
    place.script("handle_main.py", PROGRAM)
    done = place.python("handle_main.py")
    assert done.stdout.splitlines() == [
        "one",
        "two",
        "two two",
        "four",
        "[0, 1, 2]",
        "2 1",
        "[0, 1]",
    ]
    assert done.stderr.count("handle_parts.py") == 1, "a mistake is said once"
    assert "word is called as it was" in done.stderr
    assert "handle_app.py has no function or class 'word'; it has Keeper, other" in done.stderr


def test_the_daemon_goes_on_watching_when_programs_end(place: Place) -> None:
    app = place.script("kept_app.py", "def kept_word():\n    return 'one'\n")
    place.rhdesk("save", f"{app.name}:kept_word", "~/kept")
    line = place.rhdesk("show", "~/kept", "--curl").stdout
    assert by_name(line) == "one"
    told = place.rhdesk("watch", ".", "--background", "--target", "~/kept", check=False)
    assert "rhdesk daemon start" in told.stderr, "nobody goes on with it yet"
    place.rhdesk("daemon", "start")
    try:
        until(lambda: listed(place)[0]["syncs"] == 1, "the first look")
        place.script("kept_app.py", "def kept_word():\n    return 'two'\n")
        until(lambda: by_name(line) == "two", "the save to be live")
        place.script("kept_app.py", "def kept_word(:\n")
        until(lambda: "kept_app.py, line 1" in listed(place)[0]["last"]["error"], "the mistake")
        assert by_name(line) == "two"
        place.rhdesk("watch", ".", "--stop")
        assert listed(place) == []
        assert place.rhdesk("watch", ".", "--stop", check=False).returncode != 0
    finally:
        place.rhdesk("daemon", "stop")


def listed(place: Place) -> Any:
    return json.loads(place.rhdesk("watch", "--list", "--json").stdout)["data"]


def until(is_so: Callable[[], bool], what: str) -> None:
    for _ in range(40):
        if is_so():
            return
        time.sleep(0.25)
    raise AssertionError(f"waited ten seconds for {what}")
