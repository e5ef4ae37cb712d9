"""Tables on a real disk: written, read, and what happens to bad ones."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy
import pandas
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import rhdesk as rh
from rhdesk.blocking import Desk
from rhdesk.config import Settings
from rhdesk.data import tables, versions, writing
from rhdesk.errors import (
    AlreadyExists,
    BadInput,
    DamagedStore,
    NotFound,
    Refused,
    RhdeskError,
    StoreUnwritable,
)
from rhdesk.handles import session as sessions


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    settings = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    with Desk(settings) as made:
        yield made


def rows(start: int, stop: int) -> Any:
    numbers = range(start, stop)
    return pa.table(
        {
            "n": pa.array(numbers, pa.int64()),
            "month": pa.array([n % 3 + 1 for n in numbers], pa.int32()),
            "word": pa.array([None if n % 10 == 0 else f"w{n}" for n in numbers]),
        }
    )


def everything(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.parametrize("format", ["parquet", "arrow", "csv"])
def test_what_is_written_is_read_again(desk: Desk, tmp_path: Path, format: str) -> None:
    path = str(tmp_path / "t")
    done = desk.write_table(rows(0, 1000), path, format=format)
    assert (done.version, done.rows) == (1, 1000)
    assert desk.read_table(path)["n"].to_pylist() == list(range(1000))
    info = desk.table_info(path)
    assert info.format == format
    assert info.rows == (None if format == "csv" else 1000)
    # A reader that knows nothing of rhdesk sees the same rows.
    assert ds.dataset(path, format=format).count_rows() == 1000


def test_a_table_in_partitions_is_pruned_and_appended_to(desk: Desk, tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    desk.write_table(rows(0, 90), path, partition_cols=["month"])
    desk.write_table(rows(90, 120), path, mode="append")
    assert (tmp_path / "t" / "month=2").is_dir()
    info = desk.table_info(path)
    assert (info.version, info.rows, info.partition_cols) == (2, 120, ("month",))
    march = desk.read_table(path, columns=["n"], where=[("month", "==", 3)])
    assert sorted(march["n"].to_pylist()) == list(range(2, 120, 3))
    page = desk.table_page(path, offset=31, limit=60, columns=["n", "month"])
    assert [month for _, month in page.rows] == [n % 3 + 1 for n, _ in page.rows]
    assert len(page.rows) == 60


def test_statistics_come_from_the_footers(desk: Desk, tmp_path: Path) -> None:
    pq.write_table(rows(0, 100), tmp_path / "a.parquet", row_group_size=30)
    n, _, word = desk.table_info(str(tmp_path / "a.parquet")).columns
    assert (n.least, n.most, n.nulls, n.type) == (0, 99, 0, "int64")
    assert (word.nulls, word.most) == (10, "w99")


def test_json_lines_are_read(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1, "b": {"c": [1, 2]}}\n{"a": null, "b": null}\n')
    page = desk.table_page(str(tmp_path / "a.jsonl"))
    assert page.rows == ((1, {"c": [1, 2]}), (None, None))


@pytest.mark.parametrize("offset", [0, 29, 30, 95, 100, 129, 199, 200, 5000])
def test_a_page_is_the_same_wherever_it_begins(desk: Desk, tmp_path: Path, offset: int) -> None:
    """Over two files with row groups of 30, whose edges are at 30, 60, 90, 100, 130 ..."""
    folder = tmp_path / "t"
    folder.mkdir()
    pq.write_table(rows(0, 100), folder / "a.parquet", row_group_size=30)
    pq.write_table(rows(100, 200), folder / "b.parquet", row_group_size=30)
    page = desk.table_page(str(folder), offset=offset, limit=7, columns=["n"])
    assert [n for (n,) in page.rows] == list(range(200))[offset : offset + 7]


def test_a_page_of_a_filter_counts_what_passes(desk: Desk, tmp_path: Path) -> None:
    pq.write_table(rows(0, 100), tmp_path / "a.parquet", row_group_size=10)
    page = desk.table_page(
        str(tmp_path / "a.parquet"),
        offset=2,
        limit=2,
        where=[("n", ">", 50), ("month", "in", [1])],
    )
    assert page.rows == ((57, 1, "w57"), (60, 1, None))


def test_batches_have_the_size_that_was_asked_for(desk: Desk, tmp_path: Path) -> None:
    pq.write_table(rows(0, 1000), tmp_path / "a.parquet", row_group_size=90)
    path = str(tmp_path / "a.parquet")
    whole = list(desk.stream_table(path, batch_size=64))
    assert [batch.num_rows for batch in whole] == [64] * 15 + [40]
    assert [n for batch in whole for n in batch["n"].to_pylist()] == list(range(1000))
    assert len(list(desk.stream_table(path, batch_size=64, drop_last=True))) == 15


def test_a_shuffle_loses_nothing_and_follows_its_seed(desk: Desk, tmp_path: Path) -> None:
    pq.write_table(rows(0, 1000), tmp_path / "a.parquet", row_group_size=90)

    def shuffled(seed: int) -> list[int]:
        batches = desk.stream_table(
            str(tmp_path / "a.parquet"), batch_size=64, shuffle_seed=seed, shuffle_buffer_size=300
        )
        return [n for batch in batches for n in batch["n"].to_pylist()]

    first = shuffled(1)
    assert sorted(first) == list(range(1000))
    assert first == shuffled(1)
    assert first != shuffled(2)
    assert first != sorted(first)


@pytest.mark.parametrize(
    "data",
    [
        pandas.DataFrame({"a": [1, 2]}, index=[7, 8]),
        [{"a": 1}, {"a": 2}],
        pa.record_batch({"a": [1, 2]}),
        pa.table({"a": [1, 2]}).to_reader(),
    ],
)
def test_what_has_rows_and_columns_can_be_written(desk: Desk, tmp_path: Path, data: Any) -> None:
    desk.write_table(data, str(tmp_path / "t"))
    assert desk.read_table(str(tmp_path / "t")).to_pydict() == {"a": [1, 2]}


@pytest.mark.parametrize("data", [None, 5, "text", [], [1], [{"a": 1}, {"a": "x"}]])
def test_what_is_no_table_is_refused(desk: Desk, tmp_path: Path, data: Any) -> None:
    with pytest.raises(BadInput, match="no table"):
        desk.write_table(data, str(tmp_path / "t"))
    assert not (tmp_path / "t").exists()


def test_columns_that_differ_are_named_and_change_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.write_table(rows(0, 10), str(tmp_path / "t"))
    before = everything(tmp_path / "t")
    other = pa.table({"n": ["x"], "month": pa.array([1], pa.int32()), "more": [1]})
    with pytest.raises(BadInput, match="word is missing; more is not there; n is int64 there"):
        desk.write_table(other, str(tmp_path / "t"), mode="append")
    assert everything(tmp_path / "t") == before


def test_what_is_there_is_not_written_over_unasked(desk: Desk, tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    desk.write_table(rows(0, 10), path)
    with pytest.raises(AlreadyExists, match="append to it"):
        desk.write_table(rows(0, 10), path)
    assert desk.write_table(rows(5, 8), path, mode="overwrite").version == 2
    assert ds.dataset(path).count_rows() == 3  # nor does a stranger see the old rows


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_files_of_others_are_not_taken_over(desk: Desk, tmp_path: Path, mode: str) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match="not written by rhdesk"):
        desk.write_table(rows(0, 10), str(tmp_path / "t"), mode=mode)
    assert everything(tmp_path / "t") == {"letter.txt": b"dear"}


def test_rows_that_fail_in_the_middle_leave_the_table_as_it_was(
    desk: Desk, tmp_path: Path
) -> None:
    path = str(tmp_path / "t")
    desk.write_table(rows(0, 10), path)
    before = everything(tmp_path / "t")

    def broken() -> Any:
        yield from rows(0, 500_000).to_batches(max_chunksize=100_000)
        raise OSError(errno.EIO, "the source went away")

    reader = pa.RecordBatchReader.from_batches(rows(1, 2).schema, broken())
    with pytest.raises(RhdeskError, match="went away"):
        desk.write_table(reader, path, mode="append")
    assert everything(tmp_path / "t") == before
    again = pa.RecordBatchReader.from_batches(rows(1, 2).schema, broken())
    with pytest.raises(RhdeskError, match="went away"):
        desk.write_table(again, str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


FILL = """
import resource, signal, sys
import numpy
import pyarrow as pa
from rhdesk.data.writing import write
from rhdesk.errors import StoreUnwritable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write(pa.table({"n": numpy.arange(500_000)}), sys.argv[1], mode="append", format="arrow")
except StoreUnwritable as exc:
    print("refused:", exc)
"""


@pytest.mark.parametrize("room", [1_000_000, 100_000_000])
def test_no_room_in_the_middle_leaves_the_table_as_it_was(
    desk: Desk, tmp_path: Path, room: int
) -> None:
    """The kernel refuses the write; with room, the control, the same write goes through."""
    path = str(tmp_path / "t")
    desk.write_table(pa.table({"n": [1]}), path, format="arrow")
    before = everything(tmp_path / "t")
    done = subprocess.run(
        [sys.executable, "-c", FILL, path, str(room)], capture_output=True, text=True, check=True
    )
    if room == 1_000_000:
        assert "refused: " in done.stdout
        assert everything(tmp_path / "t") == before
    else:
        assert desk.table_info(path).rows == 500_001


def test_two_writers_at_once_lose_no_row(desk: Desk, tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    desk.write_table(rows(0, 10), path)
    refused: list[RhdeskError] = []

    def append() -> None:
        try:
            writing.write(rows(0, 10), path, mode="append")
        except AlreadyExists as exc:
            refused.append(exc)

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert desk.table_info(path).rows == 10 * (9 - len(refused))
    assert ds.dataset(path).count_rows() == 10 * (9 - len(refused))


def test_a_version_is_made_once(tmp_path: Path) -> None:
    fs, root = tables.locate(str(tmp_path / "t"))
    versions.commit(fs, root, versions.Manifest(version=1, format="csv", files=("a",)))
    with pytest.raises(AlreadyExists, match="write again"):
        versions.commit(fs, root, versions.Manifest(version=1, format="csv", files=("b",)))
    found = versions.newest(fs, root)
    assert found is not None
    assert found.files == ("a",)
    assert len(list((tmp_path / "t" / "_versions").iterdir())) == 1


def test_a_list_of_files_that_is_cut_off_is_told(desk: Desk, tmp_path: Path) -> None:
    desk.write_table(rows(0, 10), str(tmp_path / "t"))
    (tmp_path / "t" / "_versions" / "00000001.json").write_text('{"version": 1')
    with pytest.raises(DamagedStore, match="00000001"):
        desk.table_info(str(tmp_path / "t"))


def test_what_cannot_be_opened_says_why(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no table is called"):
        desk.table_info(str(tmp_path / "nothing"))
    with pytest.raises(BadInput, match="no address"):
        desk.table_info("nonsense://x")
    with pytest.raises(BadInput, match=r"pip install|install gcsfs|Install gcsfs|gcsfs"):
        desk.table_info("gs://bucket/t")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(BadInput, match="holds no table"):
        desk.table_info(str(tmp_path / "a.txt"))
    pq.write_table(rows(0, 1000), tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(BadInput, match=r"a\.parquet cannot be read"):
        desk.table_page(str(tmp_path / "a.parquet"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(desk: Desk, tmp_path: Path) -> None:
    pq.write_table(rows(0, 10), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").chmod(0)
    with pytest.raises(Refused, match="may not be touched"):
        desk.table_info(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (("x", "==", 1), "no column 'x'; it has n, month, word"),
        (("n", "~", 1), "compares nothing"),
        (("n", "==", "many"), "n is int64, which 'many' is not"),
    ],
)
def test_a_condition_that_means_nothing_says_why(
    desk: Desk, tmp_path: Path, where: tuple[str, str, Any], says: str
) -> None:
    pq.write_table(rows(0, 10), tmp_path / "a.parquet")
    with pytest.raises(BadInput, match=says):
        desk.table_page(str(tmp_path / "a.parquet"), where=[where])


def test_sql_answers_and_opens_no_other_file(desk: Desk, tmp_path: Path) -> None:
    pq.write_table(rows(0, 10), tmp_path / "a.parquet")
    (tmp_path / "other.csv").write_text("secret\n1\n")
    path = str(tmp_path / "a.parquet")
    page = desk.table_sql(path, "select month, sum(n) as n from t group by month order by month")
    assert page.columns == ("month", "n")
    assert page.rows == ((1, "18"), (2, "12"), (3, "15")) or page.rows == (
        (1, 18),
        (2, 12),
        (3, 15),
    )
    for statement in (f"select * from '{tmp_path}/other.csv'", f"copy t to '{tmp_path}/out.csv'"):
        with pytest.raises(BadInput, match="duckdb says"):
            desk.table_sql(path, statement)
    assert not (tmp_path / "out.csv").exists()
    with pytest.raises(BadInput, match="duckdb says"):
        desk.table_sql(path, "selec 1")


def test_what_is_at_a_place_tells_of_a_table_and_of_one_that_is_damaged(tmp_path: Path) -> None:
    whole = tmp_path / "a.parquet"
    pq.write_table(rows(0, 100), whole)
    (tmp_path / "cut.parquet").write_bytes(whole.read_bytes()[:-40])
    (tmp_path / "note.txt").write_text("no table")

    def info(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rhdesk.cli", "data", "info", str(tmp_path / name)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert "100 rows" in info("a.parquet").stdout
    assert (info("note.txt").returncode, info("").returncode) == (0, 0)
    assert "rows" not in info("note.txt").stdout
    damaged = info("cut.parquet")
    assert damaged.returncode == BadInput.exit_code
    assert "cut.parquet cannot be read" in damaged.stderr


READS = """
import sys, time
import rhdesk as rh
from rhdesk.handles.session import session

def peak():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM"))

path, how = sys.argv[1:]
desk = session().desk
desk.table_page(path, limit=1)
before, rows = peak(), 0
if how == "whole":
    rows = len(desk.read_table(path))
else:
    for batch in desk.stream_table(path, prefetch=2):
        rows += len(batch)
        if rows % 640 == 0:
            time.sleep(0.001)  # a reader that has something to do with what it reads
print(rows, peak() - before)
"""


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """A table of 240 MB in memory, in batches of half a megabyte; the control reads all of it."""
    numbers = numpy.arange(1_000_000)
    writer = pq.ParquetWriter(tmp_path / "a.parquet", pa.schema({"x": pa.int64()}))
    with writer:
        for _ in range(30):
            writer.write_table(pa.table({"x": numbers}))
    grown: dict[str, int] = {}
    for how in ("stream", "whole"):
        command = [sys.executable, "-c", READS, str(tmp_path / "a.parquet"), how]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows, grown[how] = map(int, done.stdout.split())
        assert rows == 30_000_000
    assert grown["stream"] < 100_000  # kilobytes
    assert grown["whole"] > 200_000


def test_a_table_is_a_handle_with_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})
        made = rh.table(frame, name="~/letters", path=str(tmp_path / "letters"))
        made.set_metadata("from", "nowhere")
        made.write().save()
        found = rh.table(name="~/letters")
        assert type(found).__name__ == "PandasTable"
        assert found.get_metadata("from") == "nowhere"
        assert len(found) == 3
        assert found.fetch(columns=["a"]).equals(frame[["a"]])
        assert [len(batch) for batch in found.stream(batch_size=2)] == [2, 1]
        assert [row["a"] for row in found] == [1, 2, 3]
        assert found.exists_in_system()
        assert not rh.table(path=str(tmp_path / "none")).exists_in_system()
        with pytest.raises(BadInput, match="holds no data"):
            found.write()
        with pytest.raises(BadInput, match="a table is of data"):
            rh.table()
    finally:
        sessions.close()


def test_the_command_shows_a_hostile_cell_as_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": ["\x1b]0;title\x07x\x1b[31m"]}), tmp_path / "a.parquet")
    done = subprocess.run(
        [sys.executable, "-m", "rhdesk.cli", "data", "head", str(tmp_path / "a.parquet")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["a", "x"]


def test_no_room_is_told_apart_from_a_bad_file() -> None:
    from rhdesk.data.tables import spoken

    with pytest.raises(StoreUnwritable, match="No space"), spoken("t"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
