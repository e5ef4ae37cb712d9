"""Everything a run here needs, looked at one by one: what was seen, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from rhdesk.clusters.service import Clusters
from rhdesk.errors import RhdeskError
from rhdesk.models import Check, ClusterState

_ROOM_BYTES: Final = 500_000_000
_ANSWER_S: Final = 2.0


async def examine(
    clusters: Clusters, name: str, *, data_dir: Path, cache_dir: Path
) -> list[Check]:
    """Look at everything; what is wrong is in the checks, nothing is raised for it."""
    checks = [
        _python(),
        _package("ray", "rhdesk[servlet]"),
        _package("uvicorn", "rhdesk[servlet]"),
        _git(),
        _sqlite(),
        _folder("data folder", data_dir),
        _folder("cache folder", cache_dir),
    ]
    cluster = await clusters.look(name)
    up = cluster.state is ClusterState.UP
    evidence = f"{name} is {cluster.state}{': ' + cluster.why if cluster.why else ''}"
    checks.append(
        Check(what="cluster", ok=up, evidence=evidence, remedy="" if up else f"rhdesk up {name}")
    )
    if up:
        checks.append(_token(data_dir / "clusters" / name / "token"))
        checks += await servlets(clusters, name)
    return checks


def _python() -> Check:
    seen = sys.version.split()[0]
    ok = sys.version_info >= (3, 11)
    return Check(
        what="Python",
        ok=ok,
        evidence=f"{seen} at {sys.executable}",
        remedy="" if ok else "rhdesk needs Python 3.11 or newer",
    )


def _package(name: str, extra: str) -> Check:
    try:
        return Check(what=name, ok=True, evidence=version(name))
    except PackageNotFoundError:
        return Check(
            what=name, ok=False, evidence="not installed here", remedy=f'pip install "{extra}"'
        )


def _git() -> Check:
    found = shutil.which("git")
    return Check(
        what="git",
        ok=found is not None,
        evidence=found or "not on the PATH",
        remedy="" if found else "install git: names and their versions are kept in it",
    )


def _sqlite() -> Check:
    return Check(
        what="SQLite",
        ok=True,
        evidence=f"{sqlite3.sqlite_version}; the run book uses journal_mode=DELETE, synchronous=EXTRA",
    )


def _folder(what: str, folder: Path) -> Check:
    above = folder
    while not above.exists():
        above = above.parent
    free = shutil.disk_usage(above).free
    if not os.access(above, os.W_OK) or _is_read_only(above):
        remedy = f"make {above} writable, or set RHDESK_{what.split()[0].upper()}_DIR"
        return Check(what=what, ok=False, evidence=f"{folder} cannot be written", remedy=remedy)
    ok = free > _ROOM_BYTES
    return Check(
        what=what,
        ok=ok,
        evidence=f"{folder}, {free / 1e9:.1f} GB free",
        remedy="" if ok else "make room: less than 0.5 GB is left",
    )


def _is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _token(file: Path) -> Check:
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0
    ok = mode == 0o600
    return Check(
        what="token",
        ok=ok,
        evidence=f"{file}, mode {mode:04o}",
        remedy="" if ok else f"chmod 600 {file}",
    )


async def servlets(clusters: Clusters, name: str) -> list[Check]:
    """Whether the gateway and each environment answer."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            health = await clusters.health(name)
    except (TimeoutError, RhdeskError) as exc:
        remedy = f"rhdesk down {name}; rhdesk up {name}"
        return [Check(what="gateway", ok=False, evidence=str(exc) or "no answer", remedy=remedy)]
    checks = [
        Check(what="gateway", ok=True, evidence=f"answers; Ray {health.ray}, pid {health.pid}")
    ]
    for env in health.envs:
        up = env.state == "up"
        evidence = f"{env.state}, pid {env.pid}" if up else env.why
        remedy = "" if up else "it is started again by the next call"
        checks.append(
            Check(what=f"environment {env.name}", ok=up, evidence=evidence, remedy=remedy)
        )
    return checks
