"""Processes killed in a call: the truth is told, no printed line is lost, nothing runs twice.

The function prints a number and then writes it to a file of its own; whatever is in the file was
printed before, so it must be in the store, once.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rhdesk import processes
from tests.conftest import Place

pytestmark = pytest.mark.ray

FAULTY = """
import os, sys, time


def count(side, n, pause):
    with open(side + ".calls", "a") as calls:
        calls.write("called\\n")
    with open(side, "a") as out:
        for i in range(n):
            print("line", i)
            out.write(f"{i}\\n")
            out.flush()
            time.sleep(pause)
    return n


def kill_self():
    print("last words")
    os.kill(os.getpid(), 9)


def add(x):
    return x + 1
"""

CALL = """
import sys, time
import rhdesk as rh
from faulty import *
f = rh.function(count).to("here")
began = time.time()
try:
    print("@@ returned", f(sys.argv[1], int(sys.argv[2]), 0.01, stream_logs=False))
except rh.RhdeskError as error:
    print("@@", type(error).__name__, str(error).replace(chr(10), " "))
print("@@ next", rh.function(add).to("here")(41))
"""


def servlet_pid(place: Place) -> int:
    file = place.data / "clusters" / "here" / "envs" / "base" / "servlet.json"
    return int(json.loads(file.read_text())["process"]["pid"])


def raylet_pid(place: Place) -> int:
    file = place.data / "clusters" / "here" / "cluster.json"
    return int(json.loads(file.read_text())["core"]["raylet"]["pid"])


def gateway_pid(place: Place) -> int:
    script = (
        "import asyncio\nfrom rhdesk.desk import AsyncDesk\n"
        "async def go():\n"
        "    async with AsyncDesk.open() as desk:\n"
        "        print((await desk.clusters_room.health('here')).pid)\n"
        "asyncio.run(go())"
    )
    return int(place.python("-c", script).stdout)


def stored(place: Place, run: str = "1") -> tuple[list[str], str, str]:
    """Lines, status and reason of the newest run of `count`."""
    place.python("-c", CATCH_UP)
    with sqlite3.connect(place.data / "runs.db") as db:
        key, status, reason = db.execute(
            "select id, status, coalesce(failure_message, '') from run "
            "where function = 'count' order by id desc limit 1"
        ).fetchone()
        rows = db.execute("select text from log_line where run = ? order by seq", (key,))
        return [row[0] for row in rows], status, reason


CATCH_UP = "from rhdesk.blocking import Desk\nwith Desk() as desk: desk.catch_up()"


def lost_or_doubled(side: Path, lines: list[str]) -> list[str]:
    """Numbers that were printed and are not in the store exactly once, in order."""
    printed = [f"line {n}" for n in side.read_text().split()]
    wrong = [line for line in printed if lines.count(line) != 1]
    return wrong if lines[: len(printed)] == printed else [*wrong, "order"]


def begin(place: Place, side: Path, n: int = 1000) -> object:
    place.script("faulty.py", FAULTY)
    file = place.script("calls_count.py", CALL)
    program = place.start(str(file), str(side), str(n))
    give_up = time.monotonic() + 30
    while not (side.exists() and len(side.read_text().split()) > 30):
        assert time.monotonic() < give_up, program.communicate(timeout=5)
        time.sleep(0.02)
    return program


def hears(program: object, within_s: float) -> str:
    began = time.monotonic()
    out, err = program.communicate(timeout=60)  # type: ignore[attr-defined]
    assert time.monotonic() - began < within_s + 20, "the next call included"
    assert "Traceback" not in err, err
    return str(out)


@pytest.mark.parametrize("who", [servlet_pid])
def test_the_env_servlet_is_killed_in_a_call(
    place: Place, tmp_path: Path, who: Callable[[Place], int]
) -> None:
    side = tmp_path / "side"
    program = begin(place, side)
    os.kill(who(place), signal.SIGKILL)
    said = hears(program, 5)
    assert "@@ RunLost" in said
    assert "killed" in said
    assert "@@ next 42" in said
    lines, status, reason = stored(place)
    assert status == "lost"
    assert "whether it finished is unknown" in reason
    assert lost_or_doubled(side, lines) == []
    assert (tmp_path / "side.calls").read_text().count("called") == 1


def test_the_gateway_is_killed_in_a_call_and_the_call_goes_on(
    place: Place, tmp_path: Path
) -> None:
    side = tmp_path / "side"
    program = begin(place, side, 200)
    os.kill(gateway_pid(place), signal.SIGKILL)
    said = hears(program, 10)
    assert "@@ returned 200" in said
    assert "@@ next 42" in said
    lines, status, _ = stored(place)
    assert status == "succeeded"
    assert lost_or_doubled(side, lines) == []
    assert len(lines) == 200
    assert place.rhdesk("status", "--json", check=False).returncode == 0
    assert gateway_pid(place) > 0


def test_the_client_is_killed_in_the_stream_and_another_one_resumes(
    place: Place, tmp_path: Path
) -> None:
    side = tmp_path / "side"
    program = begin(place, side, 200)
    program.kill()  # type: ignore[attr-defined]
    program.communicate()  # type: ignore[attr-defined]
    said = place.rhdesk("logs", "last")
    assert said.stdout.splitlines() == [f"line {n}" for n in range(200)]
    lines, status, _ = stored(place)
    assert (status, len(lines)) == ("succeeded", 200)
    assert lost_or_doubled(side, lines) == []
    assert (tmp_path / "side.calls").read_text().count("called") == 1


def test_the_raylet_is_killed_in_a_call_and_the_next_call_repairs_the_cluster(
    own_place: Place, tmp_path: Path
) -> None:
    side = tmp_path / "side"
    program = begin(own_place, side)
    os.kill(raylet_pid(own_place), signal.SIGKILL)
    said = hears(program, 5)
    assert "raylet" in said
    assert "@@ next 42" in said
    lines, status, reason = stored(own_place)
    assert status == "lost"
    assert "raylet" in reason or "env servlet died" in reason
    assert lost_or_doubled(side, lines) == []
    assert (tmp_path / "side.calls").read_text().count("called") == 1


def test_a_function_that_kills_its_own_process_is_lost_and_says_how(place: Place) -> None:
    place.script("faulty.py", FAULTY)
    done = place.rhdesk("call", "faulty.py:kill_self", check=False)
    assert done.returncode == 13
    assert done.stdout == "last words\n"
    assert "SIGKILL" in done.stderr
    assert place.rhdesk("call", "faulty.py:add", "41").stdout == "42\n"


def test_the_check_notices_a_line_that_is_missing_or_doubled(tmp_path: Path) -> None:
    """The control: a harness that cannot fail proves nothing."""
    side = tmp_path / "side"
    side.write_text("0\n1\n2\n")
    assert lost_or_doubled(side, ["line 0", "line 1", "line 2"]) == []
    assert lost_or_doubled(side, ["line 0", "line 2"]) == ["line 1", "order"]
    assert lost_or_doubled(side, ["line 0", "line 1", "line 1", "line 2"])
    assert lost_or_doubled(side, ["line 1", "line 0", "line 2"]) == ["order"]


def test_down_ends_every_process_it_started_and_no_other_ray(
    own_place: Place, place: Place
) -> None:
    other = processes.find(raylet_pid(place))
    head = processes.Process(
        **json.loads((own_place.data / "clusters/here/cluster.json").read_text())["head"]
    )
    family = processes.family(head)
    assert len(family) > 5
    own_place.rhdesk("down")
    assert not [each for each in [head, *family] if processes.is_alive(each)]
    assert other is not None
    assert processes.is_alive(other)
