"""The working folder of a node: whole or not at all, and nothing a run wrote is lost."""

from __future__ import annotations

import fcntl
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from rhdesk.code.folder import Folder
from rhdesk.errors import BadInput, NotFound, SetupFailed
from rhdesk.wire.tree import Change, Entry, Tree, between
from rhdesk.wire.work import Content, Early, Offer, Wanted, WorkSeen
from rhdesk_servlet import work as work_module
from rhdesk_servlet.standing import Standing
from rhdesk_servlet.work import APPLYING, CURRENT, WorkFolder, lock_of


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


class Pair:
    """A folder here and its counterpart, brought there as the desk does."""

    def __init__(self, place: Path) -> None:
        self.here = place / "here"
        self.here.mkdir()
        self.place = place / "there"
        self.place.mkdir()
        self.there = WorkFolder(self.place)
        self.folder = Folder(self.here, place / "index", largest_bytes=1_000_000)

    def offer(self) -> list[bytes]:
        self.folder.scan()
        tree = self.folder.tree()
        return self.there.offer(Offer(tree.root, list(tree.entries.items())))

    def send(self, missing: list[bytes]) -> None:
        files = {entry.hash: path for path, entry in self.folder.tree().entries.items()}
        for digest in missing:
            data = (self.here / files[digest]).read_bytes()
            self.there.receive([Content(digest, len(data), 0, data)])

    def bring(self) -> WorkSeen:
        self.send(self.offer())
        return self.there.finish()

    def change(self, base: Tree) -> WorkSeen:
        self.folder.scan()
        change = between(base, self.folder.tree())
        contents = {e.hash: (self.here / p).read_bytes() for p, e in change.put.items()}
        return self.there.change(change, contents)

    @property
    def current(self) -> Path:
        return self.place / os.readlink(self.place / CURRENT)

    def root_there(self, of: Tree | None = None) -> str:
        """The hash of what is really in the current copy, of what the tree knows."""
        tree = Tree()
        for path, entry in (of or self.folder.tree()).entries.items():
            file = self.current / path
            if file.is_symlink():
                link = os.readlink(file)
                tree.put(path, Entry("l", sha256(link.encode()).digest(), 0, 0, link))
            elif file.is_file():
                kind = "x" if file.stat().st_mode & 0o100 else "f"
                tree.put(path, Entry(kind, sha256(file.read_bytes()).digest(), entry.size, 0))
        return tree.root

    def files_there(self) -> set[str]:
        return {
            str(file.relative_to(self.current))
            for file in self.current.rglob("*")
            if not file.is_dir() or file.is_symlink()
        }


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


@contextmanager
def running_in(copy: Path) -> Iterator[None]:
    """As a worker does while a run goes on."""
    with lock_of(copy).open("a") as opened:
        fcntl.flock(opened, fcntl.LOCK_SH)
        yield


def test_a_folder_comes_there_and_follows(pair: Pair) -> None:
    write(pair.here, {"a.py": "1", "data/b.csv": "2", "data/deep/c": "3", "same": "1"})
    (pair.here / "link").symlink_to("data/b.csv")
    (pair.here / "run.sh").write_text("#!/bin/sh\n")
    (pair.here / "run.sh").chmod(0o755)
    assert len(pair.offer()) == 4, "what is the same travels once"
    seen = pair.bring()
    assert seen.root == pair.folder.tree().root == pair.root_there()
    assert pair.files_there() == {"a.py", "data/b.csv", "data/deep/c", "same", "link", "run.sh"}
    assert seen.files == 6

    base = pair.folder.tree().copy()
    write(pair.here, {"a.py": "new", "more/x": "3"})
    (pair.here / "data/deep/c").unlink()
    (pair.here / "link").unlink()
    seen = pair.change(base)
    assert seen.is_taken
    assert seen.root == pair.root_there()
    assert pair.files_there() == {"a.py", "data/b.csv", "same", "run.sh", "more/x"}
    assert not (pair.current / "data/deep").exists(), "a folder that is empty goes too"
    assert WorkFolder(pair.place).seen() == pair.there.seen(), "it is there for the next program"


def test_a_change_of_another_tree_is_not_taken(pair: Pair) -> None:
    write(pair.here, {"a": "1"})
    pair.bring()
    before = pair.there.seen()
    other = Tree([("b", Entry("f", sha256(b"b").digest(), 1, 1))])
    seen = pair.there.change(Change(other.root, other.root, [], {}), {})
    assert not seen.is_taken
    assert seen.root == before.root == pair.root_there()


def test_what_a_run_wrote_stays_beside_a_change(pair: Pair) -> None:
    write(pair.here, {"a": "1"})
    pair.bring()
    write(pair.current, {"out/result.json": "{}", "a.log": "line"})
    base = pair.folder.tree().copy()
    write(pair.here, {"a": "2", "b": "3"})
    pair.change(base)
    assert {w.path for w in pair.there.written("")} == {"out/result.json", "a.log"}
    assert {w.path for w in pair.there.written("out")} == {"out/result.json"}
    (data,) = pair.there.read([Wanted("out/result.json", 0, 100)])
    assert data == b"{}"
    with pytest.raises(NotFound):
        pair.there.read([Wanted("out/no-such", 0, 1)])


def test_a_run_keeps_what_it_started_with(pair: Pair) -> None:
    write(pair.here, {"a": "1", "b/c": "2"})
    pair.bring()
    started = pair.current
    with running_in(started):
        base = pair.folder.tree().copy()
        write(pair.here, {"a": "2"})
        pair.change(base)
        assert (started / "a").read_text() == "1"
        assert (pair.current / "a").read_text() == "2"
        assert pair.root_there() == pair.folder.tree().root
        write(started, {"checkpoint": "of the run"})
        second = pair.current
        base = pair.folder.tree().copy()
        write(pair.here, {"a": "3"})
        pair.change(base)
        assert pair.current == second, "nobody is in it, so it is changed in place"
    assert {w.path for w in pair.there.written("")} == {"checkpoint"}, "the run is over"
    assert not started.exists()
    assert (pair.current / "checkpoint").read_text() == "of the run"


def test_a_worker_stands_in_it_and_sees_the_next_tree(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    write(pair.here, {"standing_module.py": "WORD = 1", "data.txt": "one"})
    standing = Standing(str(pair.place / CURRENT))
    with pytest.raises(SetupFailed, match="sync push"), standing.held():
        raise AssertionError("nothing is there yet")
    pair.bring()
    with standing.held():
        assert Path("data.txt").read_text() == "one"
        assert __import__("standing_module").WORD == 1
    base = pair.folder.tree().copy()
    write(pair.here, {"standing_module.py": "WORD = 22", "data.txt": "two"})
    with standing.held():
        pair.change(base)
        assert Path("data.txt").read_text() == "one", "a run that goes on keeps its folder"
    with standing.held():
        assert Path("data.txt").read_text() == "two"
        assert __import__("standing_module").WORD == 22
    (pair.place / APPLYING).write_bytes(b"")
    with pytest.raises(SetupFailed, match="not whole"), standing.held():
        raise AssertionError("it is not whole")


def test_what_is_cut_off_is_never_taken_for_whole(pair: Pair) -> None:
    """Between any two messages the program there may die; the next one goes on."""
    files = {f"f{n}": str(n) for n in range(20)}
    write(pair.here, files)
    for sent in (0, 7, 20):
        missing = pair.offer()
        pair.send(missing[:sent])
        pair.there = WorkFolder(pair.place)  # started anew
        assert pair.there.seen().root == ""
        with pytest.raises(NotFound):
            pair.there.finish()
    assert pair.offer() == [], "what came before is still there"
    assert pair.there.finish().root == pair.root_there()


class Died(BaseException):
    pass


@pytest.mark.parametrize("in_use", [False, True])
def test_killed_at_any_step_of_a_change_it_is_whole_or_says_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_use: bool
) -> None:
    steps = _died_at(tmp_path / "count", monkeypatch, -1, in_use)
    assert steps >= 20
    outcomes = [
        _died_at(tmp_path / str(step), monkeypatch, step, in_use) for step in range(1, steps)
    ]
    assert len(outcomes) == steps - 1


def _died_at(place: Path, monkeypatch: pytest.MonkeyPatch, at: int, in_use: bool) -> int:
    """Die at one system call of a change; afterwards a sync must heal it. Returns how many."""
    place.mkdir()
    pair = Pair(place)
    write(pair.here, {"a": "1", "b": "2", "c/d": "3", "e": "4"})
    pair.bring()
    write(pair.current, {"of-a-run": "kept"})
    base = pair.folder.tree().copy()
    write(pair.here, {"a": "new", "c/d": "changed", "g/h": "4"})
    (pair.here / "b").unlink()
    calls = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls == at:
                raise Died
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patched:
        for name in ("rename", "replace", "unlink", "symlink", "open", "write", "rmdir", "mkdir"):
            patched.setattr(os, name, counted(getattr(os, name)))
        try:
            if in_use:
                with running_in(pair.current):
                    pair.change(base)
            else:
                pair.change(base)
        except Died:
            pass
    pair.there = WorkFolder(pair.place)
    seen = pair.there.seen()
    assert seen.root in {base.root, pair.folder.tree().root, ""}
    for tree in (base, pair.folder.tree()):
        if seen.root == tree.root:
            assert pair.root_there(tree) == seen.root, at
    pair.folder.scan()
    if pair.there.seen().root != pair.folder.tree().root:
        pair.bring()
    assert pair.root_there() == pair.folder.tree().root == pair.there.seen().root, at
    kept = [each.read_text() for each in pair.place.glob("copies/*/of-a-run")]
    assert kept == ["kept"], at
    return calls


def test_a_folder_written_before_it_says_so_would_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: without the mark that a change goes on, a death in it leaves a wrong tree."""
    monkeypatch.setattr(work_module, "APPLYING", "no-mark")

    def forget(self: WorkFolder) -> None:
        (self._place / "no-mark").unlink(missing_ok=True)

    def start(self: WorkFolder, place: Path) -> None:
        kept(self, place)
        forget(self)

    kept = WorkFolder.__init__
    monkeypatch.setattr(WorkFolder, "__init__", start)

    def die_at_each() -> None:
        for step in range(1, 20):
            _died_at(tmp_path / str(step), monkeypatch, step, False)

    with pytest.raises(AssertionError):
        die_at_each()


def test_random_edits_and_runs_end_equal(tmp_path: Path) -> None:
    dice = random.Random(11)
    for round_ in range(15):
        (tmp_path / str(round_)).mkdir()
        pair = Pair(tmp_path / str(round_))
        names = [f"d{n % 3}/f{n}" for n in range(12)]
        write(pair.here, {name: str(dice.random()) for name in names})
        pair.bring()
        outputs: set[str] = set()
        for step in range(12):
            base = pair.folder.tree().copy()
            for name in dice.sample(names, 3):
                if dice.random() < 0.3:
                    (pair.here / name).unlink(missing_ok=True)
                else:
                    write(pair.here, {name: str(dice.random())})
            if dice.random() < 0.5:
                write(pair.current, {f"out/{step}": "x"})
                outputs.add(f"out/{step}")
            if dice.random() < 0.4:
                with running_in(pair.current):
                    pair.change(base)
            elif dice.random() < 0.3:
                pair.bring()
            else:
                pair.change(base)
            assert pair.root_there() == pair.folder.tree().root == pair.there.seen().root
        assert {each.path for each in pair.there.written("")} == outputs


def test_files_may_come_before_their_tree(pair: Pair) -> None:
    write(pair.here, {"a": "1", "b/c": "2", "edited": "old"})
    early: list[Early] = []
    pair.folder.scan(read=lambda path, entry, data: early.append(Early(path, entry, data)))
    assert {file.path for file in early} == {"a", "b/c", "edited"}
    wrong = Early("wrong", early[0].entry, b"of another file")
    pair.there.early([*early, wrong])
    assert pair.there.seen().root == "", "a tree that nobody named is none"
    write(pair.here, {"edited": "new one", "more": "x"})
    missing = pair.offer()
    assert len(missing) == 2, "what came early and is still so is not asked for"
    assert pair.bring().root == pair.root_there()
    assert pair.files_there() == {"a", "b/c", "edited", "more"}
    with pytest.raises(BadInput, match="no path inside"):
        WorkFolder(pair.place / "other").early([Early("../x", early[0].entry, early[0].data)])


@pytest.mark.parametrize(
    "change",
    [
        Change("", "", [], {"../x": Entry("f", sha256(b"x").digest(), 1, 0)}),
        Change("", "", [], {"/etc/x": Entry("f", sha256(b"x").digest(), 1, 0)}),
        Change("", "", [], {"out": Entry("l", sha256(b"x").digest(), 1, 0, "../../..")}),
        Change("", "", [], {"b": Entry("f", sha256(b"x").digest(), 1, 0)}),
    ],
)
def test_a_hostile_change_touches_nothing(pair: Pair, change: Change) -> None:
    write(pair.here, {"a": "1"})
    pair.bring()
    root = pair.there.seen().root
    before = {str(f): f.lstat().st_mtime_ns for f in pair.place.parent.rglob("*")}
    hostile = Change(root, "no such root", change.gone, change.put)
    with pytest.raises(BadInput):
        pair.there.change(hostile, {sha256(b"x").digest(): b"x"})
    assert {str(f): f.lstat().st_mtime_ns for f in pair.place.parent.rglob("*")} == before


def test_a_content_that_is_not_what_its_hash_says_is_refused(pair: Pair) -> None:
    write(pair.here, {"a": "1"})
    (digest,) = pair.offer()
    assert pair.there.receive([Content(digest, 1, 0, b"2")]) == [digest]
    with pytest.raises(BadInput, match="were not sent"):
        pair.there.finish()
    large = b"x" * 10
    assert pair.there.receive([Content(digest, 10, 5, large[5:])]) == []
    assert pair.there.receive([Content(digest, 10, 0, large[:5])]) == [digest]


def test_a_large_file_comes_in_pieces_in_any_order(pair: Pair) -> None:
    write(pair.here, {"large": "".join(map(str, range(1000)))})
    data = (pair.here / "large").read_bytes()
    (digest,) = pair.offer()
    for at in (2000, 0, 1000):
        pair.there.receive([Content(digest, len(data), at, data[at : at + 1000])])
    assert pair.there.finish().root == pair.root_there()
