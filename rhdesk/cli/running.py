"""What commands share: a desk for as long as one command runs, and the options many have."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import click

from rhdesk.cli import output
from rhdesk.cli.asking import terminal_asks
from rhdesk.config import Settings
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, NotFound
from rhdesk.models import Run, Step

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
on_cluster = click.option(
    "--on",
    default=lambda: Settings.load().cluster,
    show_default="the setting `cluster`: here",
    help="Which cluster.",
)


def as_name(_ctx: click.Context, _param: click.Parameter, typed: str | None) -> str | None:
    """A resource name or folder: the shell turns ``~/x`` into a file at home, this turns it back."""
    home = os.path.expanduser("~").rstrip("/")
    if not typed or not home or ":" in typed or not f"{typed}/".startswith(f"{home}/"):
        return typed
    return f"~{typed[len(home) :]}"


def at_desk(work: Callable[[AsyncDesk], Awaitable[T]]) -> T:
    """Open a desk, do *work* at it, close it."""

    async def go() -> T:
        async with AsyncDesk.open(asks=terminal_asks()) as desk:
            return await work(desk)

    return asyncio.run(go())


def watching(work: Callable[[AsyncDesk, Callable[[Run], None]], Awaitable[None]]) -> None:
    """Do *work*, which says which run it looks at: Ctrl-C stops looking, not the run."""
    from rhdesk.runs.outcome import describe_away

    seen: list[Run] = []

    async def watched(desk: AsyncDesk) -> None:
        desk.runs_room.on_away(lambda run, away: output.note(describe_away(run, away)))
        await work(desk, seen.append)

    try:
        at_desk(watched)
    except KeyboardInterrupt:
        if seen and not seen[-1].status.is_finished:
            short = seen[-1].run_id[-10:]
            output.note(
                f"\nthe run goes on; follow it: rhdesk logs {short}, "
                f"stop it: rhdesk cancel {short}"
            )
        raise


async def with_method(desk: AsyncDesk, target: str, method: str) -> tuple[str, str]:
    """What *target* names, and the method it may end with: ``~/counter.inc``, ``app.py:C.inc``.

    A dot may belong to the name itself; then what it names is no module with that method.
    """
    owner, dot, last = target.rpartition(".")
    if method or not dot or not last.isidentifier():
        return target, method
    try:
        methods = await desk.methods(owner)
    except (NotFound, BadInput):
        return target, method
    return (owner, last) if last in methods else (target, method)


def answer(data: Any, as_json: bool, show: Callable[[], object]) -> None:
    """Print *data* as JSON, or have it shown for a person."""
    if as_json:
        output.print_data(data)
    else:
        show()


async def show_steps(steps: AsyncGenerator[Step], *, as_json: bool) -> None:
    """Say what is being done while it is done."""
    async with aclosing(steps):
        async for step in steps:
            if as_json:
                output.print_event("step", step)
            else:
                output.print_step(step)
