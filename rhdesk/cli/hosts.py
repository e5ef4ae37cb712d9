"""``rhdesk hosts | add``."""

from __future__ import annotations

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk
from rhdesk.desk import AsyncDesk


@click.command()
@as_json
def hosts(as_json: bool) -> None:
    """Hosts that ~/.ssh/config names, and which of them are clusters already."""

    async def work(desk: AsyncDesk) -> list[dict[str, object]]:
        known = await desk.cluster_names()
        return [{"host": host, "added": host in known} for host in await desk.hosts()]

    found = at_desk(work)
    rows = [(str(each["host"]), "a cluster" if each["added"] else "-") for each in found]
    answer(found, as_json, lambda: output.print_table(("HOST", "ADDED"), rows))


@click.command()
@click.argument("host")
@click.option("--name", default="", help="What the cluster is called; by default as the host.")
@as_json
def add(host: str, name: str, as_json: bool) -> None:
    """Add HOST as a cluster: an alias of ~/.ssh/config, ada@10.0.0.3, ada@gpubox:2222."""
    called = at_desk(lambda desk: desk.add_host(host, name=name))
    answer(
        {"name": called}, as_json, lambda: output.note(f"{called} is added: rhdesk up {called}")
    )
