"""Credentials in a home on another machine: where their libraries look, beside what is there."""

from __future__ import annotations

import configparser
import json
import netrc
import stat
from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.testbed.hosts import Host

SECRETS = {
    "aws": {"access_key": "AKIATHERE", "secret_key": "there+secret", "region": "eu-west-3"},
    "github": {"token": "gho_there", "user": "ada"},
    "docker": {"registry.example.org": "YWRhOnRoZXJl"},
    "huggingface": {"token": "hf_there"},
    "wandb": {"api_key": "0123456789there"},
    "kubeconfig": {"config": "apiVersion: v1\nclusters: []\nusers: []\n"},
    "openai": {"api_key": "sk-there"},
}


@pytest.fixture
def home(lab: Lab) -> Path:
    """The home of the host's user, seen from here."""
    host: Host = lab.host("gpubox")
    for name, values in SECRETS.items():
        command = ("-m", "rhdesk.cli", "secret", "put", name, "--provider", name, "--stdin")
        lab.python(*command, stdin=json.dumps(values))
    return host.root / "root"


def test_they_are_where_their_libraries_look(lab: Lab, home: Path) -> None:
    lab.script(
        "sync.py", "import rhdesk as rh\nrh.cluster('gpubox', host='gpubox').sync_secrets()\n"
    )
    lab.python("sync.py")
    written = [
        *(".aws/credentials", ".aws/config", ".config/gh/hosts.yml", ".docker/config.json"),
        *(".cache/huggingface/token", ".netrc", ".kube/config"),
    ]
    for name in written:
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name
    parser = configparser.RawConfigParser()
    parser.read(home / ".aws/credentials")
    assert parser["default"]["aws_secret_access_key"] == "there+secret"
    found = netrc.netrc(str(home / ".netrc")).authenticators("api.wandb.ai")
    assert found is not None
    assert found[2] == "0123456789there"
    assert (home / ".cache/huggingface/token").read_text() == "hf_there"
    assert not list(home.rglob("*.rhdesk")), "nothing half-written"


def test_what_is_there_of_others_stays(lab: Lab, home: Path) -> None:
    (home / ".aws").mkdir()
    (home / ".aws/credentials").write_text("[work]\naws_access_key_id = AKIAWORK\n")
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text("{ no json")
    lab.rhdesk("secret", "send", "aws", "--on", "gpubox")
    parser = configparser.RawConfigParser()
    parser.read(home / ".aws/credentials")
    assert parser["work"]["aws_access_key_id"] == "AKIAWORK"
    assert parser["default"]["aws_access_key_id"] == "AKIATHERE"
    broken = lab.rhdesk("secret", "send", "docker", "--on", "gpubox", check=False)
    assert broken.returncode == 2
    assert "config.json is not a JSON document" in broken.stderr
    assert (home / ".docker/config.json").read_text() == "{ no json"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["openai", "--on", "gpubox"], "OPENAI_API_KEY"),
        (["nope", "--on", "gpubox"], "nope"),
        (["aws", "--on", "nowhere"], "nowhere"),
        (["aws"], "--on"),
    ],
)
def test_what_cannot_be_sent_is_told(lab: Lab, home: Path, words: list[str], said: str) -> None:
    done = lab.rhdesk("secret", "send", *words, check=False)
    assert done.returncode in {2, 3, 8}, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / ".aws").exists()
