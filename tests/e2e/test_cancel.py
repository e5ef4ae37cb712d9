"""Cancel reaches whatever a run is doing; what it started is dead by pid when cancel returns."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.ray

STUCK = """
import collections, itertools, os, subprocess, sys, time


def note(side):
    with open(side, "a") as out:
        out.write(f"{os.getpid()}\\n")


def loop(side):
    note(side)
    while True:
        sum(range(1000))


def stuck_in_c(side):
    note(side)
    collections.deque(itertools.repeat(1), maxlen=0)  # holds the GIL, hears no signal


def asleep(side):
    note(side)
    time.sleep(1000)


def stubborn(side):
    note(side)
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass


def with_children(side):
    note(side)
    child = subprocess.Popen(["sleep", "1000"])
    daemon = subprocess.Popen(
        ["/bin/sh", "-c", "setsid sleep 1001 & echo $! ; setsid sh -c 'sleep 1002' &"],
        stdout=subprocess.PIPE, text=True,
    )
    with open(side, "a") as out:
        out.write(f"{child.pid}\\n{daemon.stdout.readline()}")
    time.sleep(1000)


def with_daemons(side):
    note(side)
    subprocess.run(["sh", "-c", f"setsid sh -c 'echo $$ >> {side}; exec sleep 1003' &"])
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            note(side)
            time.sleep(1000)
        os._exit(0)
    time.sleep(1000)


def quick(x):
    return x + 1


class Holder:
    def __init__(self):
        self.n = 0

    def wait(self, side):
        note(side)
        while True:
            time.sleep(0.05)

    def inc(self):
        self.n += 1
        return self.n
"""


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


def started(side: Path, count: int) -> list[int]:
    give_up = time.monotonic() + 20
    while not (side.exists() and len(side.read_text().split()) >= count):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return [int(pid) for pid in side.read_text().split()]


@pytest.mark.parametrize(
    ("function", "pids"),
    [
        ("loop", 1),
        ("stuck_in_c", 1),
        ("asleep", 1),
        ("stubborn", 1),
        ("with_children", 3),
        ("with_daemons", 3),
    ],
)
def test_cancel_ends_a_function_and_all_it_started(
    place: Place,
    tmp_path: Path,
    function: str,
    pids: int,
) -> None:
    place.script("stuck.py", STUCK)
    side = tmp_path / "side"
    run_id = place.rhdesk("call", f"stuck.py:{function}", str(side), "--no-follow").stdout.strip()
    found = started(side, pids)
    assert all(alive(pid) for pid in found)
    began = time.monotonic()
    seen = json.loads(place.rhdesk("cancel", run_id, "--json").stdout)["data"]
    took = time.monotonic() - began
    print(f"{function} cancelled after {took:.2f} s")
    assert took < 5, "the command's own start included"
    assert seen["status"] == "cancelled"
    children = found[1:]
    assert not [pid for pid in children if alive(pid)]
    # A worker whose run stopped by itself is kept for the next call; one that did not is gone.
    if function in {"stuck_in_c", "stubborn"}:
        assert not alive(found[0])
    assert place.rhdesk("call", "stuck.py:quick", "41").stdout == "42\n"
    again = json.loads(place.rhdesk("cancel", run_id, "--json").stdout)["data"]
    assert again["status"] == "cancelled"


def test_a_run_that_waits_for_a_worker_is_cancelled_before_it_ran(
    place: Place, tmp_path: Path
) -> None:
    place.script("stuck.py", STUCK)
    script = place.script(
        "queues.py",
        "import os, sys, time, rhdesk as rh\nfrom stuck import asleep\n"
        "f = rh.function(asleep).to('here')\n"
        "most = max(8, 4 * os.cpu_count())\n"
        "busy = [f.run(sys.argv[1]) for _ in range(most)]\n"
        "waits = f.run(sys.argv[2])\ntime.sleep(0.5)\n"
        "print(os.path.exists(sys.argv[2]), rh.here.cancel(waits).status)\n"
        "print({str(rh.here.cancel(run, force=True).status) for run in busy})\n",
    )
    sides = [str(tmp_path / "busy"), str(tmp_path / "waits")]
    said = place.python(str(script), *sides).stdout
    assert said == "False cancelled\n{'cancelled'}\n"
    assert not (tmp_path / "waits").exists()
    assert not [pid for pid in started(tmp_path / "busy", 8) if alive(pid)]


def test_a_time_out_cancels_and_says_so(place: Place, tmp_path: Path) -> None:
    place.script("stuck.py", STUCK)
    done = place.rhdesk(
        "call", "stuck.py:asleep", str(tmp_path / "side"), "--timeout", "0.5", check=False
    )
    assert done.returncode == 12
    assert "time-out of 0.5 s" in done.stderr


def test_cancelling_one_call_of_an_instance_leaves_its_state_and_its_other_calls(
    place: Place, tmp_path: Path
) -> None:
    place.script("stuck.py", STUCK)
    script = place.script(
        "holds.py",
        "import sys, time, rhdesk as rh\nfrom stuck import Holder\n"
        "h = rh.module(Holder).to('here')(name='~/holder')\n"
        "h.inc()\nrun = h.wait.run(sys.argv[1])\ntime.sleep(0.5)\n"
        "print(rh.here.cancel(run).status, h.inc())\n",
    )
    assert place.python(str(script), str(tmp_path / "side")).stdout == "cancelled 2\n"


def test_other_runs_of_the_environment_go_on(place: Place, tmp_path: Path) -> None:
    place.script("stuck.py", STUCK)
    sides = [tmp_path / "one", tmp_path / "two"]
    ids = [
        place.rhdesk("call", "stuck.py:stuck_in_c", str(side), "--no-follow").stdout.strip()
        for side in sides
    ]
    pids = [started(side, 1)[0] for side in sides]
    place.rhdesk("cancel", ids[0])
    assert [alive(pid) for pid in pids] == [False, True]
    place.rhdesk("cancel", ids[1], "--force")
    assert not alive(pids[1])
