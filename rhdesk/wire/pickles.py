"""cloudpickle, in one place: what is pickled, and the only two doors through which it is opened.

`loads` runs code of whoever made the bytes. On the far side it is called in the worker process
and after authentication only; on this side only when the user's own program asks for a result.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle

from rhdesk.errors import CannotSend

Buffer = bytes | bytearray | memoryview


def dumps(value: Any, *, what: str = "a value") -> tuple[bytes, list[memoryview]]:
    """Pickle *value*; large buffers inside it stay out of band, uncopied.

    Raises:
        CannotSend: It cannot be pickled; the message names *what* and the reason.
    """
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _IN_BAND:
            return True
        buffers.append(view)
        return False

    try:
        return _dump(value, keep), buffers
    except Exception as exc:
        raise CannotSend(
            f"{what} of type {type(value).__qualname__} cannot be sent: {exc}"
        ) from exc


def loads(data: Buffer, buffers: Sequence[Buffer] = ()) -> Any:
    """Open a pickle. Only for bytes whose maker may run code in this process."""
    return pickle.loads(data, buffers=buffers)


def dump_by_value(value: Any, *, what: str) -> bytes:
    """Pickle a function or class together with its code, whatever module it is from.

    Raises:
        CannotSend: Something it refers to cannot be pickled.
    """
    try:
        return bytes(cloudpickle.dumps(value, protocol=5))
    except Exception as exc:
        raise CannotSend(f"{what} cannot be sent: {exc}") from exc


_IN_BAND = 4096
"""Bytes below which a buffer is cheaper inside the pickle."""


def _dump(value: Any, keep: Callable[[pickle.PickleBuffer], bool]) -> bytes:
    # The C pickler is ten times faster and enough for whatever both sides can import; what it
    # refuses (lambdas, classes of __main__) or would send as a name of __main__ needs cloudpickle.
    try:
        data = pickle.dumps(value, protocol=5, buffer_callback=keep)
    except Exception:  # noqa: BLE001 -- cloudpickle gets its turn and says what is wrong
        return bytes(cloudpickle.dumps(value, protocol=5, buffer_callback=keep))
    if b"__main__" in data:
        return bytes(cloudpickle.dumps(value, protocol=5, buffer_callback=keep))
    return data
