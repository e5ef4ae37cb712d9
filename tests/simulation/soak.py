"""As many schedules as there is time for, in worlds of several sizes.

    python -m tests.simulation.soak --seeds 500000

Ends with 1 if an invariant broke, and says with which seed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final, NamedTuple

from tests.simulation.oracle import Violation
from tests.simulation.world import Size, World

SIZES: Final = ((0.90, Size(3, 120)), (0.08, Size(5, 300)), (0.02, Size(8, 600)))
"""Worlds, and how many of all schedules are played in each. Some faults need a large one."""
_CHUNK: Final = 500


class Share(NamedTuple):
    size: Size
    seeds: range


class Lived(NamedTuple):
    counted: Counter[str]
    broken: list[str]


def live_through(shares: Sequence[Share], processes: int = 0) -> Lived:
    """Play them all, on so many processes; 0: as many as there are processors."""
    total: Counter[str] = Counter()
    broken: list[str] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes or os.cpu_count(), mp_context=context) as pool:
        for count, said in pool.map(_play, _chunks(shares)):
            total += count
            broken += said
    return Lived(total, broken)


def _chunks(shares: Sequence[Share]) -> Iterator[Share]:
    for size, seeds in shares:
        for start in range(seeds.start, seeds.stop, _CHUNK):
            yield Share(size, range(start, min(start + _CHUNK, seeds.stop)))


def _play(share: Share) -> tuple[Counter[str], list[str]]:
    total: Counter[str] = Counter()
    for seed in share.seeds:
        total["schedules"] += 1
        try:
            total += World(seed, share.size).run()
        except Violation as exc:
            desks, steps, _ = share.size
            return total, [f"seed {seed}, {desks} desks, {steps} steps: {exc}"]
    return total, []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500_000, help="schedules to play")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--processes", type=int, default=0, help="0: one for each processor")
    args = parser.parse_args()
    shares = [
        Share(size, range(args.first, args.first + round(part * args.seeds)))
        for part, size in SIZES
    ]
    begun_s = time.monotonic()
    lived = live_through(shares, args.processes)
    took_s = time.monotonic() - begun_s
    per_s = round(lived.counted["schedules"] / took_s, 1)
    figures = {
        **lived.counted,
        "violations": len(lived.broken),
        "seconds": round(took_s),
        "schedules_per_second": per_s,
    }
    print(json.dumps(figures, sort_keys=True))
    for said in lived.broken:
        print(said, file=sys.stderr)
    return 1 if lived.broken else 0


if __name__ == "__main__":
    sys.exit(main())
