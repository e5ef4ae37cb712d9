"""Each planted bug is noticed. What notices nothing proves nothing."""

from __future__ import annotations

import pytest

from tests.simulation.directed import SCENARIOS
from tests.simulation.mutants import MUTANTS, OF_THE_MODEL, Mutant, plant
from tests.simulation.oracle import Violation
from tests.simulation.world import World

by_chance = pytest.mark.parametrize(
    "mutant", [m for m in MUTANTS if m.seeds], ids=lambda mutant: mutant.name
)
by_hand = pytest.mark.parametrize(
    "mutant", [m for m in MUTANTS if m.scenario], ids=lambda mutant: mutant.name
)


@by_chance
def test_a_planted_bug_is_noticed_within_its_seeds(mutant: Mutant) -> None:
    parts = plant(mutant)
    with pytest.raises(Violation):  # noqa: PT012 - the seed that shows it is not known
        for seed in range(mutant.seeds):
            World(seed, mutant.size, parts).run()


@by_hand
def test_a_planted_bug_fails_the_scenario_written_for_it(mutant: Mutant) -> None:
    with pytest.raises((Violation, AssertionError, KeyError)):
        SCENARIOS[mutant.scenario](plant(mutant))


def test_the_bugs_of_the_model_are_all_planted() -> None:
    # Fifteen of its sixteen. The other removed the check that a row of the feed is newer than the
    # base; here as there nothing can notice: a page is taken only if it begins at the cursor, so
    # that no row comes twice.
    assert len(OF_THE_MODEL) == 15
