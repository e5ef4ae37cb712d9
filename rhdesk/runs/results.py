"""Results of runs, kept by hash, so that they are there after the cluster is gone.

A result is kept as it came over the wire. Only what is plain is ever shown; a pickle is opened by
the user's own program, when it asks.
"""

from __future__ import annotations

import reprlib
import time
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from rhdesk import whole_file
from rhdesk.errors import NotFound, StoreUnwritable
from rhdesk.foreign import clean
from rhdesk.wire.payload import Payload
from rhdesk.wire.pickles import Buffer

KEEP_BYTES: Final = 16 * 1024 * 1024
"""A larger result is recorded as described, and not kept on the desk."""
TEXT: Final = 200
_YOUNG_S: Final = 3600.0
_LINGER_S: Final = 0.05
_SPELLED: Final = (type(None), bool, int, float, str, list, dict, tuple, set)
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 120
_short.maxlist = _short.maxdict = _short.maxtuple = 12


class Results:
    """Results by hash. Written by a thread of its own: a short call does not wait for the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer = ThreadPoolExecutor(1, "rhdesk-results")
        self._waiting: dict[str, bytes] = {}
        self._writing: Future[None] | None = None

    def close(self) -> None:
        """Write what waits.

        Raises:
            StoreUnwritable: A result could not be written.
        """
        self.flush()
        self._writer.shutdown(wait=True)

    def flush(self) -> None:
        try:
            self._store_waiting()
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise StoreUnwritable(f"{self._folder} cannot be written: {reason}") from exc

    def keep(self, body: Buffer) -> tuple[str, str]:
        """Keep a result; returns its hash, and what it is for a person.

        One that is too large to keep has no hash.
        """
        payload = Payload.read(body)
        nbytes = memoryview(body).nbytes
        if nbytes > KEEP_BYTES:
            return "", f"{describe(payload)} ({nbytes:,} bytes, too large to keep)"
        data = bytes(body)
        digest = sha256(data).hexdigest()
        self._waiting[digest] = data
        if self._writing is None or self._writing.done():
            self._writing = self._writer.submit(self._store_soon)
        return digest, describe(payload)

    def load(self, digest: str) -> Payload:
        """A result that was kept.

        Raises:
            NotFound: It was not, or retention has removed it.
        """
        self.flush()
        try:
            return Payload.read(self._file(digest).read_bytes())
        except FileNotFoundError:
            raise NotFound(digest[:12], kind="kept result") from None

    def keep_only(self, digests: set[str]) -> int:
        """Remove the results of no run; returns how many.

        One that is younger than an hour may belong to a run that is just being written down.
        """
        removed = 0
        old = time.time() - _YOUNG_S
        for file in self._folder.glob("??/*"):
            if file.name not in digests and file.stat().st_mtime < old:
                file.unlink(missing_ok=True)
                removed += 1
        return removed

    def _store_soon(self) -> None:
        """Let results gather: short calls come in swarms, often with the same result."""
        time.sleep(_LINGER_S)
        self._store_waiting()

    def _store_waiting(self) -> None:
        while self._waiting:
            digest, data = next(iter(self._waiting.items()))
            self._store(digest, data)
            self._waiting.pop(digest, None)

    def _store(self, digest: str, data: bytes) -> None:
        if not self._file(digest).exists():
            whole_file.write(self._file(digest), [data])

    def _file(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest


def describe(payload: Payload) -> str:
    """One encoded result for a person, without opening it."""
    value = payload.head.args[0]
    if value.encoding == "plain":
        return shorten(value.meta)
    if value.encoding == "tensor":
        dtype, shape = value.meta
        return f"array of {dtype.lstrip('<>|=')}, {' x '.join(str(n) for n in shape)}"
    if value.encoding == "arrow":
        return "table"
    if value.encoding == "bytes":
        return f"{payload.head.lengths[0]:,} bytes"
    return "Python object"


def shorten(value: Any) -> str:
    """`repr`, cut to what fits a line; of what may be large, its type and size."""
    if isinstance(value, _SPELLED):
        text = clean(_short.repr(value))
    elif isinstance(value, bytes | bytearray):
        text = f"{len(value):,} bytes"
    else:
        shape = getattr(value, "shape", None)
        text = clean(type(value).__name__ + (f" {shape}" if isinstance(shape, tuple) else ""))
    return text if len(text) <= TEXT else text[: TEXT - 1] + "…"
