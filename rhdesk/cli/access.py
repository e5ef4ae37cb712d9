"""``rhdesk access``: who may what in the store, and why."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, as_name, at_desk
from rhdesk.errors import Refused
from rhdesk.models import Access, Granted, Way

LEVELS = click.Choice(["none", "read", "call", "proxy", "write", "admin"])


@click.group()
def access() -> None:
    """Who may what in the store, and why."""


@access.command()
@click.argument("principal")
@click.argument("action")
@click.argument("name", callback=as_name)
@click.option("--offline", is_flag=True, help="Answer from what the store told last.")
@as_json
def why(principal: str, action: str, name: str, offline: bool, as_json: bool) -> None:
    """Whether PRINCIPAL, a person or group, may do ACTION with NAME, and the chain that says so.

    ACTION is a level (read, call, write, admin) or a verb (save, delete, share, promote ...). Ends
    with 0 if they may, with 6 if not.
    """
    told = at_desk(lambda desk: desk.access_why(principal, action, name, offline=offline))
    answer(told, as_json, lambda: output.print_text("\n".join(in_words(told))))
    if not told.allowed:
        raise click.exceptions.Exit(Refused.exit_code)


@access.command()
@click.argument("principal", default="")
@click.option("--offline", is_flag=True, help="Answer from what the store told last.")
@as_json
def rights(principal: str, offline: bool, as_json: bool) -> None:
    """What PRINCIPAL, by default you, may do with each name of the store, and through what."""
    found = at_desk(lambda desk: desk.rights(principal, offline=offline))
    rows = [
        (a.name, a.has, " > ".join(a.ways[0].through) if a.ways else "-",
         a.ways[0].folder if a.ways else "")
        for a in found
    ]  # fmt: skip
    answer(found, as_json, lambda: output.print_table(("NAME", "MAY", "THROUGH", "IN"), rows))


@access.command("ls")
@click.argument("folder", default="", callback=as_name)
@as_json
def list_grants(folder: str, as_json: bool) -> None:
    """Who was granted what, in FOLDER and around it; without, all that you may know."""
    found = at_desk(lambda desk: desk.grants(folder))
    answer(found, as_json, lambda: _show(found))


@access.command()
@click.argument("folder", callback=as_name)
@click.argument("principals", nargs=-1, required=True)
@click.option("--level", default="read", show_default=True, type=LEVELS)
@click.option("--days", default=0.0, type=click.FloatRange(0, 3650), help="It ends after so many.")
@as_json
def grant(folder: str, principals: Sequence[str], level: str, days: float, as_json: bool) -> None:
    """Let PRINCIPALS, people or groups, do something in FOLDER and below; none takes it back."""
    found = at_desk(lambda desk: desk.grant_access(folder, principals, level=level, days=days))
    answer(found, as_json, lambda: _show(found))


@access.command()
@click.argument("old", callback=as_name)
@click.argument("new", callback=as_name)
@as_json
def move(old: str, new: str, as_json: bool) -> None:
    """Move folder OLD of the store to NEW, with all its names, grants and history."""
    names = at_desk(lambda desk: desk.move_folder(old, new))
    answer({"names": names}, as_json, lambda: output.note(f"{names} names are in {new} now"))


def in_words(told: Access) -> list[str]:
    """The chain, a line a step."""
    may = "may" if told.allowed else "may not"
    first = f"{told.principal} {may} {told.action} {told.name} ({told.needs}; has {told.has})"
    lines = [first, *(f"  {_way(way)}" for way in told.ways)]
    if not told.ways:
        lines.append("  nothing was granted there, to them or to a group they are in")
    if told.remedy:
        lines.append(f"  {told.remedy}")
    if told.as_of:
        lines.append(f"  as the store told {output.ago(told.as_of)} ago")
    return lines


def _way(way: Way) -> str:
    steps = [f"is in {group}" for group in way.through[1:]]
    ends = f", until {way.until:%Y-%m-%d %H:%M} UTC" if way.until else ""
    held = f"was granted {way.level} in {way.folder}{ends}"
    return f"{way.through[0]} {', which '.join([*steps, held])}"


def _show(found: Sequence[Granted]) -> None:
    rows = [
        (g.folder, g.principal, g.level, f"until {g.until:%Y-%m-%d %H:%M}" if g.until else "")
        for g in found
    ]
    output.print_table(("FOLDER", "WHO", "MAY", ""), rows)
