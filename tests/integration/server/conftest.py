"""Stores that really serve: a process, a socket, SQLite or PostgreSQL behind it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from rhdesk.server.serve import open_database
from rhdesk.server.sql import SqlDatabase
from rhdesk.server.tokens import Accounts
from tests.testbed.postgres import postgres


class Told(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A store on loopback."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database = database
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["-m", "rhdesk.cli", "server", "run", "--database", self.database]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words, "--port", str(self.port)], stdout=log, stderr=log
            )
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise AssertionError((self.folder / "server.log").read_text()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    @contextmanager
    def accounts(self) -> Generator[Accounts]:
        """What who runs the server can do, from beside it."""
        database = open_database(self.database)
        try:
            yield Accounts(database)
        finally:
            database.close()

    def user(self, name: str, *, scope: str = "write") -> str:
        """A token of a user, who is made if need be."""
        with self.accounts() as accounts:
            if name not in self.users():
                accounts.add_user(name)
            return accounts.make_token(name, scope=scope)

    def users(self) -> list[str]:
        database = open_database(self.database)
        try:
            return list(database.principals())
        finally:
            database.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        body: Any = None,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Told:
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        content = data if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}{path}", data=content, headers=sent, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return Told(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as exc:
            with exc:
                return Told(exc.code, dict(exc.headers), exc.read())

    def put(
        self,
        token: str,
        body: dict[str, Any] | None,
        *,
        rid: str = "",
        based: str = "",
        op_id: str = "",
    ) -> Told:
        before = {"If-Match": based} if based else {"If-None-Match": "*"}
        return self.ask(
            "PUT",
            f"/v1/r/{rid or new_id()}",
            token=token,
            body={"body": body},
            headers={"Idempotency-Key": op_id or new_id(), **before},
        )


def new_id() -> str:
    return uuid.uuid4().hex


def env(name: str, **fields: Any) -> dict[str, Any]:
    """A small config."""
    return {"name": name, "resource_type": "env", **fields}


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One PostgreSQL for the session; each store gets a database of its own in it."""
    with postgres() as url:
        yield url


def own_database(url: str) -> str:
    """A fresh database beside the one *url* names."""
    name = f"store_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    return f"{url.rpartition('/')[0]}/{name}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "store")
        return
    server = request.getfixturevalue("postgres_url")
    url = own_database(server)
    yield url
    with psycopg.connect(server, autocommit=True) as connection:
        name = url.rpartition("/")[2]
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def database(database_url: str) -> Iterator[SqlDatabase]:
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def served(database_url: str, tmp_path: Path) -> Iterator[Served]:
    store = Served(database_url, tmp_path)
    store.start()
    yield store
    if store.process is not None and store.process.poll() is None:
        store.stop()
