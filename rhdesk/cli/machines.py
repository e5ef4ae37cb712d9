"""Machines to be had: ``rhdesk up --instance``'s plan, and ``stop | offers | cost | orphans | sky``."""

from __future__ import annotations

import sys
from contextlib import aclosing
from functools import partial
from typing import Any

import click
import msgspec

from rhdesk.cli import output
from rhdesk.cli.running import F, answer, as_json, at_desk, show_steps
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput
from rhdesk.models import Cluster, Machines, Offer, Orphan, Plan, SkyState


def of_machines(command: F) -> F:
    """The options of a cluster whose machines are brought into being."""
    for option in reversed(
        (
            click.option(
                "--instance", "instance_type", default="", help="H100:2, CPU:4+, m6i.large."
            ),
            click.option("--nodes", "count", default=0, help="How many machines."),
            click.option("--provider", default="", help="aws, gcp, slurm ..., or cheapest."),
            click.option("--region", default="", help="Of the provider."),
            click.option(
                "--spot", "use_spot", is_flag=True, help="Cheaper, and may be taken away."
            ),
            click.option("--image", "image_id", default="", help="Of the provider."),
            click.option("--memory", default="", help="GiB of each, 16 or 16+."),
            click.option(
                "--keep-disk", "stop", is_flag=True, help="Autostop turns off, not down."
            ),
        )
    ):
        command = option(command)
    return command


def machines_said(said: dict[str, Any]) -> Machines | None:
    """What was typed of machines; None when nothing was."""
    given = {name: value for name, value in said.items() if value not in ("", 0, False)}
    return msgspec.convert(given, Machines) if given else None


async def agreed(desk: AsyncDesk, name: str, *, dry_run: bool, yes: bool, as_json: bool) -> bool:
    """Show what machines would be brought up, at what price, and ask; of others there is no question.

    Raises:
        BadInput: Nobody is there to be asked.
    """
    spec = await desk.cluster_spec(name) if name in await desk.cluster_names() else None
    if spec is None or spec.machines is None:
        if dry_run:
            raise BadInput(f"{name} costs nothing to bring up; --dry-run is of --instance")
        return True
    plan = None
    say = partial(output.print_event, "step") if as_json else output.print_step
    async with aclosing(desk.plan(spec)) as events:
        async for event in events:
            if isinstance(event, Plan):
                plan = event
            else:
                say(event)
    assert plan is not None, "the last event is the plan"
    if as_json:
        output.print_event("plan", plan)
    else:
        _show_plan(plan)
    if dry_run or plan.is_up or yes:
        return not dry_run
    if as_json or not sys.stdin.isatty():
        raise BadInput(f"bringing {name} up costs money, and nobody is there to be asked: --yes")
    return click.confirm("Bring it up?", err=True, default=True)


def _show_plan(plan: Plan) -> None:
    if plan.is_up:
        output.note(f"{plan.cluster}: its machines are up at {plan.infra}")
        return
    rows = [
        (
            "→" if number == 0 else "",
            offer.infra,
            offer.instance_type or "-",
            offer.accelerators or "-",
            f"{offer.cpus:g}",
            f"{offer.memory_gib:g} GiB",
            _price(offer.price_per_hour * plan.count),
        )
        for number, offer in enumerate(plan.offers[:8])
    ]
    head = ("", "WHERE", "TYPE", "GPUS", "CPUS", "MEMORY", "AN HOUR")
    output.print_table(head, rows)
    ends = (
        f"ends itself after {plan.autostop_mins} min without a run"
        if plan.autostop_mins >= 0
        else "stays until rhdesk down"
    )
    click.echo(
        f"{plan.count} x {plan.instance_type or 'machine'} for {plan.for_whom}: "
        f"{_price(plan.price_per_hour)} an hour; {ends}"
    )
    if plan.budget is not None:
        click.echo(f"budget of the group: {plan.spent:.2f} of {plan.budget:g} this month")


def _price(amount: float) -> str:
    return f"{amount:.2f}" if amount else "not known"


@click.command()
@click.argument("cluster")
@as_json
def stop(cluster: str, as_json: bool) -> None:
    """Turn the machines of CLUSTER off and keep their disks; `up` turns them on again."""

    async def work(desk: AsyncDesk) -> Cluster:
        await show_steps(desk.stop(cluster), as_json=as_json)
        return await desk.cluster(cluster)

    seen = at_desk(work)
    if as_json:
        output.print_end(seen)


@click.command()
@click.argument("cluster")
@click.argument("count", type=int)
@as_json
def resize(cluster: str, count: int, as_json: bool) -> None:
    """Have CLUSTER be of COUNT machines; what runs on those that stay goes on."""

    async def work(desk: AsyncDesk) -> Cluster:
        await show_steps(desk.resize(cluster, count), as_json=as_json)
        return await desk.cluster(cluster)

    seen = at_desk(work)
    if as_json:
        output.print_end(seen)


@click.command()
@click.argument("accelerator", default="")
@click.option("--provider", default="", help="Of this one only.")
@as_json
def offers(accelerator: str, provider: str, as_json: bool) -> None:
    """Machines with ACCELERATOR that could be had, the cheapest first."""
    found = at_desk(lambda desk: desk.offers(accelerator, provider=provider))
    answer(found, as_json, lambda: _show_offers(found))


def _show_offers(found: list[Offer]) -> None:
    rows = [
        (
            each.accelerators,
            each.infra,
            each.instance_type or "-",
            f"{each.cpus:g}" if each.cpus else "-",
            f"{each.memory_gib:g} GiB" if each.memory_gib else "-",
            _price(each.price_per_hour),
            _price(each.spot_price_per_hour),
        )
        for each in found
    ]
    output.print_table(("GPUS", "WHERE", "TYPE", "CPUS", "MEMORY", "AN HOUR", "SPOT"), rows)


@click.command()
@click.option("--days", default=30, help="Since so many days.")
@click.option("--runs", is_flag=True, help="Run by run.")
@as_json
def cost(days: int, runs: bool, as_json: bool) -> None:
    """What machines have cost, cluster by cluster and person by person, or run by run."""
    if runs:
        told = at_desk(lambda desk: desk.run_costs(days=days))
        lines = [
            (each.run_id[-10:], each.name, each.cluster, f"{each.hours:.2f} h", f"{each.cost:.4f}")
            for each in told
        ]
        named = ("RUN", "FUNCTION", "CLUSTER", "HOURS", "COST")
        answer(told, as_json, lambda: output.print_table(named, lines))
        return
    found = at_desk(lambda desk: desk.costs(days=days))
    rows = [
        (
            each.cluster,
            each.person,
            each.infra,
            each.resources,
            f"{each.hours:.1f} h",
            f"{each.cost:.2f}",
            "up" if each.is_up else "",
        )
        for each in found
    ]
    head = ("CLUSTER", "WHO", "WHERE", "MACHINES", "HOURS", "COST", "")

    def show() -> None:
        output.print_table(head, rows)
        click.echo(f"together {sum(each.cost for each in found):.2f} in {days} days")

    answer(found, as_json, show)


@click.command()
@click.option("--end", is_flag=True, help="End them.")
@as_json
@click.pass_context
def orphans(ctx: click.Context, end: bool, as_json: bool) -> None:
    """Machines that nobody accounts for; ends with 1 when there are any.

    Every call that makes or ends machines is written down before it is made: after any crash this
    compares the journal, what SkyPilot has and the clusters of this desk.
    """

    async def work(desk: AsyncDesk) -> list[Orphan]:
        return await (desk.end_orphans() if end else desk.orphans())

    found = at_desk(work)

    def show() -> None:
        for each in found:
            click.echo(f"{each.cluster}: {each.what}")
        if not found:
            output.note("none: every machine is accounted for")
        elif end:
            output.note(f"ended {len(found)}")
        else:
            output.note("end them: rhdesk orphans --end")

    answer(found, as_json, show)
    if found and not end:
        ctx.exit(1)


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def sky(ctx: click.Context, as_json: bool) -> None:
    """SkyPilot on this machine, which brings machines up: how it is, its log, its end."""
    if ctx.invoked_subcommand is None:
        _answer(at_desk(lambda desk: desk.sky()), as_json)


def _answer(seen: SkyState, as_json: bool) -> None:
    def show() -> None:
        if not seen.is_installed:
            click.echo(f"SkyPilot {seen.version} is not installed; rhdesk up does it when needed")
            return
        click.echo(f"SkyPilot {seen.version} for {', '.join(seen.providers) or 'no provider'}")
        click.echo(f"  in      {seen.folder}")
        click.echo(f"  server  {seen.address or 'does not run'}")
        click.echo(f"  log     {seen.log}")

    answer(seen, as_json, show)


@sky.command()
@click.option("-n", "limit", default=200, help="So many lines.")
@as_json
def log(limit: int, as_json: bool) -> None:
    """The last lines of its server's log."""
    lines = at_desk(lambda desk: desk.sky_lines(limit=limit))
    answer(lines, as_json, lambda: click.echo("\n".join(lines)))


@sky.command("stop")
@as_json
def stop_server(as_json: bool) -> None:
    """End its server. Machines stay as they are."""
    _answer(at_desk(lambda desk: desk.stop_sky()), as_json)


@sky.command()
@as_json
def remove(as_json: bool) -> None:
    """Remove SkyPilot from this machine. What it knows of machines stays."""
    _answer(at_desk(lambda desk: desk.remove_sky()), as_json)
