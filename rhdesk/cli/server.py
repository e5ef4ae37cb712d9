"""``rhdesk server run | user | token | grant | backup | restore | compact | migrate | openapi``."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import msgspec

from rhdesk import whole_file
from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json
from rhdesk.config import Settings
from rhdesk.errors import BadInput, SetupFailed

if TYPE_CHECKING:
    from rhdesk.server.sql import SqlDatabase

F = TypeVar("F", bound=Callable[..., Any])

VARIABLE: Final = "RHDESK_SERVER_DATABASE"

_database = click.option(
    "--database",
    default="",
    help=f"postgresql://host/name, or a folder for SQLite; also {VARIABLE}.",
)


@click.group()
def server() -> None:
    """The remote store: the names of a team, on a machine of yours."""


@server.command()
@_database
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8787, show_default=True, type=click.IntRange(0, 65535))
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--insecure-plain-http",
    is_flag=True,
    help="Beyond this machine without TLS: whoever listens can read the tokens.",
)
def run(
    database: str,
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure_plain_http: bool,
) -> None:
    """Serve the store until Ctrl-C."""
    with _opened(database, keep=True) as opened:
        from rhdesk.server.serve import serve

        def announce(url: str) -> None:
            _remember_address(database, url)
            output.note(f"the store answers on {url}; add people: rhdesk server user add ada")

        opened.check()
        serve(
            opened,
            host=host,
            port=port,
            certificate=tls_cert,
            key=tls_key,
            insecure_plain_http=insecure_plain_http,
            announce=announce,
        )


@server.group()
def user() -> None:
    """Who may log in."""


@user.command("add")
@click.argument("name")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 3650))
@_database
@as_json
def add_user(name: str, days: int, database: str, as_json: bool) -> None:
    """Add a user, with a folder /NAME and a first token; it is shown once."""
    from rhdesk.server.tokens import Accounts

    with _opened(database) as opened:
        accounts = Accounts(opened)
        accounts.add_user(name)
        token = accounts.make_token(name, lasts=timedelta(days=days))
    _show_token(name, token, _address(database), as_json)


@user.command("ls")
@_database
@as_json
def list_users(database: str, as_json: bool) -> None:
    """Everybody who may log in."""
    with _opened(database) as opened:
        names = list(opened.principals())
    answer(names, as_json, lambda: output.print_text("\n".join(names)))


@server.group()
def token() -> None:
    """What people log in with."""


@token.command("create")
@click.argument("owner")
@click.option(
    "--scope",
    default="admin",
    show_default=True,
    help="What it is for at most: read, write, or admin, which also shares.",
)
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 3650))
@_database
@as_json
def create_token(owner: str, scope: str, days: int, database: str, as_json: bool) -> None:
    """Another token for OWNER; it is shown once."""
    from rhdesk.server.tokens import Accounts

    with _opened(database) as opened:
        made = Accounts(opened).make_token(owner, scope=scope, lasts=timedelta(days=days))
    _show_token(owner, made, _address(database), as_json)


@token.command("ls")
@click.argument("owner", default="")
@_database
@as_json
def list_tokens(owner: str, database: str, as_json: bool) -> None:
    """Tokens, newest first; not what they are."""
    from rhdesk.server.tokens import Accounts

    with _opened(database) as opened:
        found = Accounts(opened).tokens(owner)
    now = datetime.now(UTC)
    rows = [
        (
            each.id,
            each.owner,
            each.scope,
            output.ago(each.created_at),
            output.ago(each.used_at),
            "revoked" if each.revoked_at else "expired" if each.expires_at <= now
            else f"until {each.expires_at:%Y-%m-%d}",
        )
        for each in found
    ]  # fmt: skip
    head = ("TOKEN", "OWNER", "FOR", "MADE", "USED", "")
    answer(found, as_json, lambda: output.print_table(head, rows))


@token.command()
@click.argument("token_id")
@_database
@as_json
def revoke(token_id: str, database: str, as_json: bool) -> None:
    """End a token at once."""
    from rhdesk.server.tokens import Accounts

    with _opened(database) as opened:
        Accounts(opened).revoke(token_id)
    answer({"revoked": token_id}, as_json, lambda: output.note(f"{token_id} opens nothing now"))


@server.command()
@click.argument("principal")
@click.argument("folder")
@click.argument("level", type=click.Choice(["none", "read", "call", "write", "admin"]))
@_database
@as_json
def grant(principal: str, folder: str, level: str, database: str, as_json: bool) -> None:
    """Let PRINCIPAL, a user or group, do LEVEL in FOLDER and below, as who runs the server."""
    from rhdesk.access.levels import Level
    from rhdesk.server.bounds import read_folder
    from rhdesk.server.groups import KEEPER, Groups

    folder = read_folder(folder)
    with _opened(database) as opened:
        Groups(opened).grant(KEEPER, principal, folder, Level[level.upper()])
    told = {"principal": principal, "folder": folder, "level": level}
    answer(told, as_json, lambda: output.note(f"{principal} may {level} in {folder}"))


@server.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_database
@as_json
def backup(file: Path, database: str, as_json: bool) -> None:
    """Write all of the store, as it is now, into FILE."""
    from rhdesk.server.backup import write_backup

    with _opened(database) as opened:
        made = write_backup(opened, file)
    answer(made, as_json, lambda: output.note(f"{made.revisions} revisions are in {file}"))


@server.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Replace what the store has now.")
@_database
@as_json
def restore(file: Path, yes: bool, database: str, as_json: bool) -> None:
    """Make the store what it was when FILE was written; desks hand back what it lost since."""
    from rhdesk.server.backup import read_backup

    with _opened(database, keep=True) as opened:
        made = read_backup(opened, file, replace=yes)
    answer(made, as_json, lambda: output.note(f"{made.revisions} revisions are back"))


@server.command()
@click.option("--keep-days", default=90.0, show_default=True, type=click.FloatRange(0))
@_database
@as_json
def compact(keep_days: float, database: str, as_json: bool) -> None:
    """Forget what was deleted longer ago; desks that were away longer list anew."""
    from rhdesk.server.store import Store

    with _opened(database) as opened:
        with opened.reading() as t:
            seq = t.last_before(datetime.now(UTC) - timedelta(days=keep_days))
        Store(opened).forget_before(seq)
    answer({"oldest_seq": seq}, as_json, lambda: output.note(f"the feed begins after {seq}"))


@server.command()
@click.option("--plan", is_flag=True, help="Only say what would run.")
@click.option(
    "--backup", "file", default=None, type=click.Path(dir_okay=False, path_type=Path),
    help="Write all of it there first; a store that holds something wants one.",
)  # fmt: skip
@_database
@as_json
def migrate(plan: bool, file: Path | None, database: str, as_json: bool) -> None:
    """Bring the database's schema up to date.

    Every other command does it too with a SQLite file, and backs that up beside itself.
    """
    from rhdesk.server.backup import write_backup
    from rhdesk.server.schema import steps as every_step

    with _opened(database, keep=True, migrate=False) as opened:
        pending = len(opened.pending())
        if file is not None and not plan and pending < len(every_step()):
            write_backup(opened, file)
        elif not plan and 0 < pending < len(every_step()):
            raise BadInput("the store holds something; say where a backup goes: --backup FILE")
        steps = opened.pending() if plan else opened.migrate()
    told = [{"number": step.number, "name": step.name, "digest": step.digest} for step in steps]
    names = ", ".join(f"{step.number} ({step.name})" for step in steps)
    does = "would run" if plan else "ran"
    answer(told, as_json, lambda: output.note(f"{does} {names}" if names else "up to date"))


@server.command()
@as_json
def openapi(as_json: bool) -> None:
    """The OpenAPI document of the store."""
    from rhdesk.server.openapi import document

    told = document()
    spelled = msgspec.json.format(msgspec.json.encode(told), indent=2).decode()
    answer(told, as_json, lambda: click.echo(spelled))


@contextmanager
def _opened(database: str, *, keep: bool = False, migrate: bool = True) -> Generator[SqlDatabase]:
    """The database that was named, or the one in the data folder.

    Args:
        keep: It is made if it is not there; elsewhere a mistyped folder is an error.
    """
    try:
        from rhdesk.server.serve import connect, open_database
    except ModuleNotFoundError as exc:
        raise SetupFailed(f'the store needs {exc.name}: pip install "rhdesk[server]"') from exc
    url = _where(database)
    if not keep and "://" not in url and not (Path(url).expanduser() / "store.db").exists():
        raise BadInput(f"there is no store in {url}; `rhdesk server run` makes one")
    opened = open_database(url) if migrate else connect(url)
    try:
        yield opened
    finally:
        opened.close()


def _where(database: str) -> str:
    return database or os.environ.get(VARIABLE) or str(Settings.load().data_dir / "server")


def _remember_address(database: str, url: str) -> None:
    """Keep where the store was served last, for whoever is told how to log in."""
    if "://" not in (folder := _where(database)):
        whole_file.write(Path(folder).expanduser() / "address", [url.encode()])


def _address(database: str) -> str:
    with suppress(OSError):
        if "://" not in (folder := _where(database)):
            return (Path(folder).expanduser() / "address").read_text("utf-8")
    return "http://127.0.0.1:8787"


def _show_token(user: str, token: str, url: str, as_json: bool) -> None:
    login = f"rhdesk login {url}"

    def show() -> None:
        output.note(f"this token of {user} is shown once; it is asked for by: {login}")
        click.echo(token)

    answer({"user": user, "token": token, "url": url, "login": login}, as_json, show)
