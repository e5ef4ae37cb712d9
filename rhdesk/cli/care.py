"""``rhdesk fsck | rebuild | import | exchange``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk
from rhdesk.models import Exchanged, Finding, Imported


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


@click.command("import")
@click.argument("folder", default=".")
@click.option("--dry-run", is_flag=True, help="Only tell what would come over.")
@as_json
def import_(folder: str, dry_run: bool, as_json: bool) -> None:
    """Bring over the project of Runhouse v0.0.12 in FOLDER: its rh folder and ~/.rh/config.yaml.

    What does not come over is listed, and stays where it is; so do secrets in clear text.
    """
    done = at_desk(lambda desk: desk.import_project(folder, dry_run=dry_run))
    answer(done, as_json, lambda: _show_import(done))


def _show_import(done: Imported) -> None:
    rows = [(name, kind) for name, kind in done.names.items()]
    if rows:
        output.print_table(("NAME", "TYPE"), rows)
    for key, what in done.settings.items():
        output.print_text(f"{output.paint('✓', 'green')} {key}: {what}")
    for what in done.not_understood:
        output.print_text(f"{output.paint('-', 'dim')} {what}")
    for what in done.secrets:
        output.print_text(f"{output.paint('!', 'red')} {what}")
    verb = "would come" if done.is_dry_run else "came"
    kept = f", {len(done.kept):,} were here already" if done.kept else ""
    names = "1 name" if len(rows) == 1 else f"{len(rows):,} names"
    output.note(f"{names} {verb} over from {done.folder}{kept}")


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
