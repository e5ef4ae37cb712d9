"""Results by hash: kept once, described without being opened, removed with their last run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rhdesk.errors import NotFound
from rhdesk.runs.results import KEEP_BYTES, Results, describe, shorten
from rhdesk.wire.payload import Payload


def body(value: object) -> bytes:
    return Payload.of_result(value).to_bytes()


def test_equal_results_are_kept_once_and_come_back(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    digests = {results.keep(body({"x": 1}))[0] for _ in range(3)}
    results.close()
    assert len(digests) == 1
    assert len(list((tmp_path / "results").glob("??/*"))) == 1
    assert Results(tmp_path / "results").load(digests.pop()).result(may_unpickle=False) == {"x": 1}


def test_a_result_is_there_as_soon_as_it_is_asked_for(tmp_path: Path) -> None:
    results = Results(tmp_path)
    digest, text = results.keep(body([1, 2]))
    assert text == "[1, 2]"
    assert results.load(digest).result(may_unpickle=False) == [1, 2]
    results.close()


def test_a_result_too_large_is_described_and_not_kept(tmp_path: Path) -> None:
    results = Results(tmp_path)
    digest, text = results.keep(body(b"x" * (KEEP_BYTES + 1)))
    results.close()
    assert digest == ""
    assert "too large to keep" in text


def test_results_of_no_run_are_removed_when_they_are_old(tmp_path: Path) -> None:
    results = Results(tmp_path)
    wanted, _ = results.keep(body(1))
    unwanted, _ = results.keep(body(2))
    young, _ = results.keep(body(3))
    results.flush()
    for digest in (wanted, unwanted):
        os.utime(tmp_path / digest[:2] / digest, (0, 0))
    assert results.keep_only({wanted}) == 1
    assert results.load(wanted).result(may_unpickle=False) == 1
    assert results.load(young).result(may_unpickle=False) == 3
    with pytest.raises(NotFound):
        results.load(unwanted)
    results.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\x1b[2Jb", "'a\\x1b[2Jb'"),
        (np.zeros((2, 3), "f4"), "array of f4, 2 x 3"),
        (b"xyz" * 10, "30 bytes"),
        ({1, 2}, "Python object"),
    ],
)
def test_a_result_is_described_in_a_line(value: object, text: str) -> None:
    assert describe(Payload.read(body(value))) == text


def test_what_may_be_large_is_not_spelled_out() -> None:
    assert shorten(b"x" * 10_000_000) == "10,000,000 bytes"
    assert shorten(np.zeros((1000, 1000))) == "ndarray (1000, 1000)"
    assert len(shorten("y" * 10_000)) < 210
    assert len(shorten(list(range(10_000)))) < 210
