"""A place where functions can run, and how it is doing."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class ClusterState(StrEnum):
    DOWN = "down"
    STARTING = "starting"
    UP = "up"
    BROKEN = "broken"
    """Some of its processes are gone; `why` says which."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: str = "here"
    """How it is reached: ``here`` is this machine."""
    state: ClusterState = ClusterState.DOWN
    why: str = ""
    """What is wrong, for a person, when the state is BROKEN."""
    cluster_id: str = ""
    """Changes at every `up`; a token is good for one cluster id only."""
    address: str = ""
    """Where its gateway listens, as ``host:port``; empty when down."""
    started_at: datetime | None = None
    """UTC."""
    cpus: int = 0
    envs: tuple[str, ...] = ()
    """Names of the envs with a servlet, ``base`` first."""


class NodeStats(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of a node's load."""

    node: str
    at: datetime
    """UTC."""
    cpu_percent: float
    """0..100 over all cores."""
    memory_used_bytes: int
    memory_total_bytes: int
