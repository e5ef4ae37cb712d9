"""``rhdesk fsck | rebuild | exchange``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk
from rhdesk.models import Exchanged, Finding


@click.command()
@click.option("--mend", is_flag=True, help="Mend what can be mended.")
@as_json
@click.pass_context
def fsck(ctx: click.Context, mend: bool, as_json: bool) -> None:
    """Look at names, their versions, the index, the store's replica, runs, results and code.

    Exits with 1 if something is wrong and was not mended.
    """
    found = at_desk(lambda desk: desk.fsck(mend=mend))
    answer(found, as_json, lambda: _show(found))
    if not all(finding.is_mended for finding in found):
        ctx.exit(1)


@click.command()
@as_json
def rebuild(as_json: bool) -> None:
    """Make the index of names anew, from git and the files."""
    done = at_desk(lambda desk: desk.rebuild())
    answer(done, as_json, lambda: _show(done))


@click.command()
@click.argument("remote", default="origin")
@as_json
def exchange(remote: str, as_json: bool) -> None:
    """Fetch the names of the git remote REMOTE, merge them with ours, and push.

    REMOTE is a name in the git configuration, a URL, or a folder. Where both sides changed the
    same field ours stands, and theirs is a version that `rhdesk rollback` takes.
    """
    done = at_desk(lambda desk: desk.exchange(remote))
    answer(done, as_json, lambda: _show_exchange(done))


def _show_exchange(done: Exchanged) -> None:
    for name in done.brought:
        output.print_text(f"{output.paint('↓', 'green')} {name}")
    for each in done.conflicts:
        where = f": {', '.join(each.fields)}" if each.fields else f" ({each.why})"
        output.print_text(f"{output.paint('!', 'yellow')} {each.name} was changed by both{where}")
        if each.kept_as:
            output.print_text(f"    theirs is kept as {each.kept_as}")
        elif each.theirs and each.ours:
            output.print_text(f"    take theirs: rhdesk rollback {each.name}@{each.theirs[:12]}")
        elif each.ours:
            output.print_text(f"    theirs deleted it: rhdesk delete {each.name}")
        else:
            output.print_text(f"    we had deleted it: rhdesk delete {each.name}")
    versions = "1 version" if done.sent == 1 else f"{done.sent:,} versions"
    names = "1 name" if len(done.brought) == 1 else f"{len(done.brought):,} names"
    output.note(f"{done.remote}: {names} changed here, {versions} sent")


def _show(found: Sequence[Finding]) -> None:
    for finding in found:
        mark = output.paint("✓", "green") if finding.is_mended else output.paint("✗", "red")
        click.echo(f"{mark} ", nl=False)
        output.print_text(f"{finding.store:<8}{finding.what}")
        if finding.remedy:
            output.print_text(f"          mend: {finding.remedy}")
    if not found:
        output.note("nothing is wrong")
