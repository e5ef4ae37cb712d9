"""Putting queued ops onto what others wrote meanwhile, field by field (rules R7 and R8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from rhdesk.sync.state import Body, Op
from rhdesk.three_way import merge, same
from rhdesk.wire.store import Accepted, Stored


class Leaving(NamedTuple):
    """Ops that leave the queue until a person decides."""

    ops: Sequence[Op]
    why: str
    theirs: Body
    fields: Sequence[str] = ()


class Rebased(NamedTuple):
    """What became of an op and of those that follow it. Who is in neither is done with."""

    ops: Sequence[Op] = ()
    leaving: Leaving | None = None


def rebase(op: Op, followers: Sequence[Op], epoch: str, current: Stored | None) -> Rebased:
    """Put *op* onto *current*, which it was not made on; None: there is no such resource.

    Deletions are not merged. An edit brings nothing back that was deleted, and a deletion takes
    nothing away that its author never saw.
    """
    theirs = current.body if current is not None else None
    if op.body is None and theirs is not None:
        return Rebased((), Leaving((op, *followers), "deleted-and-edited", theirs))
    if op.body is not None and theirs is None and not (op.restore and current is not None):
        return Rebased((), Leaving((op, *followers), "edited-and-deleted", theirs))
    if current is None:  # both deleted, and the store has forgotten it since
        return Rebased((), Leaving(followers, "edited-and-deleted", None))
    body = op.body
    if body is not None and theirs is not None:
        body, overlaps = merge(op.base or {}, body, theirs)
        if overlaps:
            return Rebased((), Leaving((op, *followers), "fields", theirs, overlaps))
    moved = replace(op, gen=op.gen + 1, epoch=epoch, base_rev=current.rev, base=theirs, body=body)
    carried = carry(followers, body)
    if not same(body, theirs):
        return Rebased((moved, *carried.ops), carried.leaving)
    # Nothing is left to say; seen as accepted, it is shown until the feed has come that far.
    at = Accepted(epoch, current.rev, current.seq)
    return Rebased((replace(moved, accepted=at), *follow(carried.ops, at)), carried.leaving)


def carry(followers: Sequence[Op], onto: Body) -> Rebased:
    """Put ops, each made on the one before it, onto *onto*."""
    carried: list[Op] = []
    for place, op in enumerate(followers):
        rest = followers[place:]
        if same(op.base, onto):
            carried += rest
            break
        if op.body is None:
            return Rebased(carried, Leaving(rest, "deleted-and-edited", onto))
        body, overlaps = merge(op.base or {}, op.body, onto or {})
        if overlaps:
            return Rebased(carried, Leaving(rest, "fields", onto, overlaps))
        carried.append(replace(op, base=onto, body=body))
        onto = body
    return Rebased(carried)


def follow(followers: Sequence[Op], accepted: Accepted) -> Sequence[Op]:
    """The op before the first of them is *accepted*: that one's base has a revision now."""
    if not followers:
        return followers
    first, *rest = followers
    return (replace(first, epoch=accepted.epoch, base_rev=accepted.rev), *rest)
