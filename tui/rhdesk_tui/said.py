"""What has been said to the user, kept: a toast vanishes, its text does not."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

Severity = Literal["information", "warning", "error"]
KEPT: Final = 500


@dataclass(frozen=True)
class Said:
    at: datetime
    """UTC."""
    severity: Severity
    text: str


class SaidLog:
    """The last few hundred things said, oldest first."""

    def __init__(self) -> None:
        self._kept: deque[Said] = deque(maxlen=KEPT)

    def add(self, said: Said) -> None:
        self._kept.append(said)

    def __len__(self) -> int:
        return len(self._kept)

    def newest_first(self) -> list[Said]:
        return list(reversed(self._kept))
