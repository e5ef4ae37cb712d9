"""``rhdesk token``: what shows the store who asks; yours, and less of them for others."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, as_name, at_desk
from rhdesk.models import TokenTold


@click.group()
def token() -> None:
    """Your tokens at the store."""


@token.command("ls")
@as_json
def list_tokens(as_json: bool) -> None:
    """Your tokens, newest first; not what they are."""
    found = at_desk(lambda desk: desk.tokens())
    rows = [
        (t.id, t.scope, t.folder, output.ago(t.created_at), output.ago(t.used_at), _state(t))
        for t in found
    ]
    head = ("TOKEN", "FOR", "IN", "MADE", "USED", "")
    answer(found, as_json, lambda: output.print_table(head, rows))


@token.command()
@click.option("--scope", default="read", show_default=True,
              type=click.Choice(["read", "write", "admin"]))  # fmt: skip
@click.option("--folder", default="", callback=as_name, help="Good there and below only.")
@click.option("--days", default=0.0, type=click.FloatRange(0, 3650), help="0: as long as yours.")
@as_json
def narrow(scope: str, folder: str, days: float, as_json: bool) -> None:
    """A token for less than your own, to hand on; it is shown once, and ends with yours."""
    made = at_desk(lambda desk: desk.narrow_token(scope=scope, folder=folder, days=days))

    def show() -> None:
        output.note("this token is shown once; it is asked for by: rhdesk login URL")
        click.echo(made.reveal())

    answer({"token": made.reveal()} if as_json else None, as_json, show)


@token.command()
@click.option("--overlap", default=3600.0, show_default=True, type=click.FloatRange(0, 86400),
              help="Seconds the old one is still good.")  # fmt: skip
@as_json
def rotate(overlap: float, as_json: bool) -> None:
    """Have this desk speak with a new token; the old one ends after --overlap seconds."""
    at_desk(lambda desk: desk.rotate_token(overlap_s=overlap))
    told = f"this desk has a new token; the old one ends in {overlap:g} s"
    answer({"overlap_s": overlap}, as_json, lambda: output.note(told))


@token.command()
@click.argument("token_id", metavar="ID")
@as_json
def revoke(token_id: str, as_json: bool) -> None:
    """End a token of yours at once, and those narrowed from it."""
    at_desk(lambda desk: desk.end_token(token_id))
    answer({"revoked": token_id}, as_json, lambda: output.note(f"{token_id} opens nothing now"))


def _state(told: TokenTold) -> str:
    if told.revoked_at:
        return "revoked"
    if told.expires_at <= datetime.now(UTC):
        return "expired"
    yours = ", this desk's" if told.is_yours else ""
    return f"until {told.expires_at:%Y-%m-%d}{yours}"
