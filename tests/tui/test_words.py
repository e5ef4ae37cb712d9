from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rhdesk.models import RunStatus
from rhdesk.models.level import level_of as stored_level
from rhdesk_tui.filtering import Filter
from rhdesk_tui.levels import level_of
from rhdesk_tui.wording import age, duration, say_run, size


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: no", "[warning] slow", "W0101 x", "level=error y", '{"level": "error"}', "info: x",
        "Traceback (most recent call last):", "ValueError: no", "no error here", "  ERROR indented",
        "DEBUG x", "CRITICAL x", "panic: y", "plain", "", "an exception occurred", "E1234 boom",
        "2026-10-05 12:00:00 WARN slow", "INFO error rate 3 %", "KeyboardInterrupt",
    ],
)  # fmt: skip
def test_colours_agree_with_what_the_store_jumps_to(line: str) -> None:
    stored = stored_level(line)
    assert level_of(line) == ("error" if stored == "critical" else stored)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("dgt", ["~/digits"]), ("'vis", ["~/vision/eval", "~/old/vision"]),
        ("vis !old", ["~/vision/eval"]), ("", ["~/vision/eval", "~/digits", "~/old/vision"]),
        ("eval vis", ["~/vision/eval"]), ("zz", []), ("!", ["~/vision/eval", "~/digits",
                                                          "~/old/vision"]),
    ],
)  # fmt: skip
def test_words_of_a_filter_all_have_to_fit(typed: str, found: list[str]) -> None:
    lines = ["~/vision/eval", "~/digits", "~/old/vision"]
    assert [lines[at] for at in Filter(typed).pick(lines)] == found


def test_the_best_fit_comes_first() -> None:
    lines = ["~/a_t_r_a_i_n", "~/retrain", "~/train"]
    assert [lines[at] for at in Filter("train").pick(lines)] == [
        "~/train", "~/retrain", "~/a_t_r_a_i_n",
    ]  # fmt: skip


def test_a_longer_filter_only_narrows() -> None:
    assert Filter("tra x").narrows(Filter("tr"))
    assert not Filter("tr").narrows(Filter("tra"))
    assert not Filter("tr !x").narrows(Filter("tr"))


def test_what_a_filter_fitted_is_known() -> None:
    assert Filter("dgt").marks("~/Digits") == {2, 4, 6}
    assert Filter("'gi").marks("~/digits") == {4, 5}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0s"), (9.94, "9.9s"), (42.4, "42s"), (59.6, "1m00s"), (3600, "1h00m"),
     (8040, "2h14m"), (529_200, "6d03h")],
)  # fmt: skip
def test_durations_stay_short(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_ages_and_sizes() -> None:
    now = datetime(2026, 10, 5, tzinfo=UTC)
    assert age(now - timedelta(hours=30), now) == "1d"
    assert age(None, now) == "-"
    assert size(5_900_000_000) == "5.9 GB"
    assert size(12) == "12 B"


def test_every_status_has_a_sign_and_a_word_of_its_own() -> None:
    said = [say_run(status).text for status in RunStatus]
    assert len({text[0] for text in said}) == len(said)
    assert all(" " in text for text in said)
