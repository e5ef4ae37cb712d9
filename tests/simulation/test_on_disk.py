"""The same bad days with the replica that desks have: what the engine asks is answered alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from rhdesk.sync.replica import SqliteReplica
from rhdesk.sync.state import Base, Cursor, Op, Parked, Refused, Transaction
from tests.simulation import memory
from tests.simulation.directed import SCENARIOS
from tests.simulation.memory import Crashpoint
from tests.simulation.world import Parts, Size, World


class DiskReplica:
    """`MemoryReplica`'s shape around the real one; each question takes a turn of its own."""

    def __init__(
        self, folder: Path, crashpoint: Crashpoint, committed: Callable[[Transaction], None]
    ) -> None:
        self._folder = folder
        self._crashpoint = crashpoint
        self._committed = committed
        self._disk = SqliteReplica(folder)

    def opened(self) -> None:
        self._disk.close()
        self._disk = SqliteReplica(self._folder)

    def lose_mirror(self) -> None:
        self._disk.forget_mirror()

    def apply(self, changes: Transaction) -> None:
        self._crashpoint()
        self._disk.write(lambda rows: rows.apply(changes))
        self._committed(changes)
        self._crashpoint()

    # ---- what the engine asks

    def cursor(self) -> Cursor:
        return self._disk.read(lambda rows: rows.cursor())

    def base(self, rid: str) -> Base | None:
        return self._disk.read(lambda rows: rows.base(rid))

    def names(self) -> Iterable[tuple[str, str]]:
        return self._disk.read(lambda rows: rows.names())

    def unlisted(self, listing_id: str) -> Iterable[Base]:
        return self._disk.read(lambda rows: list(rows.unlisted(listing_id)))

    def op(self, op_id: str) -> Op | None:
        return self._disk.read(lambda rows: rows.op(op_id))

    def ops_of(self, rid: str) -> Sequence[Op]:
        return self._disk.read(lambda rows: rows.ops_of(rid))

    def ops_named(self, name: str) -> Sequence[Op]:
        return self._disk.read(lambda rows: rows.ops_named(name))

    def waiting(self) -> Iterable[Op]:
        return self._disk.read(lambda rows: list(rows.waiting()))

    def accepted(self) -> Iterable[Op]:
        return self._disk.read(lambda rows: list(rows.accepted()))

    def rids_of_ops(self) -> Iterable[str]:
        return self._disk.read(lambda rows: list(rows.rids_of_ops()))

    def conflict(self, conflict_id: str) -> Parked | None:
        return self._disk.read(lambda rows: rows.conflict(conflict_id))

    # ---- what the world looks at

    @property
    def bases(self) -> dict[str, Base]:
        found = [self.base(rid) for rid, _ in self.names()]
        return {base.rid: base for base in found if base is not None}

    @property
    def ops(self) -> dict[str, Op]:
        return {op.op_id: op for op in self._disk.read(lambda rows: rows.ops())}

    @property
    def conflicts(self) -> dict[str, Parked]:
        parked = self._disk.read(lambda rows: rows.parked(also_resolved=True))
        return {each.conflict_id: each for each in parked}

    @property
    def refusals(self) -> dict[str, Refused]:
        return {each.op_id: each for each in self._disk.read(lambda rows: rows.refused())}

    @property
    def where(self) -> Cursor:
        return self.cursor()


@pytest.fixture
def on_disk(tmp_path: Path) -> Parts:
    made = 0

    def replica(crashpoint: Crashpoint, committed: Callable[[Transaction], None]) -> DiskReplica:
        nonlocal made
        made += 1
        return DiskReplica(tmp_path / str(made), crashpoint, committed)

    parts = ModuleType("disk")
    parts.__dict__.update(MemoryDatabase=memory.MemoryDatabase, MemoryReplica=replica)
    return Parts(memory=parts)


@pytest.mark.parametrize("seed", range(6))
def test_a_bad_day_on_disk_is_the_bad_day_in_memory(seed: int, on_disk: Parts) -> None:
    size = Size(3, 120)
    real, model = World(seed, size, on_disk), World(seed, size)
    assert real.run() == model.run()
    assert real.oracle.lineage == model.oracle.lineage


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_directed_scenario_ends_well_on_disk(scenario: str, on_disk: Parts) -> None:
    SCENARIOS[scenario](on_disk)
