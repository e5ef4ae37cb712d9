"""Shell commands as a function: what `rhdesk run` and `cluster.run` call in a worker."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO


def run(commands: list[str], cwd: str | None = None) -> list[tuple[int, str, str]]:
    """Run *commands* one after the other; each prints as it goes.

    Returns:
        Exit code, stdout and stderr of each. One that fails does not stop those after it.
    """
    return [_one(command, cwd) for command in commands]


def _one(command: str, cwd: str | None) -> tuple[int, str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd or os.path.expanduser("~"),
        env=os.environ | {"PATH": path},
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    errors: list[str] = []
    # The thread knows no run of its own, and needs none: a worker runs one command at a time.
    reader = threading.Thread(target=_tee, args=(process.stderr, sys.stderr, errors))
    reader.start()
    output: list[str] = []
    _tee(process.stdout, sys.stdout, output)
    reader.join()
    return process.wait(), "".join(output), "".join(errors)


def _tee(source: IO[str], sink: IO[str], kept: list[str]) -> None:
    for line in source:
        sink.write(line)
        kept.append(line)
