"""``rhdesk audit``: what was done with secrets, by whom; and whether the record of it is whole."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, DamagedStore
from rhdesk.models import AuditHead, Finding


@click.group(invoke_without_command=True)
@click.option("--limit", default=50, show_default=True, help="So many rows, newest first.")
@click.option("--matching", default="", help="Words that a row holds: secret.read openai.")
@as_json
@click.pass_context
def audit(context: click.Context, limit: int, matching: str, as_json: bool) -> None:
    """What was done with your secrets, newest first; never a value."""
    if context.invoked_subcommand is not None:
        return
    found = at_desk(lambda desk: desk.audited(limit=limit, matching=matching))
    rows = [(str(r.number), output.ago(r.at), r.who, r.action, r.about, r.note) for r in found]
    head = ("ROW", "WHEN", "WHO", "DID", "ON", "")
    answer(found, as_json, lambda: output.print_table(head, rows))


@audit.command("team")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@click.option("--matching", default="", help="Words that a row holds: grant bob.")
@as_json
def of_team(limit: int, matching: str, as_json: bool) -> None:
    """What was done in the store, newest first; for who is admin of all of it."""
    found = at_desk(lambda desk: desk.team_audited(limit=limit, matching=matching))
    rows = [(str(r.number), output.ago(r.at), r.who, r.action, r.about, r.note) for r in found]
    head = ("ROW", "WHEN", "WHO", "DID", "ON", "")
    answer(found, as_json, lambda: output.print_table(head, rows))


@audit.command()
@click.argument("file")
@as_json
def download(file: str, as_json: bool) -> None:
    """Append to FILE what the store's audit has and it lacks; what is in it is verified."""
    last = at_desk(lambda desk: desk.download_audit(file))

    def show() -> None:
        output.note(f"{last.number} rows are in {file}; keep this elsewhere:")
        click.echo(f"{last.number}:{last.hash}")

    answer(last, as_json, show)


@audit.command()
@click.argument("file", default="")
@click.option(
    "--head", "heads", multiple=True, metavar="ROW:HASH", help="A row somebody kept elsewhere."
)
@as_json
def verify(file: str, heads: tuple[str, ...], as_json: bool) -> None:
    """Look at every row, without a server; ends with 14 when one is not what was written.

    Of this desk's own audit, or of the store's in FILE, as `rhdesk audit download` wrote it.

    What is printed at the end is worth keeping elsewhere: with it, a file that was rewritten to its
    end is noticed too.
    """
    kept = [_head(text) for text in heads]
    flaws, last = at_desk(lambda desk: _verified(desk, file, kept))

    def show() -> None:
        for flaw in flaws:
            click.echo(flaw.what)
        if last is not None:
            output.note(f"{last.number} rows, all as they were written; keep this elsewhere:")
            click.echo(f"{last.number}:{last.hash}")

    answer({"flaws": flaws, "head": last}, as_json, show)
    if flaws:
        raise click.exceptions.Exit(DamagedStore.exit_code)


async def _verified(
    desk: AsyncDesk, file: str, kept: Sequence[AuditHead]
) -> tuple[list[Finding], AuditHead | None]:
    if file:
        found, last = await desk.verify_audit_file(file, kept)
        return found, None if found else last
    found = await desk.verify_audit(kept)
    return found, None if found else await desk.audit_head()


def _head(text: str) -> AuditHead:
    number, _, digest = text.partition(":")
    if not number.isdigit() or len(digest) != 64:
        raise BadInput(
            f"{text!r} is no row of the audit; one looks as `rhdesk audit verify` prints it"
        )
    return AuditHead(number=int(number), hash=digest)
