"""What a person may do, and what is asked for; the rest of the engine is in ``tests/simulation``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

import pytest

from rhdesk.errors import NotFound
from rhdesk.sync.engine import Engine, Reply
from rhdesk.sync.state import NOTHING, AskChanges, AskListing, Cursor, Push, Request
from rhdesk.wire.store import (
    Accepted,
    ChangesPage,
    Denied,
    Gone,
    ListingPage,
    RecordRow,
    Stored,
    Taken,
    WrongEpoch,
)
from tests.simulation.directed import config
from tests.simulation.memory import MemoryReplica

NOW = datetime(2026, 10, 1, tzinfo=UTC)


class Desk:
    """An engine and what it keeps; nothing goes wrong here."""

    def __init__(self) -> None:
        ids = count(1)
        self.replica = MemoryReplica(lambda: None, lambda changes: None)
        self.engine = Engine(self.replica, lambda: NOW, lambda: f"id{next(ids)}")
        (asked,) = self.engine.wants()
        self.hear(asked, ListingPage("e", 0, "", []))

    def hear(self, request: Request, reply: Reply) -> None:
        self.replica.apply(self.engine.heard(request, reply))

    def create(self, name: str = "/org/x") -> str:
        changes = self.engine.create(config(name))
        self.replica.apply(changes)
        return changes.ops[0].rid

    def wants(self, room: int = 8) -> tuple[list[Push], list[AskChanges | AskListing]]:
        wanted = self.engine.wants(room)
        pushes = [request for request in wanted if isinstance(request, Push)]
        return pushes, [request for request in wanted if not isinstance(request, Push)]


def test_what_is_there_already_is_not_written_again() -> None:
    desk = Desk()
    rid = desk.create()
    assert desk.engine.save(rid, config()) == NOTHING
    desk.replica.apply(desk.engine.save(rid, None))
    assert desk.engine.save(rid, None) == NOTHING


@pytest.mark.parametrize(
    "verb",
    [
        lambda engine: engine.save("unknown", config()),
        lambda engine: engine.save("unknown", config(), restore=True),
        lambda engine: engine.resolve("unknown", None),
        lambda engine: engine.reopen("unknown"),
    ],
)
def test_nothing_is_done_to_what_is_not_there(verb: Callable[[Engine], object]) -> None:
    with pytest.raises(NotFound):
        verb(Desk().engine)


def test_what_was_deleted_comes_back_only_if_that_is_said() -> None:
    desk = Desk()
    rid = desk.create()
    desk.replica.apply(desk.engine.save(rid, None))
    with pytest.raises(NotFound):
        desk.engine.save(rid, config(a=1))
    (op,) = desk.engine.save(rid, config(a=1), restore=True).ops
    assert op.restore


def test_a_fresh_desk_lists_before_it_sends() -> None:
    desk = Desk()
    desk.replica.where = Cursor()
    desk.engine.timed_out()
    desk.create()
    assert desk.wants() == ([], [AskListing("")])


def test_one_question_is_asked_at_a_time_and_each_write_sent_once() -> None:
    desk = Desk()
    desk.create()
    pushes, asked = desk.wants()
    assert (len(pushes), asked) == (1, [AskChanges("e", 0)])
    assert desk.wants() == ([], [])


def test_what_got_no_answer_is_sent_again_and_nothing_else() -> None:
    desk = Desk()
    desk.create("/org/x")
    desk.create("/org/y")
    (first, _), (asked,) = desk.wants()
    desk.engine.timed_out(first)
    assert desk.wants() == ([first], [])
    desk.engine.timed_out(asked)
    assert desk.wants() == ([], [asked])


def test_only_so_many_writes_are_under_way() -> None:
    desk = Desk()
    for n in range(5):
        desk.create(f"/org/x{n}")
    pushes, _ = desk.wants(room=2)
    assert len(pushes) == 2
    desk.hear(pushes[0], Accepted("e", 1, 1))
    more, _ = desk.wants(room=2)
    assert len(more) == 1
    assert desk.wants(room=2) == ([], [])


def test_one_write_of_a_resource_is_under_way_and_the_next_goes_with_its_revision() -> None:
    desk = Desk()
    rid = desk.create()
    desk.replica.apply(desk.engine.save(rid, config(a=1)))
    (push,), _ = desk.wants()
    desk.hear(push, Accepted("e", 1, 1))
    (after,), _ = desk.wants()
    assert (after.rid, after.based.epoch, after.based.rev) == (rid, "e", 1)


def test_a_name_the_queue_gives_up_later_is_not_asked_for_again_before() -> None:
    desk = Desk()
    theirs = desk.create("/org/x")
    (push,), (asked,) = desk.wants()
    desk.hear(push, Accepted("e", 1, 1))
    desk.hear(asked, ChangesPage("e", 0, 1, [RecordRow(1, _stored(theirs))]))
    desk.replica.apply(desk.engine.save(theirs, config("/org/y")))
    desk.create("/org/x")
    (move, creation), _ = desk.wants()
    stored = desk.replica.ops[move.op_id]
    assert stored.gives_up("/org/x")
    desk.hear(creation, Taken("e", _stored(theirs)))
    assert desk.wants() == ([], [])
    desk.hear(move, Accepted("e", 2, 2))
    again, _ = desk.wants()
    assert [push.op_id for push in again] == [creation.op_id]


def test_another_epoch_is_listed_before_anything_is_sent_again() -> None:
    desk = Desk()
    desk.create()
    (push,), (asked,) = desk.wants()
    desk.hear(push, WrongEpoch("f"))
    assert desk.wants() == ([], [AskListing("")])
    assert desk.engine.heard(asked, Gone("f")) == NOTHING


def test_a_page_without_news_is_no_transaction() -> None:
    desk = Desk()
    _, (asked,) = desk.wants()
    assert desk.engine.heard(asked, ChangesPage("e", 0, 0, [])) == NOTHING


def test_a_refused_write_takes_what_was_made_on_it_along() -> None:
    desk = Desk()
    rid = desk.create()
    desk.replica.apply(desk.engine.save(rid, config(a=1)))
    (push,), _ = desk.wants()
    desk.hear(push, Denied("no"))
    assert [r.reason for r in desk.replica.refusals.values()] == ["no", "no"]
    assert not desk.replica.ops


def _stored(rid: str) -> Stored:
    """The first revision of ``/org/x``, as the store has it."""
    return Stored(
        rid=rid, rev=1, seq=1, name="/org/x", body=config(), op_id="id", author="ada", at=NOW
    )
