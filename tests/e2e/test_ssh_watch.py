"""A save is in the next call on a host 50 ms away; with RHDESK_SOAK=1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.testbed.path import path

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        not os.environ.get("RHDESK_SOAK"), reason="a host takes a minute: RHDESK_SOAK=1"
    ),
]


def test_a_save_is_in_the_next_call_over_ssh(lab: Lab) -> None:
    host = lab.host("gpu-1")
    lab.rhdesk("up", "gpu-1")
    config = lab.home / ".ssh" / "config"
    near = config.read_text()
    try:
        with path(host.address, round_trip_s=0.05) as way:
            far = f"HostName 127.0.0.1\n  Port {way.port}\n  HostKeyAlias {host.address}\n"
            config.write_text(near.replace(f"HostName {host.address}\n", far))
            program = Path(__file__).parents[2] / "benchmarks" / "edit.py"
            done = lab.python(str(program), "--on", "gpu-1", "--count", "30", timeout_s=90)
            print(done.stdout)
            assert way.there > 0
            assert "save to result" in done.stdout
    finally:
        config.write_text(near)
        lab.rhdesk("down", "gpu-1")
