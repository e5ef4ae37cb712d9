"""What the README shows works as it is written: the ten lines, the commands, the record read."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Place

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.ray


def block_after(words: str) -> list[str]:
    """The indented lines under the paragraph that has *words*, without their comments."""
    _, _, rest = README.partition(words)
    found = re.search(r"(?:\n    .*)+", rest)
    assert found is not None
    return [line.partition(" # ")[0].strip() for line in found[0].splitlines() if line.strip()]


@pytest.mark.slow
def test_the_ten_lines_run(place: Place) -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    script = place.script("ten_lines.py", shown)
    printed = place.python(str(script), timeout_s=240).stdout.splitlines()
    assert printed == ["training with 0.3", str(1 / 0.3)]
    saved = place.python("-c", "import rhdesk as rh; print(rh.load('~/train')(0.5))").stdout
    assert saved.splitlines() == ["training with 0.5", "2.0"]


@pytest.mark.slow
def test_the_commands_run_as_they_are_shown(place: Place) -> None:
    (shown,) = re.findall(r"```python\n(.*?)\n\n\ngpu", README, re.DOTALL)
    place.script("app.py", shown)
    commands = block_after("The same from the command line")
    assert "rhdesk" in commands
    skipped = {"rhdesk", "rhdesk down here", "rhdesk doctor"}
    for command in commands:
        if command not in skipped:
            done = place.rhdesk(*shlex.split(command)[1:], check=False)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_a_stranger_reads_the_record_with_other_tools(place: Place) -> None:
    project = place.project / "stranger"
    project.mkdir()
    (project / "app.py").write_text("def train(alpha: float) -> float:\n    return 1 / alpha\n")

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=project, env=place.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    run("git", "init", "-q")
    run(sys.executable, "-m", "rhdesk.cli", "save", "app.py:train", "~/train")
    run(sys.executable, "-m", "rhdesk.cli", "call", "app.py:train", "0.5")
    shown = block_after("## Your data without rhdesk")
    here = [line for line in shown if "outbox.db" not in line]  # there is none before a login
    assert len(here) == len(shown) - 1
    said = "".join(run("/bin/sh", "-c", line) for line in here)
    assert "|train|succeeded|2.0" in said
    assert '"resource_type": "function"' in said
    assert "save ~/train" in said
