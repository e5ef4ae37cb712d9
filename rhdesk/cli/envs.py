"""``rhdesk env ls | make | drop``."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk, on_cluster, show_steps
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput
from rhdesk.models import Env, EnvSpec


@click.group()
def env() -> None:
    """Environments: packages and variables a run sees."""


@env.command("ls")
@on_cluster
@as_json
def list_envs(on: str, as_json: bool) -> None:
    """Environments on a cluster."""
    found = at_desk(lambda desk: desk.envs(on))
    rows = [
        (
            e.name,
            e.state,
            e.lock[:12] or "-",
            len(e.packages) or "-",
            output.ago(e.started_at),
            e.why,
        )
        for e in found
    ]
    head = ("NAME", "STATE", "LOCK", "PACKAGES", "UP SINCE", "")
    answer(found, as_json, lambda: output.print_table(head, rows))


@env.command()
@click.argument("name")
@click.argument("reqs", nargs=-1)
@click.option("--setup", multiple=True, help="Shell command run once, after the packages.")
@click.option("--var", multiple=True, metavar="K=V", help="Variable its runs see.")
@click.option("--working-dir", type=click.Path(file_okay=False), help="Where commands run.")
@click.option("--secret", multiple=True, help="One its runs find while it lasts; see `secret`.")
@click.option("--force", is_flag=True, help="Resolve and install again.")
@click.option("--node", multiple=True, help="On this node only; again for another.")
@on_cluster
@as_json
def make(
    name: str,
    reqs: tuple[str, ...],
    setup: tuple[str, ...],
    var: tuple[str, ...],
    working_dir: str | None,
    secret: tuple[str, ...],
    force: bool,
    node: tuple[str, ...],
    on: str,
    as_json: bool,
) -> None:
    """Make environment NAME with REQS: numpy==2.1, requirements.txt, local:./lib, a git URL."""
    spec = EnvSpec(
        name=name,
        reqs=reqs,
        setup_cmds=setup,
        env_vars=_variables(var),
        working_dir=working_dir,
        secrets=secret,
    )

    async def work(desk: AsyncDesk) -> Env:
        await show_steps(desk.make_env(spec, on=on, nodes=node, force=force), as_json=as_json)
        return next(e for e in await desk.envs(on) if e.name == name)

    made = at_desk(work)
    if as_json:
        output.print_end(made)


@env.command()
@click.argument("name")
@click.option("--node", multiple=True, help="On this node only; again for another.")
@on_cluster
@as_json
def drop(name: str, node: tuple[str, ...], on: str, as_json: bool) -> None:
    """End environment NAME and what its runs started."""
    at_desk(lambda desk: desk.drop_env(name, on=on, nodes=node))
    answer({"dropped": name}, as_json, lambda: output.note(f"{name} is gone from {on}"))


def wanted(text: str) -> EnvSpec | str:
    """What ``--env`` means: the name of one there, or packages to make one of."""
    if not text:
        return ""
    is_file = text.endswith((".txt", ".toml")) or Path(text).is_dir()
    is_packages = "," in text or any(sign in text for sign in "=<>@:/")
    if is_file:
        return EnvSpec(name=Path(text).resolve().stem, reqs=(text,))
    if is_packages:
        reqs = tuple(part.strip() for part in text.split(",") if part.strip())
        return EnvSpec(name=f"env-{sha256(text.encode()).hexdigest()[:8]}", reqs=reqs)
    return text


def _variables(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not (equals and name):
            raise BadInput(f"--var takes NAME=value; {each!r} is not")
        found[name] = value
    return found
