"""Packages for the Python of a host that has no way to fetch any."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.testbed.hosts import Host


def give(host: Host, *packages: str) -> None:
    """Make an environment as clusters make them, with *packages* as this Python has them."""
    version = host.exec("/usr/bin/python3", "-c", "import sys; print(sys.version_info[:2])")
    if version.strip() != str(sys.version_info[:2]):
        pytest.skip(f"the host's Python is {version.strip()}, for which nothing compiled is here")
    venv = "/root/.rhdesk/venvs/0123456789abcdef"
    host.exec("/usr/bin/python3", "-m", "venv", "--without-pip", venv)
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    into = host.root / venv.lstrip("/") / "lib" / python / "site-packages"
    for package in packages:
        found = find_spec(package)
        assert found is not None
        assert found.origin is not None
        shutil.copytree(
            Path(found.origin).parent,
            into / package,
            ignore=shutil.ignore_patterns("tests", "include", "__pycache__"),
        )
