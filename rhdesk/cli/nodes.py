"""``rhdesk nodes | stats | autostop``."""

from __future__ import annotations

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput
from rhdesk.models import Cluster, Gpu, NodeStats

_name = click.argument("cluster", default="here")


@click.command()
@_name
@as_json
def nodes(cluster: str, as_json: bool) -> None:
    """The machines of CLUSTER, the head first; one that is lost says why."""
    found = at_desk(lambda desk: desk.nodes(cluster))
    rows = [
        (
            n.name,
            n.role,
            n.state,
            n.link if n.host else "-",
            str(n.cpus or "-"),
            f"{n.gpus} x {n.gpu_model}" if n.gpu_model else str(n.gpus or "-"),
            _gb(n.memory_bytes) if n.memory_bytes else "-",
            ", ".join(n.envs) or "-",
            n.why,
        )
        for n in found
    ]
    head = ("NODE", "ROLE", "STATE", "LINK", "CPUS", "GPUS", "MEMORY", "ENVIRONMENTS", "")
    answer(found, as_json, lambda: output.print_table(head, rows))


@click.command()
@_name
@as_json
def stats(cluster: str, as_json: bool) -> None:
    """CPU, memory and GPUs of each node of CLUSTER."""

    async def work(desk: AsyncDesk) -> list[NodeStats]:
        import asyncio  # deferred: a share of the CPU needs two samples

        await desk.stats(cluster)
        await asyncio.sleep(0.3)
        return await desk.stats(cluster)

    samples = at_desk(work)
    rows = [
        (
            s.node,
            f"{s.cpu_percent:.0f} %",
            _gb(s.memory_used_bytes),
            _gb(s.memory_total_bytes),
            "; ".join(map(_gpu, s.gpus)) or "-",
        )
        for s in samples
    ]
    head = ("NODE", "CPU", "MEMORY", "OF", "GPUS")
    answer(samples, as_json, lambda: output.print_table(head, rows))


@click.command()
@click.argument("cluster")
@click.argument("minutes")
@as_json
def autostop(cluster: str, minutes: str, as_json: bool) -> None:
    """Have CLUSTER end itself after MINUTES in which nothing ran; `never` is never.

    The cluster itself keeps to it, also when this machine is gone. What was printed and has not
    come home stays there until it does.
    """

    async def work(desk: AsyncDesk) -> Cluster:
        await desk.autostop(cluster, _minutes(minutes))
        return await desk.cluster(cluster)

    seen = at_desk(work)
    when = (
        "never ends itself" if _minutes(minutes) < 0 else f"ends itself after {minutes} min idle"
    )
    answer(seen, as_json, lambda: output.note(f"{cluster} {when}"))


def _minutes(text: str) -> float:
    if text == "never":
        return -1.0
    try:
        minutes = float(text)
    except ValueError:
        minutes = -1.0
    if not 0 < minutes < float("inf"):
        raise BadInput(f"{text!r} is no number of minutes; give one like 30, or never")
    return minutes


def _gpu(gpu: Gpu) -> str:
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    return f"{gpu.model} {gpu.percent:.0f} %, {_gb(used)} of {_gb(total)}"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
