"""Which files travel: git itself is the oracle for the rules."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from rhdesk.code import ignore
from rhdesk.code.ignore import Rules, holds_secret, looks_secret

NAMES = ["a", "b", "c.py", "d.txt", "e.log", "build", "x y", "#h", "!n", "[z]", "ä"]
LINES = [
    *["a", "b/", "/a", "*.py", "*.log", "!*.log", "!c.py", "build/", "/build", "a/*", "a/**"],
    *["**/b", "a/**/b", "!a/b", "x y", "\\#h", "\\!n", "# note", "", "[a-c]", "?", "*", "!*/"],
    *["d.*", "!d.txt", "a/b/", "!/a/", "**/a/c.py", "ä", "*.t?t", "\\[z\\]", "b/**", "/*", "!/b"],
]


def laid_out(root: Path, seed: int) -> list[str]:
    """A folder with random files and ignore files; the files and folders in it."""
    dice = random.Random(seed)
    made: list[str] = []

    def fill(folder: str, depth: int) -> None:
        for name in dice.sample(NAMES, dice.randint(2, 6)):
            path = f"{folder}{name}"
            made.append(path)
            if depth < 3 and dice.random() < 0.5:
                (root / path).mkdir()
                fill(f"{path}/", depth + 1)
            else:
                (root / path).write_text("x")
        if dice.random() < 0.6 or not folder:
            lines = dice.sample(LINES, dice.randint(1, 6))
            (root / folder / ".gitignore").write_text("\n".join(lines) + "\n")

    fill("", 0)
    return made


def ours(root: Path, paths: list[str]) -> set[str]:
    """The paths that rules ignore, asked for from the top as a walk does."""
    ignored: set[str] = set()

    def walk(folder: str, rules: Rules) -> None:
        rules = rules.inside(root, folder)
        for path in [p for p in paths if p.rpartition("/")[0] == folder.rstrip("/")]:
            is_folder = (root / path).is_dir()
            rule = rules.decide(path, is_folder=is_folder)
            if rule is not None and rule.ignores:
                ignored.update(p for p in paths if p == path or p.startswith(f"{path}/"))
            elif is_folder:
                walk(f"{path}/", rules)

    walk("", Rules([]))
    return ignored


def git_says(root: Path, paths: list[str]) -> set[str]:
    asked = "\0".join(paths) + "\0"
    command = ["git", "-c", "core.excludesFile=", "check-ignore", "-z", "--no-index", "--stdin"]
    done = subprocess.run(
        command, input=asked.encode(), cwd=root, capture_output=True, check=False
    )
    assert done.returncode in {0, 1}, done.stderr
    return {path for path in done.stdout.decode().split("\0") if path}


def test_rules_are_read_as_git_reads_them(tmp_path: Path) -> None:
    asked = 0
    for seed in range(60):
        root = tmp_path / str(seed)
        root.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        paths = laid_out(root, seed)
        assert ours(root, paths) == git_says(root, paths), seed
        asked += len(paths)
    assert asked > 1000


def test_the_oracle_notices_rules_read_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: a rule for a folder above, taken for one about the file, differs from git."""
    monkeypatch.setattr(
        ignore,
        "_fits",
        lambda rule, path, *, is_folder: bool(
            path.startswith(rule.folder)
            and rule.pattern.match(path[len(rule.folder) :] + "/" * is_folder)
        ),
    )
    differing = 0
    for seed in range(60):
        root = tmp_path / str(seed)
        root.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        paths = laid_out(root, seed)
        differing += ours(root, paths) != git_says(root, paths)
    assert differing > 0


def test_a_rule_tells_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / ".gitignore").write_text("*.csv\n")
    (tmp_path / "data/.rhdeskignore").write_text("# keep one\n!small.csv\n")
    rules = Rules().inside(tmp_path, "").inside(tmp_path, "data/")
    small = rules.decide("data/small.csv", is_folder=False)
    large = rules.decide("data/large.csv", is_folder=False)
    assert small is not None
    assert large is not None
    assert (small.text, small.file, small.ignores) == ("!small.csv", "data/.rhdeskignore:2", False)
    assert (large.text, large.file, large.ignores) == ("*.csv", ".gitignore:1", True)
    assert small.is_of_rhdesk
    assert not large.is_of_rhdesk
    built_in = rules.decide("data/__pycache__", is_folder=True)
    assert built_in is not None
    assert built_in.file == "built in"


@pytest.mark.parametrize(
    "name", [".env", ".env.local", "id_ed25519", "server.pem", "credentials", "kubeconfig"]
)
def test_what_is_named_like_a_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["env.py", ".env.example", "id_rsa.pub", "keys.py", "pem.md"])
def test_what_only_sounds_like_one(name: str) -> None:
    assert not looks_secret(name)


def test_what_holds_a_secret() -> None:
    key = b"-----BEGIN OPENSSH " + b"PRIVATE KEY-----"
    assert holds_secret(b"x = 1\n" + key) == "a private key"
    assert holds_secret(b'key = "AKIA' + b"A1" * 8 + b'"') == "an AWS key"
    assert holds_secret(b"it says AKIA and PRIVATE KEY----- in prose") == ""
