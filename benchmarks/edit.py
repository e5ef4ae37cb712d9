"""From a save to the result of the next call, with the round trip to the cluster beside it.

    python -m benchmarks.edit --on here --count 50

The cluster is up. A small project is made, watched and edited; everything in one program, so that
what starting one costs is no part of it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from rhdesk.desk import AsyncDesk

APP = "import edited_parts\n\n\ndef edited_word():\n    return edited_parts.WORD\n"
TARGET = "edited_app.py:edited_word"


async def measure(on: str, count: int) -> None:
    async with AsyncDesk.open() as desk:
        await _call(desk, on)
        trips, syncs_s, totals = [], [], []
        async with aclosing(desk.watch(".", on=on, targets=[TARGET])) as syncs:
            print((await anext(syncs)).error or "watching")
            client = await desk.clusters_room.client(on)
            for number in range(count):
                began = time.monotonic()
                await client.live("base", "edited_word")
                trips.append(time.monotonic() - began)
                waiting = asyncio.ensure_future(anext(syncs))
                await asyncio.sleep(0.1)
                began = time.monotonic()
                _save(f"word {number}")
                synced = await waiting
                assert not synced.error, synced.error
                value = await _call(desk, on)
                totals.append(time.monotonic() - began)
                syncs_s.append(synced.took_s)
                assert f"word {number}" in value, value
    handle_totals = await asyncio.to_thread(_by_handle, on, count)
    for what, taken in (
        ("round trip", trips),
        ("sync", syncs_s),
        ("save to result, watched", totals),
        ("save to result, by a handle", handle_totals),
    ):
        print(f"{what:>27}: p50 {_share(taken, 0.5):4.0f} ms, p95 {_share(taken, 0.95):4.0f} ms")


def _by_handle(on: str, count: int) -> list[float]:
    """The same from a program that holds a handle and calls it: no watch, it sees for itself."""
    import rhdesk as rh

    far = rh.function(TARGET).to(on)
    far()
    totals: list[float] = []
    for number in range(count):
        time.sleep(0.1)
        began = time.monotonic()
        _save(f"handle {number}")
        assert far() == f"handle {number}"
        totals.append(time.monotonic() - began)
    return totals


def _save(word: str) -> None:
    beside = Path(".edited_parts.new")
    beside.write_text(f"WORD = {word!r}\n")
    beside.rename("edited_parts.py")


async def _call(desk: AsyncDesk, on: str) -> str:
    run = await desk.submit(TARGET, on=on)
    async with aclosing(desk.follow(run.run_id)) as lines:
        async for _ in lines:
            pass
    return str(await desk.result(run.run_id))


def _share(taken: Sequence[float], share: float) -> float:
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * share))] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", default="here")
    parser.add_argument("--count", type=int, default=50)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("edited_app.py").write_text(APP)
        _save("first")
        asyncio.run(measure(asked.on, asked.count))


if __name__ == "__main__":
    main()
