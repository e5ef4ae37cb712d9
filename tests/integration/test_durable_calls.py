"""Every durable call of a save is killed once, fails once, is cut in half once.

Durable is what changes the disk: a write, a flush, a rename, a new folder, in rhdesk and in every
git it starts. Acknowledged is what the work wrote to a pipe after the verb had returned. The kills
go through every call of a first save, a second one, a rename and a deletion, and through every
fourth of the other scenarios; each other fault goes through every twenty-ninth call, another one
for each fault. With RHDESK_SOAK=1 everything goes through all.

The time a killed git's lock is respected is not waited out: locks are made old first. That a save
waits for it is tested in `test_rns_git`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from rhdesk.config import Settings
from rhdesk.errors import RhdeskError
from rhdesk.models import Name, Record
from rhdesk.rns.names import LocalNames
from tests.testbed import injector
from tests.testbed.injector import Injector, Outcome, What

P = Name.parse
SOAK: Final = bool(os.environ.get("RHDESK_SOAK"))

WORK: Final = """
import os
from pathlib import Path
from rhdesk.config import Settings
from rhdesk.errors import RhdeskError
from rhdesk.models import Name, Record
from rhdesk.rns.names import LocalNames
import rhdesk.rns.repository
import sqlite_utils
from datetime import UTC, datetime

def record(name, a):
    return Record(name=name, resource_type="function", config={"a": a, "text": "x" * 200})

def in_place(self, name, data):
    # What a hasty program does: the file itself is written, and nothing is staged.
    from rhdesk.rns.work_tree import Staged
    file = self.file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "wb") as stream:
        stream.write(data)
    seen = file.stat()
    return Staged(str(file), (seen.st_mtime_ns, seen.st_size))

def unflushed(self, name, data):
    from rhdesk.rns.work_tree import Staged
    file = self.file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".config.json.{os.getpid()}")
    temporary.write_bytes(data)
    seen = temporary.stat()
    return Staged(str(temporary), (seen.st_mtime_ns, seen.st_size))

def work(asked, say):
    root = Path(asked["root"])
    settings = Settings(data_dir=root / "data", cache_dir=root / "cache")
    how, scenario = asked.get("how", ""), asked["scenario"]
    if how == "in place":
        rhdesk.rns.work_tree.WorkTree.stage = in_place
    if how == "unflushed":
        rhdesk.rns.work_tree.WorkTree.stage = unflushed

    def now():
        # Asked for between staging and committing: too early to say anything.
        if how == "says so first":
            say("saved")
        return datetime.now(UTC)

    names = LocalNames(settings, root / asked["start"], now=now)
    if scenario in ("first", "ours"):
        names.save(record("~/x", 2))
    elif scenario == "again":
        names.save(record("~/x", 2))
    elif scenario == "folder":
        names.save(record("~/new/folder/z", 2))
    elif scenario == "rename":
        names.rename(Name.parse("~/x"), Name.parse("~/y"))
    elif scenario == "delete":
        names.delete(Name.parse("~/x"))
    elif scenario == "edit":
        assert names.load(Name.parse("~/x")).config["a"] == 2
    if how != "says so first":
        say("saved")
    names.close()
"""

BEFORE: Final = {"~/x": 1, "~/keep": 1}
SCENARIOS: Final[dict[str, tuple[str, dict[str, int], dict[str, int]]]] = {
    # which state it starts from, the names before, the names after
    "first": ("repository", {}, {"~/x": 2}),
    "ours": ("plain", {}, {"~/x": 2}),
    "again": ("saved", BEFORE, {"~/x": 2, "~/keep": 1}),
    "folder": ("saved", BEFORE, {**BEFORE, "~/new/folder/z": 2}),
    "rename": ("saved", BEFORE, {"~/y": 1, "~/keep": 1}),
    "delete": ("saved", BEFORE, {"~/keep": 1}),
    "edit": ("edited", {"~/x": 2, "~/keep": 1}, {"~/x": 2, "~/keep": 1}),
}


class Bench:
    """One folder that is brought back to how it was before each run."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.root = folder / "root"
        self._states = folder / "states"
        for state in ("plain", "repository", "saved", "edited"):
            self._make(state)
        self._injector = Injector(library, folder, self.root, WORK, os.environ)

    def close(self) -> None:
        self._injector.__exit__(None, None, None)

    def run(self, scenario: str, what: What = What.NOTHING, at: int = 0, how: str = "") -> Outcome:
        """Do one scenario from its beginning."""
        state = SCENARIOS[scenario][0]
        shutil.rmtree(self.root)
        shutil.copytree(self._states / state, self.root, symlinks=True)
        asked = {"root": str(self.root), "start": "project", "scenario": scenario, "how": how}
        return self._injector.run(asked, what, at)

    def calls(self) -> list[tuple[int, str, str]]:
        return self._injector.calls()

    def names(self) -> LocalNames:
        settings = Settings(data_dir=self.root / "data", cache_dir=self.root / "cache")
        return LocalNames(settings, self.root / "project")

    def wrong(self, scenario: str, outcome: Outcome) -> list[str]:
        """What is not as it must be, whatever happened to the run."""
        _, before, after = SCENARIOS[scenario]
        found: list[str] = []
        names = self.names()
        began = time.monotonic()
        there = {record.name: record.config.get("a") for record in names.names()}
        if time.monotonic() - began > 2:
            found.append(f"took {time.monotonic() - began:.1f} s to open")
        self._age_locks(names)
        if there not in (before, after):
            found.append(f"neither before nor after: {there}")
        if "saved" in outcome.said and there != after:
            found.append(f"said saved, and there is {there}")
        if outcome.raised is not None:
            kind, text, on_purpose = outcome.raised
            if not on_purpose:
                found.append(f"raised {kind}: {text}")
            if "nothing was saved" in text and there != before:
                found.append(f"said that nothing was saved, and there is {there}")
            if "the version is in git" in text and there != after:
                found.append(f"said that the version is in git, and there is {there}")
        elif not outcome.was_killed and "saved" not in outcome.said:
            found.append("ended without a word")
        try:
            found += self._wrong_afterwards(names, before, there)
        except RhdeskError as exc:
            found.append(f"cannot go on: {exc}")
        names.close()
        return found

    def _wrong_files(self, names: LocalNames) -> Iterator[str]:
        rh = names.place.rh
        there = {record.name: record.config.get("a") for record in names.names()}
        files: dict[str, Any] = {}
        for file in rh.rglob("config.json"):
            name = f"~/{file.parent.relative_to(rh).as_posix()}"
            try:
                files[name] = json.loads(file.read_bytes()).get("a")
            except ValueError:
                files[name] = "half"
        if files != there:
            yield f"the files say {files}"
        if left := [file.name for file in rh.rglob(".config.json.*")]:
            yield f"left behind: {left}"

    def _wrong_afterwards(
        self, names: LocalNames, before: dict[str, int], there: dict[str, Any]
    ) -> Iterator[str]:
        """A save must work now, the history be whole, and fsck find nothing to be done."""
        names.save(Record(name="~/after", resource_type="function", config={"a": 3}))
        if names.load(P("~/after")).config["a"] != 3:
            yield "a save afterwards is not there"
        if "~/x" in before:
            name = P("~/y" if "~/y" in there else "~/x")
            if 1 not in {version.config.get("a") for version in names.history(name)}:
                yield "the version acknowledged before is not in the history"
        unmended = [each.what for each in names.examine(mend=False) if not each.is_mended]
        if unmended:
            yield f"fsck: {unmended}"
        yield from self._wrong_files(names)
        git = ["git", f"--git-dir={names.place.git_dir}", "fsck", "--strict", "--no-dangling"]
        checked = subprocess.run(git, capture_output=True, text=True, check=False)
        if checked.returncode:
            yield f"git fsck: {checked.stdout}{checked.stderr}"

    def _age_locks(self, names: LocalNames) -> None:
        for lock in names.place.git_dir.rglob("*.lock"):
            os.utime(lock, (time.time() - 600, time.time() - 600))

    def _make(self, state: str) -> None:
        self.root.mkdir()
        project = self.root / "project"
        project.mkdir()
        if state != "plain":
            for command in ("init -q --template=", "commit -q --allow-empty -m first"):
                subprocess.run(["git", "-C", str(project), *command.split()], check=True)
        if state in ("saved", "edited"):
            names = self.names()
            for name in BEFORE:
                names.save(Record(name=name, resource_type="function", config={"a": 1}))
            names.close()
        if state == "edited":
            (project / "rh/x/config.json").write_text('{"resource_type": "function", "a": 2}')
        os.utime(project)
        shutil.copytree(self.root, self._states / state, symlinks=True)
        if state != "edited":
            shutil.rmtree(self.root)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return injector.build(tmp_path_factory.mktemp("library"))


@pytest.fixture
def bench(tmp_path: Path, library: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, library)
    yield made
    made.close()


def sweep(
    bench: Bench, scenario: str, what: What, *, how: str = "", every: int = 1, first: int = 0
) -> tuple[int, list[str]]:
    """Go through the calls; returns how many were tried, and what went wrong at which."""
    whole = bench.run(scenario, how=how)
    assert not whole.was_killed
    assert whole.said == ["saved"]
    calls = bench.calls()
    if what in (What.SHORT_WRITE, What.TORN_WRITE):
        calls = [each for each in calls if each[1] == "write"]
    wrong: list[str] = []
    tried = calls[first % every :: every]
    for number, call, path in tried:
        outcome = bench.run(scenario, what, number, how)
        wrong += [
            f"{what.name} at {number}, {call} {path}: {each}"
            for each in bench.wrong(scenario, outcome)
        ]
    return len(tried), wrong


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_any_durable_call_nothing_acknowledged_is_lost(
    bench: Bench, scenario: str
) -> None:
    every = 1 if SOAK or scenario in ("first", "again", "rename", "delete") else 4
    tried, wrong = sweep(bench, scenario, What.KILL_GROUP, every=every)
    assert wrong == []
    assert tried > 15


OTHERS = [w for w in What if w not in (What.NOTHING, What.KILL_GROUP)]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_call_that_fails_makes_a_save_fail_before_it_says_saved(
    bench: Bench, scenario: str
) -> None:
    """Every twenty-ninth call, another one for each fault; all of them in the soak."""
    every = 1 if SOAK else 29
    for place, what in enumerate(OTHERS):
        tried, wrong = sweep(bench, scenario, what, every=every, first=place * 7)
        assert wrong == []
        assert tried


# ---- the harness notices what it is for


def test_the_harness_notices_who_says_saved_before_the_commit(bench: Bench) -> None:
    _, wrong = sweep(bench, "again", What.KILL_GROUP, how="says so first", every=3)
    assert any("said saved, and there is" in each for each in wrong)


def test_the_harness_notices_a_file_written_in_place(bench: Bench) -> None:
    _, wrong = sweep(bench, "again", What.KILL_GROUP, how="in place")
    assert any("neither before nor after" in each for each in wrong)


# ---- what a power cut would take


def unflushed(calls: list[tuple[int, str, str]]) -> list[str]:
    """What was given its name before its content was on the disk; the index may be so."""
    found: list[str] = []
    last: dict[str, str] = {}
    before = ""
    for _, call, path in calls:
        folder = os.path.dirname(path)
        if "/.new-" in path:
            before = call  # a repository is flushed as a whole, and then moved to its place
            continue
        if path.endswith("/.git") and call == "rename":
            last[folder] = before
        if call in ("rename", "link") and last.get(folder) != "fsync":
            found.append(path)
        if call not in ("mkdir", "unlink"):
            last[folder] = call
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_acknowledged_was_flushed_before_it_got_its_name(
    bench: Bench, scenario: str
) -> None:
    bench.run(scenario)
    calls = bench.calls()
    assert [call for _, call, _ in calls if call in ("rename", "link")]
    assert unflushed(calls) == []
    for place, (_, call, path) in enumerate(calls):
        if call == "rename" and "/rh/" in path:
            folder = ("fsync", os.path.dirname(path))
            assert folder in [(call, path) for _, call, path in calls[place:]]


def test_the_harness_notices_a_file_that_was_not_flushed(bench: Bench) -> None:
    bench.run("again", how="unflushed")
    assert [os.path.basename(path) for path in unflushed(bench.calls())] == ["config.json"]
