"""What machines would cost, what they have cost, and machines that nobody accounts for."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """Machines that could be had."""

    infra: str
    """Provider and region, ``aws/us-east-1``."""
    instance_type: str
    accelerators: str = ""
    """``H100:2``; empty is none."""
    cpus: float = 0.0
    memory_gib: float = 0.0
    price_per_hour: float = 0.0
    """Of one machine, in the provider's currency; 0 is not known."""
    spot_price_per_hour: float = 0.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What `up` would bring into being; nothing has been."""

    cluster: str
    instance_type: str
    """As asked for."""
    count: int
    infra: str
    """Where: ``slurm/lab``."""
    offers: tuple[Offer, ...] = ()
    """What was considered; the first is what would be taken."""
    price_per_hour: float = 0.0
    """Of all machines together; 0 is not known."""
    for_whom: str = ""
    autostop_mins: int = -1
    """Minutes without a run after which they end; -1 is never."""
    budget: float | None = None
    """What the group's machines may cost in a month; None is not said."""
    spent: float = 0.0
    """What they have cost this month."""
    is_up: bool = False
    """They are there already: nothing would be started."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What machines of one cluster have cost so far."""

    cluster: str
    person: str
    infra: str
    resources: str
    hours: float
    cost: float
    """In the provider's currency."""
    is_up: bool
    since: datetime | None = None
    """UTC; when they were first there."""


class RunCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one run has cost: its share of time of all the machines of its cluster."""

    run_id: str
    cluster: str
    name: str
    """What was called."""
    hours: float
    cost: float
    """In the provider's currency. Runs side by side each count the whole."""


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """Machines that nobody accounts for."""

    cluster: str
    what: str
    """What was found."""
    remedy: str
    """What `end_orphans` does about it."""
    was_to_end: bool = False
    """Somebody ended it, and that was cut off or failed: the daemon tries again by itself."""


class SkyState(msgspec.Struct, frozen=True, kw_only=True):
    """How SkyPilot is doing on this machine."""

    version: str
    is_installed: bool
    providers: tuple[str, ...]
    """It is installed for."""
    folder: str
    address: str = ""
    """Of its server; empty when none runs."""
    log: str = ""
