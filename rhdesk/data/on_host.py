"""What a host does with its own files, by a program there: hash them, and move them to and from a
bucket over addresses that are signed here. Blocking.
"""

from __future__ import annotations

from typing import Any, BinaryIO, Final, Protocol

import msgspec

from rhdesk.errors import ConnectionFailed, RhdeskError
from rhdesk.foreign import clean

PROGRAM: Final = r"""
import base64, hashlib, http.client, json, os, sys, urllib.parse

PIECE = 1 << 20

def hashes(path, kind):
    seen = hashlib.new(kind)
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(PIECE), b""):
            seen.update(piece)
    return {"hash": seen.hexdigest(), "size": os.stat(path).st_size}

def line_to(url):
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.netloc, timeout=20), parts.path + "?" + parts.query

def answered(answer):
    said = answer.read(500).decode("utf-8", "replace")
    if answer.status >= 300:
        raise OSError("HTTP %d: %s" % (answer.status, said))

def up(path, url, headers):
    line, target = line_to(url)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        line.request("PUT", target, body=file, headers=dict(headers, **{"Content-Length": str(size)}))
        answered(line.getresponse())
    return {}

def down(path, url, md5):
    line, target = line_to(url)
    line.request("GET", target)
    answer = line.getresponse()
    if answer.status >= 300:
        answered(answer)
    seen = hashlib.md5()
    try:
        with open(path, "wb") as file:
            for piece in iter(lambda: answer.read(PIECE), b""):
                seen.update(piece)
                file.write(piece)
        if seen.hexdigest() != md5:
            raise OSError("it did not arrive as it is in the bucket")
    except BaseException:
        os.unlink(path)
        raise
    return {}

sys.stdout.write("ready\n")
sys.stdout.flush()
for asked in sys.stdin:
    asked = json.loads(asked)
    try:
        done = globals()[asked.pop("do")](**asked)
    except Exception as exc:
        done = {"failed": "%s: %s" % (type(exc).__name__, exc)}
    sys.stdout.write(json.dumps(done) + "\n")
    sys.stdout.flush()
"""


WINDOW: Final = 8 << 20
"""What a program may say that nobody has read yet: enough for 160 MB a second at 50 ms, and of a
stream no more than a few batches. Of a larger one the library moves all at each read."""


class Talks(Protocol):
    """A program that runs on a host, spoken to in lines. Blocking."""

    def ask(self, line: bytes) -> bytes:
        """The line it answers with.

        Raises:
            ConnectionFailed: It has ended; the message holds what it said.
        """
        ...

    def send(self, data: bytes) -> None:
        """To its standard input.

        Raises:
            ConnectionFailed: It takes no more.
        """
        ...

    def rest(self) -> BinaryIO:
        """All it says from here on, for one that answers with more than a line."""
        ...

    def close(self) -> None: ...


class Start(Protocol):
    """Has a Python program run on a host."""

    def __call__(self, source: str, needs: str = "", window: int | None = None) -> Talks:
        """
        Args:
            needs: A module that the Python it runs in must have.
            window: Bytes it may say that nobody has read yet.

        Raises:
            ConnectionFailed: It does not start; the message holds what the host said.
        """
        ...


class NotThere(RhdeskError):
    """The host cannot do it; the message says why. It is done from here then."""


class OnHost:
    """The program, started when it is first needed."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._talks: Talks | None = None
        self._why_not = ""

    def close(self) -> None:
        if self._talks is not None:
            self._talks.close()

    def start(self, source: str) -> Talks:
        """Another program there; whoever asks for it closes it.

        Raises:
            NotThere: The host has no Python for it.
        """
        try:
            return self._start(source, window=WINDOW)
        except ConnectionFailed as exc:
            raise NotThere(str(exc)) from exc

    def ask(self, **asked: Any) -> dict[str, Any]:
        """Have it do something.

        Raises:
            NotThere: It could not, or there is no program.
        """
        if self._why_not:
            raise NotThere(self._why_not)
        try:
            if self._talks is None:
                self._talks = self._start(PROGRAM)
            answer = self._talks.ask(msgspec.json.encode(asked) + b"\n")
            said = msgspec.json.decode(answer, type=dict[str, Any])
        except (ConnectionFailed, msgspec.DecodeError) as exc:
            self._why_not = str(exc)
            raise NotThere(self._why_not) from exc
        if "failed" in said:
            raise NotThere(clean(str(said["failed"])))
        return said
