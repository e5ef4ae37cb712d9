"""What is taken out of text, and what is left in it."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhdesk.redaction import Redaction

KEY = 'p/ss+w"ord\\9 %'


@pytest.mark.parametrize(
    "spelled",
    [
        KEY,
        json.dumps(KEY),
        repr(KEY),
        quote(KEY, safe=""),
        base64.b64encode(KEY.encode()).decode(),
    ],
)
def test_a_value_is_found_however_it_is_spelled(spelled: str) -> None:
    redaction = Redaction({"db.password": KEY})
    assert "[secret db.password]" in redaction(f"x={spelled}&y")
    assert KEY not in redaction(f"x={spelled}&y")
    assert redaction.is_in(f"x={spelled}".encode())


def test_each_line_of_a_key_is_a_secret() -> None:
    lines = ["-----BEGIN KEY-----", "b3BlbnNzaC1rZXktdjEAAAAA", "AAAABG5vbmUAAAAEbm9u", "=="]
    redaction = Redaction({"ssh.id": "\n".join(lines)})
    assert redaction(lines[1]) == "[secret ssh.id]"
    assert redaction("==") == "==", "too short to be only in a key"


def test_the_longer_of_two_goes_whole() -> None:
    redaction = Redaction({"short": "abcdefgh", "long": "abcdefghijkl"})
    assert redaction("abcdefghijkl abcdefgh") == "[secret long] [secret short]"


@pytest.mark.parametrize("value", ["", "  ", "eu", "ada"])
def test_what_is_too_short_to_tell_apart_stays(value: str) -> None:
    assert Redaction({"x": value})(f"see {value} here") == f"see {value} here"
    assert not Redaction({"x": value}).is_in(b"eu ada")


@given(st.text(min_size=8).filter(lambda text: len(text.strip()) >= 8), st.text(), st.text())
def test_no_value_is_left(value: str, before: str, after: str) -> None:
    found = Redaction({"x": value})(before + value + after)
    assert found.count("[secret x]") >= 1
    without = before.replace(value.strip(), "") + after.replace(value.strip(), "")
    assert value.strip() not in found or value.strip() in without + "[secret x]"
