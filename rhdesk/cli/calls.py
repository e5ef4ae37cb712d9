"""``rhdesk call | run | result | cancel``."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import click

from rhdesk.cli import output
from rhdesk.cli.envs import wanted
from rhdesk.cli.running import (
    answer,
    as_json,
    as_name,
    at_desk,
    on_cluster,
    show_steps,
    watching,
    with_method,
)
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, NotFound
from rhdesk.models import EnvSpec, Run


def _positive(_ctx: click.Context, param: click.Parameter, seconds: float | None) -> float | None:
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise click.BadParameter(f"{seconds} is no time to wait; it looks like 2.5", param=param)
    return seconds


@click.command()
@click.argument("target", metavar="TARGET[.METHOD]", callback=as_name)
@click.argument("arguments", metavar="[VALUE]... [KEY=VALUE]...", nargs=-1)
@click.option("--env", default="", help="Name, requirements.txt, or packages: numpy,pandas==2.2.")
@on_cluster
@click.option("--node", default="", help="The machine of the cluster; by default its head.")
@click.option("--method", default="", help="Of a module.")
@click.option("--timeout", type=float, callback=_positive, help="Cancel after so many seconds.")
@click.option("--no-follow", is_flag=True, help="Print the run's id and leave it running.")
@click.option(
    "--save",
    "save_as",
    metavar="NAME",
    callback=as_name,
    help="Save the function under NAME first.",
)
@as_json
def call(
    target: str,
    arguments: tuple[str, ...],
    env: str,
    on: str,
    node: str,
    method: str,
    timeout: float | None,
    no_follow: bool,
    save_as: str | None,
    as_json: bool,
) -> None:
    """Call TARGET, a saved name or app.py:train, and follow what it prints.

    A value is read as the parameter's annotation says: alpha=0.3, sizes=[1,2]. What begins with
    a dash goes behind a bare `--`.
    """
    named, placed = split_arguments(arguments)

    async def work(desk: AsyncDesk, looks_at: Callable[[Run], None]) -> None:
        env_name = await _env(desk, wanted(env), on, as_json)
        called, chosen = await with_method(desk, target, method)
        if save_as:
            await desk.save_target(called, save_as, env=env_name)
            called = save_as
        try:
            run = await desk.submit(
                called, named, args=placed, method=chosen, on=on, env=env_name, node=node,
                timeout_s=timeout,
            )  # fmt: skip
        except NotFound as exc:
            if exc.kind == "module instance":
                output.note(
                    f"{called} is made before its methods can be called: rhdesk call {called}"
                )
            raise
        looks_at(run)
        await _see_through(desk, run, no_follow=no_follow, as_json=as_json)

    watching(work)


class _Run(click.Command):
    """``run gpubox -- CMD`` is ``run --on gpubox -- CMD``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if len(args) > 2 and not args[0].startswith("-") and args[1] == "--":
            args = ["--on", args[0], *args[1:]]
        return super().parse_args(ctx, args)


@click.command(cls=_Run)
@click.argument("command", nargs=-1, required=True)
@click.option("--env", default="base", show_default=True, help="Environment it sees.")
@on_cluster
@click.option("--no-follow", is_flag=True, help="Print the run's id and leave it running.")
@as_json
def run(command: tuple[str, ...], env: str, on: str, no_follow: bool, as_json: bool) -> None:
    """Run COMMAND in a shell on a cluster: rhdesk run gpubox -- nvidia-smi -L.

    Ends with the command's own exit code. One argument is a line for the shell: "ls | wc -l".
    """
    line = command[0] if len(command) == 1 else shlex.join(command)

    async def work(desk: AsyncDesk, looks_at: Callable[[Run], None]) -> None:
        started = await desk.exec([line], on=on, env=env)
        looks_at(started)
        if no_follow:
            _started(started, as_json)
            return
        await _follow(desk, started, as_json)
        ((ended, out, err),) = await desk.result(started.run_id)
        # As a shell tells it: 128 and the number of the signal that ended the command.
        code = ended if ended >= 0 else 128 - ended
        if as_json:
            result = {"exit_code": code, "stdout": out, "stderr": err}
            output.print_end({"run": await desk.run(started.run_id), "result": result})
        raise click.exceptions.Exit(code)

    watching(work)


@click.command()
@click.argument("run_id")
@as_json
def result(run_id: str, as_json: bool) -> None:
    """What a run returned; waits for one that still runs."""
    value = at_desk(lambda desk: desk.result(run_id))
    answer(value, as_json, lambda: output.print_value(value))


@click.command()
@click.argument("run_id")
@click.option("--force", is_flag=True, help="Do not give it a second to clean up.")
@as_json
def cancel(run_id: str, force: bool, as_json: bool) -> None:
    """Stop a run, whatever it is doing. When this returns, its processes are gone."""
    ended = at_desk(lambda desk: desk.cancel(run_id, force=force))
    answer(ended, as_json, lambda: output.note(f"{ended.function} is {ended.status}"))


def split_arguments(given: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """``key=value`` by name, the rest by position.

    Raises:
        BadInput: A value by position follows one by name, or a name is given twice.
    """
    named: dict[str, str] = {}
    placed: list[str] = []
    for each in given:
        key, equals, value = each.partition("=")
        if equals and key.isidentifier():
            if key in named:
                raise BadInput(f"{key} was given twice")
            named[key] = value
        elif named:
            raise BadInput(f"{each!r} has no name; values without one come first")
        else:
            placed.append(each)
    return named, placed


async def _env(desk: AsyncDesk, asked: EnvSpec | str, on: str, as_json: bool) -> str:
    if isinstance(asked, str):
        return asked
    await show_steps(desk.make_env(asked, on=on), as_json=as_json)
    return asked.name


async def _see_through(desk: AsyncDesk, run: Run, *, no_follow: bool, as_json: bool) -> None:
    if no_follow:
        _started(run, as_json)
        return
    await _follow(desk, run, as_json)
    value: Any = await desk.result(run.run_id)
    if as_json:
        output.print_end({"run": await desk.run(run.run_id), "result": value})
    else:
        output.print_value(value)


async def _follow(desk: AsyncDesk, run: Run, as_json: bool) -> None:
    async with aclosing(desk.follow(run.run_id)) as lines:
        async for line in lines:
            if as_json:
                output.print_event("line", line)
            else:
                output.print_line(line)


def _started(run: Run, as_json: bool) -> None:
    if as_json:
        output.print_end({"run": run})
    else:
        click.echo(run.run_id)
        output.note(f"follow it: rhdesk logs {run.run_id[-10:]}")
