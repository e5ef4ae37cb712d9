"""``rhdesk daemon start | stop | status | logs | run | unit``."""

from __future__ import annotations

import os

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk
from rhdesk.daemon import unit as unit_file
from rhdesk.daemon.service import COMMAND
from rhdesk.models import DaemonState


@click.group()
def daemon() -> None:
    """What goes on in the background: in step with the store, runs followed, clusters looked after.

    Everything works without it; an open terminal desk does the same while it is open.
    """


@daemon.command()
@as_json
def start(as_json: bool) -> None:
    """Start it, or find it running."""
    state = at_desk(lambda desk: desk.start_daemon())
    answer(state, as_json, lambda: _show(state))


@daemon.command()
@as_json
def stop(as_json: bool) -> None:
    """Stop it, and return once it is gone."""
    state = at_desk(lambda desk: desk.stop_daemon())
    answer(state, as_json, lambda: output.note("the daemon is stopped"))


@daemon.command()
@as_json
def status(as_json: bool) -> None:
    """Whether it runs, and what its loops are at."""
    state = at_desk(lambda desk: desk.daemon())
    answer(state, as_json, lambda: _show(state))


@daemon.command()
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1))
@as_json
def logs(limit: int, as_json: bool) -> None:
    """The last lines of its log."""
    lines = at_desk(lambda desk: desk.daemon_lines(limit=limit))
    answer(lines, as_json, lambda: output.print_text("\n".join(lines)))


@daemon.command()
def run() -> None:
    """Be the daemon, here in the foreground, until Ctrl-C."""
    os.execv(COMMAND[0], COMMAND)


@daemon.command()
@click.option("--install", is_flag=True, help="Write it where systemd looks for your own units.")
@as_json
def unit(install: bool, as_json: bool) -> None:
    """The systemd user unit that runs it."""
    if install:
        file = unit_file.install()
        answer(
            {"file": str(file)},
            as_json,
            lambda: output.note(
                f"{file} is written; start it: systemctl --user enable --now {unit_file.NAME}"
            ),
        )
    else:
        text = unit_file.text()
        answer({"unit": text}, as_json, lambda: click.echo(text, nl=False))


def _show(state: DaemonState) -> None:
    if state.status == "stopped":
        output.note("the daemon is stopped; start it: rhdesk daemon start")
        return
    since = output.ago(state.started_at)
    output.print_text(f"{state.status}, pid {state.pid}, started {since}; log {state.log}")
    rows = [(loop.name, output.ago(loop.ran_at), loop.error or loop.told) for loop in state.loops]
    if rows:
        output.print_table(("LOOP", "LAST", "WHAT"), rows)
