"""The daemon and the store: in step while nobody looks, whatever is killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rhdesk.blocking import Desk
from rhdesk.config import Settings
from rhdesk.daemon.service import COMMAND
from rhdesk.models import Record, StoreState
from tests.integration.server.conftest import Served
from tests.integration.sync.laptop import Laptop
from tests.integration.sync.test_faults import KILLS, lost

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def at_home(folder: Path) -> Settings:
    return Settings(data_dir=folder, cache_dir=folder / "cache")


def until_current(desk: Desk) -> StoreState:
    end = time.monotonic() + 40
    while True:
        state = desk.store_state()
        if state.status == "current" and not state.queued:
            return state
        assert time.monotonic() < end, state
        time.sleep(0.05)


def seen(desk: Desk, name: str) -> None:
    end = time.monotonic() + 20
    while not desk.exists(name):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_one_saves_the_other_has_while_neither_asks(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Desk(at_home(tmp_path / "one")) as one, Desk(at_home(tmp_path / "two")) as two:
        for desk in (one, two):
            desk.login(served.url, served.user("ada"))
            monkeypatch.setenv("RHDESK_DATA_DIR", str(desk.asynchronous.settings.data_dir))
            assert desk.start_daemon().status == "running"
        try:
            one.save(Record(name="@/x", resource_type="env", config={"n": 1}))
            seen(two, "/ada/x")
            served.kill()
            two.save(Record(name="@/y", resource_type="env", config={"n": 2}))
            one.save(Record(name="@/z", resource_type="env", config={"n": 3}))
            assert two.load("/ada/y").sync == "queued"
            served.start()
            seen(one, "/ada/y")
            seen(two, "/ada/z")
            until_current(one)
            told = {loop.name: loop for loop in two.daemon().loops}
            assert told["sync"].error == ""
        finally:
            for desk in (one, two):
                desk.stop_daemon()


def test_idle_and_logged_in_it_uses_next_to_nothing(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RHDESK_DATA_DIR", str(tmp_path / "one"))
    with Desk(at_home(tmp_path / "one")) as desk:
        desk.login(served.url, served.user("ada"))
        pid = desk.start_daemon().pid
        try:
            until_current(desk)
            time.sleep(3)
            before = _cpu_s(pid)
            time.sleep(20)
            assert (_cpu_s(pid) - before) / 20 < 0.005
        finally:
            desk.stop_daemon()


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_when_the_daemon_is_killed(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, draw = tmp_path / "ada", random.Random(11)
    laptop = Laptop(home)
    await laptop.store.login(served.url, served.user("ada"))
    acknowledged = saved_while_daemons_die(home, draw)
    await laptop.settle()
    other = Laptop(tmp_path / "elsewhere")
    await other.store.login(served.url, served.user("ada"))
    await other.settle()
    for each in (laptop, other):
        assert await lost(each, acknowledged) == []
        await each.store.aclose()
    with capsys.disabled():
        print(f"\n{KILLS} daemons killed, {len(acknowledged)} writes acknowledged, 0 lost")


def saved_while_daemons_die(home: Path, draw: random.Random) -> list[int]:
    """What a writer said it had saved while one daemon after the other was killed."""
    environ = os.environ | {"RHDESK_DATA_DIR": str(home), "RHDESK_CACHE_DIR": str(home / "cache")}
    words = ["-m", "tests.integration.sync.writer", str(home), "0", "only-saves"]
    told = home / "acknowledged"
    with (
        told.open("wb") as log,
        subprocess.Popen([sys.executable, *words], stdout=log) as writer,
    ):
        try:
            for _ in range(KILLS):
                daemon = subprocess.Popen(COMMAND, env=environ)
                time.sleep(draw.uniform(0.3, 0.9))  # it starts in half of that
                daemon.kill()
                daemon.wait(20)
        finally:
            writer.kill()
    return [int(number) for number in told.read_bytes().split(b"\n")[:-1]]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
