"""A machine of its own for every test, and one real cluster for those that need one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.hosts import Bed, Host, bed

HOMES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")


def moved_away(home: Path) -> dict[str, str]:
    """An environment in which nothing of the developer's is found; packages' caches are kept."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RHDESK_", "RAY_", "XDG_"))}
    cache = kept.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
    return kept | {
        "HOME": str(home),
        "UV_CACHE_DIR": cache,
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
        "GIT_CONFIG_NOSYSTEM": "1",
    }


@pytest.fixture(autouse=True)
def _a_machine_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's settings out of the tests, and the tests out of them."""
    home = tmp_path / "home"
    home.mkdir()
    environ = moved_away(home)
    for name in set(os.environ) - set(environ):
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


class Place:
    """A home folder with a cluster in it, and programs that run there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environ = moved_away(home)
        self.data = home / ".local" / "share" / "rhdesk"
        self.project = home / "project"
        self.project.mkdir(exist_ok=True)

    def rhdesk(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The command, run in the project folder."""
        return self.python("-m", "rhdesk.cli", *args, check=check)

    def python(
        self, *args: str, check: bool = True, timeout_s: float = 120, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *args],
            env=self.environ,
            cwd=self.project,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{args} ended with {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def start(self, *args: str) -> subprocess.Popen[str]:
        """A program that runs on while the test does something to it."""
        return subprocess.Popen(
            [sys.executable, *args],
            env=self.environ,
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def script(self, name: str, text: str) -> Path:
        file = self.project / name
        file.write_text(text)
        return file


class Lab(Place):
    """A home folder, and hosts on a network (`tests.testbed.hosts`)."""

    def __init__(self, home: Path, network: Bed, cache: Path) -> None:
        super().__init__(home)
        self.bed = network
        self.environ["RHDESK_CACHE_DIR"] = str(cache)

    def host(self, name: str = "", **how: str) -> Host:
        """A host that is up, known and open to this laptop."""
        made = self.bed.host(name, **how)
        self.bed.ssh_home(self.home)
        return made


UP = "import rhdesk as rh; rh.here.up()"
DOWN = "import rhdesk as rh; rh.here.teardown()"


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One cluster for the whole session: starting Ray takes seconds."""
    made = Place(tmp_path_factory.mktemp("place"))
    made.python("-c", UP)
    yield made
    made.python("-c", DOWN)


@pytest.fixture
def own_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A cluster of its own, for a test that breaks it."""
    made = Place(tmp_path_factory.mktemp("own"))
    made.python("-c", UP)
    yield made
    made.python("-c", DOWN, check=False)


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A laptop and a network of hosts it may log in to; `Lab.host` starts one."""
    with bed() as made:
        # What hosts are set up with is fetched once for all tests, not once for each.
        cache = tmp_path_factory.getbasetemp() / "wheels"
        yield Lab(tmp_path_factory.mktemp("lab"), made, cache)
