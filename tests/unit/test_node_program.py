"""What the program of a node decides before it starts anything."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from rhdesk.wire.node import ENDED, seen_in
from rhdesk_servlet import gpus, ray_session
from rhdesk_servlet.activity import ACTIVE, Activity, Autostop


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many bytes are free, by folder."""
    found: dict[str, int] = {}
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(0, 0, found[str(place)]))
    return found


def test_objects_are_in_shared_memory_where_it_has_room(
    tmp_path: Path, free: dict[str, int]
) -> None:
    free[str(tmp_path)] = 100_000_000_000
    store = ray_session.object_store(Path("/nowhere"), shm=tmp_path)
    assert (store.folder, store.why) == ("", "")
    assert 100_000_000 <= store.size_bytes <= 2_000_000_000


def test_a_small_shared_memory_is_used_as_far_as_it_goes_and_said(
    tmp_path: Path, free: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2_000_000}
    monkeypatch.setattr(os, "sysconf", lambda name: sizes[str(name)])
    free[str(tmp_path)] = 200_000_000
    store = ray_session.object_store(Path("/nowhere"), shm=tmp_path)
    assert (store.size_bytes, store.folder) == (160_000_000, "")
    assert "160 MB" in store.why


@pytest.mark.parametrize("shm", ["tiny", "missing"])
def test_without_shared_memory_objects_are_on_disk_and_that_is_said(
    tmp_path: Path, free: dict[str, int], shm: str
) -> None:
    place = tmp_path / shm
    if shm == "tiny":
        place.mkdir()
        free[str(place)] = 1_000_000
    free["/disk"] = 10_000_000_000
    store = ray_session.object_store(Path("/disk"), shm=place)
    assert store.folder == "/disk"
    assert "slower" in store.why


def test_what_nvidia_smi_prints_is_read_and_what_it_does_not_know_is_nothing() -> None:
    text = "Tesla T4, 37, 1024, 15360\nA\x1b[31mB, [N/A], [N/A], 8192\nno devices were found\n"
    first, second = gpus.read(text)
    assert (first.model, first.percent, first.memory_used_bytes) == ("Tesla T4", 37.0, 1 << 30)
    assert (second.percent, second.memory_used_bytes) == (0.0, 0)
    assert "\x1b" not in second.model


def test_a_nvidia_smi_that_fails_is_no_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed, a, b, c'; exit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert gpus.look() == ()


def test_idle_is_since_the_last_activity_of_any_servlet(tmp_path: Path) -> None:
    one, other = Activity(tmp_path), Activity(tmp_path)
    one.note()
    an_hour_ago = time.time() - 3600
    os.utime(tmp_path / ACTIVE, (an_hour_ago, an_hour_ago))
    assert 3590 < one.idle_s() < 3700
    other.note()
    assert one.idle_s() < 60


def test_autostop_is_kept_for_a_gateway_that_is_started_again(tmp_path: Path) -> None:
    autostop = Autostop(tmp_path, -1.0)
    assert not autostop.is_due(10**9)
    autostop.set(1800.0)
    again = Autostop(tmp_path, -1.0)
    assert (again.is_due(1799.0), again.is_due(1800.0)) == (False, True)
    assert again.spelled() == "30 min"


def test_a_node_that_ended_itself_is_down_and_says_why(tmp_path: Path) -> None:
    assert (seen_in(tmp_path).state, seen_in(tmp_path).why) == ("down", "")
    (tmp_path / ENDED).write_text(
        '{"cluster_id": "a", "at": "2026-01-01T00:00:00Z", "why": "it stopped itself"}'
    )
    assert (seen_in(tmp_path).state, seen_in(tmp_path).why) == ("down", "it stopped itself")
