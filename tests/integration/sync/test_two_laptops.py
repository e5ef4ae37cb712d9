"""Two laptops, a week apart, and a store that really serves: nothing is lost, and both agree.

Simulated: the days (a clock that is passed in), and that a laptop is off the network (it does not
sync). Real: the store's process, its database, HTTP, the replicas on disk.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rhdesk.errors import BadInput, NotFound, Refused
from rhdesk.models import Name, StoreState, Version
from rhdesk.three_way import Merged, merge
from tests.integration.server.conftest import Served
from tests.integration.sync.laptop import Laptop, grant

MONDAY = datetime(2026, 10, 5, 8, tzinfo=UTC)
EDITS = int(os.environ.get("RHDESK_TEST_EDITS", "1000"))
"""Of each laptop; 5,000 is what the release is held to."""
DAYS = 7
SHARED = [f"/team/shared/s{n}" for n in range(40)]
FIELDS = ("alpha", "beta", "gpus", "image", "note")


@pytest.fixture
async def pair(served: Served, tmp_path: Path) -> AsyncIterator[tuple[Laptop, Laptop]]:
    laptops = []
    for user in ("ada", "bob"):
        token = served.user(user)
        grant(served, user, "/team")
        laptop = Laptop(tmp_path / user, start=MONDAY)
        await laptop.store.login(served.url, token)
        laptops.append(laptop)
    yield laptops[0], laptops[1]
    for laptop in laptops:
        await laptop.store.aclose()


async def test_a_name_saved_here_is_read_there(pair: tuple[Laptop, Laptop]) -> None:
    ada, bob = pair
    saved = await ada.save("/team/x", alpha=1)
    assert saved.sync == "queued"
    await ada.settle()
    assert (await ada.load("/team/x")).sync == "current"
    await bob.settle()
    there = await bob.load("/team/x")
    assert (there.config, there.version) == (saved.config, saved.version)
    assert [
        v.author for v in await bob.store.call(lambda n: n.history(Name.parse("/team/x")))
    ] == ["ada"]


async def test_two_fields_of_one_name_are_merged_and_one_field_is_a_conflict(
    pair: tuple[Laptop, Laptop],
) -> None:
    ada, bob = pair
    await ada.save("/team/x", alpha=1, beta=1, gpus=1)
    await ada.settle()
    await bob.settle()
    await ada.change("/team/x", alpha=2)
    await bob.change("/team/x", beta=2)
    for laptop in (ada, bob, ada):
        await laptop.settle()
    for laptop in (ada, bob):
        config = (await laptop.load("/team/x")).config
        assert (config["alpha"], config["beta"]) == (2, 2)

    await ada.change("/team/x", gpus=8)
    await bob.change("/team/x", gpus=4)
    await ada.settle()
    state = await bob.settle()
    assert state.conflicts == 1
    (conflict,) = await bob.store.call(lambda names: names.conflicts())
    assert conflict.fields == ("/gpus",)
    assert conflict.ours is not None
    assert conflict.theirs is not None
    assert (conflict.ours["gpus"], conflict.theirs["gpus"], conflict.author) == (4, 8, "ada")
    seen = await bob.load("/team/x")
    assert (seen.config["gpus"], seen.sync) == (8, "conflict")

    await bob.store.call(lambda names: names.resolve(conflict.conflict_id, take="ours"))
    assert (await bob.load("/team/x")).config["gpus"] == 4
    await bob.settle()
    await ada.settle()
    assert (await ada.load("/team/x")).config["gpus"] == 4
    # Undone: asked again, and decided otherwise.
    await bob.store.call(lambda names: names.reopen(conflict.conflict_id))
    assert (await bob.store.state()).conflicts == 1
    await bob.store.call(
        lambda names: names.resolve(conflict.conflict_id, copy_to=Name.parse("/team/y"))
    )
    await bob.settle()
    await ada.settle()
    assert (await ada.load("/team/y")).config["gpus"] == 4


async def test_a_name_both_made_is_one_name(pair: tuple[Laptop, Laptop]) -> None:
    ada, bob = pair
    await ada.save("/team/x", alpha=1, who="ada")
    await bob.save("/team/x", alpha=1, who="bob")
    await ada.settle()
    assert (await bob.settle()).conflicts == 1
    assert [r.name for r in await bob.names()] == ["/team/x"]


async def test_edited_here_and_deleted_there_is_asked(pair: tuple[Laptop, Laptop]) -> None:
    ada, bob = pair
    await ada.save("/team/x", alpha=1)
    await ada.settle()
    await bob.settle()
    await ada.store.call(lambda names: names.delete(Name.parse("/team/x")))
    await bob.change("/team/x", alpha=2)
    await ada.settle()
    assert (await bob.settle()).conflicts == 1
    (conflict,) = await bob.store.call(lambda names: names.conflicts())
    assert conflict.theirs is None
    with pytest.raises(NotFound):
        await bob.load("/team/x")
    await bob.store.call(lambda names: names.resolve(conflict.conflict_id, take="ours"))
    await bob.settle()
    await ada.settle()
    assert (await ada.load("/team/x")).config["alpha"] == 2


async def test_a_write_that_is_not_allowed_is_kept_and_shown(pair: tuple[Laptop, Laptop]) -> None:
    _, bob = pair
    await bob.save("/ada/x", alpha=1)
    state = await bob.settle()
    assert state.rejected == 1
    (refused,) = await bob.store.call(lambda names: names.rejected())
    assert refused.fields is not None
    assert refused.fields["alpha"] == 1
    await bob.store.call(lambda names: names.drop_rejected(refused.op_id[-8:]))
    assert (await bob.store.state()).rejected == 0


async def test_a_renamed_name_keeps_its_versions_there_too(pair: tuple[Laptop, Laptop]) -> None:
    ada, bob = pair
    await ada.save("/team/x", alpha=1)
    await ada.settle()
    await ada.change("/team/x", alpha=2)
    await ada.store.call(lambda names: names.rename(Name.parse("/team/x"), Name.parse("/team/y")))
    await ada.settle()
    await bob.settle()
    name = Name.parse("/team/y")
    assert len(await bob.store.call(lambda names: names.history(name))) == 1
    await bob.store.fill(name)
    found = await bob.store.call(lambda names: names.history(name))
    assert [v.config.get("alpha") for v in found] == [2, 2, 1]
    assert found[0].summary == "renamed from /team/x"
    assert not await bob.store.call(lambda names: names.exists(Name.parse("/team/x")))


async def test_what_was_deleted_can_be_loaded_by_its_version(pair: tuple[Laptop, Laptop]) -> None:
    ada, bob = pair
    first = await ada.save("/team/x", alpha=1)
    await ada.settle()
    await bob.settle()
    await ada.change("/team/x", alpha=2)
    await ada.store.call(lambda names: names.delete(Name.parse("/team/x")))
    await ada.settle()
    await bob.settle()
    versions = await _all_versions(bob, Name.parse("/team/x"))
    assert [(v.deleted, v.config.get("alpha")) for v in versions] == [
        (True, None),
        (False, 2),
        (False, 1),
    ]
    assert (await bob.load(f"/team/x@{first.version[:8]}")).config["alpha"] == 1
    with pytest.raises(NotFound):
        await bob.load("/team/x")


async def test_the_store_goes_away_in_the_middle_and_comes_back(
    served: Served, pair: tuple[Laptop, Laptop]
) -> None:
    ada, bob = pair
    for number in range(EDITS):
        await ada.change(f"/team/n{number % 30}", **{f"f{number}": number})
    cut_off = 0
    for part in (1, 2, 3):
        syncing = asyncio.create_task(ada.store.sync(timeout_s=60))
        await _until_sent(ada, EDITS * part // 4, syncing)
        served.kill()
        state = await syncing
        cut_off += state.status == "offline"
        assert await ada.names()  # reads go on
        served.start()
    assert cut_off > 0
    await ada.settle()
    await bob.settle()
    for number in range(EDITS):
        assert (await bob.load(f"/team/n{number % 30}")).config[f"f{number}"] == number


async def _until_sent(laptop: Laptop, count: int, syncing: asyncio.Task[StoreState]) -> None:
    """Wait until so many of the edits are on the other side."""
    for _ in range(10_000):
        if syncing.done() or (await laptop.store.state()).queued <= EDITS - count:
            return
        await asyncio.sleep(0.01)


async def test_a_token_that_was_revoked_is_told(
    served: Served, pair: tuple[Laptop, Laptop]
) -> None:
    ada, _ = pair
    await ada.save("/team/x", alpha=1)
    with served.accounts() as accounts:
        for each in accounts.tokens("ada"):
            accounts.revoke(each.id)
    state = await ada.store.sync(timeout_s=10)
    assert (state.status, state.queued) == ("refused", 1)
    assert "log in with another" in state.error
    with pytest.raises(Refused):
        await ada.store.login(served.url, "rhd_user_0000000000000000_" + "0" * 64)
    with pytest.raises(BadInput, match="wait"):
        await ada.store.logout()
    await ada.store.login(served.url, served.user("ada"))
    await ada.settle()


# ---- a week apart


class Week:
    """Two laptops write for seven days without a network, and then both sync."""

    def __init__(self, ada: Laptop, bob: Laptop) -> None:
        self.laptops = {"ada": ada, "bob": bob}
        self.conflicts = 0
        self._acknowledged: list[tuple[str, str, str]] = []
        """Of each edit: name, field, and a value that is in no other edit."""

    async def apart(self, edits: int) -> None:
        for name in SHARED:
            await self.laptops["ada"].save(name, **dict.fromkeys(FIELDS, 0))
        for laptop in self.laptops.values():
            await laptop.settle()
        for who, laptop in self.laptops.items():
            draw = random.Random(who)
            own = [f"/team/{who}/o{n}" for n in range(40)]
            for number in range(edits):
                if number % (edits // DAYS) == 0:
                    laptop.pass_time(timedelta(days=1))
                name = draw.choice(SHARED if draw.random() < 0.5 else own)
                field, value = draw.choice(FIELDS), f"{who}-{number}"
                await laptop.change(name, **{field: value})
                self._acknowledged.append((name, field, value))
            assert (await laptop.store.state()).queued == edits

    async def together(self, first: str) -> None:
        order = sorted(self.laptops, key=lambda who: who != first)
        for who in (*order, *order):
            await self.laptops[who].settle()
        ada, bob = [
            {r.name: (r.version, r.config) for r in await laptop.names()}
            for laptop in self.laptops.values()
        ]
        assert ada == bob

    async def lost(self) -> list[tuple[str, str, str]]:
        """Edits that are in no version and no conflict, on neither side."""
        kept: set[tuple[str, str, object]] = set()
        for laptop in self.laptops.values():
            for record in await laptop.names():
                for version in await _all_versions(laptop, Name.parse(record.name)):
                    kept |= {(record.name, k, str(v)) for k, v in version.config.items()}
            found = await laptop.store.call(lambda names: names.conflicts())
            for each in found:
                kept |= {(each.name, k, str(v)) for k, v in (each.ours or {}).items()}
            self.conflicts += len(found)
            state = await laptop.store.state()
            assert (state.conflicts, state.rejected) == (len(found), 0)
        return [edit for edit in self._acknowledged if edit not in kept]


@pytest.mark.slow
@pytest.mark.parametrize("first", ["ada", "bob"])
async def test_a_week_apart_and_nothing_is_lost(
    pair: tuple[Laptop, Laptop], first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    week = Week(*pair)
    await week.apart(EDITS)
    await week.together(first)
    assert await week.lost() == []
    assert week.conflicts > 0
    with capsys.disabled():
        print(f"\n{2 * EDITS} edits acknowledged, 0 lost, {week.conflicts} conflicts listed")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_where_the_last_one_wins_edits_are_lost_and_noticed(
    pair: tuple[Laptop, Laptop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: a merge that finds no two fields at odds."""

    def careless(*sides: Mapping[str, Any]) -> Merged:
        return Merged(merge(*sides).fields, [])

    monkeypatch.setattr("rhdesk.sync.rebase.merge", careless)
    week = Week(*pair)
    await week.apart(140)
    await week.together("ada")
    assert await week.lost()


async def _all_versions(laptop: Laptop, name: Name) -> list[Version]:
    await laptop.store.fill(name)
    return await laptop.store.call(lambda names: names.history(name, limit=0))
