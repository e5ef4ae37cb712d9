"""Edges in the run book, and what the desk answers from them. No cluster: the rows are made."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rhdesk.config import Settings
from rhdesk.current_run import RUN_ID
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, NotFound, SetupFailed
from rhdesk.models import Edge, Lineage, Record, Run, RunStatus
from rhdesk.runs.book import RunBook
from rhdesk.runs.recorder import Recorder

NOW = datetime(2026, 9, 30, 8, tzinfo=UTC)
HANG_S = 30.0


def run_id(number: int) -> str:
    return f"{number:032x}"


def edge(number: int, kind: str, name: str, version: str = "", **facts: Any) -> Edge:
    """What run *number* did, so many seconds after eight."""
    defaults: dict[str, Any] = {"at": NOW + timedelta(seconds=number), "function": f"~/f{number}"}
    return Edge(run_id=run_id(number), kind=kind, name=name, version=version, **defaults | facts)


def ended(number: int, **facts: Any) -> Run:
    at = NOW + timedelta(seconds=number)
    defaults: dict[str, Any] = {
        "run_id": run_id(number),
        "function": "~/f",
        "cluster": "here",
        "status": RunStatus.SUCCEEDED,
        "submitted_at": at,
        "ended_at": at,
    }
    return Run(**defaults | facts)


def ids(found: Lineage) -> list[int]:
    return list(dict.fromkeys(int(each.run_id, 16) for each in found.edges))


PIPELINE = [
    edge(1, "read", "~/raw", "aaaa"),
    edge(1, "wrote", "~/clean", "bbbb"),
    edge(2, "read", "~/clean", "bbbb"),
    edge(2, "read", "~/settings", "cccc"),
    edge(2, "wrote", "~/model", "dddd"),
    edge(3, "read", "~/model", "dddd"),
    edge(3, "wrote", "~/report", "eeee"),
    edge(4, "read", "~/model", "ffff"),  # another version of it
    edge(4, "wrote", "~/other", "abcd"),
]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[RunBook]:
    book = RunBook(tmp_path / "runs.db")
    yield book
    assert book.problems() == []
    book.close()


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncDesk]:
    monkeypatch.chdir(project(tmp_path, "project"))
    async with AsyncDesk.open(Settings.load()) as desk:
        yield desk


def project(folder: Path, name: str) -> Path:
    """A git repository: its names are its own."""
    made = folder / name
    subprocess.run(["git", "init", "-q", str(made)], check=True)
    return made


async def add(desk: AsyncDesk, *edges: Edge) -> None:
    await desk.recorder.write(lambda book: book.edges.add(edges))


def env(name: str, number: int = 0) -> Record:
    config = {
        "name": name,
        "resource_type": "env",
        "resource_subtype": "Env",
        "reqs": [f"a{number}"],
    }
    return Record(name=name, resource_type="env", config=config)


# ---- the book


def test_an_edge_is_there_once_however_often_it_is_added(book: RunBook) -> None:
    assert book.edges.add(PIPELINE) == len(PIPELINE)
    assert book.edges.add(PIPELINE) == 0
    assert book.edges.of_run(run_id(2)) == sorted(
        PIPELINE[2:5], key=lambda each: (each.at, each.kind, each.name)
    )


def test_what_a_run_made_nothing_of_goes_with_it_once_a_later_run_says_the_same(
    book: RunBook,
) -> None:
    same = {"function": "~/f", "version": "aaaa"}
    book.record([ended(n) for n in range(1, 5)])
    book.edges.add([edge(n, "read", "~/x", **same) for n in (1, 2, 3, 4)])
    book.edges.add([edge(2, "wrote", "~/y", "bbbb", function="~/f")])
    assert book.remove([run_id(n) for n in range(1, 5)]) == 4
    left = [int(each, 16) for each in book.edges.runs()]
    assert left == [2, 4], "the one that made something, and the newest of the others"


def test_edges_outlive_the_run_that_retention_takes(book: RunBook) -> None:
    book.record([ended(n) for n in (1, 2, 3, 4)])
    book.edges.add(PIPELINE)
    assert book.retain(NOW + timedelta(days=400), keep_days=1, keep_bytes=0) == 4
    assert book.count_runs() == 0
    assert [e for n in (1, 2, 3, 4) for e in book.edges.of_run(run_id(n))] != []
    assert book.edges.writers("~/report", "eeee", None, 10) == [PIPELINE[6]]


def test_a_million_calls_of_one_function_leave_few_edges_when_their_runs_are_gone(
    book: RunBook,
) -> None:
    many = range(1, 2_001)
    with book.transaction():
        book.record([ended(n) for n in many])
        book.edges.add([edge(n, "read", "~/f", "aaaa", function="~/f") for n in many])
        book.edges.add([edge(n, "read", "~/here", function="~/f") for n in many])
    book.retain(NOW + timedelta(days=400), keep_days=1, keep_bytes=0)
    assert book.edges.runs() == [run_id(2_000)]


def test_a_book_of_the_schema_before_gets_its_edges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rhdesk.runs import book as module

    with monkeypatch.context() as before:
        before.setattr(module, "_MIGRATIONS", module._MIGRATIONS[:2])
        old = RunBook(tmp_path / "runs.db")
        old._db.execute("DELETE FROM log_line")
        old.close()
    book = RunBook(tmp_path / "runs.db")
    assert book.edges.add(PIPELINE) == len(PIPELINE)
    book.close()


# ---- submitted and ended, as the recorder writes them


def test_a_run_and_what_it_reads_are_written_in_one(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    run = ended(1, status=RunStatus.SUBMITTED, ended_at=None)
    recorder.submitted(run, (("~/f", "aaaa"), ("~/data", "bbbb")))
    recorder.flush()
    found = asyncio.run(recorder.read(lambda book: book.edges.of_run(run.run_id)))
    assert [(e.kind, e.name, e.version, e.function) for e in found] == [
        ("read", "~/data", "bbbb", "~/f"),
        ("read", "~/f", "aaaa", "~/f"),
        ("read", "~/here", "", "~/f"),
    ]
    recorder.close()


@pytest.mark.parametrize(
    ("status", "kept"), [(RunStatus.SUCCEEDED, ["here:k"]), (RunStatus.FAILED, [])]
)
def test_a_result_that_is_kept_is_written_when_there_is_one(
    tmp_path: Path, status: RunStatus, kept: list[str]
) -> None:
    recorder = Recorder(tmp_path)
    run = ended(1, origin={"keep": "k"})
    recorder.submitted(msgspec.structs.replace(run, status=RunStatus.SUBMITTED, ended_at=None))
    recorder.ended(msgspec.structs.replace(run, status=status))
    recorder.flush()
    found = asyncio.run(recorder.read(lambda book: book.edges.of_run(run.run_id)))
    assert [each.name for each in found if each.kind == "wrote"] == kept
    recorder.close()


@pytest.mark.parametrize("first", ["submitted", "touched"])
def test_what_a_run_did_knows_its_function_whoever_writes_first(
    tmp_path: Path, first: str
) -> None:
    recorder = Recorder(tmp_path)
    steps = {
        "submitted": lambda: recorder.submitted(ended(1, status=RunStatus.SUBMITTED)),
        "touched": lambda: recorder.touched(edge(1, "wrote", "~/x", "aaaa", function="")),
    }
    steps.pop(first)()
    recorder.flush()
    steps.popitem()[1]()
    recorder.flush()
    found = asyncio.run(recorder.read(lambda book: book.edges.of_run(run_id(1))))
    assert {each.function for each in found} == {"~/f"}
    recorder.close()


# ---- why, and what breaks


async def test_the_chain_up_is_told_nearest_first(desk: AsyncDesk) -> None:
    await add(desk, *PIPELINE)
    found = await desk.lineage("~/report")
    assert ids(found) == [3, 2, 1]
    assert found.names == ("~/model", "~/clean", "~/settings", "~/raw")
    assert found.is_complete


async def test_the_chain_down_is_told_nearest_first(desk: AsyncDesk) -> None:
    await add(desk, *PIPELINE)
    found = await desk.dependents("~/raw")
    assert ids(found) == [1, 2, 3]
    assert found.names == ("~/clean", "~/model", "~/report")
    assert found.dependents() == ("~/clean", "~/model", "~/report", "~/f1")


async def test_another_version_has_another_lineage(desk: AsyncDesk) -> None:
    await add(desk, *PIPELINE)
    assert (await desk.dependents("~/model@dddd")).names == ("~/report",)
    assert (await desk.dependents("~/model@ffff")).names == ("~/other",)
    assert (await desk.dependents("~/model")).names == ("~/other", "~/report"), "newest first"


@pytest.mark.parametrize(("depth", "expected"), [(1, [3]), (2, [3, 2]), (3, [3, 2, 1])])
async def test_no_more_steps_are_told_than_asked_for(
    desk: AsyncDesk, depth: int, expected: list[int]
) -> None:
    await add(desk, *PIPELINE)
    found = await desk.lineage("~/report", depth=depth)
    assert ids(found) == expected
    assert found.is_complete is (depth == 3)
    down = await desk.dependents("~/raw", depth=depth)
    assert ids(down) == [1, 2, 3][:depth]
    assert down.is_complete is (depth == 3)


async def test_a_cycle_ends(desk: AsyncDesk) -> None:
    await add(
        desk,
        edge(1, "read", "~/a", "aaaa"),
        edge(1, "wrote", "~/b", "bbbb"),
        edge(2, "read", "~/b", "bbbb"),
        edge(2, "wrote", "~/a", "aaaa"),
    )
    async with asyncio.timeout(HANG_S):
        assert set(ids(await desk.lineage("~/a", depth=100))) == {1, 2}
        assert set(ids(await desk.dependents("~/a", depth=100))) == {1, 2}


async def test_a_tree_of_a_cycle_ends_too(desk: AsyncDesk) -> None:
    await add(desk, edge(1, "read", "~/a", "aaaa"), edge(1, "wrote", "~/a", "aaaa"))
    for found in (await desk.lineage("~/a"), await desk.dependents("~/a")):
        assert len(list(found.branches())) <= 4


async def test_a_kept_value_that_was_replaced_came_of_its_last_writer(desk: AsyncDesk) -> None:
    await add(
        desk,
        edge(1, "wrote", "here:k"),
        edge(2, "read", "here:k"),
        edge(2, "wrote", "~/first", "aaaa"),
        edge(3, "wrote", "here:k"),
        edge(4, "read", "here:k"),
        edge(4, "wrote", "~/second", "bbbb"),
    )
    assert ids(await desk.lineage("~/first")) == [2, 1]
    assert ids(await desk.lineage("~/second")) == [4, 3]
    assert ids(await desk.lineage("here:k")) == [3]
    assert set((await desk.dependents("here:k")).names) == {"~/first", "~/second"}


async def test_what_was_read_once_more_is_told_once(desk: AsyncDesk) -> None:
    """A diamond: two ways lead to the same run."""
    await add(
        desk,
        edge(1, "wrote", "~/a", "aaaa"),
        edge(2, "read", "~/a", "aaaa"),
        edge(2, "wrote", "~/b", "bbbb"),
        edge(3, "read", "~/a", "aaaa"),
        edge(3, "wrote", "~/c", "cccc"),
        edge(4, "read", "~/b", "bbbb"),
        edge(4, "read", "~/c", "cccc"),
        edge(4, "wrote", "~/d", "dddd"),
    )
    up, down = await desk.lineage("~/d"), await desk.dependents("~/a")
    assert len(up.edges) == len(set(up.edges)) == 8
    assert len(down.edges) == len(set(down.edges)) == 7
    writers = [b.edge for b in up.branches() if b.edge.name == "~/a" and b.edge.kind == "wrote"]
    assert [each.run_id for each in writers] == [run_id(1)] * 2, "once under each of its readers"


async def test_a_name_nobody_knows_is_not_found(desk: AsyncDesk) -> None:
    with pytest.raises(NotFound):
        await desk.lineage("~/nowhere")
    with pytest.raises(NotFound):
        await desk.edges("abcdef")
    assert (await desk.dependents("~/nowhere")).edges == ()


async def test_a_hundred_thousand_edges_are_bounded(desk: AsyncDesk) -> None:
    """A long chain, a name that everything read, and a version that many runs wrote."""
    chain = [
        each
        for n in range(1, 20_001)
        for each in (
            edge(n, "read", f"~/step{n - 1}", f"{n - 1:08x}"),
            edge(n, "read", "~/common", "aaaa", function="~/f"),
            edge(n, "wrote", f"~/step{n}", f"{n:08x}"),
        )
    ]
    idle = [
        edge(n, "read", "~/common", "aaaa", function=f"~/idle{n % 5}")
        for n in range(30_000, 70_000)
    ]
    same = [edge(n, "wrote", "~/same", "abcd") for n in range(80_000, 81_000)]
    await add(desk, *chain, *idle, *same)
    async with asyncio.timeout(HANG_S):
        up = await desk.lineage("~/step20000", depth=100)
        down = await desk.dependents("~/step0", depth=100)
        common = await desk.dependents("~/common")
        wrote = await desk.lineage("~/same")
    assert len(ids(up)) == len(ids(down)) == 100
    assert not up.is_complete
    assert not down.is_complete
    assert len(common.edges) < 20_000
    assert {f"~/idle{n}" for n in range(5)} <= set(common.dependents())
    assert not common.is_complete
    assert len(wrote.edges) == 20
    began = time.monotonic()
    len(list(common.branches()))
    len(list(up.branches()))
    assert time.monotonic() - began < HANG_S


# ---- noted by itself


async def test_what_a_run_saves_and_loads_is_its_doing(
    desk: AsyncDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await desk.save(env("~/before"))
    monkeypatch.setenv(RUN_ID, run_id(7))
    await desk.load("~/before")
    after = await desk.save(env("~/after"))
    monkeypatch.delenv(RUN_ID)
    found = [(each.kind, each.name, each.version) for each in await desk.edges(run_id(7))]
    assert sorted(found) == [
        ("read", "~/before", before.version),
        ("wrote", "~/after", after.version),
    ]
    assert (await desk.lineage("~/after")).names == ("~/before",)
    assert (await desk.dependents("~/before")).names == ("~/after",)


async def test_a_record_of_runs_that_cannot_be_read_does_not_keep_a_run_from_its_names(
    desk: AsyncDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = desk.settings.data_dir / "runs.db"
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_bytes(b"no database" * 500)
    monkeypatch.setenv(RUN_ID, run_id(7))
    saved = await desk.save(env("~/x"))
    assert (await desk.load("~/x")).version == saved.version
    assert [each.run_id for each in await desk.history("~/x")] == [run_id(7)]
    with pytest.raises(SetupFailed):
        await desk.lineage("~/x")


async def test_a_person_at_work_leaves_no_edges(desk: AsyncDesk) -> None:
    await desk.save(env("~/x"))
    await desk.load("~/x")
    assert await desk.recorder.read(lambda book: book.edges.runs()) == []


async def test_why_goes_on_behind_a_version_that_a_person_saved(desk: AsyncDesk) -> None:
    made = await desk.save(env("~/x", 1), run_id=run_id(1))
    by_hand = await desk.save(env("~/x", 2))
    found = await desk.lineage("~/x")
    assert [each.version for each in found.saved] == [by_hand.version]
    assert (found.version, ids(found)) == (made.version, [1])


async def test_a_version_says_which_run_wrote_it_where_the_book_does_not(
    desk: AsyncDesk,
) -> None:
    """As on another laptop, which has the name and its history, and not the record of runs."""
    saved = await desk.save(env("~/x"), run_id=run_id(1))
    await desk.recorder.write(lambda book: book.edges._change("DELETE FROM edge WHERE ?", [(1,)]))
    found = await desk.lineage("~/x")
    assert [(e.kind, e.version, e.run_id) for e in found.edges] == [
        ("wrote", saved.version, run_id(1))
    ]


async def test_another_projects_name_is_another_thing(
    desk: AsyncDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await desk.save(env("~/x", 1))
    await add(
        desk,
        edge(1, "read", "~/x", one.version),
        edge(1, "wrote", "~/mine", "aaaa", function="~/f"),
    )
    monkeypatch.chdir(project(tmp_path, "other"))
    async with AsyncDesk.open() as elsewhere:
        await elsewhere.save(env("~/x", 2))
        assert (await elsewhere.dependents("~/x")).edges == ()
    assert (await desk.dependents("~/x")).names == ("~/mine",)


async def test_of_several_versions_that_begin_alike_none_is_guessed(desk: AsyncDesk) -> None:
    await add(desk, edge(1, "wrote", "~/x", "aaaa1"), edge(2, "wrote", "~/x", "aaaa2"))
    with pytest.raises(BadInput):
        await desk.lineage("~/x@aaaa")
    assert ids(await desk.lineage("~/x@aaaa2")) == [2]
