"""`rhdesk server`: from an empty folder to somebody who is logged in; TLS, and what is refused."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Place


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("keeper"))


@contextmanager
def _serving(place: Place, *args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server, and the address it said it answers on."""
    server = place.start("-m", "rhdesk.cli", "server", "run", "--port", "0", *args)
    assert server.stderr is not None
    try:
        said = server.stderr.readline()
        assert "answers on" in said, said + server.stderr.read()
        yield server, said.split("answers on ")[1].split(";")[0]
    finally:
        server.kill()
        server.communicate(timeout=20)


def _told(place: Place, *args: str, check: bool = True) -> Any:
    return json.loads(place.rhdesk("server", *args, "--json", check=check).stdout)


def _about(url: str, token: str, context: ssl.SSLContext | None = None) -> tuple[int, Any]:
    scheme, _, place = url.partition("://")
    line = (
        http.client.HTTPSConnection(place, timeout=20, context=context)
        if scheme == "https"
        else http.client.HTTPConnection(place, timeout=20)
    )
    line.request("GET", "/v1/about", headers={"Authorization": f"Bearer {token}"})
    answer = line.getresponse()
    body = json.loads(answer.read())
    line.close()
    return answer.status, body


def test_the_first_run_needs_two_commands(home: Place) -> None:
    with _serving(home) as (_, url):
        added = home.rhdesk("server", "user", "add", "ada")
        token = added.stdout.strip()
        assert f"rhdesk login {url}" in added.stderr
        assert token not in added.stderr
        assert _about(url, token) == (200, _about(url, token)[1] | {"user": "ada"})
        assert home.rhdesk("server", "user", "ls").stdout == "ada\n"
        listed = home.rhdesk("server", "token", "ls").stdout
        assert "ada" in listed
        assert token.split("_")[3] not in listed
        home.environ["RHDESK_TOKEN"] = token
        logged = json.loads(home.rhdesk("login", url, "--json").stdout)["data"]
        assert (logged["user"], logged["folder"]) == ("ada", "/ada")
        _told(home, "token", "revoke", token.split("_")[2])
        assert _about(url, token)[0] == 401


def test_commands_beside_a_running_server_are_seen_at_once(home: Place) -> None:
    with _serving(home) as (_, url):
        ada = _told(home, "user", "add", "ada")["data"]["token"]
        _told(home, "user", "add", "eve")
        reader = _told(home, "token", "create", "eve", "--scope", "read")["data"]["token"]
        assert _about(url, reader)[0] == 200
        _told(home, "grant", "eve", "/ada", "read")
        backed_up = _told(home, "backup", str(home.project / "b"))["data"]
        before = _about(url, ada)[1]["epoch"]
        assert backed_up["epoch"] == before
        refused = _told(home, "restore", str(home.project / "b"), check=False)
        assert refused["error"]["code"] == "already_exists"
        restored = _told(home, "restore", str(home.project / "b"), "--yes")["data"]
        assert _about(url, ada)[1]["epoch"] == restored["epoch"] != before
        assert _told(home, "compact", "--keep-days", "0")["data"]["oldest_seq"] == restored["seq"]
        assert _told(home, "migrate", "--plan")["data"] == []


def test_a_damaged_store_is_moved_away_and_restored_as_it_is_told(home: Place) -> None:
    home.rhdesk("server", "migrate")
    home.rhdesk("server", "user", "add", "ada")
    home.rhdesk("server", "backup", "b")
    file = home.data / "server" / "store.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE head SET seq = 7")
    refused = home.rhdesk("server", "run", "--port", "0", check=False)
    assert refused.returncode != 0
    assert "move the database away and restore a backup" in refused.stderr
    file.rename(file.with_name("damaged.db"))
    home.rhdesk("server", "restore", "b")
    assert home.rhdesk("server", "user", "ls").stdout == "ada\n"
    with _serving(home):
        pass


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("user", "add", "Ada"), 2),
        (("user", "add", "a/b"), 2),
        (("user", "add", "ada"), 4),
        (("token", "create", "nobody"), 3),
        (("token", "create", "ada", "--scope", "king"), 2),
        (("token", "revoke", "0" * 16), 3),
        (("grant", "nobody", "/ada", "read"), 3),
        (("grant", "ada", "ada", "read"), 2),
        (("grant", "ada", "~/x", "read"), 2),
        (("user", "ls", "--database", "mysql://x"), 2),
        (("user", "ls", "--database", "/nonexistent"), 2),
        (("user", "ls", "--database", "postgresql://127.0.0.1:1/x"), 5),
        (("run", "--host", "0.0.0.0"), 2),
    ],
)  # fmt: skip
def test_what_is_typed_wrong_is_told_with_its_exit_code(
    home: Place, args: tuple[str, ...], code: int
) -> None:
    home.rhdesk("server", "migrate")
    home.rhdesk("server", "user", "add", "ada")
    done = home.rhdesk("server", *args, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) > 20


def test_a_port_that_is_taken_is_told_before_it_is_announced(home: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = home.rhdesk("server", "run", "--port", str(taken.getsockname()[1]), check=False)
    assert done.returncode == 9
    assert "answers on" not in done.stderr


def test_a_server_that_is_asked_to_end_ends_though_somebody_waits(home: Place) -> None:
    with _serving(home) as (server, url):
        token = _told(home, "user", "add", "ada")["data"]["token"]
        epoch = _about(url, token)[1]["epoch"]
        line = http.client.HTTPConnection(url.partition("://")[2], timeout=40)
        line.request(
            "GET",
            f"/v1/changes?epoch={epoch}&since=1&wait=30",
            headers={"Authorization": f"Bearer {token}"},
        )
        time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        server.wait(15)
        line.close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-keyout", key, "-out", certificate,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_over_tls_it_answers_those_who_trust_it_and_nobody_in_clear(home: Place) -> None:
    certificate, key = _certificate(home.home)
    args = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with _serving(home, *args) as (_, url):
        assert url.startswith("https://")
        token = _told(home, "user", "add", "ada")["data"]["token"]
        context = ssl.create_default_context(cafile=str(certificate))
        assert _about(url, token, context)[0] == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            _about(url, token)
        with pytest.raises((OSError, http.client.HTTPException)):
            _about(url.replace("https", "http"), token)
        old = ssl.create_default_context(cafile=str(certificate))
        with pytest.warns(DeprecationWarning, match="TLS"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, OSError)):
            _about(url, token, old)


def test_eight_commands_beside_a_server_never_find_it_locked(home: Place) -> None:
    with _serving(home) as (_, url):
        token = _told(home, "user", "add", "ada")["data"]["token"]
        over = threading.Event()
        statuses: list[int] = []

        def ask() -> None:
            while not over.is_set():
                statuses.append(_about(url, token)[0])

        asking = threading.Thread(target=ask)
        asking.start()
        words = [sys.executable, "-m", "rhdesk.cli", "server", "token", "create", "ada"]
        made = [
            subprocess.Popen(
                words,
                env=home.environ,
                cwd=home.project,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(8)
        ]
        told = [process.communicate(timeout=60) for process in made]
        over.set()
        asking.join(20)
        assert [process.returncode for process in made] == [0] * 8, told
        assert set(statuses) == {200}
