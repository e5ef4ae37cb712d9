"""``rhdesk login | logout | conflicts | rejected | share``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, as_name, at_desk
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, NotFound
from rhdesk.models import Conflict, Record, StoreState

_LONGEST_VALUE = 60


@click.command()
@click.argument("url", default="")
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input.")
@click.option("--folder", default="", help="What `@` stands for, if not your own folder.")
@as_json
def login(url: str, token_stdin: bool, folder: str, as_json: bool) -> None:
    """Log in to the store at URL, or tell who is logged in.

    The token is asked for, or comes from standard input, or from RHDESK_TOKEN. Never type it into
    a command: others can read what you type.
    """

    async def work(desk: AsyncDesk) -> StoreState:
        if not url:
            return await desk.store_state()
        await desk.login(url, _token(token_stdin), folder=folder)
        return await desk.sync()

    state = at_desk(work)
    answer(state, as_json, lambda: show_state(state))


@click.command()
@click.option("--discard", is_flag=True, help="Drop what the store does not have yet.")
@as_json
def logout(discard: bool, as_json: bool) -> None:
    """Log out of the store; what was read of it is removed from this machine."""
    state = at_desk(lambda desk: desk.logout(discard=discard))
    answer(state, as_json, lambda: output.note("logged out"))


@click.command()
@click.argument("conflict_id", metavar="[ID]", default="")
@click.option("--take", default="", type=click.Choice(["", "ours", "theirs"]), help="All of it.")
@click.option(
    "--field", "fields", multiple=True, metavar="/POINTER=SIDE", help="One field: /env/reqs=ours."
)
@click.option("--copy-to", default="", metavar="NAME", callback=as_name, help="Ours, elsewhere.")
@click.option("--undo", is_flag=True, help="Open it again.")
@as_json
def conflicts(
    conflict_id: str, take: str, fields: Sequence[str], copy_to: str, undo: bool, as_json: bool
) -> None:
    """Writes that cannot both stand: all of them, one of them, or what to do with it."""
    if not conflict_id:
        if take or fields or copy_to or undo:
            raise click.UsageError("say which conflict; `rhdesk conflicts` lists them")
        found = at_desk(lambda desk: desk.conflicts())
        answer(found, as_json, lambda: _show_conflicts(found))
    elif undo:
        opened = at_desk(lambda desk: desk.reopen(conflict_id))
        answer(opened, as_json, lambda: output.note(f"{opened.name} is in conflict again"))
    elif take or fields or copy_to:
        sides = dict(_side(each) for each in fields)
        record = at_desk(
            lambda desk: desk.resolve(
                conflict_id, take=take, fields=sides or None, copy_to=copy_to
            )
        )
        answer(record, as_json, lambda: _show_resolved(record))
    else:
        one = at_desk(lambda desk: _one(desk, conflict_id))
        answer(one, as_json, lambda: _show_conflict(one))


@click.command()
@click.option("--drop", default="", metavar="ID", help="Forget one.")
@as_json
def rejected(drop: str, as_json: bool) -> None:
    """Writes the store refused; they are kept here until you save them elsewhere or drop them."""
    if drop:
        at_desk(lambda desk: desk.drop_rejected(drop))
        answer({"dropped": drop}, as_json, lambda: output.note(f"{drop} is dropped"))
        return
    found = at_desk(lambda desk: desk.rejected())
    if as_json:
        output.print_data(found)
    elif not found:
        output.note("the store refused nothing")
    else:
        rows = [(each.op_id[-12:], each.name, output.ago(each.at), each.reason) for each in found]
        output.print_table(("ID", "NAME", "WHEN", "WHY"), rows)


@click.command()
@click.argument("name", callback=as_name)
@click.argument("users", nargs=-1)
@click.option(
    "--level",
    default="read",
    show_default=True,
    type=click.Choice(["none", "read", "call", "write", "admin"]),
)
@as_json
def share(name: str, users: Sequence[str], level: str, as_json: bool) -> None:
    """Let USERS read, call or write NAME and what is below it; without users, who may now."""
    found = at_desk(lambda desk: desk.share(name, users, level=level))
    answer(found, as_json, lambda: output.print_text("\n".join(found) or "nobody but its owner"))


async def sent(desk: AsyncDesk, record: Record) -> Record:
    """*record* after one short try to send it, if a store keeps it."""
    if not record.name.startswith("/"):
        return record
    await desk.nudge()
    try:
        kept = await desk.load(record.name)
        return msgspec.structs.replace(kept, live=record.live)
    except NotFound:  # the store would not have it, and had nothing by that name
        refused = {each.name for each in await desk.rejected()}
        sync = "rejected" if record.name in refused else "conflict"
        return msgspec.structs.replace(record, sync=sync)


def where(record: Record) -> str:
    """What to say of a record that a store keeps; "" of another."""
    told = {
        "current": "; the store has it",
        "queued": "; queued for the store",
        "conflict": "; in conflict with another write: rhdesk conflicts",
        "rejected": "; the store refused a write: rhdesk rejected",
    }
    return told.get(record.sync, "")


def _token(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline()
    if (given := os.environ.get("RHDESK_TOKEN")) is not None:
        return given
    if not sys.stdin.isatty():
        raise BadInput("no token: set RHDESK_TOKEN, or say --token-stdin and send it there")
    typed: str = click.prompt("Token", hide_input=True, err=True)
    return typed


def _side(text: str) -> tuple[str, str]:
    pointer, equals, side = text.rpartition("=")
    if not equals or side not in {"ours", "theirs"} or not pointer.startswith("/"):
        raise click.BadParameter(f"{text!r}: fields look like /env/reqs=ours or /alpha=theirs")
    return pointer, side


async def _one(desk: AsyncDesk, conflict_id: str) -> Conflict:
    open_ones = await desk.conflicts()
    found = [each for each in open_ones if each.conflict_id.endswith(conflict_id)]
    if len(found) != 1:
        near = [each.conflict_id[-12:] for each in found or open_ones][:3]
        raise NotFound(conflict_id, kind="open conflict", near=near)
    return found[0]


def show_state(state: StoreState) -> None:
    if not state.url:
        output.note(
            "nobody is logged in to a store; log in: rhdesk login https://store.example.org"
        )
        return
    output.print_text(f"{state.user} at {state.url}, @ is {state.folder}: {_told(state)}")
    if state.error:
        output.note(state.error)
    if state.conflicts:
        output.note(f"{state.conflicts} conflicts: rhdesk conflicts")
    if state.rejected:
        output.note(f"{state.rejected} refused by the store: rhdesk rejected")


def _told(state: StoreState) -> str:
    waits = f"{state.queued} queued" if state.queued else "nothing queued"
    return f"{state.status}, {waits}, last contact {output.ago(state.last_contact)}"


def _show_conflicts(found: Sequence[Conflict]) -> None:
    if not found:
        output.note("no conflicts")
        return
    rows = [
        (each.conflict_id[-12:], each.name, each.why, output.ago(each.at), " ".join(each.fields))
        for each in found
    ]
    output.print_table(("ID", "NAME", "WHY", "SEEN", "FIELDS"), rows)


def _show_conflict(one: Conflict) -> None:
    by = f", theirs by {one.author}" if one.author else ""
    output.print_text(f"{one.name}: {one.why}{by}, seen {output.ago(one.at)}")
    pointers = one.fields or tuple(sorted({*_tops(one.ours), *_tops(one.theirs)}))
    rows = [
        (
            pointer,
            _shown(one.base, pointer),
            _shown(one.ours, pointer),
            _shown(one.theirs, pointer),
        )
        for pointer in pointers
    ]
    output.print_table(("FIELD", "BEFORE", "OURS", "THEIRS"), rows)


def _show_resolved(record: Record | None) -> None:
    if record is None:
        output.note("settled; the name stays deleted")
    else:
        output.note(f"settled; {record.name} is {record.version[:10]} here, {record.sync}")


def _tops(body: dict[str, Any] | None) -> list[str]:
    return [f"/{name.replace('~', '~0').replace('/', '~1')}" for name in body or {}]


def _shown(body: dict[str, Any] | None, pointer: str) -> str:
    """The value at *pointer*, short."""
    value: Any = body
    if body is None:
        return "(not there)"
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(value, dict) or name not in value:
            return "-"
        value = value[name]
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
