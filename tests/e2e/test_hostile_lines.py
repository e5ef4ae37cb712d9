"""What a function prints reaches the store and the terminal without a byte a terminal would obey."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.ray

HOSTILE = r"""
import os, sys

LINES = [
    "\x1b[2Jcleared", "\x1b]52;c;ZXZpbA==\x07clip", "\x1b]0;title\x1b\\set", "\x9b31mred",
    "\x1bPdcs\x1b\\end", "[bold]markup[/b] [IMPORTANT]", "nul\x00here", "bell\x07",
    "back\x08space", "\u202eesrever", "tab\there",
]


def hostile():
    for line in LINES:
        print(line)
    print("x" * 1_000_000 + "END")
    os.write(1, b"bad utf8 \xff\xfe here\n")
    print("\x1b[31merror\x1b[0m", file=sys.stderr)
    return "\x1b]52;c;ZXZpbA==\x07result"


def boom():
    raise ValueError("\x1b[2Jmessage")
"""
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_hostile_lines_are_harmless_everywhere_and_lose_no_word(place: Place) -> None:
    script = place.script("hostile.py", HOSTILE)
    assert CONTROL.search(script.read_text().encode().decode("unicode_escape")), "the control"
    done = place.rhdesk("call", "hostile.py:hostile")
    assert not CONTROL.search(done.stdout)
    assert not CONTROL.search(done.stderr)
    for word in ("cleared", "clip", "set", "red", "[bold]markup[/b] [IMPORTANT]", "nul", "here"):
        assert word in done.stdout
    assert "error" in done.stderr
    with sqlite3.connect(place.data / "runs.db") as db:
        (key, result) = db.execute(
            "select id, result_text from run where function = 'hostile' order by id desc"
        ).fetchone()
        texts = [
            r[0] for r in db.execute("select text from log_line where run=? order by seq", (key,))
        ]
    assert not [text for text in [*texts, result] if CONTROL.search(text)]
    assert "".join(text for text in texts if set(text) <= {"x"} or text.endswith("xEND")) == (
        "x" * 1_000_000 + "END"
    )
    assert any("bad utf8" in text for text in texts)


def test_a_hostile_message_is_harmless_too(place: Place) -> None:
    place.script("hostile.py", HOSTILE)
    done = place.rhdesk("call", "hostile.py:boom", check=False)
    assert done.returncode == 10
    assert "message" in done.stderr
    assert not CONTROL.search(done.stderr)


HALF = r"""
import os


def prints(folder):
    open(os.path.join(os.fsencode(folder), b"bad\xff.txt"), "w").close()
    for name in os.listdir(folder):
        print("found", name)
    return len(name)


def returns():
    return "half \ud800 a character"


def raises():
    raise ValueError("half \ud800 a character")
"""


def test_text_that_no_encoding_holds_is_shown_with_a_mark_in_its_place(
    place: Place, tmp_path: Path
) -> None:
    """File names that are not UTF-8 come to Python as such text, and are printed every day."""
    place.script("half.py", HALF)
    folder = tmp_path / "names"
    folder.mkdir()
    assert place.rhdesk("call", "half.py:prints", str(folder)).stdout == "found bad?.txt\n8\n"
    done = place.rhdesk("call", "half.py:raises", check=False)
    assert done.returncode == 10, done.stderr
    assert "half ? a character" in done.stderr
    script = place.script(
        "halves.py",
        "import rhdesk as rh\nfrom half import *\n"
        "print(rh.function(returns).to('here')() == returns())\n"
        "try:\n    rh.function(raises).to('here')()\n"
        "except ValueError as error:\n    print(str(error) == 'half \\ud800 a character')\n",
    )
    assert place.python(str(script)).stdout == "True\nTrue\n"
