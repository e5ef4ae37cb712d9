"""What the desk and a node say to each other before anything there speaks HTTP.

The desk runs ``python -m rhdesk_servlet node VERB`` on the machine, as a child or through SSH,
writes one message to its standard input and reads events from its standard output: JSON, a line
each, so that what went wrong can be read by a person.
"""

from __future__ import annotations

import msgspec

from rhdesk.models import Step
from rhdesk.wire.messages import Fault


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node as it is to be. Tokens are in it, so it is never an argument of a command."""

    cluster: str
    cluster_id: str
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


class NodeEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of what the program says; the last holds `seen` or `fault`."""

    step: Step | None = None
    seen: NodeSeen | None = None
    fault: Fault | None = None
