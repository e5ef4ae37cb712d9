"""What commands share: a desk for as long as one command runs, and the options many have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import click

from rhdesk.cli import output
from rhdesk.desk import AsyncDesk
from rhdesk.models import Step

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
on_cluster = click.option("--on", default="here", show_default=True, help="Which cluster.")


def at_desk(work: Callable[[AsyncDesk], Awaitable[T]]) -> T:
    """Open a desk, do *work* at it, close it."""

    async def go() -> T:
        async with AsyncDesk.open() as desk:
            return await work(desk)

    return asyncio.run(go())


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
