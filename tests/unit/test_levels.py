"""How serious a line is, guessed from its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhdesk.models.level import LEVELS, level_of


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("ERROR: no such file", "error"),
        ("[error] no such file", "error"),
        ("2026-01-01 12:00:00,123 - trainer - WARNING - slow disk", "warning"),
        ("WARNING:root:slow disk", "warning"),
        ("warning: slow disk", "warning"),
        ("W0101 12:00:00.000000 7 main.cc:1] slow", "warning"),
        ("E1231 23:59:59.000000 7 main.cc:1] gone", "error"),
        ("F0101 00:00:00.000000 7 main.cc:1] abort", "critical"),
        ("time=12:00 level=error msg=x", "error"),
        ('{"level":"error","msg":"x"}', "error"),
        ('{"level": "warn", "msg": "x"}', "warning"),
        ('{"error": null, "level": "info"}', "info"),
        ("(trainer pid=7) INFO epoch 3", "info"),
        ("DEBUG:urllib3:connected", "debug"),
        ("CRITICAL out of memory", "critical"),
        ("fatal: not a git repository", "critical"),
        ("Traceback (most recent call last):", "error"),
        ("ValueError: no", "error"),
        ("pkg.errors.OddError", "error"),
        ("KeyboardInterrupt", "error"),
        ("left no trace, ERROR: singular", "error"),
        ('  File "x.py", line 1, in f', ""),
        ("epoch 3 with an error of 0.02", ""),
        ("mirrors and terror", ""),
        ("w0101 in lower case", ""),
        ("", ""),
        ("\x00", ""),
    ],
)
def test_a_line_has_the_level_its_words_give_it(text: str, level: str) -> None:
    assert level_of(text) == level


@given(st.text())
def test_every_text_has_a_known_level_or_none(text: str) -> None:
    assert level_of(text) in {"", *LEVELS}


def test_a_word_far_into_a_line_is_prose() -> None:
    assert level_of("x" * 500 + " ERROR") == ""
