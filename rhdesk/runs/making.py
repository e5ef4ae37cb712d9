"""A run as it is before it is sent."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from rhdesk.current_run import current_run
from rhdesk.errors import BadName
from rhdesk.foreign import clean
from rhdesk.models import Name, Run
from rhdesk.runs.results import TEXT, shorten
from rhdesk.wire.payload import Payload, size

_HASHED_BYTES: Final = 4 * 1024 * 1024
"""Arguments above this are not hashed: the call must not wait for it."""
KEEP: Final = "keep"
PARENT: Final = "parent"
"""Members of a run's origin: the key its result stays under, and the run that started it."""
_origin: Final[dict[str, Any]] = {
    "pid": os.getpid(),
    "program": clean(os.path.basename(sys.argv[0] or "python")),
}


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
    keep: str = "",
) -> Run:
    origin = _origin
    if keep:
        origin = origin | {KEEP: clean(keep)}
    if parent := current_run():
        origin = origin | {PARENT: parent}
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
        origin=origin,
    )


@lru_cache(maxsize=256)
def cluster_name(key: str) -> str:
    """The full name of a cluster, as lineage has it: ``~/here``."""
    try:
        return str(Name.parse(key))
    except BadName:
        return key


def kept_name(cluster: str, key: str) -> str:
    """What lineage calls a value kept on a cluster: ``here:key``."""
    return f"{cluster}:{clean(key)}"


def _inputs_text(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    parts = [shorten(arg) for arg in args[:8]]
    parts += [f"{key}={shorten(value)}" for key, value in list(kwargs.items())[:8]]
    text = ", ".join(parts)
    return text if len(text) <= TEXT else text[: TEXT - 1] + "…"
