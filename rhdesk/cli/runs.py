"""``rhdesk runs | logs | search | pin | unpin | rm | retain``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk, watching
from rhdesk.desk import AsyncDesk
from rhdesk.models import LogHit, LogLine, Run, RunStatus

_HEAD = ("RUN", "STATUS", "FUNCTION", "ON", "ENV", "WHEN", "TOOK", "LINES", "RESULT")
_CATCH_UP_S = 2.0
"""How long a list may ask clusters what became of runs it would show as unfinished."""
_STATUS = f"Only these: {', '.join(RunStatus)}."


@click.command()
@click.option("--function", default="", help="Only of this function.")
@click.option(
    "--status",
    type=click.Choice([status.value for status in RunStatus]),
    metavar="STATUS",
    help=_STATUS,
)
@click.option("--cluster", default="", help="Only on this cluster.")
@click.option("--of", default="", help="The shares of this map, each with its node.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@click.option("--offset", default=0, type=click.IntRange(0))
@as_json
def runs(
    function: str,
    status: str | None,
    cluster: str,
    of: str,
    limit: int,
    offset: int,
    as_json: bool,
) -> None:
    """Runs, newest first; also those of clusters that are gone."""

    async def work(desk: AsyncDesk) -> list[Run]:
        async def ask() -> list[Run]:
            if of:
                return await desk.shares(of)
            return await desk.runs(
                limit=limit, offset=offset, function=function, status=status or "", cluster=cluster
            )

        found = await ask()
        if all(run.status.is_finished for run in found):
            return found
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_S):
                await desk.catch_up()
        return await ask()

    found = at_desk(work)
    answer(found, as_json, lambda: output.print_table(_HEAD, map(output.run_row, found)))


@click.command()
@click.argument("run_id", default="last")
@click.option("--follow/--no-follow", default=True, help="Wait for lines that are still to come.")
@click.option("--after", default=-1, help="Start behind this line number.")
@click.option("--grep", default="", help="Only lines that hold this text.")
@click.option("--stderr-only", is_flag=True)
@as_json
def logs(
    run_id: str, follow: bool, after: int, grep: str, stderr_only: bool, as_json: bool
) -> None:
    """What a run printed. RUN_ID may be its last digits, or `last`."""

    def wanted(line: LogLine) -> bool:
        return grep.lower() in line.text.lower() and (line.stream == "stderr" or not stderr_only)

    def show(line: LogLine) -> None:
        if wanted(line):
            if as_json:
                output.print_event("line", line)
            else:
                output.print_line(line)

    async def work(desk: AsyncDesk, looks_at: Callable[[Run], None]) -> None:
        run = await desk.run(run_id)
        looks_at(run)
        if follow and not run.status.is_finished:
            async with aclosing(desk.follow(run.run_id, after=after)) as lines:
                async for line in lines:
                    show(line)
        else:
            start = after + 1
            while page := await desk.lines(run.run_id, start, start + 5000):
                for line in page:
                    show(line)
                start = page[-1].seq + 1
        if as_json:
            output.print_end(await desk.run(run.run_id))

    watching(work)


@click.command()
@click.argument("text")
@click.option("--run", "run_id", default="", help="Only of this run.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1))
@as_json
def search(text: str, run_id: str, limit: int, as_json: bool) -> None:
    """Lines that hold the words of TEXT, of any run."""

    async def work(desk: AsyncDesk) -> list[LogHit]:
        full = (await desk.run(run_id)).run_id if run_id else ""
        return await desk.search(text, run_id=full, limit=limit)

    hits = at_desk(work)
    rows = [(h.line.run_id[-10:], h.line.seq, h.function, h.line.text) for h in hits]
    head = ("RUN", "LINE", "FUNCTION", "TEXT")
    answer(hits, as_json, lambda: output.print_table(head, rows))


@click.command()
@click.argument("run_id")
@as_json
def pin(run_id: str, as_json: bool) -> None:
    """Keep a run from retention."""
    run = at_desk(lambda desk: desk.pin(run_id))
    answer(run, as_json, lambda: output.note(f"{run.run_id[-10:]} is kept"))


@click.command()
@click.argument("run_id")
@as_json
def unpin(run_id: str, as_json: bool) -> None:
    """Let retention have a run."""
    run = at_desk(lambda desk: desk.pin(run_id, pinned=False))
    answer(run, as_json, lambda: output.note(f"{run.run_id[-10:]} may go when it is old"))


@click.command()
@click.argument("run_ids", nargs=-1, required=True)
@as_json
def rm(run_ids: tuple[str, ...], as_json: bool) -> None:
    """Remove finished runs with their lines."""
    count = at_desk(lambda desk: desk.remove_runs(run_ids))
    answer({"removed": count}, as_json, lambda: output.note(f"{count} removed"))


@click.command()
@as_json
def retain(as_json: bool) -> None:
    """Apply keep_days and keep_bytes now."""
    count = at_desk(lambda desk: desk.retain())
    answer({"removed": count}, as_json, lambda: output.note(f"{count} removed"))
