"""``rhdesk put | get | keys | rename-key | rmkey | clear``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk, on_cluster
from rhdesk.errors import BadInput


@click.command()
@click.argument("key")
@click.argument("value")
@on_cluster
@as_json
def put(key: str, value: str, on: str, as_json: bool) -> None:
    """Keep VALUE (JSON, text, or @file.json) on a cluster under KEY."""
    at_desk(lambda desk: desk.put(key, _read(value), on=on))
    answer({"key": key}, as_json, lambda: output.note(f"{key} is on {on}"))


@click.command()
@click.argument("key")
@on_cluster
@as_json
def get(key: str, on: str, as_json: bool) -> None:
    """The value under KEY."""
    value = at_desk(lambda desk: desk.get(key, on=on))
    answer(value, as_json, lambda: output.print_value(value))


@click.command()
@on_cluster
@as_json
def keys(on: str, as_json: bool) -> None:
    """Every key, sorted."""
    found = at_desk(lambda desk: desk.keys(on=on))
    answer(found, as_json, lambda: output.print_text("\n".join(found)))


@click.command("rename-key")
@click.argument("old")
@click.argument("new")
@on_cluster
@as_json
def rename_key(old: str, new: str, on: str, as_json: bool) -> None:
    """Give the value under OLD the key NEW."""
    at_desk(lambda desk: desk.rename_key(old, new, on=on))
    answer({"key": new}, as_json, lambda: output.note(f"{old} is now {new}"))


@click.command()
@click.argument("keys", nargs=-1, required=True)
@on_cluster
@as_json
def rmkey(keys: tuple[str, ...], on: str, as_json: bool) -> None:
    """Delete KEYS."""
    gone = at_desk(lambda desk: desk.delete_keys(keys, on=on))
    answer({"deleted": gone}, as_json, lambda: output.note(f"{len(gone)} deleted"))


@click.command()
@on_cluster
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def clear(on: str, yes: bool, as_json: bool) -> None:
    """Delete every key."""
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise BadInput("nobody is there to be asked; say --yes to delete every key")
        click.confirm(f"delete every value kept on {on}?", abort=True, err=True)
    at_desk(lambda desk: desk.clear(on=on))
    answer({"cleared": on}, as_json, lambda: output.note(f"nothing is kept on {on} any more"))


def _read(text: str) -> Any:
    if text.startswith("@"):
        file = Path(text[1:]).expanduser()
        try:
            return msgspec.json.decode(file.read_bytes())
        except OSError as exc:
            raise BadInput(f"{file} cannot be read: {exc.strerror}") from exc
        except msgspec.DecodeError as exc:
            raise BadInput(f"{file} is not JSON: {exc}") from exc
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
