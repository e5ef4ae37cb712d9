"""``rhdesk group``: groups of people, and what is meant in their folders where nothing is said."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rhdesk.cli import output
from rhdesk.cli.access import LEVELS
from rhdesk.cli.running import answer, as_json, as_name, at_desk
from rhdesk.models import Group, Record


@click.group()
def group() -> None:
    """Groups of people, and defaults of folders."""


@group.command("ls")
@as_json
def list_groups(as_json: bool) -> None:
    """Groups, and who is in them."""
    found = at_desk(lambda desk: desk.groups())
    rows = [(each.name, " ".join(each.members)) for each in found]
    answer(found, as_json, lambda: output.print_table(("GROUP", "MEMBERS"), rows))


@group.command()
@click.argument("name")
@click.argument("members", nargs=-1)
@click.option("--level", default="write", show_default=True, type=LEVELS, help="In /NAME.")
@as_json
def new(name: str, members: Sequence[str], level: str, as_json: bool) -> None:
    """Make group NAME, with folder /NAME, of which you are admin; MEMBERS are put into it."""
    made = at_desk(lambda desk: desk.make_group(name, members, level=level))
    _answer(made, as_json)


@group.command()
@click.argument("name")
@click.argument("members", nargs=-1, required=True)
@as_json
def put(name: str, members: Sequence[str], as_json: bool) -> None:
    """Put MEMBERS, people or groups, into group NAME."""
    _answer(at_desk(lambda desk: desk.change_group(name, put=members)), as_json)


@group.command()
@click.argument("name")
@click.argument("members", nargs=-1, required=True)
@as_json
def take(name: str, members: Sequence[str], as_json: bool) -> None:
    """Take MEMBERS out of group NAME."""
    _answer(at_desk(lambda desk: desk.change_group(name, take=members)), as_json)


@group.command()
@click.argument("name")
@click.argument("into", default="")
@as_json
def move(name: str, into: str, as_json: bool) -> None:
    """Put group NAME into group INTO, and out of those it was in; without INTO, into none."""
    _answer(at_desk(lambda desk: desk.move_group(name, into)), as_json)


@group.command("rm")
@click.argument("name")
@as_json
def remove(name: str, as_json: bool) -> None:
    """End group NAME and what it was granted; what its folder holds stays."""
    at_desk(lambda desk: desk.drop_group(name))
    answer({"dropped": name}, as_json, lambda: output.note(f"there is no group {name} now"))


@group.command()
@click.argument("folder", default="@", callback=as_name)
@as_json
def defaults(folder: str, as_json: bool) -> None:
    """What is meant in FOLDER where nothing is said, and which folder says it."""
    found = at_desk(lambda desk: desk.folder_defaults(folder))
    rows = [(each.key, str(each.value), each.folder) for each in found]
    answer(found, as_json, lambda: output.print_table(("DEFAULT", "IS", "SAID BY"), rows))


@group.command("set")
@click.argument("folder", callback=as_name)
@click.argument("key")
@click.argument("value")
@as_json
def set_default(folder: str, key: str, value: str, as_json: bool) -> None:
    """Have KEY be VALUE in FOLDER and below: provider, region, instance_type, env, budget ..."""
    _saved(at_desk(lambda desk: desk.set_default(folder, key, value)), as_json)


@group.command()
@click.argument("folder", callback=as_name)
@click.argument("key")
@as_json
def unset(folder: str, key: str, as_json: bool) -> None:
    """Have FOLDER say nothing of KEY any more."""
    _saved(at_desk(lambda desk: desk.set_default(folder, key, None)), as_json)


def _answer(made: Group, as_json: bool) -> None:
    told = f"{made.name}: {' '.join(made.members) or 'nobody is in it'}"
    answer(made, as_json, lambda: output.print_text(told))


def _saved(record: Record, as_json: bool) -> None:
    answer(record, as_json, lambda: output.note(f"{record.name} is saved, {record.sync}"))
