"""A PostgreSQL server in a folder of its own: started, used and ended by the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

_USER: Final = "postgres" if os.getuid() == 0 else None
"""PostgreSQL does not run as root."""


@contextmanager
def postgres() -> Generator[str]:
    """The URL of a database on loopback, for as long as the context is open."""
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="rhdesk-pg-") as made:
        folder, port = Path(made), _free_port()
        secret = folder / "secret"
        secret.write_text("rhdesk")
        if _USER:
            shutil.chown(folder, _USER)
            shutil.chown(secret, _USER)
        subprocess.run(
            [
                programs / "initdb", "--no-sync", "--auth=scram-sha-256", "--username=rhdesk",
                f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", "--pgdata", folder / "data",
            ],
            cwd=folder, user=_USER, capture_output=True, check=True,
        )  # fmt: skip
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [
                    programs / "postgres", "-D", folder / "data", "-p", str(port),
                    "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}",
                    "-c", "max_connections=60",
                ],
                cwd=folder, user=_USER, stdout=log, stderr=log,
            )  # fmt: skip
        url = f"postgresql://rhdesk:rhdesk@127.0.0.1:{port}/postgres"
        try:
            _wait_for(url, server)
            yield url
        finally:
            # What PostgreSQL calls an immediate shutdown: nothing of it is needed any more.
            server.send_signal(signal.SIGQUIT)
            server.wait(60)


def _programs() -> Path:
    """Where initdb and postgres are: Debian keeps them off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("initdb")
    if folders:
        return folders[-1]
    if found is None:
        raise FileNotFoundError("PostgreSQL is not installed: tests/install_system_packages.sh")
    return Path(found).parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
