"""``rhdesk map``: one function, many items, all the nodes of a cluster."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, TextIO

import click
import msgspec

from rhdesk.cli import output
from rhdesk.cli.running import as_json, as_name, on_cluster, watching
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput
from rhdesk.models import Item, LogLine


@click.command("map")
@click.argument("target", callback=as_name)
@click.argument("values", nargs=-1)
@click.option(
    "--from", "source", type=click.File(encoding="utf-8"),
    help="A JSON document a line: {arguments by name}, [by position], or one value; - is stdin.",
)  # fmt: skip
@click.option("--env", default="", help="Name of an environment there.")
@on_cluster
@click.option("--timeout", type=float, default=0.0, help="Cancel after so many seconds.")
@click.option(
    "--idempotent", is_flag=True, help="An item whose node is gone runs again on another."
)
@as_json
def map(
    target: str,
    values: tuple[str, ...],
    source: TextIO | None,
    env: str,
    on: str,
    timeout: float,
    idempotent: bool,
    as_json: bool,
) -> None:
    """Call TARGET once for each of VALUES, or of a file's lines, over a cluster's nodes.

    rhdesk map app.py:square 1 2 3 --on lab
    """
    items: list[tuple[list[Any], dict[str, Any]]] = [([value], {}) for value in values]
    if source is not None:
        items += [_item(number, line) for number, line in enumerate(source) if line.strip()]

    async def work(desk: AsyncDesk, _looks_at: object) -> None:
        found: dict[int, Any] = {}
        events = desk.map_target(
            target, items, on=on, env=env, timeout_s=timeout, idempotent=idempotent
        )
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Item):
                        found[event.number] = event.value
                        if event.lost:
                            found.pop(event.number)
                            output.note(f"item {event.number} is lost: {event.lost}")
                    _show(event, as_json)
        finally:
            if not as_json:
                for number in sorted(found):
                    output.print_value(found[number])
        if as_json:
            output.print_end({"results": [found[number] for number in sorted(found)]})

    watching(work)


def _show(event: LogLine | Item, as_json: bool) -> None:
    if as_json:
        output.print_event("item" if isinstance(event, Item) else "line", event)
    elif isinstance(event, LogLine):
        output.print_line(event)


def _item(number: int, line: str) -> tuple[list[Any], dict[str, Any]]:
    try:
        said = msgspec.json.decode(line)
    except msgspec.DecodeError as exc:
        raise BadInput(f"line {number + 1} is no JSON: {exc}") from exc
    match said:
        case dict():
            return [], {str(key): value for key, value in said.items()}
        case list():
            return list(said), {}
        case _:
            return [said], {}
