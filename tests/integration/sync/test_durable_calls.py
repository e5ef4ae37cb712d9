"""Every durable call of a write to the replica is killed once, fails once, is cut in half once.

As `tests.integration.test_durable_calls` does it for the names of a repository; nothing is sampled.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from rhdesk.errors import RhdeskError, StoreUnwritable
from rhdesk.models import Record
from rhdesk.sync.names import ReplicaNames
from rhdesk.sync.replica import SqliteReplica
from rhdesk.sync.state import Base, Cursor, Op, Transaction
from rhdesk.wire.store import Accepted, Stored
from tests.testbed import injector
from tests.testbed.injector import Injector, Outcome, What

WORK: Final = """
from rhdesk.errors import RhdeskError
import sqlite3
from pathlib import Path
import rhdesk.sync.pair
from rhdesk.models import Name, Record
from rhdesk.sync.names import ReplicaNames
from rhdesk.sync.replica import SqliteReplica
from tests.integration.sync.test_durable_calls import THE_FEED

class Careless(sqlite3.Connection):
    def execute(self, sql, *args):
        return super().execute(sql.replace("journal_mode = DELETE", "journal_mode = OFF"), *args)

connect = sqlite3.connect

def work(asked, say):
    if asked["how"] == "no journal":
        sqlite3.connect = lambda *args, **kw: connect(*args, **kw, factory=Careless)
    if asked["how"] == "says so first":
        say("saved")
    replica = SqliteReplica(Path(asked["root"]) / "store", user="ada")
    names = ReplicaNames(replica, folder="/ada", user="ada")
    scenario = asked["scenario"]
    if scenario in ("first", "save", "mend mirror", "mend outbox"):
        config = {"n": 2, "text": "x" * 9000}
        names.save(Record(name="@/x", resource_type="env", config=config))
    elif scenario == "delete":
        names.delete(Name.parse("@/keep"))
    elif scenario == "feed":
        replica.write(lambda rows: rows.apply(THE_FEED))
    if asked["how"] != "says so first":
        say("saved")
    replica.close()
"""
SCENARIOS: Final = ("first", "save", "delete", "feed", "mend mirror", "mend outbox")
FAULTS: Final = (
    What.KILL,  # nothing else is started, so there is no group to kill
    What.GIVE_EIO,
    What.DISK_FULL,
    What.SHORT_WRITE,
    What.TORN_WRITE,
)
BODY: Final = {"name": "/ada/keep", "resource_type": "env", "n": 1, "text": "y" * 5000}


AT: Final = datetime(2026, 10, 1, 12, tzinfo=UTC)


def _stored(rid: str, rev: int) -> Stored:
    return Stored(
        rid=rid,
        rev=rev,
        seq=rev,
        name="/ada/keep",
        body=BODY,
        op_id="op-keep",
        author="ada",
        at=AT,
    )


THE_FEED: Final = Transaction(
    bases=(Base(epoch="e", stored=_stored("keep", 1)),),
    dropped_ops=("op-keep",),
    cursor=Cursor("e", 1),
)
"""What shows an accepted write: one transaction over both files."""


class Bench:
    def __init__(self, folder: Path, library: Path) -> None:
        self.root = folder / "root"
        self._states = folder / "states"
        self._states.mkdir()
        (self._states / "first").mkdir()
        self._make(self._states / "saved")
        for name in ("mirror", "outbox"):
            damaged = self._states / f"mend {name}"
            shutil.copytree(self._states / "saved", damaged)
            file = damaged / "store" / f"{name}.db"
            file.write_bytes(b"\xff" * 100 + file.read_bytes()[100:])
        self.root.mkdir()
        self._injector = Injector(library, folder, self.root, WORK, os.environ)

    @staticmethod
    def _make(folder: Path) -> None:
        replica = SqliteReplica(folder / "store", user="ada")
        op = Op(
            op_id="op-keep", rid="keep", base_rev=0, base=None, body=BODY,
            accepted=Accepted("e", 1, 1), epoch="e",
        )  # fmt: skip
        replica.write(lambda rows: rows.apply(Transaction(ops=(op,), cursor=Cursor("e", 0))))
        replica.close()

    def close(self) -> None:
        self._injector.__exit__(None, None, None)

    def run(self, scenario: str, what: What, at: int, how: str = "") -> Outcome:
        shutil.rmtree(self.root)
        state = scenario if scenario in {"first", "mend mirror", "mend outbox"} else "saved"
        shutil.copytree(self._states / state, self.root)
        asked = {"root": str(self.root), "scenario": scenario, "how": how}
        return self._injector.run(asked, what, at)

    def wrong(self, scenario: str, outcome: Outcome) -> list[str]:
        """What is not as it has to be, after whatever happened."""
        found: list[str] = []
        if outcome.raised is not None and not outcome.raised[2]:
            found.append(f"raised {outcome.raised}")
        if outcome.raised is not None and outcome.said and not outcome.was_killed:
            found.append("said that it was saved, and raised")
        began = time.monotonic()
        try:
            replica = SqliteReplica(self.root / "store", user="ada")
            replica.check()
            names = ReplicaNames(replica, folder="/ada", user="ada")
            told = {record.name: record for record in names.names(folder="/")}
            cursor = replica.read(lambda rows: rows.cursor())
            queue = [op.op_id for op in replica.read(lambda rows: rows.ops())]
            base = replica.read(lambda rows: rows.base("keep"))
            names.save(Record(name="@/after", resource_type="env", config={}))
            replica.close()
        except RhdeskError as exc:
            return [*found, f"cannot be opened any more: {exc}"]
        if time.monotonic() - began > 2:
            found.append("took longer than two seconds to open")
        saved = bool(outcome.said)
        if saved and scenario not in {"delete", "feed"} and "/ada/x" not in told:
            found.append("what was saved is not there")
        if scenario == "delete" and saved and "/ada/keep" in told:
            found.append("what was deleted is there")
        if scenario not in {"first", "delete"} and "/ada/keep" not in told:
            found.append("what was there is gone")
        if scenario == "feed":
            before = (cursor.seq, "op-keep" in queue, base is None)
            if before not in {(0, True, True), (1, False, False)}:
                found.append(f"half of a transaction: {before}")
            if saved and before[0] != 1:
                found.append("what was saved is not there")
        if not scenario.startswith("mend") and list(self.root.glob("store/*.damaged-*")):
            found.append("a file was damaged")
        return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("calls")
    made = Bench(folder, injector.build(folder))
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_nothing_acknowledged_is_lost_wherever_it_is_cut_off(
    bench: Bench, scenario: str, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = bench.run(scenario, What.NOTHING, 0).calls
    assert calls > 3
    wrong: list[Any] = []
    for what in FAULTS:
        for at in range(1, calls + 1):
            outcome = bench.run(scenario, what, at)
            wrong += [(what.name, at, each) for each in bench.wrong(scenario, outcome)]
    assert wrong == []
    with capsys.disabled():
        print(f"\n{scenario}: {calls} durable calls, {calls * len(FAULTS)} faults, 0 wrong")


@pytest.mark.parametrize("how", ["no journal", "says so first"])
def test_the_sweep_notices_a_careless_store(bench: Bench, how: str) -> None:
    """The negative control."""
    wrong: list[str] = []
    for scenario in ("save", "feed"):
        calls = bench.run(scenario, What.NOTHING, 0, how).calls
        for what in (What.KILL, What.TORN_WRITE):
            for at in range(1, calls + 1):
                outcome = bench.run(scenario, what, at, how)
                wrong += bench.wrong(scenario, outcome)
    assert wrong


def test_a_disk_that_fails_is_told_as_such(bench: Bench) -> None:
    outcome = bench.run("save", What.DISK_FULL, 1)
    assert outcome.raised is not None
    assert outcome.raised[0] == StoreUnwritable.__name__
