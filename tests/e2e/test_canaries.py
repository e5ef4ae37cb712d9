"""Twenty-five secrets go through what rhdesk does, and are found nowhere but sealed.

With RHDESK_SOAK=1 through every command there is. What runs see of secrets: `test_env_secrets`.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from rhdesk.secrets.providers import NAMES, provider
from tests.conftest import moved_away
from tests.integration.test_cli import ARGUMENTS, COMMANDS

ALL: Final = bool(os.environ.get("RHDESK_SOAK"))
OFTEN: Final = (
    "secret",
    "audit",
    "config",
    "fsck",
    "doctor",
    "status",
    "runs",
    "ls",
    "daemon status",
)
COUNT: Final = 25


class Canaries:
    """A home with secrets in it, and everything that came out of the programs run there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = moved_away(home) | {"EDITOR": "true"}
        self.began = time.time() - 1
        self.values: dict[str, dict[str, str]] = {}
        self.said = b""
        for name in NAMES:
            fields = [each for each in provider(name).fields if not each.endswith(".pub")]
            self.values[name] = {field: f"canary-{secrets.token_hex(12)}" for field in fields[:2]}
        while len(self.values) < COUNT:
            self.values[f"own-{len(self.values)}"] = {"token": f"canary-{secrets.token_hex(12)}"}

    @property
    def all(self) -> list[str]:
        return [text for fields in self.values.values() for text in fields.values()]

    def run(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [sys.executable, "-m", "rhdesk.cli", *args],
            input=stdin.encode(),
            env=self.environ,
            cwd=self.home,
            capture_output=True,
            timeout=120,
            check=False,
        )
        self.said += done.stdout + done.stderr
        return done

    def found(self) -> list[str]:
        """Where a canary is: files, what programs said, processes, objects of git."""
        spelled = [
            form
            for text in self.all
            for form in (
                text.encode(),
                base64.b64encode(text.encode()),
                text.encode().hex().encode(),
            )
        ]
        return sorted(
            {where for where, data in self._everything() if any(each in data for each in spelled)}
        )

    def _everything(self) -> Iterator[tuple[str, bytes]]:
        yield "said", self.said
        files = [
            *(each for each in self.home.rglob("*")),
            *(each for each in Path(tempfile.gettempdir()).glob("*") if self._is_new(each)),
            *(each for each in Path("/dev/shm").glob("*") if self._is_new(each)),
            *Path("/proc").glob("[0-9]*/environ"),
            *Path("/proc").glob("[0-9]*/cmdline"),
        ]
        for file in files:
            try:
                if file.is_symlink() or not file.is_file():
                    continue
                data = file.read_bytes()
            except OSError:
                continue
            yield str(file), data
            if "objects" in file.parts:
                try:
                    yield f"{file}, an object of git", zlib.decompress(data)
                except zlib.error:
                    continue

    def _is_new(self, file: Path) -> bool:
        try:
            return file.lstat().st_mtime > self.began
        except OSError:
            return False


@pytest.fixture
def canaries(tmp_path: Path) -> Canaries:
    home = tmp_path / "canaries"
    home.mkdir()
    made = Canaries(home)
    for name, fields in made.values.items():
        whose = ("--provider", name) if name in NAMES else ()
        put = made.run("secret", "put", name, *whose, "--stdin", stdin=json.dumps(fields))
        assert put.returncode == 0, put.stderr
    return made


def test_they_are_found_nowhere_but_sealed(canaries: Canaries) -> None:
    subprocess.run(["git", "init", "-q"], cwd=canaries.home, env=canaries.environ, check=True)
    canaries.run("daemon", "start")
    try:
        for words in COMMANDS:
            spelled = " ".join(words)
            if spelled == "secret save" or not (ALL or spelled.startswith(OFTEN)):
                continue
            for more in ((), ("--json",)):
                canaries.run(*words, *ARGUMENTS.get(spelled, []), *more)
        for name in ("aws", "own-20"):  # with names that are there
            for words in (["get", name], ["history", name], ["rename", name, "other"],
                          ["put", name, "--stdin"], ["rm", "other"]):  # fmt: skip
                canaries.run("secret", *words, stdin="{")
        canaries.run("secret", "renew-keys")
        # Damage makes errors that quote what they meet.
        sealed = canaries.home / ".local/share/rhdesk/secrets"
        for file in sorted(sealed.glob("*.json"))[:5]:
            file.write_bytes(file.read_bytes()[:-20])
        for words in (["secret", "ls"], ["fsck"], ["secret", "get", "gcp", "--reveal"]):
            canaries.run(*words)
    finally:
        canaries.run("daemon", "stop")
    assert canaries.found() == []


def test_one_that_leaks_is_found(canaries: Canaries) -> None:
    """The control, at each kind of place that is looked at."""
    leaks = iter(canaries.all)
    (canaries.home / "log").write_text(f"x {next(leaks)} y")
    assert canaries.found() == [str(canaries.home / "log")]
    (canaries.home / "log").unlink()
    git = ["git", "-c", "core.compression=9", "hash-object", "-w", "--stdin"]
    subprocess.run(["git", "init", "-q"], cwd=canaries.home, env=canaries.environ, check=True)
    subprocess.run(
        git, cwd=canaries.home, input=next(leaks).encode() * 9, env=canaries.environ, check=True
    )
    assert "an object of git" in canaries.found()[0]
    sleeps = subprocess.Popen(["sleep", "30"], env=canaries.environ | {"LEAK": next(leaks)})
    try:
        time.sleep(0.2)
        assert f"/proc/{sleeps.pid}/environ" in canaries.found()
    finally:
        sleeps.kill()
        sleeps.wait()
    canaries.run("secret", "get", "openai", "--reveal")
    assert "said" in canaries.found()
