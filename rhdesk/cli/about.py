"""``rhdesk exit-codes | completion | version``."""

from __future__ import annotations

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json
from rhdesk.errors import error_classes


@click.command("exit-codes")
@as_json
def exit_codes(as_json: bool) -> None:
    """What each exit code means."""
    rows: list[tuple[int, str, str]] = [(0, "ok", "It worked.")]
    rows += [
        (cls.exit_code, code, (cls.__doc__ or "").splitlines()[0])
        for code, cls in error_classes().items()
    ]
    rows += [
        (70, "crash", "A fault of rhdesk; the details are in a file."),
        (130, "interrupted", "Ctrl-C."),
    ]
    rows.sort(key=lambda row: row[0])
    data = [{"exit_code": code, "code": word, "meaning": text} for code, word, text in rows]
    head = ("EXIT", "CODE", "MEANING")
    answer(data, as_json, lambda: output.print_table(head, rows))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@as_json
def completion(shell: str, as_json: bool) -> None:
    """The line that gives your SHELL completion."""
    lines = {
        "bash": 'eval "$(_RHDESK_COMPLETE=bash_source rhdesk)"',
        "zsh": 'eval "$(_RHDESK_COMPLETE=zsh_source rhdesk)"',
        "fish": "_RHDESK_COMPLETE=fish_source rhdesk | source",
    }
    answer({"line": lines[shell]}, as_json, lambda: click.echo(lines[shell]))


@click.command()
@as_json
def version(as_json: bool) -> None:
    """Which rhdesk this is."""
    from importlib.metadata import version as installed  # deferred: slow to import

    found = installed("rhdesk")
    answer({"version": found}, as_json, lambda: click.echo(found))
