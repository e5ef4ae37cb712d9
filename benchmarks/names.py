"""100,000 names: load, save, list, near names, and how long the index takes to be made.

    python -m benchmarks.names [--names 100000]

A save is on the disk with its version when it returns. Beside it, in turn and in one run: what a
`git commit` of one file costs through GitPython, and a row of a bare SQLite that is flushed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import git
import msgspec

from rhdesk.config import Settings
from rhdesk.errors import NotFound
from rhdesk.models import Name, Record
from rhdesk.rns.names import LocalNames

SAVES = 100
LOADS = 3_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=100_000)
    folder = Path(tempfile.mkdtemp(prefix="rhdesk-names-"))
    try:
        measure(folder, parser.parse_args().names)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, count: int) -> None:
    fill(folder / "project", count)
    settings = Settings(data_dir=folder / "data", cache_dir=folder / "cache")
    names = LocalNames(settings, folder / "project")
    timed(f"{count:,} files of a person taken in: index and first versions", names.names)
    shutil.rmtree(settings.cache_dir)
    names.close()
    names = LocalNames(settings, folder / "project")
    timed("the index made anew from git and files", names.names)
    ls = [seconds(names.names) for _ in range(7)]
    told("list all of them (ls), p50", at(ls, 0.5), 1e3, "ms")

    dice = random.Random(1)
    chosen = [Name.parse(f"~/{spelling(dice.randrange(count))}") for _ in range(LOADS)]
    names.load(chosen[0])
    loads = [seconds(partial(names.load, name)) for name in chosen]
    told("load one by name, p50", at(loads, 0.5), 1e3, "ms, wanted: 0.3")
    told("load one by name, p99", at(loads, 0.99), 1e3, "ms")

    def miss() -> None:
        try:
            names.load(Name.parse(f"~/{spelling(dice.randrange(count))}x"))
        except NotFound:
            return
        raise AssertionError("it is there")

    misses = [seconds(miss) for _ in range(20)]
    told("a miss, with the nearest names, p50", at(misses, 0.5), 1e3, "ms")
    saves(folder, names, count)
    names.close()


def saves(folder: Path, names: LocalNames, count: int) -> None:
    """A changed config, a new name, and what others take for less, in turn."""
    peer = Peers(folder / "peers")
    dice = random.Random(2)
    times: dict[str, list[float]] = {"changed": [], "new": [], "git": [], "sqlite": []}
    for number in range(SAVES + 5):
        config = {"number": number, "alpha": number / 7}
        changed, new = (
            Record(name=f"~/{name}", resource_type="blob", config=config)
            for name in (spelling(dice.randrange(count)), f"new/{number}")
        )
        took = {
            "changed": seconds(partial(names.save, changed)),
            "new": seconds(partial(names.save, new)),
            "git": seconds(partial(peer.commit, number)),
            "sqlite": seconds(partial(peer.insert, number)),
        }
        if number >= 5:
            for kind, lasted in took.items():
                times[kind].append(lasted)
    for kind in ("changed", "new"):
        mine = at(times[kind], 0.5)
        told(f"save a {kind} one with its version, durable, p50", mine, 1e3, "ms, wanted: 15")
        told(f"save a {kind} one, p99", at(times[kind], 0.99), 1e3, "ms")
    ours = at(times["changed"], 0.5)
    for peers, what in (
        ("git", "git commit of one file through GitPython"),
        ("sqlite", "row of SQLite, flushed"),
    ):
        theirs = at(times[peers], 0.5)
        told(f"a {what}, p50", theirs, 1e3, f"ms; a save is {ours / theirs:.2f} of it")


class Peers:
    def __init__(self, folder: Path) -> None:
        self._repo = git.Repo.init(folder / "git")
        with self._repo.config_writer() as config:
            config.set_value("user", "name", "Ann")
            config.set_value("user", "email", "ann@example.org")
            config.set_value("core", "fsync", "all")
        self._file = folder / "git" / "file.json"
        self._db = sqlite3.connect(folder / "peer.db", isolation_level=None)
        self._db.execute("PRAGMA synchronous = EXTRA")
        self._db.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT)")

    def commit(self, number: int) -> None:
        self._file.write_text(f'{{"number": {number}}}')
        self._repo.git.add(str(self._file))
        self._repo.git.commit("-q", "-m", f"save {number}")

    def insert(self, number: int) -> None:
        self._db.execute("INSERT INTO row (text) VALUES (?)", (f'{{"number": {number}}}',))


def spelling(number: int) -> str:
    return f"team{number % 100:02d}/name-{number:06d}"


def fill(project: Path, count: int) -> None:
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    for number in range(count):
        place = project / "rh" / spelling(number)
        place.mkdir(parents=True)
        config = {
            "name": f"~/{spelling(number)}",
            "resource_type": "blob",
            "resource_subtype": "Blob",
            "number": number,
        }
        (place / "config.json").write_bytes(msgspec.json.encode(config))


def at(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def timed(what: str, work: Callable[[], object]) -> None:
    told(what, seconds(work), 1, "s")


def told(what: str, took: float, unit: float, words: str) -> None:
    print(f"{what:<64}{took * unit:9.3f} {words}", flush=True)


if __name__ == "__main__":
    main()
