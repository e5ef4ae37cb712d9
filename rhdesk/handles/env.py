"""``rh.env``: what a function sees while it runs: packages, variables, a working folder."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from rhdesk.code.env_vars import load_env_vars
from rhdesk.errors import BadInput, NotFound, SetupFailed
from rhdesk.handles import naming
from rhdesk.handles.cluster import Cluster, cluster_of
from rhdesk.handles.resource import Resource
from rhdesk.handles.session import session
from rhdesk.models import EnvSpec
from rhdesk.wire.canonical import spell, version_of

BASE = "base"


def env(
    reqs: Sequence[str] | str = (),
    conda_env: Any = None,
    name: str | None = None,
    setup_cmds: Sequence[str] | None = None,
    env_vars: Mapping[str, str] | str | None = None,
    working_dir: str | None = None,
    dryrun: bool = True,
    secrets: Sequence[str] | None = None,
) -> Env:
    """An environment; with a name alone, the one saved under it.

    Args:
        reqs: Package specs: ``numpy==2.1``, ``reqs:./``, ``local:./lib``, a git URL.
        setup_cmds: Shell commands run once after the packages.
        env_vars: Variables, or the path of a ``.env`` file.
        working_dir: Folder that relative paths in *reqs* start from, and commands run in.
        secrets: Names of secrets that its runs find where their providers look for them, for as
            long as its servlet lasts.

    Raises:
        BadInput: *conda_env* was given; venvs take its place.
    """
    if conda_env is not None:
        raise BadInput(
            "conda environments are not supported; give reqs=[...], made with pip's names"
        )
    reqs = [reqs] if isinstance(reqs, str) else list(reqs)
    nothing_else = not (reqs or setup_cmds or env_vars or working_dir or secrets)
    if name and nothing_else and naming.exists(name, "env"):
        return Env.from_name(name, dryrun=dryrun)
    return Env(
        reqs=reqs,
        name=name,
        setup_cmds=setup_cmds or (),
        env_vars=load_env_vars(env_vars, folder=Path(working_dir or ".")) if env_vars else {},
        working_dir=working_dir,
        dryrun=dryrun,
        secrets=secrets or (),
    )


def conda_env(
    reqs: Sequence[str] | str = (),
    conda_env: Any = None,
    name: str | None = None,
    setup_cmds: Sequence[str] | None = None,
    env_vars: Mapping[str, str] | str | None = None,
    working_dir: str | None = None,
    dryrun: bool = True,
) -> Env:
    """The spelling of old for conda.

    Raises:
        BadInput: Always; it says what to use instead.
    """
    return env(reqs, conda_env or {}, name, setup_cmds, env_vars, working_dir, dryrun)


class Env(Resource):
    """An environment as asked for; `to` makes it on a cluster."""

    RESOURCE_TYPE = "env"

    def __init__(
        self,
        reqs: Sequence[str] = (),
        name: str | None = None,
        setup_cmds: Sequence[str] = (),
        env_vars: Mapping[str, str] | None = None,
        working_dir: str | None = None,
        dryrun: bool = True,
        secrets: Sequence[str] = (),
    ) -> None:
        super().__init__(name, dryrun)
        self.reqs = list(reqs)
        self.setup_cmds = list(setup_cmds)
        self.env_vars = dict(env_vars or {})
        self.working_dir = working_dir
        self.secrets = list(secrets)

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Self:
        return cls(
            reqs=config.get("reqs") or (),
            name=config.get("name"),
            setup_cmds=config.get("setup_cmds") or (),
            env_vars=config.get("env_vars") or {},
            working_dir=config.get("working_dir"),
            secrets=config.get("secrets") or (),
        )

    @property
    def env_name(self) -> str:
        """What it is called on a cluster; one without name and packages is ``base``."""
        if self.name:
            return self.name
        if not (self.reqs or self.setup_cmds or self.env_vars or self.secrets):
            return BASE
        asked = "\n".join(
            [*self.reqs, *self.setup_cmds, *sorted(self.env_vars), *sorted(self.secrets)]
        )
        return f"env-{sha256(asked.encode()).hexdigest()[:8]}"

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(
            name=self.env_name,
            reqs=tuple(self.reqs),
            setup_cmds=tuple(self.setup_cmds),
            env_vars=self.env_vars,
            working_dir=str(Path(self.working_dir).expanduser().resolve())
            if self.working_dir
            else None,
            secrets=tuple(self.secrets),
        )

    @property
    def config_for_rns(self) -> dict[str, Any]:
        return super().config_for_rns | {
            "reqs": self.reqs,
            "setup_cmds": self.setup_cmds,
            "env_vars": self.env_vars,
            "working_dir": self.working_dir,
            "secrets": self.secrets,
            "env_name": self.env_name,
        }

    def to(
        self,
        system: str | Cluster,
        path: str | None = None,
        mount: bool = False,
        force_install: bool = False,
    ) -> Self:
        """Make it on a cluster, or find it made there."""
        cluster = cluster_of(system)
        if self.env_name == BASE:
            return self
        if self._names_one_there:
            there = [each.name for each in session().desk.envs(cluster.key)]
            if self.env_name in there:
                return self
            raise NotFound(self.env_name, kind=f"environment on {cluster.key}", near=there)
        session().make_env(self.spec, on=cluster.key, force=force_install)
        return self

    @property
    def _names_one_there(self) -> bool:
        """Whether it is a name and nothing else: it means the one the cluster has."""
        return not (self.reqs or self.setup_cmds or self.env_vars or self.working_dir)

    def install(self, force: bool = False) -> None:
        """Install its packages into the running interpreter.

        Raises:
            SetupFailed: pip failed; `output` holds its last lines.
        """
        if self.reqs:
            self._run([sys.executable, "-m", "pip", "install", "--quiet", *self.reqs])
        for command in self.setup_cmds:
            self._run(["/bin/sh", "-c", command])

    def run(self, cmds: Sequence[str]) -> list[int]:
        """Run commands here with its variables; returns their exit codes."""
        variables = os.environ | self.env_vars
        return [
            subprocess.run(["/bin/sh", "-c", command], env=variables, check=False).returncode
            for command in cmds
        ]

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command, env=os.environ | self.env_vars, capture_output=True, text=True, check=False
        )
        if done.returncode:
            output = (done.stdout + done.stderr)[-4000:]
            raise SetupFailed(f"{shlex.join(command)} ended with {done.returncode}", output=output)


def own_reads(called: Resource, env: Env) -> tuple[tuple[str, str], ...]:
    """What every call of a handle reads: itself as it is saved, and its environment if it is."""
    own = Resource.saved_as(called)
    found = [own] if own else []
    address = env.rns_address
    if address and session().desk.exists(address):
        found.append((address, version_of(spell(env.config_for_rns))))
    return tuple(found)


def env_of(value: Env | str | Sequence[str] | None) -> Env:
    """What callers may give as ``env=``: a handle, a name, packages, or nothing."""
    if isinstance(value, Env):
        return value
    if value is None or value == []:
        return Env()
    if isinstance(value, str):
        looks_like_file = value.endswith((".txt", ".toml")) or value.startswith((".", "reqs:"))
        return Env(reqs=[value]) if looks_like_file else env(name=value)
    return Env(reqs=list(value))
