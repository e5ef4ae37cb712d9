"""History, diff and rollback of names kept here: what they say, and what they change."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rhdesk import current_run
from rhdesk.blocking import Desk
from rhdesk.code.bundle import Bundle, CodeShelf
from rhdesk.code.compare import file_changes
from rhdesk.errors import AlreadyExists, BadInput, NotFound
from rhdesk.models import Record

ONE = "def train(alpha=0.1):\n    return alpha\n"
TWO = "from parts import half\n\n\ndef train(alpha=0.3):\n    return half(alpha)\n"
PARTS = "def half(x):\n    return x / 2\n"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    project = tmp_path / "home" / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    with Desk() as desk:
        yield desk


def record(name: str = "~/x", **config: Any) -> Record:
    return Record(name=name, resource_type="folder", config=config)


def versions(desk: Desk, name: str) -> list[str]:
    return [version.version for version in desk.history(name)]


# ---- who wrote it, and why


def test_a_version_says_which_run_wrote_it_and_why(desk: Desk) -> None:
    desk.save(record(a=1))
    desk.save(record(a=2), run_id="4f1d08a2c3", note="nightly sweep")
    newest, first = desk.history("~/x")
    assert (newest.run_id, newest.note, newest.summary) == (
        "4f1d08a2c3",
        "nightly sweep",
        "nightly sweep: a 1 -> 2",
    )
    assert (first.run_id, first.note, first.summary) == ("", "", "created")


def test_a_save_within_a_run_is_that_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(current_run.RUN_ID, "from-a-variable")
    desk.save(record(a=1))
    token = current_run.here.set("in-this-process")
    desk.save(record(a=2))
    desk.save(record(a=3), run_id="said-aloud")
    current_run.here.reset(token)
    assert [version.run_id for version in desk.history("~/x")] == [
        "said-aloud",
        "in-this-process",
        "from-a-variable",
    ]


def test_a_variable_that_is_no_run_attributes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(current_run.RUN_ID, "x\n\nRhdesk-Run: y")
    desk.save(record(a=1))
    assert (desk.history("~/x"))[0].run_id == ""
    with pytest.raises(BadInput, match="cannot be the id of a run"):
        desk.save(record(a=2), run_id="two words")


def test_neither_note_nor_field_can_pass_for_a_trailer(desk: Desk) -> None:
    desk.save(record(a=1))
    forged = "why\n\nRhdesk-Run: forged\nRenamed-From: y\x1b]0;title\x07"
    fields: dict[str, Any] = {"b\n\nRhdesk-Run: forged\n": 1}
    desk.save(record(**fields), note=forged)
    newest, *earlier = desk.history("~/x")
    assert newest.run_id == ""
    assert newest.note == "why␊␊Rhdesk-Run: forged␊Renamed-From: y"
    assert len(earlier) == 1


def test_a_note_is_kept_short(desk: Desk) -> None:
    desk.save(record(a=1), note="long " * 100)
    note = (desk.history("~/x"))[0].note
    assert len(note) == 200
    assert note.endswith("…")


def test_a_handle_is_written_by_the_run_its_provenance_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = """
import rhdesk as rh
from rhdesk.handles.resource import Resource
Resource("~/r", provenance={"run_name": "run-of-old"}).save()
print(Resource("~/r").history()[0].run_id)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "run-of-old\n"


# ---- diff


def test_a_diff_tells_each_field_by_its_pointer(desk: Desk) -> None:
    first = desk.save(record(a=1, env={"reqs": ["six"], "kept": 1}, gone=True))
    second = desk.save(record(a=2, env={"reqs": ["six==1.16"], "kept": 1}, new=None))
    found = desk.diff(f"~/x@{first.version[:8]}")
    assert (found.before, found.after) == (
        f"~/x@{first.version[:10]}",
        f"~/x@{second.version[:10]}",
    )
    assert [(f.pointer, f.kind, f.before, f.after) for f in found.fields] == [
        ("/a", "changed", 1, 2),
        ("/env/reqs", "changed", ["six"], ["six==1.16"]),
        ("/gone", "removed", True, None),
        ("/new", "added", None, None),
    ]
    assert found.files == ()


def test_without_a_version_the_newest_two_are_compared(desk: Desk) -> None:
    for a in (1, 2, 3):
        desk.save(record(a=a))
    assert [(f.before, f.after) for f in (desk.diff("~/x")).fields] == [(2, 3)]


def test_a_deletion_is_no_side_of_a_diff(desk: Desk) -> None:
    first = desk.save(record(a=1))
    desk.save(record(a=2))
    desk.delete("~/x")
    for asked in (f"~/x@{first.version}", "~/x"):
        assert [(f.before, f.after) for f in (desk.diff(asked)).fields] == [(1, 2)]


def test_two_names_are_compared_and_what_they_are_called_is_no_difference(
    desk: Desk,
) -> None:
    desk.save(record("~/x", a=1))
    desk.save(record("~/y", a=1))
    assert (desk.diff("~/x", "~/y")).is_empty
    assert (desk.diff("~/x", "~/x")).is_empty


def test_one_version_alone_cannot_be_compared(desk: Desk) -> None:
    desk.save(record(a=1))
    with pytest.raises(BadInput, match="one version only"):
        desk.diff("~/x")


def test_code_is_compared_file_by_file_and_its_hashes_are_not_told_beside(
    desk: Desk,
) -> None:
    Path("app.py").write_text(ONE)
    first = desk.save_target("app.py:train", "~/train")
    Path("app.py").write_text(TWO)
    Path("parts.py").write_text(PARTS)
    desk.save_target("app.py:train", "~/train")
    found = desk.diff(f"~/train@{first.version[:8]}")
    assert [f.pointer for f in found.fields] == ["/signature/text"]
    assert [(f.path, f.kind) for f in found.files] == [
        ("app.py", "changed"),
        ("parts.py", "added"),
    ]
    assert found.files[0].lines == (
        "--- a/app.py",
        "+++ b/app.py",
        "@@ -1,2 +1,5 @@",
        "-def train(alpha=0.1):",
        "-    return alpha",
        "+from parts import half",
        "+",
        "+",
        "+def train(alpha=0.3):",
        "+    return half(alpha)",
    )
    assert found.files[1].lines[:2] == ("--- /dev/null", "+++ b/parts.py")


def test_foreign_text_in_code_is_cleaned(desk: Desk) -> None:
    Path("app.py").write_text(ONE)
    desk.save_target("app.py:train", "~/train")
    Path("app.py").write_text(ONE + "# \x1b]0;owned\x07 \x9b2J title\n")
    desk.save_target("app.py:train", "~/train")
    (file,) = (desk.diff("~/train")).files
    assert "+#   title" in file.lines


def test_code_that_is_gone_or_no_text_is_said_to_differ_and_no_more(
    desk: Desk,
) -> None:
    Path("app.py").write_text(ONE)
    first = desk.save_target("app.py:train", "~/train")
    Path("app.py").write_text(ONE.replace("0.1", "0.2"))
    desk.save_target("app.py:train", "~/train")
    lost = first.config["code"]["files"]["app.py"]
    (desk.asynchronous.settings.data_dir / "code" / lost[:2] / lost).unlink()
    (file,) = (desk.diff("~/train")).files
    assert (file.path, file.kind, file.lines) == ("app.py", "changed", ())


def test_a_diff_is_bounded_whatever_the_files_hold(desk: Desk) -> None:
    many = "".join(f"x{n} = {n}\n" for n in range(3_900))
    Path("app.py").write_text(many + ONE)
    desk.save_target("app.py:train", "~/train")
    Path("app.py").write_text(many.replace("x", "y") + f"# {'z' * 10_000}\n" + ONE)
    desk.save_target("app.py:train", "~/train")
    (file,) = (desk.diff("~/train")).files
    assert len(file.lines) == 2_001
    assert file.lines[-1] == "… more than 2000 lines differ"
    Path("app.py").write_text(many * 2 + ONE)
    desk.save_target("app.py:train", "~/train")
    (file,) = (desk.diff("~/train")).files
    assert (file.kind, file.lines) == ("changed", ())


# ---- rollback


def test_a_rollback_is_a_version_of_its_own_and_undone_by_another(desk: Desk) -> None:
    first = desk.save(record(a=1))
    second = desk.save(record(a=2))
    back = desk.rollback(f"~/x@{first.version[:8]}")
    assert (back.version, (desk.load("~/x")).config["a"]) == (first.version, 1)
    newest = (desk.history("~/x"))[0]
    assert newest.note == f"rollback to {first.version[:10]}"
    assert newest.summary == f"rollback to {first.version[:10]}: a 2 -> 1"
    desk.rollback(f"~/x@{second.version}")
    assert (desk.load("~/x")).config["a"] == 2
    assert versions(desk, "~/x") == [
        second.version,
        first.version,
        second.version,
        first.version,
    ]


def test_a_rollback_brings_a_deleted_name_back(desk: Desk) -> None:
    saved = desk.save(record(a=1))
    desk.delete("~/x")
    assert not desk.exists("~/x")
    desk.rollback(f"~/x@{saved.version[:6]}")
    assert (desk.load("~/x")).config["a"] == 1


def test_a_rollback_to_a_time_takes_what_was_newest_then(desk: Desk) -> None:
    desk.save(record(a=1))
    assert (desk.rollback("~/x@{2099-01-01}")).config["a"] == 1
    with pytest.raises(NotFound):
        desk.rollback("~/x@{1999-01-01}")


def test_a_rollback_to_what_is_newest_makes_no_version(desk: Desk) -> None:
    saved = desk.save(record(a=1))
    same = desk.rollback(f"~/x@{saved.version[:8]}")
    assert same.version == saved.version
    assert len(desk.history("~/x")) == 1


def test_a_version_from_before_a_rename_comes_back_under_the_name_of_now(
    desk: Desk,
) -> None:
    old = desk.save(record("~/x", a=1))
    desk.save(record("~/x", a=2))
    desk.rename("~/x", "~/y")
    back = desk.rollback(f"~/y@{old.version[:8]}")
    assert (back.name, back.config["a"], back.config["name"]) == ("~/y", 1, "~/y")
    assert not desk.exists("~/x")


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ("~/x", BadInput, "says no version"),
        ("~/x@ffffffff", NotFound, "did you mean ~/x@"),
        ("~/never@ffffffff", NotFound, "~/never"),
        ("^x@ffffffff", BadInput, "no versions"),
        ("~/x@zz", BadInput, "not a name"),
    ],
)
def test_a_bad_version_is_refused_with_a_right_one(
    desk: Desk, asked: str, error: type[Exception], told: str
) -> None:
    desk.save(record(a=1))
    with pytest.raises(error, match=told):
        desk.rollback(asked)
    assert len(desk.history("~/x")) == 1


def test_a_name_that_became_a_folder_is_not_rolled_back(desk: Desk) -> None:
    saved = desk.save(record("~/x", a=1))
    desk.delete("~/x")
    desk.save(record("~/x/inner", a=1))
    with pytest.raises(AlreadyExists, match="is a folder"):
        desk.rollback(f"~/x@{saved.version}")


# ---- as commands


def rhdesk(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rhdesk.cli", *args], capture_output=True, text=True, timeout=60
    )


def test_the_commands_say_what_was_and_how_to_undo(desk: Desk) -> None:
    first = desk.save(record(a="one"))
    second = desk.save(record(a="two"), run_id="4f1d08a2c3")
    listed = rhdesk("history", "~/x").stdout
    assert "4f1d08a2c3  a one -> two" in listed
    told = rhdesk("diff", "~/x").stdout
    assert told == "/a\n- one\n+ two\n"
    back = rhdesk("rollback", f"~/x@{first.version[:8]}")
    assert back.returncode == 0
    assert f"undo: rhdesk rollback ~/x@{second.version[:10]}" in back.stderr
    again = rhdesk("rollback", f"~/x@{first.version[:8]}")
    assert "already" in again.stderr
    assert "undo" not in again.stderr
    refused = rhdesk("rollback", "~/x@ffffffff", "--json")
    assert refused.returncode == 3
    assert first.version[:8] in refused.stdout


def test_a_terminal_gets_colours_and_a_pipe_none(desk: Desk) -> None:
    desk.save(record(a="one"))
    desk.save(record(a="two\x1b]0;owned\x07"))
    here, there = os.openpty()
    with open(here, "rb", buffering=0) as screen:
        subprocess.run(
            [sys.executable, "-m", "rhdesk.cli", "diff", "~/x"],
            stdout=there,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
        shown = screen.read(4096)
        os.close(there)
    assert shown == b"\x1b[1m/a\x1b[0m\r\n\x1b[31m- one\x1b[0m\r\n\x1b[32m+ two\x1b[0m\r\n"
    assert rhdesk("diff", "~/x").stdout == "/a\n- one\n+ two\n"


def test_code_that_travels_by_value_is_said_to_differ(tmp_path: Path) -> None:
    one, two = Bundle(kind="function", blob="a" * 64), Bundle(kind="function", blob="b" * 64)
    shelf = CodeShelf(tmp_path)
    assert [(c.path, c.kind) for c in file_changes(one, two, shelf)] == [("(pickle)", "changed")]
    assert file_changes(one, one, shelf) == []


def test_a_handle_tells_its_versions_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = """
import rhdesk as rh
e = rh.env(name="~/e", reqs=["six"]).save()
first = e.history()[0].version
rh.env(name="~/e", reqs=["six==1.16.0"]).save()
print(e.diff().fields == e.diff(first).fields, [f.pointer for f in e.diff().fields])
print(e.rollback(first).reqs, e.diff(first).is_empty)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == ["True ['/reqs']", "['six'] True"], done.stderr
