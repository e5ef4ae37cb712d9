"""Names through a git remote: two clones, a bare repository between them, and a third clone."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rhdesk.config import Settings
from rhdesk.errors import BadInput, ConnectionFailed, NotFound, Refused
from rhdesk.models import Exchanged, Name, Record, Version
from rhdesk.rns.exchange import exchange
from rhdesk.rns.names import LocalNames
from rhdesk.rns.owned import OwnedNames

P = Name.parse
REF = "refs/rhdesk/names"


class Laptop:
    """One person's clone and data folder."""

    def __init__(self, folder: Path, bare: Path) -> None:
        self.top = folder / "project"
        self.settings = Settings(data_dir=folder / "data", cache_dir=folder / "cache")
        folder.mkdir()
        subprocess.run(["git", "clone", "-q", str(bare), str(self.top)], check=True)
        self.names = LocalNames(self.settings, self.top)

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.top), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def save(self, name: str, **config: Any) -> str:
        return self.names.save(Record(name=name, resource_type="blob", config=config)).version

    def exchange(self, remote: str = "origin", *, network_s: float = 30.0) -> Exchanged:
        async def work() -> Exchanged:
            owned = OwnedNames(self.settings, self.top)
            try:
                return await exchange(owned, remote, network_s=network_s)
            finally:
                await owned.aclose()

        return asyncio.run(work())

    def there(self) -> dict[str, dict[str, Any]]:
        """Every name, and what was saved under it."""
        untold = {"name", "resource_type", "resource_subtype"}
        return {
            record.name: {k: v for k, v in record.config.items() if k not in untold}
            for record in self.names.names()
        }

    def history(self, name: str) -> list[Version]:
        return self.names.history(P(name), limit=1_000)

    def file(self, name: str) -> Path:
        return self.top / "rh" / name / "config.json"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "bare.git")], check=True)
    return tmp_path / "bare.git"


@pytest.fixture
def laptops(tmp_path: Path, bare: Path) -> Iterator[tuple[Laptop, Laptop]]:
    both = Laptop(tmp_path / "ann", bare), Laptop(tmp_path / "ben", bare)
    yield both
    for laptop in both:
        laptop.names.close()


def test_names_go_both_ways_and_a_third_clone_gets_them_all(
    laptops: tuple[Laptop, Laptop], tmp_path: Path, bare: Path
) -> None:
    ann, ben = laptops
    ann.save("~/x", a=1)
    ann.save("~/x", a=2)
    done = ann.exchange()
    assert (done.brought, done.sent, done.conflicts) == ((), 2, ())
    done = ben.exchange()
    assert (done.brought, done.sent) == (("~/x",), 0)
    ben.save("~/team/y", b=1)
    ann.save("~/z", c=1)
    assert ben.exchange().sent == 1
    done = ann.exchange()
    assert (done.brought, done.conflicts) == (("~/team/y",), ())
    assert ben.exchange().brought == ("~/z",)
    everything = {"~/x": {"a": 2}, "~/team/y": {"b": 1}, "~/z": {"c": 1}}
    assert ann.there() == ben.there() == everything
    assert ben.file("x").read_bytes() == ann.file("x").read_bytes()
    assert [version.config["a"] for version in ben.history("~/x")] == [2, 1]

    cleo = Laptop(tmp_path / "cleo", bare)
    assert cleo.exchange().brought == ("~/team/y", "~/x", "~/z")
    assert cleo.there() == everything
    assert cleo.exchange() == Exchanged(remote="origin")
    assert ann.git("rev-parse", REF) == ben.git("rev-parse", REF) == cleo.git("rev-parse", REF)
    cleo.names.close()


def test_different_fields_of_one_name_are_merged_without_a_word(
    laptops: tuple[Laptop, Laptop],
) -> None:
    ann, ben = laptops
    ann.save("~/x", a=1, b=1, env={"reqs": ["numpy"], "name": "base"})
    ann.exchange()
    ben.exchange()
    ann.save("~/x", a=2, b=1, env={"reqs": ["numpy"], "name": "gpu"})
    ben.save("~/x", a=1, b=2, env={"reqs": ["torch"], "name": "base"})
    ann.exchange()
    done = ben.exchange()
    assert done.conflicts == ()
    ann.exchange()
    merged = {"a": 2, "b": 2, "env": {"reqs": ["torch"], "name": "gpu"}}
    assert ann.there() == ben.there() == {"~/x": merged}
    for laptop in laptops:
        saved = [
            (version.config.get("a"), version.config.get("b")) for version in laptop.history("~/x")
        ]
        assert saved[0] == (2, 2)
        assert sorted(saved[1:]) == [(1, 1), (1, 2), (2, 1)]


def test_the_same_field_changed_by_both_stays_ours_and_theirs_can_be_taken(
    laptops: tuple[Laptop, Laptop],
) -> None:
    ann, ben = laptops
    ann.save("~/x", a=1, b=1)
    ann.exchange()
    ben.exchange()
    anns = ann.save("~/x", a=2, b=5)
    bens = ben.save("~/x", a=3, b=1)
    ann.exchange()
    (conflict,) = ben.exchange().conflicts
    assert (conflict.name, conflict.why, conflict.fields) == ("~/x", "fields", ("/a",))
    assert (conflict.ours, conflict.theirs) == (bens, anns)
    assert ben.there() == {"~/x": {"a": 3, "b": 5}}
    assert ben.names.load(P(f"~/x@{anns}")).config["a"] == 2
    assert ben.names.load(P(f"~/x@{bens}")).config["a"] == 3
    assert f"ours of /a; theirs is @{anns[:12]}" in ben.git("log", "-1", "--format=%s", REF)
    done = ann.exchange()
    assert (done.brought, done.conflicts) == (("~/x",), ())
    assert ann.there() == ben.there()
    assert ann.names.load(P(f"~/x@{anns}")).config["a"] == 2


def test_deletions_travel_and_an_edit_outlives_a_deletion(
    laptops: tuple[Laptop, Laptop],
) -> None:
    ann, ben = laptops
    for name in ("~/gone", "~/kept", "~/back", "~/both"):
        ann.save(name, a=1)
    ann.exchange()
    ben.exchange()
    for name in ("~/gone", "~/kept", "~/both"):
        ann.names.delete(P(name))
    ann.save("~/back", a=2)
    kept = ben.save("~/kept", a=2)
    for name in ("~/back", "~/both"):
        ben.names.delete(P(name))
    ann.exchange()
    done = ben.exchange()
    assert {(each.name, each.why) for each in done.conflicts} == {
        ("~/kept", "edited-and-deleted"),
        ("~/back", "deleted-and-edited"),
    }
    assert {each.ours for each in done.conflicts} == {kept, ""}
    ann.exchange()
    assert ann.there() == ben.there() == {"~/kept": {"a": 2}, "~/back": {"a": 2}}
    assert not ben.file("gone").exists()
    assert ann.history("~/gone")[0].deleted
    assert not ann.history("~/kept")[0].deleted
    assert 1 in {version.config.get("a") for version in ann.history("~/gone")}


def test_a_rename_travels_and_what_was_edited_under_the_old_name_is_kept(
    laptops: tuple[Laptop, Laptop],
) -> None:
    ann, ben = laptops
    ann.save("~/x", a=1)
    ann.save("~/y", a=1)
    ann.exchange()
    ben.exchange()
    ann.names.rename(P("~/x"), P("~/new/x"))
    ann.names.rename(P("~/y"), P("~/z"))
    ben.save("~/y", a=2)
    ann.exchange()
    (conflict,) = ben.exchange().conflicts
    assert (conflict.name, conflict.why) == ("~/y", "edited-and-deleted")
    ann.exchange()
    everything = {"~/new/x": {"a": 1}, "~/z": {"a": 1}, "~/y": {"a": 2}}
    assert ann.there() == ben.there() == everything
    assert len(ben.history("~/new/x")) == 2


def test_a_name_that_is_a_folder_on_the_other_side_is_kept_beside(
    laptops: tuple[Laptop, Laptop],
) -> None:
    ann, ben = laptops
    ann.save("~/base", a=0)
    ann.exchange()
    ben.exchange()
    ann.save("~/a/b", a=1)
    ann.save("~/Case", a=1)
    ben.save("~/a", a=2)
    ben.save("~/case", a=2)
    ann.exchange()
    done = ben.exchange()
    assert {(each.name, each.why, each.kept_as) for each in done.conflicts} == {
        ("~/a/b", "name-taken", "~/a-b-theirs"),
        ("~/Case", "name-taken", "~/Case-theirs"),
    }
    ann.exchange()
    assert ann.there() == ben.there()
    assert ann.there() == {
        "~/base": {"a": 0},
        "~/a": {"a": 2},
        "~/case": {"a": 2},
        "~/a-b-theirs": {"a": 1},
        "~/Case-theirs": {"a": 1},
    }


def test_an_edit_by_hand_is_a_version_before_anything_is_merged(
    laptops: tuple[Laptop, Laptop],
) -> None:
    ann, ben = laptops
    ann.save("~/x", a=1, b=1)
    ann.exchange()
    ben.exchange()
    ann.save("~/x", a=2, b=1)
    ann.exchange()
    ben.file("x").write_text('{"name": "~/x", "resource_type": "blob", "a": 1, "b": 7}')
    ben.exchange()
    assert ben.there()["~/x"] == {"a": 2, "b": 7}
    assert {version.config.get("b") for version in ben.history("~/x")} == {1, 7}


def test_many_edits_on_both_sides_end_equal_and_every_version_is_kept(
    laptops: tuple[Laptop, Laptop],
) -> None:
    saved: set[tuple[str, str]] = set()
    for round_ in range(4):
        for who, laptop in enumerate(laptops):
            for number in range(6):
                name = f"~/n{(number * (round_ + who + 1)) % 5}"
                saved.add((name, laptop.save(name, **{f"f{who}{number % 2}": round_, "s": who})))
        for laptop in laptops:
            laptop.exchange()
    laptops[0].exchange()
    assert laptops[0].there() == laptops[1].there()
    for laptop in laptops:
        kept = {
            (name, version.version) for name in laptop.there() for version in laptop.history(name)
        }
        assert saved <= kept


# ---- beside the person's own work


def test_branches_index_and_hooks_are_left_alone(laptops: tuple[Laptop, Laptop]) -> None:
    ann, ben = laptops
    ann.save("~/x", a=1)
    ann.exchange()
    (ben.top / "mine.txt").write_text("mine")
    ben.git("add", "mine.txt")
    for hook in ("pre-push", "reference-transaction", "post-merge"):
        script = ben.top / ".git/hooks" / hook
        script.write_text("#!/bin/sh\ntouch ran\nexit 1\n")
        script.chmod(0o755)

    def theirs() -> dict[str, bytes]:
        git = ben.top / ".git"
        kept = [git / "index", git / "HEAD", git / "config", git / "FETCH_HEAD"]
        kept += [*(git / "refs/heads").rglob("*"), *(git / "refs/remotes").rglob("*")]
        return {str(file): file.read_bytes() for file in kept if file.is_file()}

    before = theirs()
    ben.save("~/y", a=1)
    done = ben.exchange()
    assert (done.brought, done.sent) == (("~/x",), 2)
    assert theirs() == before
    assert not list(ben.top.rglob("ran"))
    refs = ben.git("for-each-ref", "--format=%(refname)").splitlines()
    assert refs == [REF, "refs/rhdesk/remotes/origin/names"]
    assert ben.git("fsck", "--strict") == ""


def test_a_folder_or_url_is_a_remote_too_also_outside_any_repository(
    laptops: tuple[Laptop, Laptop], tmp_path: Path, bare: Path
) -> None:
    laptops[0].save("~/x", a=1)
    assert laptops[0].exchange(str(bare)).sent == 1
    (tmp_path / "plain").mkdir()
    settings = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")

    async def work() -> Exchanged:
        owned = OwnedNames(settings, tmp_path / "plain")
        try:
            return await exchange(owned, f"file://{bare}")
        finally:
            await owned.aclose()

    assert asyncio.run(work()).brought == ("~/x",)


# ---- what goes wrong


def test_a_remote_that_moves_in_between_is_merged_again(
    laptops: tuple[Laptop, Laptop], bare: Path
) -> None:
    """The bare repository overtakes the push twice, in a hook of its own."""
    ann, ben = laptops
    ann.save("~/x", a=1)
    ann.exchange()
    for number in (1, 2):
        ann.save(f"~/late{number}", a=number)
        ann.git("push", "-q", "origin", f"{REF}:refs/late/{number}")
    hook = bare / "hooks/pre-receive"
    hook.write_text(
        "#!/bin/sh\nunset GIT_QUARANTINE_PATH\n"
        "n=$(cat late 2>/dev/null || echo 0); n=$((n + 1)); [ $n -gt 2 ] && exit 0\n"
        f"echo $n > late; git update-ref {REF} $(git rev-parse refs/late/$n)\n"
    )
    hook.chmod(0o755)
    ben.save("~/y", a=1)
    done = ben.exchange()
    assert done.brought == ("~/late1", "~/late2", "~/x")
    ann.exchange()
    assert ann.there() == ben.there()
    assert set(ann.there()) == {"~/x", "~/y", "~/late1", "~/late2"}


def test_a_remote_that_refuses_says_why_and_nothing_here_is_lost(
    laptops: tuple[Laptop, Laptop], bare: Path
) -> None:
    hook = bare / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'only on Fridays' >&2\nexit 1\n")
    hook.chmod(0o755)
    laptops[0].save("~/x", a=1)
    with pytest.raises(Refused, match="only on Fridays"):
        laptops[0].exchange()
    assert laptops[0].there() == {"~/x": {"a": 1}}


def test_a_network_that_hangs_is_ended_in_time(laptops: tuple[Laptop, Laptop]) -> None:
    laptops[0].save("~/x", a=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []
        waiting = threading.Thread(target=lambda: accepted.append(listener.accept()[0]))
        waiting.start()
        began = time.monotonic()
        with pytest.raises(ConnectionFailed, match="no answer in 1 s"):
            laptops[0].exchange(f"git://127.0.0.1:{listener.getsockname()[1]}/x", network_s=1.0)
        assert time.monotonic() - began < 10
        waiting.join()
        accepted[0].close()
    assert laptops[0].there() == {"~/x": {"a": 1}}


def test_a_remote_that_is_not_there_or_is_none_is_said_plainly(
    laptops: tuple[Laptop, Laptop], tmp_path: Path
) -> None:
    ann, _ = laptops
    with pytest.raises(NotFound, match="origin"):
        ann.exchange("orgin")
    with pytest.raises(BadInput):
        ann.exchange("--upload-pack=touch ran")
    with pytest.raises(ConnectionFailed, match="cannot be reached") as failed:
        ann.exchange(f"file://user:secret@{tmp_path}/nowhere")
    assert "secret" not in str(failed.value)
    assert ann.exchange() == Exchanged(remote="origin")


def test_a_remote_whose_tree_leaves_rh_writes_nothing_outside(
    laptops: tuple[Laptop, Laptop], bare: Path
) -> None:
    ann, _ = laptops
    ann.save("~/x", a=1)
    ann.exchange()

    def feed(verb: str, data: bytes, *arguments: str) -> str:
        command = ["git", "-C", str(bare), verb, *arguments]
        identity = {
            "GIT_AUTHOR_DATE": "2026-01-01T00:00Z",
            "GIT_COMMITTER_DATE": "2026-01-01T00:00Z",
        }
        done = subprocess.run(
            command, input=data, check=True, capture_output=True, env=os.environ | identity
        )
        return done.stdout.decode().strip()

    evil = feed("hash-object", b'{"resource_type": "blob"}', "-w", "--stdin")
    tree = feed("mktree", f"100644 blob {evil}\tconfig.json\n".encode())
    for part in ("outside", "..", "..", "ab"):
        tree = feed("mktree", f"040000 tree {tree}\t{part}\n".encode())
    commit = feed("commit-tree", b"", tree, "-p", REF)
    subprocess.run(["git", "-C", str(bare), "update-ref", REF, commit], check=True)
    with pytest.raises(ConnectionFailed):
        ann.exchange()
    assert ann.there() == {"~/x": {"a": 1}}
    assert not (ann.top / "outside").exists()
    assert not (ann.top.parent / "outside").exists()
