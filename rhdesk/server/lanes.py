"""The rules of lanes: a version goes from one folder to the next, once enough others agree.

What a lane holds is a copy of the config of one revision, and a config names its code by hash: a
promotion copies a reference, not code. Nothing else is written in a lane; going back to what it
held before needs nobody's approval, for it was approved then.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from difflib import get_close_matches

import msgspec

from rhdesk.access.levels import Level, folder_of, is_below, level_in
from rhdesk.errors import BadInput, NotFound, Refused
from rhdesk.models import Lane, Promotion
from rhdesk.server.sql import SqlDatabase, SqlTables
from rhdesk.wire.store import Stored


class Lanes:
    """
    Args:
        within: The folder the caller's token is good in.
    """

    def __init__(
        self,
        database: SqlDatabase,
        *,
        within: str = "/",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.database = database
        self._within = within
        self._now = now

    def lay(self, by: str, lane: Lane) -> None:
        """Make a folder a lane, or change its rule.

        Raises:
            BadInput: The lane would come after itself, or wants fewer than no approvals.
            Refused: *by* is not admin of it.
        """
        if is_below(lane.folder, lane.after) or is_below(lane.after, lane.folder):
            raise BadInput(f"{lane.folder} cannot come after {lane.after}: one is in the other")
        if not 0 <= lane.approvals <= 9:
            raise BadInput("a lane wants 0 to 9 approvals")
        with self.database.writing() as t:
            self._see(t, by, lane.folder, Level.ADMIN)
            self._see_no_circle(t, lane)
            t.put_lane(t.head().seq, lane)
            rule = f"after {lane.after}, {lane.approvals} approvals"
            t.note(0, by, "lane.lay", lane.folder, rule)

    def lift(self, by: str, folder: str) -> None:
        """Let a folder be like any other again."""
        with self.database.writing() as t:
            self._see(t, by, folder, Level.ADMIN)
            self._lane(t, folder)
            t.drop_lane(folder)
            t.note(0, by, "lane.lift", folder)

    def lanes(self, user: str) -> list[Lane]:
        """The lanes *user* may read, by folder."""
        with self.database.reading() as t:
            t.within = self._within
            grants = t.grants(user)
            return [x for x in t.lanes() if level_in(x.folder, grants) >= Level.READ]

    def promotions(self, user: str, folder: str = "/") -> list[Promotion]:
        """Promotions into lanes in *folder* that *user* may read, oldest first."""
        with self.database.reading() as t:
            t.within = self._within
            grants = t.grants(user)
            return [
                told
                for told, _ in t.promotions()
                if is_below(told.lane, folder) and level_in(told.lane, grants) >= Level.READ
            ]

    def promote(
        self, by: str, source: str, lane: str, *, rev: int = 0, note: str = ""
    ) -> Promotion:
        """Ask that a revision of *source* be what the lane holds; done at once where nobody else
        has to agree.

        Args:
            source: A name in the folder the lane comes after; or in the lane itself, to go back.
            rev: 0 for the newest.

        Raises:
            NotFound: There is no such name, revision or lane.
            BadInput: The name is not where versions for this lane come from.
            Refused: *by* may not read the one or write the other.
        """
        with self.database.writing() as t:
            rule = self._lane(t, lane)
            self._see(t, by, folder_of(source), Level.READ)
            self._see(t, by, rule.folder, Level.WRITE)
            stored = _revision(t, source, rev)
            target = _target(rule, source)
            asked = Promotion(
                promotion_id=secrets.token_hex(8),
                source=source,
                rev=stored.rev,
                target=target,
                lane=rule.folder,
                asked_by=by,
                asked_at=self._now(),
                note=note,
            )
            t.put_promotion(asked, stored.rid)
            t.note(0, by, "promote.ask", target, f"{source} rev {stored.rev}")
            held_before = is_below(source, rule.folder)
            if held_before or not rule.approvals:
                return self._finish(t, by, asked, stored)
        return asked

    def approve(self, by: str, promotion_id: str) -> Promotion:
        """Agree to a promotion; with the last approval it wants, it is done.

        Raises:
            NotFound: None of that id waits.
            Refused: *by* asked for it, or may not write in the lane.
        """
        with self.database.writing() as t:
            asked, rid = _waiting(t, promotion_id)
            self._see(t, by, asked.lane, Level.WRITE)
            if by == asked.asked_by:
                raise Refused(f"{by} asked for it; somebody else has to approve")
            t.approve(promotion_id, by, self._now())
            t.note(0, by, "promote.approve", asked.target, promotion_id)
            agreed, _ = _waiting(t, promotion_id)
            if len(agreed.approved_by) < self._lane(t, asked.lane).approvals:
                return agreed
            stored = next((v for v in t.versions(rid, asked.rev + 1, 1)), None)
            if stored is None or stored.body is None:
                raise NotFound(f"{asked.source} rev {asked.rev}", kind="revision")
            return self._finish(t, by, agreed, stored)

    def withdraw(self, by: str, promotion_id: str) -> Promotion:
        """Have a promotion not happen: who asked for it may, and whoever may write in the lane."""
        with self.database.writing() as t:
            asked, rid = _waiting(t, promotion_id)
            if by != asked.asked_by:
                self._see(t, by, asked.lane, Level.WRITE)
            told = msgspec.structs.replace(asked, state="withdrawn")
            t.put_promotion(told, rid)
            t.note(0, by, "promote.withdraw", asked.target, promotion_id)
        return told

    # ---- underneath

    def _finish(self, t: SqlTables, by: str, asked: Promotion, stored: Stored) -> Promotion:
        """The revision, as what the lane holds now."""
        held = t.live_named(asked.target)
        rid = held.rid if held is not None else secrets.token_hex(16)
        why = f"; {asked.note}" if asked.note else ""
        made = Stored(
            rid=rid,
            rev=held.rev + 1 if held is not None else 1,
            seq=t.next_seq(),
            name=asked.target,
            body={**(stored.body or {}), "name": asked.target},
            op_id=f"promotion-{asked.promotion_id}",
            author=asked.asked_by,
            at=self._now(),
            note=f"promoted from {asked.source} rev {asked.rev}{why}",
        )
        t.add(made, "")
        t.note(made.seq, by, "promote", asked.target, f"{asked.source} rev {asked.rev}")
        done = msgspec.structs.replace(asked, state="done")
        t.put_promotion(done, stored.rid)
        return done

    def _see(self, t: SqlTables, by: str, folder: str, needs: Level) -> None:
        t.within = self._within
        if level_in(folder, t.grants(by)) < needs:
            raise Refused(f"{by} may not {needs.name.lower()} in {folder}")

    def _lane(self, t: SqlTables, folder: str) -> Lane:
        found = {lane.folder: lane for lane in t.lanes()}
        if folder not in found:
            raise NotFound(folder, kind="lane", near=get_close_matches(folder, found))
        return found[folder]

    def _see_no_circle(self, t: SqlTables, lane: Lane) -> None:
        after = {each.folder: each.after for each in t.lanes()} | {lane.folder: lane.after}
        seen, here = {lane.folder}, lane.after
        while here in after:
            if here in seen:
                raise BadInput(f"{lane.folder} would come after itself")
            seen.add(here)
            here = after[here]


def _revision(t: SqlTables, source: str, rev: int) -> Stored:
    newest = t.live_named(source)
    if newest is None:
        raise NotFound(source, kind="name")
    if rev in (0, newest.rev):
        return newest
    found = t.versions(newest.rid, rev + 1, 1)
    if not found or found[0].rev != rev or found[0].body is None:
        raise NotFound(f"{source} rev {rev}", kind="revision")
    return found[0]


def _target(lane: Lane, source: str) -> str:
    """Where in the lane a name goes."""
    for top in (lane.after, lane.folder):
        if source.startswith(f"{top}/"):
            return f"{lane.folder}{source.removeprefix(top)}"
    raise BadInput(f"{source} is not in {lane.after}, from where versions come to {lane.folder}")


def _waiting(t: SqlTables, promotion_id: str) -> tuple[Promotion, str]:
    found = t.promotions("id = ? AND state = 'waiting'", (promotion_id,))
    if not found:
        raise NotFound(promotion_id, kind="promotion that waits")
    return found[0]
