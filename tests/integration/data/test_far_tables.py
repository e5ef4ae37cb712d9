"""A table on a machine is read by that machine: filtered there, held up by who is slow, and never
short without a word."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rhdesk.data import far_tables
from rhdesk.desk import AsyncDesk
from rhdesk.errors import ConnectionFailed
from tests.conftest import Lab
from tests.testbed import path as paths
from tests.testbed.hosts import Host
from tests.testbed.pythons import give

ROWS = 4_000_000
SIZE = ROWS * 8
"""Bytes of one column; its values do not compress."""


@pytest.fixture
def host(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = lab.host("gpubox")
    monkeypatch.setenv("HOME", str(lab.home))
    folder = made.root / "root" / "rows"
    folder.mkdir()
    for part in range(2):
        first = part * ROWS // 2
        number = pa.array(range(first, first + ROWS // 2), pa.int64())
        days = pa.array([date(2013, 1, 1 + n % 28) for n in range(28)])
        table = pa.table(
            {
                "number": number,
                "scattered": pc.bit_wise_xor(pc.multiply(number, 0x9E3779B97F4A), 0x5DEECE66D),
                "day": days.take(pa.array([n % 28 for n in range(ROWS // 2)])),
            }
        )
        pq.write_table(table, folder / f"part-{part}.parquet", row_group_size=100_000)
    return made


@pytest.fixture
def way(lab: Lab, host: Host) -> Iterator[paths.Path]:
    """All that this machine and the host say to each other."""
    config = lab.home / ".ssh" / "config"
    with paths.path(host.address, round_trip_s=0.0) as way:
        far = f"HostName 127.0.0.1\n  Port {way.port}\n  HostKeyAlias {host.address}\n"
        config.write_text(config.read_text().replace(f"HostName {host.address}\n", far))
        yield way


@pytest.fixture
async def desk(way: paths.Path) -> AsyncIterator[AsyncDesk]:
    async with AsyncDesk.open() as opened:
        yield opened


async def numbers(desk: AsyncDesk, **how: object) -> list[int]:
    found: list[int] = []
    async for batch in desk.stream_table("gpubox:rows", **how):  # type: ignore[arg-type]
        found += batch["number"].to_pylist()
    return found


async def test_it_is_filtered_there(desk: AsyncDesk, host: Host, way: paths.Path) -> None:
    where = [("day", "==", date(2013, 1, 2)), ("scattered", "!=", 0), ("number", "<", ROWS // 2)]
    before = way.back
    alone = await numbers(desk, where=where)
    without = way.back - before
    assert alone == [n for n in range(ROWS // 2) if n % 28 == 1]
    assert without > SIZE / 4  # without pyarrow there, the columns come here to be filtered

    give(host, "pyarrow")
    before = way.back
    assert await numbers(desk, where=where) == alone
    assert way.back - before < without / 3
    shuffled = await numbers(desk, columns=["number"], where=where, shuffle_seed=1)
    assert sorted(shuffled) == alone
    assert await numbers(desk, where=[("number", "in", [7, 9])], batch_size=1) == [7, 9]
    assert _settled(lambda: len(_readers(host))) == 0


async def test_who_is_slow_holds_it_up(desk: AsyncDesk, host: Host, way: paths.Path) -> None:
    give(host, "pyarrow")
    stream = desk.stream_table("gpubox:rows", columns=["scattered"], batch_size=10_000)
    await anext(stream)
    seen = _settled(lambda: way.back)
    assert seen < SIZE / 2
    assert _readers(host)  # it is there, and waits
    assert sum([batch.num_rows async for batch in stream]) == ROWS - 10_000
    assert way.back > SIZE  # the control: nothing else held it up
    again = desk.stream_table("gpubox:rows", columns=["scattered"], batch_size=10_000)
    await anext(again)
    await again.aclose()
    assert _settled(lambda: len(_readers(host))) == 0


async def test_what_breaks_off_is_never_a_short_table(
    desk: AsyncDesk, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(host, "pyarrow")

    async def cut() -> int:
        rows = 0
        async for batch in desk.stream_table("gpubox:rows", batch_size=100_000, prefetch=0):
            if not rows:
                for pid in _readers(host):
                    os.kill(pid, signal.SIGKILL)
            rows += batch.num_rows
        return rows

    with pytest.raises(ConnectionFailed, match="broke off after"):
        await cut()
    # Just between two batches, which Arrow takes for the end of the table.
    sent = "                stream.write_batch(batch)\n"
    assert sent in far_tables._PROGRAM
    ends = f"{sent}                out.flush()\n                __import__('os')._exit(0)\n"
    monkeypatch.setattr(far_tables, "_PROGRAM", far_tables._PROGRAM.replace(sent, ends))
    with pytest.raises(ConnectionFailed, match="broke off after"):
        await cut()
    monkeypatch.setattr(far_tables, "_see_whole", lambda *_: None)  # the control
    assert await cut() < ROWS


def _readers(host: Host) -> list[int]:
    return [p for p in host.pids() if b"serve()" in Path(f"/proc/{p}/cmdline").read_bytes()]


def _settled(ask: Callable[[], int]) -> int:
    """What it says once that has not changed for a second."""
    seen, since = ask(), time.monotonic()
    give_up = since + 20
    while time.monotonic() - since < 1.0 and time.monotonic() < give_up:
        time.sleep(0.05)
        if (now := ask()) != seen:
            seen, since = now, time.monotonic()
    return seen
