"""``rhdesk sync``: names with the store; ``sync push | pull | plan | why``: folders with a cluster."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk, on_cluster
from rhdesk.cli.store import show_state
from rhdesk.desk import AsyncDesk
from rhdesk.foreign import clean
from rhdesk.models import CodePlan, FileVerdict, Pulled, Step, Synced

T = TypeVar("T", Synced, Pulled)
_REASONS = {
    "included": "no rule ignores it",
    "ignored": "ignored",
    "secret": "held back: it looks like a secret",
    "large": "held back: it is larger than the setting largest_mb",
    "link out": "held back: a link that leads out of the folder",
    "special": "held back: no regular file",
    "unreadable": "held back: it cannot be read",
    "name": "held back: its name is no text, so another machine could not name it",
}
_HINT = "; to send it all the same, add a line !PATH to .rhdeskignore"
_in_folder = click.option("--folder", default=".", show_default=True, help="The folder here.")


@click.group(invoke_without_command=True)
@click.option(
    "--wait", "timeout_s", default=30.0, show_default=True, type=click.FloatRange(0, 86400)
)
@as_json
@click.pass_context
def sync(ctx: click.Context, timeout_s: float, as_json: bool) -> None:
    """Send what waits and read what is new; takes --wait seconds at most.

    With a command: a folder and its counterpart on a cluster.
    """
    if ctx.invoked_subcommand is not None:
        return
    state = at_desk(lambda desk: desk.sync(timeout_s=timeout_s))
    answer(state, as_json, lambda: show_state(state))


@sync.command()
@click.argument("folder", default=".")
@as_json
def plan(folder: str, as_json: bool) -> None:
    """What of FOLDER travels to a cluster, and what is held back; nothing is sent."""
    found = at_desk(lambda desk: desk.plan_sync(folder))
    answer(found, as_json, lambda: _show_plan(found))


@sync.command()
@click.argument("path")
@_in_folder
@as_json
def why(path: str, folder: str, as_json: bool) -> None:
    """Whether PATH travels to a cluster, and the rule that says so."""
    found = at_desk(lambda desk: desk.why_sync(path, folder=folder))
    answer(found, as_json, lambda: click.echo(_told(found)))


@sync.command()
@click.argument("folder", default=".")
@on_cluster
@as_json
def push(folder: str, on: str, as_json: bool) -> None:
    """Have FOLDER be on a cluster as it is here; only what is missing there travels."""
    done = _show(lambda desk: desk.push(folder, on=on), as_json)
    if as_json:
        output.print_end(done)
    else:
        click.echo(
            f"{done.files} files on {clean(done.cluster)}; {done.sent_files} sent, "
            f"{done.sent_bytes / 1e6:.1f} MB, {done.took_s:.2f} s"
        )
        if done.held_back:
            output.note(f"{done.held_back} held back: rhdesk sync plan {clean(folder)}")


@sync.command()
@click.argument("path", default="")
@on_cluster
@_in_folder
@click.option("--into", default="", help="Where to put what comes; FOLDER unless said.")
@click.option("--node", default="", help="On which machine of the cluster; by default the head.")
@click.option("--overwrite", is_flag=True, help="Also over files that are here and differ.")
@click.option("--dry-run", is_flag=True, help="Only say what there is.")
@as_json
def pull(
    path: str,
    on: str,
    folder: str,
    into: str,
    node: str,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring back what runs wrote in FOLDER on a cluster: all of it, or PATH."""
    done = _show(
        lambda desk: desk.pull(
            path,
            on=on,
            folder=folder,
            into=into,
            node=node,
            overwrite=overwrite,
            dry_run=dry_run,
        ),
        as_json,
    )
    if as_json:
        output.print_end(done)
        return
    for file in done.files:
        click.echo(f"{clean(file.path)}  {file.size} bytes")
    for kept in done.kept:
        output.note(f"{clean(kept)} differs here and stays; bring it with --overwrite")
    for refused in done.refused:
        output.note(f"not brought: {clean(refused)}")
    if not (done.files or done.kept or done.refused):
        output.note("runs have written nothing there that is not here")


def _show(work: Callable[[AsyncDesk], AsyncGenerator[Step | T]], as_json: bool) -> T:
    """Show the steps of *work*; what came last."""

    async def go(desk: AsyncDesk) -> T:
        found: T | None = None
        async with aclosing(work(desk)) as events:
            async for event in events:
                if not isinstance(event, Step):
                    found = event
                elif as_json:
                    output.print_event("step", event)
                else:
                    output.print_step(event)
        assert found is not None, "it comes last"
        return found

    return at_desk(go)


def _show_plan(found: CodePlan) -> None:
    click.echo(f"{found.files} files, {found.size / 1e6:.1f} MB, tree {found.tree[:12]}")
    for file in found.largest:
        click.echo(f"  {file.size / 1e6:9.2f} MB  {clean(file.path)}")
    for file in found.held_back:
        output.note(_told(file))


def _told(found: FileVerdict) -> str:
    said = _REASONS[found.reason]
    if found.rule:
        said += f", by {clean(found.rule)} in {clean(found.file)}"
    hint = _HINT if found.reason in {"secret", "large"} else ""
    return f"{clean(found.path)} {'travels' if found.travels else 'stays'}: {said}{hint}"
