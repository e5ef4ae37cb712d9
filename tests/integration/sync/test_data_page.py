"""The page of the data folder tells the truth: its script lists what ``rhdesk --json`` lists."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

import rhdesk
from rhdesk.models import Edge, LogLine, Run, RunStatus
from rhdesk.runs.book import RunBook
from tests.conftest import Place
from tests.integration.server.conftest import Served
from tests.integration.sync.laptop import grant

PAGE: Final = Path(rhdesk.__file__).with_name("DATA.md")
NOW: Final = datetime(2026, 10, 1, 8, tzinfo=UTC)
HARD: Final = "a 'quoted' \"line\" with\ta tab, %s, äöü and $(echo no)"
SAVES: Final = """
from pathlib import Path
from rhdesk.blocking import Desk

with Desk() as desk:
    for alpha in (0.1, 0.2, 0.3):
        Path("app.py").write_text(f"def train(alpha={alpha}):\\n    return alpha\\n")
        desk.save_target("app.py:train", "~/train")
        desk.save_target("app.py:train", "~/team/other")
    desk.save_target("app.py:train", "~/gone")
    desk.delete("~/gone")
    desk.save_target("app.py:train", "~/before")
    desk.rename("~/before", "~/after")
"""
STORE: Final = """
from rhdesk.blocking import Desk

with Desk() as desk:
    for name in ("/team/x", "/team/y", "/team/gone"):
        desk.save_target("app.py:train", name)
    desk.delete("/team/gone")
    desk.sync()
"""


class Stranger:
    """Somebody with the page, git, sqlite3 and a shell."""

    def __init__(self, folder: Path, place: Place) -> None:
        (script,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        self._script = folder / "list.sh"
        self._script.write_text(script)
        self._place = place
        self._tools = folder / "tools"
        self._tools.mkdir()
        for tool in ("git", "sqlite3", "sh", "sort", "tr"):
            found = subprocess.run(["which", tool], check=True, capture_output=True, text=True)
            (self._tools / tool).symlink_to(found.stdout.strip())

    def lists(self, kind: str) -> list[list[str]]:
        """The lines of one kind, in fields; the last takes the rest of the line."""
        done = subprocess.run(
            ["sh", str(self._script), str(self._place.project), str(self._place.data)],
            check=True, capture_output=True, text=True,
            env={"PATH": str(self._tools), "HOME": str(self._place.home)},
        )  # fmt: skip
        assert done.stderr == ""
        count = {"name": 1, "version": 4, "run": 6, "line": 4, "edge": 4, "waiting": 3}[kind]
        lines = [line.split("\t", 1) for line in done.stdout.splitlines()]
        return [rest.split("\t", count - 1) for word, rest in lines if word == kind]


def asked(place: Place, *words: str) -> Any:
    return json.loads(place.rhdesk(*words, "--json").stdout)["data"]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "person").mkdir()
    place = Place(tmp_path / "person")
    subprocess.run(["git", "init", "-q", str(place.project)], check=True)
    place.python("-c", SAVES)
    hand = place.project / "rh/by-hand/config.json"
    hand.parent.mkdir()
    hand.write_text(
        '{\n  "name": "~/by-hand",\n  "resource_type": "blob",\n  "text": "ä \\" b"\n}\n'
    )
    place.rhdesk("ls")
    return place


@pytest.fixture
def stranger(tmp_path: Path, place: Place) -> Stranger:
    return Stranger(tmp_path, place)


def test_the_script_lists_every_name_and_every_version(place: Place, stranger: Stranger) -> None:
    names = [record["name"] for record in asked(place, "ls")]
    assert [name for (name,) in stranger.lists("name")] == names
    assert set(names) == {"~/train", "~/team/other", "~/after", "~/by-hand"}

    found: dict[str, list[tuple[str, int, dict[str, Any]]]] = {}
    for name, author, at, text in stranger.lists("version"):
        found.setdefault(name, []).append((author, int(at), json.loads(text) if text else {}))
    for name in (*names, "~/gone"):
        history = asked(place, "history", name, "--limit", "100")
        told = [
            (v["author"], int(datetime.fromisoformat(v["saved_at"]).timestamp()), v["config"])
            for v in history
        ]
        if name == "~/after":  # rhdesk follows a name through its rename, the script each path
            assert told == [*found["~/after"], found["~/before"][1]]
        else:
            assert told == found[name]
    assert len(found["~/train"]) == 3
    assert found["~/gone"][0][2] == {}
    assert found["~/by-hand"][0][0] == "edited by hand"


def test_the_script_lists_every_run_its_lines_and_what_it_touched(
    place: Place, stranger: Stranger
) -> None:
    versions = {record["name"]: record["version"] for record in asked(place, "ls")}
    book = RunBook(place.data / "runs.db")
    for number in range(5):
        run = Run(
            run_id=f"{number:032x}",
            function="~/train",
            cluster="here",
            submitted_at=NOW + timedelta(seconds=number),
            status=RunStatus.RUNNING,
        )
        with book.transaction():
            book.record([run])
            book.add_lines(
                [
                    LogLine(
                        run.run_id, seq, "stderr" if seq % 3 else "stdout", 1.5, f"{HARD} {seq}"
                    )
                    for seq in range(20)
                ]
            )
            book.edges.add(
                [
                    Edge(run_id=run.run_id, kind=kind, name=name, version=versions[name], at=NOW)
                    for kind, name in (("read", "~/train"), ("wrote", "~/team/other"))
                ]
            )
            ended = NOW + timedelta(minutes=1)
            book.record(
                [
                    msgspec.structs.replace(
                        run, status=RunStatus.SUCCEEDED, ended_at=ended, result_text=HARD
                    )
                ]
            )
    edges = [edge for number in range(5) for edge in book.edges.of_run(f"{number:032x}")]
    book.close()

    runs = asked(place, "runs")
    fields = ("run_id", "function", "cluster", "status")
    told = [
        (
            *(run[field] for field in fields),
            datetime.fromisoformat(run["submitted_at"]),
            run["result_text"],
        )
        for run in runs
    ]
    assert told == [
        (*row[:4], datetime.fromisoformat(row[4]), row[5]) for row in stranger.lists("run")
    ]
    assert len(told) == 5

    lines = stranger.lists("line")
    for run in runs:
        printed = place.rhdesk("logs", run["run_id"], "--json").stdout.splitlines()
        events = [json.loads(line) for line in printed]
        logged = [each["data"] for each in events if each["kind"] == "line"]
        assert [
            [each["run_id"], str(each["seq"]), each["stream"], each["text"]] for each in logged
        ] == [line for line in lines if line[0] == run["run_id"]]
    assert len(lines) == 100
    assert sorted(stranger.lists("edge")) == sorted(
        [edge.run_id, edge.kind, edge.name, edge.version] for edge in edges
    )
    up = asked(place, "lineage", "~/team/other")
    listed = {(row[0], row[1], row[2]) for row in stranger.lists("edge")}
    assert {(each["run_id"], each["kind"], each["name"]) for each in up["edges"]} == listed


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_script_lists_the_names_of_a_store_and_what_waits(
    served: Served, place: Place, stranger: Stranger
) -> None:
    place.environ["RHDESK_TOKEN"] = served.user("ada", scope="admin")
    grant(served, "ada", "/team")
    place.rhdesk("login", served.url)
    place.python("-c", STORE)
    served.stop()
    place.rhdesk("save", "app.py:train", "/team/new")
    place.rhdesk("delete", "/team/y")
    everything = [r["name"] for r in asked(place, "ls", "~") + asked(place, "ls", "/")]
    assert sorted(name for (name,) in stranger.lists("name")) == sorted(everything)
    assert "/team/new" in everything
    assert "/team/y" not in everything
    assert [row[0] for row in stranger.lists("waiting")] == ["/team/new", "/team/y"]
    seen = {row[0] for row in stranger.lists("version") if row[0].startswith("/")}
    assert {"/team/x", "/team/y"} <= seen


def test_the_page_names_every_table_and_file_there_is(place: Place) -> None:
    """A table that is added, and a file beside the others, have to be told of."""
    page = PAGE.read_text("utf-8")
    book = RunBook(place.data / "runs.db")
    book.close()
    for file in place.data.rglob("*.db"):
        listed = subprocess.run(
            ["sqlite3", str(file), "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"],
            check=True, capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        for table in listed:
            if not table.startswith(("sqlite_", "log_word_")):
                assert f"`{table}`" in page, f"{file.name} has a table {table}"
    for file in place.data.iterdir():
        assert f"{file.name}" in page
    assert os.path.getsize(PAGE) < 20_000
