"""A run as it is before it is sent."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rhdesk.foreign import clean
from rhdesk.models import Run
from rhdesk.runs.results import TEXT, shorten
from rhdesk.wire.payload import Payload, size

_HASHED_BYTES: Final = 4 * 1024 * 1024
"""Arguments above this are not hashed: the call must not wait for it."""
_origin: Final = {"pid": os.getpid(), "program": clean(os.path.basename(sys.argv[0] or "python"))}


def new_run_id() -> str:
    """A fresh id: 32 hex digits that sort by time, to the millisecond."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def new_run(
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    payload: Payload,
    *,
    method: str,
    on: str,
    env: str,
    tree: str,
    run_id: str = "",
) -> Run:
    small = size(payload.buffers) <= _HASHED_BYTES
    return Run(
        run_id=run_id or new_run_id(),
        function=name,
        method=method or "call",
        cluster=on,
        env=env,
        submitted_at=datetime.now(UTC),
        code_tree=tree,
        inputs=payload.digest() if small else "",
        inputs_text=_inputs_text(args, kwargs),
        origin=_origin,
    )


def _inputs_text(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    parts = [shorten(arg) for arg in args[:8]]
    parts += [f"{key}={shorten(value)}" for key, value in list(kwargs.items())[:8]]
    text = ", ".join(parts)
    return text if len(text) <= TEXT else text[: TEXT - 1] + "…"
