"""Groups, grants and tokens' limits in SQL: who counts as whom, and what they were granted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rhdesk.access.levels import Level, folder_of, is_below, upwards
from rhdesk.access.policy import is_good, ways_up
from rhdesk.models import Granted, Group
from rhdesk.server.rows import Execute, moment, seal, shortened, unsealed

_MOST_DEEP: Final = 64
"""Groups around groups that are asked for; deeper ones grant nothing."""


class GroupRows:
    """Part of one transaction.

    Attributes:
        within: Rights count in this folder and below only: what a narrowed token is good for.
    """

    within: str = "/"

    def __init__(self, execute: Execute) -> None:
        self.execute = execute

    # ---- groups

    def teams(self) -> dict[str, list[str]]:
        """Every group, with the people and groups that are in it themselves."""
        rows = self.execute(
            "SELECT name, created_at, made_by, row_hash FROM team ORDER BY name", ()
        ).fetchall()
        found: dict[str, list[str]] = {unsealed(row, f"the group {row[0]}")[0]: [] for row in rows}
        for team, member in self._memberships("1 = ?", (1,)):
            found.setdefault(team, []).append(member)
        return found

    def groups(self) -> list[Group]:
        return [Group(name=name, members=tuple(who)) for name, who in self.teams().items()]

    def is_team(self, name: str) -> bool:
        return self.execute("SELECT 1 FROM team WHERE name = ?", (name,)).fetchone() is not None

    def acts_as(self, principal: str) -> set[str]:
        """*principal*, and every group they are in, however deep."""
        found, fresh = {principal}, [principal]
        for _ in range(_MOST_DEEP):
            marks = ", ".join("?" * len(fresh))
            around = self._memberships(f"member IN ({marks})", fresh)
            fresh = sorted({team for team, _ in around} - found)
            if not fresh:
                break
            found.update(fresh)
        return found

    def add_team(self, name: str, by: str) -> None:
        row = (name, moment(datetime.now(UTC)), by)
        self.execute(
            "INSERT INTO team (name, created_at, made_by, row_hash) VALUES (?, ?, ?, ?)",
            (*row, seal(row)),
        )

    def drop_team(self, name: str) -> None:
        self.execute("DELETE FROM membership WHERE team = ? OR member = ?", (name, name))
        self.execute("DELETE FROM team WHERE name = ?", (name,))

    def put_member(self, seq: int, team: str, member: str) -> None:
        row = (team, member, seq)
        self.execute(
            "INSERT INTO membership (team, member, seq, row_hash) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (team, member) DO NOTHING",
            (*row, seal(row)),
        )

    def take_member(self, team: str, member: str) -> None:
        self.execute("DELETE FROM membership WHERE team = ? AND member = ?", (team, member))

    def _memberships(self, where: str, values: Iterable[Any]) -> list[tuple[str, str]]:
        rows = self.execute(
            f"SELECT team, member, seq, row_hash FROM membership WHERE {where}"
            " ORDER BY team, member",
            tuple(values),
        ).fetchall()
        told = [unsealed(row, f"a member of {row[0]}") for row in rows]
        return [(team, member) for team, member, _ in told]

    # ---- grants

    def grants(self, principal: str) -> Mapping[str, Level]:
        """What *principal* may do now by themselves and by their groups, by folder."""
        found: dict[str, Level] = {}
        mine = sorted(self.acts_as(principal))
        now = datetime.now(UTC)
        for grant in self.held(f"principal IN ({', '.join('?' * len(mine))})", mine):
            folder = self._seen_from_within(grant.folder)
            if folder and is_good(grant, now):
                level = Level[grant.level.upper()]
                found[folder] = max(level, found.get(folder, Level.NONE))
        return found

    def grants_in(self, folder: str) -> Mapping[str, Level]:
        now = datetime.now(UTC)
        found = self.held("folder = ?", (folder,))
        return {g.principal: Level[g.level.upper()] for g in found if is_good(g, now)}

    def held(self, where: str = "1 = ?", values: Iterable[Any] = (1,)) -> list[Granted]:
        """Grants as they were given, those that ended included."""
        rows = self.execute(
            "SELECT principal, folder, level, seq, expires_at, row_hash FROM access"
            f" WHERE {where} ORDER BY folder, principal",
            tuple(values),
        ).fetchall()
        found: list[Granted] = []
        for *told, kept in rows:
            sealed = (*shortened(told, 4), kept)
            principal, folder, level, *_ = unsealed(sealed, f"a grant in {told[1]}")
            until = datetime.fromisoformat(told[4]) if told[4] else None
            word = Level(level).name.lower()
            found.append(Granted(principal=principal, folder=folder, level=word, until=until))
        return found

    def put_grant(
        self, seq: int, principal: str, folder: str, level: Level, until: datetime | None = None
    ) -> None:
        end = moment(until) if until else None
        row = shortened((principal, folder, int(level), seq, end), 4)
        self.execute(
            "INSERT INTO access (principal, folder, level, seq, expires_at, row_hash)"
            " VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (principal, folder) DO UPDATE SET level = excluded.level,"
            " seq = excluded.seq, expires_at = excluded.expires_at, row_hash = excluded.row_hash",
            (principal, folder, int(level), seq, end, seal(row)),
        )

    def ended(self, now: datetime) -> list[Granted]:
        """Grants whose time is over and that nobody was told of."""
        return self.held("expires_at <= ? AND level > 0", (moment(now),))

    def _seen_from_within(self, folder: str) -> str:
        """Where a grant in *folder* counts for who sees `within` only; "" for nowhere."""
        if is_below(folder, self.within):
            return folder
        return self.within if is_below(self.within, folder) else ""


def knowable(
    user: str, readable: list[str], groups: list[Group], grants: list[Granted]
) -> tuple[list[Group], list[Granted]]:
    """What of all groups and grants *user* may know.

    The grants of themselves and of their groups, and those that count where they may read; with
    them the groups that these speak of.

    Args:
        readable: The topmost folders they may read.
    """
    inside: dict[str, list[str]] = {}
    for group in groups:
        for member in group.members:
            inside.setdefault(member, []).append(group.name)
    mine = ways_up(user, inside)
    around = {above for folder in readable for above in upwards(folder)}
    told = [
        grant
        for grant in grants
        if grant.principal in mine
        or grant.folder in around
        or any(is_below(grant.folder, top) for top in readable)
    ]
    named = set(mine) | {grant.principal for grant in told}
    members = {group.name: group.members for group in groups}
    todo = list(named)
    while todo:
        for member in members.get(todo.pop(), ()):
            if member not in named:
                named.add(member)
                todo.append(member)
    return [group for group in groups if group.name in named], told


def in_folder(name: str, *, is_resource: bool) -> str:
    """The folder whose grants count for *name*: its own, or itself where it is a folder."""
    return folder_of(name) if is_resource else name
