"""Merging field by field, against a reference that only knows sets of leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhdesk.three_way import changes, merge, same, take

Fields = dict[str, Any]
Path = tuple[str, ...]

_names = st.sampled_from(["a", "b", "c/d", "~1", ""])
_values = st.sampled_from([0, 1, 1.0, True, None, "", "x", [], [1], [1.0], [{"a": 1}]])
_fields: st.SearchStrategy[Fields] = st.recursive(
    st.dictionaries(_names, _values, max_size=3),
    lambda inner: st.dictionaries(_names, _values | inner, max_size=3),
    max_leaves=6,
)


@st.composite
def _edits(draw: st.DrawFn, base: Fields) -> Fields:
    """*base* with a few members set or removed, at any depth."""
    edited = dict(base)
    for name in draw(st.lists(_names, max_size=2)):
        inner = edited.get(name)
        if isinstance(inner, dict) and draw(st.booleans()):
            edited[name] = draw(_edits(inner))
        elif draw(st.booleans()):
            edited[name] = draw(_values | _fields)
        else:
            edited.pop(name, None)
    return edited


@st.composite
def _three(draw: st.DrawFn) -> tuple[Fields, Fields, Fields]:
    base = draw(_fields)
    return base, draw(_edits(base)), draw(_edits(base))


def spelled(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def leaves(fields: Fields, path: Path = ()) -> dict[Path, str]:
    found: dict[Path, str] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            found |= leaves(value, (*path, name))
        else:
            found[(*path, name)] = spelled(value)
    return found


def reference(base: Fields, ours: Fields, theirs: Fields) -> tuple[dict[Path, str], set[Path]]:
    """What both sides' leaves come to, and those both changed, each to something else."""
    b, o, t = leaves(base), leaves(ours), leaves(theirs)
    merged: dict[Path, str | None] = {}
    clash: set[Path] = set()
    for path in b.keys() | o.keys() | t.keys():
        was, mine, other = b.get(path), o.get(path), t.get(path)
        merged[path] = mine if other == was else other
        if was not in (mine, other) and mine != other:
            clash.add(path)
    return {path: value for path, value in merged.items() if value is not None}, clash


def steps(pointer: str) -> Path:
    return tuple(p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")[1:])


def at(fields: Any, path: Path) -> str:
    """The value at *path*, spelled; empty if there is none."""
    for name in path:
        if not isinstance(fields, dict) or name not in fields:
            return ""
        fields = fields[name]
    return spelled(fields)


@given(_three())
def test_without_an_overlap_every_leaf_is_what_the_reference_says(
    three: tuple[Fields, Fields, Fields],
) -> None:
    merged = merge(*three)
    wanted, clash = reference(*three)
    if not merged.overlaps:
        assert leaves(merged.fields) == wanted
        assert not clash


@given(_three())
def test_a_leaf_both_changed_is_in_an_overlap(three: tuple[Fields, Fields, Fields]) -> None:
    overlaps = [steps(pointer) for pointer in merge(*three).overlaps]
    _, clash = reference(*three)
    for path in clash:
        assert any(path[: len(overlap)] == overlap for overlap in overlaps)


@given(_three())
def test_an_overlap_is_where_both_sides_changed_something_and_theirs_is_shown(
    three: tuple[Fields, Fields, Fields],
) -> None:
    base, ours, theirs = three
    merged = merge(base, ours, theirs)
    for overlap in map(steps, merged.overlaps):
        sides = [at(side, overlap) for side in (base, ours, theirs)]
        assert len(set(sides)) == 3
        assert at(merged.fields, overlap) == sides[2]


@given(_three())
def test_who_comes_first_matters_only_where_both_changed_the_same(
    three: tuple[Fields, Fields, Fields],
) -> None:
    base, ours, theirs = three
    one, other = merge(base, ours, theirs), merge(base, theirs, ours)
    assert one.overlaps == other.overlaps
    if not one.overlaps:
        assert spelled(one.fields) == spelled(other.fields)


@given(_three())
def test_what_one_side_alone_changed_is_that_side(three: tuple[Fields, Fields, Fields]) -> None:
    base, ours, _ = three
    for merged in (merge(base, ours, base), merge(base, base, ours), merge(base, ours, ours)):
        assert spelled(merged.fields) == spelled(ours)
        assert merged.overlaps == []


@given(_three())
def test_a_merge_changes_none_of_its_arguments(three: tuple[Fields, Fields, Fields]) -> None:
    before = spelled(three)
    merge(*three)
    changes(three[0], three[1])
    assert spelled(three) == before


@given(_fields, _fields)
def test_changes_are_the_leaves_that_differ(before: Fields, after: Fields) -> None:
    old, new = leaves(before), leaves(after)
    differing = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    found = changes(before, after)
    assert [c.pointer for c in found] == sorted({c.pointer for c in found})
    covered = {steps(change.pointer) for change in found}
    for path in differing:
        assert any(path[: len(pointer)] == pointer for pointer in covered)
    for change in found:
        assert at(before, steps(change.pointer)) != at(after, steps(change.pointer))


@given(_fields, _fields)
def test_taking_every_change_makes_the_one_the_other(before: Fields, after: Fields) -> None:
    taken = before
    for change in changes(before, after):
        taken = take(taken, change.pointer, after)
    assert leaves(taken) == leaves(after)


@given(_three())
def test_taking_one_field_leaves_the_others(three: tuple[Fields, Fields, Fields]) -> None:
    _, ours, theirs = three
    for change in changes(ours, theirs):
        path = steps(change.pointer)
        taken = take(ours, change.pointer, theirs)
        assert at(taken, path) == at(theirs, path)
        others = {p: v for p, v in leaves(ours).items() if p[: len(path)] != path}
        assert others.items() <= leaves(taken).items()


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, True), (0, False), (0, None), ("1", 1), ([1], [1.0]), ({}, []), ({}, None)],
)
def test_values_that_python_thinks_equal_or_empty_are_different(one: Any, other: Any) -> None:
    assert same(one, one)
    assert not same(one, other)
    assert [c.kind for c in changes({"a": one}, {"a": other})] == ["changed"]


def test_a_number_written_otherwise_is_a_change() -> None:
    assert merge({"a": 1}, {"a": 5}, {"a": 1.0}).overlaps == ["/a"]
    assert merge({"a": 1}, {"a": True}, {"a": 1}).fields == {"a": True}


def test_lists_count_as_one_value() -> None:
    merged = merge({"reqs": ["x"]}, {"reqs": ["x", "y"]}, {"reqs": ["x", "z"]})
    assert merged.overlaps == ["/reqs"]
    assert merged.fields == {"reqs": ["x", "z"]}


def test_removing_an_object_in_which_others_write_is_an_overlap() -> None:
    merged = merge({"env": {"n": 1}}, {}, {"env": {"n": 1, "m": 2}})
    assert merged.overlaps == ["/env"]
    assert merged.fields == {"env": {"n": 1, "m": 2}}
