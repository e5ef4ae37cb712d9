"""A place where functions can run, and how it is doing."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class ClusterState(StrEnum):
    DOWN = "down"
    STARTING = "starting"
    STOPPED = "stopped"
    """Its machines are off, their disks are kept."""
    UP = "up"
    BROKEN = "broken"
    """Some of its processes are gone; `why` says which."""
    UNREACHABLE = "unreachable"
    """It was up when last seen, and does not answer now; `why` says what was tried."""


class Link(StrEnum):
    """How the connection to a node is."""

    NONE = "none"
    """Nobody has asked for one yet, or none is needed: the node is this machine."""
    CONNECTING = "connecting"
    CONNECTED = "connected"
    BROKEN = "broken"
    """It broke and is made anew, again and again; `why` says what was heard last."""


class Machines(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Machines to be brought into being, as asked for."""

    instance_type: str = ""
    """What each is: accelerators, ``H100:2``; processors, ``CPU:4+``; or a type of the provider's own,
    ``m6i.large``. Empty is the least that will do."""
    count: int = 1
    provider: str = ""
    """As SkyPilot calls it: ``aws``, ``gcp``, ``slurm``. Empty or ``cheapest`` is whichever is."""
    region: str = ""
    use_spot: bool = False
    image_id: str = ""
    memory: str = ""
    """GiB of each, ``16`` or ``16+``."""
    stop: bool = False
    """Keep the disks of machines that autostop ended, for a next `up`; most providers ask for it."""


class ClusterSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cluster of one's own machines, or of machines to be brought into being, as asked for."""

    name: str
    hosts: tuple[str, ...] = ()
    """Head first, each as ``ssh`` takes it: ``gpubox``, ``ada@10.0.0.3``, ``ada@gpubox:2222``."""
    machines: Machines | None = None
    """Instead of hosts."""
    user: str = ""
    """Instead of what ~/.ssh/config says; likewise the next four. Empty or 0 is not given."""
    port: int = 0
    key: str = ""
    """File of the private key."""
    proxy_jump: str = ""
    proxy_command: str = ""
    python: str = ""
    """Interpreter on the hosts; empty is the newest one there that Ray supports."""
    prelude: tuple[str, ...] = ()
    """Shell lines in front of everything that is run there: ``module load python``."""
    autostop_mins: int = -1
    """End the servlets after so many minutes in which nothing ran; -1 is never."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One machine of a cluster."""

    name: str
    """As the machine calls itself."""
    host: str = ""
    """As ssh takes it; empty is this machine."""
    role: str = "head"
    """``head`` or ``worker``."""
    state: ClusterState = ClusterState.DOWN
    why: str = ""
    link: Link = Link.NONE
    link_since: datetime | None = None
    """UTC; since when the link is as it is."""
    round_trip_s: float = 0.0
    """As last measured; 0 is never."""
    python: str = ""
    ray: str = ""
    cpus: int = 0
    gpus: int = 0
    gpu_model: str = ""
    memory_bytes: int = 0
    envs: tuple[str, ...] = ()


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: str = "here"
    """How it is reached: ``here`` is this machine, ``ssh`` one's own machines, ``sky`` machines that
    SkyPilot brings into being."""
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
    nodes: tuple[Node, ...] = ()
    """Head first."""
    autostop_mins: int = -1
    idle_s: float = 0.0
    """Seconds since anything ran there, as last heard."""
    seen_at: datetime | None = None
    """UTC; when its servlets last answered, of a cluster that is elsewhere."""
    infra: str = ""
    """Where its machines were brought up: ``slurm/lab``, ``aws/us-east-1``."""
    price_per_hour: float = 0.0
    """Of all its machines, in the provider's currency; 0 is not known."""


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of a GPU."""

    model: str
    percent: float
    memory_used_bytes: int
    memory_total_bytes: int


class NodeStats(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of a node's load."""

    node: str
    at: datetime
    """UTC."""
    cpu_percent: float
    """0..100 over all cores."""
    memory_used_bytes: int
    memory_total_bytes: int
    gpus: tuple[Gpu, ...] = ()
