"""``rhdesk data``: files and folders on this machine, clusters, hosts and buckets."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import click

from rhdesk.cli import output, tables
from rhdesk.cli.running import answer, as_json, as_name, at_desk
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput
from rhdesk.models import Entry, Step, TableInfo


@click.group()
def data() -> None:
    """Files of any system: data/x, gpubox:data/x, sftp://host/x, s3://bucket/x."""


@data.command()
@click.argument("place", default=".")
@as_json
def ls(place: str, as_json: bool) -> None:
    """What is in the folder PLACE."""
    found = at_desk(lambda desk: desk.list_data(place))
    answer(found, as_json, lambda: _show(found))


@data.command()
@click.argument("place")
@as_json
def info(place: str, as_json: bool) -> None:
    """What is at PLACE: of a file its SHA-256 too, of a table its rows and columns."""

    async def look(desk: AsyncDesk) -> tuple[Entry | None, str, TableInfo | None]:
        from rhdesk.data.tables import is_table
        from rhdesk.data.warehouse import is_warehouse

        if is_warehouse(place):
            return None, "", await desk.table_info(place)
        entry = await desk.data_entry(place)
        digest = await desk.hash_data(place) if entry.kind == "file" else ""
        if is_table(place):
            return entry, digest, await desk.table_info(place)
        try:
            return entry, digest, await desk.table_info(place)
        except BadInput:  # no table
            return entry, digest, None

    entry, digest, table = at_desk(look)

    def show() -> None:
        if entry is not None:
            _show([entry])
        if digest:
            click.echo(f"sha256 {digest}")
        if table is not None:
            tables.show_info(table)

    answer({"entry": entry, "sha256": digest, "table": table}, as_json, show)


@data.command()
@click.argument("place")
@click.option("--limit", type=click.IntRange(min=0), help="So many bytes at most.")
@as_json
def cat(place: str, limit: int | None, as_json: bool) -> None:
    """What the file PLACE holds: its bytes in a pipe, cleaned for a terminal."""
    found = at_desk(lambda desk: desk.read_data(place, limit=-1 if limit is None else limit))

    def show() -> None:
        if sys.stdout.isatty():
            output.print_text(found.decode("utf-8", "replace"))
        else:
            sys.stdout.buffer.write(found)

    answer(found, as_json, show)


@data.command()
@click.argument("place")
@as_json
def mkdir(place: str, as_json: bool) -> None:
    """Make the folder PLACE and those above it."""
    at_desk(lambda desk: desk.make_data_folder(place))
    answer({"made": place}, as_json, lambda: output.note(f"{place} is there"))


@data.command()
@click.argument("source")
@click.argument("target")
@as_json
def cp(source: str, target: str, as_json: bool) -> None:
    """Copy SOURCE to TARGET; run again after a break, it goes on where it was.

    All in a folder goes into TARGET; end TARGET with / to have the folder itself in it.
    """
    _go(lambda desk: desk.copy_data(source, target), as_json)


@data.command()
@click.argument("source")
@click.argument("target")
@as_json
def mv(source: str, target: str, as_json: bool) -> None:
    """The same as cp, and SOURCE is removed once everything has arrived."""
    _go(lambda desk: desk.move_data(source, target), as_json)


@data.command()
@click.argument("place")
@click.option("-r", "--recursive", is_flag=True, help="A folder, with all in it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def rm(place: str, recursive: bool, yes: bool, as_json: bool) -> None:
    """Remove PLACE."""
    if recursive and not yes:
        if as_json or not sys.stdin.isatty():
            raise BadInput("nobody is there to be asked; say --yes to remove a folder")
        click.confirm(f"remove {place} and all in it?", abort=True, err=True)
    at_desk(lambda desk: desk.remove_data(place, recursive=recursive))
    answer({"removed": place}, as_json, lambda: output.note(f"{place} is gone"))


@data.command()
@click.argument("name", callback=as_name)
@as_json
def check(name: str, as_json: bool) -> None:
    """Whether saved NAME still holds the files it held when it was saved."""
    found = at_desk(lambda desk: desk.check_data(name))

    def show() -> None:
        if found.is_same:
            output.note(f"{found.place} is as it was: {found.now.files} files")
            return
        output.print_table(("CHANGE", "FILE"), [(each.kind, each.path) for each in found.changes])
        output.note(f"{found.place} is not what {found.name} was saved with")

    answer(found, as_json, show)
    if not found.is_same:
        raise click.exceptions.Exit(1)


def _go(move: Callable[[AsyncDesk], AsyncGenerator[Step]], as_json: bool) -> None:
    async def work(desk: AsyncDesk) -> str:
        detail = ""
        async with aclosing(move(desk)) as steps:
            async for step in steps:
                detail = step.detail
                if as_json:
                    output.print_event("step", step)
                else:
                    output.print_step(step)
        return detail

    done = at_desk(work)
    if as_json:
        output.print_end(done)


def _show(entries: list[Entry]) -> None:
    rows = [
        (each.path, each.kind, f"{each.size_bytes:,}", output.ago(each.modified_at))
        for each in entries
    ]
    output.print_table(("PATH", "KIND", "BYTES", "CHANGED"), rows)


for command in (
    tables.schema,
    tables.head,
    tables.sql,
    tables.write,
    tables.count,
    tables.profile,
    tables.export,
):
    data.add_command(command)
