"""The table of versions says what git's log says, however the commits came about."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhdesk.config import Settings
from rhdesk.errors import RhdeskError
from rhdesk.models import Name, Record
from rhdesk.rns.names import LocalNames
from rhdesk.rns.repository import Repository
from rhdesk.rns.versions import Change
from rhdesk.rns.work_tree import WorkTree

P = Name.parse


def store(project: Path, cache: Path) -> LocalNames:
    return LocalNames(Settings(data_dir=project / "data", cache_dir=cache), project)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


@pytest.fixture
def names(project: Path, tmp_path: Path) -> Iterator[LocalNames]:
    made = store(project, tmp_path / "cache")
    yield made
    made.close()


def save(names: LocalNames, name: str, a: int) -> None:
    names.save(Record(name=name, resource_type="folder", config={"a": a}))


def told(names: LocalNames, name: str, limit: int = 0) -> list[object]:
    return [v.config.get("a") for v in names.history(P(name), limit=limit)]


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *args], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def walked(place: WorkTree, name: str) -> list[Change]:
    """What git finds when it is asked about the one name, across renames."""
    repository = Repository(place)
    at, found = repository.tip(), list[Change]()
    while True:
        part = repository.changes(at, name)
        found += part[: next((n + 1 for n, c in enumerate(part) if c.renamed_from == name), None)]
        if not part or not part[-1].renamed_from or part[-1].renamed_from == name:
            return found
        name, at = part[-1].renamed_from, f"{part[-1].commit}^"


DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["save", "save", "save", "delete", "rename"]),
        st.sampled_from("xyz"),
        st.sampled_from("xyz"),
        st.integers(0, 3),
    ),
    max_size=14,
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(deeds=DEEDS, look=st.integers(0, 14))
def test_the_table_and_gits_log_agree(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[tuple[str, str, str, int]], look: int
) -> None:
    folder = tmp_path_factory.mktemp("agree")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    names = store(folder, folder / "cache")
    for number, (deed, one, other, a) in enumerate(deeds):
        try:
            if deed == "save":
                save(names, f"~/{one}", a)
            elif deed == "delete":
                names.delete(P(f"~/{one}"))
            else:
                names.rename(P(f"~/{one}"), P(f"~/{other}"))
            if number == look:
                names.history(P(f"~/{one}"))
        except RhdeskError:
            continue
    for name in "xyz":
        found = names.store.changes(name, 0)
        if found and not any(change.renamed_from for change in found):
            assert found == Repository(names.place).changes(names.store.tip, name)
        for limit in (1, 2, 3):
            assert names.store.changes(name, limit) == found[:limit]
    names.close()


def test_a_rename_is_followed_and_is_one_change(names: LocalNames) -> None:
    for a in (1, 2):
        save(names, "~/x", a)
    names.rename(P("~/x"), P("~/y"))
    save(names, "~/y", 3)
    save(names, "~/x", 9)
    assert told(names, "~/y") == [3, 2, 2, 1]
    assert names.store.changes("y", 0) == walked(names.place, "y")
    assert told(names, "~/x") == [9, None, 2, 1]


def test_what_another_program_committed_is_there_at_once(
    names: LocalNames, project: Path, tmp_path: Path
) -> None:
    save(names, "~/x", 1)
    assert told(names, "~/x") == [1]
    other = store(project, tmp_path / "another-cache")
    save(other, "~/x", 2)
    other.close()
    assert told(names, "~/x") == [2, 1]


def test_a_ref_that_was_moved_back_is_read_anew(names: LocalNames, project: Path) -> None:
    save(names, "~/x", 1)
    first = names.store.tip
    save(names, "~/x", 2)
    assert told(names, "~/x") == [2, 1]
    (project / "rh" / "x" / "config.json").unlink()
    git(project, "update-ref", "refs/rhdesk/names", first)
    git(project, "gc", "-q", "--prune=now")
    save(names, "~/x", 3)
    assert told(names, "~/x")[0] == 3
    assert told(names, "~/x")[-1] == 1
    assert 2 not in told(names, "~/x")


@pytest.mark.parametrize("winner", ["ours", "theirs"])
def test_where_two_sides_came_together_the_newest_is_what_the_name_means(
    names: LocalNames, project: Path, tmp_path: Path, winner: str
) -> None:
    save(names, "~/x", 1)
    shutil.copytree(project, tmp_path / "copy")
    other = store(tmp_path / "copy", tmp_path / "other-cache")
    for a in (20, 21):
        save(other, "~/x", a)
    save(other, "~/y", 5)
    other.close()
    save(names, "~/x", 30)
    assert told(names, "~/x") == [30, 1]
    git(project, "fetch", "-q", str(tmp_path / "copy"), "refs/rhdesk/names:refs/other")
    sides = {"ours": "refs/rhdesk/names", "theirs": "refs/other"}
    tree = git(project, "rev-parse", f"{sides[winner]}^{{tree}}")
    merge = git(
        project, "commit-tree", tree, "-p", sides["ours"], "-p", sides["theirs"], "-m", "m"
    )
    git(project, "update-ref", "refs/rhdesk/names", merge)
    expected = {"ours": 30, "theirs": 21}[winner]
    assert names.load(P("~/x")).config["a"] == expected
    assert told(names, "~/x")[0] == expected
    if winner == "theirs":
        assert told(names, "~/y") == [5]
    save(names, "~/x", 40)
    assert told(names, "~/x")[:2] == [40, expected]


def test_a_flipped_bit_in_the_table_is_noticed_and_the_index_made_anew(
    names: LocalNames, tmp_path: Path
) -> None:
    for a in (1, 2, 3):
        save(names, "~/x", a)
    assert told(names, "~/x") == [3, 2, 1]
    (file,) = (tmp_path / "cache" / "names").glob("*.db")
    with sqlite3.connect(file) as db:
        db.execute("UPDATE version SET author = author || 'a' WHERE seq = 2")
    db.close()
    assert told(names, "~/x") == [3, 2, 1]
    assert len({version.author for version in names.history(P("~/x"))}) == 1


def test_a_lost_index_loses_no_version(names: LocalNames, project: Path, tmp_path: Path) -> None:
    for a in (1, 2, 3):
        save(names, "~/x", a)
    anew = store(project, tmp_path / "empty")
    assert told(anew, "~/x") == [3, 2, 1]
    assert told(anew, "~/x", limit=2) == [3, 2]
    anew.close()
