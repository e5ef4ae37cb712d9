"""What the desk and a node say to each other before anything there speaks HTTP.

The desk runs ``python -m rhdesk_servlet node VERB`` on the machine, as a child or through SSH,
writes one message to its standard input and reads events from its standard output: JSON, a line
each, so that what went wrong can be read by a person.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import processes
from rhdesk.models import ClusterState, Step
from rhdesk.wire.messages import Fault

STARTED: Final = "cluster.json"
"""In the cluster's folder on the node: a `Started`, while anything of it may be there."""
ENDED: Final = "ended.json"
"""There too: an `Ended`, when it ended by itself."""


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node as it is to be. Tokens are in it, so it is never an argument of a command."""

    cluster: str
    cluster_id: str
    """The same on every node; empty is that of what is up there, or a new one."""
    folder: str
    """The cluster's folder on the node; only its owner reads it."""
    venvs: str
    """Where environments are built; shared by clusters of one account."""
    token: str
    ray_token: str
    node: str = ""
    """Name of the node; empty is the machine's own."""
    address: str = "127.0.0.1"
    """Where Ray listens: loopback, or in a cluster of several machines a private address."""
    head: str = ""
    """``host:port`` of the head's Ray, for a worker; empty is the head itself."""
    port: int = 0
    """The gateway's, on loopback; 0 is any."""
    autostop_s: float = -1.0
    """End the node after so many seconds in which nothing ran; below 0 is never."""
    resources: dict[str, float] = {}
    """What Ray is told the node has beside CPUs, memory and the GPUs it finds."""
    wheels: str = ""
    """Folder of wheels that environments are built from, where the node has no index."""
    prelude: tuple[str, ...] = ()


class NodeSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node as it is."""

    state: str
    """As `ClusterState`."""
    why: str = ""
    cluster_id: str = ""
    gateway: str = ""
    """``host:port``, on loopback of the node."""
    ray: str = ""
    """``host:port`` of the head's Ray."""
    started_at: float = 0.0
    servlet: str = ""
    """Hash of the servlet's code that serves."""
    node: str = ""


class NodeEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of what the program says; the last holds `seen` or `fault`."""

    step: Step | None = None
    seen: NodeSeen | None = None
    fault: Fault | None = None


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What was started on a node; written before each step, so nothing is orphaned."""

    cluster_id: str
    started_at: datetime
    ray_temp: str
    ray_port: int
    port: int
    """The gateway's."""
    head: processes.Process | None = None
    """The session leader: ``ray start --block``."""
    core: dict[str, processes.Process] = {}
    """Ray's own processes by name, to say which one died."""
    is_complete: bool = False
    node: str = ""
    address: str = "127.0.0.1"
    """Where Ray listens."""
    ray: str = ""
    """``host:port`` of the head's Ray."""
    servlet: str = ""
    """Hash of the code that the gateway runs."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a node ended without being told to."""

    cluster_id: str
    at: datetime
    """UTC."""
    why: str


def started_in(folder: Path) -> Started | None:
    """What was started in a cluster's folder, and has not been ended."""
    try:
        return msgspec.json.decode((folder / STARTED).read_bytes(), type=Started)
    except (FileNotFoundError, NotADirectoryError):
        return None


def ended_in(folder: Path) -> Ended | None:
    """How what was there last ended by itself, if it did."""
    try:
        return msgspec.json.decode((folder / ENDED).read_bytes(), type=Ended)
    except (FileNotFoundError, NotADirectoryError):
        return None


def why_broken(started: Started) -> str:
    """Which of a node's processes is gone, for a person; empty when all are there."""
    if started.head is None:
        return "it was never fully started"
    dead = [
        f"{name} (pid {process.pid})"
        for name, process in started.core.items()
        if not processes.is_alive(process)
    ]
    if dead:
        return f"Ray's {' and '.join(dead)} died"
    if not processes.is_alive(started.head):
        return f"its Ray head (pid {started.head.pid}) died"
    return ""


def seen_in(folder: Path) -> NodeSeen:
    """The node as its files and processes tell it; asks no servlet, so it answers at once."""
    started = started_in(folder)
    if started is None:
        ended = ended_in(folder)
        return NodeSeen(state=ClusterState.DOWN, why=ended.why if ended else "")
    why = why_broken(started)
    up = ClusterState.UP if started.is_complete else ClusterState.STARTING
    return NodeSeen(
        state=ClusterState.BROKEN if why else up,
        why=why,
        cluster_id=started.cluster_id,
        gateway=f"127.0.0.1:{started.port}",
        ray=started.ray,
        started_at=started.started_at.astimezone(UTC).timestamp(),
        servlet=started.servlet,
        node=started.node,
    )
