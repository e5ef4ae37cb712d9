"""What a command imports: a slow library on the way of a quick command is noticed here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rhdesk.cli.verbs import VERBS

SLOW = {
    *("textual", "rich", "ray", "httpx", "git", "pyarrow", "cloudpickle", "numpy", "paramiko"),
    *("anyio", "sqlite_utils"),
}


def imported(*command: str, cwd: Path) -> set[str]:
    """Modules a command had imported when it ended."""
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: sys.stderr.write('@@' + ' '.join(sys.modules)))\n"
        "from rhdesk.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=True,
    )
    return set(done.stderr.rpartition("@@")[2].split())


@pytest.mark.parametrize("command", [("--help",), ("--version",)])
def test_help_imports_no_command(command: tuple[str, ...], tmp_path: Path) -> None:
    found = imported(*command, cwd=tmp_path)
    rooms = {f"rhdesk.cli.{verb.module}" for verb in VERBS.values()}
    assert not found & (SLOW | rooms | {"asyncio", "rhdesk.desk", "sqlite3"})


@pytest.mark.parametrize("command", [("ls",), ("ls", "--json"), ("config",), ("call", "--help")])
def test_a_quick_command_imports_nothing_slow(command: tuple[str, ...], tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / "rh" / f"train{number}"
        folder.mkdir(parents=True)
        config = f'{{"name": "~/train{number}", "resource_type": "function"}}'
        (folder / "config.json").write_text(config)
    imported("ls", cwd=tmp_path)  # makes the index, once in the life of a project
    assert not imported(*command, cwd=tmp_path) & SLOW
