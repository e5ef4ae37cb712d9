"""The run book alone, on real files."""

from __future__ import annotations

import sqlite3
import stat
import string
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhdesk.errors import BadInput, NotFound, SetupFailed, StoreBusy, StoreUnwritable
from rhdesk.models import Failure, LogLine, Run, RunStatus
from rhdesk.runs import book as module
from rhdesk.runs.book import APPLICATION, RunBook

NOW = datetime(2026, 9, 30, 8, tzinfo=UTC)


def make(number: int, **facts: Any) -> Run:
    """A run submitted *number* seconds after eight."""
    defaults: dict[str, Any] = {
        "run_id": f"{number:04x}" * 8,
        "function": "~/digits",
        "cluster": "here",
        "submitted_at": NOW + timedelta(seconds=number),
    }
    return Run(**defaults | facts)


def ended(run: Run, status: RunStatus = RunStatus.SUCCEEDED, **facts: Any) -> Run:
    defaults = {"status": status, "ended_at": run.submitted_at + timedelta(seconds=1)}
    return msgspec.structs.replace(run, **defaults | facts)


def lines(run: Run, *texts: str, first: int = 0) -> list[LogLine]:
    return [
        LogLine(run.run_id, first + n, "stdout", NOW.timestamp() + n, text)
        for n, text in enumerate(texts)
    ]


def texts(book: RunBook, run: Run) -> list[str]:
    return [line.text for line in book.lines(run.run_id, 0, 10_000)]


def hits(book: RunBook, text: str, **where: Any) -> list[str]:
    return [hit.line.text for hit in book.search(text, **where)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "runs.db"


@pytest.fixture
def book(file: Path) -> Iterator[RunBook]:
    book = RunBook(file)
    yield book
    assert book.problems() == []
    book.close()
    assert_searchable(file)


def assert_searchable(file: Path) -> None:
    """The index holds the lines' words, all of them and no others."""
    db = sqlite3.connect(file)
    db.execute("INSERT INTO log_word (log_word, rank) VALUES ('integrity-check', 1)")
    db.close()


# ---- the file


def test_the_file_and_its_folder_are_the_users_alone(book: RunBook, file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_file_is_kept_by_the_careful_rules(book: RunBook) -> None:
    rules = ("journal_mode", "synchronous", "auto_vacuum", "foreign_keys", "application_id")
    found = [book._one(f"PRAGMA {rule}") for rule in rules]
    assert found == ["delete", 3, 2, 1, APPLICATION]


def test_a_stranger_reads_the_file_with_sqlite_alone(book: RunBook, file: Path) -> None:
    run = make(1, origin={"program": "train.py"})
    book.record([run])
    book.add_lines(lines(run, "ERROR: no"))
    db = sqlite3.connect(file)
    seen = db.execute("SELECT function, cluster, seq, at_utc, level, text FROM run_log").fetchall()
    submitted = db.execute("SELECT submitted_at FROM run").fetchall()
    db.close()
    assert seen == [("~/digits", "here", 0, "2026-09-30 08:00:00", "error", "ERROR: no")]
    assert submitted == [("2026-09-30T08:00:01+00:00",)]


def test_a_newer_schema_is_refused_and_left_as_it_is(book: RunBook, file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version = 99")
    for read_only in (False, True):
        with pytest.raises(SetupFailed, match="newer rhdesk"):
            RunBook(file, read_only=read_only)
    assert db.execute("PRAGMA user_version").fetchone() == (99,)
    db.close()


def test_a_book_of_the_first_schema_is_brought_up_to_date(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(module, "_MIGRATIONS", module._MIGRATIONS[:1])
        old_columns = module._COLUMNS.removesuffix(", node, share_of")
        before.setattr(module, "_COLUMNS", old_columns)
        before.setattr(module, "_row", lambda run, row=module._row: row(run)[:-2])
        old = RunBook(file)
        old.record([make(1)])
        old.close()
    book = RunBook(file)
    book.add_lines(lines(make(1), "kept and searchable"))
    assert hits(book, "searchable") == ["kept and searchable"]
    book.close()
    assert_searchable(file)


@pytest.mark.parametrize("content", [b"not a database, but long enough to be one" * 30, None])
def test_what_is_no_run_book_is_refused_and_left_as_it_is(file: Path, content: Any) -> None:
    file.parent.mkdir()
    if content is None:
        db = sqlite3.connect(file)
        db.execute("CREATE TABLE song (title)")
        db.close()
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    with pytest.raises(SetupFailed, match=r"runs\.db .*move it away"):
        RunBook(file)
    assert file.read_bytes() == before


def test_a_damaged_book_says_so(file: Path) -> None:
    book = RunBook(file)
    book.record([make(n) for n in range(200)])
    book.close()
    data = bytearray(file.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    file.write_bytes(data)
    book = RunBook(file)
    with pytest.raises(SetupFailed, match=r"runs\.db .*damaged"):
        book.runs()
    book.close()


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreUnwritable, match=r"data/runs\.db cannot be written"):
        RunBook(tmp_path / "data" / "runs.db")


def test_a_reader_makes_no_file(file: Path) -> None:
    file.parent.mkdir()
    with pytest.raises(StoreUnwritable, match=r"runs\.db"):
        RunBook(file, read_only=True)
    assert not file.exists()


def test_a_reader_cannot_write(book: RunBook, file: Path) -> None:
    reader = RunBook(file, read_only=True)
    with pytest.raises(StoreUnwritable, match=r"runs\.db"):
        reader.record([make(1)])
    reader.close()


def test_a_locked_book_says_who_is_in_the_way(book: RunBook, file: Path) -> None:
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    book._db.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(StoreBusy, match=r"runs\.db is locked by another rhdesk"):
        book.record([make(1)])
    db.execute("ROLLBACK")
    db.close()
    book.record([make(1)])


def test_a_path_with_strange_signs_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "a b?c#d%41é" / "runs.db"
    RunBook(file).close()
    assert file.exists()
    assert [each.name for each in tmp_path.iterdir() if each.name != "home"] == ["a b?c#d%41é"]


def test_a_transaction_is_everything_or_nothing(book: RunBook) -> None:
    def half() -> None:
        with book.transaction():
            book.record([make(1)])
            book.add_lines(lines(make(2), "of nobody"))

    with pytest.raises(NotFound):
        half()
    assert book.count_runs() == 0


# ---- runs


def test_a_run_comes_back_as_it_was_written(book: RunBook) -> None:
    run = make(
        1,
        method="fit",
        env="torch",
        status=RunStatus.FAILED,
        started_at=NOW,
        ended_at=NOW + timedelta(microseconds=1),
        code_tree="c0de",
        inputs="ab",
        inputs_text="alpha='\x00 \u2028 😀'",
        result="",
        failure=Failure(kind="ValueError", message="no", traceback="Traceback\n  x"),
        pinned=True,
        origin={"pid": 7, "program": "é.py"},
    )
    book.record([run])
    assert book.run(run.run_id) == run


def test_how_a_run_ended_first_stays(book: RunBook) -> None:
    run = make(1)
    book.record([run])
    book.record([ended(run)])
    book.record([ended(run, RunStatus.FAILED, failure=Failure(kind="X", message="late"))])
    book.record([run])
    book.started(run.run_id, NOW)
    assert book.run(run.run_id) == ended(run)


def test_a_lost_run_may_be_explained_later(book: RunBook) -> None:
    run = make(1)
    lost = ended(run, RunStatus.LOST, failure=Failure(kind="run_lost", message="killed"))
    book.record([lost])
    book.record([ended(run, RunStatus.LOST, failure=Failure(kind="run_lost", message="again"))])
    assert book.run(run.run_id) == lost
    book.record([ended(run)])
    assert book.run(run.run_id) == ended(run)


def test_a_run_that_began_runs(book: RunBook) -> None:
    book.record([make(1)])
    book.started(make(1).run_id, NOW)
    book.started(make(1).run_id, NOW + timedelta(days=1))
    run = book.run("last")
    assert (run.status, run.started_at) == (RunStatus.RUNNING, NOW)
    book.record([ended(make(1))])
    assert book.run("last").started_at == NOW


def test_the_beginning_or_the_end_of_an_id_finds_the_run(book: RunBook) -> None:
    first, second = make(1, run_id="aaaabbbbccccdddd"), make(2, run_id="aaaabbbbccccdeee")
    book.record([first, second])
    assert book.run("aaaabbbbccccde") == second
    assert book.run("cccdeee") == second
    assert book.run(first.run_id) == first
    with pytest.raises(BadInput, match=r"aaaabbbbccccdddd, aaaabbbbccccdeee"):
        book.run("aaaa")


@pytest.mark.parametrize("text", ["", "a", "aaa", "%", "____", "' OR 1=1 --", "\x00", "last "])
def test_what_is_no_id_finds_nothing(book: RunBook, text: str) -> None:
    book.record([make(1), make(2)])
    with pytest.raises(NotFound):
        book.run(text)


def test_a_mistyped_id_is_told_the_nearest(book: RunBook) -> None:
    book.record([make(1)])
    with pytest.raises(NotFound) as caught:
        book.run(make(1).run_id[:-1] + "x")
    assert caught.value.near == (make(1).run_id,)


def test_there_is_no_last_run_in_an_empty_book(book: RunBook) -> None:
    with pytest.raises(NotFound):
        book.run("last")


def test_runs_come_newest_first_however_late_they_were_written_down(book: RunBook) -> None:
    book.record([make(3), make(1), make(2)])
    eastern = datetime(2026, 9, 30, 10, 0, 4, tzinfo=timezone(timedelta(hours=2)))
    book.record([make(4, submitted_at=eastern), make(5, submitted_at=NOW)])
    ids = [run.run_id[:4] for run in book.runs()]
    assert ids == ["0004", "0003", "0002", "0001", "0005"]
    assert [run.run_id[:4] for run in book.runs(limit=2, offset=1)] == ids[1:3]
    assert book.run("last").run_id[:4] == "0004"
    assert [run.run_id[:4] for run in book.unfinished()] == ids[::-1]


def test_runs_are_chosen_by_function_status_and_cluster(book: RunBook) -> None:
    book.record([make(1), make(2, function="~/other"), ended(make(3)), make(4, cluster="big")])
    assert [run.run_id[:4] for run in book.runs(function="~/other")] == ["0002"]
    assert [run.run_id[:4] for run in book.runs(status="succeeded")] == ["0003"]
    assert [run.run_id[:4] for run in book.runs(cluster="big", status="submitted")] == ["0004"]
    assert book.count_runs() == 4
    assert book.count_runs(function="~/digits", cluster="here") == 2
    assert len(book.unfinished()) == 3


# ---- lines


@given(
    batches=st.lists(st.lists(st.integers(0, 60), max_size=20), max_size=12),
    gap=st.integers(0, 60),
)
@settings(deadline=None, max_examples=60)
def test_lines_are_stored_once_in_order_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], gap: int
) -> None:
    file = tmp_path_factory.mktemp("book") / "runs.db"
    book = RunBook(file)
    run = make(1)
    book.record([run])
    sent = set[int]()
    grown = 0
    for batch in batches:
        kept = [seq for seq in batch if seq != gap]
        grown += book.add_lines([lines(run, f"line {seq}", first=seq)[0] for seq in kept])
        sent |= set(kept)
    assert [line.seq for line in book.lines(run.run_id, 0, 100)] == sorted(sent)
    assert texts(book, run) == [f"line {seq}" for seq in sorted(sent)]
    unbroken = next(seq for seq in range(100) if seq not in sent)
    assert book.count_lines(run.run_id) == grown == unbroken
    assert book.last_seq(run.run_id) == unbroken - 1
    assert len(hits(book, "line")) == len(sent)
    book.close()
    assert_searchable(file)


def test_the_first_text_of_a_number_stays(book: RunBook) -> None:
    run = make(1)
    book.record([run])
    assert book.add_lines(lines(run, "first")) == 1
    assert book.add_lines(lines(run, "second")) == 0
    assert texts(book, run) == ["first"]
    assert hits(book, "second") == []


def test_lines_of_several_runs_may_come_in_one_batch(book: RunBook) -> None:
    one, other = make(1), make(2)
    book.record([one, other])
    mixed = [
        x for pair in zip(lines(one, *"abc"), lines(other, *"xyz"), strict=True) for x in pair
    ]
    assert book.add_lines(mixed) == 6
    assert (texts(book, one), texts(book, other)) == (["a", "b", "c"], ["x", "y", "z"])


def test_lines_of_a_run_nobody_wrote_down_are_refused(book: RunBook) -> None:
    with pytest.raises(NotFound) as caught:
        book.add_lines(lines(make(1), "of nobody"))
    assert caught.value.kind == "run"


def test_a_line_that_cannot_be_stored_is_refused_and_its_batch_with_it(book: RunBook) -> None:
    run = make(1)
    book.record([run])
    for bad in (
        LogLine(run.run_id, 1, "stdout", 1.0, "half a \ud800 sign"),
        LogLine(run.run_id, 1, "stdout", float("nan"), "at no time"),
        LogLine(run.run_id, 2**63, "stdout", 1.0, "too far"),
    ):
        with pytest.raises(BadInput, match=r"runs\.db"):
            book.add_lines([*lines(run, "good"), bad])
    assert texts(book, run) == []


HOSTILE = [
    "a\x00b",
    "\x1b]52;c;aGk=\x07",
    "[bold]no markup[/]",
    "'; DROP TABLE run; --",
    'say "AND" OR NOT NEAR(',
    "ünïcödé ẞ İ ﬁ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 \U0002b740",
    "日本語のログ",
    "e\u0301clair",
    "x" * 1_000_000,
    "",
    " \t ",
    "%_\\",
]


def test_hostile_lines_come_back_as_they_were(book: RunBook) -> None:
    run = make(1)
    book.record([run])
    book.add_lines(lines(run, *HOSTILE))
    assert texts(book, run) == HOSTILE


# ---- finding


@pytest.fixture
def log(book: RunBook) -> Run:
    run = make(1)
    book.record([run])
    book.add_lines(lines(run, "Start of 100%", "loss=0.1 ÄRGER", "a_b", "loss=0.2", "axb \\ end"))
    return run


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("start", 0),
        ("100%", 0),
        ("%", 0),
        ("_", 2),
        ("A_B", 2),
        ("\\", 4),
        ("LOSS=0.", 1),
        ("ärger", 1),
        ("absent", None),
        ("", 0),
        ("x" * 200_000, None),
    ],
)
def test_a_line_is_found_by_any_text_in_it(
    book: RunBook, log: Run, text: str, first: int | None
) -> None:
    assert book.find_line(log.run_id, text) == first


def test_finding_goes_on_from_a_line_in_both_ways(book: RunBook, log: Run) -> None:
    assert book.find_line(log.run_id, "loss", after=1) == 3
    assert book.find_line(log.run_id, "loss", after=3) is None
    assert book.find_line(log.run_id, "loss", after=3, backwards=True) == 1
    assert book.find_line(log.run_id, "loss", after=1, backwards=True) is None


@given(
    log=st.lists(st.text(alphabet="aAbB%_\\é É.\u0301", max_size=6), min_size=1, max_size=12),
    needle=st.text(alphabet="aAbB%_\\é É.", min_size=1, max_size=3),
)
@settings(deadline=None, max_examples=80)
def test_finding_is_exact(
    tmp_path_factory: pytest.TempPathFactory, log: list[str], needle: str
) -> None:
    book = RunBook(tmp_path_factory.mktemp("book") / "runs.db")
    book.record([make(1)])
    book.add_lines(lines(make(1), *log))
    expected = [n for n, text in enumerate(log) if needle.casefold() in text.casefold()]
    found = list[int]()
    seq = book.find_line(make(1).run_id, needle)
    while seq is not None:
        found.append(seq)
        seq = book.find_line(make(1).run_id, needle, after=seq)
    book.close()
    assert found == expected


def test_a_level_is_found_in_both_ways(book: RunBook) -> None:
    run = make(1)
    book.record([run])
    book.add_lines(
        lines(run, "INFO a", "WARNING b", "INFO c", "Traceback (most recent call last):", "INFO e")
    )
    find = book.find_level
    assert find(run.run_id, ["error", "critical"]) == 3
    assert find(run.run_id, ["warning", "error"]) == 1
    assert find(run.run_id, ["info"], after=0) == 2
    assert find(run.run_id, ["warning"], after=4, backwards=True) == 1
    assert find(run.run_id, ["critical"]) is None
    assert find(run.run_id, []) is None


def test_rare_levels_are_found_without_reading_the_log(book: RunBook, file: Path) -> None:
    plan = list[str]()
    book._db.set_trace_callback(plan.append)
    book.record([make(1)])
    book.find_level(make(1).run_id, ["error", "critical"])
    book._db.set_trace_callback(None)
    steps = book._db.execute(f"EXPLAIN QUERY PLAN {plan[-1]}").fetchall()
    assert "log_level" in str(steps)


# ---- searching


def test_a_search_finds_the_lines_that_hold_every_word(book: RunBook) -> None:
    run = make(1)
    book.record([run])
    book.add_lines(lines(run, "epoch 1 loss", "loss of epoch 2", "epoch 3"))
    assert hits(book, "LOSS Epoch") == ["loss of epoch 2", "epoch 1 loss"]
    assert hits(book, "epoch", limit=1) == ["epoch 3"]
    hit = book.search("3")[0]
    assert (hit.function, hit.cluster, hit.line) == (
        "~/digits",
        "here",
        lines(run, *"ab", "epoch 3")[2],
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("loss=0.1", ["loss=0.1 W0101: x"]),
        ("loss=0.1 x", ["loss=0.1 W0101: x"]),
        ("W0101:", ["loss=0.1 W0101: x"]),
        ("0.1=loss", []),
        ("###", ["### a-b ###"]),
        ("a-b", ["### a-b ###"]),
        ("b-a", ["b-a"]),
        ("crème", ["Crème brûlée"]),
        ("CRÈME", ["Crème brûlée"]),
        ("日本", ["日本語のログ"]),
        ("\U0002b740", ["x\U0002b740y"]),
        ("e\u0301clair", ["e\u0301clair"]),
        ("absent", []),
    ],
)
def test_signs_are_looked_for_as_they_were_typed(
    book: RunBook, text: str, found: list[str]
) -> None:
    run = make(1)
    book.record([run])
    book.add_lines(
        lines(
            run,
            "loss=0.1 W0101: x",
            "loss 0 1",
            "### a-b ###",
            "b-a",
            "Crème brûlée",
            "日本語のログ",
            "x\U0002b740y",
            "e\u0301clair",
        )
    )
    assert hits(book, text) == found


def test_a_search_in_one_run_is_not_hidden_by_the_others(book: RunBook) -> None:
    old, new = make(1), make(2)
    book.record([old, new])
    book.add_lines(lines(old, "epoch of old"))
    for start in range(0, 110_000, 10_000):
        book.add_lines(lines(new, *["epoch"] * 10_000, first=start))
    assert hits(book, "epoch", run_id=old.run_id) == ["epoch of old"]
    assert hits(book, "epoch of") == ["epoch of old"]


@given(st.text(alphabet=string.printable + "\x00é日\u0301\U0002b740\ud800", max_size=40))
@settings(deadline=None, max_examples=200)
def test_no_search_breaks_the_syntax(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    book = RunBook(tmp_path_factory.getbasetemp() / "syntax.db")
    book.record([make(1)])
    storable = "\ud800" not in text
    try:
        if storable:
            book.add_lines(lines(make(1), text, first=book.count_lines(make(1).run_id)))
        found = hits(book, text, limit=100_000)
        assert storable
        assert "\x00" in text or text in found
    except BadInput:
        assert not storable
    finally:
        book.close()


def test_a_whole_traceback_may_be_searched_for(book: RunBook) -> None:
    run = make(1)
    book.record([run])
    long = " ".join(f'File "x{n}.py", line {n}' for n in range(2_000))
    book.add_lines(lines(run, long, long.replace("x1999", "y")))
    assert hits(book, long) == [long]


# ---- pinning, removing, retention


def fill(book: RunBook, numbers: range, word: str = "text ") -> None:
    """Runs of the same size; a *word* without a space makes one long word of each line."""
    for number in numbers:
        run = ended(make(number))
        book.record([run])
        book.add_lines(lines(run, *[f"{number * 1000 + n}{word * 40}" for n in range(200)]))


def test_a_removed_run_is_gone_with_its_lines_and_words(book: RunBook) -> None:
    fill(book, range(3))
    running = make(9)
    book.record([running])
    assert book.remove([make(1).run_id, running.run_id, "unknown"]) == 1
    assert {run.run_id[:4] for run in book.runs()} == {"0000", "0002", "0009"}
    assert {hit.line.run_id[:4] for hit in book.search("text", limit=1000)} == {"0000", "0002"}


def test_removing_gives_the_space_back(book: RunBook, file: Path) -> None:
    empty = file.stat().st_size
    fill(book, range(20))
    full = file.stat().st_size
    assert full > 10 * empty
    book.retain(NOW + timedelta(days=9), keep_days=1, keep_bytes=2**40)
    assert book.count_runs() == 0
    assert file.stat().st_size < 2 * empty


def test_retention_removes_what_is_too_old(book: RunBook) -> None:
    book.record([ended(make(n)) for n in range(4)])
    book.pin(make(0).run_id, pinned=True)
    book.record([make(4)])
    later = NOW + timedelta(days=1, seconds=3.5)
    assert book.retain(later, keep_days=1, keep_bytes=2**40) == 2
    eastern = later.astimezone(timezone(timedelta(hours=9)))
    assert book.retain(eastern, keep_days=1, keep_bytes=2**40) == 0
    assert [run.run_id[:4] for run in book.runs()] == ["0004", "0003", "0000"]


@pytest.mark.parametrize("word", ["text ", "dGV4dA"])
def test_retention_removes_no_more_than_is_too_much(book: RunBook, word: str) -> None:
    fill(book, range(40), word=word)
    each = book.size_bytes() // 40
    keep = book.size_bytes() - 6 * each
    removed = book.retain(NOW, keep_days=90, keep_bytes=keep)
    assert 5 <= removed <= 8
    assert book.size_bytes() <= keep
    assert [run.run_id[:4] for run in book.runs()][-1] == f"{removed:04x}"
    assert book.retain(NOW, keep_days=90, keep_bytes=keep) == 0


def test_retention_never_removes_what_is_pinned_or_runs(book: RunBook) -> None:
    fill(book, range(4))
    book.pin(make(2).run_id, pinned=True)
    book.record([make(7)])
    assert book.retain(NOW, keep_days=90, keep_bytes=0) == 3
    assert [run.run_id[:4] for run in book.runs()] == ["0007", "0002"]
    book.pin(make(2).run_id, pinned=False)
    assert book.retain(NOW, keep_days=90, keep_bytes=0) == 1
