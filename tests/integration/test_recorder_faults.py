"""The recorder between processes: kills, full disks, crowds. What was acknowledged is there.

Acknowledged means that a child wrote it to a pipe after the recorder had said so, and that this
process read it from there: a child that dies cannot take it back.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from rhdesk.errors import StoreUnwritable
from rhdesk.models import LogLine, Run, RunStatus
from rhdesk.runs.book import RunBook
from rhdesk.runs.recorder import Recorder

NOW = datetime(2026, 9, 30, 8, tzinfo=UTC)
SEED = 20260930

WRITER = """
import itertools, os, sys, time
from datetime import UTC, datetime
import msgspec
from rhdesk.models import LogLine, Run, RunStatus
from rhdesk.runs.recorder import Journal, Recorder

folder, name, seconds, how = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
if how == "forgetful":
    Journal.append = lambda self, data, number: None

def say(word, run_id):
    os.write(1, f"{word} {run_id}\\n".encode())

from pathlib import Path
recorder = Recorder(Path(folder))
os.write(1, b"open -\\n")
if how == "together":
    sys.stdin.readline()
give_up = time.monotonic() + seconds
for number in itertools.count():
    if time.monotonic() > give_up:
        break
    now = datetime.now(UTC)
    run = Run(run_id=f"{name}-{number:06d}", function="f", cluster="here", submitted_at=now)
    recorder.submitted(run)
    say("submitted", run.run_id)
    stored = recorder.lines([LogLine(run.run_id, n, "stdout", 1.0, f"line {n}") for n in range(3)])
    if number % 3:
        run = msgspec.structs.replace(run, status=RunStatus.SUCCEEDED, ended_at=now)
        recorder.ended(run)
    if number % 20 == 0:
        stored.result(60)
        say("lines", run.run_id)
recorder.close()
say("closed", name)
"""


def start(folder: Path, name: str, seconds: float, how: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), name, str(seconds), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Story:
    """What the children acknowledged, and what of it the book does not hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.submitted: set[str] = set()
        self.lined: set[str] = set()

    def hear(self, said: str) -> None:
        for told in said.splitlines(keepends=True):
            if told.endswith("\n"):
                word, run_id = told.split()
                if word == "submitted":
                    self.submitted.add(run_id)
                elif word == "lines":
                    self.lined.add(run_id)

    def lost(self) -> set[str]:
        Recorder(self.folder).close()
        book = RunBook(self.folder / "runs.db", read_only=True)
        runs = {run.run_id: run for run in book.runs(limit=sys.maxsize)}
        stored = {run_id: book.lines(run_id, 0, 10) for run_id in runs}
        assert book.problems() == []
        book.close()
        assert list((self.folder / "journal").iterdir()) == []
        for run_id, run in runs.items():
            assert [line.seq for line in stored[run_id]] == list(range(run.lines))
            if run.status is RunStatus.SUCCEEDED:
                assert run.lines == 3, f"{run_id} ended without its lines"
        lined = {run_id for run_id in self.lined if len(stored.get(run_id, ())) != 3}
        return (self.submitted - set(runs)) | lined


def killed(folder: Path, times: int, how: str = "") -> Story:
    """Children that write and are killed at any moment, one after the other."""
    dice = random.Random(SEED)
    story = Story(folder)
    for number in range(times):
        child = start(folder, f"c{number:03d}{how}", 60, how)
        assert child.stdout is not None
        opened = child.stdout.readline()
        assert opened == "open -\n", child.communicate()[1]
        time.sleep(dice.uniform(0, 0.12))
        child.send_signal(signal.SIGKILL)
        out, err = child.communicate(timeout=30)
        assert (child.returncode, err) == (-signal.SIGKILL, "")
        story.hear(out)
    return story


def test_nothing_acknowledged_is_lost_to_kills(tmp_path: Path) -> None:
    story = killed(tmp_path / "data", 20)
    assert story.lost() == set()
    assert len(story.submitted) > 200
    assert story.lined


def test_the_harness_notices_a_recorder_without_a_journal(tmp_path: Path) -> None:
    story = killed(tmp_path / "data", 6, "forgetful")
    assert story.lost(), f"{len(story.submitted)} acknowledged, none lost: it can notice nothing"


def test_kills_while_a_journal_is_adopted_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    story = killed(folder, 1)
    dice = random.Random(SEED)
    for number in range(8):
        child = start(folder, f"k{number}", 60)
        time.sleep(dice.uniform(0.05, 0.25))
        child.send_signal(signal.SIGKILL)
        story.hear(child.communicate(timeout=30)[0])
    assert story.lost() == set()


def test_a_crowd_writes_together(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    story = Story(folder)
    children = [start(folder, f"p{number}", 5, "together") for number in range(4)]
    for child in children:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        out, err = child.communicate(timeout=120)
        assert (child.returncode, err) == (0, "")
        assert "closed" in out
        story.hear(out)
    assert story.lost() == set()
    assert {run_id[:2] for run_id in story.submitted} == {"p0", "p1", "p2", "p3"}


def test_those_who_open_at_once_adopt_a_journal_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    story = killed(folder, 3)
    children = [start(folder, f"o{number}", 0) for number in range(4)]
    for child in children:
        out, err = child.communicate(timeout=60)
        assert (child.returncode, err) == (0, "")
        story.hear(out)
    assert story.lost() == set()


# ---- a disk without room


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or not mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)):
        pytest.skip("needs the right to mount")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def mount(*args: str) -> bool:
    return subprocess.run(["mount", *args], capture_output=True, check=False).returncode == 0


def make(number: int) -> Run:
    return Run(run_id=f"{number:032x}", function="f", cluster="here", submitted_at=NOW)


def lines(run: Run, first: int, count: int = 20) -> list[LogLine]:
    return [
        LogLine(run.run_id, n, "stdout", 1.0, f"{n} " + os.urandom(200).hex())
        for n in range(first, first + count)
    ]


def fill(recorder: Recorder, run: Run) -> tuple[list[int], list[Future[int]]]:
    """Note runs and lines until no run can be noted any more."""
    acknowledged = list[int]()
    waiting = list[Future[int]]()
    for number in range(1, 100_000):
        try:
            recorder.submitted(make(number))
        except StoreUnwritable:
            return acknowledged, waiting
        acknowledged.append(number)
        if number % 50 == 0:
            waiting.append(recorder.lines(lines(run, 20 * len(waiting))))
            if len(waiting) < 20:
                waiting[-1].exception(30)
    raise AssertionError("the disk never filled")


def test_a_full_disk_is_told_before_anything_is_said_to_be_stored(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_500_000))
    recorder = Recorder(small_disk / "data")
    run = make(0)
    recorder.submitted(run)
    acknowledged, waiting = fill(recorder, run)
    with pytest.raises(StoreUnwritable, match=r"runs\.db"):
        recorder.flush()
    with pytest.raises(StoreUnwritable, match=r"runs\.db"):
        asyncio.run(recorder.read(lambda book: book.count_runs()))
    told = [future.exception(30) for future in waiting]
    assert any(isinstance(error, StoreUnwritable) for error in told)
    for future, error in zip(waiting, told, strict=True):
        assert error is not None or future.result() == 20

    ballast.unlink()
    recorder.flush()
    recorder.submitted(make(100_001))
    stored = asyncio.run(recorder.read(lambda book: book.runs(limit=sys.maxsize)))
    assert {run.run_id for run in stored} == {
        make(number).run_id for number in [0, *acknowledged, 100_001]
    }
    assert asyncio.run(recorder.read(lambda book: book.count_lines(run.run_id))) == 20 * len(
        waiting
    )
    recorder.close()
    assert list((small_disk / "data" / "journal").iterdir()) == []


FILLER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_recorder_faults import fill, make
from rhdesk.errors import StoreUnwritable
from rhdesk.models import RunStatus
from rhdesk.runs.recorder import Recorder
import msgspec
recorder = Recorder(Path(sys.argv[1]))
recorder.submitted(make(0))
acknowledged, waiting = fill(recorder, make(0))
try:
    recorder.ended(msgspec.structs.replace(make(0), status=RunStatus.SUCCEEDED))
except StoreUnwritable:
    pass
try:
    recorder.close()
except StoreUnwritable as exc:
    print(len(acknowledged), all(future.done() for future in waiting))
"""


def test_what_a_program_could_not_store_waits_for_the_next(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_500_000))
    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(small_disk / "data"), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr == ""
    count, all_done = done.stdout.split()
    assert all_done == "True"
    with pytest.raises(StoreUnwritable, match=r"runs\.db"):
        Recorder(small_disk / "data")
    ballast.unlink()
    recorder = Recorder(small_disk / "data")
    stored = asyncio.run(recorder.read(lambda book: book.runs(limit=sys.maxsize)))
    assert {run.run_id for run in stored} == {make(n).run_id for n in range(int(count) + 1)}
    assert not any(run.status.is_finished for run in stored)
    recorder.close()


def test_a_read_only_disk_is_named_and_still_read(small_disk: Path) -> None:
    folder = small_disk / "data"
    recorder = Recorder(folder)
    recorder.submitted(make(1))
    recorder.close()
    assert mount("-o", "remount,ro", str(small_disk))
    with pytest.raises(StoreUnwritable, match=r"runs\.db cannot be written: Read-only"):
        Recorder(folder)
    book = RunBook(folder / "runs.db", read_only=True)
    assert book.runs() == [make(1)]
    book.close()


def test_retention_makes_room_on_a_disk_that_was_full(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_200_000))
    book = RunBook(small_disk / "data" / "runs.db")

    def fill() -> None:
        for number in range(10_000):
            run = msgspec.structs.replace(make(number), status=RunStatus.SUCCEEDED, ended_at=NOW)
            book.record([run])
            book.add_lines(lines(run, 0))

    with pytest.raises(StoreUnwritable, match=r"runs\.db"):
        fill()
    before = book.count_runs()
    ballast.unlink()
    assert book.retain(NOW, keep_days=90, keep_bytes=book.size_bytes() // 2) > 0
    assert 0 < book.count_runs() < before
    book.record([make(20_000)])
    assert book.problems() == []
    book.close()
