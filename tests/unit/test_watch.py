"""Saves come in batches, whatever the editor does; and none is missed."""

from __future__ import annotations

import errno
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhdesk.code.watch import LONGEST_S, QUIET_S, Batches, FolderWatch, is_followed

_GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 0.3)), max_size=40))
def test_every_event_is_in_a_batch_and_none_waits_longer_than_it_may(
    events: list[tuple[str, float]],
) -> None:
    batches, now = Batches(), 0.0
    waiting: dict[str, float] = {}
    for path, pause_s in events:
        # The clock stops where a batch is due, as the thread that waits wakes there.
        until = now + pause_s
        while (due := batches.due_s(now)) is not None and now + due <= until:
            now += max(due, 1e-9)
            for taken in batches.take(now):
                assert now - waiting.pop(taken) <= LONGEST_S + 1e-6
        now = max(until, now)
        batches.add(path, now)
        waiting.setdefault(path, now)
    assert batches.take(now + LONGEST_S) == frozenset(waiting)
    assert batches.due_s(now) is None


def test_saves_close_together_are_one_batch_and_a_later_one_is_another() -> None:
    batches = Batches()
    batches.add("a", 0.0)
    batches.add("b", QUIET_S / 2)
    assert batches.take(QUIET_S) == frozenset()
    assert batches.take(QUIET_S * 2) == {"a", "b"}
    batches.add("a", 1.0)
    assert batches.take(1.0 + QUIET_S * 2) == {"a"}


@pytest.mark.parametrize(
    "path", ["a/.b.py.swp", "a/4913", "b.py~", ".git/HEAD", "__pycache__/b.pyc", "#b.py#"]
)
def test_what_editors_and_tools_write_beside_is_nobodys_save(path: str) -> None:
    assert not is_followed(path)
    assert is_followed("a/b.py")


def in_place(file: Path, text: str) -> None:
    file.write_text(text)


def renamed(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text)
    beside.rename(file)


def as_vim(file: Path, text: str) -> None:
    probe = file.with_name("4913")
    probe.write_text("")
    probe.unlink()
    file.rename(file.with_name(file.name + "~"))
    file.write_text(text)
    file.with_name(file.name + "~").unlink()


def removed_first(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text)


@pytest.mark.parametrize("save", [in_place, renamed, as_vim, removed_first])
@pytest.mark.parametrize("observe", [True, False])
def test_a_save_is_seen_however_the_editor_does_it(
    tmp_path: Path, save: Callable[[Path, str], None], observe: bool
) -> None:
    (tmp_path / "deep").mkdir()
    file = tmp_path / "deep" / "app.py"
    file.write_text("1")
    watch = FolderWatch(tmp_path, observe=observe, look_s=60.0)
    save(file, "22")
    assert watch.wait(10) == {"deep/app.py"}
    assert watch.wait(0.3) == frozenset()
    watch.close()


def git(folder: Path, *words: str) -> None:
    subprocess.run([*_GIT, *words], cwd=folder, check=True, capture_output=True)


def test_a_branch_switch_and_a_stash_are_a_batch_each(tmp_path: Path) -> None:
    git(tmp_path, "init")
    for number in range(30):
        (tmp_path / f"m{number}.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    git(tmp_path, "checkout", "-b", "other")
    for number in range(30):
        (tmp_path / f"m{number}.py").write_text("other")
    git(tmp_path, "commit", "-am", "two")
    everything = {f"m{number}.py" for number in range(30)}
    watch = FolderWatch(tmp_path)
    git(tmp_path, "checkout", "main")
    assert watch.wait(10) == everything
    (tmp_path / "m1.py").write_text("changed")
    assert watch.wait(10) == {"m1.py"}
    git(tmp_path, "stash")
    assert watch.wait(10) == {"m1.py"}
    watch.close()


def test_a_folder_made_later_is_followed_too(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path, look_s=60.0)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.py").write_text("1")
    assert watch.wait(10) == {"new/a.py"}
    (tmp_path / "new" / "a.py").write_text("22")
    assert watch.wait(10) == {"new/a.py"}
    watch.close()


def test_a_change_no_event_tells_of_is_found_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FolderWatch, "_hear", lambda *_: None)
    deaf = FolderWatch(tmp_path, look_s=60.0)
    watch = FolderWatch(tmp_path, look_s=0.2)
    (tmp_path / "a.py").write_text("1")
    assert watch.wait(10) == {"a.py"}
    assert deaf.wait(0.5) == frozenset()  # the control: without looking it is missed
    watch.close()
    deaf.close()


def test_without_watches_left_it_looks_and_says_how_to_raise_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchdog.observers import Observer

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(Observer, "schedule", full)
    watch = FolderWatch(tmp_path)
    assert watch.how == "polling"
    assert "fs.inotify.max_user_watches" in watch.why
    (tmp_path / "a.py").write_text("1")
    assert watch.wait(10) == {"a.py"}
    watch.close()


def test_closing_ends_a_wait(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    began = time.monotonic()
    watch.close()
    watch.wait(30)
    assert time.monotonic() - began < 20
