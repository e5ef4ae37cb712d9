"""How busy this node is, from /proc and nvidia-smi."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from rhdesk.models import NodeStats
from rhdesk_servlet import gpus

_last: list[tuple[int, int]] = []


def sample(node: str) -> NodeStats:
    """One sample; the CPU share is that since the sample before, 0 for the first."""
    busy, total = _ticks()
    before_busy, before_total = _last.pop() if _last else (busy, total)
    _last.append((busy, total))
    spent = total - before_total
    memory = _memory()
    return NodeStats(
        node=node,
        at=datetime.now(UTC),
        cpu_percent=100.0 * (busy - before_busy) / spent if spent else 0.0,
        memory_used_bytes=memory["MemTotal"] - memory["MemAvailable"],
        memory_total_bytes=memory["MemTotal"],
        gpus=gpus.look(),
    )


def memory_bytes() -> int:
    """What the machine has."""
    return _memory()["MemTotal"]


def _ticks() -> tuple[int, int]:
    ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _memory() -> dict[str, int]:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[:3]}
