"""Names: what spells one, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhdesk.errors import BadName
from rhdesk.models import Name

parts = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,20}", fullmatch=True)
versions = st.one_of(
    st.just(""),
    st.from_regex(r"[0-9a-f]{4,64}", fullmatch=True),
    st.dates().map(lambda day: f"{{{day.isoformat()}}}"),
    st.datetimes().map(lambda at: f"{{{at.isoformat(timespec='minutes')}}}"),
)
names = st.builds(
    Name,
    st.sampled_from(["~", "@", "/", "^"]),
    st.lists(parts, min_size=1, max_size=5).map(tuple),
    versions,
)


@given(names)
def test_what_a_name_prints_reads_as_the_same_name(name: Name) -> None:
    assert Name.parse(str(name)) == name


@given(names, st.lists(parts, min_size=1, max_size=3).map(tuple))
def test_a_name_without_a_root_belongs_to_the_folder(folder: Name, inner: tuple[str, ...]) -> None:
    here = folder.without_version
    expected = Name(here.root, here.parts + inner)
    assert Name.parse("/".join(inner), folder=str(here)) == expected
    assert Name.parse("./" + "/".join(inner), folder=f"{here}/") == expected


@given(st.text())
def test_any_text_is_a_name_or_a_bad_name(text: str) -> None:
    try:
        name = Name.parse(text)
    except BadName:
        return
    assert not any(part in {"", ".", ".."} or "/" in part for part in name.parts)
    assert "\0" not in str(name)
    assert "\n" not in str(name)


@pytest.mark.parametrize(
    ("text", "folder", "expected"),
    [
        ("train", "~", "~/train"),
        ("train", "", "~/train"),
        ("train", "@", "@/train"),
        ("train", "/", "/train"),
        ("train", "^", "^train"),
        ("./train", "/owner/group", "/owner/group/train"),
        ("~/train", "/owner", "~/train"),
        ("^rh-cpu", "~", "^rh-cpu"),
        ("train@1a2b3c", "~/a", "~/a/train@1a2b3c"),
        ("~/train@{2026-10-01T12:00Z}", "~", "~/train@{2026-10-01T12:00Z}"),
    ],
)
def test_every_spelling_of_a_name_is_read(text: str, folder: str, expected: str) -> None:
    assert str(Name.parse(text, folder=folder)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "~/",
        "/",
        "^",
        "~/../x",
        "~/a/../../x",
        "~/./x",
        "../x",
        "~//x",
        "~/x/",
        "/etc/../passwd/..",
        "~/.git",
        "~/-x",
        "x\n",
        "x\0",
        "~/x\0y",
        "~/a\nb",
        "~/a b",
        "~/a\\b",
        "~/ä",
        "~/x٣",
        "~/x@",
        "~/x@123",
        "~/x@xyz1",
        "~/x@{yesterday}",
        "~/x@{2026-13-01}",
        "~/x@{2026-10-01T25:00}",
        "~/x@{2026-10-01\n}",
        "~/" + "a" * 129,
        "~/" + "/".join(["abcdefgh"] * 100),
    ],
)
def test_what_is_no_name_is_refused_with_a_right_one_shown(text: str) -> None:
    with pytest.raises(BadName, match=r"names look like|at most 512|times look like"):
        Name.parse(text)


def test_a_name_cannot_grow_too_long_through_its_folder() -> None:
    folder = "~/" + "/".join(["a" * 100] * 4)
    with pytest.raises(BadName, match="too long"):
        Name.parse("/".join(["b" * 100] * 4), folder=folder)


def test_a_day_includes_all_of_itself_and_a_time_is_exact() -> None:
    day = Name.parse("~/x@{2026-10-01}").as_of
    assert day == datetime(2026, 10, 1, 23, 59, 59, 999999, tzinfo=UTC)
    assert Name.parse("~/x@{2026-10-01T12:30}").as_of == datetime(2026, 10, 1, 12, 30, tzinfo=UTC)
    assert Name.parse("~/x@{2026-10-01 12:30:05Z}").as_of == datetime(
        2026, 10, 1, 12, 30, 5, tzinfo=UTC
    )
    assert Name.parse("~/x@1a2b").as_of is None


def test_a_name_says_where_it_is_kept_and_what_it_is_without_its_version() -> None:
    name = Name.parse("~/a/x@1a2b")
    assert name.is_local
    assert name.leaf == "x"
    assert name.without_version == Name.parse("~/a/x")
    assert not Name.parse("@/x").is_local
    assert Name.parse("^rh-cpu").is_local
