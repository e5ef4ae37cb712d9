"""A parquet table of 100,000,000 rows at the desk: first page, last row, a filter, memory.

    python -m benchmarks.table_page /somewhere/with/room [rows]

The table is made there once, in eight files, and stays for the next time.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy
import pyarrow as pa
import pyarrow.parquet as pq

from rhdesk.blocking import Desk

FILES = 8
GROUP = 250_000
LIMITS_S = {"first page": 1.0, "last row": 1.0, "filter": 2.0}
LIMIT_MB = 250


def make(folder: Path, rows: int) -> None:
    """Rows in order of `at`, so its statistics tell one row group from another."""
    folder.mkdir(parents=True)
    each = rows // FILES
    for number in range(FILES):
        schema = pa.schema({"at": pa.int64(), "value": pa.float32(), "kind": pa.int16()})
        with pq.ParquetWriter(folder / f"part-{number}.parquet", schema) as writer:
            for start in range(number * each, (number + 1) * each, GROUP):
                at = numpy.arange(start, min(start + GROUP, (number + 1) * each))
                random = numpy.random.default_rng(start)
                value = random.random(len(at), numpy.float32)
                kind = (at % 100).astype(numpy.int16)
                writer.write_table(pa.table([at, value, kind], schema=schema))


def measure(folder: Path, rows: int) -> bool:
    took: dict[str, float] = {}

    def timed(what: str, work: Callable[[], object]) -> None:
        start = perf_counter()
        work()
        took[what] = perf_counter() - start

    with Desk() as desk:
        path, last = str(folder), rows - 1
        timed("first page", lambda: desk.table_page(path))
        page = []
        timed("last row", lambda: page.append(desk.table_page(path, offset=last)))
        assert page[0].rows[0][0] == last
        found = []
        where = [("at", ">=", rows // 2), ("at", "<", rows // 2 + 40)]
        timed("filter", lambda: found.append(desk.table_page(path, where=where)))
        assert [row[0] for row in found[0].rows] == list(range(rows // 2, rows // 2 + 40))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for what, seconds in took.items():
        print(f"{what:12} {seconds:7.3f} s   at most {LIMITS_S[what]:.1f}")
    print(f"{'memory':12} {peak_mb:5.0f} MB   below {LIMIT_MB}")
    return peak_mb < LIMIT_MB and all(took[what] <= LIMITS_S[what] for what in took)


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000_000
    folder = Path(sys.argv[1]) / f"rows-{rows}"
    if "--measure" in sys.argv:
        return 0 if measure(folder, rows) else 1
    if not folder.exists():
        make(folder, rows)
    # Another process: what making it took is not what reading it takes.
    again = [sys.executable, "-m", "benchmarks.table_page", sys.argv[1], str(rows), "--measure"]
    return subprocess.run(again, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
