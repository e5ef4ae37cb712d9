"""What is asked of SkyPilot for a cluster, in SkyPilot's words."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from rhdesk.clusters.servlet_code import program
from rhdesk.errors import BadInput
from rhdesk.models import ClusterSpec, Machines

FIRST_MINS: Final = 15
"""Machines on which nothing of ours was started for so long end: who brought them up is gone."""
AFTER_S: Final = 60
"""Between the end of our servlets and that of their job."""
IDLE_MINS: Final = 1
"""Between the end of the job and that of the machines."""
_ACCELERATORS: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*:\d+")
_CPUS: Final = re.compile(r"CPU:(\d+\+?)", re.I)


def task_of(spec: ClusterSpec) -> str:
    """The task for a cluster: machines as asked for, and the keeper as what runs on them.

    Raises:
        BadInput: What is asked for has no meaning.
    """
    machines = spec.machines
    assert machines is not None, "only of clusters of machines"
    task = {
        "name": spec.name,
        "num_nodes": machines.count,
        "resources": resources_of(machines) | {"autostop": autostop_of(machines)},
        "run": _run(spec),
    }
    return msgspec.json.encode(task).decode()  # YAML is a superset of JSON


def resources_of(machines: Machines) -> dict[str, Any]:
    """One machine, as SkyPilot is asked for it.

    Raises:
        BadInput: As `task_of`.
    """
    if machines.count < 1:
        raise BadInput(f"{machines.count} machines cannot be brought up; ask for 1 or more")
    wanted: dict[str, Any] = {}
    kind = machines.instance_type
    if match := _CPUS.fullmatch(kind):
        wanted["cpus"] = match[1]
    elif _ACCELERATORS.fullmatch(kind):
        wanted["accelerators"] = kind
    elif kind:
        wanted["instance_type"] = kind
    provider = "" if machines.provider == "cheapest" else machines.provider
    if machines.region and not provider:
        raise BadInput(f"the region {machines.region!r} is of which provider? Say --provider too")
    if provider:
        wanted["infra"] = "/".join(part for part in (provider, machines.region) if part)
    if machines.memory:
        wanted["memory"] = machines.memory
    if provider == "slurm":
        # It has no types of machines; asked for nothing, SkyPilot takes what suits a cloud's.
        wanted.setdefault("cpus", "1+")
        wanted.setdefault("memory", "1+")
    if machines.use_spot:
        wanted["use_spot"] = True
    if machines.image_id:
        wanted["image_id"] = machines.image_id
    return wanted


def autostop_of(machines: Machines) -> dict[str, Any]:
    """The machine's own timer: it runs once the keeper has ended, whoever is there to see it."""
    return {"idle_minutes": IDLE_MINS, "down": not machines.stop, "wait_for": "jobs"}


def _run(spec: ClusterSpec) -> str:
    """Shell that runs the keeper until nothing of ours is left on the machine."""
    limits = f"{FIRST_MINS * 60} {after_s(spec.autostop_mins)}"
    source = program("keeper.py").decode()
    return (
        f"exec python3 -u - keep {spec.name} {limits} <<'END OF KEEPER'\n{source}\nEND OF KEEPER\n"
    )


def after_s(autostop_mins: float) -> int:
    """How long the keeper waits when nothing of ours runs any more; -1 is for ever."""
    return AFTER_S if autostop_mins >= 0 else -1
