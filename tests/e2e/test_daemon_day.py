"""A daemon that runs for long uses no more than one that was started just now."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.ray


def _hours(place: Place, count: int, *options: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    done = place.python(
        "-m", "tests.soak.daemon_day", "--hours", str(count), *options, timeout_s=120
    )
    *hours, end = (json.loads(line) for line in done.stdout.splitlines())
    return hours, end


def _grew(hours: list[dict[str, Any]]) -> list[str]:
    """What the last hour has more of than the first; a pool of threads may fill up."""
    first, last = hours[0], hours[-1]
    allowed = {"fds": 3, "threads": 6, "rss_mb": 4}
    return [what for what, more in allowed.items() if last[what] - first[what] > more]


def test_a_day_leaves_descriptors_threads_and_memory_as_they_were(
    place: Place,
) -> None:
    hours, end = _hours(place, 2)
    assert _grew(hours) == []
    assert end == {"submitted": 24, "lost_lines": []}


def test_the_check_notices_a_descriptor_lost_with_each_run(place: Place) -> None:
    hours, _ = _hours(place, 2, "--leak")
    assert _grew(hours) == ["fds"]
