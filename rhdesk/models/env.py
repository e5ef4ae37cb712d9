"""What a run sees: packages, variables, a working folder."""

from __future__ import annotations

from datetime import datetime

import msgspec


class EnvSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An environment as asked for."""

    name: str = "base"
    reqs: tuple[str, ...] = ()
    """Package specs as in v0.0.12: ``numpy==2.1``, ``reqs:./``, ``local:./lib``, a git URL."""
    setup_cmds: tuple[str, ...] = ()
    """Shell commands run once, in order, after the packages; one that fails fails the env."""
    env_vars: dict[str, str] = {}
    working_dir: str | None = None
    secrets: tuple[str, ...] = ()
    """Names of those its runs find where their providers look for them, while it lasts."""


class Env(msgspec.Struct, frozen=True, kw_only=True):
    """An environment as it stands on a cluster."""

    name: str
    cluster: str
    lock: str
    """Hash of the resolved requirements; two envs with one lock share one venv."""
    python: str = ""
    """The interpreter, as a path on the cluster."""
    state: str = "up"
    """``up``, ``starting`` or ``died``."""
    why: str = ""
    pid: int = 0
    started_at: datetime | None = None
    packages: tuple[str, ...] = ()
    """The resolved lock, ``name==version``, sorted."""
