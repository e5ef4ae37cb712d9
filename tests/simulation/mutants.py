"""Bugs, planted one at a time, that the simulation has to notice.

Each is a change of the real source, and the old text has to be there exactly once: a mutant that no
longer fits the code fails loudly instead of testing nothing.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

from tests.simulation.world import SMALL, Parts, Size

THREE_WAY: Final = "rhdesk.three_way"
REBASE: Final = "rhdesk.sync.rebase"
CONFLICTS: Final = "rhdesk.sync.conflicts"
RELISTING: Final = "rhdesk.sync.relisting"
ENGINE: Final = "rhdesk.sync.engine"
STORE: Final = "rhdesk.server.store"
MEMORY: Final = "tests.simulation.memory"
_LARGE: Final = Size(5, 300)
_MODULES: Final = (THREE_WAY, REBASE, CONFLICTS, RELISTING, ENGINE, STORE, MEMORY)
"""Each after those it imports."""


class Mutant(NamedTuple):
    name: str
    module: str
    changes: tuple[tuple[str, str], ...]
    """Old text and new, in order."""
    seeds: int = 400
    """Within so many it is noticed; 0: chance would take too long."""
    scenario: str = ""
    """The directed scenario that shows it."""
    size: Size = SMALL


def plant(mutant: Mutant) -> Parts:
    """The modules a world is made of, with the bug in one of them."""
    with _instead(_MODULES):
        for name in _MODULES:
            _load(name, mutant.changes if name == mutant.module else ())
        return Parts(sys.modules[ENGINE], sys.modules[STORE], sys.modules[MEMORY])


@contextmanager
def _instead(names: Sequence[str]) -> Generator[None]:
    """Whatever is loaded under *names* inside is forgotten afterwards."""
    real = {name: sys.modules[name] for name in names}
    try:
        yield
    finally:
        sys.modules.update(real)


def _load(name: str, changes: Sequence[tuple[str, str]]) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text("utf-8")
    for old, new in changes:
        assert source.count(old) == 1, f"{name} has {source.count(old)} times: {old}"
        source = source.replace(old, new)
    module = ModuleType(name)
    module.__file__ = spec.origin
    sys.modules[name] = module
    exec(compile(source, spec.origin, "exec"), module.__dict__)


OF_THE_MODEL: Final = (
    Mutant(
        "the queue is kept in memory",
        MEMORY,
        (
            (
                '"""What a machine does when it starts; there is nothing to mend."""',
                "self.ops = {}",
            ),
        ),
    ),
    Mutant(
        "a write leaves the queue when it is sent",
        ENGINE,
        (
            (
                "            pushes.append(push)\n",
                "            pushes.append(push)\n            self._replica.ops.pop(op.op_id)\n",
            ),
        ),
    ),
    Mutant(
        "anybody may read",
        STORE,
        (
            (
                "    return level_in(folder_of(stored.name), grants) >= Level.READ\n",
                "    return True\n",
            ),
        ),
    ),
    Mutant(
        "the feed does not say that it was cut",
        STORE,
        (
            (
                "epoch != head.epoch or not head.oldest_seq <= since <= head.seq",
                "epoch != head.epoch",
            ),
        ),
    ),
    Mutant(
        "a write needs no revision",
        STORE,
        (
            ("based.rev != (current.rev if current else 0)", "False"),
            ("rev=based.rev + 1", "rev=(current.rev if current else 0) + 1"),
        ),
    ),
    Mutant(
        "the last to write wins the whole config",
        THREE_WAY,
        (
            (
                'return Merged(_merge_objects("", base, ours, theirs, overlaps), sorted(overlaps))',
                "return Merged(dict(ours), [])",
            ),
        ),
    ),
    Mutant(
        "the cursor is committed before the rows",
        MEMORY,
        (
            (
                "        self._crashpoint()\n        for rid in changes.dropped_bases:\n",
                "        self.where = changes.cursor or self.where\n"
                "        self._crashpoint()\n"
                "        for rid in changes.dropped_bases:\n",
            ),
        ),
    ),
    Mutant(
        "the store answers before it commits",
        STORE,
        (
            (
                "        with self.database.writing() as t:\n            done = t.op(op_id)\n",
                '        with __import__("contextlib").suppress(Exception), '
                "self.database.writing() as t:\n            done = t.op(op_id)\n",
            ),
        ),
    ),
    Mutant(
        "a write of another epoch is taken",
        STORE,
        (('based.epoch != epoch and based != Based("", 0)', "False"),),
        scenario="an_op_that_waits_across_a_restore",
        size=_LARGE,
    ),
    Mutant(
        "places are given before the commit, as by a sequence",
        MEMORY,
        (
            ("class Witness(Protocol):", "LATE = []\n\n\nclass Witness(Protocol):"),
            (
                "            tables.feed.append(Entry(stored.seq, rid=stored.rid))\n",
                "            tables.feed += LATE\n"
                "            tables.feed.sort(key=lambda entry: entry.seq)\n"
                "            LATE[:] = [Entry(stored.seq, rid=stored.rid)]\n",
            ),
        ),
    ),
    Mutant(
        "permission is that of the first request",
        STORE,
        (
            (
                "            grants = t.grants(principal)\n            for folder in _folders",
                '            seen = self.__dict__.setdefault("seen", {})\n'
                "            grants = seen.setdefault(principal, dict(t.grants(principal)))\n"
                "            for folder in _folders",
            ),
        ),
    ),
    Mutant(
        "a change of access is not told",
        STORE,
        (("                if entry.principal in mine:\n", "                if False:\n"),),
    ),
    Mutant(
        "the answer to a write is written into the base",
        ENGINE,
        (
            (
                "                return self._requeue([op], Rebased((done, *followers)))\n",
                "                made = Stored(rid=op.rid, rev=answer.rev, seq=answer.seq,\n"
                "                    name=op.name, body=op.body, op_id=op.op_id, author='',\n"
                "                    at=self._now())\n"
                "                return replace(self._requeue([op], Rebased((done, *followers))),\n"
                "                    bases=(Base(epoch=answer.epoch, stored=made),))\n",
            ),
        ),
        scenario="a_write_that_comes_twice_around_a_revocation",
    ),
    Mutant(
        "an op goes on in a new epoch because the one before it is there",
        RELISTING,
        (
            (
                "            onto = self._onto(chain[0], base)\n",
                "            onto = self._onto(chain[0], base)\n"
                "            if onto is None and done and base is not None:\n"
                "                onto = replace(chain[0], gen=chain[0].gen + 1,\n"
                "                    epoch=base.epoch, base_rev=base.stored.rev)\n",
            ),
        ),
        scenario="an_op_whose_base_holds_what_a_restore_lost",
    ),
    Mutant(
        "a write that comes twice is written twice",
        STORE,
        (("            if done is not None:\n", "            if False and done is not None:\n"),),
        seeds=2000,
        scenario="a_request_that_comes_again_after_a_purge",
    ),
)
"""Those of the model the protocol was designed with."""

OF_THE_CODE: Final = (
    Mutant(
        "a write is shown only until the feed has come past it",
        ENGINE,
        (("or (not page.more and _is_before(op, page))", "or _is_before(op, page)"),),
    ),
    Mutant(
        "a resource moved out of sight is not told of",
        STORE,
        (("            return HiddenRow(seq, rid)\n", "            return None\n"),),
    ),
    Mutant(
        "a resource moved out of sight stays",
        ENGINE,
        (("                    gone.append(row.rid)\n", "                    pass\n"),),
    ),
    Mutant(
        "what was granted is not listed",
        ENGINE,
        (("                    gained |= row.gained\n", "                    pass\n"),),
        size=_LARGE,
    ),
    Mutant(
        "what may not be read any more stays",
        ENGINE,
        (
            (
                "                    gone += self._outside(row.readable)\n",
                "                    pass\n",
            ),
        ),
    ),
    Mutant(
        "what a listing did not see stays",
        RELISTING,
        (
            (
                "            dropped_bases=tuple(base.rid for base in unlisted),\n",
                "            dropped_bases=(),\n",
            ),
        ),
    ),
    Mutant(
        "what a restore lost is forgotten",
        RELISTING,
        (("        return [self._conflicts.of_lost(base, row)]\n", "        return []\n"),),
    ),
    Mutant(
        "a restore loses nothing",
        RELISTING,
        (
            (
                "return epoch == self._listing.epoch or seq <= self._listing.kept.get(epoch, -1)",
                "return True",
            ),
        ),
    ),
    Mutant(
        "newer revisions hide what a restore lost",
        RELISTING,
        (
            (
                "        return [self._conflicts.of_lost(base, row)]\n",
                "        is_behind = row is not None and row.rev > base.stored.rev\n"
                "        return [] if is_behind else [self._conflicts.of_lost(base, row)]\n",
            ),
        ),
        seeds=0,
        scenario="a_restore_and_others_who_wrote_on",
    ),
    Mutant(
        "an op goes on in a new epoch from whatever is there",
        RELISTING,
        (("if base is None or not same(base.body, op.base):", "if base is None:"),),
    ),
    Mutant(
        "a deletion takes what its author never saw",
        REBASE,
        (("    if op.body is None and theirs is not None:\n", "    if False:\n"),),
    ),
    Mutant(
        "a deletion behind an edit takes what its author never saw",
        REBASE,
        (
            (
                "        if op.body is None:\n            return Rebased(carried,",
                "        if op.body is None:\n"
                "            return Rebased([*carried, replace(op, base=onto), *rest[1:]])\n"
                "        if False:\n            return Rebased(carried,",
            ),
        ),
        scenario="a_deletion_behind_an_edit",
    ),
    Mutant(
        "what left the queue is not written down",
        ENGINE,
        (
            (
                "conflicts=self._conflicts.of(leaving, current) if leaving else (),",
                "conflicts=(),",
            ),
        ),
    ),
    Mutant(
        "what follows a refused op stays behind",
        ENGINE,
        (
            (
                "        ops = [op, *self._followers(op)]\n        refusals = [",
                "        ops = [op]\n        refusals = [",
            ),
        ),
    ),
    Mutant(
        "what follows an accepted op is not told its revision",
        REBASE,
        (
            (
                "    return (replace(first, epoch=accepted.epoch, base_rev=accepted.rev), *rest)",
                "    return followers",
            ),
        ),
    ),
    Mutant(
        "two resources of one name",
        STORE,
        (("if other is not None and other.rid != rid:", "if False and other is not None:"),),
    ),
    Mutant(
        "who may write where it goes may take it from anywhere",
        STORE,
        (("names = [current.name] if current is not None else []", "names = []"),),
    ),
    Mutant(
        "the feed goes on from the last page of a listing",
        ENGINE,
        (("        if not listing.epoch:\n", "        if listing.epoch in {'', page.epoch}:\n"),),
    ),
    Mutant(
        "a listing across a restore goes on",
        ENGINE,
        (("        elif page.epoch != listing.epoch:\n", "        elif False:\n"),),
        seeds=0,
        scenario="a_restore_between_two_pages_of_a_listing",
    ),
    Mutant(
        "what is purged may be written again by a late request",
        MEMORY,
        (
            (
                "                    del tables.resources[rid]\n",
                "                    del tables.resources[rid]\n"
                "                    tables.ops = {k: v for k, v in tables.ops.items()\n"
                "                        if v[0].rid != rid}\n",
            ),
        ),
        seeds=0,
        scenario="a_request_that_comes_again_after_a_purge",
    ),
    Mutant(
        "a retargeted creation keeps its place in the queue",
        ENGINE,
        (("rebased, other, at_the_end=True)", "rebased, other)"),),
        seeds=0,
        scenario="a_creation_that_joins_a_queue",
    ),
    Mutant(
        "a name is taken before the queue has given it up",
        ENGINE,
        (
            (
                "        for mover in self._replica.ops_of(other.rid):\n",
                "        for mover in ():\n",
            ),
        ),
        seeds=0,
        scenario="a_name_given_up_and_taken_again",
    ),
    Mutant(
        "a name is taken before those who had it earlier in the queue",
        ENGINE,
        (
            (
                "            if other.rid != op.rid and other.accepted is None:\n",
                "            if False:\n",
            ),
        ),
        seeds=0,
        scenario="a_name_given_up_and_taken_again",
    ),
    Mutant(
        "an answer about a name counts however old",
        ENGINE,
        (
            (
                "base.epoch == epoch and base.stored.rev > other.rev:\n            return True",
                "base.epoch == epoch and base.stored.rev > other.rev:\n            pass",
            ),
        ),
        seeds=0,
        scenario="an_answer_about_a_name_that_comes_too_late",
    ),
    Mutant(
        "answers to an earlier base count",
        ENGINE,
        (
            (
                "op is None or op.gen != push.gen or op.accepted is not None",
                "op is None or op.accepted is not None",
            ),
        ),
        seeds=0,
        scenario="a_refusal_that_arrives_after_the_base_has_moved",
    ),
)
"""Those its own code invites."""

MUTANTS: Final = (*OF_THE_MODEL, *OF_THE_CODE)
