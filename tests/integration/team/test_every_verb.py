"""Every command about the team, at each level of the person who types it, against the reference."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner

from rhdesk.access.levels import Level
from rhdesk.cli.main import cli
from rhdesk.errors import ConnectionFailed, Refused, RhdeskError
from rhdesk.models import Lane
from rhdesk.server.groups import KEEPER, Groups
from rhdesk.server.store import Store
from rhdesk.wire.store import Based, Put
from tests.integration.server.conftest import Served
from tests.integration.team.reference import ORDER, may

TEAM = ("access", "group", "lane", "token")
MEMBERS = {"g0": ["g1"], "g1": ["g2"], "g2": ["ann"]}
AT = "/top/a"


class Typed(NamedTuple):
    words: list[str]
    needs: str = ""
    """The level in `AT`; "" where everybody may."""
    at: str = AT


VERBS: dict[str, Typed] = {
    "access why": Typed(["ann", "read", AT]),
    "access rights": Typed([]),
    "access ls": Typed([AT]),
    "access grant": Typed([AT, "dan", "--level", "read"], "admin"),
    "access move": Typed([f"{AT}/none", f"{AT}/other"], "admin"),
    "group ls": Typed([]),
    "group new": Typed(["g0"]),
    "group put": Typed(["gx", "dan"], "admin", "/gx"),
    "group take": Typed(["gx", "dan"], "admin", "/gx"),
    "group move": Typed(["gx"], "admin", "/gx"),
    "group rm": Typed(["gx"], "admin", "/gx"),
    "group defaults": Typed([AT]),
    "group set": Typed([AT, "region", "eu"]),  # saved here; the store decides when it is sent
    "group unset": Typed([AT, "region"]),
    "lane ls": Typed([]),
    "lane set": Typed([f"{AT}/lane", f"{AT}/dev", "--approvals", "9"], "admin"),
    "lane lift": Typed([f"{AT}/none"], "admin"),
    "lane promote": Typed([f"{AT}/dev/x", f"{AT}/lane"], "write"),
    "lane requests": Typed([]),
    "lane approve": Typed(["0" * 16]),
    "lane withdraw": Typed(["0" * 16]),
    "token ls": Typed([]),
    "token narrow": Typed(["--scope", "read"]),
    "token rotate": Typed([]),
    "token revoke": Typed(["0" * 16]),
    "audit team": Typed([], "admin", "/"),
    "audit download": Typed(["audit.jsonl"], "admin", "/"),
    "share": Typed([AT, "dan"], "admin"),
}


def commands() -> set[str]:
    """Every command of the groups in `TEAM`, from the command line itself."""
    found: set[str] = set()
    for word in TEAM:
        group = cli.get_command(click.Context(cli), word)
        assert isinstance(group, click.Group)
        found |= {f"{word} {each}" for each in group.commands}
    return found


def test_every_command_is_tried() -> None:
    assert commands() <= VERBS.keys()


def let_in(verb: str, words: list[str]) -> bool:
    """Type it; whether the store let them in, whatever came of it."""
    done = CliRunner().invoke(cli, [*verb.split(), *words])
    error = done.exception
    assert not isinstance(error, ConnectionFailed), error
    if error is not None and not isinstance(error, RhdeskError | SystemExit):
        raise error
    return not isinstance(error, Refused)


@pytest.mark.parametrize("level", ORDER)
def test_each_command_lets_in_whom_the_reference_lets_in(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    token = served.user("ann", scope="admin")
    served.user("dan")
    with served.accounts() as accounts:
        groups, database = Groups(accounts.database), accounts.database
        for name in (*MEMBERS, "gx"):
            groups.make(KEEPER, name, level="none")
        for name, inside in MEMBERS.items():
            groups.put(KEEPER, name, inside)
        groups.grant(KEEPER, "dan", AT, Level.WRITE)
        body = {"name": f"{AT}/dev/x", "resource_type": "env"}
        Store(database).put("dan", "r1", "made-by-dan", Based("", 0), Put(body=body))
        with database.writing() as t:
            t.put_lane(t.next_seq(), Lane(folder=f"{AT}/lane", after=f"{AT}/dev", approvals=9))
        groups.grant(KEEPER, "g0", "/top", Level[level.upper()])
    monkeypatch.setenv("RHDESK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RHDESK_TOKEN", token)
    monkeypatch.chdir(tmp_path)
    assert let_in("login", [served.url])
    rights = [("ann", "/ann", "admin"), ("g0", "/top", level)]
    for verb, typed in VERBS.items():
        expected = not typed.needs or may("ann", typed.needs, typed.at, rights, MEMBERS)
        assert let_in(verb, typed.words) is expected, (verb, level)
