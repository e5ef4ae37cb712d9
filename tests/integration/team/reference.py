"""Who may do what, said a second time: by walking, without a word of the product's own rules.

A right is a set of (who, folder, level). Somebody has it if a chain of memberships leads from them
to who, and the folder is on the way up from where they act.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

ORDER = ("none", "read", "call", "write", "admin")
Rights = Collection[tuple[str, str, str]]
Members = Mapping[str, Collection[str]]


def counts_as(user: str, who: str, members: Members, seen: tuple[str, ...] = ()) -> bool:
    if user == who:
        return True
    return any(
        counts_as(user, inner, members, (*seen, who))
        for inner in members.get(who, ())
        if inner not in seen
    )


def is_inside(folder: str, top: str) -> bool:
    steps, first = folder.split("/"), top.rstrip("/").split("/")
    return steps[: len(first)] == first


def level(user: str, folder: str, rights: Rights, members: Members) -> str:
    best = 0
    for who, top, held in rights:
        if is_inside(folder, top) and counts_as(user, who, members):
            best = max(best, ORDER.index(held))
    return ORDER[best]


def may(user: str, needs: str, folder: str, rights: Rights, members: Members) -> bool:
    return ORDER.index(level(user, folder, rights, members)) >= ORDER.index(needs)
