"""``rhdesk watch``."""

from __future__ import annotations

from contextlib import aclosing

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk
from rhdesk.desk import AsyncDesk
from rhdesk.foreign import clean, clean_block
from rhdesk.models import DaemonState, Synced, Watched


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
@click.option("--background", is_flag=True, help="The daemon goes on with it, after this ends.")
@click.option("--stop", is_flag=True, help="End what the daemon watches of FOLDER.")
@click.option("--list", "listed", is_flag=True, help="What the daemon watches, and how it goes.")
@as_json
def watch(
    folder: str,
    on: str,
    env: str,
    targets: tuple[str, ...],
    files: bool,
    background: bool,
    stop: bool,
    listed: bool,
    as_json: bool,
) -> None:
    """Have what is saved in FOLDER be what the next call uses, until Ctrl-C."""
    if sum((background, stop, listed)) > 1:
        raise click.UsageError("--background, --stop and --list do not go together")
    if listed:
        found = at_desk(lambda desk: desk.watched())
        answer(found, as_json, lambda: _print_all(found))
    elif stop:
        ended = at_desk(lambda desk: desk.drop_watch(folder, on=on))
        answer(ended, as_json, lambda: output.note(f"{clean(ended.folder)} is not watched"))
    elif background:
        _in_background(folder, on, env, targets, files, as_json)
    else:
        _until_interrupted(folder, on, env, targets, files, as_json)


def _in_background(
    folder: str, on: str, env: str, targets: tuple[str, ...], files: bool, as_json: bool
) -> None:
    async def work(desk: AsyncDesk) -> tuple[Watched, DaemonState]:
        kept = await desk.keep_watch(folder, on=on, env=env, targets=targets, files=files)
        return kept, await desk.daemon()

    kept, daemon = at_desk(work)
    answer(kept, as_json, lambda: output.note(f"the daemon watches {clean(kept.folder)}"))
    if daemon.status != "running":
        output.note("it does not run yet: rhdesk daemon start")


def _until_interrupted(
    folder: str, on: str, env: str, targets: tuple[str, ...], files: bool, as_json: bool
) -> None:
    async def work(desk: AsyncDesk) -> None:
        noted = ""
        async with aclosing(
            desk.watch(folder, on=on, env=env, targets=targets, files=files)
        ) as syncs:
            async for synced in syncs:
                watched = next(each for each in await desk.watched() if not each.is_kept)
                if as_json:
                    output.print_event("synced", synced)
                    continue
                if watched.why and watched.why != noted:
                    output.note(noted := watched.why)
                _print(synced)

    at_desk(work)


def _print_all(found: list[Watched]) -> None:
    head = ("FOLDER", "TO", "ENV", "SAVES", "LAST", "")
    rows = [
        (
            w.folder,
            w.cluster,
            w.env,
            max(w.syncs - 1, 0),
            output.ago(w.last.at) if w.last else "-",
            (w.last.error if w.last else "") or "live",
        )
        for w in found
    ]
    output.print_table(head, rows)


def _print(synced: Synced) -> None:
    what = ", ".join(synced.changed) or synced.folder
    if synced.error:
        output.note(f"{clean(what)}: the code on {synced.cluster} stays as it is")
        output.note(clean_block(synced.error))
    else:
        took_ms = synced.took_s * 1000
        click.echo(f"{clean(what)} is live on {synced.cluster}, {took_ms:.0f} ms")
