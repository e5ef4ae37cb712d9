"""What of a folder travels: judged once, remembered, and never taken for what it was."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rhdesk.code import folder as folder_module
from rhdesk.code.folder import Folder
from rhdesk.errors import BadInput

LIMIT = 2000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


@pytest.fixture
def opened(root: Path, tmp_path: Path) -> Callable[[], Folder]:
    """The folder, as each program opens it."""
    return lambda: Folder(root, tmp_path / "index", largest_bytes=LIMIT)


def write(root: Path, path: str, text: str = "x") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def fresh(root: Path, tmp_path: Path) -> Folder:
    """What a look that remembers nothing finds."""
    made = Folder(root, tmp_path / "no such index", largest_bytes=LIMIT)
    made.scan()
    return made


def test_what_stays_says_why(root: Path, opened: Callable[[], Folder]) -> None:
    write(root, "app.py", "import os\n")
    write(root, "run.sh", "#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    write(root, ".env", "PASSWORD=correct-horse")
    write(root, "keys/deploy.txt", "-----BEGIN RSA " + "PRIVATE KEY-----")
    write(root, "large.bin", "x" * (LIMIT + 1))
    write(root, "data/deep/raw.csv")
    write(root, "data/.gitignore", "*.csv\n")
    (root / "inside").symlink_to("app.py")
    (root / "outside").symlink_to("/etc")
    os.mkfifo(root / "pipe")
    (root / os.fsdecode(b"\xff\xfe")).write_text("x")
    found = opened()
    found.scan()
    travels = {path: entry.kind for path, entry in found.tree().entries.items()}
    assert travels == {"app.py": "f", "run.sh": "x", "data/.gitignore": "f", "inside": "l"}
    held = {each.path: each.reason for each in found.held_back()}
    assert held == {
        ".env": "secret",
        "keys/deploy.txt": "secret",
        "large.bin": "large",
        "outside": "link out",
        "pipe": "special",
        os.fsdecode(b"\xff\xfe"): "name",
    }
    why = found.why("data/deep/raw.csv")
    assert (why.travels, why.rule, why.file) == (False, "*.csv", "data/.gitignore:1")
    assert found.why("app.py").travels
    with pytest.raises(BadInput, match="No such file"):
        found.why("nothing")


def test_an_exclamation_mark_sends_what_would_be_held_back(
    root: Path, opened: Callable[[], Folder]
) -> None:
    for name in (".env", "large.bin", "key.pem"):
        write(root, name, "x" * (LIMIT + 1))
    write(root, ".gitignore", "!key.pem\n")
    write(root, ".rhdeskignore", "!.env\n!large.bin\n")
    found = opened()
    found.scan()
    assert {".env", "large.bin"} <= found.tree().entries.keys()
    assert [each.path for each in found.held_back()] == ["key.pem"], "git's rules know no secrets"


def test_rules_above_in_the_repository_hold_too(root: Path, opened: Callable[[], Folder]) -> None:
    subprocess.run(["git", "init", "-q"], cwd=root.parent, check=True)
    write(root.parent, ".gitignore", "*.log\n/project/top\n")
    for name in ("a.log", "top", "kept"):
        write(root, name)
    found = opened()
    found.scan()
    assert set(found.tree().entries) == {"kept"}
    assert found.why("top").file == ".gitignore:2"


def test_an_ignore_file_that_cannot_be_read_stops_everything(
    root: Path, opened: Callable[[], Folder]
) -> None:
    (root / ".gitignore").mkdir()
    with pytest.raises(BadInput, match="cannot be read"):
        opened().scan()


def edit(root: Path, dice: random.Random) -> set[str]:
    """One change as people make them; the paths that are told of."""
    name = f"d{dice.randint(0, 3)}/{dice.choice('abc')}/f{dice.randint(0, 5)}"
    what = dice.randint(0, 6)
    if what <= 2:
        if (root / name).parent.is_file() or (root / name).is_dir():
            return set()
        write(root, name, str(dice.random()))
    elif what == 3:
        (root / name).unlink(missing_ok=True)
    elif what == 4 and (root / name).is_file():
        (root / name).chmod(dice.choice([0o644, 0o755]))
    elif what == 5:
        lines = dice.sample(["f1", "f2", "a/", "!f1", "/d1/b", "*2"], 3)
        write(root, ".gitignore", "\n".join(lines))
        return {".gitignore"}
    elif what == 6 and (root / name).parent.is_dir():
        beside = (root / name).parent.with_name("moved")
        if not beside.exists():
            (root / name).parent.rename(beside)
            return {
                (root / name).parent.relative_to(root).as_posix(),
                beside.relative_to(root).as_posix(),
            }
    return {name}


@pytest.mark.parametrize("seed", range(8))
def test_what_is_remembered_is_never_wrong(
    seed: int, root: Path, tmp_path: Path, opened: Callable[[], Folder]
) -> None:
    dice = random.Random(seed)
    found = opened()
    found.scan()
    for _ in range(40):
        told = set[str]()
        for _ in range(dice.randint(1, 3)):
            told |= edit(root, dice)
        if dice.random() < 0.3:
            found = opened()  # another program
            seen = found.scan()
        elif dice.random() < 0.3:
            seen = found.scan()
        else:
            seen = found.look_at(told)
        wanted = fresh(root, tmp_path)
        assert set(found.tree().entries) == set(wanted.tree().entries)
        assert seen == found.tree().root == wanted.tree().root
        if dice.random() < 0.5:
            found.keep()


def test_a_change_that_is_not_seen_would_be_noticed(
    root: Path, tmp_path: Path, opened: Callable[[], Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: where nothing tells one state of a file from another, what is remembered is wrong."""
    monkeypatch.setattr(folder_module._Seen, "is_still", lambda _seen, _found: True)
    monkeypatch.setattr(folder_module, "_UNSURE_NS", -(10**18))
    write(root, "a", "one")
    found = opened()
    found.scan()
    write(root, "a", "two")
    assert found.scan() != fresh(root, tmp_path).tree().root


def test_a_file_that_is_changed_while_it_is_looked_at_is_looked_at_again(
    root: Path, tmp_path: Path, opened: Callable[[], Folder]
) -> None:
    """Same size, same inode, same time: only that it was so young tells."""
    write(root, "a", "one")
    found = opened()
    first = found.scan()
    at = (root / "a").stat()
    (root / "a").write_text("two")
    os.utime(root / "a", ns=(at.st_atime_ns, at.st_mtime_ns))
    assert found.scan() != first
    assert found.scan() == fresh(root, tmp_path).tree().root
