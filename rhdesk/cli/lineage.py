"""``rhdesk lineage | why``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from rhdesk import whole_file
from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, as_name, at_desk
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, NotFound, StoreUnwritable
from rhdesk.foreign import clean
from rhdesk.models import Branch, Edge, Lineage, Version
from rhdesk.models.lineage import written_before

_SHORT = 10
_AT_ONCE = 1_000
"""Events that are written in one transaction."""
_BAD_SHOWN = 20
_EXPORT = "Write everything as OpenLineage events, one a line; - is stdout."
_IMPORT = "Take what OpenLineage events tell, one a line; - is stdin."


@click.command()
@click.argument("name", required=False, callback=as_name)
@click.option("--down", is_flag=True, help="What came of it, and breaks without it.")
@click.option("--depth", default=8, show_default=True, type=click.IntRange(1, 100))
@click.option("--export", "to_file", metavar="FILE", help=_EXPORT)
@click.option("--import", "from_file", metavar="FILE", help=_IMPORT)
@click.option("--run", "run_id", default="", help="Export this run alone.")
@as_json
def lineage(
    name: str | None,
    down: bool,
    depth: int,
    to_file: str | None,
    from_file: str | None,
    run_id: str,
    as_json: bool,
) -> None:
    """What NAME came from: which run wrote it, from what, which run wrote that ...

    NAME may be at a version, ~/report@1a2b; a value kept on a cluster, here:key; or a dataset of
    an imported event.
    """
    if sum(map(bool, (name, to_file, from_file))) != 1:
        raise BadInput(
            "lineage wants one of: a name (~/report), --export FILE, --import FILE; "
            "FILE may be - for the pipe"
        )
    if to_file:
        _export(to_file, run_id, as_json=as_json)
    elif from_file:
        _import(from_file, as_json=as_json)
    else:
        asked = name or ""
        if down:
            found = at_desk(lambda desk: desk.dependents(asked, depth=depth))
        else:
            found = at_desk(lambda desk: desk.lineage(asked, depth=depth))
        answer(found, as_json, lambda: _print_tree(found))


@click.command()
@click.argument("name", callback=as_name)
@click.option("--depth", default=8, show_default=True, type=click.IntRange(1, 100))
@as_json
def why(name: str, depth: int, as_json: bool) -> None:
    """Why NAME exists, a sentence a step: which run wrote it, when, and from what."""
    found = at_desk(lambda desk: desk.lineage(name, depth=depth))
    steps = list(_steps(found))
    answer({"name": found.name, "steps": steps}, as_json, lambda: _print_steps(steps, found))


def dependents_note(name: str, dependents: tuple[str, ...]) -> str:
    """That other resources came of one, or read it."""
    shown = ", ".join(map(clean, dependents[:5]))
    more = f" and {len(dependents) - 5} more" if len(dependents) > 5 else ""
    return f"{shown}{more} came of {name} or read it; rhdesk lineage {name} --down tells how"


# ---- the tree


def _print_tree(found: Lineage) -> None:
    output.print_text(output.paint(_at(found.name, found.version), "bold"))
    branches = list(found.branches())
    if not branches:
        output.note("nothing has read it" if found.is_down else "no run wrote it")
    now = datetime.now(UTC)
    for line in _lines(branches, found.is_down, now):
        click.echo(line)
    for version in found.saved:
        output.note(_saved_by(version, now))
    if not found.is_complete:
        output.note("there is more than is shown; --depth shows more steps")


def _lines(branches: list[Branch], is_down: bool, now: datetime) -> Iterator[str]:
    """The tree, drawn: a line of each depth goes on as long as something hangs on it."""
    is_open: list[bool] = []
    for place, branch in enumerate(branches):
        later = (each.depth for each in branches[place + 1 :])
        has_next = False
        for depth in later:
            if depth <= branch.depth:
                has_next = depth == branch.depth
                break
        is_open[branch.depth :] = [has_next]
        trunk = "".join("│  " if is_on else "   " for is_on in is_open[:-1])
        joint = "├─ " if has_next else "└─ "
        yield trunk + joint + _told(branch, is_down, now)


def _told(branch: Branch, is_down: bool, now: datetime) -> str:
    edge = branch.edge
    if branch.depth % 2:
        verb = "wrote" if edge.kind == "wrote" else "read"
        return f"{verb} {_at(edge.name, edge.version)}"
    verb = "read by" if is_down else "written by"
    version = f" at {edge.version[:_SHORT]}" if is_down and edge.version else ""
    told = ", told above" if branch.is_repeated else ""
    return f"{verb} {_run(edge)}{version}, {_ago(edge.at, now)}{told}"


# ---- why


def _steps(found: Lineage) -> Iterator[dict[str, Any]]:
    """A step for each run that wrote something, and for each version a person saved."""
    wrote: dict[tuple[str, str, str], Edge] = {}
    for edge in found.edges:
        if edge.kind == "wrote":
            wrote.setdefault((edge.run_id, edge.name, edge.version), edge)
    for edge in wrote.values():
        given = [
            each for each in found.edges if each.run_id == edge.run_id and each.kind == "read"
        ]
        yield {
            "name": edge.name,
            "version": edge.version,
            "at": edge.at,
            "run_id": edge.run_id,
            "function": edge.function,
            "source": edge.source,
            "author": "",
            "read": [
                {"name": each.name, "version": each.version, "is_told": _is_told(each, found)}
                for each in given
            ],
        }
    for version in found.saved:
        yield {
            "name": version.name,
            "version": version.version,
            "at": version.saved_at,
            "run_id": "",
            "function": "",
            "source": "here",
            "author": version.author,
            "read": [],
        }


def _is_told(read: Edge, found: Lineage) -> bool:
    wrote = [each for each in found.edges if each.kind == "wrote" and each.name == read.name]
    return bool(written_before(read, wrote))


def _print_steps(steps: list[dict[str, Any]], found: Lineage) -> None:
    now = datetime.now(UTC)
    for step in steps:
        click.echo(_sentence(step, now))
    if not any(step["run_id"] for step in steps):
        output.note(f"no run that is known wrote {_at(found.name, found.version)}")
    if not found.is_complete:
        output.note("it goes further back than is told; --depth tells more steps")


def _sentence(step: dict[str, Any], now: datetime) -> str:
    name = _at(step["name"], step["version"])
    if not step["run_id"]:
        return f"{name} was saved by {_who(step['author'])}, {_ago(step['at'], now)}, by no run"
    function = clean(step["function"])
    places = [each["name"] for each in step["read"] if _is_place(each)]
    read = [e for e in step["read"] if e["name"] not in {function, *places}]
    given = [_at(each["name"], each["version"]) for each in read]
    own = [each for each in step["read"] if each["name"] == function]
    by = _at(function, own[0]["version"] if own else "") or "what is not known"
    source = "" if step["source"] == "here" else f", says {clean(step['source'])}"
    on = f" on {clean(places[0])}" if places else ""
    when = _ago(step["at"], now)
    told = f"{name} was written by run {step['run_id'][-_SHORT:]} of {by}{on}, {when}"
    return f"{told}, from {_listed(given)}{source}" if given else f"{told}{source}"


def _is_place(read: dict[str, Any]) -> bool:
    """Whether what a run read is the cluster it ran on: of that alone it knows no version."""
    return not read["version"] and read["name"].startswith(("~/", "@/", "/"))


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _saved_by(version: Version, now: datetime) -> str:
    name = _at(version.name, version.version)
    return f"{name} was saved by {_who(version.author)}, {_ago(version.saved_at, now)}, by no run"


def _who(author: str) -> str:
    return clean(author) or "a person"


def _run(edge: Edge) -> str:
    function = f" of {clean(edge.function)}" if edge.function else ""
    source = "" if edge.source == "here" else f" ({clean(edge.source)})"
    return f"run {edge.run_id[-_SHORT:]}{function}{source}"


def _at(name: str, version: str) -> str:
    return clean(f"{name}@{version[:_SHORT]}" if version else name)


def _ago(at: datetime, now: datetime) -> str:
    return output.ago(at, now)


# ---- OpenLineage


def _export(to_file: str, run_id: str, *, as_json: bool) -> None:
    async def work(desk: AsyncDesk) -> tuple[int, bytes]:
        count, lines = 0, bytearray()
        async with aclosing(desk.lineage_events(run_id=run_id)) as events:
            async for event in events:
                count += 1
                line = msgspec.json.encode(event) + b"\n"
                if to_file == "-":
                    sys.stdout.buffer.write(line)
                else:
                    lines += line
        return count, bytes(lines)

    count, lines = at_desk(work)
    if to_file == "-":
        sys.stdout.flush()
        output.note(f"{count:,} events")
        return
    try:
        whole_file.write(Path(to_file), [lines])
    except OSError as exc:
        raise StoreUnwritable(f"{to_file} cannot be written: {exc.strerror or exc}") from exc
    told = {"events": count, "file": to_file}
    answer(told, as_json, lambda: output.note(f"{count:,} events in {to_file}"))


def _import(from_file: str, *, as_json: bool) -> None:
    bad: list[dict[str, Any]] = []
    good: list[dict[str, Any]] = []
    events = edges = 0

    async def work(desk: AsyncDesk) -> int:
        nonlocal events
        added = 0
        for number, line in enumerate(_read_lines(from_file), 1):
            if not line.strip():
                continue
            try:
                good.append(_event(line))
                events += 1
            except BadInput as exc:
                bad.append({"line": number, "why": str(exc)})
            if len(good) == _AT_ONCE:
                added += await desk.take_lineage_events(good)
                good.clear()
        return added + await desk.take_lineage_events(good)

    edges = at_desk(work)
    told = {"events": events, "edges": edges, "bad": bad}
    if bad and not events:
        raise BadInput(f"{from_file} holds no event; line {bad[0]['line']}: {bad[0]['why']}")
    answer(told, as_json, lambda: _print_import(events, edges, bad))


def _event(line: bytes) -> dict[str, Any]:
    from rhdesk.runs.openlineage import edges_of

    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise BadInput(f"it is no JSON: {clean(str(exc))}") from exc
    if not isinstance(event, dict):
        raise BadInput("it is no JSON object")
    edges_of(event)
    return event


def _read_lines(from_file: str) -> Iterator[bytes]:
    if from_file == "-":
        yield from sys.stdin.buffer
        return
    try:
        with open(from_file, "rb") as lines:
            yield from lines
    except FileNotFoundError:
        raise NotFound(from_file, kind="file") from None
    except OSError as exc:
        raise BadInput(f"{from_file} cannot be read: {exc.strerror}") from exc


def _print_import(events: int, edges: int, bad: list[dict[str, Any]]) -> None:
    output.note(f"{events:,} events taken, {edges:,} edges are new")
    for each in bad[:_BAD_SHOWN]:
        output.note(f"line {each['line']} was left out: {each['why']}")
    if len(bad) > _BAD_SHOWN:
        output.note(f"{len(bad) - _BAD_SHOWN:,} more lines were left out; --json names each")
