"""Scenarios that chance seldom draws, one for each rare bug that was ever found or feared.

Each takes the parts of a world, plays to the end, and lets the oracle judge; what it expects
beyond that it asserts. With the bug planted it has to fail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rhdesk.access.levels import Level
from rhdesk.sync.state import AskChanges, AskListing, Push, Request
from rhdesk.wire.store import Accepted, Denied, Stale
from tests.simulation.oracle import Body
from tests.simulation.world import ROOT, Desk, Parts, Size, World

X: Final = "/org/x"


class Stage(World):
    """A world in which only happens what a scenario says."""

    def __init__(self, parts: Parts, desks: int = 2) -> None:
        super().__init__(0, Size(desks, 0), parts)
        for name in self.desks:
            self.store.grant(ROOT, name, "/org", Level.WRITE)
        self.sync()

    def sync(self, *names: str) -> None:
        """Let desks, by default all of them, say and hear what there is."""
        for name in names or tuple(self.desks):
            desk = self.desks[name]
            for _ in range(40):
                asked = [(request, self.ask(name, request)) for request in desk.engine.wants()]
                heard = [desk.hear(*each) for each in asked]
                desk.engine.timed_out()
                if not any(heard):
                    break

    def wants(self, name: str) -> list[Request]:
        wanted: list[Request] = self.desks[name].engine.wants()
        return wanted

    def push(self, name: str) -> Push:
        """The first write a desk has to send."""
        return next(r for r in self.wants(name) if isinstance(r, Push))

    def question(self, name: str) -> AskChanges | AskListing:
        """What a desk asks for news."""
        self.desks[name].engine.timed_out()
        return next(r for r in self.wants(name) if not isinstance(r, Push))

    def end(self) -> None:
        self.heal()
        self.settle()
        self.oracle.check([desk.books() for desk in self.desks.values()])


def config(name: str = X, **fields: Any) -> dict[str, Any]:
    return {"name": name, "resource_type": "env", **fields}


def shared(stage: Stage, **fields: Any) -> str:
    """A resource that everybody has."""
    rid = stage.desks["d0"].create(config(**fields))
    stage.sync()
    return rid


def edit(desk: Desk, rid: str, **fields: Any) -> None:
    desk.save(rid, {**(desk.engine.view(rid) or {}), **fields})


def live(desk: Desk) -> list[Body]:
    return [body for body in desk.see().values() if body is not None]


def conflicts(desk: Desk) -> list[tuple[str, tuple[str, ...]]]:
    return [(c.why, c.fields) for c in desk.replica.conflicts.values() if c.resolved_at is None]


# ---- answers that are lost, late, or come twice


def an_answer_that_is_lost(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    desk = stage.desks["d0"]
    edit(desk, rid, a=2)
    push = stage.push("d0")
    first = stage.ask("d0", push)
    desk.boot()
    again = stage.push("d0")
    assert again == push
    desk.hear(again, stage.ask("d0", again))
    assert isinstance(first, Accepted)
    stage.end()
    assert len(stage.database.tables.versions[rid]) == 2


def a_request_that_comes_again_after_a_purge(parts: Parts) -> None:
    stage = Stage(parts)
    desk = stage.desks["d0"]
    rid = desk.create(config(a=1))
    push = stage.push("d0")
    stage.ask("d0", push)
    desk.engine.timed_out()
    stage.sync()
    desk.save(rid, None)
    stage.sync()
    stage.store.forget_before(stage.database.tables.seq)
    assert rid not in stage.database.tables.resources
    stage.ask("d0", push)
    stage.end()
    assert desk.engine.view(rid) is None


def a_write_that_comes_twice_around_a_revocation(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    desk = stage.desks["d1"]
    edit(desk, rid, a=2)
    push = stage.push("d1")
    stage.ask("d1", push)
    stage.store.grant(ROOT, "d1", "/org", Level.NONE)
    page = stage.question("d1")
    desk.hear(page, stage.ask("d1", page))
    assert not desk.replica.bases
    desk.boot()
    again = stage.push("d1")
    desk.hear(again, stage.ask("d1", again))
    stage.end()
    assert not desk.replica.bases


def a_refusal_that_arrives_after_the_base_has_moved(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1, b=1)
    mine, theirs = stage.desks["d0"], stage.desks["d1"]
    edit(mine, rid, a=2)
    edit(theirs, rid, b=2)
    stage.sync("d1")
    push = stage.push("d0")
    stale = stage.ask("d0", push)
    assert isinstance(stale, Stale)
    mine.hear(push, stale)
    op = mine.replica.ops[push.op_id]
    mine.hear(push, stale)
    mine.hear(push, Denied("late"))
    assert mine.replica.ops[push.op_id] == op
    stage.end()
    assert mine.engine.view(rid) == config(a=2, b=2)


def a_write_overwritten_before_its_author_hears_of_it(parts: Parts) -> None:
    """Seed 0 of the small world: the feed passes it pages before it tells what came of it."""
    stage = Stage(parts)
    rid = shared(stage, a=1)
    mine, theirs = stage.desks["d0"], stage.desks["d1"]
    edit(mine, rid, a=2)
    push = stage.push("d0")
    mine.hear(push, stage.ask("d0", push))
    for leaf in "pqr":
        theirs.create(config(f"/org/{leaf}"))
    stage.sync("d1")
    edit(theirs, rid, b=1)
    stage.sync("d1")
    page = stage.question("d0")
    mine.hear(page, stage.ask("d0", page))
    assert mine.engine.view(rid) == config(a=2)
    stage.end()


def a_write_accepted_while_everything_is_listed(parts: Parts) -> None:
    """The page was read before it: it goes on being shown."""
    stage = Stage(parts)
    rid = shared(stage, a=1)
    desk = stage.desks["d1"]
    edit(desk, rid, a=2)
    push = stage.push("d1")
    stage.desks["d0"].create(config("/org/y"))
    stage.sync("d0")
    stage.store.forget_before(stage.database.tables.seq)
    for _ in range(2):
        request = stage.question("d1")
        answer = stage.ask("d1", request)
        if isinstance(request, AskListing):
            desk.hear(push, stage.ask("d1", push))
        desk.hear(request, answer)
    assert desk.replica.where.listing is None
    assert desk.engine.view(rid) == config(a=2)
    stage.end()


# ---- restores from a backup


def a_restore_between_two_pages_of_a_listing(parts: Parts) -> None:
    """Seed 10306 of the model. The last of the pages says nothing about the first one's epoch."""
    stage = Stage(parts)
    rids = sorted(stage.desks["d0"].create(config(f"/org/{leaf}", a=1)) for leaf in "pqrst")
    stage.sync()
    desk = stage.desks["d1"]
    stage.backup = stage.database.tables.copy()
    edit(desk, rids[-1], a=2)
    push = stage.push("d1")
    desk.hear(push, stage.ask("d1", push))
    stage.store.forget_before(stage.database.tables.seq)
    for _ in range(2):  # it is told to list, and gets the first page
        request = stage.question("d1")
        desk.hear(request, stage.ask("d1", request))
    assert desk.replica.where.listing is not None
    stage.restore()
    stage.end()
    assert [(c.ours or {})["a"] for c in desk.replica.conflicts.values()] == [2]


def an_op_whose_base_holds_what_a_restore_lost(parts: Parts) -> None:
    """Seed 1010253 of the model."""
    stage = Stage(parts)
    rid = shared(stage)
    mine, theirs = stage.desks["d0"], stage.desks["d1"]
    edit(mine, rid, a=1)
    first = stage.push("d0")
    mine.hear(first, stage.ask("d0", first))
    stage.backup = stage.database.tables.copy()
    stage.sync("d1")
    edit(theirs, rid, b=1)
    stage.sync("d1")
    edit(mine, rid, c=1)
    second = stage.push("d0")
    mine.hear(second, stage.ask("d0", second))
    assert mine.engine.view(rid) == config(a=1, b=1, c=1)
    stage.restore()
    stage.end()
    assert conflicts(mine) == [("server-rolled-back", ())]


def a_restore_and_others_who_wrote_on(parts: Parts) -> None:
    """A revision the store lost is behind the one it has now, and still lost."""
    stage = Stage(parts)
    rid = shared(stage, a=1)
    stage.backup = stage.database.tables.copy()
    mine, theirs = stage.desks["d0"], stage.desks["d1"]
    edit(mine, rid, a=2)
    stage.sync("d0")
    stage.restore()
    for n in range(3):
        edit(theirs, rid, b=n)
        stage.sync("d1")
    stage.end()
    assert conflicts(mine) == [("server-rolled-back", ())]
    assert [c.ours for c in mine.replica.conflicts.values()] == [config(a=2)]


def an_op_that_waits_across_a_restore(parts: Parts) -> None:
    """It goes on from the very body it was made on, and from no other."""
    stage = Stage(parts)
    same, other = shared(stage, a=1), stage.desks["d0"].create(config("/org/y", a=1))
    stage.sync()
    stage.backup = stage.database.tables.copy()
    desk = stage.desks["d0"]
    edit(desk, same, c=1)
    edit(desk, other, c=1)
    stage.restore()
    edit(stage.desks["d1"], other, b=1)
    stage.sync("d1")
    stage.end()
    assert conflicts(desk) == [("server-rolled-back", ())]
    (conflict,) = desk.replica.conflicts.values()
    assert (conflict.theirs, conflict.author) == (config("/org/y", a=1, b=1), "d1")
    assert desk.engine.view(same) == config(a=1, c=1)
    assert desk.engine.view(other) == config("/org/y", a=1, b=1)


def a_restore_and_others_who_wrote_the_same(parts: Parts) -> None:
    """Nothing is lost that is there again, by whomever."""
    stage = Stage(parts)
    shown, accepted = shared(stage, a=1), stage.desks["d0"].create(config("/org/y", a=1))
    stage.sync()
    stage.backup = stage.database.tables.copy()
    mine, theirs = stage.desks["d0"], stage.desks["d1"]
    edit(mine, shown, a=2)
    stage.sync("d0")
    edit(mine, accepted, a=2)
    push = stage.push("d0")
    mine.hear(push, stage.ask("d0", push))
    stage.restore()
    for rid in (shown, accepted):
        edit(theirs, rid, a=2)
    stage.sync("d1")
    stage.end()
    assert conflicts(mine) == []
    assert not mine.replica.ops


def a_write_that_is_shown_and_not_answered_when_a_restore_loses_it(parts: Parts) -> None:
    """It is in the queue: it goes again, and nobody has to decide."""
    stage = Stage(parts)
    rid = shared(stage, a=1)
    stage.backup = stage.database.tables.copy()
    desk = stage.desks["d0"]
    edit(desk, rid, a=2)
    stage.ask("d0", stage.push("d0"))
    page = stage.question("d0")
    desk.hear(page, stage.ask("d0", page))
    assert [base.body for base in desk.replica.bases.values()] == [config(a=2)]
    stage.restore()
    stage.end()
    assert conflicts(desk) == []
    assert stage.desks["d1"].engine.view(rid) == config(a=2)


def two_queues_of_one_resource_across_a_restore(parts: Parts) -> None:
    """A creation that became a change of theirs waits beside a change; each goes on for itself."""
    stage = Stage(parts)
    rid = shared(stage)
    mine, theirs = stage.desks["d0"], stage.desks["d1"]
    edit(mine, rid, a=1)
    mine.create(config("/org/y", c=1))
    edit(theirs, rid, name="/org/y")
    stage.sync("d1")
    _, creation = (r for r in stage.wants("d0") if isinstance(r, Push))
    mine.hear(creation, stage.ask("d0", creation))
    stage.backup = stage.database.tables.copy()
    stage.restore()
    stage.end()
    assert conflicts(mine) == [("server-rolled-back", ())]
    assert theirs.engine.view(rid) == config("/org/y", c=1)


# ---- names


def two_people_create_one_name(parts: Parts, first: Body, second: Body) -> Stage:
    stage = Stage(parts)
    stage.desks["d0"].create(first)
    stage.desks["d1"].create(second)
    stage.end()
    assert len(stage.database.tables.names) == 1
    return stage


def a_name_made_twice_alike(parts: Parts) -> None:
    stage = two_people_create_one_name(parts, config(a=1), config(a=1))
    assert [conflicts(desk) for desk in stage.desks.values()] == [[], []]
    assert len(stage.oracle.lineage) == 1


def a_name_made_twice_and_merged(parts: Parts) -> None:
    stage = two_people_create_one_name(parts, config(a=1), config(b=1))
    for desk in stage.desks.values():
        assert live(desk) == [config(a=1, b=1)]


def a_name_made_twice_at_odds(parts: Parts) -> None:
    stage = two_people_create_one_name(parts, config(a=1), config(a=2))
    assert conflicts(stage.desks["d1"]) == [("fields", ("/a",))]
    assert live(stage.desks["d1"]) == [config(a=1)]


def a_creation_that_joins_a_queue(parts: Parts) -> None:
    """It turns out to be a change of theirs, while others of that wait for each other: it goes
    behind them, and not between."""
    stage = Stage(parts)
    rid = shared(stage)
    mine, theirs = stage.desks["d0"], stage.desks["d1"]
    edit(mine, rid, a=1)
    mine.create(config("/org/y", c=1))
    edit(mine, rid, b=1)
    edit(theirs, rid, name="/org/y", a=9)
    stage.sync("d1")
    change, creation = (r for r in stage.wants("d0") if isinstance(r, Push))
    mine.hear(creation, stage.ask("d0", creation))
    mine.hear(change, stage.ask("d0", change))
    stage.end()
    assert conflicts(mine) == [("fields", ("/a",)), ("fields", ("/a",))]
    assert theirs.engine.view(rid) == config("/org/y", a=9, c=1)


def a_name_given_up_and_taken_again(parts: Parts) -> None:
    """Deleted, renamed away, made and renamed at once, each name used again: all offline."""
    stage = Stage(parts, desks=1)
    desk = stage.desks["d0"]
    gone, moved = (desk.create(config(f"/org/{leaf}", a=0)) for leaf in ("gone", "moved"))
    stage.sync()
    desk.save(gone, None)
    desk.create(config("/org/gone", a=1))
    edit(desk, moved, name="/org/elsewhere")
    desk.create(config("/org/moved", a=2))
    made = desk.create(config("/org/made"))
    edit(desk, made, name="/org/renamed")
    desk.create(config("/org/made", a=3))
    for _ in range(12):  # the last that may be sent is heard first
        desk.engine.timed_out()
        pushes = [r for r in stage.wants("d0") if isinstance(r, Push)]
        for push in reversed(pushes):
            desk.hear(push, stage.ask("d0", push))
    stage.end()
    assert not desk.replica.conflicts
    assert {body["name"]: body.get("a") for body in live(desk) if body} == {
        "/org/gone": 1,
        "/org/elsewhere": 0,
        "/org/moved": 2,
        "/org/renamed": None,
        "/org/made": 3,
    }


def names_swapped_while_nobody_answers(parts: Parts) -> None:
    stage = Stage(parts, desks=1)
    desk = stage.desks["d0"]
    x, y = desk.create(config("/org/x")), desk.create(config("/org/y"))
    stage.sync()
    for rid, name in ((x, "/org/free"), (y, "/org/x"), (x, "/org/y")):
        edit(desk, rid, name=name)
    stage.end()
    assert not desk.replica.conflicts
    assert [(desk.engine.view(rid) or {})["name"] for rid in (x, y)] == ["/org/y", "/org/x"]


def an_answer_about_a_name_that_comes_too_late(parts: Parts) -> None:
    """It says that a name is taken; by then the one that had it has moved on."""
    stage = Stage(parts)
    rid = shared(stage)
    mine, theirs = stage.desks["d0"], stage.desks["d1"]
    mine.create(config(a=1))
    creation = stage.push("d0")
    taken = stage.ask("d0", creation)
    edit(theirs, rid, name="/org/y")
    stage.sync("d1")
    page = stage.question("d0")
    mine.hear(page, stage.ask("d0", page))
    mine.hear(creation, taken)
    stage.end()
    assert sorted(body["name"] for body in live(theirs) if body) == [X, "/org/y"]


def a_rename_to_a_name_that_is_taken(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    edit(stage.desks["d0"], rid, name="/org/y")
    stage.desks["d1"].create(config("/org/y", b=1))
    stage.sync("d1")
    stage.end()
    assert conflicts(stage.desks["d0"]) == [("name-taken", ())]


def a_chain_of_renames(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    mine, theirs = stage.desks["d0"], stage.desks["d1"]
    for name in ("/org/a/p", "/org/b/q", "/org/r"):
        edit(mine, rid, name=name)
    edit(theirs, rid, b=1)
    stage.sync("d1")
    stage.end()
    assert not mine.replica.conflicts
    assert theirs.engine.view(rid) == config("/org/r", a=1, b=1)


def two_renames_of_one_resource(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage)
    edit(stage.desks["d0"], rid, name="/org/p")
    stage.sync("d0")
    edit(stage.desks["d1"], rid, name="/org/q")
    stage.end()
    assert conflicts(stage.desks["d1"]) == [("fields", ("/name",))]


def two_names_swapped(parts: Parts) -> None:
    stage = Stage(parts)
    desk = stage.desks["d0"]
    x, y = desk.create(config("/org/x")), desk.create(config("/org/y"))
    stage.sync()
    for rid, name in ((x, "/org/free"), (y, "/org/x"), (x, "/org/y")):
        edit(desk, rid, name=name)
        stage.sync("d0")
    stage.end()
    assert {rid: (body or {})["name"] for rid, body in stage.desks["d1"].see().items()} == {
        x: "/org/y",
        y: "/org/x",
    }


def a_resource_moved_out_of_sight(parts: Parts) -> None:
    stage = Stage(parts)
    stage.store.grant(ROOT, "d1", "/org", Level.NONE)
    stage.store.grant(ROOT, "d1", "/org/a", Level.WRITE)
    rid = stage.desks["d0"].create(config("/org/a/x", a=1))
    stage.sync()
    reader = stage.desks["d1"]
    edit(reader, rid, a=2)
    edit(stage.desks["d0"], rid, name="/org/b/secret")
    stage.sync("d0")
    stage.end()
    assert not reader.replica.bases
    (refusal,) = reader.replica.refusals.values()
    assert "secret" not in refusal.reason
    assert "/org/b" not in refusal.reason


# ---- deletions


def an_edit_of_what_others_deleted(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    stage.desks["d0"].save(rid, None)
    stage.sync("d0")
    desk = stage.desks["d1"]
    edit(desk, rid, a=2)
    stage.end()
    (conflict,) = desk.replica.conflicts.values()
    assert conflict.why == "edited-and-deleted"
    desk.resolve(conflict.conflict_id, conflict.ours)
    stage.end()
    assert stage.desks["d0"].engine.view(rid) == config(a=2)


def a_deletion_of_what_others_edited(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    edit(stage.desks["d0"], rid, a=2)
    stage.sync("d0")
    desk = stage.desks["d1"]
    desk.save(rid, None)
    stage.end()
    (conflict,) = desk.replica.conflicts.values()
    assert conflict.why == "deleted-and-edited"
    desk.resolve(conflict.conflict_id, None)
    stage.end()
    assert stage.desks["d0"].engine.view(rid) is None


def a_deletion_behind_an_edit(parts: Parts) -> None:
    """The edit goes onto what others wrote; the deletion would take what its author never saw."""
    stage = Stage(parts)
    rid = shared(stage, a=1)
    edit(stage.desks["d0"], rid, b=1)
    stage.sync("d0")
    desk = stage.desks["d1"]
    edit(desk, rid, a=2)
    desk.save(rid, None)
    stage.end()
    assert conflicts(desk) == [("deleted-and-edited", ())]
    assert desk.engine.view(rid) == config(a=2, b=1)


def a_deletion_behind_an_edit_that_others_made_as_well(parts: Parts) -> None:
    """There is nothing in it that its author did not see."""
    stage = Stage(parts)
    rid = shared(stage, a=1)
    desk = stage.desks["d1"]
    edit(stage.desks["d0"], rid, a=2)
    stage.sync("d0")
    edit(desk, rid, a=2)
    desk.save(rid, None)
    stage.end()
    assert conflicts(desk) == []
    assert stage.desks["d0"].engine.view(rid) is None


def two_deletions(parts: Parts) -> None:
    stage = Stage(parts)
    known, purged = shared(stage), stage.desks["d0"].create(config("/org/y"))
    stage.sync()
    here, away = stage.desks.values()
    away.save(purged, None)
    away.save(purged, config("/org/y", a=1), restore=True)
    here.save(purged, None)
    stage.sync("d0")
    stage.store.forget_before(stage.database.tables.seq)
    for desk in (here, away):
        desk.save(known, None)
    stage.sync("d0")
    stage.end()
    assert conflicts(here) == []
    # What was to be brought back is known to nobody any more.
    assert conflicts(away) == [("edited-and-deleted", ())]
    assert not live(here)


def what_is_brought_back_when_nobody_knows_it_any_more(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    desk = stage.desks["d1"]
    desk.save(rid, None)
    stage.sync()
    desk.save(rid, config(a=2), restore=True)
    stage.store.forget_before(stage.database.tables.seq)
    stage.end()
    assert conflicts(desk) == [("edited-and-deleted", ())]


def two_who_bring_back(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    here, away = stage.desks.values()
    here.save(rid, None)
    stage.sync()
    away.save(rid, config(a=1, b=1), restore=True)
    here.save(rid, config(a=1), restore=True)
    here.save(rid, None)
    stage.sync("d0")
    stage.end()
    assert conflicts(away) == []
    assert here.engine.view(rid) == config(a=1, b=1)


def a_deletion_and_a_purge(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    stage.desks["d0"].save(rid, None)
    stage.sync("d0")
    desk = stage.desks["d1"]
    edit(desk, rid, a=2)
    stage.store.forget_before(stage.database.tables.seq)
    stage.end()
    (conflict,) = desk.replica.conflicts.values()
    assert conflict.why == "edited-and-deleted"
    made = desk.resolve(conflict.conflict_id, conflict.ours)
    assert made != rid
    stage.end()
    assert live(stage.desks["d0"]) == [config(a=2)]


def a_deletion_undone_at_once(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    desk = stage.desks["d0"]
    desk.save(rid, None)
    desk.save(rid, config(a=1), restore=True)
    stage.end()
    assert stage.desks["d1"].engine.view(rid) == config(a=1)
    assert len(stage.database.tables.versions[rid]) == 3


# ---- people who decide, and people who never stop


def a_conflict_decided_twice(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    edit(stage.desks["d0"], rid, a=2)
    stage.sync("d0")
    desk = stage.desks["d1"]
    edit(desk, rid, a=3)
    stage.end()
    (conflict,) = desk.replica.conflicts.values()
    assert conflict.fields == ("/a",)
    desk.resolve(conflict.conflict_id, conflict.ours)
    stage.end()
    assert stage.desks["d0"].engine.view(rid) == config(a=3)
    assert conflicts(desk) == []
    desk.replica.apply(desk.engine.reopen(conflict.conflict_id))
    assert conflicts(desk) == [("fields", ("/a",))]
    desk.resolve(conflict.conflict_id, conflict.theirs)
    stage.end()
    assert stage.desks["d0"].engine.view(rid) == config(a=2)


def somebody_who_is_always_first(parts: Parts) -> None:
    """After twenty rounds a person decides (L1)."""
    stage = Stage(parts)
    rid = shared(stage, a=1)
    mine, theirs = stage.desks["d0"], stage.desks["d1"]
    edit(mine, rid, a=2)
    rounds = 0
    while mine.replica.ops:
        edit(theirs, rid, b=rounds)
        stage.sync("d1")
        push = stage.push("d0")
        mine.hear(push, stage.ask("d0", push))
        rounds += 1
    assert rounds == 21
    assert conflicts(mine) == [("fields", ("/a",))]
    stage.end()


def a_desk_that_was_away_while_the_feed_was_cut(parts: Parts) -> None:
    stage = Stage(parts)
    rid = shared(stage, a=1)
    away, here = stage.desks["d1"], stage.desks["d0"]
    edit(away, rid, b=1)
    here.create(config("/org/y"))
    edit(here, rid, c=1)
    stage.sync("d0")
    gone = here.create(config("/org/z"))
    stage.sync("d0")
    here.save(gone, None)
    stage.sync("d0")
    stage.store.forget_before(stage.database.tables.seq)
    stage.end()
    assert away.engine.view(rid) == config(a=1, b=1, c=1)


SCENARIOS: Final[dict[str, Callable[[Parts], None]]] = {
    scenario.__name__: scenario
    for scenario in (
        an_answer_that_is_lost,
        a_request_that_comes_again_after_a_purge,
        a_write_that_comes_twice_around_a_revocation,
        a_refusal_that_arrives_after_the_base_has_moved,
        a_write_overwritten_before_its_author_hears_of_it,
        a_write_accepted_while_everything_is_listed,
        a_restore_between_two_pages_of_a_listing,
        an_op_whose_base_holds_what_a_restore_lost,
        a_restore_and_others_who_wrote_on,
        an_op_that_waits_across_a_restore,
        a_restore_and_others_who_wrote_the_same,
        a_write_that_is_shown_and_not_answered_when_a_restore_loses_it,
        two_queues_of_one_resource_across_a_restore,
        a_name_made_twice_alike,
        a_name_made_twice_and_merged,
        a_name_made_twice_at_odds,
        a_creation_that_joins_a_queue,
        a_name_given_up_and_taken_again,
        names_swapped_while_nobody_answers,
        an_answer_about_a_name_that_comes_too_late,
        a_rename_to_a_name_that_is_taken,
        a_chain_of_renames,
        two_renames_of_one_resource,
        two_names_swapped,
        a_resource_moved_out_of_sight,
        an_edit_of_what_others_deleted,
        a_deletion_of_what_others_edited,
        a_deletion_behind_an_edit,
        a_deletion_behind_an_edit_that_others_made_as_well,
        two_deletions,
        what_is_brought_back_when_nobody_knows_it_any_more,
        two_who_bring_back,
        a_deletion_and_a_purge,
        a_deletion_undone_at_once,
        a_conflict_decided_twice,
        somebody_who_is_always_first,
        a_desk_that_was_away_while_the_feed_was_cut,
    )
}
