"""``rhdesk history | diff | rollback``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, as_name, at_desk
from rhdesk.desk import AsyncDesk
from rhdesk.foreign import clean
from rhdesk.models import Diff, FieldChange, FileChange, Name, Record, Version

_SHORT = 10
_SHORT_RUN = 10


@click.command()
@click.argument("name", callback=as_name)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@as_json
def history(name: str, limit: int, as_json: bool) -> None:
    """The versions of NAME, newest first."""
    versions = at_desk(lambda desk: desk.history(name, limit=limit))
    head = ("VERSION", "SAVED", "BY", "RUN", "WHAT")
    answer(versions, as_json, lambda: output.print_table(head, map(_row, versions)))


@click.command()
@click.argument("before", metavar="NAME[@VERSION]", callback=as_name)
@click.argument("after", metavar="[NAME[@VERSION]]", default="", callback=as_name)
@as_json
def diff(before: str, after: str, as_json: bool) -> None:
    """What differs between two versions.

    With one name the newest is compared with the version said, or with the one before it.
    """
    found = at_desk(lambda desk: desk.diff(before, after))
    answer(found, as_json, lambda: _print_diff(found))


@click.command()
@click.argument("name", metavar="NAME@VERSION", callback=as_name)
@as_json
def rollback(name: str, as_json: bool) -> None:
    """Make an earlier version of NAME the newest, also where it is live.

    It becomes a version of its own, and a deleted name is there again. VERSION is the beginning
    of one, as `rhdesk history` lists them, or a time: ~/train@{2026-10-01}.
    """

    async def work(desk: AsyncDesk) -> tuple[Version | None, Record]:
        bare = str(Name.parse(name).without_version)
        had = (await desk.history(bare, limit=1))[:1] if "@" in name else []
        record = await desk.rollback(name)
        if not Name.parse(record.name).is_local:
            await desk.nudge()
        return (had[0] if had else None), record

    was, record = at_desk(work)
    answer(record, as_json, lambda: _told(was, record))


def live_notes(record: Record) -> Iterator[str]:
    """Where a version that was just saved is live, and where it could not be, a line for each."""
    for live in record.live:
        where = clean(f"{live.cluster}, env {live.env}")
        instance = f"; its instance was {live.instance}" if live.instance else ""
        why = f": {clean(live.why)}" if live.why else ""
        if live.is_current:
            yield f"live on {where} after {live.took_s:.1f} s{instance}{why}"
        else:
            again = f"{record.name}@{record.version[:_SHORT]}"
            yield f"not live on {where}{why}; to try again: rhdesk rollback {again}"


def _told(was: Version | None, record: Record) -> None:
    if was is not None and was.version == record.version and not was.deleted:
        output.note(f"{record.name} is {record.version[:_SHORT]} already")
    else:
        output.note(f"{record.name} is {record.version[:_SHORT]} again, as a new version")
    for line in live_notes(record):
        output.note(line)
    if was is None or was.version == record.version:
        return
    if was.deleted:
        output.note(f"it was deleted; undo: rhdesk delete {record.name}")
    else:
        at = was.version[:_SHORT]
        output.note(f"it was {at}; undo: rhdesk rollback {record.name}@{at}")


def _row(version: Version) -> tuple[str, ...]:
    mark = version.version[:_SHORT] or "-"
    run = version.run_id[-_SHORT_RUN:] or "-"
    return (mark, output.ago(version.saved_at), version.author, run, version.summary)


def _print_diff(found: Diff) -> None:
    output.note(f"{clean(found.before)} -> {clean(found.after)}")
    if found.is_empty:
        output.note("nothing differs")
    for field in found.fields:
        for line in _field_lines(field):
            click.echo(line)
    for file in found.files:
        for line in _file_lines(file):
            click.echo(line)


def _field_lines(field: FieldChange) -> Iterator[str]:
    yield output.paint(clean(field.pointer), "bold")
    if field.kind != "added":
        yield output.paint(f"- {_spelled(field.before)}", "red")
    if field.kind != "removed":
        yield output.paint(f"+ {_spelled(field.after)}", "green")


def _file_lines(file: FileChange) -> Iterator[str]:
    if not file.lines:
        yield output.paint(f"{file.path} {file.kind}", "bold")
    for line in file.lines:
        colour = {"+": "green", "-": "red", "@": "dim"}.get(line[:1], "")
        if line.startswith(("+++", "---")):
            colour = "bold"
        yield output.paint(line, colour) if colour else line


def _spelled(value: Any) -> str:
    return clean(value if isinstance(value, str) else msgspec.json.encode(value).decode())
