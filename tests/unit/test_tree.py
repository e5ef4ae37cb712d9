"""Trees by hash: what they are equal to, and what makes one into another."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from rhdesk.errors import BadInput
from rhdesk.wire.tree import Entry, Tree, between


def entry(text: str, kind: str = "f") -> Entry:
    return Entry(kind, sha256(text.encode()).digest(), len(text), random.randint(0, 1 << 60))


def drawn(dice: random.Random) -> dict[str, Entry]:
    """Random files whose folders do not get in each other's way."""
    paths = {
        "/".join([*(f"d{dice.randint(0, 3)}" for _ in range(dice.randint(0, 4))), f"f{n}"])
        for n in range(dice.randint(0, 40))
    }
    return {path: entry(str(dice.randint(0, 5)), dice.choice("fx")) for path in paths}


def test_equal_files_are_equal_trees_however_they_came_to_be() -> None:
    dice = random.Random(3)
    for _ in range(300):
        before, now = drawn(dice), drawn(dice)
        tree = Tree(before.items())
        assert tree.root == Tree(dice.sample(sorted(before.items()), len(before))).root
        change = between(tree, Tree(now.items()))
        kept = tree.copy()
        tree.changed(change.gone, change.put)
        assert tree.root == Tree(now.items()).root == change.root
        assert kept.root == change.base == Tree(before.items()).root, "a copy is its own"
        assert set(tree.entries) == set(now)


def test_any_difference_is_another_tree() -> None:
    base = {"a/b": entry("1"), "a/c": entry("2"), "d": entry("3")}
    roots = {Tree(base.items()).root}
    for other in (
        base | {"a/b": entry("x")},
        base | {"a/b": entry("1", "x")},
        base | {"e": entry("1")},
        {"a/b": base["a/b"], "d": base["d"]},
        {"a/x": base["a/b"], "a/c": base["a/c"], "d": base["d"]},
        {"b": base["a/b"], "c": base["a/c"], "d": base["d"]},
    ):
        roots.add(Tree(other.items()).root)
    assert len(roots) == 7


def test_when_a_file_was_changed_is_no_part_of_it() -> None:
    one, other = entry("same"), entry("same")
    assert one != other
    assert Tree([("a", one)]).root == Tree([("a", other)]).root
    assert between(Tree([("a", one)]), Tree([("a", other)])).put == {}


def test_a_file_cannot_be_a_folder_too() -> None:
    for paths in (("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")):
        with pytest.raises(BadInput, match="a file and a folder"):
            Tree((path, entry("x")) for path in paths)
