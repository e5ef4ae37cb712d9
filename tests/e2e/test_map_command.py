"""``rhdesk map``: items from the line and from a file; what fails, fails as a call does."""

from __future__ import annotations

import json

import pytest

from rhdesk.errors import BadInput, RunFailed
from tests.conftest import Place

pytestmark = pytest.mark.ray

APP = """
def square(x: int, plus: int = 0):
    print("squaring", x)
    if x < 0:
        raise ValueError(f"{x} is below zero")
    return x * x + plus


class Keeper:
    pass
"""


def test_a_function_is_called_for_each_item(place: Place) -> None:
    place.script("mapped.py", APP)
    done = place.rhdesk("map", "mapped.py:square", "3", "4", "5")
    assert done.stdout.splitlines()[-3:] == ["9", "16", "25"]
    assert done.stdout.count("squaring") == 3
    lines = '{"x": 2, "plus": 1}\n[3]\n\n4\n'
    args = ("map", "mapped.py:square", "--from", "-", "--idempotent", "--json")
    told = place.python("-m", "rhdesk.cli", *args, stdin=lines)
    last = json.loads(told.stdout.splitlines()[-1])
    assert last["data"]["results"] == [5, 9, 16]
    runs = json.loads(place.rhdesk("runs", "--json").stdout)["data"]
    assert runs[0]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("args", "said", "code"),
    [
        (["mapped.py:square"], "at least one item", BadInput.exit_code),
        (["mapped.py:square", "2", "two"], "item 1", BadInput.exit_code),
        (["mapped.py:Keeper", "2"], "a map calls a function", BadInput.exit_code),
        (["mapped.py:square", "1", "--on", "nowhere"], "nowhere", None),
        (["mapped.py:square", "--", "2", "-1", "3"], "-1 is below zero", RunFailed.exit_code),
    ],
)
def test_what_cannot_be_mapped_is_told(
    place: Place, args: list[str], said: str, code: int | None
) -> None:
    place.script("mapped.py", APP)
    done = place.rhdesk("map", *args, check=False)
    assert done.returncode == code if code is not None else done.returncode != 0, done.stderr
    assert said in done.stderr
    assert "internal" not in done.stderr
