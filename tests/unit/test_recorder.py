"""The recorder in one process, on real files: what it promises to those who note, ask and wait."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rhdesk.errors import BadInput, NotFound, SetupFailed, StoreUnwritable
from rhdesk.models import LogLine, Run, RunStatus
from rhdesk.runs import recorder as module
from rhdesk.runs.book import RunBook
from rhdesk.runs.recorder import Ended, Event, Recorder, Started, Submitted

NOW = datetime(2026, 9, 30, 8, tzinfo=UTC)
DEAD = "4194305-1-abc.journal"
"""Of a process that cannot be: pids end below its number."""


def make(number: int, **facts: Any) -> Run:
    defaults: dict[str, Any] = {
        "run_id": f"{number:04x}" * 8,
        "function": "~/digits",
        "cluster": "here",
        "submitted_at": NOW + timedelta(seconds=number),
    }
    return Run(**defaults | facts)


def ended(run: Run, status: RunStatus = RunStatus.SUCCEEDED) -> Run:
    return msgspec.structs.replace(run, status=status, ended_at=NOW + timedelta(days=1))


def lines(run: Run, count: int = 3) -> list[LogLine]:
    return [LogLine(run.run_id, n, "stdout", 1.0, f"line {n}") for n in range(count)]


def frames(*events: Event) -> bytes:
    bodies = [module._encode(event) for event in events]
    return b"".join(module._HEAD.pack(len(b), zlib.crc32(b)) + b for b in bodies)


def journals(folder: Path) -> list[Path]:
    return sorted((folder / "journal").iterdir())


def journaled(folder: Path) -> list[Event]:
    return [event for file in journals(folder) for event in module._events(file.read_bytes())]


def ask(recorder: Recorder, run: Run) -> Run:
    return asyncio.run(recorder.read(lambda book: book.run(run.run_id)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def recorder(folder: Path) -> Iterator[Recorder]:
    recorder = Recorder(folder)
    yield recorder
    recorder.close()
    assert journals(folder) == []


@contextmanager
def held_up(recorder: Recorder) -> Iterator[None]:
    """The owner is busy with something long, so that what is noted meanwhile waits."""
    at_it, go_on = threading.Event(), threading.Event()

    def long(book: RunBook) -> None:
        at_it.set()
        assert go_on.wait(30)

    waiting = threading.Thread(target=lambda: asyncio.run(recorder.write(long)))
    waiting.start()
    assert at_it.wait(30)
    try:
        yield
    finally:
        go_on.set()
        waiting.join()


# ---- noting


def test_what_was_noted_is_read_at_once(recorder: Recorder) -> None:
    run = make(1)
    recorder.submitted(run)
    assert ask(recorder, run) == run
    recorder.started(run.run_id, NOW)
    assert ask(recorder, run).status is RunStatus.RUNNING
    recorder.ended(ended(run))
    assert ask(recorder, run) == msgspec.structs.replace(ended(run), started_at=NOW)


def test_a_short_call_is_one_row_that_knows_when_it_began(recorder: Recorder) -> None:
    run = make(1)
    with held_up(recorder):
        recorder.submitted(run)
        recorder.started(run.run_id, NOW)
        recorder.ended(ended(run))
    assert ask(recorder, run) == msgspec.structs.replace(ended(run), started_at=NOW)


def test_a_lost_run_is_explained_even_in_the_same_batch(recorder: Recorder) -> None:
    run = make(1)
    with held_up(recorder):
        for event in (ended(run, RunStatus.LOST), ended(run), ended(run, RunStatus.FAILED)):
            recorder.ended(event)
        recorder.submitted(run)
    assert ask(recorder, run) == ended(run)


def test_noting_does_not_wait_for_a_locked_book(recorder: Recorder, folder: Path) -> None:
    db = sqlite3.connect(folder / "runs.db", isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    for number in range(100):
        recorder.submitted(make(number))
    assert [event.run for event in journaled(folder) if isinstance(event, Submitted)] == [
        make(number) for number in range(100)
    ]
    db.execute("ROLLBACK")
    db.close()
    recorder.flush()
    assert journaled(folder) == []
    assert asyncio.run(recorder.read(lambda book: book.count_runs())) == 100


def test_lines_are_stored_when_their_future_says_so(recorder: Recorder, folder: Path) -> None:
    run = make(1)
    recorder.submitted(run)
    assert recorder.lines(lines(run, 7)).result(30) == 7
    assert recorder.lines(lines(run, 9)).result(30) == 2
    other = RunBook(folder / "runs.db", read_only=True)
    assert other.lines(run.run_id, 0, 100) == lines(run, 9)
    other.close()


def test_lines_nobody_can_store_do_not_harm_their_neighbours(recorder: Recorder) -> None:
    run = make(1)
    with held_up(recorder):
        recorder.submitted(run)
        before = recorder.lines(lines(run, 2))
        unknown = recorder.lines(lines(make(2)))
        unstorable = recorder.lines([LogLine(run.run_id, 2, "stdout", 1.0, "\ud800")])
        behind = recorder.lines(lines(run, 3))
    with pytest.raises(NotFound):
        unknown.result(30)
    with pytest.raises(BadInput):
        unstorable.result(30)
    assert before.result(30) + behind.result(30) == 3
    recorder.flush()


def test_an_end_does_not_outlive_its_lines(recorder: Recorder, folder: Path) -> None:
    run, silent = make(1), make(2)
    with held_up(recorder):
        recorder.submitted(run)
        recorder.lines(lines(run))
        recorder.ended(ended(run))
        recorder.submitted(silent)
        recorder.ended(ended(silent))
        assert journaled(folder) == [Submitted(run), Submitted(silent), Ended(ended(silent))]
    stored = ask(recorder, run)
    assert (stored.status, stored.lines) == (RunStatus.SUCCEEDED, 3)


async def test_who_leaves_early_takes_nothing_along(recorder: Recorder) -> None:
    run = make(1)
    recorder.submitted(run)
    with held_up(recorder):
        stored = asyncio.wrap_future(recorder.lines(lines(run)))
        stored.cancel()
        async with asyncio.TaskGroup() as group:
            changing = group.create_task(
                recorder.write(lambda book: book.pin(run.run_id, pinned=True))
            )
            reading = group.create_task(recorder.read(lambda book: book.count_runs()))
            await asyncio.sleep(0)
            changing.cancel()
            reading.cancel()
    found = await recorder.read(lambda book: book.run(run.run_id))
    assert (found.lines, found.pinned) == (3, False)


@pytest.mark.parametrize("error", [NotFound("x"), KeyError("x"), KeyboardInterrupt()])
async def test_what_a_change_raises_is_its_callers(
    recorder: Recorder, error: BaseException
) -> None:
    def change(book: RunBook) -> None:
        raise error

    with pytest.raises(type(error)):
        await recorder.write(change)
    assert await recorder.write(lambda book: book.count_runs()) == 0


def test_many_threads_may_note(recorder: Recorder) -> None:
    def note(first: int) -> None:
        for number in range(first, first + 200):
            recorder.submitted(make(number))
            recorder.lines(lines(make(number), 1))
            recorder.ended(ended(make(number)))

    threads = [threading.Thread(target=note, args=(200 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = asyncio.run(recorder.read(lambda book: book.runs(limit=2000)))
    assert len(runs) == 800
    assert {(run.status, run.lines) for run in runs} == {(RunStatus.SUCCEEDED, 1)}


# ---- the journal


def test_the_journal_is_the_users_alone(recorder: Recorder, folder: Path) -> None:
    (file,) = journals(folder)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_journal_does_not_grow_under_steady_load(recorder: Recorder, folder: Path) -> None:
    text = "x" * 100_000
    with held_up(recorder):
        for number in range(40):
            recorder.submitted(make(number, inputs_text=text))
        assert len(journals(folder)) > 2
        assert len(journaled(folder)) == 40
    recorder.flush()
    assert [file.stat().st_size for file in journals(folder)] == [0]
    assert asyncio.run(recorder.read(lambda book: book.count_runs())) == 40


def test_the_journal_of_a_dead_process_is_adopted(folder: Path) -> None:
    run = make(1)
    (folder / "journal").mkdir(parents=True)
    (folder / "journal" / DEAD).write_bytes(
        frames(Submitted(run), Started(run.run_id, NOW), Ended(ended(run)), Submitted(make(2)))
    )
    recorder = Recorder(folder)
    assert ask(recorder, run) == msgspec.structs.replace(ended(run), started_at=NOW)
    assert ask(recorder, make(2)) == make(2)
    assert not (folder / "journal" / DEAD).exists()
    recorder.close()


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_frame_cut_short_by_a_death_is_not_one(folder: Path, cut: int) -> None:
    (folder / "journal").mkdir(parents=True)
    whole = frames(Submitted(make(1)), Submitted(make(2)))
    (folder / "journal" / DEAD).write_bytes(whole[:-cut])
    recorder = Recorder(folder)
    assert [run.run_id[:4] for run in asyncio.run(recorder.read(RunBook.runs))] == ["0001"]
    recorder.close()


def test_a_frame_that_was_changed_is_not_one(folder: Path) -> None:
    (folder / "journal").mkdir(parents=True)
    whole = bytearray(frames(Submitted(make(1)), Submitted(make(2))))
    whole[-30] ^= 1
    (folder / "journal" / DEAD).write_bytes(whole)
    recorder = Recorder(folder)
    assert [run.run_id[:4] for run in asyncio.run(recorder.read(RunBook.runs))] == ["0001"]
    recorder.close()


def test_journals_of_others_are_left_alone(folder: Path) -> None:
    (folder / "journal").mkdir(parents=True)
    body = msgspec.msgpack.encode([9, "of a newer rhdesk"])
    newer = module._HEAD.pack(len(body), zlib.crc32(body)) + body
    left = {DEAD: newer, "notes.journal": b"mine", "1-2-3-4.journal": b"", "x-y-z.journal": b""}
    for name, content in left.items():
        (folder / "journal" / name).write_bytes(content)
    Recorder(folder).close()
    assert {file.name: file.read_bytes() for file in journals(folder)} == left


def test_the_journal_of_a_living_process_is_left_alone(folder: Path) -> None:
    first = Recorder(folder)
    with held_up(first):
        first.submitted(make(1))
        second = Recorder(folder)
        assert asyncio.run(second.read(lambda book: book.count_runs())) == 0
        assert journaled(folder) == [Submitted(make(1))]
    first.flush()
    assert ask(second, make(1)) == make(1)
    first.close()
    second.close()


def test_a_program_with_a_strange_name_can_call(folder: Path, tmp_path: Path) -> None:
    program = os.fsencode(tmp_path) + b"/\xff.py"
    with open(program, "w") as opened:
        opened.write(
            "import sys, msgspec\n"
            "from rhdesk.runs.making import new_run\n"
            "from rhdesk.wire.payload import Payload\n"
            "payload = Payload.of_call((), {})\n"
            "run = new_run('f', (), {}, payload, method='', on='here', env='', tree='')\n"
            "print(ascii(msgspec.json.decode(msgspec.json.encode(run))['origin']['program']))\n"
        )
    done = subprocess.run([os.fsencode(sys.executable), program], capture_output=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (b"'\\ufffd.py'", b"")


# ---- opening and closing


def test_a_closed_recorder_says_so_and_loses_nothing(folder: Path) -> None:
    recorder = Recorder(folder)
    recorder.submitted(make(1))
    recorder.close()
    recorder.close()
    for late in (
        lambda: recorder.submitted(make(2)),
        lambda: recorder.ended(ended(make(2))),
        lambda: recorder.lines(lines(make(1))),
    ):
        with pytest.raises(StoreUnwritable):
            late()
    with pytest.raises(StoreUnwritable):
        asyncio.run(recorder.write(lambda book: book.count_runs()))
    again = Recorder(folder)
    assert [run.run_id[:4] for run in asyncio.run(again.read(RunBook.runs))] == ["0001"]
    again.close()


def test_a_book_that_is_none_is_refused_and_nothing_is_left_open(folder: Path) -> None:
    folder.mkdir()
    (folder / "runs.db").write_bytes(b"not a database" * 100)
    opened = len(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    with pytest.raises(SetupFailed, match=r"runs\.db"):
        Recorder(folder)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == (opened, threads)
