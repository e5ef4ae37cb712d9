"""A server process: the application, a socket, and nothing that listens unasked."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn

from rhdesk.errors import BadInput, BadSchema, SetupFailed
from rhdesk.server.app import application
from rhdesk.server.backup import write_backup
from rhdesk.server.postgres import PostgresDatabase
from rhdesk.server.schema import steps
from rhdesk.server.sql import SqlDatabase
from rhdesk.server.sqlite import SqliteDatabase

PORT: Final = 8787


def open_database(url: str) -> SqlDatabase:
    """The database of *url*, brought up to date with this release.

    A SQLite file that holds something is backed up beside itself first.

    Raises:
        BadSchema: It is a PostgreSQL database that holds something of an earlier release: whoever
            keeps it decides where a backup goes.
        BadInput: It is none; see `connect`.
    """
    database = connect(url)
    try:
        _see_that_nothing_is_lost(database, url)
        database.migrate()
    except BaseException:
        database.close()
        raise
    return database


def _see_that_nothing_is_lost(database: SqlDatabase, url: str) -> None:
    ran = len(steps()) - len(database.pending())
    if ran in (0, len(steps())):
        return
    if "://" in url:
        raise BadSchema(
            f"the database has the schema of an earlier rhdesk, {ran} of {len(steps())} steps; "
            "bring it up to date, with a backup: rhdesk server migrate --backup FILE"
        )
    write_backup(database, Path(url).expanduser() / f"before-step-{ran + 1}.gz")


def connect(url: str) -> SqlDatabase:
    """The database of *url*: ``postgresql://...``, or the folder of a SQLite file.

    Raises:
        BadInput: It is neither.
    """
    if url.startswith(("postgresql://", "postgres://")):
        return PostgresDatabase(url)
    if "://" in url:
        raise BadInput(
            f"{url} is no database; one looks like postgresql://host/rhdesk, or a folder"
        )
    return SqliteDatabase(Path(url).expanduser() / "store.db")


def serve(
    database: SqlDatabase,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    certificate: Path | None = None,
    key: Path | None = None,
    insecure_plain_http: bool = False,
    announce: Callable[[str], None] = lambda url: None,
) -> None:
    """Answer on *host* and *port* until SIGTERM or SIGINT.

    Args:
        certificate: With *key*, TLS.
        insecure_plain_http: Speak HTTP where others can listen. Without, only to this machine.
        announce: Is told the address once it is listened on.

    Raises:
        BadInput: It would send tokens in clear.
        SetupFailed: The address cannot be listened on.
    """
    if certificate is None and not insecure_plain_http and not _is_loopback(host):
        raise BadInput(
            f"on {host} others could read the tokens: give --tls-cert and --tls-key, or say "
            "--insecure-plain-http if something in front of it speaks TLS"
        )
    listening = _bound(host, port)
    scheme = "https" if certificate else "http"
    reached = socket.gethostname() if host in {"0.0.0.0", "::"} else host
    place = f"[{reached}]" if ":" in reached else reached
    announce(f"{scheme}://{place}:{listening.getsockname()[1]}")
    config = uvicorn.Config(
        application(database),
        log_level="warning",
        access_log=False,
        server_header=False,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=64 * 1024,
        limit_concurrency=512,
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()
        database.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as exc:
        listening.close()
        raise SetupFailed(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
    return listening


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
