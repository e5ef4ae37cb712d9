"""Groups and grants: what is decided from them, against a reference that walks."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from rhdesk.access.levels import Level
from rhdesk.access.policy import (
    closes_a_circle,
    containers,
    level_for,
    level_named,
    ways_up,
    why,
)
from rhdesk.errors import BadInput
from rhdesk.models import Access, Granted, Group, Policy
from tests.integration.team.reference import ORDER, counts_as, level

NOW = datetime(2026, 10, 1, tzinfo=UTC)
USERS = [f"u{n}" for n in range(6)]


def policy_of(members: dict[str, list[str]], grants: list[Granted]) -> Policy:
    groups = tuple(Group(name=g, members=tuple(m)) for g, m in sorted(members.items()))
    return Policy(users=tuple(USERS), groups=groups, grants=tuple(grants))


def tree(random_: random.Random) -> tuple[dict[str, list[str]], list[Granted]]:
    """Groups eight deep, people in some of them, grants in folders eight deep."""
    members: dict[str, list[str]] = {f"g{n}": [] for n in range(12)}
    for n in range(7):
        members[f"g{n}"].append(f"g{n + 1}")
    for n in range(8, 12):
        members[f"g{random_.randrange(n)}"].append(f"g{n}")
    for user in USERS:
        for _ in range(random_.randrange(4)):
            group = members[f"g{random_.randrange(12)}"]
            if user not in group:
                group.append(user)
    grants = [
        Granted(
            principal=random_.choice([*USERS, *members]),
            folder=folder(random_, deep=random_.choice([2, 3, 4, 9])),
            level=random_.choice(ORDER),
            until=random_.choice([None, NOW + timedelta(days=1), NOW - timedelta(days=1)]),
        )
        for _ in range(random_.randrange(5, 40))
    ]
    return members, list({(g.principal, g.folder): g for g in grants}.values())


def folder(random_: random.Random, deep: int = 9) -> str:
    return "/" + "/".join(random_.choice("ab") for _ in range(random_.randrange(1, deep)))


def test_random_trees_eight_deep_with_moves_are_as_the_reference_says() -> None:
    random_ = random.Random(20261123)
    asked = moved = refused = 0
    for _ in range(150):
        members, grants = tree(random_)
        for _ in range(4):
            group, into = random_.sample(sorted(members), 2)
            if closes_a_circle(into, group, containers(members)):
                assert counts_as(into, group, members), "a circle was seen where there is none"
                refused += 1
            else:
                assert not counts_as(into, group, members)
                for each in members.values():
                    if group in each:
                        each.remove(group)
                members[into].append(group)
                moved += 1
            good = [
                (g.principal, g.folder, g.level)
                for g in grants
                if g.until is None or g.until > NOW
            ]
            policy = policy_of(members, grants)
            for user in USERS:
                here = folder(random_)
                told = why(policy, user, "write", here, here, NOW)
                assert told.has == level(user, here, good, members), (user, here, members, grants)
                assert told.allowed == (ORDER.index(told.has) >= ORDER.index("write"))
                asked += 1
    assert (asked, moved + refused) == (3600, 600)
    assert min(moved, refused) > 50


def test_a_circle_that_is_there_all_the_same_is_walked_once() -> None:
    assert set(ways_up("u", {"u": ["a"], "a": ["b"], "b": ["a"]})) == {"u", "a", "b"}


def chain_is_right(told: Access, policy: Policy) -> bool:
    """Each step is a membership, the last one holds the grant, and that counts at the name."""
    members = {g.name: g.members for g in policy.groups}
    held = {(g.principal, g.folder, g.level) for g in policy.grants}
    return all(
        way.through[0] == told.principal
        and all(inner in members[outer] for inner, outer in pairwise(way.through))
        and (way.through[-1], way.folder, way.level) in held
        and f"{told.name}/".startswith(f"{way.folder.rstrip('/')}/")
        for way in told.ways
    )


def test_thirty_seeded_questions_are_answered_with_the_right_chain_at_once() -> None:
    random_ = random.Random(30)
    with_chain, slowest = 0, 0.0
    for _ in range(30):
        members, grants = tree(random_)
        policy = policy_of(members, grants)
        user, here = random_.choice(USERS), folder(random_)
        began = time.perf_counter()
        told = why(policy, user, random_.choice(ORDER[1:]), here, here, NOW)
        slowest = max(slowest, time.perf_counter() - began)
        assert chain_is_right(told, policy)
        good = [
            (g.principal, g.folder, g.level) for g in grants if g.until is None or g.until > NOW
        ]
        assert told.has == level(user, here, good, members)
        assert bool(told.remedy) is not told.allowed
        with_chain += bool(told.ways)
    assert with_chain > 5
    assert slowest < 0.1


def test_a_chain_with_a_step_that_is_not_there_would_be_noticed() -> None:
    """The control of the one above."""
    policy = policy_of({"ml": ["u0"]}, [Granted(principal="ml", folder="/ml", level="read")])
    told = why(policy, "u0", "read", "/ml/x", "/ml", NOW)
    assert told.ways
    assert chain_is_right(told, policy)
    assert not chain_is_right(told, policy_of({"ml": ["u1"]}, list(policy.grants)))


def test_a_grant_ends_at_its_moment() -> None:
    policy = policy_of({}, [Granted(principal="u0", folder="/a", level="admin", until=NOW)])
    assert not why(policy, "u0", "read", "/a", "/a", NOW).allowed
    assert why(policy, "u0", "admin", "/a", "/a", NOW - timedelta(seconds=1)).allowed


@pytest.mark.parametrize(("word", "meant"), [("proxy", Level.CALL), ("READ", Level.READ)])
def test_levels_have_their_old_words_too(word: str, meant: Level) -> None:
    assert level_named(word) is meant


def test_what_is_no_level_or_action_is_told_with_those_that_are() -> None:
    with pytest.raises(BadInput, match="none, read, call, write, admin"):
        level_named("owner")
    with pytest.raises(BadInput, match="did you mean write"):
        level_for("wrte")
