"""Kills between a run and its edges, and what the command tells from a folder that was left so."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rhdesk.runs.book import RunBook
from rhdesk.runs.recorder import Recorder

SEED = 20261123

WRITER = """
import itertools, os, sys, time
from datetime import UTC, datetime
from pathlib import Path
import msgspec
from rhdesk.models import Edge, Run, RunStatus
from rhdesk.runs.recorder import Recorder

folder, name, how = sys.argv[1:4]
whole = Recorder.submitted

def in_two(self, run, reads=()):
    whole(self, run)
    time.sleep(0.02)
    for name, version in reads:
        self.touched(Edge(run_id=run.run_id, kind="read", name=name, version=version,
                          at=run.submitted_at))

if how == "in two":
    Recorder.submitted = in_two

def say(word, run_id):
    os.write(1, f"{word} {run_id}\\n".encode())

recorder = Recorder(Path(folder))
say("open", "-")
for number in itertools.count():
    now = datetime.now(UTC)
    run = Run(run_id=f"{name}-{number:06d}", function="~/f", cluster="here", submitted_at=now,
              origin={"keep": "k"} if number % 2 else {})
    recorder.submitted(run, (("~/f", "aaaa"), ("~/data", f"{number:08x}")))
    say("submitted", run.run_id)
    recorder.touched(Edge(run_id=run.run_id, kind="wrote", name="~/made", version=f"{number:08x}",
                          at=now))
    say("wrote", run.run_id)
    recorder.ended(msgspec.structs.replace(run, status=RunStatus.SUCCEEDED, ended_at=now))
    say("ended", run.run_id)
"""


def killed(folder: Path, times: int, how: str) -> dict[str, set[str]]:
    """Children that write and are killed at any moment; what each had been told is done."""
    dice = random.Random(SEED)
    told: dict[str, set[str]] = {"submitted": set(), "wrote": set(), "ended": set()}
    for number in range(times):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), f"c{number:03d}", how],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # what is read ahead of a line would be lost to `communicate`
        )
        assert child.stdout is not None
        opened = child.stdout.readline()
        assert opened == b"open -\n", child.communicate()[1]
        time.sleep(dice.uniform(0, 0.12))
        child.send_signal(signal.SIGKILL)
        out, err = child.communicate(timeout=30)
        assert (child.returncode, err) == (-signal.SIGKILL, b"")
        for line in out.decode().splitlines(keepends=True):
            if line.endswith("\n"):
                word, run_id = line.split()
                told[word].add(run_id)
    return told


def faults(folder: Path, told: dict[str, set[str]]) -> list[str]:
    """Runs without what they read, edges without a run, and what was acknowledged and is gone."""
    Recorder(folder).close()
    book = RunBook(folder / "runs.db", read_only=True)
    runs = {run.run_id for run in book.runs(limit=sys.maxsize)}
    found = [f"{run_id} is lost" for run_id in told["submitted"] - runs]
    found += [
        f"{run_id} has edges and is no run"
        for run_id in book.edges.runs(limit=10**9)
        if run_id not in runs
    ]
    for run_id in runs:
        edges = {(edge.kind, edge.name) for edge in book.edges.of_run(run_id)}
        if missing := {("read", "~/f"), ("read", "~/data"), ("read", "~/here")} - edges:
            found.append(f"{run_id} lacks {missing}")
        if run_id in told["wrote"] and ("wrote", "~/made") not in edges:
            found.append(f"{run_id} lacks what it wrote")
        is_kept = run_id in told["ended"] and int(run_id[-6:]) % 2
        if is_kept and ("wrote", "here:k") not in edges:
            found.append(f"{run_id} lacks what it kept")
    assert book.problems() == []
    book.close()
    return found


def test_no_kill_parts_a_run_from_its_edges(tmp_path: Path) -> None:
    told = killed(tmp_path / "data", 20, "in one")
    assert faults(tmp_path / "data", told) == []
    assert len(told["ended"]) > 200


def test_the_harness_notices_runs_and_edges_that_are_written_apart(tmp_path: Path) -> None:
    told = killed(tmp_path / "data", 6, "in two")
    assert any("lacks" in each for each in faults(tmp_path / "data", told))


# ---- the command

SAVER = """
import sys
from rhdesk.blocking import Desk
from rhdesk.models import Record
with Desk() as desk:
    for number, (name, read) in enumerate((("raw", ""), ("clean", "raw"), ("report", "clean"))):
        config = {"name": f"~/{name}", "resource_type": "env", "reqs": [name]}
        run_id = f"{number:032x}" if read else ""
        saved = desk.save(Record(name=f"~/{name}", resource_type="env", config=config),
                          run_id=run_id)
        if read:
            desk.note("read", f"~/{read}", before, by=run_id)
        before = saved.version
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run(["git", "init", "-q", str(folder)], check=True)

    def rhdesk(
        self, *args: str, code: int = 0, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "rhdesk.cli", *args],
            cwd=self.folder,
            env=dict(os.environ),
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (args, done.stdout, done.stderr)
        return done

    def json(self, *args: str, given: str = "") -> Any:
        return json.loads(self.rhdesk(*args, "--json", given=given).stdout)["data"]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project")
    subprocess.run([sys.executable, "-c", SAVER], cwd=made.folder, check=True, timeout=60)
    return made


def test_the_command_tells_why_and_what_breaks(project: Project) -> None:
    up = project.rhdesk("lineage", "~/report").stdout
    assert up.index("~/report@") < up.index("~/clean@") < up.index("~/raw@")
    assert [line[:3] for line in up.splitlines()[1:]] == ["└─ "] + ["   "] * 3
    down = project.rhdesk("lineage", "~/raw", "--down").stdout
    assert down.startswith("~/raw\n")
    assert down.index("~/clean@") < down.index("~/report@")
    first, second, third = project.rhdesk("why", "~/report").stdout.splitlines()
    assert first.startswith("~/report@")
    assert "from ~/clean@" in first
    assert "from ~/raw@" in second
    assert third.startswith("~/raw@")
    assert "was saved by" in third
    assert "by no run" in third


def test_the_command_answers_programs(project: Project) -> None:
    found = project.json("lineage", "~/report")
    assert [edge["name"] for edge in found["edges"]] == ["~/report", "~/clean", "~/clean", "~/raw"]
    steps = project.json("why", "~/report")["steps"]
    assert [(step["name"], bool(step["run_id"])) for step in steps] == [
        ("~/report", True),
        ("~/clean", True),
        ("~/raw", False),
    ]


def test_a_name_without_a_lineage_is_not_found(project: Project) -> None:
    code = project.rhdesk("why", "~/nothing", code=3).returncode
    assert code == project.rhdesk("lineage", "~/nothing", code=3).returncode


def test_delete_warns_and_does_not_block_a_script(project: Project) -> None:
    told = project.rhdesk("delete", "~/raw")
    assert "~/clean, ~/report came of ~/raw or read it" in told.stderr
    assert "~/raw is deleted" in told.stderr
    assert project.json("delete", "~/clean") == {"deleted": "~/clean", "dependents": ["~/report"]}
    assert project.json("delete", "~/report") == {"deleted": "~/report", "dependents": []}
    assert "~/raw@" in project.rhdesk("lineage", "~/report").stdout, "why it was is still told"


def test_events_go_out_and_come_in_and_bad_lines_are_named(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "events.jsonl"
    assert project.json("lineage", "--export", str(out)) == {"events": 2, "file": str(out)}
    assert project.rhdesk("lineage", "--export", "-").stdout == out.read_text()
    lines = ["not json", "", "[]", '{"eventType": "COMPLETE"}', *out.read_text().splitlines()]
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    taken = project.json("lineage", "--import", "-", given="\n".join(lines))
    assert (taken["events"], taken["edges"]) == (2, 4)
    assert [each["line"] for each in taken["bad"]] == [1, 3, 4]
    assert project.json("lineage", "--import", str(out))["edges"] == 0
    told = project.rhdesk("lineage", "--import", "-", given="\n".join(lines)).stderr
    assert "line 4 was left out" in told
    assert "~/raw@" in project.rhdesk("lineage", "~/report").stdout


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("~/x", "--export", "f"),
        ("--export", "f", "--import", "g"),
    ],
)
def test_what_cannot_be_meant_is_refused(project: Project, args: tuple[str, ...]) -> None:
    assert "lineage wants one of" in project.rhdesk("lineage", *args, code=2).stderr


def test_a_file_that_holds_no_event_is_an_error(project: Project, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text("no\nno\n")
    assert "line 1" in project.rhdesk("lineage", "--import", str(wrong), code=2).stderr
    project.rhdesk("lineage", "--import", str(tmp_path / "missing"), code=3)
