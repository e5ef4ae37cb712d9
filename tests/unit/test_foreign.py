"""Nothing foreign keeps a byte that a terminal would obey, and ordinary text stays as it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhdesk.foreign import clean, clean_block, decode

OBEYED = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@given(st.text())
def test_no_text_keeps_a_control_byte(text: str) -> None:
    assert not OBEYED.search(clean(text))


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_ordinary_text_is_untouched(text: str) -> None:
    assert clean(text) == text
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]52;c;ZXZpbA==\x07kept", "kept"),
        ("\x1b]0;title\x1b\\kept", "kept"),
        ("\x9b2Jkept", "kept"),
        ("a\x00b", "a\u2400b"),
        ("tab\tstays", "tab\tstays"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ("\u202eabc", "\ufffdabc"),
        ("\x1b", ""),
    ],
)
def test_known_escapes(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_block_keeps_its_lines() -> None:
    assert clean_block("one\n\x1b[2Jtwo") == "one\ntwo"


def test_bytes_that_are_not_utf_8_are_shown_as_such() -> None:
    assert decode(b"a\xffb") == "a\ufffdb"
