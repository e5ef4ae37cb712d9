"""Hosts that are not as one would like them: `up` works there, or ends soon and says why."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from rhdesk.errors import UntrustedHost
from tests.conftest import Lab
from tests.e2e.test_ssh_up import APP, written
from tests.testbed.broken import REPRESENTATIVE, VARIANTS

pytestmark = pytest.mark.ray

IS_ALL = os.environ.get("RHDESK_TEST_HOSTS") == "all"
NAMES = list(VARIANTS) if IS_ALL else REPRESENTATIVE
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
        called = lab.rhdesk("call", "app.py:train", "alpha=0.25", "--on", "gpubox")
        assert "4.0" in called.stdout
        lab.rhdesk("down", "gpubox")
    assert host.programs() == []
    assert {f for f in written(host) - before if "faketime_" not in f} == set()


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
    assert {f for f in written(host) - before if "faketime_" not in f} == set()


@pytest.mark.skipif(not IS_ALL, reason="two clusters on one host take a minute: RHDESK_TEST_HOSTS")
def test_two_users_of_one_host_neither_see_nor_hurt_each_other(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    host = lab.bed.host("gpubox")
    before = written(host)
    ada = Lab(tmp_path_factory.mktemp("ada"), lab.bed, Path(lab.environ["RHDESK_CACHE_DIR"]))
    lab.bed.ssh_home(lab.home, user="grace")
    lab.bed.ssh_home(ada.home, user="ada")
    for person in (lab, ada):
        person.script("app.py", APP)
        person.rhdesk("up", "gpubox")
    for person in (lab, ada):
        person.rhdesk("put", "mine", json.dumps(person.home.name), "--on", "gpubox")
    for person in (lab, ada):
        assert json.loads(person.rhdesk("keys", "--on", "gpubox", "--json").stdout)["data"] == [
            "mine"
        ]
        assert person.home.name in person.rhdesk("get", "mine", "--on", "gpubox").stdout
        (node,) = json.loads(person.rhdesk("nodes", "gpubox", "--json").stdout)["data"]
        assert node["state"] == "up"
    looked = ada.rhdesk("ssh", "gpubox", "--", "ls /home/grace/.rhdesk", check=False)
    assert looked.returncode != 0
    assert "Permission denied" in looked.stdout
    lab.rhdesk("down", "gpubox")
    assert "4.0" in ada.rhdesk("call", "app.py:train", "alpha=0.25", "--on", "gpubox").stdout
    ada.rhdesk("down", "gpubox")
    assert host.programs() == []
    left = written(host) - before
    assert {f for f in left if not f.startswith("var/log/")} == set(), "sshd keeps its logins"
