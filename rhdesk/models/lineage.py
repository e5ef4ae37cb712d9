"""Which run read or wrote which resource, at which version."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """One run touched one version of one resource."""

    run_id: str
    kind: str
    """``read`` or ``wrote``."""
    name: str
    """Full, without version."""
    version: str = ""
    """Empty where the run touched a name, not a version: a cluster it ran on."""
    at: datetime
    function: str = ""
    """What the run called."""
    source: str = "here"
    """``here``, or the producer an OpenLineage event named."""


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a resource came from, or what came of it."""

    name: str
    edges: tuple[Edge, ...] = ()
    """Nearest first; each touches the resource, or a resource that is nearer to it."""
