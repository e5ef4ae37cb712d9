"""The GPUs of this node, as nvidia-smi tells them; no program, no GPUs."""

from __future__ import annotations

import csv
import shutil
import subprocess
from typing import Final

from rhdesk.foreign import clean
from rhdesk.models import Gpu

_ASKED: Final = "name,utilization.gpu,memory.used,memory.total"
_ANSWER_S: Final = 5.0
_MIB: Final = 1024 * 1024


def look() -> tuple[Gpu, ...]:
    """One sample of each; blocking, and empty when nvidia-smi is not there or does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        done = subprocess.run(
            [program, f"--query-gpu={_ASKED}", "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return read(done.stdout) if done.returncode == 0 else ()


def read(text: str) -> tuple[Gpu, ...]:
    """What it printed; a line that is no sample is left out, a number it does not know is 0."""
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return tuple(
        Gpu(
            model=clean(row[0]),
            percent=_number(row[1]),
            memory_used_bytes=int(_number(row[2]) * _MIB),
            memory_total_bytes=int(_number(row[3]) * _MIB),
        )
        for row in rows
        if len(row) == 4
    )


def _number(text: str) -> float:
    """``[N/A]`` and ``[Not Supported]`` are 0."""
    try:
        return float(text)
    except ValueError:
        return 0.0
