"""Which run read or wrote which resource, at which version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from rhdesk.models.record import Version


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """One run touched one version of one resource."""

    run_id: str
    kind: str
    """``read`` or ``wrote``."""
    name: str
    """Full, without version. Of a value kept on a cluster ``here:key``."""
    version: str = ""
    """Empty where the run touched a name, not a version: a cluster it ran on, a kept value."""
    at: datetime
    function: str = ""
    """What the run called."""
    source: str = "here"
    """``here``, or the producer an OpenLineage event named."""


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a lineage drawn as a tree."""

    depth: int
    """0 for what touched the resource asked about."""
    edge: Edge
    """What stands here: on even depths a run, on odd ones what it read or wrote."""
    is_repeated: bool = False
    """What is beneath it was told above."""


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a resource came from, or what came of it."""

    name: str
    edges: tuple[Edge, ...] = ()
    """Nearest first; each touches the resource, or a resource that is nearer to it."""
    version: str = ""
    """Which one this tells of; empty for all there were."""
    is_down: bool = False
    """Whether this is what came of it."""
    saved: tuple[Version, ...] = ()
    """Versions on the way up that no run wrote: who saved them, and when."""
    is_complete: bool = True
    """False where there was more than is told."""

    @property
    def names(self) -> tuple[str, ...]:
        """What it came from, or what came of it: names other than its own, nearest first."""
        kind = "wrote" if self.is_down else "read"
        found = (edge.name for edge in self.edges if edge.kind == kind)
        return tuple(name for name in dict.fromkeys(found) if name != self.name)

    def dependents(self) -> tuple[str, ...]:
        """What breaks without it: what came of it, and the saved functions that read it."""
        readers = (e.function for e in self.edges if e.kind == "read" and e.name == self.name)
        found = [*self.names, *(f for f in readers if f[:2] in {"~/", "@/"} or f[:1] == "/")]
        return tuple(name for name in dict.fromkeys(found) if name != self.name)

    def branches(self) -> Iterator[Branch]:
        """The same as a tree, read from the top; what was told once is not told again."""
        near, far = ("read", "wrote") if self.is_down else ("wrote", "read")
        near_edges: defaultdict[str, list[Edge]] = defaultdict(list)
        far_edges: defaultdict[str, list[Edge]] = defaultdict(list)
        for edge in self.edges:
            if edge.kind == near:
                near_edges[edge.name].append(edge)
            else:
                far_edges[edge.run_id].append(edge)
        told: set[str] = set()
        first = near_edges[self.name]
        if self.version:
            first = [e for e in first if e.version in {self.version, ""}] or first
        waiting = [(0, edge) for edge in reversed(first)]
        while waiting:
            depth, edge = waiting.pop()
            if edge.kind == near:
                is_repeated = edge.run_id in told
                told.add(edge.run_id)
                beneath = [] if is_repeated else far_edges[edge.run_id]
            else:
                is_repeated = False
                known = near_edges[edge.name]
                beneath = read_by(edge, known) if self.is_down else written_before(edge, known)
            yield Branch(
                depth=depth, edge=edge, is_repeated=is_repeated and bool(far_edges[edge.run_id])
            )
            waiting += [
                (depth + 1, each) for each in reversed(beneath) if each.kind in {near, far}
            ]


def written_before(read: Edge, wrote: Iterable[Edge]) -> list[Edge]:
    """Of the runs that *wrote* a name, those that wrote what was *read*.

    Where one side knows no version, it is the last one that wrote the name before.
    """
    wrote = list(wrote)
    if read.version and (exact := [each for each in wrote if each.version == read.version]):
        return exact
    loose = [e for e in wrote if e.at <= read.at and not (read.version and e.version)]
    return [max(loose, key=lambda each: each.at)] if loose else []


def read_by(wrote: Edge, read: Iterable[Edge]) -> list[Edge]:
    """Of the runs that *read* a name, those that read what was written."""
    return [
        each
        for each in read
        if (each.version == wrote.version if each.version else each.at >= wrote.at)
    ]
