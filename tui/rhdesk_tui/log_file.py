"""A log written to a file, page by page, however long it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from rhdesk.errors import AlreadyExists, StoreUnwritable
from rhdesk.models import LogLine

_PAGE: Final = 5_000

Fetch = Callable[[int, int], Awaitable[Sequence[LogLine]]]


async def save_log(fetch: Fetch, total: int, path: Path, progress: Callable[[int], None]) -> int:
    """Write *total* lines to *path*; returns how many bytes that took.

    The file appears under its name only when it is whole.

    Raises:
        AlreadyExists: There is a file of that name; nothing is overwritten.
        StoreUnwritable: The folder cannot be written, or the disk is full.
    """
    if await asyncio.to_thread(path.exists):
        raise AlreadyExists(f"{path} exists; choose another name")
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    written = 0
    try:
        file = await asyncio.to_thread(beside.open, "wb")
        try:
            for start in range(0, total, _PAGE):
                lines = await fetch(start, min(start + _PAGE, total))
                data = "".join(f"{line.text}\n" for line in lines).encode()
                await asyncio.to_thread(file.write, data)
                written += len(data)
                progress(start + len(lines))
        finally:
            await asyncio.to_thread(file.close)
        await asyncio.to_thread(beside.rename, path)
    except OSError as exc:
        raise StoreUnwritable(f"cannot write {path}: {exc.strerror or exc}") from exc
    finally:
        beside.unlink(missing_ok=True)
    return written
