"""``rhdesk up | down | status | stats | doctor``."""

from __future__ import annotations

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk, show_steps
from rhdesk.desk import AsyncDesk
from rhdesk.models import Check, Cluster, NodeStats

_name = click.argument("cluster", default="here")


@click.command()
@_name
@as_json
def up(cluster: str, as_json: bool) -> None:
    """Bring CLUSTER up, or find it up. `here` is this machine."""

    async def work(desk: AsyncDesk) -> Cluster:
        await show_steps(desk.up(cluster), as_json=as_json)
        return await desk.cluster(cluster)

    seen = at_desk(work)
    if as_json:
        output.print_end(seen)
    else:
        output.note(f"{seen.name} is {seen.state}; next: rhdesk call app.py:train")


@click.command()
@_name
@as_json
def down(cluster: str, as_json: bool) -> None:
    """End exactly the processes that `up` started. Names and the record of runs stay."""

    async def work(desk: AsyncDesk) -> Cluster:
        await show_steps(desk.down(cluster), as_json=as_json)
        return await desk.cluster(cluster)

    seen = at_desk(work)
    if as_json:
        output.print_end(seen)


@click.command()
@click.argument("cluster", default="")
@as_json
def status(cluster: str, as_json: bool) -> None:
    """How CLUSTER is doing, or every one. Answers within two seconds."""

    async def work(desk: AsyncDesk) -> list[Cluster]:
        return [await desk.cluster(cluster)] if cluster else await desk.clusters()

    seen = at_desk(work)
    rows = [
        (
            c.name,
            c.state,
            c.address or "-",
            output.ago(c.started_at),
            ", ".join(c.envs) or "-",
            c.why,
        )
        for c in seen
    ]
    head = ("NAME", "STATE", "GATEWAY", "UP SINCE", "ENVIRONMENTS", "")
    answer(seen, as_json, lambda: output.print_table(head, rows))


@click.command()
@_name
@as_json
def stats(cluster: str, as_json: bool) -> None:
    """CPU and memory of each node of CLUSTER."""

    async def work(desk: AsyncDesk) -> list[NodeStats]:
        import asyncio  # deferred: a share of the CPU needs two samples

        await desk.stats(cluster)
        await asyncio.sleep(0.3)
        return await desk.stats(cluster)

    samples = at_desk(work)
    rows = [
        (s.node, f"{s.cpu_percent:.0f} %", _gb(s.memory_used_bytes), _gb(s.memory_total_bytes))
        for s in samples
    ]
    head = ("NODE", "CPU", "MEMORY", "OF")
    answer(samples, as_json, lambda: output.print_table(head, rows))


@click.command()
@_name
@as_json
@click.pass_context
def doctor(ctx: click.Context, cluster: str, as_json: bool) -> None:
    """Look at everything a run on CLUSTER needs, piece by piece: cause, evidence, remedy."""
    checks = at_desk(lambda desk: desk.doctor(cluster))
    answer(checks, as_json, lambda: _show(checks))
    if not all(check.ok for check in checks):
        ctx.exit(1)


def _show(checks: list[Check]) -> None:
    for check in checks:
        mark = output.paint("✓", "green") if check.ok else output.paint("✗", "red")
        click.echo(f"{mark} {check.what}: {check.evidence}")
        if check.remedy:
            click.echo(f"    {check.remedy}")


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
