"""``rhdesk up | down | status | doctor``."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from rhdesk.cli import output
from rhdesk.cli.machines import agreed, machines_said, of_machines
from rhdesk.cli.running import answer, as_json, at_desk, show_steps
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput
from rhdesk.models import Check, Cluster, ClusterSpec

_name = click.argument("cluster", default="here")


@click.command()
@_name
@click.argument("hosts", nargs=-1)
@click.option("--host-key", default="", help="Trust a new host with this fingerprint: SHA256:...")
@click.option("--user", default="", help="Instead of what ~/.ssh/config says; likewise the next.")
@click.option("--port", default=0, help="Of sshd.")
@click.option("--key", default="", help="File of the private key.")
@click.option("--jump", default="", help="Host to go through.")
@click.option("--python", default="", help="Interpreter on the hosts.")
@click.option("--prelude", multiple=True, help="Shell line in front: module load python.")
@click.option("--autostop", default=None, type=int, help="Minutes without a run; -1 is never.")
@of_machines
@click.option(
    "--dry-run", is_flag=True, help="Machines: show what would be started, start nothing."
)
@click.option("--yes", "-y", is_flag=True, help="Machines: bring them up without asking.")
@as_json
def up(
    cluster: str,
    hosts: tuple[str, ...],
    host_key: str,
    user: str,
    port: int,
    key: str,
    jump: str,
    python: str,
    prelude: tuple[str, ...],
    autostop: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **machines: Any,
) -> None:
    """Bring CLUSTER up, or find it up: `here`, a host of ~/.ssh/config, or one with HOSTS.

    rhdesk up gpubox, rhdesk up ada@10.0.0.3, rhdesk up lab gpu-1 gpu-2 gpu-3

    With --instance, machines are brought into being by SkyPilot, after their plan and price were
    shown: rhdesk up train --instance H100:2 --nodes 2 --provider slurm --autostop 30
    """
    said = {"user": user, "port": port, "key": key, "proxy_jump": jump, "python": python}
    said |= {"prelude": prelude, "autostop_mins": autostop}
    given = {name: value for name, value in said.items() if value not in ("", 0, (), None)}

    async def work(desk: AsyncDesk) -> Cluster:
        name = cluster
        wanted = machines_said(machines)
        if wanted is not None and (hosts or given.keys() - {"autostop_mins"}):
            raise BadInput(f"{cluster} is either of HOSTS or of machines to be brought up")
        if wanted is not None:
            more = {key: given[key] for key in given if key == "autostop_mins"}
            await desk.add_cluster(desk.wanted(cluster, wanted, **more))
        elif hosts or given:
            parts = ClusterSpec(name=cluster, hosts=hosts or (cluster,))
            name = cluster if hosts else cluster.rpartition("@")[2].partition(":")[0]
            mins = desk.settings.autostop_mins
            spec = msgspec.structs.replace(parts, **{"autostop_mins": mins, **given, "name": name})
            await desk.add_cluster(spec)
        if not await agreed(desk, name, dry_run=dry_run, yes=yes, as_json=as_json):
            return await desk.cluster(name)
        await show_steps(desk.up(name, host_key=host_key), as_json=as_json)
        return await desk.cluster(name.rpartition("@")[2].partition(":")[0])

    seen = at_desk(work)
    if dry_run:
        return
    if as_json:
        output.print_end(seen)
    else:
        on = "" if seen.name == "here" else f" --on {seen.name}"
        output.note(f"{seen.name} is {seen.state}; next: rhdesk call app.py:train{on}")


@click.command()
@click.argument("cluster")
@as_json
def forget(cluster: str, as_json: bool) -> None:
    """Remove what is written down of CLUSTER, which is down. Its runs stay in the record."""
    at_desk(lambda desk: desk.forget_cluster(cluster))
    answer({"forgotten": cluster}, as_json, lambda: output.note(f"forgot {cluster}"))


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
