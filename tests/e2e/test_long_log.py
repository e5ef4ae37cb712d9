"""A hundred thousand lines: all of them in the store, in order, once."""

from __future__ import annotations

import sqlite3

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.ray

COUNT = 100_000


@pytest.mark.parametrize("face", ["python", "cli"])
def test_every_line_is_in_the_store_once_and_in_order(place: Place, face: str) -> None:
    place.script("long.py", "def talk(n):\n    for i in range(n):\n        print('line', i)\n")
    if face == "cli":
        shown = place.rhdesk("call", "long.py:talk", str(COUNT)).stdout
        assert shown.splitlines()[:COUNT] == [f"line {i}" for i in range(COUNT)]
    else:
        script = place.script(
            "talks_long.py",
            "import rhdesk as rh\nfrom long import talk\n"
            f"rh.function(talk).to('here')({COUNT}, stream_logs=False)\n",
        )
        place.python(str(script))
    with sqlite3.connect(place.data / "runs.db") as db:
        key, lines = db.execute(
            "select id, lines from run where function = 'talk' order by id desc limit 1"
        ).fetchone()
        rows = db.execute("select seq, text from log_line where run = ? order by seq", (key,))
        assert lines == COUNT
        assert [tuple(row) for row in rows] == [(i, f"line {i}") for i in range(COUNT)]


@pytest.mark.parametrize("char", ["x", "\\x01"])
def test_one_line_of_a_megabyte_is_all_there_though_nothing_follows_it(
    place: Place, char: str
) -> None:
    """Written as JSON, a control character is six: the line is larger than any read of the spool."""
    place.script(
        "wide.py", f"def wide():\n    print('{char}' * 1_000_000 + 'END')\n    print('last')\n"
    )
    shown = place.rhdesk("call", "wide.py:wide").stdout.splitlines()
    assert shown[-2].endswith("END")
    assert shown[-1] == "last"
    if char == "x":
        assert "".join(shown[:-1]) == "x" * 1_000_000 + "END"
