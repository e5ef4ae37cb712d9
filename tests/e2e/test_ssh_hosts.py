"""Hosts that are not as one would like them: `up` works there, or ends soon and says why."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rhdesk.errors import UntrustedHost
from tests.conftest import Lab
from tests.e2e.test_ssh_up import APP, written
from tests.testbed.broken import REPRESENTATIVE, VARIANTS

pytestmark = pytest.mark.ray

NAMES = list(VARIANTS) if os.environ.get("RHDESK_TEST_HOSTS") == "all" else REPRESENTATIVE
ENDS_WITHIN_S = 10


@pytest.mark.parametrize("name", NAMES)
def test_up_works_or_ends_soon_with_the_cause(lab: Lab, name: str) -> None:
    variant = VARIANTS[name]
    if variant.needs and not Path(variant.needs).exists():
        pytest.skip(f"{name} needs {variant.needs}")
    host = lab.bed.host("gpubox", **variant.how)
    lab.bed.ssh_home(lab.home, user=variant.user)
    lab.script("app.py", APP)
    before = written(host)
    began = time.monotonic()
    up = lab.rhdesk("up", "gpubox", check=False)
    took_s = time.monotonic() - began
    print(f"{name}: up ended with {up.returncode} after {took_s:.1f} s\n{up.stderr}")
    if variant.cause:
        assert up.returncode != 0, "the host cannot do it, and up says it did"
        assert all(words in up.stderr for words in variant.cause), up.stderr
        assert "Traceback" not in up.stderr
        assert took_s < ENDS_WITHIN_S
    else:
        assert up.returncode == 0, up.stderr
        called = lab.rhdesk("call", "app.py:count", "n=41", "--on", "gpubox")
        assert "42" in called.stdout
        lab.rhdesk("down", "gpubox")
    assert host.programs() == []
    assert written(host) - before == set()


def test_a_host_key_that_changed_stops_everything(lab: Lab) -> None:
    host = lab.host("gpubox")
    known = lab.home / ".ssh" / "known_hosts"
    other = lab.bed.key.with_suffix(".pub").read_text().split()[1]
    known.write_text(f"{host.address} ssh-ed25519 {other}\n")
    before = written(host)
    began = time.monotonic()
    up = lab.rhdesk("up", "gpubox", check=False)
    assert time.monotonic() - began < ENDS_WITHIN_S
    assert up.returncode == UntrustedHost.exit_code, up.stderr
    assert "another key than before" in up.stderr
    assert f"ssh-keygen -R {host.address}" in up.stderr, "the remedy"
    assert written(host) - before == set()
