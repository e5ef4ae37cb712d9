"""The replica in SQLite: what is written is there, whole, whoever else writes and whatever breaks."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rhdesk.errors import SetupFailed
from rhdesk.sync.replica import SqliteReplica
from rhdesk.sync.state import Base, Cursor, Listing, Op, Parked, Refused, Transaction
from rhdesk.wire.store import Accepted, Stored

SECONDS = float(os.environ.get("RHDESK_TEST_SECONDS", "4"))
"""How long eight processes write; a release is held to 60."""
AT = datetime(2026, 10, 1, 12, tzinfo=UTC)


def an_op(number: int, rid: str = "r", **fields: object) -> Op:
    made: dict[str, object] = {
        "op_id": f"op-{number}",
        "rid": rid,
        "base_rev": 0,
        "base": None,
        "body": {"name": f"/ada/{rid}", "resource_type": "env", "n": number},
        "saved_at": AT,
    }
    return Op(**{**made, **fields})  # type: ignore[arg-type]  # a test's own defaults


def a_base(rid: str, rev: int = 1, *, body: bool = True) -> Base:
    stored = Stored(
        rid=rid,
        rev=rev,
        seq=rev,
        name=f"/ada/{rid}",
        body={"name": f"/ada/{rid}", "resource_type": "env", "rev": rev} if body else None,
        op_id=f"far-{rid}-{rev}",
        author="bob",
        at=AT,
    )
    return Base(epoch="e", stored=stored)


@pytest.fixture
def replica(tmp_path: Path) -> SqliteReplica:
    return SqliteReplica(tmp_path / "store", user="ada")


def test_everything_written_is_read_again_as_it_was(replica: SqliteReplica) -> None:
    op = an_op(1, base_rev=3, epoch="e", gen=2, base={"name": "/ada/r", "x": 1.0}, run_id="run")
    done = an_op(2, accepted=Accepted("e", 4, 9), base_rev=None, restore=True, note="n\n\x1b")
    parked = Parked(
        conflict_id="c",
        rid="r",
        name="/ada/r",
        why="fields",
        fields=("/a", "/b~1c"),
        base=None,
        ours={"a": [1, {"b": None}]},
        theirs=None,
        author="bob",
        at=AT,
    )
    refused = Refused(op_id="op-9", rid="r", name="/ada/r", reason="no", base={}, body=None, at=AT)
    cursor = Cursor("e", 7, Listing(listing_id="l", epoch="e", seq=7, after="r", kept={"d": 3}))
    replica.write(
        lambda rows: rows.apply(
            Transaction(
                bases=(a_base("r", 3),),
                ops=(op, done),
                conflicts=(parked,),
                refusals=(refused,),
                cursor=cursor,
            )
        )
    )
    other = SqliteReplica(replica.folder)
    assert other.read(lambda rows: (rows.op("op-1"), rows.op("op-2"))) == (op, done)
    assert other.read(lambda rows: rows.base("r")) == a_base("r", 3)
    assert other.read(lambda rows: rows.conflict("c")) == parked
    assert other.read(lambda rows: rows.refused()) == [refused]
    assert other.read(lambda rows: rows.cursor()) == cursor
    assert other.read(lambda rows: list(rows.waiting())) == [op]
    assert other.read(lambda rows: rows.accepted()) == [done]
    assert other.read(lambda rows: rows.counts()) == (1, 1, 1)
    other.close()


def test_of_each_resource_the_first_write_waits_and_a_changed_one_keeps_its_place(
    replica: SqliteReplica,
) -> None:
    ops = (an_op(1, "a"), an_op(2, "b"), an_op(3, "a"), an_op(4, "c"))
    replica.write(lambda rows: rows.apply(Transaction(ops=ops)))
    replica.write(lambda rows: rows.apply(Transaction(ops=(an_op(2, "b", gen=1),))))
    waiting = replica.read(lambda rows: [op.op_id for op in rows.waiting()])
    assert waiting == ["op-1", "op-2", "op-4"]


def test_what_an_accepted_write_made_stays_in_the_history(replica: SqliteReplica) -> None:
    op = an_op(1, "r", accepted=Accepted("e", 1, 1))
    replica.write(lambda rows: rows.apply(Transaction(ops=(op,))))
    replica.write(
        lambda rows: rows.apply(Transaction(bases=(a_base("r", 2),), dropped_ops=("op-1",)))
    )
    versions = replica.read(lambda rows: rows.versions_of("r"))
    assert [(v.stored.rev, v.stored.author) for v in versions] == [(2, "bob"), (1, "ada")]


def test_what_may_no_longer_be_read_is_gone_with_its_versions(replica: SqliteReplica) -> None:
    replica.write(lambda rows: rows.apply(Transaction(bases=(a_base("r", 1), a_base("s", 1)))))
    replica.write(lambda rows: rows.apply(Transaction(dropped_bases=("r",))))
    assert replica.read(lambda rows: rows.versions_of("r")) == []
    mirror = (replica.folder / "mirror.db").read_bytes()
    assert b"/ada/s" in mirror


def test_a_change_that_fails_changes_nothing(replica: SqliteReplica) -> None:
    def half(rows: object) -> None:
        rows.apply(Transaction(ops=(an_op(1),), bases=(a_base("r"),)))  # type: ignore[attr-defined]
        raise KeyError("stop")

    with pytest.raises(KeyError):
        replica.write(half)
    assert replica.read(lambda rows: (rows.op("op-1"), rows.base("r"))) == (None, None)


def test_only_its_owner_can_read_it(replica: SqliteReplica) -> None:
    replica.write(lambda rows: rows.apply(Transaction(ops=(an_op(1),))))
    for name in ("outbox.db", "mirror.db"):
        assert stat.S_IMODE((replica.folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(replica.folder.stat().st_mode) == 0o700


# ---- damage


def flip(file: Path, needle: bytes) -> None:
    data = bytearray(file.read_bytes())
    at = data.index(needle)
    data[at] ^= 1
    file.write_bytes(data)


def test_a_flipped_bit_in_the_mirror_is_noticed_and_the_mirror_made_anew(
    replica: SqliteReplica,
) -> None:
    replica.write(
        lambda rows: rows.apply(
            Transaction(bases=(a_base("r"),), ops=(an_op(1),), cursor=Cursor("e", 5))
        )
    )
    replica.close()
    flip(replica.folder / "mirror.db", b'"resource_type":"env","rev":1')
    again = SqliteReplica(replica.folder)
    assert again.read(lambda rows: rows.base("r")) is None
    assert again.read(lambda rows: rows.cursor()) == Cursor()
    assert again.read(lambda rows: rows.op("op-1")) == an_op(1)
    assert len(list(again.folder.glob("mirror.damaged-*.db"))) == 1
    again.close()


def test_sqlite_itself_does_not_notice_that_bit(replica: SqliteReplica) -> None:
    """The negative control: without the hash of each row, damage would be told as truth."""
    replica.write(lambda rows: rows.apply(Transaction(bases=(a_base("r"),))))
    replica.close()
    flip(replica.folder / "mirror.db", b'"resource_type":"env","rev":1')
    db = sqlite3.connect(replica.folder / "mirror.db")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert db.execute("SELECT body FROM base").fetchone()[0] != (
        '{"name":"/ada/r","resource_type":"env","rev":1}'
    )
    db.close()


@pytest.mark.parametrize("how", ["torn", "empty", "not sqlite", "newer"])
def test_a_mirror_that_cannot_be_read_is_made_anew(replica: SqliteReplica, how: str) -> None:
    replica.write(
        lambda rows: rows.apply(
            Transaction(bases=tuple(a_base(f"r{n}") for n in range(200)), ops=(an_op(1),))
        )
    )
    replica.close()
    mirror = replica.folder / "mirror.db"
    if how == "torn":
        os.truncate(mirror, mirror.stat().st_size // 2)
    elif how == "empty":
        mirror.write_bytes(b"")
    elif how == "not sqlite":
        mirror.write_bytes(os.urandom(20_000))
    else:
        db = sqlite3.connect(mirror)
        db.execute("PRAGMA user_version = 99")
        db.close()
    again = SqliteReplica(replica.folder)
    again.check()
    assert again.read(lambda rows: list(rows.bases_in("/"))) == []
    assert again.read(lambda rows: rows.op("op-1")) == an_op(1)
    again.write(lambda rows: rows.apply(Transaction(bases=(a_base("new"),))))
    assert again.read(lambda rows: rows.base("new")) == a_base("new")
    again.close()


def test_another_process_follows_to_the_new_mirror(replica: SqliteReplica) -> None:
    replica.write(lambda rows: rows.apply(Transaction(bases=(a_base("r"),))))
    other = SqliteReplica(replica.folder)
    assert other.read(lambda rows: rows.base("r")) is not None
    replica.forget_mirror()
    replica.write(lambda rows: rows.apply(Transaction(bases=(a_base("s"),))))
    assert other.read(lambda rows: (rows.base("r"), rows.base("s"))) == (None, a_base("s"))
    other.close()


def test_a_damaged_row_of_the_outbox_is_put_aside_and_told(replica: SqliteReplica) -> None:
    ops = (an_op(1, "a"), an_op(2, "a", base_rev=None), an_op(3, "b"))
    replica.write(lambda rows: rows.apply(Transaction(ops=ops)))
    replica.close()
    flip(replica.folder / "outbox.db", b'"n":1')
    again = SqliteReplica(replica.folder)
    waiting = again.read(lambda rows: [(op.op_id, op.base_rev) for op in rows.waiting()])
    assert waiting == [("op-2", 0), ("op-3", 0)]  # what followed the lost one asks anew
    told = {each.op_id: each for each in again.read(lambda rows: rows.refused())}
    assert told["damaged-op-1"].name == "/ada/a"
    assert told["damaged-op-1"].body is not None
    assert any(each.startswith("mended-") for each in told)
    again.close()


@pytest.mark.parametrize("page", range(1, 25))
def test_rows_on_whole_pages_survive_a_page_of_noise(replica: SqliteReplica, page: int) -> None:
    body = {"name": "/ada/r", "resource_type": "env", "text": "x" * 900}
    ops = tuple(an_op(n, f"r{n}", body=body) for n in range(40))
    replica.write(lambda rows: rows.apply(Transaction(ops=ops)))
    replica.close()
    outbox = replica.folder / "outbox.db"
    data = bytearray(outbox.read_bytes())
    data[4096 * (page - 1) : 4096 * page] = os.urandom(4096)
    outbox.write_bytes(data)
    again = SqliteReplica(replica.folder)
    again.check()
    kept = again.read(lambda rows: rows.ops())
    assert all(op == an_op(int(op.op_id[3:]), op.rid, body=body) for op in kept)
    assert len(kept) >= 30, "a page holds four of these rows"
    told = again.read(lambda rows: {each.name for each in rows.refused()})
    assert "(the outbox)" in told
    again.close()


def test_rows_larger_than_a_page_are_salvaged_too(replica: SqliteReplica) -> None:
    body = {"name": "/ada/r", "resource_type": "env", "text": "\u00e4\u20ac\U0001f600" * 3000}
    ops = tuple(an_op(n, f"r{n}", body=body, base_rev=n, epoch="e") for n in range(5))
    replica.write(lambda rows: rows.apply(Transaction(ops=ops)))
    replica.close()
    outbox = replica.folder / "outbox.db"
    outbox.write_bytes(os.urandom(100) + outbox.read_bytes()[100:])
    again = SqliteReplica(replica.folder)
    assert tuple(again.read(lambda rows: rows.ops())) == ops
    again.close()


def test_what_was_dropped_does_not_come_back_when_the_outbox_is_mended(
    replica: SqliteReplica,
) -> None:
    ops = tuple(an_op(n, f"r{n}", note="x" * 900) for n in range(60))
    replica.write(lambda rows: rows.apply(Transaction(ops=ops)))
    gone = tuple(op.op_id for op in ops[:55])
    replica.write(lambda rows: rows.apply(Transaction(dropped_ops=gone)))
    replica.close()
    outbox = replica.folder / "outbox.db"
    outbox.write_bytes(os.urandom(100) + outbox.read_bytes()[100:])
    again = SqliteReplica(replica.folder)
    assert tuple(again.read(lambda rows: rows.ops())) == ops[55:]
    again.close()


def test_a_newer_outbox_is_refused_and_left_alone(replica: SqliteReplica) -> None:
    replica.write(lambda rows: rows.apply(Transaction(ops=(an_op(1),))))
    replica.close()
    outbox = replica.folder / "outbox.db"
    db = sqlite3.connect(outbox)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = outbox.read_bytes()
    with pytest.raises(SetupFailed, match="newer rhdesk"):
        SqliteReplica(replica.folder).read(lambda rows: rows.ops())
    assert outbox.read_bytes() == before


# ---- many at once


def _write_for(folder: Path, name: str, seconds: float, out: object) -> None:
    replica = SqliteReplica(folder)
    until = time.monotonic() + seconds
    count, longest, error = 0, 0.0, ""
    try:
        while time.monotonic() < until:
            began = time.monotonic()
            op = an_op(count, f"{name}", op_id=f"{name}-{count}")
            replica.write(lambda rows, op=op: rows.apply(Transaction(ops=(op,))))  # type: ignore[misc]
            replica.read(lambda rows: rows.counts())
            longest = max(longest, time.monotonic() - began)
            count += 1
    except Exception as exc:  # noqa: BLE001 - told to the parent
        error = repr(exc)
    out.put((name, count, longest, error))  # type: ignore[attr-defined]


def test_eight_processes_write_at_once_and_none_is_turned_away(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    writers = [
        context.Process(target=_write_for, args=(tmp_path / "store", f"w{n}", SECONDS, out))
        for n in range(8)
    ]
    for writer in writers:
        writer.start()
    told = [out.get(timeout=SECONDS + 60) for _ in writers]
    for writer in writers:
        writer.join(30)
    print(told)
    assert [error for *_, error in told if error] == []
    assert min(count for _, count, *_ in told) > 0
    replica = SqliteReplica(tmp_path / "store")
    assert replica.read(lambda rows: len(rows.ops())) == sum(count for _, count, *_ in told)
    replica.close()
