"""Which run this code is part of: what it saves, and what it starts, is that run's doing.

A worker says so before it runs a call. In its own process each call has its own answer, also where
several run side by side; programs it starts read a variable of the environment.
"""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from typing import Final

RUN_ID: Final = "RHDESK_RUN_ID"
"""The variable."""

_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")

here: Final[ContextVar[str]] = ContextVar("rhdesk_run", default="")
"""Set by whoever runs a call in this process."""


def current_run() -> str:
    """The run's id; "" where a person or a program of their own is at work."""
    found = here.get() or os.environ.get(RUN_ID, "")
    return found if is_run_id(found) else ""


def is_run_id(text: str) -> bool:
    return _WORD.fullmatch(text) is not None
