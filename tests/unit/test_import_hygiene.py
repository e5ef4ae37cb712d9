"""What an import really loads, seen from a clean interpreter.

The import contracts in pyproject.toml read source; only a subprocess can prove that a deferred
import was in fact deferred.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("textual", "rich", "ray", "sky", "pyarrow", "numpy", "git", "paramiko", "httpx", "fsspec"),
    *("hvac", "anyio", "sqlite3", "sqlite_utils", "cloudpickle", "click", "uvicorn"),
}


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import rhdesk", set[str]()),
        ("import rhdesk.models, rhdesk.errors, rhdesk.foreign", set[str]()),
        ("import rhdesk.desk", set[str]()),
        ("import rhdesk.cli.main", {"click"}),
        ("import rhdesk.wire.messages", {"cloudpickle"}),
        ("import rhdesk.rns.names", {"sqlite3", "sqlite_utils", "click"}),
        ("import rhdesk.runs.service", {"sqlite3", "cloudpickle"}),
        ("import rhdesk_servlet.worker", {"cloudpickle"}),
        ("import rhdesk_servlet.app", {"cloudpickle"}),
    ],
)
def test_an_import_loads_only_what_it_needs(statement: str, allowed: set[str]) -> None:
    code = f"import sys\n{statement}\nprint(*[m for m in {sorted(HEAVY)!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= allowed


@pytest.mark.parametrize("command", [["--help"], ["ls"], ["call", "--help"], ["version"]])
def test_a_command_loads_only_what_it_needs(command: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom rhdesk.cli.main import main\n"
        f"try:\n    main({command!r})\nexcept SystemExit:\n    pass\n"
        f"print('@@', *[m for m in {sorted(HEAVY)!r} if m in sys.modules])"
    )

    def run() -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        return set(done.stdout.rpartition("@@")[2].split())

    run()  # the first look at a folder makes its index, and may take what it likes
    assert run() <= {"click", "sqlite3"}
