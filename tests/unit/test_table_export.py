"""Rows of a table counted, and written as one file: wholly or not at all."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import numpy
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from rhdesk.blocking import Desk
from rhdesk.config import Settings
from rhdesk.desk import AsyncDesk
from rhdesk.errors import AlreadyExists, BadInput, NotFound, StoreUnwritable


@pytest.fixture
def desk(tmp_path: Path) -> Generator[Desk]:
    with Desk(Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")) as made:
        yield made


@pytest.fixture
def table(tmp_path: Path) -> str:
    numbers = list(range(1_000))
    rows = {
        "n": numbers,
        "word": [None if n % 10 == 0 else "" if n % 10 == 1 else f"w{n}" for n in numbers],
        "deep": [{"a": [n]} for n in numbers],
    }
    pq.write_table(pa.table(rows), tmp_path / "a.parquet", row_group_size=100)
    return str(tmp_path / "a.parquet")


def test_rows_are_counted(desk: Desk, table: str) -> None:
    assert desk.table_count(table) == 1_000
    assert desk.table_count(table, where=[("n", ">=", 250), ("n", "<", 300)]) == 50
    with pytest.raises(BadInput, match="no column 'x'"):
        desk.table_count(table, where=[("x", "==", 1)])
    with pytest.raises(NotFound):
        desk.table_count(f"{table}.gone")


@pytest.mark.parametrize("format", ["csv", "parquet", "jsonl"])
def test_what_passes_is_written(desk: Desk, table: str, tmp_path: Path, format: str) -> None:
    out = tmp_path / f"out.{format}"
    done = desk.export_table(table, str(out), columns=["n", "word"], where=[("n", ">=", 990)])
    assert (done.rows, done.path) == (10, str(out))
    if format == "csv":
        lines = out.read_text().splitlines()
        assert lines[:3] == ['"n","word"', "990,", '991,""']  # null is told from empty text
        found = pc.read_csv(out)["n"].to_pylist()
    elif format == "parquet":
        assert pq.read_table(out)["word"].to_pylist()[:3] == [None, "", "w992"]
        found = pq.read_table(out)["n"].to_pylist()
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert rows[0] == {"n": 990, "word": None}
        found = [row["n"] for row in rows]
    assert found == list(range(990, 1_000))


def test_what_is_nested_stays_nested(desk: Desk, table: str, tmp_path: Path) -> None:
    desk.export_table(table, str(tmp_path / "o.jsonl"))
    assert json.loads((tmp_path / "o.jsonl").read_text().splitlines()[7])["deep"] == {"a": [7]}
    desk.export_table(table, str(tmp_path / "o.parquet"))
    assert pq.read_table(tmp_path / "o.parquet")["deep"].to_pylist()[7] == {"a": [7]}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("o.csv", "csv cannot hold these rows"),
        ("o.txt", "let it end in one"),
        ("o", "csv, parquet"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(
    desk: Desk, table: str, tmp_path: Path, name: str, says: str
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadInput, match=says):
        desk.export_table(table, str(tmp_path / name))
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_there_stays(desk: Desk, table: str, tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("mine")
    with pytest.raises(AlreadyExists, match="choose another name"):
        desk.export_table(table, str(tmp_path / "o.csv"), columns=["n"])
    assert (tmp_path / "o.csv").read_text() == "mine"
    with pytest.raises(StoreUnwritable, match="cannot write"):
        desk.export_table(table, str(tmp_path / "no" / "folder" / "o.csv"), columns=["n"])


FILL = """
import resource, signal, sys
from rhdesk.data.export import export
from rhdesk.data.file_table import FileTable
from rhdesk.errors import StoreUnwritable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    export(FileTable(sys.argv[1], None, None), sys.argv[2])
except StoreUnwritable as exc:
    print("refused:", exc)
"""


@pytest.mark.parametrize("room", [4_000, 100_000_000])
@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_no_room_in_the_middle_leaves_nothing(
    table: str, tmp_path: Path, format: str, room: int
) -> None:
    """The kernel refuses the write; with room, the control, the same export goes through."""
    out = tmp_path / f"o.{format}"
    done = subprocess.run(
        [sys.executable, "-c", FILL, table, str(out), str(room)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ("refused: cannot write" in done.stdout) is (room == 4_000)
    assert out.exists() is (room != 4_000)
    assert not list(tmp_path.glob(".*"))


async def test_an_export_nobody_waits_for_ends_and_leaves_nothing(tmp_path: Path) -> None:
    rows = pa.table({"n": range(300_000)})
    for part in range(8):
        pq.write_table(rows, tmp_path / f"{part}.parquet", row_group_size=10_000)
    out = tmp_path / "out"
    await asyncio.to_thread(out.mkdir)

    def wait_for(files: int) -> bool:
        give_up = time.monotonic() + 10
        while len(list(out.iterdir())) != files and time.monotonic() < give_up:
            time.sleep(0.002)
        return len(list(out.iterdir())) == files

    async with AsyncDesk.open(Settings(data_dir=tmp_path / "d", cache_dir=tmp_path / "c")) as desk:
        work = asyncio.create_task(desk.export_table(str(tmp_path), str(out / "o.jsonl")))
        assert await asyncio.to_thread(wait_for, 1)
        work.cancel()
        assert await asyncio.to_thread(wait_for, 0)
        assert work.cancelled()


GROWN = """
import re, sys
from rhdesk.data.export import export
from rhdesk.data.tables import open_table, whole
def peak():  # not ru_maxrss, which a process has from the one that started it
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
export(FileTable(sys.argv[1], None, None), sys.argv[2] + "/warm.csv", where=[("n", "<", 9)])
before = peak()
if sys.argv[3] == "export":
    export(FileTable(sys.argv[1], None, None), sys.argv[2] + "/o.csv")
else:
    kept = whole(open_table(sys.argv[1]))
print(peak() - before)
"""


@pytest.mark.skipif(not os.environ.get("RHDESK_SOAK"), reason="seconds each: RHDESK_SOAK=1")
@pytest.mark.parametrize("how", ["export", "whole"])
def test_memory_does_not_grow_with_what_is_exported(tmp_path: Path, how: str) -> None:
    """A table of 160 MB in memory; reading it whole, the control, takes that."""
    rows = pa.table({"n": numpy.arange(1_000_000)})
    with pq.ParquetWriter(tmp_path / "a.parquet", rows.schema) as writer:
        for _ in range(20):
            writer.write_table(rows, row_group_size=100_000)
    args = [sys.executable, "-c", GROWN, str(tmp_path / "a.parquet"), str(tmp_path), how]
    done = subprocess.run(args, capture_output=True, text=True, check=True)
    kilobytes = int(done.stdout)
    assert (kilobytes < 60_000) is (how == "export"), kilobytes
