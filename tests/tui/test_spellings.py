"""Every line the TUI offers to copy is one the command reads, and Python the interpreter does."""

from __future__ import annotations

import ast
import shlex

import click
import pytest

from rhdesk.cli.main import cli
from rhdesk_tui import spellings
from rhdesk_tui.shelves import SHELVES
from tests.tui.house import lived_in


def read(line: str) -> click.Context:
    """Parse a line as the command does, without running it."""
    program, *words = shlex.split(line)
    assert program == "rhdesk"
    context = cli.make_context("rhdesk", words)
    command: click.Command = cli
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert found is not None, line
        command = found
        context = command.make_context(name, list(rest), parent=context)
    return context


def offered() -> list[spellings.Spelling]:
    desk = lived_in()
    env = desk.all_envs[1]
    found = spellings.of_record(desk.records["~/digits"])
    found += spellings.of_run(desk.all_runs[0])
    found += spellings.of_cluster("here")
    found += spellings.of_env(env.name, env.packages)
    found += spellings.of_object("a key", "here")
    return found


LINES = [
    *(s.text for s in offered() if s.label == "as CLI"),
    *(shelf.lesson.cli for shelf in SHELVES),
    spellings.call_cli("~/f", {"a": [1], "b": "it's"}, args=[True], method="go", on="here",
                       env="e", timeout_s=3.5),
    spellings.delete_record_cli(lived_in().records["~/digits"]),
    spellings.remove_run_cli(lived_in().all_runs[0]),
    spellings.drop_env_cli(lived_in().all_envs[1]),
    spellings.delete_key_cli("k", "here"),
    *(spellings.cli(word, "here") for word in ("up", "down", "doctor")),
    spellings.cli("history", "~/digits"), spellings.cli("search", "two words"),
    spellings.cli("cancel", "feed0001"),
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_copied_command_is_one(line: str) -> None:
    read(line)


@pytest.mark.parametrize(
    "text",
    [
        *(s.text for s in offered() if s.label == "as Python"),
        *(shelf.lesson.python for shelf in SHELVES),
        spellings.call_python("~/f", {"a": 1, "not a name": 2}, args=["x"], method="go"),
    ],
)
def test_copied_python_is_python(text: str) -> None:
    tree = ast.parse(text, mode="eval")
    import rhdesk

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.attr in rhdesk.__all__, node.attr
