"""What is typed behind ``/``: words that all have to fit.

dgt        letters in this order within one word of the line, best fit first
'digits    exactly these letters
!old       not these letters
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, Self

_WORST: Final = 10_000
_FEW: Final = 100
"""With fewer lines that hold the words as typed, those they fit loosely are shown too."""
_MANY: Final = 5_000
"""More are not put in order: who types on does not read them."""


class Filter:
    """A parsed filter; `pick` runs it over lines that are already lower-case."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.fuzzy: list[str] = []
        self.exact: list[str] = []
        self.banned: list[str] = []
        for word in self.text.lower().split():
            if word.startswith("!"):
                self.banned += [word[1:].removeprefix("'")] if len(word) > 1 else []
            elif word.startswith("'"):
                self.exact += [word[1:]] if len(word) > 1 else []
            else:
                self.fuzzy.append(word)
        self._scorers = [_scorer(word) for word in self.fuzzy]

    def __bool__(self) -> bool:
        return bool(self.fuzzy or self.exact or self.banned)

    def narrows(self, earlier: Self) -> bool:
        """Whether every line this one accepts was accepted by *earlier*."""
        return (
            len(self.fuzzy) >= len(earlier.fuzzy)
            and len(self.exact) >= len(earlier.exact)
            and all(a.startswith(b) for a, b in zip(self.fuzzy, earlier.fuzzy, strict=False))
            and all(a.startswith(b) for a, b in zip(self.exact, earlier.exact, strict=False))
            and self.banned == earlier.banned
        )

    def score(self, line: str) -> int | None:
        """How far *line* is from a perfect fit, or None when it does not fit."""
        for word in self.banned:
            if word in line:
                return None
        for word in self.exact:
            if word not in line:
                return None
        total = 0
        for scorer in self._scorers:
            found = scorer(line)
            if found is None:
                return None
            total += found
        return total

    def pick(self, lines: Sequence[str], among: Sequence[int] | None = None) -> list[int]:
        """Positions of the fitting lines, best first; equal fits keep their order.

        Of a hundred thousand lines within the time of a key: so many that nobody reads them are
        left in their order, and words are fitted loosely only where few lines hold them as typed.
        """
        fits = self._without_banned(lines, range(len(lines)) if among is None else among)
        for word in self.exact:
            fits = [at for at in fits if word in lines[at]]
        typed = fits
        for word in self.fuzzy:
            typed = [at for at in typed if word in lines[at]]
        if self.fuzzy and len(typed) < _FEW:
            return self._ranked(lines, self._loosely(lines, fits))
        return self._ranked(lines, typed) if len(typed) <= _MANY else list(typed)

    def is_whole(self, picked: Sequence[int]) -> bool:
        """Whether *picked* are all that fit, loosely or not: a longer word fits none of the others."""
        return not self.fuzzy or len(picked) < _FEW

    def _without_banned(self, lines: Sequence[str], among: Sequence[int]) -> Sequence[int]:
        for word in self.banned:
            among = [at for at in among if word not in lines[at]]
        return among

    def _loosely(self, lines: Sequence[str], among: Sequence[int]) -> list[int]:
        for letter in dict.fromkeys("".join(self.fuzzy)):
            among = [at for at in among if letter in lines[at]]
        score = self.score
        return list(islice((at for at in among if score(lines[at]) is not None), _MANY))

    def _ranked(self, lines: Sequence[str], fits: Sequence[int]) -> list[int]:
        if not self.fuzzy:
            return list(fits)
        return [at for _, at in sorted((self.score(lines[at]) or 0, at) for at in fits)]

    def marks(self, line: str) -> set[int]:
        """Which characters of *line* the filter fitted, for showing why it is there."""
        line = line.lower()
        found: set[int] = set()
        for word in self.exact:
            at = line.find(word)
            if at >= 0:
                found.update(range(at, at + len(word)))
        for word in self.fuzzy:
            at = line.find(word)
            if at >= 0:
                found.update(range(at, at + len(word)))
            elif match := _loose(word).search(line):
                found.update(match.start(n) for n in range(1, len(word) + 1))
        return found


def _loose(word: str) -> re.Pattern[str]:
    return re.compile(r"[^ ]*?".join(f"({re.escape(letter)})" for letter in word))


def _scorer(word: str) -> Callable[[str], int | None]:
    search = re.compile(r"[^ ]*?".join(re.escape(letter) for letter in word)).search
    length = len(word)

    def score(line: str) -> int | None:
        at = line.find(word)
        if at >= 0:
            starts_a_word = at == 0 or not line[at - 1].isalnum()
            return min(at, 200) if starts_a_word else 200 + min(at, 200)
        match = search(line)
        return None if match is None else _WORST + match.end() - match.start() - length

    return score
