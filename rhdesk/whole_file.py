"""Files that are there whole or not at all, whoever dies while they are written.

Written beside and renamed, readable by their owner only. Core and servlet both keep files this way.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write(file: Path, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
    """Put *pieces* into *file*, in place of what was there; its folder is made if need be.

    Raises:
        OSError: It could not be written; what was there is untouched.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = file.with_name(f".{secrets.token_hex(8)}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            for piece in pieces:
                opened.write(piece)
        beside.replace(file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
