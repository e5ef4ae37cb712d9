"""The names of a project, in a real git repository that a person works in at the same time."""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rhdesk.config import Settings
from rhdesk.errors import BadInput, RhdeskError, StoreBusy, StoreUnwritable
from rhdesk.models import Name, Record
from rhdesk.rns.local import BY_HAND
from rhdesk.rns.names import LocalNames
from rhdesk.rns.repository import Commit, Repository
from rhdesk.rns.work_tree import Moved

P = Name.parse
REF = "refs/rhdesk/names"


@pytest.fixture(autouse=True)
def _a_machine_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [v for v in os.environ if v.startswith(("GIT_", "RHDESK_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / ".gitconfig").write_text(
        "[user]\nname = Ann Smith\nemail = ann@example.org\n[init]\ndefaultBranch = main\n"
    )


class Project:
    """A git repository of a person, and the desk's names in it."""

    def __init__(self, top: Path, settings: Settings) -> None:
        self.top = top
        self.settings = settings
        self._opened: list[LocalNames] = []

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.top), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def feed(self, verb: str, data: bytes, *arguments: str) -> bytes:
        command = ["git", "-C", str(self.top), verb, *arguments]
        return subprocess.run(command, input=data, check=True, capture_output=True).stdout.strip()

    def names(self) -> LocalNames:
        self._opened.append(LocalNames(self.settings, self.top))
        return self._opened[-1]

    def file(self, name: str) -> Path:
        return self.top / "rh" / name / "config.json"

    def close(self) -> None:
        for names in self._opened:
            names.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


@pytest.fixture
def project(tmp_path: Path, settings: Settings) -> Iterator[Project]:
    project = Project(tmp_path / "project", settings)
    subprocess.run(["git", "init", "-q", str(project.top)], check=True)
    (project.top / "app.py").write_text("def train(): ...\n")
    project.git("add", "app.py")
    project.git("commit", "-q", "-m", "first")
    yield project
    project.close()


def record(name: str, **config: Any) -> Record:
    return Record(name=name, resource_type="function", config=config)


def listed(names: LocalNames) -> list[str]:
    return [found.name for found in names.names()]


def authors(names: LocalNames, name: str) -> list[str]:
    return [version.author for version in names.history(P(name))]


# ---- beside the user's own work


def test_the_users_branch_index_and_head_stay_byte_for_byte(project: Project) -> None:
    (project.top / "app.py").write_text("def train(): return 1\n")
    project.git("add", "app.py")
    (project.top / "app.py").write_text("def train(): return 2\n")

    def theirs() -> dict[str, bytes]:
        git = project.top / ".git"
        kept = [git / "index", git / "HEAD", git / "config", *(git / "logs").rglob("*")]
        kept += [*(git / "refs/heads").rglob("*"), project.top / "app.py"]
        return {str(file): file.read_bytes() for file in kept if file.is_file()}

    status = project.git("status", "--porcelain")  # refreshes the index, so it comes first
    before = theirs()
    names = project.names()
    names.save(record("~/x", a=1))
    names.save(record("~/x", a=2))
    names.save(record("~/folder/y"))
    names.rename(P("~/x"), P("~/z"))
    names.delete(P("~/folder/y"))
    names.names()
    assert theirs() == before
    assert project.git("status", "--porcelain") == f"{status}\n?? rh/"
    assert project.git("rev-list", "--count", REF) == "5"
    assert project.git("fsck", "--strict") == ""


def test_a_commit_names_the_resource_and_the_person(project: Project) -> None:
    names = project.names()
    names.save(record("~/x", a=1, token="canary"))
    names.save(record("~/x", a=2, token="other"))
    names.rename(P("~/x"), P("~/y"))
    names.delete(P("~/y"))
    told = project.git("log", "--format=%an <%ae>: %s", REF).splitlines()
    assert told == [
        "Ann Smith <ann@example.org>: delete ~/y",
        "Ann Smith <ann@example.org>: rename ~/x to ~/y",
        "Ann Smith <ann@example.org>: save ~/x: a, token",
        "Ann Smith <ann@example.org>: save ~/x: new",
    ]


def test_the_ref_holds_every_config_and_travels_with_push(
    project: Project, tmp_path: Path
) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    names.save(record("~/folder/y"))
    paths = project.git("ls-tree", "-r", "--name-only", REF).splitlines()
    assert sorted(path.split("/", 1)[1] for path in paths) == [
        "folder/y/config.json",
        "x/config.json",
    ]
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "remote")], check=True)
    project.git("push", "-q", str(tmp_path / "remote"), REF)

    other = Project(
        tmp_path / "other",
        Settings(data_dir=tmp_path / "data2", cache_dir=tmp_path / "cache2"),
    )
    subprocess.run(["git", "init", "-q", str(other.top)], check=True)
    other.git("fetch", "-q", str(tmp_path / "remote"), f"{REF}:{REF}")
    there = other.names()
    assert listed(there) == ["~/folder/y", "~/x"]
    assert there.load(P("~/x")) == names.load(P("~/x"))
    assert other.file("x").read_bytes() == project.file("x").read_bytes()

    there.save(record("~/x", a=2))
    other.git("push", "-q", str(tmp_path / "remote"), REF)
    project.git("fetch", "-q", str(tmp_path / "remote"), f"{REF}:{REF}")
    assert names.load(P("~/x")).config["a"] == 2
    there.delete(P("~/x"))
    other.git("push", "-q", str(tmp_path / "remote"), REF)
    project.git("fetch", "-q", str(tmp_path / "remote"), f"{REF}:{REF}")
    assert listed(names) == ["~/folder/y"]
    assert not project.file("x").exists()
    other.close()


def test_no_hook_runs_and_an_environment_for_another_repository_is_ignored(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hook in ("reference-transaction", "post-commit", "pre-commit"):
        script = project.top / ".git/hooks" / hook
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
        script.chmod(0o755)
    subprocess.run(["git", "init", "-q", str(tmp_path / "wrong")], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "wrong/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "wrong"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "wrong/.git/index"))
    names = project.names()
    names.save(record("~/x"))
    assert authors(names, "~/x") == ["Ann Smith"]
    assert not (tmp_path / "ran").exists()
    assert (project.top / ".git" / REF).is_file()
    assert not (tmp_path / "wrong/.git" / REF).exists()


def test_two_working_trees_of_one_repository_keep_their_names_apart(
    project: Project, tmp_path: Path
) -> None:
    project.git("worktree", "add", "-q", str(tmp_path / "linked"))
    linked = Project(tmp_path / "linked", project.settings)
    main, other = project.names(), linked.names()
    main.save(record("~/x", a=1))
    other.save(record("~/y", a=2))
    assert listed(main) == ["~/x"]
    assert listed(other) == ["~/y"]
    assert authors(main, "~/x") == authors(other, "~/y") == ["Ann Smith"]
    assert project.git("for-each-ref", "--format=%(refname)", "refs/rhdesk").splitlines() == [
        REF,
        "refs/rhdesk/worktree-linked/names",
    ]
    linked.close()


def test_names_survive_packed_refs_and_garbage_collection(project: Project) -> None:
    names = project.names()
    first = names.save(record("~/x", a=1))
    project.git("pack-refs", "--all")
    project.git("gc", "-q", "--prune=now")
    assert not (project.top / ".git" / REF).exists()
    assert names.load(P("~/x")) == first
    names.save(record("~/x", a=2))
    assert names.load(P(f"~/x@{first.version[:8]}")) == first


def test_outside_any_repository_the_first_save_makes_ours(
    tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "plain").mkdir()
    names = LocalNames(settings, tmp_path / "plain")
    assert names.names() == []
    assert not settings.data_dir.exists()
    names.save(record("~/x", a=1))
    ours = Project(settings.data_dir / "rns", settings)
    assert ours.git("config", "core.fsync") == "all"
    assert ours.git("config", "core.bare") == "false"
    assert ours.file("x").is_file()
    assert [version.summary for version in names.history(P("~/x"))] == ["created"]
    names.close()


def test_without_a_configured_person_the_user_and_the_host_sign(project: Project) -> None:
    (Path.home() / ".gitconfig").write_text("")
    names = project.names()
    names.save(record("~/x"))
    assert authors(names, "~/x")[0].endswith(f"@{os.uname().nodename}")


# ---- edits made by hand


def test_an_edit_made_by_hand_is_a_version_of_its_own(project: Project) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    project.file("x").write_text('{"name": "~/x", "resource_type": "function", "a": 2}')
    assert names.load(P("~/x")).config["a"] == 2
    project.file("x").write_text('{"name": "~/x", "resource_type": "function", "a": 3}')
    assert names.names()[0].config["a"] == 3
    project.file("x").write_text('{"name": "~/x", "resource_type": "function", "a": 4}')
    names.save(record("~/x", a=5))
    told = names.history(P("~/x"))
    assert [version.config["a"] for version in told] == [5, 4, 3, 2, 1]
    assert [version.author for version in told] == ["Ann Smith", *[BY_HAND] * 3, "Ann Smith"]


def test_a_v0012_project_is_read_as_it_is(project: Project) -> None:
    for number in range(120):
        file = project.file(f"old/f{number}")
        file.parent.mkdir(parents=True)
        file.write_text(f'{{"name": "~/f{number}", "resource_type": "function", "n": {number}}}')
    names = project.names()
    assert len(names.names()) == 120
    assert names.load(P("~/old/f7")).config["n"] == 7
    assert project.git("rev-list", "--count", REF) == "1"
    assert authors(names, "~/old/f7") == [BY_HAND]


def test_switching_branches_and_stashing_lose_no_version(project: Project) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    project.git("add", "rh")
    project.git("commit", "-q", "-m", "names")
    project.git("switch", "-q", "-c", "other")
    names.save(record("~/x", a=2))
    project.git("commit", "-q", "-a", "-m", "two")
    project.git("switch", "-q", "main")
    assert names.load(P("~/x")).config["a"] == 1
    names.save(record("~/y"))
    project.git("stash", "-q", "-u")
    assert listed(names) == ["~/x"]
    project.git("stash", "pop", "-q")
    assert listed(names) == ["~/x", "~/y"]
    assert [version.config["a"] for version in names.history(P("~/x"))] == [1, 2, 1]
    assert [version.deleted for version in names.history(P("~/y"))] == [False, True, False]


def test_a_broken_file_tells_its_line_and_leaves_the_others_alone(project: Project) -> None:
    names = project.names()
    names.save(record("~/good"))
    names.save(record("~/bad", a=1))
    project.file("bad").write_text('{\n  "a": 1,\n  oops\n}')
    with pytest.raises(BadInput, match=r"rh/bad/config\.json, line 3: "):
        names.load(P("~/bad"))
    kinds = {found.name: found.resource_type for found in names.names()}
    assert kinds == {"~/bad": "broken", "~/good": "function"}
    assert "line" in names.names(resource_type="broken")[0].config
    assert names.load(P("~/good")).name == "~/good"
    with pytest.raises(BadInput, match="line 3"):
        names.rename(P("~/bad"), P("~/other"))

    broken = names.history(P("~/bad"))[0]
    assert broken.author == BY_HAND
    assert "line 3" in broken.summary
    with pytest.raises(BadInput, match="cannot be read"):
        names.load(P(f"~/bad@{broken.version[:8]}"))
    names.save(record("~/bad", a=2))
    assert names.history(P("~/bad"))[0].summary == "repaired"
    text = project.git("cat-file", "-p", f"{REF}~1:{_path(project, 'bad')}")
    assert "oops" in text, "what was broken by hand is kept too"


def test_a_file_touched_or_indented_by_hand_is_no_version(project: Project) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    file = project.file("x")
    file.write_text(file.read_text().replace("    ", "\t"))
    assert names.load(P("~/x")).config["a"] == 1
    os.utime(file)
    names.names()
    assert len(names.history(P("~/x"))) == 1


def test_both_sides_changed_and_both_are_kept(project: Project, tmp_path: Path) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    shutil.copytree(project.top, tmp_path / "copy")
    copy = Project(tmp_path / "copy", project.settings)
    copy.names().save(record("~/x", a=2))
    project.git("fetch", "-q", str(copy.top), f"{REF}:{REF}")
    project.file("x").write_text('{"resource_type": "function", "a": 3}')
    assert names.load(P("~/x")).config["a"] == 3
    assert [version.config["a"] for version in names.history(P("~/x"))] == [3, 2, 1]
    copy.close()


# ---- the index is derived


def test_a_lost_or_damaged_index_is_rebuilt_with_the_same_content(project: Project) -> None:
    names = project.names()
    for number in range(5):
        names.save(record(f"~/x{number}", a=number))
    before = names.names()
    count = project.git("rev-list", "--count", REF)

    shutil.rmtree(project.settings.cache_dir)
    assert project.names().names() == before

    names = project.names()
    (file,) = (project.settings.cache_dir / "names").glob("*.db")
    with sqlite3.connect(file) as other:
        other.execute("UPDATE resource SET config = '{}' WHERE name = 'x3'")
    other.close()
    assert names.load(P("~/x3")) == before[3]
    assert names.names() == before

    names.close()
    damaged = bytearray(file.read_bytes())
    damaged[100:4000] = os.urandom(3900)
    file.write_bytes(damaged)
    assert project.names().names() == before
    assert project.git("rev-list", "--count", REF) == count


def test_a_repository_without_its_files_gets_them_back(project: Project) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    names.close()
    shutil.rmtree(project.settings.cache_dir)
    shutil.rmtree(project.top / "rh")
    names = project.names()
    assert names.load(P("~/x")).config["a"] == 1
    assert project.file("x").is_file()


# ---- what goes wrong


def without_root(work: Callable[[], None]) -> None:
    """Run *work* as somebody whom file permissions bind, also where the tests run as root."""

    def run() -> None:
        if os.geteuid() == 0:
            libc = ctypes.CDLL(None, use_errno=True)
            header = (ctypes.c_uint32 * 2)(0x20080522, 0)
            none = (ctypes.c_uint32 * 6)()
            assert libc.capset(header, none) == 0, "this thread alone gives up its powers"
        work()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(run).result()


def test_a_read_only_project_is_readable_and_says_what_it_cannot_write(project: Project) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    names.close()
    tip = project.git("rev-parse", REF)
    project.file("y").parent.mkdir()
    project.file("y").write_text('{"resource_type": "env"}')
    folders = [project.top, *(p for p in project.top.rglob("*") if p.is_dir())]
    files = [project.top / ".git/rhdesk.lock"]
    for path in [*folders, *files]:
        path.chmod(0o500)

    def work() -> None:
        names = LocalNames(project.settings, project.top)
        try:
            assert listed(names) == ["~/x", "~/y"], "an edit that cannot be recorded is shown"
            assert names.load(P("~/x")).config["a"] == 1
            assert names.load(P("~/y")).resource_type == "env"
            for verb in (
                lambda: names.save(record("~/x", a=2)),
                lambda: names.save(record("~/new")),
                lambda: names.delete(P("~/x")),
            ):
                with pytest.raises(StoreUnwritable, match=str(project.top)):
                    verb()
            assert names.load(P("~/x")).config["a"] == 1
        finally:
            names.close()

    try:
        without_root(work)
    finally:
        for path in [*folders, *files]:
            path.chmod(0o755)
    assert project.git("rev-parse", REF) == tip
    names = project.names()
    assert listed(names) == ["~/x", "~/y"]
    assert authors(names, "~/y") == [BY_HAND], "recorded as soon as it can be"


def test_a_home_that_cannot_be_written_still_lists(project: Project, tmp_path: Path) -> None:
    project.names().save(record("~/x", a=1))
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    settings = Settings(data_dir=locked / "data", cache_dir=locked / "cache")

    def work() -> None:
        names = LocalNames(settings, project.top)
        assert listed(names) == ["~/x"]
        names.close()
        (tmp_path / "plain").mkdir(exist_ok=True)
        names = LocalNames(settings, tmp_path / "plain")
        assert names.names() == []
        with pytest.raises(StoreUnwritable, match="data/rns"):
            names.save(record("~/x"))
        names.close()

    without_root(work)


def test_a_full_disk_fails_before_anything_says_saved(project: Project) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    tip = project.git("rev-parse", REF)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        for name in ("~/x", "~/new/y"):
            with pytest.raises(StoreUnwritable, match=f"rh/{name[2:]}/config.json"):
                names.save(record(name, text="a" * 20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert project.git("rev-parse", REF) == tip
    assert names.load(P("~/x")).config["a"] == 1
    assert listed(names) == ["~/x"]
    assert [p.name for p in (project.top / "rh").rglob("*")] == ["x", "config.json"]


def test_a_git_that_cannot_write_fails_before_anything_says_saved(project: Project) -> None:
    names = project.names()
    (project.top / ".git/refs/rhdesk").write_text("in the way")
    with pytest.raises(StoreUnwritable, match=r"\.git"):
        names.save(record("~/x", a=1))
    assert not (project.top / "rh/x").exists()
    assert not list((project.top / ".git").glob("fast_import_crash_*"))
    (project.top / ".git/refs/rhdesk").unlink()
    assert names.save(record("~/x", a=1)) == names.load(P("~/x"))


def test_a_stale_lock_of_a_killed_git_is_removed(project: Project) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    lock = project.top / ".git" / f"{REF}.lock"
    lock.write_text("")
    os.utime(lock, (time.time() - 60, time.time() - 60))
    names.save(record("~/x", a=2))
    assert not lock.exists()
    assert names.load(P("~/x")).config["a"] == 2


def test_a_lock_of_a_git_at_work_is_respected(project: Project) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    lock = project.top / ".git" / f"{REF}.lock"
    lock.write_text("")
    os.utime(lock, (time.time() - 60, time.time() - 60))
    repository = Repository(names.place, patience_s=0.2)
    tip = project.git("rev-parse", REF)
    commit = Commit("by another", [("y", b"{}")], datetime.now(UTC))
    with subprocess.Popen(
        ["git", "cat-file", "--batch"],
        cwd=project.top,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as at_work:
        assert at_work.stdin is not None
        assert at_work.stdout is not None
        at_work.stdin.write(b"no-such-object\n")
        at_work.stdin.flush()
        assert b"missing" in at_work.stdout.readline(), "it has begun, and is called git by now"
        with pytest.raises(StoreBusy, match=r"names\.lock is held") as busy:
            repository.commit(tip, [commit])
        assert str(at_work.pid) in busy.value.holder
        at_work.communicate()
    names.save(record("~/x", a=2))
    assert not lock.exists()


def test_a_commit_on_a_ref_that_has_moved_changes_nothing(project: Project) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    before = project.git("rev-parse", REF)
    names.save(record("~/x", a=2))
    tip = project.git("rev-parse", REF)
    commit = Commit("too late", [("y", b"{}")], datetime.now(UTC))
    for outdated in (before, ""):
        with pytest.raises(Moved):
            Repository(names.place).commit(outdated, [commit])
    assert project.git("rev-parse", REF) == tip


def test_a_ref_moved_by_others_in_the_middle_of_a_save_loses_neither_version(
    project: Project,
) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    others = Repository(names.place)
    moves = iter(range(3))

    def now() -> datetime:
        # A save asks for the time between looking and committing, which is when others are unlucky.
        for number in moves:
            theirs = Commit("theirs", [(f"other{number}", b'{"resource_type": "env"}')], at)
            others.commit(project.git("rev-parse", REF), [theirs])
            break
        return at

    at = datetime.now(UTC)
    unlucky = LocalNames(project.settings, project.top, now=now)
    unlucky.save(record("~/x", a=2))
    assert listed(unlucky) == ["~/other0", "~/other1", "~/other2", "~/x"]
    assert [version.config["a"] for version in unlucky.history(P("~/x"))] == [2, 1]
    unlucky.close()


def test_a_ref_that_was_fetched_cannot_write_outside_rh(project: Project) -> None:
    names = project.names()
    names.save(record("~/x", a=1))
    evil = project.feed("hash-object", b'{"resource_type": "function"}', "-w", "--stdin")
    # Built from the inside out with mktree, because fast-import would refuse the dots.
    name = "../../outside"
    tree = project.feed("mktree", b"100644 blob %s\tconfig.json\n" % evil)
    for part in ("outside", "..", "..", hashlib.sha256(name.encode()).hexdigest()[:2]):
        tree = project.feed("mktree", b"040000 tree %s\t%s\n" % (tree, part.encode()))
    commit = project.feed("commit-tree", b"", tree.decode(), "-p", REF)
    project.git("update-ref", REF, commit.decode())
    names.save(record("~/y"))
    assert listed(names) == ["~/y"]
    assert not (project.top / "outside").exists()
    assert not (project.top.parent / "outside").exists()


# ---- kill -9, and crowds

SAVING = """
import sys
from pathlib import Path
from rhdesk.config import Settings
from rhdesk.models import Record
from rhdesk.rns.names import LocalNames

top, who, count, pattern = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
settings = Settings(data_dir=top.parent / "data", cache_dir=top.parent / "cache")
names = LocalNames(settings, top)
print("ready", flush=True)
for number in range(count):
    name = pattern.format(who=who, number=number)
    config = {"who": who, "number": number}
    saved = names.save(Record(name=name, resource_type="function", config=config))
    print(saved.name, saved.version, flush=True)
names.close()
"""


def saving(project: Project, who: str, count: int, pattern: str) -> subprocess.Popen[str]:
    arguments = [str(project.top), who, str(count), pattern]
    return subprocess.Popen(
        [sys.executable, "-c", SAVING, *arguments],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_two_processes_that_save_at_once_lose_nothing(project: Project) -> None:
    both = [saving(project, who, 50, "~/{who}{number}") for who in ("a", "b")]
    for process in both:
        process.communicate(timeout=60)
        assert process.returncode == 0
    names = project.names()
    assert len(names.names()) == 100
    assert project.git("rev-list", "--count", REF) == "100"
    assert all(authors(names, name) == ["Ann Smith"] for name in ("~/a0", "~/a49", "~/b25"))

    both = [saving(project, who, 25, "~/shared") for who in ("a", "b")]
    saved: set[str] = set()
    for process in both:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        saved |= {line.split()[1] for line in out.splitlines()[1:]}
    assert len(saved) == 50
    assert saved == {version.version for version in names.history(P("~/shared"))}
    assert project.git("fsck", "--strict") == ""


def test_after_kill_9_everything_acknowledged_is_there_and_a_save_works(project: Project) -> None:
    chance = random.Random(7)
    acknowledged: list[tuple[str, str]] = []
    for round_ in range(10):
        process = saving(project, f"r{round_}", 10_000, "~/{who}/n{number}")
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        heard = [process.stdout.readline() for _ in range(chance.randrange(1, 4))]
        assert process.poll() is None, "it is killed at work, and did not end by itself"
        time.sleep(chance.random() * 0.012)  # where in a save it is killed
        if round_ % 2:
            os.kill(process.pid, signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)  # git is killed with it
        out, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
        # A line that was cut off acknowledges nothing.
        lines = [*heard, *out.splitlines(keepends=True)]
        said = [line.split() for line in lines if line.endswith("\n")]
        acknowledged += [(name, version) for name, version in said]

        names = LocalNames(project.settings, project.top)
        started = time.monotonic()
        names.save(record("~/after", round=round_))
        assert time.monotonic() - started < 4, "a lock nobody holds is waited for at most 2 s"
        names.close()
        project.git("fsck", "--strict")

    names = project.names()
    there = {found.name: found.version for found in names.names()}
    assert len(acknowledged) >= 10, "most rounds were killed after a save, not before the first"
    assert {name: there.get(name) for name, _ in acknowledged} == dict(acknowledged)
    assert len(names.history(P("~/after"))) == 10
    assert {version.author for name in there for version in names.history(P(name))} == {
        "Ann Smith"
    }
    assert not list((project.top / ".git").glob("fast_import_crash_*"))
    assert not list((project.top / "rh").rglob(".config.json.*"))


def test_a_save_cut_off_after_its_commit_is_completed_by_the_next_look(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = project.names()
    names.save(record("~/x", a=1))

    class Cut(RhdeskError):
        pass

    def cut(*_: object) -> None:
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", cut)
        with pytest.raises(Cut):
            names.save(record("~/x", a=2))
    assert '"a": 1' in project.file("x").read_text()
    assert project.names().load(P("~/x")).config["a"] == 2
    assert '"a": 2' in project.file("x").read_text()
    assert authors(names, "~/x") == ["Ann Smith", "Ann Smith"]
    assert [p.name for p in project.file("x").parent.iterdir()] == ["config.json"]


def _path(project: Project, name: str) -> str:
    paths = project.git("ls-tree", "-r", "--name-only", REF).splitlines()
    return next(path for path in paths if path[3:] == f"{name}/config.json")
