"""What could not be merged, written down so that nothing is lost until a person decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rhdesk.sync.rebase import Leaving
from rhdesk.sync.state import Base, Op, Parked
from rhdesk.wire.store import Stored

ROLLED_BACK = "server-rolled-back"


class Conflicts:
    def __init__(self, now: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._now = now
        self._new_id = new_id

    def of(self, leaving: Leaving, current: Stored | None) -> tuple[Parked, ...]:
        """One for each op: every one of them was a person's save."""
        author = current.author if current is not None else ""
        return tuple(self._of_op(op, leaving, author) for op in leaving.ops)

    def of_lost(self, base: Base, current: Stored | None) -> Parked:
        """A version that a restore of the store lost, and that this replica still has."""
        return Parked(
            conflict_id=self._new_id(),
            rid=base.rid,
            name=base.stored.name,
            why=ROLLED_BACK,
            ours=base.body,
            theirs=current.body if current is not None else None,
            author=current.author if current is not None else "",
            at=self._now(),
            run_id=base.stored.run_id,
            note=base.stored.note,
        )

    def _of_op(self, op: Op, leaving: Leaving, author: str) -> Parked:
        return Parked(
            conflict_id=self._new_id(),
            rid=op.rid,
            op_id=op.op_id,
            name=op.name,
            why=leaving.why,
            fields=tuple(leaving.fields),
            base=op.base,
            ours=op.body,
            theirs=leaving.theirs,
            author=author,
            at=self._now(),
            run_id=op.run_id,
            note=op.note,
        )
