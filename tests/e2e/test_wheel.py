"""What is published: the wheel, installed in an empty folder, works without this tree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str, cwd: Path, check: bool = True) -> str:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel_installed_in_an_empty_folder_works(tmp_path: Path) -> None:
    uv = str(Path(sys.executable).parent / "uv")
    run(uv, "build", "--wheel", "--no-build-isolation", "-q", "-o", str(tmp_path), ".", cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    empty = tmp_path / "empty"
    empty.mkdir()
    run(uv, "venv", "-q", "--python", sys.executable, "venv", cwd=empty)
    python = str(empty / "venv" / "bin" / "python")
    constraints = str(ROOT / "constraints.txt")
    run(uv, "pip", "install", "-q", "--python", python, "-c", constraints, str(wheel), cwd=empty)
    rhdesk = str(empty / "venv" / "bin" / "rhdesk")
    assert run(rhdesk, "--version", cwd=empty).startswith("0.")
    assert "[]" in run(rhdesk, "ls", "--json", cwd=empty)
    assert "rhdesk[servlet]" in run(rhdesk, "up", cwd=empty, check=False)
    assert "rhdesk[tui]" in run(rhdesk, cwd=empty, check=False)
    code = "import rhdesk as rh, rhdesk_servlet, rhdesk_tui; print(rh.here.status().state)"
    assert run(python, "-c", code, cwd=empty) == "down\n"
    listed = run(python, "-m", "zipfile", "-l", str(wheel), cwd=empty)
    for needed in ("rhdesk/py.typed", "rhdesk/rns/builtins.json", "rhdesk_tui/app.tcss"):
        assert needed in listed
    assert "tests/" not in listed
