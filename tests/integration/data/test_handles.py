"""``rh.folder`` and ``rh.file``, as a script uses them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import rhdesk as rh
from rhdesk.errors import AlreadyExists, BadInput, NotFound
from rhdesk.handles.session import close, session


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close()


def test_a_folder_goes_to_a_bucket_and_back(s3: str, tmp_path: Path) -> None:
    made = rh.folder(path=str(tmp_path / "x")).mkdir()
    made.put({"a": b"1", "b": "2"})
    assert made.ls(full_paths=False) == ["a", "b"]
    rh.folder(path="s3://handles").mkdir()
    there = made.to("s3", path="handles/x")
    assert (there.system, there.fsspec_url, there.is_local()) == (
        "s3",
        "s3://handles/x",
        False,
    )
    assert there.get("b", mode="r") == "2"
    back = there.to("here", path=str(tmp_path / "back"))
    assert back.get("a") == b"1"
    there.rm()
    assert not there.exists_in_system()


def test_what_is_there_is_not_overwritten_unless_that_is_said(tmp_path: Path) -> None:
    made = rh.folder(path=str(tmp_path / "x")).mkdir()
    made.put({"a": b"1"})
    with pytest.raises(AlreadyExists):
        made.put({"new": b"2", "a": b"2"})
    assert made.ls(full_paths=False) == ["a"]
    made.put({"a": b"2"}, overwrite=True)
    assert made.get("a") == b"2"
    with pytest.raises(BadInput):
        made.put({"../out": b""})


def test_a_file_is_saved_under_a_name_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rh.file(b"one", path=str(tmp_path / "f")).save("~/f")
    found = rh.load("~/f")
    assert isinstance(found, rh.File)
    assert found.fetch() == b"one"
    found.write("two")
    assert rh.file(name="~/f").fetch() == b"two"
    found.mv("here", path=str(tmp_path / "g"))
    assert (tmp_path / "g").read_bytes() == b"two"
    assert not (tmp_path / "f").exists()
    with pytest.raises(BadInput, match="not dict"):
        found.write({})  # type: ignore[arg-type]
    assert (tmp_path / "g").read_bytes() == b"two"


def test_a_file_is_opened_as_python_opens_one(tmp_path: Path) -> None:
    made = rh.folder(path="memory://opened").mkdir()
    with made.open("a", "w") as file:
        file.write("one\n")
    with made.open("a", "a") as file:
        file.write("two\n")
    with made.open("a", "r") as file:
        assert list(file) == ["one\n", "two\n"]
    with pytest.raises(TypeError), made.open("a", "w") as file:
        file.write(b"bytes in a file of text")
    assert made.get("a", mode="r") == "one\ntwo\n", "what was there stays"
    with pytest.raises(BadInput, match="opens nothing"):
        made.open("a", "x")
    with pytest.raises(NotFound):
        made.open("b")
    assert made.contains("a")
    assert not made.contains("b")
    assert made.locate("a") == ("opened/a", "memory")
    with pytest.raises(NotFound, match="file in"):
        made.locate("b")


def test_a_blob_without_a_cluster_is_only_this_programs(tmp_path: Path) -> None:
    made = rh.blob([1, 2], name="~/mine")
    assert isinstance(made, rh.Blob)
    assert (made.data, made.system, made.exists_in_system()) == ([1, 2], None, True)
    with pytest.raises(BadInput, match="send it first"):
        made.save()
    made.rm()
    assert not made.exists_in_system()
    filed = rh.blob(b"bytes", path=str(tmp_path / "b"))
    assert isinstance(filed, rh.File)
    assert filed.fetch() == b"bytes"
    with pytest.raises(BadInput, match="not list"):
        rh.blob([1], path=str(tmp_path / "c"))
    with pytest.raises(BadInput, match="is of data"):
        rh.blob()


def test_a_version_of_a_folder_knows_its_files(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rh.folder(path="s3://versions").mkdir()
    for made in (
        rh.folder(path=str(tmp_path / "x")).mkdir(),
        rh.folder(path="s3://versions/x"),
        rh.folder(path="memory://versions").mkdir(),
    ):
        made.put({"a": b"1", "b": b"2"})
        first = made.save("~/versioned").history()[0].version
        desk = session().desk
        assert desk.check_data("~/versioned").is_same
        made.put({"b": b"3", "c": b"4"}, overwrite=True)
        made.rm(["a"])
        changed = desk.check_data("~/versioned")
        told = [(each.path, each.kind) for each in changed.changes]
        assert told == [("a", "removed"), ("b", "changed"), ("c", "added")]
        assert (changed.held.files, changed.now.files) == (2, 2)
        made.save()
        assert desk.check_data("~/versioned").is_same
        assert not desk.check_data(f"~/versioned@{first}").is_same
        between = desk.diff(f"~/versioned@{first}")
        assert [(each.path, each.kind) for each in between.files] == told
        versions = len(made.history())
        made.save()
        assert len(made.history()) == versions, "nothing changed: no new version"


def test_what_was_saved_before_it_was_there_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rh.folder(path=str(tmp_path / "later")).save("~/later")
    with pytest.raises(BadInput, match="save it once they are there"):
        session().desk.check_data("~/later")
