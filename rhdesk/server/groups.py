"""The rules of groups and grants: who may put whom where, and what ends by itself.

Each verb is one transaction, with its row of the audit in it. Whoever is admin of a group's folder
decides who is in the group; the server's keeper (`KEEPER`) may do everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final

from rhdesk.access.levels import Level, level_in, readable
from rhdesk.access.policy import closes_a_circle, containers, level_named, why
from rhdesk.errors import AlreadyExists, BadInput, NotFound, Refused
from rhdesk.models import Access, Policy
from rhdesk.server.group_rows import in_folder, knowable
from rhdesk.server.sql import SqlDatabase, SqlTables

KEEPER: Final = "the server's keeper"
"""Who runs the server: no name that a user could have."""
_NAME: Final = re.compile(r"[a-z][a-z0-9\-]{0,38}", re.ASCII)


class Groups:
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

    # ---- groups

    def make(self, by: str, name: str, *, level: str = "write") -> None:
        """A new group, whose first member and admin is *by*, with a folder of its own, ``/name``.

        Args:
            level: What its members may do in its folder.

        Raises:
            BadInput: It is no name of a group.
            AlreadyExists: A user or a group has the name.
        """
        if not _NAME.fullmatch(name):
            raise BadInput(
                f"{name!r} is no name of a group; names are lower-case letters, digits and "
                "dashes: vision"
            )
        held = level_named(level)
        with self.database.writing() as t:
            if t.is_team(name) or name in t.principals():
                raise AlreadyExists(f"there is a user or group {name} already")
            t.add_team(name, by)
            if by != KEEPER:
                t.grant(t.next_seq(), by, f"/{name}", Level.ADMIN)
                t.put_member(t.head().seq, name, by)
            seq = t.next_seq()
            t.grant(seq, name, f"/{name}", held)
            t.note(seq, by, "group.new", f"/{name}")

    def put(self, by: str, group: str, members: Iterable[str]) -> None:
        """Put people and groups into a group.

        Raises:
            NotFound: There is no such group, person or member.
            BadInput: The group would be in itself.
            Refused: *by* is not admin of it.
        """
        with self.database.writing() as t:
            self._own(t, by, group)
            for member in members:
                self._see_that_it_stays_a_tree(t, group, member)
                seq = t.next_seq()
                t.put_member(seq, group, member)
                t.tell_of(seq, member)
                t.note(seq, by, "group.put", f"/{group}", member)

    def take(self, by: str, group: str, members: Iterable[str]) -> None:
        """Take people and groups out of a group; anybody may take out themselves.

        Raises:
            NotFound: There is no such group, or one is not in it.
            Refused: *by* is not admin of it.
        """
        leaving = list(members)
        with self.database.writing() as t:
            if leaving != [by]:
                self._own(t, by, group)
            inside = t.teams().get(group, [])
            for member in leaving:
                if member not in inside:
                    raise NotFound(
                        member, kind=f"member of {group}", near=get_close_matches(member, inside)
                    )
                seq = t.next_seq()
                t.take_member(group, member)
                t.tell_of(seq, member)
                t.note(seq, by, "group.take", f"/{group}", member)

    def move(self, by: str, group: str, into: str) -> None:
        """Put a group into another one and out of all it was in; with ``""``, into none.

        Raises:
            BadInput: It would be in itself; nothing has changed.
            Refused: *by* is not admin of the group, or of one it leaves or enters.
        """
        with self.database.writing() as t:
            self._own(t, by, group)
            for around in containers(t.teams()).get(group, []):
                self._own(t, by, around)
                t.take_member(around, group)
            seq = t.next_seq()
            if into:
                self._own(t, by, into)
                self._see_that_it_stays_a_tree(t, into, group)
                t.put_member(seq, into, group)
            t.tell_of(seq, group)
            t.note(seq, by, "group.move", f"/{group}", f"into {into or 'none'}")

    def drop(self, by: str, group: str) -> None:
        """End a group and all it was granted; what its folder holds stays."""
        with self.database.writing() as t:
            self._own(t, by, group)
            for grant in t.held("principal = ? AND level > 0", (group,)):
                t.grant(t.next_seq(), group, grant.folder, Level.NONE)
            for member in t.teams()[group]:
                t.tell_of(t.next_seq(), member)
            seq = t.next_seq()
            t.drop_team(group)
            t.tell_of(seq, group)
            t.note(seq, by, "group.drop", f"/{group}")

    # ---- grants

    def grant(
        self, by: str, principal: str, folder: str, level: Level, until: datetime | None = None
    ) -> None:
        """Let a person or a group do so much in *folder* and below.

        Raises:
            NotFound: There is no such person or group.
            Refused: *by* is not admin of the folder.
            BadInput: *until* is over.
        """
        if until is not None:
            until = _in_utc(until)
        if until is not None and until <= self._now():
            raise BadInput(f"{until:%Y-%m-%d %H:%M} UTC is over; say a time that is to come")
        with self.database.writing() as t:
            self._admin(t, by, folder)
            self._known(t, principal)
            seq = t.next_seq()
            t.grant(seq, principal, folder, level, until)
            ends = f" until {until:%Y-%m-%dT%H:%MZ}" if until else ""
            t.note(seq, by, "grant", folder, f"{level.name.lower()} to {principal}{ends}")

    def end_what_is_over(self) -> int:
        """Take back grants whose time is over, and tell those who had them; returns how many.

        They give nothing from the moment they end; this is how desks come to know.
        """
        with self.database.reading() as t:
            if not t.ended(self._now()):
                return 0
        with self.database.writing() as t:
            over = t.ended(self._now())
            for grant in over:
                seq = t.next_seq()
                t.grant(seq, grant.principal, grant.folder, Level.NONE)
                t.note(seq, KEEPER, "grant.ended", grant.folder, f"of {grant.principal}")
        return len(over)

    # ---- what may be known

    def policy(self, user: str) -> Policy:
        """The groups and grants that *user* may know of, as they are now."""
        with self.database.reading() as t:
            t.within = self._within
            tops = readable(t.grants(user))
            groups, grants = knowable(user, tops, t.groups(), t.held("level > ?", (0,)))
            users = t.principals()
        return Policy(
            users=tuple(users), groups=tuple(groups), grants=tuple(grants), as_of=self._now()
        )

    def why(self, asker: str, principal: str, action: str, name: str) -> Access:
        """Whether *principal* may do *action* with *name*, and why, as far as *asker* may know.

        Raises:
            NotFound: There is no such person or group that *asker* may know.
        """
        policy = self.policy(asker)
        known = {*policy.users, asker, *(group.name for group in policy.groups)}
        if principal not in known:
            raise NotFound(
                principal, kind="user or group", near=get_close_matches(principal, known)
            )
        with self.database.reading() as t:
            folder = in_folder(name, is_resource=t.live_named(name) is not None)
        return why(policy, principal, action, name, folder, self._now())

    def know(self, principal: str) -> None:
        """See that there is such a person or group.

        Raises:
            NotFound: There is none.
        """
        with self.database.reading() as t:
            self._known(t, principal)

    # ---- underneath

    def _own(self, t: SqlTables, by: str, group: str) -> None:
        if not t.is_team(group):
            raise NotFound(group, kind="group", near=get_close_matches(group, t.teams()))
        self._admin(t, by, f"/{group}")

    def _admin(self, t: SqlTables, by: str, folder: str) -> None:
        t.within = self._within
        if by != KEEPER and level_in(folder, t.grants(by)) < Level.ADMIN:
            raise Refused(f"{by} is not admin of {folder}")

    def _known(self, t: SqlTables, principal: str) -> None:
        names = {*t.principals(), *t.teams()}
        if principal not in names:
            near = get_close_matches(principal, names)
            raise NotFound(principal, kind="user or group", near=near)

    def _see_that_it_stays_a_tree(self, t: SqlTables, group: str, member: str) -> None:
        self._known(t, member)
        if closes_a_circle(group, member, containers(t.teams())):
            raise BadInput(f"{group} is in {member}, or is it: {member} cannot be in {group}")


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise BadInput("until is no time that UTC has") from None
