"""Processes killed in a call: the truth is told, no printed line is lost, nothing runs twice.

The function prints a number and then writes it to a file of its own; whatever is in the file was
printed before, so it must be in the store, once.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from rhdesk import processes
from rhdesk.wire.messages import Called, Fault, unpack
from rhdesk.wire.payload import Payload
from tests.conftest import Place
from tests.e2e.far import Far

pytestmark = pytest.mark.ray

FAULTY = """
import os, subprocess, sys, time


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


def leave_daemons(side):
    plain = subprocess.Popen(["sleep", "1000"])
    in_session = subprocess.Popen(["sleep", "1001"], start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open(side, "a") as out:
                out.write(f"{plain.pid} {in_session.pid} {os.getpid()} ")
            time.sleep(1000)
        os._exit(0)
    time.sleep(1000)


def add(x):
    return x + 1
"""

CALL = """
import sys, time
import rhdesk as rh
from faulty import *
f = rh.function(count).to("here")
try:
    print("@@ returned", f(sys.argv[1], int(sys.argv[2]), 0.01, stream_logs=False))
except rh.RhdeskError as error:
    print("@@ heard", time.time())
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


def calls_of(side: Path) -> int:
    """How often the function was entered for one call: the side effect that must not happen twice."""
    return Path(f"{side}.calls").read_text().count("called")


def begin(place: Place, side: Path, n: int = 1000) -> subprocess.Popen[str]:
    """A program in the middle of its call."""
    place.script("faulty.py", FAULTY)
    file = place.script("calls_count.py", CALL)
    program = place.start(str(file), str(side), str(n))
    give_up = time.monotonic() + 30
    while not (side.exists() and len(side.read_text().split()) > 30):
        assert time.monotonic() < give_up, program.communicate(timeout=5)
        time.sleep(0.02)
    return program


def kill(pid: int) -> float:
    """Kill -9; returns when."""
    os.kill(pid, signal.SIGKILL)
    return time.time()


def hears(program: subprocess.Popen[str]) -> str:
    """What the program said to its end; it says when it heard of a death with ``@@ heard``."""
    out, err = program.communicate(timeout=90)
    assert "Traceback" not in err, err
    assert program.returncode == 0
    return out


def seconds_to_hear(said: str, killed_at: float) -> float:
    """From the kill to the caller's exception; shown by ``pytest -rP``."""
    heard = next(line for line in said.splitlines() if line.startswith("@@ heard"))
    took = float(heard.split()[-1]) - killed_at
    print(f"heard after {took:.2f} s")
    return took


def test_the_env_servlet_is_killed_in_a_call(place: Place, tmp_path: Path) -> None:
    side = tmp_path / "side"
    program = begin(place, side)
    killed_at = kill(servlet_pid(place))
    said = hears(program)
    assert seconds_to_hear(said, killed_at) < 5
    assert "@@ RunLost" in said
    assert "killed" in said
    assert "@@ next 42" in said
    lines, status, reason = stored(place)
    assert status == "lost"
    assert "whether it finished is unknown" in reason
    assert lost_or_doubled(side, lines) == []
    assert calls_of(side) == 1


def test_the_zygote_is_killed_in_a_call(place: Place, tmp_path: Path) -> None:
    """The process that forks the workers, which die with it."""
    side = tmp_path / "side"
    program = begin(place, side)
    [zygote] = processes.children(servlet_pid(place))
    killed_at = kill(zygote)
    said = hears(program)
    assert seconds_to_hear(said, killed_at) < 5
    assert "@@ RunLost" in said
    assert "@@ next 42" in said
    lines, status, _ = stored(place)
    assert status == "lost"
    assert lost_or_doubled(side, lines) == []
    assert calls_of(side) == 1


def test_the_gateway_is_killed_in_a_call_and_the_call_goes_on(
    place: Place, tmp_path: Path
) -> None:
    side = tmp_path / "side"
    program = begin(place, side, 200)
    before = gateway_pid(place)
    kill(before)
    said = hears(program)
    assert "@@ returned 200" in said
    assert "@@ next 42" in said
    lines, status, _ = stored(place)
    assert status == "succeeded"
    assert lost_or_doubled(side, lines) == []
    assert len(lines) == 200
    assert calls_of(side) == 1
    assert place.rhdesk("status", "--json").returncode == 0
    assert gateway_pid(place) not in {0, before}


def test_the_client_is_killed_in_the_stream_and_another_one_resumes(
    place: Place, tmp_path: Path
) -> None:
    side = tmp_path / "side"
    program = begin(place, side, 200)
    kill(program.pid)
    program.communicate()
    said = place.rhdesk("logs", "last")
    assert said.stdout.splitlines() == [f"line {n}" for n in range(200)]
    lines, status, _ = stored(place)
    assert (status, len(lines)) == ("succeeded", 200)
    assert lost_or_doubled(side, lines) == []
    assert calls_of(side) == 1


def test_the_raylet_is_killed_in_a_call_and_the_next_call_repairs_the_cluster(
    own_place: Place, tmp_path: Path
) -> None:
    side = tmp_path / "side"
    program = begin(own_place, side)
    killed_at = kill(raylet_pid(own_place))
    said = hears(program)
    assert seconds_to_hear(said, killed_at) < 5
    assert "raylet" in said
    assert "@@ next 42" in said
    lines, status, reason = stored(own_place)
    assert status == "lost"
    assert "raylet" in reason or "env servlet died" in reason
    assert lost_or_doubled(side, lines) == []
    assert calls_of(side) == 1
    raylet = processes.find(raylet_pid(own_place))
    assert raylet is not None
    kill(raylet.pid)
    while processes.is_alive(raylet):
        time.sleep(0.01)
    broken = json.loads(own_place.rhdesk("status", "--json").stdout)["data"][0]
    assert broken["state"] == "broken"
    assert f"raylet (pid {raylet.pid}) died" in broken["why"]
    own_place.rhdesk("up", "here")
    assert own_place.rhdesk("call", "faulty.py:add", "41").stdout == "42\n"


def test_a_run_sent_again_after_its_servlet_died_is_answered_lost_and_not_run_again(
    place: Place, tmp_path: Path
) -> None:
    far = Far(place)
    made = tmp_path / "made"
    called = Called(run_id=os.urandom(16).hex(), definition=far.define("os", "mkdir"))
    ends = Called(run_id=os.urandom(16).hex(), definition=far.define("time", "sleep"), detach=True)
    body = Payload.of_call([str(made)], {}).to_bytes()
    assert far.call(called, body)[0] == 200
    assert far.call(ends, Payload.of_call([1000], {}).to_bytes())[0] == 200
    made.rmdir()
    kill(servlet_pid(place))
    assert place.rhdesk("run", "--", "true").returncode == 0
    again = Far(place)
    assert again.addresses["app.py"] != far.addresses["app.py"]
    status, answer = again.call(called, body)
    assert status >= 400
    assert unpack(answer, Fault).code == "run_lost"
    assert "succeeded" in unpack(answer, Fault).message
    assert not made.exists()
    status, answer = again.call(ends, body)
    assert unpack(answer, Fault).code == "run_lost"
    assert "whether it finished is unknown" in unpack(answer, Fault).message
    another = Called(run_id=os.urandom(16).hex(), definition=called.definition)
    assert again.call(another, body)[0] == 200
    assert made.exists(), "the control: another id does run"


def test_what_a_run_started_does_not_outlive_its_env_servlet(place: Place, tmp_path: Path) -> None:
    place.script("faulty.py", FAULTY)
    side = tmp_path / "side"
    place.rhdesk("call", "faulty.py:leave_daemons", str(side), "--no-follow")
    give_up = time.monotonic() + 20
    while not (side.exists() and len(side.read_text().split()) == 3):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    started = [processes.find(int(pid)) for pid in side.read_text().split()]
    assert all(started)
    kill(servlet_pid(place))
    assert place.rhdesk("call", "faulty.py:add", "41").stdout == "42\n"
    assert not [each for each in started if each and processes.is_alive(each)]


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
    own_place: Place, place: Place, tmp_path: Path
) -> None:
    """Also an env servlet that hears nothing any more, in the middle of a run."""
    other = processes.find(raylet_pid(place))
    head = processes.Process(
        **json.loads((own_place.data / "clusters/here/cluster.json").read_text())["head"]
    )
    family = processes.family(head)
    assert len(family) > 5
    own_place.script("faulty.py", FAULTY)
    own_place.rhdesk(
        "call", "faulty.py:count", str(tmp_path / "side"), "100000", "1", "--no-follow"
    )
    os.kill(servlet_pid(own_place), signal.SIGSTOP)
    own_place.rhdesk("down")
    status, reason = stored(own_place)[1:]
    assert (status, "taken down with its cluster" in reason) == ("lost", True)
    assert not [each for each in [head, *family] if processes.is_alive(each)]
    assert other is not None
    assert processes.is_alive(other)
