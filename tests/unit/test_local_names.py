"""The pieces of the local store that need no repository, and every verb on a real small one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhdesk.config import Settings
from rhdesk.errors import AlreadyExists, BadInput, BadName, NotFound
from rhdesk.models import Name, Record
from rhdesk.rns import config_file, history
from rhdesk.rns.index import DamagedIndex, Index, Row
from rhdesk.rns.local import Agreement, agreement
from rhdesk.rns.names import LocalNames
from rhdesk.rns.work_tree import WorkTree, is_name

P = Name.parse


class Clock:
    """The time, as the test says it is."""

    def __init__(self) -> None:
        self.at = datetime(2026, 9, 30, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **time: float) -> None:
        self.at += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


@pytest.fixture
def names(
    tmp_path: Path, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalNames]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (tmp_path / "elsewhere").mkdir()
    names = LocalNames(settings, tmp_path / "elsewhere", now=clock)
    yield names
    names.close()


def record(name: str, resource_type: str = "function", **config: Any) -> Record:
    return Record(name=name, resource_type=resource_type, config=config)


# ---- who changed since


@pytest.mark.parametrize(
    ("base", "file", "git", "expected"),
    [
        ("", "", "", Agreement.AGREED),
        ("1", "1", "1", Agreement.AGREED),
        ("1", "2", "2", Agreement.AGREED),
        ("1", "", "", Agreement.AGREED),
        ("", "1", "", Agreement.FILE),
        ("1", "2", "1", Agreement.FILE),
        ("1", "", "1", Agreement.FILE),
        ("1", "2", "3", Agreement.FILE),
        ("1", "2", "", Agreement.FILE),
        ("", "1", "2", Agreement.FILE),
        ("", "", "1", Agreement.GIT),
        ("1", "1", "2", Agreement.GIT),
        ("1", "1", "", Agreement.GIT),
        ("1", "", "2", Agreement.GIT),
    ],
)
def test_the_side_that_changed_counts_and_an_edit_beats_a_removal(
    base: str, file: str, git: str, expected: Agreement
) -> None:
    assert agreement(base, file, git) is expected


versions = st.sampled_from(["", "1", "2", "3"])


@given(versions, versions, versions)
def test_a_changed_file_is_given_up_only_if_it_was_removed(base: str, file: str, git: str) -> None:
    if agreement(base, file, git) is Agreement.GIT:
        assert file in {base, ""}


# ---- the file

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_a_config_reads_back_as_it_was_written(fields: dict[str, Any]) -> None:
    fields.pop("resource_type", None)
    try:
        written = config_file.write("~/x", "function", fields)
    except BadInput:
        return  # a lone surrogate, or a number beyond JSON
    read = config_file.read(written.data)
    assert read == written
    assert read.resource_type == "function"
    assert read.fields["name"] == "~/x"


def test_indenting_and_ordering_by_hand_is_no_new_version() -> None:
    written = config_file.write("~/x", "function", {"b": 1, "a": [1, 2]})
    by_hand = (
        b'{"a":[1,2],"resource_type":"function",\n\n"resource_subtype":"Function",'
        b'"name":"~/x","b":1}'
    )
    assert config_file.read(by_hand).version == written.version


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b'{"a": 1,\n "b": 2,\n}', 3, "malformed"),
        (b'{"a": 1,\n', 2, "truncated"),
        (b"", 1, "truncated"),
        (b"[1]", 1, "JSON object"),
        (b'{"name": "x"}', 1, "resource_type"),
        (b'{"resource_type": 3}', 1, "resource_type"),
        (b'{"resource_type": "f", "a": NaN}', 1, "malformed"),
        (b"\xff\xfe", 1, "malformed"),
        (b"[" * 100_000, 1, "recursion"),
    ],
)
def test_a_broken_file_says_what_is_wrong_and_in_which_line(
    data: bytes, line: int, says: str
) -> None:
    broken = config_file.read(data)
    assert broken.resource_type == config_file.BROKEN
    assert broken.fields["line"] == line
    assert says in broken.fields["error"].lower() or says in broken.fields["error"]


@pytest.mark.parametrize("value", [object(), {1, object()}, "\ud800"])
def test_a_config_that_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(BadInput, match="is not JSON"):
        config_file.write("~/x", "function", {"a": value})


# ---- in a few words


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (None, {"a": 1}, "created"),
        ({"a": 1}, None, "deleted"),
        ({"a": 1}, {"a": 1}, "unchanged"),
        ({"a": 0.1}, {"a": 0.3}, "a 0.1 -> 0.3"),
        ({"a": 1}, {"b": True}, "removed a, added b"),
        ({"a": [1]}, {"a": [2]}, "a"),
        ({"a": "x"}, {"a": "y" * 100}, "a"),
        ({"a": None}, {}, "removed a"),
        ({}, dict.fromkeys("abcdef", 1), "added a, added b, added c, and 3 more"),
    ],
)
def test_a_summary_says_what_changed(
    before: dict[str, Any] | None, after: dict[str, Any] | None, said: str
) -> None:
    assert history.summary(before, after) == said


def test_a_summary_carries_nothing_a_terminal_would_obey() -> None:
    said = history.summary({}, {"\x1b]52;c;aGk=\x07a": "\x1b[2J"})
    assert "\x1b" not in said


# ---- the index


def row(name: str, version: str = "1") -> Row:
    return Row(name, "function", '{"a":1}', version, 5, 6, 7, version, "b")


def test_the_index_keeps_rows_in_order_and_remembers_which_commit_they_describe() -> None:
    index = Index(None)
    assert index.commit() is None
    index.write([row("b"), row("a/x"), row("c")], commit="1")
    index.write([row("b", "2")], gone=["c"], commit="2")
    assert index.rows() == [row("a/x"), row("b", "2")]
    assert index.row("b") == row("b", "2")
    assert index.row("c") is None
    assert index.commit() == "2"
    index.write([], commit=None)
    assert index.commit() == "2"
    index.close()


def test_the_index_finds_what_differs_in_case_and_what_is_in_a_folder() -> None:
    index = Index(None)
    index.write([row("Train"), row("data/x"), row("data-2"), row("data0")], commit="1")
    assert index.same_but_for_case("train") == "Train"
    assert index.same_but_for_case("Train") == ""
    assert index.inside("data") == ["data/x"]
    assert index.inside("DATA") == ["data/x"]
    assert index.inside("Train") == []
    index.close()


@pytest.mark.parametrize(
    "change",
    [
        "name = 'other'",
        "config = '{\"a\":2}'",
        "version = 'x'",
        "saved_at = 6",
        "mtime_ns = mtime_ns + 1",
        "size = 8",
        "blob = 'c'",
        "recorded_version = 'y'",
        "row_hash = row_hash + 1",
        "resource_type = 'module'",
    ],
)
def test_the_index_notices_a_change_that_did_not_come_from_it(tmp_path: Path, change: str) -> None:
    index = Index(tmp_path / "i.db")
    index.write([row("a")], commit="1")
    with sqlite3.connect(tmp_path / "i.db") as other:
        other.execute(f"UPDATE resource SET {change}")
    other.close()
    with pytest.raises(DamagedIndex):
        index.rows()
    index.close()


@pytest.mark.parametrize("schema", [0, 99])
def test_an_index_of_another_schema_is_made_anew(tmp_path: Path, schema: int) -> None:
    index = Index(tmp_path / "i.db")
    index.write([row("a")], commit="1")
    index.close()
    with sqlite3.connect(tmp_path / "i.db") as other:
        other.execute("DROP TABLE fact")
        other.execute(f"PRAGMA user_version = {schema}")
    other.close()
    index = Index(tmp_path / "i.db")
    assert index.file is not None
    assert index.commit() is None
    index.close()


def test_an_index_that_is_no_database_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "i.db").write_bytes(b"not a database at all" * 1000)
    index = Index(tmp_path / "i.db")
    assert index.rows() == []
    assert index.file is not None
    index.close()


def test_an_index_that_cannot_be_a_file_lives_in_memory(tmp_path: Path) -> None:
    (tmp_path / "in_the_way").write_text("")
    index = Index(tmp_path / "in_the_way" / "i.db")
    index.write([row("a")], commit="1")
    assert index.rows() == [row("a")]
    assert index.file is None
    index.close()


# ---- where


def test_the_nearest_rh_or_git_above_the_start_is_the_working_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    start = tmp_path / "home" / "project" / "sub" / "deep"
    start.mkdir(parents=True)
    fallback = tmp_path / "ours"

    assert WorkTree.find(start, fallback).root == fallback
    assert WorkTree.find(start, fallback).is_ours
    assert not fallback.exists()

    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert WorkTree.find(start, fallback).root == fallback, "above the home directory"

    subprocess.run(["git", "init", "-q", str(tmp_path / "home" / "project")], check=True)
    place = WorkTree.find(start, fallback)
    assert place.root == tmp_path / "home" / "project"
    assert place.ref == "refs/rhdesk/names"

    (tmp_path / "home" / "project" / "sub" / "rh").mkdir()
    inner = WorkTree.find(start, fallback)
    assert inner.root == tmp_path / "home" / "project" / "sub"
    assert inner.git_dir == place.git_dir
    assert inner.ref != place.ref, "two rh/ folders in one repository do not mix"


def test_a_folder_with_rh_and_no_repository_falls_to_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "plain" / "rh").mkdir(parents=True)
    assert WorkTree.find(tmp_path / "plain", tmp_path / "ours").root == tmp_path / "ours"


@pytest.mark.parametrize(
    "text", ["..", "../x", "a/../x", "/x", "a//b", "", "a/", ".git", "a\nb", "a\0b", "Config.json"]
)
def test_a_path_that_leaves_rh_is_no_name(text: str) -> None:
    assert not is_name(text)


def test_a_link_out_of_rh_is_neither_read_nor_written(names: LocalNames, tmp_path: Path) -> None:
    names.save(record("~/inside"))
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "config.json").write_text('{"resource_type": "secret"}')
    (outside / "sub" / "config.json").write_text('{"resource_type": "secret"}')
    rh = names.place.root / "rh"
    (rh / "link").symlink_to(outside)
    (rh / "file").mkdir()
    (rh / "file" / "config.json").symlink_to(outside / "config.json")

    assert [found.name for found in names.names()] == ["~/inside"]
    assert not names.exists(P("~/link"))
    assert not names.exists(P("~/link/sub"))
    assert not names.exists(P("~/file"))
    for name in ("~/link", "~/link/new"):
        with pytest.raises(OSError, match="not a folder"):
            names.save(record(name))
    assert sorted(p.name for p in outside.iterdir()) == ["config.json", "sub"]


# ---- the verbs


def test_a_saved_record_loads_as_it_was(names: LocalNames, clock: Clock) -> None:
    saved = names.save(record("~/team/digits", alpha=0.1, reqs=["a"], own={"kept": None}))
    assert saved.name == "~/team/digits"
    assert saved.saved_at == clock.at
    assert len(saved.version) == 40
    assert saved.config == {
        "alpha": 0.1,
        "reqs": ["a"],
        "own": {"kept": None},
        "name": "~/team/digits",
        "resource_type": "function",
        "resource_subtype": "Function",
    }
    assert names.load(P("team/digits")) == saved
    assert names.exists(P("~/team/digits"))
    assert not names.exists(P("~/team"))


def test_looking_makes_nothing_and_finds_nothing(names: LocalNames, settings: Settings) -> None:
    assert names.names() == []
    assert not names.exists(P("~/x"))
    with pytest.raises(NotFound):
        names.load(P("~/x"))
    with pytest.raises(NotFound):
        names.history(P("~/x"))
    assert not settings.data_dir.exists()


def test_saving_the_same_again_is_no_new_version(names: LocalNames, clock: Clock) -> None:
    first = names.save(record("~/x", a=1))
    clock.forward(hours=1)
    assert names.save(record("~/x", a=1)) == first
    assert len(names.history(P("~/x"))) == 1


def test_a_taken_name_is_refused_unless_overwritten(names: LocalNames) -> None:
    names.save(record("~/x", a=1))
    with pytest.raises(AlreadyExists, match="overwrite"):
        names.save(record("~/x", a=2), overwrite=False)
    assert names.load(P("~/x")).config["a"] == 1
    assert names.save(record("~/x", a=2)).config["a"] == 2


def test_names_that_differ_in_case_only_are_refused(names: LocalNames) -> None:
    names.save(record("~/Train"))
    names.save(record("~/data/x"))
    for name in ("~/train", "~/DATA/y", "~/data/X", "~/Data"):
        with pytest.raises(AlreadyExists, match="case of letters"):
            names.save(record(name))
    with pytest.raises(AlreadyExists, match="case of letters"):
        names.rename(P("~/data/x"), P("~/TRAIN"))
    assert names.rename(P("~/Train"), P("~/train")).name == "~/train"
    assert names.rename(P("~/data/x"), P("~/DATA/x")).name == "~/DATA/x"


def test_a_name_is_a_folder_or_a_resource_never_both(names: LocalNames) -> None:
    names.save(record("~/a/b"))
    with pytest.raises(AlreadyExists, match="is a folder: it holds ~/a/b"):
        names.save(record("~/a"))
    with pytest.raises(AlreadyExists, match="~/a/b is a resource"):
        names.save(record("~/a/b/c"))
    assert names.rename(P("~/a/b"), P("~/a")).name == "~/a"
    assert names.rename(P("~/a"), P("~/a/b/c")).name == "~/a/b/c"
    assert [found.name for found in names.names()] == ["~/a/b/c"]


def test_a_version_loads_by_the_start_of_its_hash_and_by_time(
    names: LocalNames, clock: Clock
) -> None:
    first = names.save(record("~/x", a=1))  # 2026-09-30 08:00
    clock.forward(days=1)
    second = names.save(record("~/x", a=2))  # 2026-10-01 08:00
    clock.forward(hours=6)
    third = names.save(record("~/x", a=3))  # 2026-10-01 14:00

    assert names.load(P(f"~/x@{first.version[:6]}")) == first
    assert names.load(P(f"~/x@{third.version}")) == third
    assert names.load(P("~/x@{2026-09-30}")) == first
    assert names.load(P("~/x@{2026-10-01T12:00}")) == second
    assert names.load(P("~/x@{2026-10-01}")) == third
    assert names.exists(P("~/x@{2026-10-01}"))
    assert not names.exists(P("~/x@{2026-09-29}"))
    with pytest.raises(NotFound) as missing:
        names.load(P("~/x@00000000"))
    assert missing.value.kind == "version"
    assert missing.value.near[0] == f"~/x@{third.version[:8]}"


def test_a_deleted_name_is_gone_and_its_versions_are_not(names: LocalNames, clock: Clock) -> None:
    saved = names.save(record("~/x", a=1))
    clock.forward(days=1)
    names.delete(P("~/x"))
    assert names.names() == []
    assert not (names.place.root / "rh" / "x").exists()
    assert names.load(P(f"~/x@{saved.version[:8]}")) == saved
    assert names.load(P("~/x@{2026-09-30}")) == saved
    with pytest.raises(NotFound):
        names.load(P("~/x@{2026-10-02}"))
    with pytest.raises(NotFound):
        names.delete(P("~/x"))
    newest = names.history(P("~/x"))[0]
    assert newest.deleted
    assert newest.summary == "deleted"

    clock.forward(days=1)
    assert names.save(record("~/x", a=1)).version == saved.version
    assert [version.deleted for version in names.history(P("~/x"))] == [False, True, False]


def test_a_history_tells_who_when_and_what_across_renames(names: LocalNames, clock: Clock) -> None:
    names.save(record("~/old", alpha=0.1), author="Ann")
    clock.forward(minutes=1)
    names.save(record("~/old", alpha=0.3, gpu=1), author="Bob <b@x>")
    clock.forward(minutes=1)
    names.rename(P("~/old"), P("~/lab/new"))
    clock.forward(minutes=1)
    names.save(record("~/lab/new", alpha=0.3))

    told = names.history(P("~/lab/new"))
    assert [version.summary for version in told] == [
        "removed gpu",
        "renamed from ~/old",
        "alpha 0.1 -> 0.3, added gpu",
        "created",
    ]
    assert [version.author for version in told[2:]] == ["Bob", "Ann"]
    assert [version.name for version in told] == ["~/lab/new", "~/lab/new", "~/old", "~/old"]
    assert told[0].saved_at == clock.at
    assert told[2].config["alpha"] == 0.3
    assert names.history(P("~/lab/new"), limit=2) == told[:2]
    assert names.history(P("~/lab/new"), limit=3) == told[:3]

    gone = names.history(P("~/old"))
    assert gone[0].deleted
    assert gone[0].summary == "renamed to ~/lab/new"
    assert not names.exists(P("~/old"))


def test_renaming_onto_a_taken_name_or_from_a_missing_one_is_refused(names: LocalNames) -> None:
    names.save(record("~/x"))
    names.save(record("~/y"))
    with pytest.raises(AlreadyExists):
        names.rename(P("~/x"), P("~/y"))
    with pytest.raises(NotFound):
        names.rename(P("~/z"), P("~/w"))
    assert [found.name for found in names.names()] == ["~/x", "~/y"]


def test_a_listing_is_sorted_and_can_be_narrowed(names: LocalNames) -> None:
    for name, kind in {"~/b": "env", "~/a/y": "env", "~/a/x": "function", "~/ab": "env"}.items():
        names.save(record(name, kind))

    def listed(**narrowed: str) -> list[str]:
        return [found.name for found in names.names(**narrowed)]

    assert listed() == ["~/a/x", "~/a/y", "~/ab", "~/b"]
    assert listed(folder="~") == listed()
    assert listed(folder="~/a") == listed(folder="a/") == ["~/a/x", "~/a/y"]
    assert listed(resource_type="env") == ["~/a/y", "~/ab", "~/b"]
    assert listed(folder="~/a", resource_type="env") == ["~/a/y"]
    assert listed(folder="~/none") == []


def test_an_unknown_name_comes_with_the_nearest_ones(names: LocalNames) -> None:
    names.save(record("~/digits"))
    names.save(record("~/digest"))
    names.save(record("~/train"))
    with pytest.raises(NotFound) as missing:
        names.load(P("~/digit"))
    assert missing.value.near == ("~/digits", "~/digest")
    with pytest.raises(NotFound, match="rh-cpu"):
        names.load(P("^rh-cpus"))


def test_what_is_shipped_can_be_read_and_not_changed(names: LocalNames) -> None:
    shipped = [found.name for found in names.names(folder="^")]
    assert shipped == [
        "^rh-32-cpu", "^rh-4-gpu", "^rh-4-v100", "^rh-8-cpu", "^rh-8-gpu", "^rh-8-v100",
        "^rh-cpu", "^rh-gpu", "^rh-v100",
    ]  # fmt: skip
    gpu = names.load(P("^rh-8-gpu"))
    assert gpu.resource_type == "cluster"
    assert gpu.config["resource_subtype"] == "OnDemandCluster"
    assert gpu.config["instance_type"] == "K80:8"
    assert names.exists(P("^rh-cpu"))
    assert names.history(P("^rh-cpu")) == []
    with pytest.raises(BadInput, match="shipped with rhdesk"):
        names.save(record("^rh-cpu", "cluster"))
    with pytest.raises(BadInput, match="shipped with rhdesk"):
        names.delete(P("^rh-cpu"))


@pytest.mark.parametrize("name", ["@/x", "/owner/x"])
def test_a_remote_name_says_that_no_store_is_connected(names: LocalNames, name: str) -> None:
    for verb in (names.load, names.exists, names.delete, names.history):
        with pytest.raises(BadInput, match="~/x is kept here"):
            verb(P(name))
    with pytest.raises(BadInput, match="~/x is kept here"):
        names.save(record(name))
    with pytest.raises(BadInput):
        names.names(folder=name)


@pytest.mark.parametrize(
    "name", ["~/../x", "/../x", "~/a/../../x", "~/x\n", "~/x\0", "~/.git/x", "~/config.json"]
)
def test_a_hostile_name_is_refused_and_nothing_is_written(
    names: LocalNames, settings: Settings, name: str
) -> None:
    with pytest.raises(BadName):
        names.save(record(name))
    assert not settings.data_dir.exists()


def test_a_version_can_only_be_read(names: LocalNames) -> None:
    saved = names.save(record("~/x"))
    at = f"~/x@{saved.version[:8]}"
    with pytest.raises(BadInput, match="versions cannot change"):
        names.save(record(at))
    with pytest.raises(BadInput, match="versions cannot change"):
        names.delete(P(at))


def test_a_record_without_a_type_is_refused(names: LocalNames) -> None:
    with pytest.raises(BadInput, match="not a type"):
        names.save(record("~/x", ""))


def test_looking_loads_neither_git_nor_sqlite_utils(
    names: LocalNames, settings: Settings, tmp_path: Path
) -> None:
    names.save(record("~/x", a=1))
    names.close()
    script = (
        "import sys; from pathlib import Path; from rhdesk.config import Settings;"
        "from rhdesk.models import Name; from rhdesk.rns.names import LocalNames;"
        f"names = LocalNames(Settings(data_dir=Path({str(settings.data_dir)!r}),"
        f" cache_dir=Path({str(settings.cache_dir)!r})), Path({str(tmp_path / 'elsewhere')!r}));"
        "assert len(names.names()) == 1; names.load(Name.parse('~/x'));"
        "assert names.exists(Name.parse('^rh-cpu'));"
        "print(sorted({'git', 'sqlite_utils', 'httpx', 'textual'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == "[]"
