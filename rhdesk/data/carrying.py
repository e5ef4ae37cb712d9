"""Files one after the other over one line: each written beside what it will be, and renamed.

A frame is a line of JSON that says what comes, pieces with their lengths in front, a length of 0,
and the SHA-256 of the pieces. Both ends speak it by this file; its text is what runs on the host, in
any Python from 3.8 on, with nothing but its standard library.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

PIECE = 1 << 20
_LENGTH = struct.Struct(">I")
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Cut(Exception):
    """The other end stopped in the middle, or what came is not what was sent."""


def send(
    write: Callable[[bytes], object],
    head: dict[str, Any],
    file: BinaryIO,
    tell: Callable[[int], object] = lambda _: None,
) -> int:
    """Write a frame of what is left to read of *file*; returns how many bytes that was.

    Args:
        tell: Hears how many have gone; what it raises ends it.
    """
    write(json.dumps(head).encode() + b"\n")
    digest, sent = hashlib.sha256(), 0
    while True:
        piece = file.read(PIECE)
        write(_LENGTH.pack(len(piece)))
        if not piece:
            write(digest.digest())
            return sent
        digest.update(piece)
        write(piece)
        sent += len(piece)
        tell(sent)


def head_of(reading: BinaryIO) -> dict[str, Any]:
    """What the next frame says of itself.

    Raises:
        Cut: There is none.
    """
    line = reading.readline()
    if not line.endswith(b"\n"):
        raise Cut("the line ended")
    head: dict[str, Any] = json.loads(line.decode())
    return head


def receive(
    reading: BinaryIO,
    path: str,
    part: str,
    start: int,
    mode: int,
    tell: Callable[[int], object] = lambda _: None,
) -> int:
    """Write what comes as *path*, once all of it has; returns how many bytes came.

    Args:
        part: What it is written to: of an earlier try it holds *start* bytes that are right.
        mode: Its permissions; 0 leaves them to the system.

    Raises:
        Cut: Not all came; what did is in *part*. Or it is not what was sent, and is gone.
        OSError: It cannot be written; of a disk that is full nothing is left behind.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (0 if start else os.O_TRUNC)
    try:
        fd = os.open(part, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(part), exist_ok=True)
        fd = os.open(part, flags, 0o666)
    try:
        if start:
            os.ftruncate(fd, start)
            os.lseek(fd, start, os.SEEK_SET)
        digest, came = hashlib.sha256(), 0
        while True:
            (size,) = _LENGTH.unpack(_exactly(reading, _LENGTH.size))
            if not size:
                break
            piece = _exactly(reading, size)
            digest.update(piece)
            written = 0
            while written < size:
                written += os.write(fd, piece[written:] if written else piece)
            came += size
            tell(came)
        if _exactly(reading, digest.digest_size) != digest.digest():
            os.unlink(part)
            raise Cut("what arrived is not what was sent")
        if mode:
            os.fchmod(fd, mode)
    except OSError as exc:
        if exc.errno in _FULL:
            os.unlink(part)
        raise
    finally:
        os.close(fd)
    try:
        os.rename(part, path)
    except OSError:
        os.unlink(part)
        raise
    return came


def _exactly(reading: BinaryIO, size: int) -> bytes:
    data = reading.read(size)
    if len(data) != size:
        raise Cut("the line ended")
    return data


def seen(path: str) -> tuple[int, int]:
    """Bytes and permissions of a file; -1 where nothing is, -2 where something else is."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return -1, 0
    if not os.path.isfile(path):
        return -2, 0
    return found.st_size, found.st_mode & 0o777


def sha256(path: str, size: int = -1) -> str:
    """Of a file, or of its first *size* bytes."""
    digest = hashlib.sha256()
    with open(path, "rb", 0) as file:
        while size:
            piece = file.read(PIECE if size < 0 else min(PIECE, size))
            if not piece:
                break
            digest.update(piece)
            size -= len(piece) if size > 0 else 0
    return digest.hexdigest()


def serve() -> None:
    """Answer questions, one a line, each with a line; and carry files both ways."""
    with open(0, "rb", PIECE, closefd=False) as asked, open(1, "wb", PIECE, closefd=False) as out:
        out.write(b"ready\n")
        out.flush()
        while _answer(asked, out):
            pass


def _answer(reading: BinaryIO, out: BinaryIO) -> bool:
    """Answer the next question; false after the last."""
    line = reading.readline()
    if not line:
        return False
    asked = json.loads(line.decode())
    said: dict[str, Any] = {}
    path = ""
    try:
        if asked["do"] == "seen":
            said = {"seen": [seen(each) for each in asked["paths"]]}
        elif asked["do"] == "hashes":
            said = {"hashes": [sha256(each, size) for each, size in asked["paths"]]}
        elif asked["do"] == "take":
            count = 0
            while True:
                head = head_of(reading)
                if not head:
                    break
                path = head["path"]
                receive(reading, path, head["part"], head["start"], head["mode"])
                count += 1
            said = {"count": count}
        else:
            for path, start in asked["paths"]:
                with open(path, "rb", 0) as file:
                    file.seek(start)
                    send(out.write, {"mode": os.fstat(file.fileno()).st_mode & 0o777}, file)
    except Cut:
        return False
    except OSError as exc:
        said = {"errno": exc.errno, "failed": exc.strerror or str(exc), "path": path}
    out.write(json.dumps(said).encode() + b"\n")
    out.flush()
    return "failed" not in said  # what is still on the line is of no use then
