"""A small world, whole: every route, asked by everybody, in every state of one grant.

Three people, four groups of people one in the other, four folders one in the other, four levels.
The routes are those of the router; what each wants is said here, and a route that is not said here
fails. An independent reference decides what should have happened.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from rhdesk.access.levels import Level
from rhdesk.models import Lane, Promotion
from rhdesk.server.app import application
from rhdesk.server.groups import KEEPER, Groups
from rhdesk.server.routes import ROUTES
from rhdesk.server.serve import open_database
from rhdesk.server.sql import SqlDatabase
from rhdesk.server.store import Store
from rhdesk.server.tokens import Accounts
from rhdesk.wire.store import Based, Put
from rhdesk.wire.team import SealedSecret
from tests.integration.team.reference import Rights, may

USERS = ("ann", "ben", "cat")
MEMBERS = {"g0": ["g1", "cat"], "g1": ["g2"], "g2": ["g3", "ben"], "g3": ["ann"], "gd": []}
FOLDERS = ("/", "/top", "/top/a", "/top/a/b")
LEVELS = ("read", "call", "write", "admin")
STATES = list(itertools.product((*USERS, "g0", "g1", "g2", "g3"), FOLDERS, LEVELS))
"""Each a world with one grant."""
SAMPLED = not os.environ.get("RHDESK_SOAK")
ORDINARILY = 8
"""States of the ordinary suite, by chance; with RHDESK_SOAK=1 all of them."""

Request = tuple[str, dict[str, Any]]
SENT = {"Idempotency-Key": "key-of-nobody"}


class Case(NamedTuple):
    """How a route is asked in a folder, without changing anything, and who should be let in."""

    asks: Callable[[str], Request]
    needs: str
    """The level in the folder; "" where everybody with a token may."""
    sees: Callable[[httpx.Response, str], bool] = lambda r, f: r.status_code < 300
    """Whether the answer shows that they were let in."""
    at: str = ""
    """The folder that decides, where it is not the one that is asked about."""


def code(*codes: int) -> Callable[[httpx.Response, str], bool]:
    return lambda response, folder: response.status_code in codes


def rid(folder: str) -> str:
    return "r" + folder.replace("/", "-")


def holds(key: str) -> Callable[[httpx.Response, str], bool]:
    """Whether an answered list has something of exactly this folder."""

    def found(response: httpx.Response, folder: str) -> bool:
        rows = response.json()
        rows = rows["rows"] if isinstance(rows, dict) else rows
        return any(row[key].rpartition("/")[0] == folder for row in rows)

    return found


def q(**given: Any) -> dict[str, Any]:
    return {"params": given}


def j(**body: Any) -> dict[str, Any]:
    return {"json": body}


STALE = {**SENT, "If-Match": '"EPOCH.99"'}
CASES: dict[str, Case] = {
    "about": Case(lambda f: ("/v1/about", {}), ""),
    "resource": Case(lambda f: (f"/v1/r/{rid(f)}", {}), "read"),
    "put": Case(
        lambda f: (
            f"/v1/r/{rid(f)}",
            {**j(body={"name": f"{f}/thing", "resource_type": "env"}), "headers": STALE},
        ),
        "write",
        code(412),
    ),
    "delete": Case(lambda f: (f"/v1/r/{rid(f)}", {"headers": STALE}), "write", code(412)),
    "versions": Case(lambda f: (f"/v1/r/{rid(f)}/versions", {}), "read"),
    "changes": Case(lambda f: ("/v1/changes", q(epoch="EPOCH", since=0, limit=900)), "read",
                    lambda r, f: any(x["type"] == "record" and x["stored"]["rid"] == rid(f)
                                     for x in r.json()["rows"])),
    "listing": Case(lambda f: ("/v1/listing", {}), "read", holds("name")),
    "has_blob": Case(lambda f: (f"/v1/blobs/{'0' * 64}", {}), "", code(404)),
    "blob": Case(lambda f: (f"/v1/blobs/{'0' * 64}", {}), "", code(404)),
    "put_blob": Case(lambda f: (f"/v1/blobs/{'0' * 64}", {"content": b"x"}), "", code(422)),
    "grants": Case(lambda f: ("/v1/grants", q(folder=f)), "read"),
    "grant": Case(lambda f: ("/v1/grants", j(principal="dan", folder=f, level="read")), "admin"),
    "openapi": Case(lambda f: ("/v1/openapi.json", {}), ""),
    "health": Case(lambda f: ("/v1/health", {}), ""),
    "metrics": Case(lambda f: ("/v1/metrics", {}), ""),
    "policy": Case(lambda f: ("/v1/policy", {}), "read",
                   lambda r, f: any(g["principal"] == "dan" and g["folder"] == f
                                    for g in r.json()["grants"]), at="around"),
    "why": Case(lambda f: ("/v1/access", q(principal="USER", action="write", name=f)), "write",
                lambda r, f: bool(r.json()["allowed"])),
    "share": Case(lambda f: ("/v1/grants", j(principal="dan", folder=f, level="read")), "admin"),
    "make_group": Case(lambda f: ("/v1/groups", j(name="g0")), "", code(409)),
    "members": Case(lambda f: ("/v1/groups/members", j(group="g0", put=["nobody"])), "admin",
                    code(404), at="/g0"),
    "move_group": Case(lambda f: ("/v1/groups/move", j(group="gd", into="gd")), "admin",
                       code(422), at="/gd"),
    "drop_group": Case(lambda f: ("/v1/groups", q(group="never")), "", code(404)),
    "move_folder": Case(lambda f: ("/v1/folders/move", j(old=f"{f}/none", new=f"{f}/other")),
                        "admin", code(404)),
    "tokens": Case(lambda f: ("/v1/tokens", {}), ""),
    "narrow": Case(lambda f: ("/v1/tokens", j(scope="read", days=1)), ""),
    "rotate": Case(lambda f: ("/v1/token/rotate", j()), ""),
    "end_token": Case(lambda f: (f"/v1/tokens/{'0' * 16}", {}), "", code(404)),
    "lanes": Case(lambda f: ("/v1/lanes", {}), "read", holds("folder")),
    "lay_lane": Case(
        lambda f: ("/v1/lanes", j(folder=f"{f}/lane", after=f"{f}/dev", approvals=9)), "admin"
    ),
    "lift_lane": Case(lambda f: ("/v1/lanes", q(folder=f"{f}/none")), "admin", code(404)),
    "promotions": Case(lambda f: ("/v1/promotions", {}), "read", holds("lane")),
    "promote": Case(
        lambda f: ("/v1/promotions", j(source=f"{f}/dev/x", lane=f"{f}/lane", rev=9)), "write",
        code(404),
    ),
    "approve": Case(lambda f: (f"/v1/promotions/{pid(f)}/approve", {}), "write"),
    "withdraw": Case(lambda f: (f"/v1/promotions/{pid(f)}/withdraw", {}), "write"),
    "secrets": Case(lambda f: ("/v1/secrets", q(folder=f)), "read", holds("name")),
    "secret_versions": Case(lambda f: ("/v1/secrets/versions", q(name=f"{f}/key")), "call"),
    "put_secret": Case(lambda f: ("/v1/secrets", j(name=f"{f}/key", expect=77)), "write",
                       code(409)),
    "rename_secret": Case(
        lambda f: ("/v1/secrets/rename", j(old=f"{f}/key", new=f"{f}/other")), "write", code(409)
    ),
    "drop_secret": Case(lambda f: ("/v1/secrets", q(name=f"{f}/none")), "write", code(404)),
    "audit": Case(lambda f: ("/v1/audit", {}), "admin", at="/"),
    "audit_rows": Case(lambda f: ("/v1/audit/rows", {}), "admin", at="/"),
    "audit_head": Case(lambda f: ("/v1/audit/head", {}), ""),
}  # fmt: skip


def pid(folder: str) -> str:
    return f"{FOLDERS.index(folder):016x}"


class World:
    def __init__(self, database: SqlDatabase) -> None:
        self.database = database
        accounts = Accounts(database)
        for user in (*USERS, "dan"):
            accounts.add_user(user)
        self.tokens = {user: accounts.make_token(user) for user in USERS}
        groups = Groups(database)
        for name in MEMBERS:
            groups.make(KEEPER, name, level="none")
        for name, inside in MEMBERS.items():
            groups.put(KEEPER, name, inside)
        with database.writing() as t:
            t.grant(t.next_seq(), "dan", "/", Level.WRITE)
        store = Store(database)
        for folder in FOLDERS[1:]:
            for leaf, each in (("thing", rid(folder)), ("dev/x", f"{rid(folder)}-x")):
                body = {"name": f"{folder}/{leaf}", "resource_type": "env"}
                store.put("dan", each, f"made-{each}-{leaf[:3]}", Based("", 0), Put(body=body))
        with database.writing() as t:
            t.grant(t.next_seq(), "dan", "/", Level.NONE)
            self.epoch = t.head().epoch
            for folder in FOLDERS[1:]:
                t.grant(t.next_seq(), "dan", folder, Level.READ)
                lane = Lane(folder=f"{folder}/lane", after=f"{folder}/dev", approvals=9)
                t.put_lane(t.head().seq, lane)
                t.put_secret(
                    SealedSecret(
                        name=f"{folder}/key", version=1, saved_at=datetime.now(UTC), author="dan",
                        envelope={},
                    )
                )  # fmt: skip

        for folder in FOLDERS[1:]:
            self.ask_again(folder)

    def ask_again(self, folder: str) -> None:
        """The promotion that the question before may have decided."""
        with self.database.writing() as t:
            t.put_promotion(
                Promotion(
                    promotion_id=pid(folder), source=f"{folder}/dev/x", rev=1,
                    target=f"{folder}/lane/x", lane=f"{folder}/lane", asked_by="dan",
                    asked_at=datetime.now(UTC),
                ),
                f"{rid(folder)}-x",
            )  # fmt: skip

    def state(self, who: str, folder: str, level: Level) -> None:
        with self.database.writing() as t:
            t.grant(t.next_seq(), who, folder, level)

    def rights(self, who: str, folder: str, level: str) -> Rights:
        own = [(user, f"/{user}", "admin") for user in USERS]
        return [*own, (who, folder, level)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[World, httpx.AsyncClient]]:
    database = open_database(str(tmp_path))
    made = World(database)
    transport = httpx.ASGITransport(application(database))
    async with httpx.AsyncClient(transport=transport, base_url="http://store") as client:
        yield made, client
    database.close()


def test_every_route_of_the_router_is_asked() -> None:
    assert CASES.keys() == {route.name for route in ROUTES}


async def test_every_route_lets_in_whom_the_reference_lets_in(
    world: tuple[World, httpx.AsyncClient],
) -> None:
    made, client = world
    states = STATES
    if SAMPLED:
        states = random.Random(20261123).sample(STATES, ORDINARILY)
    differences, asked = [], 0
    let_in = {name: 0 for name in CASES}
    for who, top, level in states:
        made.state(who, top, Level[level.upper()])
        rights = made.rights(who, top, level)
        for user, folder, route in itertools.product(USERS, FOLDERS[1:], ROUTES):
            case = CASES[route.name]
            if route.name in {"approve", "withdraw"}:
                made.ask_again(folder)
            expected = _expected(user, folder, case, rights)
            seen = await _asked(client, made, user, folder, route.method, case)
            asked += 1
            let_in[route.name] += expected
            if seen != expected:
                differences.append((who, top, level, user, folder, route.name, expected))
        made.state(who, top, Level.NONE)
    print(f"{asked} questions in {len(states)} states")
    assert not differences, differences[:20]
    never = {name for name, count in let_in.items() if not count}
    assert never <= {"move_group", "members", "audit", "audit_rows"}, "the cases prove nothing"


async def test_a_difference_would_be_noticed(world: tuple[World, httpx.AsyncClient]) -> None:
    """The control: a world in which one grant is not what the reference is told."""
    made, client = world
    made.state("g3", "/top", Level.READ)
    rights = made.rights("g3", "/top", "write")
    case = CASES["put"]
    seen = await _asked(client, made, "ann", "/top/a", "PUT", case)
    assert seen != _expected("ann", "/top/a", case, rights)


def _expected(user: str, folder: str, case: Case, rights: Rights) -> bool:
    if not case.needs:
        return True
    if case.at == "around":  # grants are told to who may read in that folder, above or below it
        return any(may(user, "read", f, rights, MEMBERS) for f in FOLDERS[FOLDERS.index(folder):]
                   ) or may(user, "read", folder, rights, MEMBERS)  # fmt: skip
    return may(user, case.needs, case.at or folder, rights, MEMBERS)


async def _asked(
    client: httpx.AsyncClient, made: World, user: str, folder: str, method: str, case: Case
) -> bool:
    path, sent = case.asks(folder)
    headers = {k: v.replace("EPOCH", made.epoch) for k, v in sent.pop("headers", {}).items()}
    if "params" in sent:
        named = {"EPOCH": made.epoch, "USER": user}
        sent["params"] = {k: named.get(v, v) for k, v in sent["params"].items()}
    headers["Authorization"] = f"Bearer {made.tokens[user]}"
    response = await client.request(method, path, headers=headers, **sent)
    assert response.status_code < 500, response.text
    assert response.status_code != 401, response.text
    return response.status_code != 403 and case.sees(response, folder)
