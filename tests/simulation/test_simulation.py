"""Twenty thousand bad days of the real engine and the real store, and the rarest ones by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.directed import SCENARIOS
from tests.simulation.soak import Share, live_through
from tests.simulation.world import REAL, SMALL, Size, World

LARGE = Size(5, 300)
ALONE = Size(1, 150, is_ruled=False)
_SEEDS = Path(__file__).with_name("seeds.txt")


@pytest.mark.slow
def test_twenty_thousand_schedules_break_no_invariant() -> None:
    done = live_through([Share(SMALL, range(18_000)), Share(LARGE, range(2_000))])
    assert done.broken == []
    total = done.counted
    assert total["schedules"] == 20_000
    # A world in which nothing goes wrong would prove nothing.
    for what in ("crashes", "restores", "conflicts", "refused", "cuts", "grants", "resolved"):
        assert total[what] > 500, what
    assert total["acknowledged"] > 300_000


def _past() -> list[tuple[int, Size, str]]:
    lines = [line.split(maxsplit=3) for line in _SEEDS.read_text().splitlines()]
    return [
        (int(seed), Size(int(desks), int(steps)), why)
        for seed, desks, steps, why in (line for line in lines if line[0] != "#")
    ]


@pytest.mark.parametrize(("seed", "size", "why"), _past(), ids=lambda value: str(value)[:40])
def test_a_seed_that_once_went_wrong_stays_right(seed: int, size: Size, why: str) -> None:
    World(seed, size).run()


def test_a_person_alone_is_never_at_odds_with_themselves() -> None:
    for seed in range(1_000):
        world = World(seed, ALONE)
        world.run()
        (desk,) = world.desks.values()
        assert not desk.replica.conflicts, seed
        refused = {r.reason for r in desk.replica.refusals.values()}
        assert refused <= {"a config names its resource_type"}, seed


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_directed_scenario_ends_well(scenario: str) -> None:
    SCENARIOS[scenario](REAL)


def test_one_seed_is_one_schedule() -> None:
    first, again = World(7), World(7)
    assert first.run() == again.run()
    assert first.oracle.lineage == again.oracle.lineage
