"""``rhdesk ssh | forward | cp | notebook``: reaching a machine by hand."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import click

from rhdesk.cli import output
from rhdesk.cli.running import as_json, at_desk, show_steps
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput

_node = click.option(
    "--node", default="", help="Which machine of the cluster; by default the head."
)


@click.command()
@click.argument("cluster")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@_node
@as_json
def ssh(cluster: str, command: tuple[str, ...], node: str, as_json: bool) -> None:
    """A shell on CLUSTER, or COMMAND there, over the connection rhdesk has: rhdesk ssh gpubox -- ls -l.

    Ends with the exit code of what ran.
    """
    if as_json and not command:
        raise BadInput(
            "a shell has no answer in JSON; give a command: rhdesk ssh gpubox -- uptime"
        )
    if not command and not sys.stdin.isatty():
        raise BadInput("a shell needs a terminal; give a command: rhdesk ssh gpubox -- uptime")
    line = command[0] if len(command) == 1 else shlex.join(command)
    code = at_desk(lambda desk: desk.shell(cluster, command=line, node=node))
    if as_json:
        output.print_end({"exit_code": code})
    raise click.exceptions.Exit(code)


@click.command()
@click.argument("cluster")
@click.argument("port")
@_node
@as_json
def forward(cluster: str, port: str, node: str, as_json: bool) -> None:
    """Listen here, on loopback only, for PORT of CLUSTER: 8888, or 9000:8888 for another one here.

    Until Ctrl-C.
    """
    local, _, remote = port.rpartition(":")
    if not remote.isdigit() or (local and not local.isdigit()):
        raise BadInput(f"{port!r} is no port; ports look like 8888, or 9000:8888")

    def go(desk: AsyncDesk) -> AsyncGenerator[str]:
        return desk.forward(cluster, int(remote), local=int(local or 0), node=node)

    _hold(go, f"{remote} of {cluster} is here", as_json)


@click.command()
@click.argument("source")
@click.argument("target")
@as_json
def cp(source: str, target: str, as_json: bool) -> None:
    """Copy a file or folder: rhdesk cp data.csv gpubox:data/, rhdesk cp gpubox:out ./out."""

    async def work(desk: AsyncDesk) -> None:
        await show_steps(desk.copy(source, target), as_json=as_json)

    at_desk(work)
    if as_json:
        output.print_end({"source": source, "target": target})


@click.command()
@click.argument("cluster")
@click.option("--env", default="base", show_default=True, help="The environment it runs in.")
@click.option("--port", default=0, help="Here; 0 is any that is free.")
@as_json
def notebook(cluster: str, env: str, port: int, as_json: bool) -> None:
    """JupyterLab on CLUSTER, through the connection to it. Until Ctrl-C."""
    _hold(lambda desk: desk.notebook(cluster, env=env, local=port), "JupyterLab is at", as_json)


def _hold(go: Callable[[AsyncDesk], AsyncGenerator[str]], says: str, as_json: bool) -> None:
    """Say where it is, and keep it until Ctrl-C."""

    async def work(desk: AsyncDesk) -> None:
        first = True
        async with aclosing(go(desk)) as told:
            async for line in told:
                if as_json:
                    output.print_event("address" if first else "note", line)
                elif first:
                    output.note(f"{says}; Ctrl-C ends it")
                    click.echo(line)
                else:
                    output.note(line)
                first = False

    at_desk(work)
