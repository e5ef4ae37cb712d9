"""``python -m benchmarks.history``: how fast a long history opens among many names.

1,000 versions of one name, in a repository of 10,000 names and as many commits (or as many names as
the argument says), beside ``git log`` asked about the same file.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rhdesk.config import Settings
from rhdesk.models import Name, Record
from rhdesk.rns import config_file
from rhdesk.rns.names import LocalNames
from rhdesk.rns.repository import Commit

VERSIONS = 1_000
LONG = "long-history"
_AT_ONCE = 5_000


def main(names: int = 10_000) -> None:
    folder = Path(tempfile.mkdtemp(prefix="rhdesk-bench-"))
    try:
        _measure(folder, names)
    finally:
        shutil.rmtree(folder)


def _measure(folder: Path, count: int) -> None:
    project = folder / "project"
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    settings = Settings(data_dir=folder / "data", cache_dir=folder / "cache")
    names = LocalNames(settings, project)
    _fill(names, count)
    print(f"{count:,} names, {count + VERSIONS:,} commits, {VERSIONS:,} versions of one of them")
    long = Name.parse(f"~/{LONG}")

    def history() -> None:
        assert len(names.history(long, limit=2 * VERSIONS)) > VERSIONS

    print(f"  the very first time, the index not knowing any {_once(history):10.0f} ms")
    _show("history, in process", history)

    def after_a_save() -> float:
        names.save(Record(name=f"~/{LONG}", resource_type="blob", config={"n": time.time()}))
        return _once(history)

    took = statistics.median(after_a_save() for _ in range(7))
    print(f"  history after a save                       {took:10.0f} ms")
    oldest = names.history(long, limit=0)[-2].version
    _show("load name@version", lambda: names.load(Name.parse(f"~/{LONG}@{oldest[:12]}")))
    names.close()

    environ = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "x")}
    environ |= {"XDG_CACHE_HOME": str(folder / "y")}
    command = [sys.executable, "-m", "rhdesk.cli", "history", f"~/{LONG}", "--limit", "2000"]
    floor = [sys.executable, "-c", "pass"]
    git = ["git", "log", "--format=%H", "refs/rhdesk/names", "--", f"*/{LONG}/config.json"]
    for name, asked in (("rhdesk history", command), ("python -c pass", floor), ("git log", git)):
        _show(name, lambda asked=asked: _run(asked, project, environ))  # type: ignore[misc]


def _fill(names: LocalNames, count: int) -> None:
    """Every name saved once, the versions of the long one spread among them."""
    commits: list[Commit] = []
    every = max(1, count // VERSIONS)
    at = datetime.now(UTC)
    for number in range(count):
        name = f"group-{number % 100:02d}/name-{number:06d}"
        commits.append(_commit(name, {"n": number}, at))
        if number % every == 0:
            fields = {"n": number, "alpha": number / 10, "env": {"reqs": ["six", str(number)]}}
            commits.append(_commit(LONG, fields, at))
    names.save(Record(name=f"~/{LONG}", resource_type="blob", config={"n": -1}))
    repository = names.store.repository
    for start in range(0, len(commits), _AT_ONCE):
        repository.commit(names.store.tip, commits[start : start + _AT_ONCE])
    names.names()


def _commit(name: str, fields: dict[str, object], at: datetime) -> Commit:
    config = config_file.write(f"~/{name}", "blob", dict(fields))
    return Commit(f"save ~/{name}", [(name, config.data)], at)


def _run(command: list[str], cwd: Path, environ: dict[str, str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=cwd, env=environ)


def _once(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def _show(name: str, work: Callable[[], object]) -> None:
    work()
    times = sorted(_once(work) for _ in range(9))
    print(f"  {name:<42} {times[4]:10.0f} ms, slowest of 9 {times[-1]:.0f} ms")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
