"""Results for callers that open no pickles: the command line, the terminal desk, curl."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from rhdesk.wire.payload import is_plain

MOST: Final = 10_000
"""Members of an array or rows of a table that are spelled out; a larger one is described."""


def as_plain(value: Any) -> Any:
    """*value* in words JSON has; what has none is described by its type and `repr`."""
    if is_plain(value):
        return value
    try:
        return _with_lists(msgspec.to_builtins(value, enc_hook=_hook, str_keys=True))
    except (TypeError, ValueError, NotImplementedError):
        return described(value)


def described(value: Any) -> dict[str, str]:
    """Type and `repr`, for a value that only Python can hold."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    try:
        text = repr(value)
    except Exception as exc:  # noqa: BLE001 -- __repr__ is the user's code
        text = f"(its repr failed: {exc!r})"
    return {"type": kind, "repr": text[:20_000]}


def _with_lists(value: Any) -> Any:
    """JSON has no tuples and no sets."""
    if isinstance(value, dict):
        return {key: _with_lists(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_with_lists(each) for each in value]
    return value


def _hook(value: Any) -> Any:
    module, _, _ = type(value).__module__.partition(".")
    if module == "numpy":
        if value.size > MOST:
            return described(value)
        return value.tolist()
    if module == "pandas" and hasattr(value, "to_dict") and len(value) <= MOST:
        frame = value.to_frame() if value.ndim == 1 else value
        return frame.to_dict(orient="records")
    if module == "pyarrow" and hasattr(value, "to_pylist") and len(value) <= MOST:
        return value.to_pylist()
    return described(value)
