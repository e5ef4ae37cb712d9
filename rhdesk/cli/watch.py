"""``rhdesk watch``."""

from __future__ import annotations

from contextlib import aclosing

import click

from rhdesk.cli import output
from rhdesk.cli.running import as_json, at_desk
from rhdesk.desk import AsyncDesk
from rhdesk.foreign import clean, clean_block
from rhdesk.models import Synced


@click.command()
@click.argument("folder", default=".")
@click.option("--on", default="here", help="Cluster.")
@click.option("--env", default="", help="Environment on the cluster; base unless said.")
@click.option(
    "targets",
    "--target",
    multiple=True,
    help="app.py:train, or a saved name; every live name of the folder unless said.",
)
@click.option(
    "--files", is_flag=True, help="Every file follows, to where runs with this working_dir stand."
)
@as_json
def watch(
    folder: str, on: str, env: str, targets: tuple[str, ...], files: bool, as_json: bool
) -> None:
    """Have what is saved in FOLDER be what the next call uses, until Ctrl-C."""

    async def work(desk: AsyncDesk) -> None:
        noted = ""
        async with aclosing(
            desk.watch(folder, on=on, env=env, targets=targets, files=files)
        ) as syncs:
            async for synced in syncs:
                (watched,) = await desk.watched()
                if as_json:
                    output.print_event("synced", synced)
                    continue
                if watched.why and watched.why != noted:
                    output.note(noted := watched.why)
                _print(synced)

    at_desk(work)


def _print(synced: Synced) -> None:
    what = ", ".join(synced.changed) or synced.folder
    if synced.error:
        output.note(f"{clean(what)}: the code on {synced.cluster} stays as it is")
        output.note(clean_block(synced.error))
    else:
        took_ms = synced.took_s * 1000
        click.echo(f"{clean(what)} is live on {synced.cluster}, {took_ms:.0f} ms")
