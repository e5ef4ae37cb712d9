"""Names of a store as one machine knows them, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rhdesk.errors import AlreadyExists, BadInput, NotFound
from rhdesk.models import Name, Record
from rhdesk.sync.names import ReplicaNames
from rhdesk.sync.replica import SqliteReplica
from rhdesk.sync.state import Base, Parked, Refused, Transaction
from rhdesk.wire.store import Stored

P = Name.parse
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at

    def passes(self, **time: float) -> None:
        self.at += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def names(tmp_path: Path, clock: Clock) -> Iterator[ReplicaNames]:
    replica = SqliteReplica(tmp_path, user="ada")
    yield ReplicaNames(replica, folder="/ada", user="ada", now=clock)
    replica.close()


def save(names: ReplicaNames, name: str, *, overwrite: bool = True, **fields: object) -> Record:
    record = Record(name=name, resource_type="env", config=dict(fields))
    return names.save(record, overwrite=overwrite)


def from_the_store(names: ReplicaNames, name: str, rev: int = 1, **fields: object) -> None:
    """What the feed would have brought."""
    stored = Stored(
        rid=f"rid-of-{name}",
        rev=rev,
        seq=rev,
        name=name,
        body={"name": name, "resource_type": "env", **fields},
        op_id=f"{name}-{rev}",
        author="bob\x1b[31m",
        at=NOON + timedelta(days=rev),
    )
    bases = (Base(epoch="e", stored=stored),)
    names.replica.write(lambda rows: rows.apply(Transaction(bases=bases)))


def test_what_is_saved_is_there_under_both_of_its_names(names: ReplicaNames) -> None:
    saved = save(names, "@/train", alpha=1)
    assert (saved.name, saved.sync) == ("/ada/train", "queued")
    assert saved.config["name"] == "/ada/train"
    assert names.load(P("@/train")) == names.load(P("/ada/train")) == saved
    assert names.exists(P("@/train"))
    assert [r.name for r in names.names(folder="@")] == ["/ada/train"]
    assert names.names(folder="/bob") == []
    assert names.names(folder="/", resource_type="function") == []


def test_saving_the_same_again_is_no_version(names: ReplicaNames, clock: Clock) -> None:
    first = save(names, "@/x", alpha=1, beta={"b": 1, "a": 2})
    clock.passes(hours=1)
    assert save(names, "@/x", beta={"a": 2, "b": 1}, alpha=1) == first
    assert len(names.history(P("@/x"))) == 1
    save(names, "@/x", alpha=True)
    assert len(names.history(P("@/x"))) == 2
    with pytest.raises(AlreadyExists, match="say overwrite"):
        save(names, "@/x", overwrite=False, alpha=3)


def test_what_the_store_told_is_seen_below_what_was_saved_here(names: ReplicaNames) -> None:
    from_the_store(names, "/team/x", alpha=1)
    assert names.load(P("/team/x")).sync == "current"
    save(names, "/team/x", alpha=2)
    assert names.load(P("/team/x")).sync == "queued"
    assert names.load(P("/team/x")).config["alpha"] == 2
    versions = names.history(P("/team/x"))
    assert [(v.author, v.sync) for v in versions] == [("ada", "queued"), ("bob", "")]
    assert versions[0].summary == "alpha, resource_subtype"


def test_versions_are_loaded_by_hash_and_by_date(names: ReplicaNames, clock: Clock) -> None:
    for day in range(3):
        save(names, "@/x", alpha=day)
        clock.passes(days=1)
    newest, middle, oldest = names.history(P("@/x"))
    assert names.load(P(f"@/x@{oldest.version[:8]}")).config["alpha"] == 0
    assert names.load(P("@/x@{2026-10-02}")).version == middle.version
    assert names.load(P("@/x@{2027-01-01}")).version == newest.version
    with pytest.raises(NotFound) as caught:
        names.load(P("@/x@{2026-09-30}"))
    assert caught.value.kind == "version"
    with pytest.raises(NotFound, match=newest.version[:8]):
        names.load(P("@/x@ffffffff"))
    assert not names.exists(P("@/x@ffffffff"))
    with pytest.raises(BadInput, match="versions cannot change"):
        save(names, f"@/x@{oldest.version[:8]}", alpha=9)


def test_a_name_that_is_not_there_tells_which_come_close(names: ReplicaNames) -> None:
    from_the_store(names, "/team/train")
    save(names, "@/trian")
    with pytest.raises(NotFound) as caught:
        names.load(P("/team/trian"))
    assert "/team/train" in caught.value.near
    for ask in (names.delete, names.history):
        with pytest.raises(NotFound):
            ask(P("@/nothing"))


def test_renamed_and_deleted_before_anybody_was_told(names: ReplicaNames) -> None:
    save(names, "@/x", alpha=1)
    save(names, "@/other")
    with pytest.raises(AlreadyExists, match="cannot rename"):
        names.rename(P("@/x"), P("@/other"))
    assert names.rename(P("@/x"), P("@/y")).name == "/ada/y"
    assert not names.exists(P("@/x"))
    assert [v.summary for v in names.history(P("@/y"))] == ["renamed from /ada/x", "created"]
    names.delete(P("@/y"))
    assert [r.name for r in names.names(folder="@")] == ["/ada/other"]
    save(names, "@/y", alpha=5)
    assert names.load(P("@/y")).config["alpha"] == 5


@pytest.mark.parametrize(
    ("name", "told"),
    [("/alone", "folder's name"), ("~/x", "not a name of a store"), ("^x", "not a name of")],
)
def test_what_is_no_name_of_a_store_is_refused(names: ReplicaNames, name: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        save(names, name)


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan")])
def test_what_is_not_json_is_refused_or_becomes_json(names: ReplicaNames, value: object) -> None:
    try:
        saved = save(names, "@/x", value=value)
    except BadInput:
        assert not names.exists(P("@/x"))
    else:
        assert names.load(P("@/x")).config == saved.config


def test_the_state_of_a_name_tells_conflicts_and_refusals(names: ReplicaNames) -> None:
    from_the_store(names, "/team/x")
    from_the_store(names, "/team/y")
    parked = Parked(
        conflict_id="c1",
        rid="rid-of-/team/x",
        name="/team/x",
        why="fields",
        ours={"name": "/team/x", "resource_type": "env", "alpha": 2},
        theirs=None,
        at=NOON,
    )
    refused = Refused(
        op_id="o1", rid="rid-of-/team/y", name="/team/y", reason="no\x1b[2J", base=None, body={},
        at=NOON,
    )  # fmt: skip
    names.replica.write(
        lambda rows: rows.apply(Transaction(conflicts=(parked,), refusals=(refused,)))
    )
    assert [(r.name, r.sync) for r in names.names(folder="/")] == [
        ("/team/x", "conflict"),
        ("/team/y", "rejected"),
    ]
    assert names.load(P("/team/x")).sync == "conflict"
    assert "\x1b" not in names.rejected()[0].reason
    names.drop_rejected("o1")
    assert names.load(P("/team/y")).sync == "current"
    with pytest.raises(NotFound):
        names.drop_rejected("o1")
    with pytest.raises(BadInput, match="no side"):
        names.resolve("c1", take="mine")
    with pytest.raises(BadInput, match="no field that differs"):
        names.resolve("c1", fields={"/beta": "ours"})
    taken = names.resolve("c1", fields={"/alpha": "ours"})
    assert taken is not None
    assert taken.config["alpha"] == 2
    assert names.conflicts() == []
    assert names.reopen("c1").name == "/team/x"
    assert len(names.conflicts()) == 1
    with pytest.raises(NotFound):
        names.resolve("nothing", take="ours")
