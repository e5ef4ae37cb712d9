"""Nothing that comes from elsewhere is written, removed or read outside its folder."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from rhdesk.beneath import Beneath, check_link, parts_of
from rhdesk.errors import BadInput
from rhdesk.wire.tree import LINK, Entry, Tree, case_twins

HOSTILE = [
    *[
        "..",
        "../x",
        "a/../../x",
        "/etc/x",
        "//x",
        "a//b",
        "./a",
        "a/.",
        "",
        ".",
        "a/",
        "\0",
        "a\0b",
    ],
    *["../" * 50 + "x", "x/" * 3000 + "x", "a/b/../c"],
]


def seen(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink()
    }


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("kept")
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_paths_that_lead_out_are_none(path: str, inside: Path) -> None:
    with Beneath(inside) as beneath:
        for touch in (
            lambda: beneath.write(path, [b"x"], mtime_ns=0),
            lambda: beneath.link(path, "x"),
            lambda: beneath.remove(path),
            lambda: beneath.stat(path),
            lambda: beneath.read(path),
            lambda: beneath.take(inside / "x", path),
        ):
            with pytest.raises(BadInput, match="no path inside"):
                touch()
    with pytest.raises(BadInput):
        Tree([(path, Entry("f", b"x" * 32, 1, 0))])
    assert seen(inside.parent) == {"outside/kept": b"kept"}


def test_names_that_are_only_odd_are_fine(inside: Path) -> None:
    odd = ["a\nb", "-rf", "..x", "x..", "\x1b[31m", "ä/ö", " ", "...", "a" * 255, "con", "~"]
    with Beneath(inside) as beneath:
        for number, path in enumerate(odd):
            beneath.write(path, [b"%d" % number], mtime_ns=number)
    assert seen(inside) == {path: b"%d" % number for number, path in enumerate(odd)}


def test_a_link_on_the_way_is_not_followed(inside: Path) -> None:
    outside = inside.parent / "outside"
    (inside / "out").symlink_to(outside)
    (inside / "file").symlink_to(outside / "kept")
    with Beneath(inside) as beneath:
        for path in ("out/new", "out/kept", "out/deep/new"):
            with pytest.raises(BadInput, match="in its way"):
                beneath.write(path, [b"x"], mtime_ns=0)
        beneath.remove("out/kept")
        assert beneath.stat("out/kept") is None
        with pytest.raises(FileNotFoundError):
            beneath.read("file")
        assert dict(beneath.files("")).keys() == {"out", "file"}
        beneath.write("file", [b"mine"], mtime_ns=0)  # in place of the link, not through it
    assert seen(inside.parent) == {"outside/kept": b"kept", "inside/file": b"mine"}


def test_writing_through_a_followed_link_would_be_noticed(inside: Path) -> None:
    """Control: what these tests guard against, done."""
    (inside / "out").symlink_to(inside.parent / "outside")
    (inside / "out/new").write_text("x")
    assert seen(inside.parent) != {"outside/kept": b"kept"}


def test_a_thousand_random_paths_touch_nothing_outside(inside: Path) -> None:
    dice = random.Random(4)
    parts = ["..", ".", "", "a", "b", "out", "ä", "a\nb", "\0", "/", "kept", "outside"]
    (inside / "out").symlink_to("../outside")
    beside = sorted(os.listdir(inside.parent))
    written = refused = 0
    with Beneath(inside) as beneath:
        for _ in range(5000):
            path = "/".join(dice.choices(parts, k=dice.randint(1, 6)))
            try:
                if dice.random() < 0.2:
                    beneath.link(path, "/".join(dice.choices(parts, k=dice.randint(1, 4))))
                else:
                    beneath.write(path, [b"x"], mtime_ns=0)
                written += 1
            except BadInput:
                refused += 1
            if dice.random() < 0.3:
                try:
                    beneath.remove("/".join(dice.choices(parts, k=dice.randint(1, 3))))
                except BadInput:
                    refused += 1
    assert seen(inside.parent / "outside") == {"kept": b"kept"}
    assert sorted(os.listdir(inside.parent)) == beside
    assert written > 100
    assert refused > 1000


@pytest.mark.parametrize(
    ("path", "target", "stays"),
    [
        ("a", "b", True),
        ("a/b", "../c", True),
        ("a/b/c", "../../d", True),
        ("a", "../x", False),
        ("a/b", "../../x", False),
        ("a", "/etc/passwd", False),
        ("a", "b/../../x", False),
        ("a", "", False),
    ],
)
def test_links_that_lead_out_are_refused(path: str, target: str, stays: bool) -> None:
    if stays:
        check_link(path, target)
    else:
        with pytest.raises(BadInput, match="leads out"):
            check_link(path, target)
        with pytest.raises(BadInput, match="leads out"):
            Tree([(path, Entry(LINK, b"x" * 32, 1, 0, target))])


def test_what_was_there_stays_until_the_new_file_is_whole(inside: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    with Beneath(inside) as beneath:
        beneath.write("a", [b"old"], mtime_ns=7)
        for path in ("a", "new"):
            with pytest.raises(OSError, match="No space"):
                beneath.write(path, pieces(), mtime_ns=8)
    assert seen(inside) == {"a": b"old"}


def test_many_folders_need_few_descriptors(inside: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Beneath(inside) as beneath:
        for number in range(3000):
            beneath.write(f"a{number % 700}/b{number % 13}/f{number}", [b"x"], mtime_ns=0)
        assert len(os.listdir("/proc/self/fd")) < before + 100
    assert len(seen(inside)) == 3000


def test_case_twins_are_named() -> None:
    assert list(case_twins(["README", "readme", "a/B", "a/c"])) == [("README", "readme")]
    assert parts_of("a/b") == ["a", "b"]
