"""How what was typed is understood, and how it is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rhdesk.cli import output
from rhdesk.cli.calls import split_arguments
from rhdesk.cli.envs import wanted
from rhdesk.errors import BadInput
from rhdesk.models import EnvSpec, Failure, Run, RunStatus


def test_values_come_first_and_named_ones_after() -> None:
    assert split_arguments(("1", "two", "alpha=0.3", "text=a=b")) == (
        {"alpha": "0.3", "text": "a=b"},
        ["1", "two"],
    )


@pytest.mark.parametrize("value", ["http://x/?q=1", "a b=c", "=x", "1=2"])
def test_what_has_no_identifier_before_its_equals_sign_is_a_value(value: str) -> None:
    assert split_arguments((value,)) == ({}, [value])


def test_an_empty_value_is_a_value() -> None:
    assert split_arguments(("name=",)) == ({"name": ""}, [])


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="alpha was given twice"):
        split_arguments(("alpha=1", "alpha=2"))


def test_a_value_behind_a_named_one_is_refused() -> None:
    with pytest.raises(BadInput, match="'3' has no name"):
        split_arguments(("alpha=1", "3"))


@pytest.mark.parametrize("text", ["", "base", "train-gpu"])
def test_an_environment_is_meant_by_its_name(text: str) -> None:
    assert wanted(text) == text


def test_a_requirements_file_makes_an_environment_of_its_name() -> None:
    assert wanted("reqs.txt") == EnvSpec(name="reqs", reqs=("reqs.txt",))


def test_a_folder_makes_an_environment_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    folder = str(tmp_path / "lib")
    assert wanted(folder) == EnvSpec(name="lib", reqs=(folder,))


def test_packages_make_an_environment_that_the_same_packages_find_again() -> None:
    first, again, other = wanted("numpy,pandas==2"), wanted("numpy,pandas==2"), wanted("numpy,")
    assert isinstance(first, EnvSpec)
    assert first.reqs == ("numpy", "pandas==2")
    assert first == again
    assert isinstance(other, EnvSpec)
    assert other.name != first.name


def test_columns_are_as_wide_as_they_need(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("A", "LONG"), [("one", 1), ("three", "x")])
    assert capsys.readouterr().out == "A      LONG\none    1\nthree  x\n"


def test_a_cell_cannot_break_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("A", "B"), [("one\ntwo", "\x1b[31mred\x1b[0m\x07")])
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2
    assert "\x1b" not in out
    assert "\x07" not in out


@pytest.mark.parametrize(
    "value",
    [
        "\x1b]52;c;ZXZpbA==\x07hidden",
        "eight bits: \x9b31m",
        {"type": "Python object", "repr": "<\x1b[2J>"},
        ["\x1b[31m", {"\x9b": 1}],
        ["\x9b" * 200],
    ],
)
def test_a_result_reaches_the_terminal_without_what_it_would_obey(
    value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    output.print_value(value)
    out = capsys.readouterr().out
    assert not set(out) & {"\x1b", "\x07", "\x9b"}


def test_text_is_shown_as_it_is_and_the_rest_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    for value in ("plain\ntext", {"a": [1, 2]}, None, 0.5, ""):
        output.print_value(value)
    assert capsys.readouterr().out == 'plain\ntext\n{"a":[1,2]}\n0.5\n'


def test_nothing_is_coloured_where_nobody_watches() -> None:
    assert output.paint("text", "red") == "text"


def test_a_failed_run_shows_the_first_line_of_why() -> None:
    run = Run(
        run_id="20261005-0123456789",
        function="train",
        cluster="here",
        status=RunStatus.FAILED,
        submitted_at=datetime(2026, 10, 5, tzinfo=UTC),
        failure=Failure(kind="ValueError", message="no good\nat all"),
    )
    row = output.run_row(run)
    assert row[0] == "0123456789"
    assert row[1] == "✗ failed"
    assert row[-1] == "no good"


def test_an_error_that_quotes_what_was_typed_reaches_the_terminal_clean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_error(
        BadInput("no file \x1b]52;c;ZXZpbA==\x07app.py\nsecond line"), as_json=False
    )
    said = capsys.readouterr().err
    assert said.endswith("no file app.py\nsecond line\n")
    assert "\x1b]" not in said
