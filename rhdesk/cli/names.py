"""``rhdesk ls | show | save | rename | delete``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click

from rhdesk.cli import output
from rhdesk.cli.history import live_notes
from rhdesk.cli.lineage import dependents_note
from rhdesk.cli.running import answer, as_json, as_name, at_desk, with_method
from rhdesk.cli.store import sent, where
from rhdesk.desk import AsyncDesk
from rhdesk.errors import RhdeskError
from rhdesk.models import Name, Record


@click.command()
@click.argument("folder", default="", callback=as_name)
@click.option("--type", "resource_type", default="", help="Only functions, modules, envs ...")
@as_json
def ls(folder: str, resource_type: str, as_json: bool) -> None:
    """Names in FOLDER, `~` by default."""

    async def work(desk: AsyncDesk) -> tuple[list[Record], list[str]]:
        found = await desk.resources(folder, resource_type=resource_type)
        others = [] if found or not resource_type else await desk.resources(folder)
        return found, sorted({record.resource_type for record in others})

    found, other_types = at_desk(work)
    now = datetime.now(UTC)
    if as_json:
        output.print_data(found)
    elif other_types:
        output.note(f"nothing here is a {resource_type}; there is {', '.join(other_types)}")
    elif not found:
        output.note("nothing is saved here yet; save a function: rhdesk save app.py:train ~/train")
    elif folder[:1] in {"@", "/"}:
        head = ("NAME", "TYPE", "VERSION", "SAVED", "SYNC")
        output.print_table(head, [(*_cells(record, now), record.sync) for record in found])
    else:
        output.print_table(("NAME", "TYPE", "VERSION", "SAVED"), [_cells(r, now) for r in found])


@click.command()
@click.argument("name", metavar="NAME[.METHOD]", callback=as_name)
@click.option("--curl", is_flag=True, help="The line that calls it over HTTP.")
@click.option("--method", default="", help="Of a module.")
@as_json
def show(name: str, curl: bool, method: str, as_json: bool) -> None:
    """What is saved under NAME, or what app.py:train takes."""

    async def as_curl(desk: AsyncDesk) -> str:
        target, chosen = await with_method(desk, name, method)
        return await desk.curl(target, method=chosen)

    async def work(desk: AsyncDesk) -> dict[str, Any]:
        target, chosen = await with_method(desk, name, method)
        record = await desk.load(target) if ":" not in target else None
        if record is not None and record.resource_type not in {"function", "module"}:
            return {"record": record, "signature": None, "methods": []}
        signature = await desk.signature(target, method=chosen)
        return {"record": record, "signature": signature, "methods": await desk.methods(target)}

    if curl:
        line = at_desk(as_curl)
        answer({"curl": line}, as_json, lambda: click.echo(line))
        return
    found = at_desk(work)
    answer(found, as_json, lambda: _show(name, found))


@click.command()
@click.argument("target")
@click.argument("name", callback=as_name)
@click.option("--env", default="", help="Name of the environment it is called in.")
@click.option("--no-overwrite", is_flag=True, help="Fail if the name is taken.")
@as_json
def save(target: str, name: str, env: str, no_overwrite: bool, as_json: bool) -> None:
    """Save TARGET (app.py:train) under NAME (~/train), its code with it."""

    async def work(desk: AsyncDesk) -> Record:
        saved = await desk.save_target(target, name, env=env, overwrite=not no_overwrite)
        return await sent(desk, saved)

    record = at_desk(work)
    told = [f"{record.name} is saved as {record.version[:10]}{where(record)}"]
    answer(record, as_json, lambda: output.note("\n".join([*told, *live_notes(record)])))


@click.command()
@click.argument("old", callback=as_name)
@click.argument("new", callback=as_name)
@as_json
def rename(old: str, new: str, as_json: bool) -> None:
    """Give OLD the name NEW; its history goes with it."""

    async def work(desk: AsyncDesk) -> Record:
        return await sent(desk, await desk.rename(old, new))

    record = at_desk(work)
    told = f"{old} is now {record.name}{where(record)}"
    answer(record, as_json, lambda: output.note(told))


@click.command()
@click.argument("name", callback=as_name)
@click.option("--yes", is_flag=True, help="Do not ask, even if something came of it.")
@as_json
def delete(name: str, yes: bool, as_json: bool) -> None:
    """Delete NAME; its versions stay in the history.

    Asks first where other resources came of it and a person is at the terminal.
    """
    dependents = at_desk(lambda desk: _dependents(desk, name))
    if dependents and not as_json:
        output.note(f"beware: {dependents_note(name, dependents)}")
        if not yes and sys.stdin.isatty() and sys.stderr.isatty():
            click.confirm(f"delete {name}?", abort=True, err=True)

    async def work(desk: AsyncDesk) -> None:
        await desk.delete(name)
        if not Name.parse(name).is_local:
            await desk.nudge()

    at_desk(work)
    told = {"deleted": name, "dependents": dependents}
    answer(told, as_json, lambda: output.note(f"{name} is deleted"))


async def _dependents(desk: AsyncDesk, name: str) -> tuple[str, ...]:
    """What came of it; a record of runs that cannot be read does not keep a name from going."""
    if not await desk.exists(name):
        return ()
    try:
        return (await desk.dependents(name)).dependents()
    except RhdeskError:
        return ()


def _cells(record: Record, now: datetime) -> tuple[str, str, str, str]:
    return (
        record.name,
        record.resource_type,
        record.version[:10],
        output.ago(record.saved_at, now),
    )


def _show(name: str, found: dict[str, Any]) -> None:
    record: Record | None = found["record"]
    signature = found["signature"]
    if signature is not None:
        output.print_text(f"{name}{signature.text}")
        if signature.doc:
            output.print_text("\n".join(f"    {line}" for line in signature.doc.splitlines()))
        if found["methods"] != ["call"]:
            output.print_text(f"methods: {', '.join(found['methods'])}")
    if record is not None:
        saved = output.ago(record.saved_at)
        click.echo(f"{record.resource_type}, version {record.version[:10]}, saved {saved}")
        if signature is None:
            output.print_value(record.config)
