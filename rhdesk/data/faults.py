"""What filesystems raise, as what a caller can do about it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Generator
from contextlib import contextmanager

from rhdesk.errors import (
    AlreadyExists,
    BadInput,
    ConnectionFailed,
    NotFound,
    Refused,
    RhdeskError,
    StoreUnwritable,
)

_log = logging.getLogger(__name__)
_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def told(what: object) -> Generator[None]:
    """Errors about *what* come out as ours; a driver may raise anything."""
    try:
        yield
    except RhdeskError:
        raise
    except Exception as exc:
        raise _as_ours(what, exc) from exc


def _as_ours(what: object, exc: Exception) -> RhdeskError:
    match exc:
        case FileNotFoundError():
            return NotFound(str(what), kind="file or folder")
        case PermissionError():
            return Refused(f"{what}: not permitted ({exc})")
        case FileExistsError():
            return AlreadyExists(f"{what} is there already")
        case IsADirectoryError():
            return BadInput(f"{what} is a folder")
        case NotADirectoryError():
            return BadInput(f"{what}: a part of this path is no folder")
        case NotImplementedError():
            return BadInput(f"{what}: this system cannot do that")
        case OSError() if exc.errno in _FULL:
            return StoreUnwritable(f"{what} cannot be written: {exc.strerror}")
        case OSError() if exc.errno == errno.EROFS:
            return StoreUnwritable(f"{what} cannot be written: {exc.strerror}")
        case _:
            _log.warning("%s: %s: %s", what, type(exc).__name__, exc)
            return ConnectionFailed(f"{what}: {type(exc).__name__}: {exc}")
