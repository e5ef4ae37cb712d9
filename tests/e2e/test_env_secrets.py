"""Secrets of an environment: found by what its runs call, seen by nobody else, gone when it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from rhdesk_servlet.delivery import _IN_MEMORY
from tests.conftest import Place

pytestmark = pytest.mark.ray

KEY, PASSWORD, TOKEN = (
    "wJalrXUtnFEMI/K7MDENG+canary",
    'pass"word\\with signs',
    "sk-canary-0123456789",
)
CANARIES = (KEY, PASSWORD, TOKEN)

APP = """
import configparser, hashlib, os, stat, subprocess, sys


def seen():
    parser = configparser.RawConfigParser()
    file = os.environ["AWS_SHARED_CREDENTIALS_FILE"]
    parser.read(file)
    folder = os.environ["RHDESK_SECRETS"]
    return {
        "key": parser["default"]["aws_secret_access_key"],
        "token": os.environ["OPENAI_API_KEY"],
        "password": open(os.path.join(folder, "db", "password")).read(),
        "modes": [stat.S_IMODE(os.stat(each).st_mode) for each in (file, folder)],
        "folder": folder,
        "config": os.environ.get("AWS_CONFIG_FILE", ""),
    }


def told():
    # A result is kept: it holds hashes.
    found = seen()
    for name in ("key", "token", "password"):
        found[name] = hashlib.sha256(found[name].encode()).hexdigest()
    return found


def prints():
    found = seen()
    print("key is", found["key"], flush=True)
    print(repr(found["password"]), file=sys.stderr)
    subprocess.run(["sh", "-c", "echo from sh: $OPENAI_API_KEY"])
    return "printed"


def fails():
    raise ValueError(f"the key {seen()['key']} was refused")
"""


@pytest.fixture(scope="module")
def given(place: Place) -> Iterator[Place]:
    """An environment with three secrets."""
    place.script("secret_app.py", APP)
    for name, values, provider in (
        ("aws", {"access_key": "AKIACANARY000000", "secret_key": KEY}, "aws"),
        ("openai", {"api_key": TOKEN}, "openai"),
        ("db", {"password": PASSWORD}, ""),
    ):
        command = ("-m", "rhdesk.cli", "secret", "put", name, "--provider", provider, "--stdin")
        place.python(*command, stdin=json.dumps(values))
    asked = [word for name in ("aws", "openai", "db") for word in ("--secret", name)]
    place.rhdesk("env", "make", "sealed", *asked)
    yield place
    place.rhdesk("env", "drop", "sealed")
    for name in ("aws", "openai", "db"):
        place.rhdesk("secret", "rm", name, "--yes")


def called(place: Place, name: str, *, check: bool = True) -> tuple[str, str]:
    done = place.rhdesk("call", f"secret_app.py:{name}", "--env", "sealed", check=check)
    return done.stdout, done.stderr


def test_its_runs_find_them_where_their_providers_look(given: Place) -> None:
    found = json.loads(
        given.rhdesk(
            "call", "secret_app.py:told", "--env", "sealed", "--json"
        ).stdout.splitlines()[-1]
    )["data"]["result"]
    hashes = [sha256(each.encode()).hexdigest() for each in (KEY, TOKEN, PASSWORD)]
    assert [found["key"], found["token"], found["password"]] == hashes
    assert found["modes"] == [0o600, 0o700]
    assert found["config"] == "", "no region was given: the user's own file still holds"
    assert Path(found["folder"]).parent == _IN_MEMORY, "not on a disk"


def test_what_runs_print_of_them_is_taken_out(given: Place) -> None:
    out, err = called(given, "prints")
    assert "key is [secret aws.secret_key]" in out + err
    assert "from sh: [secret openai.api_key]" in out + err
    assert "[secret db.password]" in out + err
    _, err = called(given, "fails", check=False)
    assert "the key [secret aws.secret_key] was refused" in err
    assert not [each for each in CANARIES if each in out + err]


def test_nothing_else_holds_them(given: Place) -> None:
    called(given, "prints")
    called(given, "fails", check=False)
    assert holding(given.home) == []
    planted = given.home / "planted"
    planted.write_text(f"x {TOKEN} y")
    assert holding(given.home) == [planted], "the control"
    planted.unlink()


def test_the_same_again_changes_nothing_and_another_value_is_taken_on(given: Place) -> None:
    again = given.rhdesk(
        "env", "make", "sealed", *(w for n in ("aws", "openai", "db") for w in ("--secret", n))
    )
    assert "already up" in again.stderr
    less = given.rhdesk("env", "make", "sealed", "--secret", "db")
    assert "take on" in less.stderr
    failed = given.rhdesk("call", "secret_app.py:seen", "--env", "sealed", check=False)
    assert "AWS_SHARED_CREDENTIALS_FILE" in failed.stderr
    none = given.rhdesk("env", "make", "other", "--secret", "nope", check=False)
    assert none.returncode == 3
    assert "nope" in none.stderr


def test_they_are_gone_with_it(given: Place) -> None:
    given.rhdesk("env", "make", "brief", "--secret", "db")
    mine = {each for each in _IN_MEMORY.glob(f"rhdesk-{os.getuid()}-*") if (each / "db").is_dir()}
    given.rhdesk("env", "drop", "brief")
    left = {each for each in mine if each.exists()}
    assert len(mine - left) == 1


def holding(folder: Path) -> list[Path]:
    """Files below a folder, and processes' environments, with a canary in them."""
    found: list[Path] = []
    for file in [*folder.rglob("*"), *Path("/proc").glob("[0-9]*/environ")]:
        try:
            if file.is_symlink() or not file.is_file():
                continue
            data = file.read_bytes()
        except OSError:
            continue
        spellings = [s for each in CANARIES for s in (each, json.dumps(each)[1:-1])]
        if any(each.encode() in data for each in spellings):
            found.append(file)
    return found
