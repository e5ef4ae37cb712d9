"""Files that are there whole or not at all, whoever dies while they are written.

Written beside and renamed, readable by their owner only. Core and servlet both keep files this way.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write(
    file: Path, pieces: Iterable[bytes | bytearray | memoryview], *, durable: bool = False
) -> None:
    """Put *pieces* into *file*, in place of what was there; its folder is made if need be.

    Args:
        durable: Return when a power cut can no longer undo it.

    Raises:
        OSError: It could not be written; what was there is untouched.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = file.with_name(f".{secrets.token_hex(8)}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            for piece in pieces:
                opened.write(piece)
            if durable:
                opened.flush()
                os.fsync(opened.fileno())
        beside.replace(file)
        if durable:
            flush_folder(file.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def flush_folder(folder: Path) -> None:
    """See that a power cut can no longer undo what was renamed or removed in *folder*."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
