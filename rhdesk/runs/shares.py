"""Who gets which items of a map: large shares first, small ones at the end.

Guided self-scheduling: a node that asks gets its part of half of what is left, by its cores. So
there are few shares, and all nodes end at about the same time, however different they are.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Final

_PARTS: Final = 2
_TRIES: Final = 3
"""How often an item that may run twice is handed out, before it is what kills its nodes."""


class Deal:
    """What became of each item.

    Args:
        cores: Of each node that takes part.
        idempotent: Items whose end is unknown may run again.
    """

    def __init__(self, count: int, cores: Mapping[str, int], *, idempotent: bool = False) -> None:
        self._todo = deque(range(count))
        self._cores = {node: max(1, number) for node, number in cores.items()}
        self._idempotent = idempotent
        self._handed: Counter[int] = Counter()
        self._out: set[int] = set()
        self.came: set[int] = set()
        self.lost: dict[int, str] = {}
        """Why, by the number of the item."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will come."""
        return not self._todo and not self._out

    def has(self, node: str) -> bool:
        """Whether a node takes part."""
        return node in self._cores

    def take(self, node: str) -> list[int]:
        """The next share of a node; empty while there is nothing to hand out."""
        if node not in self._cores or not self._todo:
            return []
        weight = self._cores[node] / (_PARTS * sum(self._cores.values()))
        size = max(1, int(len(self._todo) * weight))
        share = [self._todo.popleft() for _ in range(size)]
        self._out.update(share)
        self._handed.update(share)
        return share

    def finished(self, item: int) -> None:
        self._out.discard(item)
        self.came.add(item)

    def unknown(self, share: Iterable[int], why: str) -> None:
        """Nobody can know whether these ran; those that came are not meant."""
        for item in sorted(self._out.intersection(share), reverse=True):
            self._out.discard(item)
            if self._idempotent and self._cores and self._handed[item] < _TRIES:
                self._todo.appendleft(item)
            else:
                self.lost[item] = why

    def leaves(self, node: str, why: str) -> None:
        """A node takes no more items. Those nobody is left for were never handed out."""
        self._cores.pop(node, None)
        if not self._cores:
            self.lost |= dict.fromkeys(self._todo, f"no node was left to run it: {why}")
            self._todo.clear()


def spell(items: Iterable[int]) -> str:
    """``0-99, 104``."""
    ranges: list[list[int]] = []
    for item in sorted(items):
        if ranges and item == ranges[-1][1] + 1:
            ranges[-1][1] = item
        else:
            ranges.append([item, item])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def read(text: str) -> set[int]:
    """What `spell` wrote."""
    found: set[int] = set()
    for part in text.split(", "):
        first, _, last = part.partition("-")
        if first:
            found.update(range(int(first), int(last or first) + 1))
    return found


def describe(lost: Mapping[int, str], *, of: int) -> str:
    """Which items are lost, and why, for a person."""
    by_reason: dict[str, list[int]] = {}
    for item, why in lost.items():
        by_reason.setdefault(why, []).append(item)
    told = "; ".join(f"item {spell(items)}: {why}" for why, items in by_reason.items())
    return f"{len(lost)} of {of} items are lost: {told}"
