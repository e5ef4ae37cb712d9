"""One contract for every keeper of secrets; and a Vault that fails in every way it can."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from rhdesk.errors import (
    AlreadyExists,
    BadInput,
    ConnectionFailed,
    NotFound,
    Refused,
    RhdeskError,
)
from rhdesk.models import SecretText, Values
from rhdesk.secrets.cached import CachedKeeper
from rhdesk.secrets.choice import Choice, VaultPlace
from rhdesk.secrets.contract import verify
from rhdesk.secrets.keeper import SecretKeeper
from rhdesk.secrets.keys import Keys
from rhdesk.secrets.sealed import SealedKeeper
from rhdesk.secrets.team import TeamKeeper
from rhdesk.secrets.vault import VaultKeeper
from rhdesk.sync.account import Token
from rhdesk.sync.remote import Remote
from tests.integration.server.conftest import Served
from tests.testbed.vault import FAULTS, Vault, vault

T = TypeVar("T")
CANARY = "canary-4711-open-sesame"


@pytest.fixture
def double() -> Iterator[Vault]:
    with vault() as serving:
        yield serving


@pytest.fixture(scope="module")
def team_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A store's address, and a token for it."""
    folder = tmp_path_factory.mktemp("team")
    served = Served(str(folder / "store"), folder)
    token = served.user("ada", scope="admin")
    served.start()
    yield served.url, token
    served.stop()


def in_store(url: str, token: str, folder: str, here: Path, passphrase: str = "") -> TeamKeeper:
    def line(
        method: str, path: str, kind: type[T], *, body: msgspec.Struct | None = None,
        **given: str | int,
    ) -> T:  # fmt: skip
        async def ask() -> T:
            async with aclosing(Remote(url, Token(token), timeout_s=10)) as remote:
                return await remote.team(method, path, kind, body=body, **given)

        return asyncio.run(ask())

    return TeamKeeper(line, folder, here, SecretText(passphrase or CANARY))


@pytest.fixture(params=["sealed", "vault", "cached vault", "store"])
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SecretKeeper]:
    if request.param == "sealed":
        folder = tmp_path / "secrets"
        yield SealedKeeper(folder, Keys(folder, tmp_path / "key", lambda _: None))
        return
    if request.param == "store":
        url, token = request.getfixturevalue("team_store")
        yield in_store(url, token, f"/ada/{uuid.uuid4().hex}", tmp_path / "team")
        return
    with vault() as serving:
        keeper = of(serving)
        yield keeper if request.param == "vault" else CachedKeeper(keeper, here(tmp_path), hours=1)


def here(folder: Path) -> SealedKeeper:
    return SealedKeeper(folder / "cache", Keys(folder, folder / "key", lambda _: None))


def of(serving: Vault, token: str = "", **place: Any) -> VaultKeeper:
    return VaultKeeper(
        VaultPlace(address=serving.address, **place),
        SecretText(token or serving.root.text),
        timeout_s=1.0,
    )


def values(**fields: str) -> Values:
    return {field: SecretText(text) for field, text in fields.items()}


def revealed(found: Values) -> dict[str, str]:
    return {field: text.reveal() for field, text in found.items()}


# ---------------------------------------------------------------- the contract


def test_what_is_put_is_read(keeper: SecretKeeper) -> None:
    seen = keeper.put("team/aws", values(access_key="A", secret_key=CANARY), provider="aws")
    assert (seen.name, seen.version, seen.provider) == ("team/aws", 1, "aws")
    assert set(seen.fields) == {"access_key", "secret_key"}
    assert revealed(keeper.read("team/aws")) == {"access_key": "A", "secret_key": CANARY}
    assert keeper.examine() == []


def test_a_put_is_a_version_and_old_ones_stay(keeper: SecretKeeper) -> None:
    for number in (1, 2, 3):
        assert keeper.put("x", values(v=str(number))).version == number
    assert [revealed(keeper.read("x", version=n))["v"] for n in (0, 1, 2, 3)] == list("3123")
    assert [seen.version for seen in keeper.history("x")] == [3, 2, 1]
    assert [seen.saved_at for seen in keeper.history("x")] == sorted(
        (seen.saved_at for seen in keeper.history("x")), reverse=True
    )


def test_of_two_who_put_at_once_one_is_told(keeper: SecretKeeper) -> None:
    keeper.put("x", values(v="1"), expect=0)
    keeper.put("x", values(v="2"), expect=1)
    for late in (0, 1, 7):
        with pytest.raises(AlreadyExists):
            keeper.put("x", values(v="late"), expect=late)
    assert revealed(keeper.read("x")) == {"v": "2"}


def test_all_lists_names_at_any_depth_and_no_value(keeper: SecretKeeper) -> None:
    assert keeper.all() == []
    for name in ("b", "team/a", "team/deep/er/c", "a"):
        keeper.put(name, values(token=CANARY))
    found = keeper.all()
    assert [seen.name for seen in found] == ["a", "b", "team/a", "team/deep/er/c"]
    assert CANARY not in repr(found)


def test_what_is_not_there_is_told_with_the_nearest(keeper: SecretKeeper) -> None:
    keeper.put("openai", values(token="t"))
    for ask in (keeper.read, keeper.history, keeper.delete):
        with pytest.raises(NotFound) as caught:
            ask("openay")
        if ask != keeper.read:
            assert caught.value.near == ("openai",)
    with pytest.raises(NotFound):
        keeper.read("openai", version=9)
    with pytest.raises(NotFound):
        keeper.rename("openay", "x")


def test_delete_takes_every_version(keeper: SecretKeeper) -> None:
    keeper.put("x", values(v="1"))
    keeper.put("x", values(v="2"))
    keeper.delete("x")
    for version in (0, 1, 2):
        with pytest.raises(NotFound):
            keeper.read("x", version=version)
    assert keeper.put("x", values(v="again"), expect=0).fields == ("v",)


def test_rename_takes_every_version_along_and_overwrites_nobody(keeper: SecretKeeper) -> None:
    keeper.put("x", values(v="1"), provider="aws")
    keeper.put("x", values(v="2"), provider="aws")
    keeper.put("taken", values(v="t"))
    with pytest.raises(AlreadyExists):
        keeper.rename("x", "taken")
    renamed = keeper.rename("x", "team/y")
    assert (renamed.version, renamed.provider) == (2, "aws")
    assert [revealed(keeper.read("team/y", version=n))["v"] for n in (1, 2)] == ["1", "2"]
    assert revealed(keeper.read("taken")) == {"v": "t"}
    with pytest.raises(NotFound):
        keeper.read("x")


@pytest.mark.parametrize("name", ["", "..", "a/../../b", "/abs", "a//b", "a\nb", ".hidden", "x "])
def test_what_is_no_name_is_refused_before_anything_is_asked(
    keeper: SecretKeeper, name: str
) -> None:
    with pytest.raises(BadInput):
        keeper.put(name, values(v="1"))
    assert keeper.all() == []


def test_values_are_any_text(keeper: SecretKeeper) -> None:
    text = "line one\nline two\n-----END-----\n\x1b[31mred\x1b[0m ünïcödé 🔑 \"'\\"
    keeper.put("x", values(v=text, empty="", long="x" * 100_000))
    assert revealed(keeper.read("x")) == {"v": text, "empty": "", "long": "x" * 100_000}


# ---------------------------------------------------------------- the team's store's own ways


def test_a_colleague_with_the_passphrase_reads_what_the_store_cannot(
    team_store: tuple[str, str], tmp_path: Path
) -> None:
    url, token = team_store
    folder = f"/ada/{uuid.uuid4().hex}"
    mine = in_store(url, token, folder, tmp_path / "mine")
    mine.put("openai", values(api_key="canary-in-the-team-store"))
    theirs = in_store(url, token, folder, tmp_path / "theirs")
    assert revealed(theirs.read("openai")) == {"api_key": "canary-in-the-team-store"}
    theirs.put("openai", values(api_key="second"), expect=1)
    assert revealed(mine.read("openai")) == {"api_key": "second"}
    wrong = in_store(url, token, folder, tmp_path / "wrong", "another passphrase")
    with pytest.raises(Refused):
        wrong.read("openai")
    for file in (tmp_path / "mine", tmp_path / "theirs"):
        for each in file.rglob("*"):
            assert not each.is_file() or b"canary-in" not in each.read_bytes()


def test_no_value_is_in_the_database_and_every_read_is_in_its_audit(tmp_path: Path) -> None:
    served = Served(str(tmp_path / "store"), tmp_path)
    token = served.user("ada", scope="admin")
    served.start()
    keeper = in_store(served.url, token, "/ada/secrets", tmp_path / "here")
    keeper.put("openai", values(api_key="canary-in-the-team-store"))
    keeper.read("openai")
    served.stop()
    data = (tmp_path / "store" / "store.db").read_bytes()
    assert b"openai" in data, "the control: the name is there"
    assert b"canary-in-the-team-store" not in data
    with served.accounts() as accounts, accounts.database.reading() as t:
        told = [(row.who, row.action, row.about) for row in t.audit_rows()]
    assert ("ada", "secret.put", "/ada/secrets/openai") in told
    assert ("ada", "secret.read", "/ada/secrets/openai") in told


def test_who_may_not_call_there_is_told_no_envelope(
    team_store: tuple[str, str], tmp_path: Path
) -> None:
    url, token = team_store
    keeper = in_store(url, token, "/somebody/else", tmp_path / "here")
    with pytest.raises(Refused, match="may not call in /somebody/else"):
        keeper.read("x")


# ---------------------------------------------------------------- a Vault's own ways


@pytest.mark.parametrize("fault", FAULTS)
def test_a_vault_that_fails_is_a_clear_error_and_no_lost_secret(double: Vault, fault: str) -> None:
    keeper = of(double)
    keeper.put("x", values(token=CANARY))
    before = {name: dict(entry) for name, entry in double.entries.items()}
    double.fault = fault
    for ask in (
        lambda: keeper.read("x"),
        lambda: keeper.all(),
        lambda: keeper.put("x", values(token="new")),
        lambda: keeper.rename("x", "y"),
        lambda: keeper.delete("x"),
    ):
        with pytest.raises((ConnectionFailed, Refused, RhdeskError)) as caught:
            ask()
        said = str(caught.value)
        assert CANARY not in said
        assert double.root.text not in said
        assert "Vault at http://127.0.0.1" in said
    double.fault = ""
    assert revealed(of(double).read("x"))["token"] in {CANARY, "new"}
    assert revealed(of(double).read("x", version=1)) == {"token": CANARY}
    assert before.keys() == double.entries.keys()


def test_without_a_fault_the_same_asks_are_answered(double: Vault) -> None:
    """The control of the one above."""
    keeper = of(double)
    keeper.put("x", values(token=CANARY))
    keeper.read("x")
    keeper.put("x", values(token="new"))
    keeper.rename("x", "y")
    keeper.delete("y")
    assert double.entries == {}


def test_a_wrong_token_is_refused(double: Vault) -> None:
    with pytest.raises(Refused, match="does not allow"):
        of(double, "hvs.wrong").all()


def test_a_token_that_is_about_to_end_is_renewed(double: Vault) -> None:
    token = double.token(30)
    keeper = of(double, token.text)
    keeper.put("x", values(v="1"))
    assert "POST auth/token/renew-self" in double.asked
    token.ends_at = 0.0
    with pytest.raises(Refused):
        of(double, token.text).read("x")


def test_an_approle_logs_in_and_again_when_its_token_ended(double: Vault) -> None:
    double.roles["role"] = "secret-id"
    keeper = of(double, "secret-id", role_id="role")
    keeper.put("x", values(v="1"))
    for token in list(double.tokens.values())[1:]:
        token.ttl_s, token.ends_at = 1.0, 1.0
    with pytest.raises(Refused):
        keeper.read("x")
    assert revealed(keeper.read("x")) == {"v": "1"}
    with pytest.raises(BadInput, match="invalid role"):
        of(double, "wrong", role_id="role").all()


def test_a_token_is_not_carried_in_the_clear() -> None:
    with pytest.raises(BadInput, match="in the clear"):
        VaultKeeper(
            VaultPlace(address="http://vault.example.org:8200"), SecretText("t"), timeout_s=1
        )


def test_nobody_there_is_told(double: Vault) -> None:
    place = VaultPlace(address="http://127.0.0.1:1")
    with pytest.raises(ConnectionFailed, match="cannot be reached"):
        VaultKeeper(place, SecretText("t"), timeout_s=1).all()


# ---------------------------------------------------------------- a Vault that is away


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 10, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def test_what_was_read_is_usable_while_the_vault_is_away_and_then_locked(
    double: Vault, tmp_path: Path
) -> None:
    clock = Clock()
    keeper = CachedKeeper(of(double), here(tmp_path), hours=24, now=clock)
    keeper.put("x", values(token=CANARY), provider="aws")
    keeper.put("unread", values(token="u"))
    assert revealed(keeper.read("x")) == {"token": CANARY}
    double.fault = "sealed"
    clock.now += timedelta(hours=23)
    assert revealed(keeper.read("x")) == {"token": CANARY}
    assert [(seen.name, seen.provider) for seen in keeper.all()] == [("unread", ""), ("x", "aws")]
    with pytest.raises(ConnectionFailed, match="is sealed"):
        keeper.put("x", values(token="new"))
    with pytest.raises(ConnectionFailed):
        keeper.read("x", version=7)
    clock.now += timedelta(hours=2)
    with pytest.raises(ConnectionFailed, match="25 h ago"):
        keeper.read("x")
    clock.now -= timedelta(days=9)
    with pytest.raises(ConnectionFailed, match="may be used"):
        keeper.read("x")
    clock.now += timedelta(days=9)
    double.fault = ""
    assert revealed(keeper.read("x")) == {"token": CANARY}
    double.fault = "cut before"
    assert revealed(keeper.read("x")) == {"token": CANARY}


def test_a_copy_goes_with_the_right_to_it(double: Vault, tmp_path: Path) -> None:
    keeper = CachedKeeper(of(double), here(tmp_path), hours=24)
    keeper.put("x", values(token=CANARY))
    double.fault = "forbidden"
    with pytest.raises(Refused):
        keeper.read("x")
    double.fault = "sealed"
    with pytest.raises(ConnectionFailed):
        keeper.read("x")


def test_zero_hours_keep_nothing(double: Vault, tmp_path: Path) -> None:
    keeper = CachedKeeper(of(double), here(tmp_path), hours=0)
    keeper.put("x", values(token=CANARY))
    keeper.read("x")
    double.fault = "sealed"
    with pytest.raises(ConnectionFailed):
        keeper.read("x")
    assert not (tmp_path / "cache").exists()


def test_a_desk_is_pointed_at_a_vault_and_back(double: Vault, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "s", tmp_path / "key", lambda _: None)
    choice = Choice(tmp_path / "s", keys, cache_hours=24, timeout_s=1)
    choice.keeper().put("mine", values(v="here"))
    with pytest.raises(Refused):
        choice.use_vault(VaultPlace(address=double.address), SecretText("hvs.wrong"))
    assert choice.keeper().name == "sealed", "nothing has changed"
    choice.use_vault(VaultPlace(address=double.address), SecretText(double.root.text))
    assert choice.keeper().name == "vault"
    choice.keeper().put("theirs", values(v="there"))
    assert [seen.name for seen in choice.keeper().all()] == ["theirs"]
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or double.root.text.encode() not in file.read_bytes()
    choice.use_sealed()
    assert [seen.name for seen in choice.keeper().all()] == ["mine"]
    assert not [f for f in tmp_path.rglob("*.json") if "theirs" in f.name]
    assert "rhdesk/theirs" in double.entries


def test_what_a_keeper_promises_is_verified_and_leaves_nothing(keeper: SecretKeeper) -> None:
    keeper.put("mine", values(v="1"))
    checks = verify(keeper)
    assert all(check.ok for check in checks), checks
    assert len(checks) == 7
    assert [seen.name for seen in keeper.all()] == ["mine"]


def test_a_keeper_that_forgets_versions_is_found_out(tmp_path: Path) -> None:
    class Careless(SealedKeeper):
        def read(self, name: str, *, version: int = 0) -> Values:
            return super().read(name)

    folder = tmp_path / "secrets"
    checks = verify(Careless(folder, Keys(folder, tmp_path / "key", lambda _: None)))
    assert [check.ok for check in checks] == [True, False, True, True, True, False, True]


def test_a_vault_that_fails_is_told_promise_by_promise(double: Vault) -> None:
    double.fault = "sealed"
    checks = verify(of(double))
    assert not any(check.ok for check in checks)
    assert all("is sealed" in check.evidence for check in checks)
