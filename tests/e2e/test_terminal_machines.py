"""A machine is added, brought up and called by keys alone, in a real terminal; RHDESK_SOAK=1."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.e2e.test_terminal import TRAIN, Terminal

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        not os.environ.get("RHDESK_SOAK"), reason="a host takes a minute: RHDESK_SOAK=1"
    ),
]


def test_a_machine_is_added_brought_up_and_called_by_keys_alone(lab: Lab, tmp_path: Path) -> None:
    lab.host("gpubox")
    lab.script("trains.py", TRAIN)
    terminal = Terminal(tmp_path / "tmux", lab.project, lab.environ, 100, 30)
    try:
        terminal.wait("Functions")
        terminal.keys("4")
        terminal.wait("Add a machine")
        terminal.keys("n")
        terminal.wait("gpubox")
        terminal.text("nosuchhost")
        terminal.keys("Enter")
        terminal.wait("✖ ")
        assert "Bring up" in terminal.screen(), "the dialog stays, with what was typed"
        terminal.keys("C-u")
        terminal.wait("gpubox")
        terminal.keys("Down", "Enter")
        terminal.wait("up gpubox")
        terminal.wait("✓ Done.", 150)
        terminal.keys("Escape")
        terminal.wait("▲ up", 30)
        terminal.keys(":")
        terminal.text("call trains.py:train")
        terminal.keys("Enter")
        terminal.wait("gpubox")
        time.sleep(0.5)
        terminal.keys("C-r")
        screen = terminal.wait("epoch=2", 60)
        assert "loss=0.500" in screen
        assert "on gpubox" in screen
    finally:
        terminal.close()
        lab.rhdesk("down", "gpubox")
