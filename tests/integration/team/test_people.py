"""Groups, grants that end, tokens and lanes, asked for at desks of a store that really serves."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rhdesk.access.levels import Level
from rhdesk.config import Settings
from rhdesk.desk import AsyncDesk
from rhdesk.errors import AlreadyExists, BadInput, NotFound, Refused
from rhdesk.models import Record, SecretText
from rhdesk.server.groups import KEEPER, Groups
from rhdesk.server.sql import SqlDatabase
from rhdesk.server.tokens import Accounts
from tests.integration.server.conftest import Served, env
from tests.integration.team.conftest import LogIn

DESK_HEARS_S = 2.0


def made(name: str, **config: object) -> Record:
    return Record(name=name, resource_type="env", config=dict(config))


async def saved(desk: AsyncDesk, name: str, **config: object) -> Record:
    await desk.save(made(name, **config))
    assert (await desk.sync()).queued == 0
    return await desk.load(name)


@asynccontextmanager
async def listening(desk: AsyncDesk) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(desk.stay_in_step())
        yield
        task.cancel()


async def until(claim: Callable[[], Awaitable[bool]], most_s: float = 15.0) -> float:
    """Seconds until it came true."""
    began = time.monotonic()
    while not await claim():
        assert time.monotonic() - began < most_s
        await asyncio.sleep(0.02)
    return time.monotonic() - began


# ---------------------------------------------------------------- groups


async def test_who_is_in_a_group_in_a_group_may_what_the_outer_one_may(
    served: Served, log_in: LogIn
) -> None:
    async with log_in("ana") as ana, log_in("bo") as bo:
        await ana.make_group("org")
        await ana.make_group("ml", ["bo"], level="read")
        await saved(ana, "/org/data", rows=1)
        with pytest.raises(NotFound):
            await bo.load("/org/data")
        await ana.change_group("org", put=["ml"])
        await saved(bo, "/org/by-bo", rows=2)
        told = await bo.access_why("bo", "write", "/org/data")
        assert [way.through for way in told.ways] == [("bo", "ml", "org")]
        await ana.move_group("ml")
        await bo.sync()
        with pytest.raises(NotFound):
            await bo.load("/org/data")
        assert not (await bo.access_why("bo", "write", "/org/data")).allowed


async def test_a_group_is_never_in_itself(log_in: LogIn) -> None:
    async with log_in("ana") as ana:
        for name in ("a", "b", "c"):
            await ana.make_group(name)
        await ana.change_group("a", put=["b"])
        await ana.change_group("b", put=["c"])
        for group, member in (("c", "a"), ("b", "a"), ("a", "a")):
            with pytest.raises(BadInput, match="cannot be in"):
                await ana.change_group(group, put=[member])
            with pytest.raises(BadInput, match="cannot be in"):
                await ana.move_group(member, group)
        assert {g.name: g.members for g in await ana.groups()} == {
            "a": ("ana", "b"), "b": ("ana", "c"), "c": ("ana",),
        }  # fmt: skip
        await ana.move_group("c", "a")
        assert {g.name: g.members for g in await ana.groups()}["a"] == ("ana", "b", "c")


def test_of_two_moves_that_together_make_a_circle_one_is_refused(database: SqlDatabase) -> None:
    groups = Groups(database)
    for name in ("a", "b"):
        groups.make(KEEPER, name, level="none")
    for _ in range(10):
        refused: list[str] = []

        def move(group: str, into: str, refused: list[str] = refused) -> None:
            try:
                groups.move(KEEPER, group, into)
            except BadInput as exc:
                refused.append(str(exc))

        both = [threading.Thread(target=move, args=pair) for pair in (("a", "b"), ("b", "a"))]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(30)
        assert len(refused) == 1
        with database.reading() as t:
            assert sorted(map(len, t.teams().values())) == [0, 1]
        for name in ("a", "b"):
            groups.move(KEEPER, name, "")


async def test_bad_input_is_told_with_what_a_right_one_looks_like(log_in: LogIn) -> None:
    async with log_in("ana") as ana, log_in("bo") as bo:
        await ana.make_group("ml")
        with pytest.raises(AlreadyExists, match="ml already"):
            await bo.make_group("ml")
        with pytest.raises(AlreadyExists, match="ana already"):
            await bo.make_group("ana")
        with pytest.raises(BadInput, match="lower-case letters"):
            await bo.make_group("Not A Name")
        with pytest.raises(Refused, match="not admin of /ml"):
            await bo.change_group("ml", put=["bo"])
        with pytest.raises(NotFound, match="did you mean ana"):
            await ana.change_group("ml", put=["anna"])
        with pytest.raises(NotFound, match="member of ml"):
            await ana.change_group("ml", take=["bo"])
        with pytest.raises(NotFound, match="no group"):
            await ana.drop_group("mll")
        with pytest.raises(BadInput, match="levels are none, read, call, write, admin"):
            await ana.grant_access("/ml", ["bo"], level="owner")
        with pytest.raises(BadInput, match="actions are read"):
            await ana.access_why("bo", "fly", "/ml/x")
        with pytest.raises(NotFound, match="did you mean bo"):
            await ana.access_why("boo", "read", "/ml/x")
        assert [g.members for g in await ana.groups()] == [("ana",)]


async def test_with_a_group_its_grants_end(log_in: LogIn) -> None:
    async with log_in("ana") as ana, log_in("bo") as bo:
        await ana.make_group("ml", ["bo"])
        await saved(ana, "/ana/data", rows=1)
        await ana.grant_access("/ana", ["ml"], level="proxy")
        await bo.sync()
        assert (await bo.load("/ana/data")).config["rows"] == 1
        await ana.drop_group("ml")
        await bo.sync()
        with pytest.raises(NotFound):
            await bo.load("/ana/data")
        assert (await bo.groups(), await bo.access_why("bo", "read", "/ana/data"))[0] == []


# ---------------------------------------------------------------- at the next request, and within 2 s


async def test_a_grant_a_move_and_an_end_reach_a_listening_desk_within_two_seconds(
    served: Served, log_in: LogIn
) -> None:
    async with log_in("ana") as ana, log_in("bo") as bo:
        await ana.make_group("ml")
        await saved(ana, "/ml/old/data", rows=1)

        async def sees(name: str) -> bool:
            return await bo.exists(name)

        async def sees_not(name: str) -> bool:
            return not await bo.exists(name)

        async with listening(bo):
            await asyncio.sleep(0.5)
            await ana.grant_access("/ml", ["bo"], level="read")
            assert await until(lambda: sees("/ml/old/data")) < DESK_HEARS_S
            assert await ana.move_folder("/ml/old", "/ml/new") == 1
            assert await until(lambda: sees("/ml/new/data")) < DESK_HEARS_S
            assert await sees_not("/ml/old/data")
            ends = datetime.now(UTC) + timedelta(seconds=2)
            with served.accounts() as accounts:
                groups = Groups(accounts.database)
                groups.grant("ana", "bo", "/ml", Level.READ, ends)
            await asyncio.sleep(1.0)
            assert await sees("/ml/new/data"), "the control: it has not ended yet"
            await until(lambda: sees_not("/ml/new/data"))
            late_s = (datetime.now(UTC) - ends).total_seconds()
            assert 0 <= late_s < DESK_HEARS_S
        assert (await ana.history("/ml/new/data"))[0].note == "moved from /ml/old/data"


async def test_a_move_is_whole_or_not_at_all(log_in: LogIn) -> None:
    async with log_in("ana") as ana, log_in("bo") as bo:
        for name in ("/ana/a/x", "/ana/a/y", "/ana/b/y"):
            await saved(ana, name)
        with pytest.raises(AlreadyExists, match="/ana/b/y is taken"):
            await ana.move_folder("/ana/a", "/ana/b")
        with pytest.raises(BadInput, match="into itself"):
            await ana.move_folder("/ana/a", "/ana/a/deeper")
        with pytest.raises(NotFound):
            await ana.move_folder("/ana/none", "/ana/c")
        with pytest.raises(Refused):
            await bo.move_folder("/ana/a", "/bo/a")
        await ana.sync()
        assert [r.name for r in await ana.resources("/ana")] == [
            "/ana/a/x",
            "/ana/a/y",
            "/ana/b/y",
        ]
        assert await ana.move_folder("/ana/a", "/ana/c") == 2


# ---------------------------------------------------------------- tokens


def test_a_token_can_be_made_less_and_never_more(database: SqlDatabase) -> None:
    accounts = Accounts(database)
    accounts.add_user("ana")
    whole = accounts.caller(accounts.make_token("ana", scope="write"))
    less = accounts.narrow(whole, scope="read", folder="/ana/models", lasts=timedelta(days=1))
    caller = accounts.caller(less)
    assert (caller.scope, caller.folder) == ("read", "/ana/models")
    for scope, folder in (("admin", "/"), ("write", "/ana/models"), ("read", "/ana")):
        with pytest.raises(Refused, match="cannot be for"):
            accounts.narrow(caller, scope=scope, folder=folder)
    with pytest.raises(BadInput, match="read, write, admin"):
        accounts.narrow(whole, scope="everything")
    least = accounts.narrow(caller, folder="/ana/models/small", lasts=timedelta(days=900))
    assert accounts.caller(least).folder == "/ana/models/small"
    ends = {row.id: row.expires_at for row in accounts.tokens("ana")}
    assert ends[accounts.caller(least).token_id] == ends[caller.token_id]
    accounts.end(whole, whole.token_id)
    for token in (less, least):
        with pytest.raises(Refused, match="revoked"):
            accounts.caller(token)


async def test_what_a_narrowed_token_reaches_is_its_folder(
    served: Served, log_in: LogIn, tmp_path: Path
) -> None:
    async with log_in("ana") as ana:
        await saved(ana, "/ana/models/x")
        await saved(ana, "/ana/private/y")
        token = (await ana.narrow_token(scope="write", folder="@/models", days=1)).reveal()
        told = {t.folder: t for t in await ana.tokens()}
        assert set(told) == {"/", "/ana/models"}
        assert told["/ana/models"].parent == told["/"].id
        assert told["/"].is_yours
        listed = served.ask("GET", "/v1/listing", token=token).json["rows"]
        assert [row["name"] for row in listed] == ["/ana/models/x"]
        assert served.put(token, env("/ana/models/z")).status == 200
        assert served.put(token, env("/ana/private/z")).status == 403
        assert served.ask("POST", "/v1/groups", token=token, body={"name": "ml"}).status == 403
        await ana.end_token(told["/ana/models"].id)
        assert served.ask("GET", "/v1/listing", token=token).status == 401


async def test_a_rotated_token_is_good_for_the_overlap_and_no_longer(
    served: Served, log_in: LogIn, tmp_path: Path
) -> None:
    async with log_in("ana") as ana:
        account, folder = await ana.store_room.beside()
        old = (folder / "token").read_text()
        await ana.rotate_token(overlap_s=1.0)
        new = (folder / "token").read_text()
        assert new != old
        assert served.ask("GET", "/v1/about", token=old).status == 200
        assert (await ana.sync()).status == "current"
        await asyncio.sleep(1.1)
        assert served.ask("GET", "/v1/about", token=old).status == 401
        assert served.ask("GET", "/v1/about", token=new).json["user"] == account.user
    for secret in (old, new):
        for file in served.folder.rglob("store.db*"):
            assert secret.rpartition("_")[2].encode() not in file.read_bytes()


# ---------------------------------------------------------------- lanes


async def test_a_lane_takes_promotions_only_and_not_from_who_agrees_with_themselves(
    served: Served, log_in: LogIn
) -> None:
    async with log_in("ana") as ana, log_in("bo") as bo, log_in("cy") as cy:
        await ana.make_group("ml", ["bo", "cy"])
        await ana.lay_lane("/ml/prod", "/ml/dev", approvals=2)
        await saved(bo, "/ml/dev/train", rate=1)
        await bo.save(made("/ml/prod/train", rate=9))
        await bo.sync()
        refused = await bo.rejected()
        assert [each.reason for each in refused] == [
            "/ml/prod is a lane: versions are promoted into it"
        ]
        asked = await bo.promote("/ml/dev/train")
        with pytest.raises(Refused, match="somebody else"):
            await bo.approve(asked.promotion_id)
        assert (await cy.approve(asked.promotion_id[:6])).state == "waiting"
        assert (await cy.approve(asked.promotion_id)).approved_by == ("cy",), "twice is once"
        await saved(bo, "/ml/dev/train", rate=2)
        assert (await ana.approve(asked.promotion_id)).state == "done"
        await cy.sync()
        assert (await cy.load("/ml/prod/train")).config["rate"] == 1, "what was asked for"
        with pytest.raises(NotFound, match="promotion that waits"):
            await ana.approve(asked.promotion_id)
        second = await bo.promote("/ml/dev/train")
        assert (await ana.withdraw(second.promotion_id)).state == "withdrawn"
        with pytest.raises(BadInput, match="no lane comes after"):
            await bo.promote("/bo/x")
        with pytest.raises(Refused):
            await bo.lay_lane("/ana/prod", "/ana/dev")
        with pytest.raises(BadInput, match="one is in the other"):
            await ana.lay_lane("/ml/dev/x", "/ml/dev")
        with pytest.raises(BadInput, match="after itself"):
            await ana.lay_lane("/ml/dev", "/ml/prod")


# ---------------------------------------------------------------- defaults


async def test_defaults_come_down_the_tree_and_are_a_layer_of_the_settings(
    served: Served, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with log_in("ana") as ana:
        await ana.make_group("ml")
        await ana.set_default("/ml", "system", "gpubox")
        await ana.set_default("/ml", "region", "eu-1")
        await ana.set_default("/ml/vision", "autostop", "30")
        await ana.set_default("/ml/vision", "region", "us-2")
        await ana.sync()
        told = {d.key: (d.value, d.folder) for d in await ana.folder_defaults("/ml/vision/deep")}
        assert told == {
            "autostop": (30, "/ml/vision"), "region": ("us-2", "/ml/vision"),
            "system": ("gpubox", "/ml"),
        }  # fmt: skip
        for key, value in (("autostp", "3"), ("autostop", "soon"), ("budget", "-1")):
            with pytest.raises(BadInput):
                await ana.set_default("/ml", key, value)
        monkeypatch.setenv("RHDESK_DATA_DIR", str(ana.settings.data_dir))
        assert Settings.load().cluster == "here", "the control: no project said its group"
        monkeypatch.setenv("RHDESK_GROUP", "/ml/vision")
        settings = Settings.load()
        assert (settings.cluster, settings.autostop_mins) == ("gpubox", 30)
        said = (await ana.explain_settings("cluster"))[0].said
        assert [(each.layer, each.where, each.value) for each in said] == [
            ("default", "rhdesk", "here"), ("group", "/ml", "gpubox"),
        ]  # fmt: skip
        monkeypatch.setenv("RHDESK_CLUSTER", "mine")
        assert Settings.load().cluster == "mine"
        await ana.set_default("/ml/vision", "autostop", None)
        await ana.sync()
        assert Settings.load().autostop_mins == -1
        await ana.logout()
        monkeypatch.delenv("RHDESK_CLUSTER")
        assert Settings.load().cluster == "here"


# ---------------------------------------------------------------- without a network


async def test_why_is_answered_without_a_store_within_a_tenth_of_a_second(
    served: Served, log_in: LogIn
) -> None:
    async with log_in("ana") as ana:
        await ana.make_group("ml")
        await saved(ana, "/ml/data")
        assert (await ana.access_why("ana", "admin", "/ml/data")).allowed
        served.stop()
        slowest = 0.0
        for action in ("read", "call", "write", "admin") * 8:
            began = time.perf_counter()
            told = await ana.access_why("ana", action, "/ml/data", offline=True)
            slowest = max(slowest, time.perf_counter() - began)
            assert told.allowed
            assert told.ways[0].folder == "/ml"
            assert told.as_of is not None
        assert slowest < 0.1
        assert (await ana.access_why("ana", "read", "/ml/data")).allowed, "asked, then from here"


async def test_the_store_and_the_desk_give_the_same_answer(served: Served, log_in: LogIn) -> None:
    async with log_in("ana") as ana, log_in("bo") as bo:
        await ana.make_group("ml", ["bo"], level="call")
        await saved(ana, "/ml/data")
        token = served.user("bo", scope="read")
        for action in ("read", "call", "write", "admin"):
            path = f"/v1/access?principal=bo&action={action}&name=/ml/data"
            there = served.ask("GET", path, token=token).json
            here = await bo.access_why("bo", action, "/ml/data")
            assert (there["allowed"], there["has"]) == (here.allowed, here.has)
            assert [way["through"] for way in there["ways"]] == [
                list(w.through) for w in here.ways
            ]
            assert there["allowed"] is (action in {"read", "call"})


def test_the_keeper_may_what_nobody_could(database: SqlDatabase) -> None:
    accounts, groups = Accounts(database), Groups(database)
    accounts.add_user("ana")
    with pytest.raises(Refused):
        groups.grant("ana", "ana", "/", Level.ADMIN)
    groups.grant(KEEPER, "ana", "/", Level.ADMIN)
    groups.grant("ana", "ana", "/anywhere", Level.WRITE)
    with pytest.raises(BadInput):
        accounts.add_user(KEEPER)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/grants", {"principal": "ana", "folder": "/ana", "level": "read",
                                "until": "9999-12-31T23:59:59-12:00"}),
        ("PUT", "/v1/secrets", {"name": "/ana/x", "envelope": {"a": "x" * (5 << 20)}}),
        ("PUT", "/v1/secrets", {"name": "/x", "envelope": {}}),
        ("POST", "/v1/groups", {"name": "a\x1b[2J"}),
        ("POST", "/v1/folders/move", {"old": "/ana", "new": "/bo"}),
        ("POST", "/v1/tokens", {"scope": "read", "days": -1}),
        ("PUT", "/v1/lanes", {"folder": "/ana/a", "after": "/ana/b", "approvals": 4711}),
    ],
)  # fmt: skip
def test_what_no_store_takes_is_refused_in_words(
    served: Served, method: str, path: str, body: dict[str, object]
) -> None:
    token = served.user("ana", scope="admin")
    told = served.ask(method, path, token=token, body=body)
    assert told.status in (400, 403, 413, 422), told.body
    assert told.json["message"]
    deep = b'{"name": "x", "envelope": ' + b'{"a":' * 700 + b"1" + b"}" * 701
    assert served.ask("PUT", "/v1/secrets", token=token, data=deep).status == 400


# ---------------------------------------------------------------- the team's secrets


async def test_two_desks_keep_their_secrets_in_the_store(served: Served, log_in: LogIn) -> None:
    said = SecretText("correct horse")
    async with log_in("ana") as ana, log_in("bo") as bo:
        await ana.make_group("ml", ["bo"], level="call")
        told = await ana.use_store_keeper("/ml/secrets", said)
        assert (told.name, told.where) == ("store", "/ml/secrets")
        await ana.put_secret("openai", {"api_key": SecretText("sk-1")}, provider="openai")
        with pytest.raises(Refused):
            await bo.use_store_keeper("/ml/secrets", SecretText("wrong horse"))
        assert (await bo.secret_keeper()).name == "sealed", "nothing has changed"
        await bo.use_store_keeper("/ml/secrets", said)
        assert [each.name for each in await bo.secrets()] == ["openai"]
        assert (await bo.read_secret("openai"))["api_key"].reveal() == "sk-1"
        with pytest.raises(Refused, match="may not write in /ml/secrets"):
            await bo.put_secret("openai", {"api_key": SecretText("sk-2")})
        await ana.change_group("ml", take=["bo"])
        with pytest.raises(Refused, match="may not call"):
            await bo.read_secret("openai")
        assert await bo.secrets() == []
        await ana.use_sealed()
        assert await ana.secrets() == []
