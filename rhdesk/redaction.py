"""Takes secrets out of text before anybody else sees it: whole, line by line, or as it is
spelled in JSON, Python, a URL or base64.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

_SHORTEST: Final = 6
"""What is shorter stands in too many other words: a region, a user's name."""
_SHORTEST_LINE: Final = 16


class Redaction:
    """Args:
    values: What must not be seen, by what stands in its place.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._names: dict[str, str] = {}
        for name, value in values.items():
            for spelled in _spellings(value):
                self._names.setdefault(spelled, name)
        # The longest first: a key that begins another one must not leave the rest of it.
        longest = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest))) if longest else None

    def __call__(self, text: str) -> str:
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: f"[secret {self._names[found[0]]}]", text)

    def is_in(self, data: bytes) -> bool:
        """Whether bytes hold one of them."""
        return any(spelled.encode() in data for spelled in self._names)


def _spellings(value: str) -> Iterator[str]:
    whole = value.strip()
    if len(whole) < _SHORTEST:
        return
    yield whole
    yield msgspec.json.encode(whole).decode()[1:-1]
    yield repr(whole)[1:-1]
    yield b64encode(value.encode()).decode()
    yield quote(whole, safe="")
    lines = whole.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line.strip()) >= _SHORTEST_LINE)
