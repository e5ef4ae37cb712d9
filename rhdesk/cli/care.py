"""``rhdesk fsck | rebuild``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk
from rhdesk.models import Finding


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


def _show(found: Sequence[Finding]) -> None:
    for finding in found:
        mark = output.paint("✓", "green") if finding.is_mended else output.paint("✗", "red")
        click.echo(f"{mark} ", nl=False)
        output.print_text(f"{finding.store:<8}{finding.what}")
        if finding.remedy:
            output.print_text(f"          mend: {finding.remedy}")
    if not found:
        output.note("nothing is wrong")
