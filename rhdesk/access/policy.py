"""Who may what where, decided from groups and grants alone; the store and every desk ask here.

A group holds people and other groups. Who is in a group is granted what the group is granted, and
so is who is in a group that is in it. Nothing takes away: there are more ways or fewer to a right,
and the highest level of all counts (see `rhdesk.access.levels`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final

from rhdesk.access.levels import Level, upwards
from rhdesk.errors import BadInput
from rhdesk.models import Access, Granted, Policy, Way

ACTIONS: Final[Mapping[str, Level]] = {
    "read": Level.READ,
    "load": Level.READ,
    "history": Level.READ,
    "call": Level.CALL,
    "proxy": Level.CALL,
    "run": Level.CALL,
    "write": Level.WRITE,
    "save": Level.WRITE,
    "delete": Level.WRITE,
    "rename": Level.WRITE,
    "promote": Level.WRITE,
    "admin": Level.ADMIN,
    "grant": Level.ADMIN,
    "share": Level.ADMIN,
}
"""What can be asked about, and the level it wants; ``proxy`` is v0.0.12's word for call."""


def level_named(text: str) -> Level:
    """``read``, ``call`` (v0.0.12's ``proxy``), ``write``, ``admin`` or ``none``.

    Raises:
        BadInput: It is none of them.
    """
    word = "call" if text.lower() == "proxy" else text.lower()
    if word.upper() not in Level.__members__:
        levels = ", ".join(level.name.lower() for level in Level)
        raise BadInput(f"{text!r} is no level; levels are {levels}")
    return Level[word.upper()]


def level_for(action: str) -> Level:
    """The level an action wants.

    Raises:
        BadInput: Nobody knows such an action.
    """
    if action not in ACTIONS:
        near = get_close_matches(action, ACTIONS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise BadInput(f"{action!r} is no action; actions are {', '.join(ACTIONS)}{hint}")
    return ACTIONS[action]


def containers(members: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """From each member to the groups it is in itself, sorted."""
    found: dict[str, list[str]] = {}
    for group in sorted(members):
        for member in members[group]:
            found.setdefault(member, []).append(group)
    return found


def ways_up(principal: str, inside: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Whom *principal* counts as: themselves, and each group around them with the shortest way there.

    Args:
        inside: From each member to the groups it is in; circles in it are walked once.
    """
    found: dict[str, tuple[str, ...]] = {principal: (principal,)}
    todo = deque([principal])
    while todo:
        here = todo.popleft()
        for group in inside.get(here, ()):
            if group not in found:
                found[group] = (*found[here], group)
                todo.append(group)
    return found


def closes_a_circle(group: str, member: str, inside: Mapping[str, Iterable[str]]) -> bool:
    """Whether a group would be in itself, were *member* put into *group*."""
    return member in ways_up(group, inside)


def ways(policy: Policy, principal: str, folder: str, at: datetime) -> list[Way]:
    """Every way *principal* has to a right in *folder*, the strongest and shortest first."""
    above = set(upwards(folder))
    known = ways_up(principal, containers({g.name: g.members for g in policy.groups}))
    found = [
        Way(through=known[g.principal], folder=g.folder, level=g.level, until=g.until)
        for g in policy.grants
        if g.folder in above and g.principal in known and is_good(g, at)
    ]
    return sorted(
        found,
        key=lambda w: (-level_named(w.level), len(w.through), -len(w.folder), w.through),
    )


def is_good(grant: Granted, at: datetime) -> bool:
    """Whether a grant gives anything at that time."""
    return grant.level != "none" and (grant.until is None or at < grant.until)


def why(
    policy: Policy, principal: str, action: str, name: str, folder: str, at: datetime | None = None
) -> Access:
    """Whether *principal* may do *action* with *name*, which is in *folder*, and why.

    Raises:
        BadInput: Nobody knows such an action.
    """
    needs, now = level_for(action), at or datetime.now(UTC)
    found = ways(policy, principal, folder, now)
    has = level_named(found[0].level) if found else Level.NONE
    return Access(
        principal=principal,
        action=action,
        name=name,
        allowed=has >= needs,
        needs=needs.name.lower(),
        has=has.name.lower(),
        ways=tuple(found),
        remedy="" if has >= needs else _remedy(policy, principal, needs, folder, now),
        as_of=policy.as_of,
    )


def _remedy(policy: Policy, principal: str, needs: Level, folder: str, at: datetime) -> str:
    """Whom to ask, and what they would type."""
    above = set(upwards(folder))
    held = [g for g in policy.grants if g.folder in above and is_good(g, at)]
    admins = sorted({g.principal for g in held if g.level == "admin"})
    asked = " or ".join(admins[:3]) or "who keeps the store"
    return f"ask {asked}: rhdesk share {folder} {principal} --level {needs.name.lower()}"
