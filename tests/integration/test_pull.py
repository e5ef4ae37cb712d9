"""What a host says it has is foreign: whatever its paths, nothing is written outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rhdesk.desk.work import _sorted_out, _Staged  # pyright: ignore[reportPrivateUsage]
from rhdesk.errors import BadInput
from rhdesk.wire.tree import Entry, Tree
from rhdesk.wire.work import Written
from tests.unit.test_beneath import HOSTILE, seen

MILLION = 1_000_000


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def pulled(target: Path, there: list[Written], *, overwrite: bool = False) -> list[str]:
    """As the desk does it: sorted out, staged, put; what was refused."""
    wanted, _, refused = _sorted_out(target, there, overwrite)
    staged = _Staged(target)
    try:
        for file in wanted:
            staged.write(file, 0, b"x" * file.size)
        return refused + staged.put()
    finally:
        staged.close()


def test_hostile_paths_are_refused_and_the_others_come(target: Path) -> None:
    (target / "out").symlink_to(target.parent / "outside")
    (target / "folder").mkdir()
    hostile = [*HOSTILE, "out/x", "out/deep/x", "\udcff"]
    there = [Written(path, 3, 1) for path in [*hostile, "folder", "good/a", "a\nb", "-rf"]]
    refused = pulled(target, there)
    assert len(refused) == len(hostile)
    assert (target / "folder").is_dir(), "a folder is not replaced by a file"
    assert seen(target) == {"good/a": b"xxx", "a\nb": b"xxx", "-rf": b"xxx"}
    assert seen(target.parent / "outside") == {}


def test_what_is_here_and_differs_stays(target: Path) -> None:
    (target / "mine").write_text("mine")
    there = [Written("mine", 3, 1), Written("new", 3, 1)]
    assert pulled(target, there) == []
    assert seen(target) == {"mine": b"mine", "new": b"xxx"}
    wanted, kept, _ = _sorted_out(target, there, False)
    assert ([file.path for file in wanted], kept) == ([], ["mine"]), (
        "what came is not brought again"
    )
    assert pulled(target, there, overwrite=True) == []
    assert seen(target)["mine"] == b"xxx"


def test_one_that_is_cut_off_leaves_nothing(target: Path) -> None:
    staged = _Staged(target)
    staged.write(Written("a", 8, 1), 0, b"half")
    staged.close()
    assert os.listdir(target) == []


def test_case_twins_come_once_where_a_file_system_knows_one(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [Written("README", 3, 1), Written("readme", 3, 1)]
    assert pulled(target, there) == []
    monkeypatch.setattr("rhdesk.desk.work._tells_case", lambda folder: False)
    (refused,) = pulled(target, there, overwrite=True)
    assert "upper and lower case" in refused


def test_a_million_hostile_entries_end_soon_and_touch_nothing(target: Path) -> None:
    there = [Written(f"../outside/{number}", 1, 1) for number in range(MILLION)]
    assert len(pulled(target, there)) == MILLION
    assert seen(target.parent / "outside") == {}
    entries = [(f"a/../../outside/{number}", Entry("f", b"x" * 32, 1, 1)) for number in range(10)]
    with pytest.raises(BadInput, match="no path inside"):
        Tree(entries * 100_000)
    many = ((f"{number % 997}/{number}", Entry("f", b"x" * 32, 1, 1)) for number in range(MILLION))
    assert len(Tree(many)) == MILLION
    with pytest.raises(BadInput, match="may hold"):
        Tree((f"{number}", Entry("f", b"x" * 32, 1, 1)) for number in range(3 * MILLION))
