"""The first program on a host: started through a shell that may be any, then told what to do.

The host runs ``/bin/sh`` without arguments, so that no login shell has anything to quote; the script
comes over standard input, and what was printed before its mark is not looked at.
"""

from __future__ import annotations

import hashlib
import secrets
import shlex
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
from anyio import to_thread

from rhdesk.clusters.bootstrap.pythons import ASKED, NAMES, PLACES, Python, chosen, judged
from rhdesk.clusters.servlet_code import program as source_of
from rhdesk.clusters.ssh.connection import Connection, Exec
from rhdesk.errors import ConnectionFailed, SetupFailed
from rhdesk.foreign import clean

_SHELL_S: Final = 8.0
_LONGEST_LINE: Final = 1 << 24
_PIECE: Final = 1 << 20

_LOADER: Final = (
    "import sys; print(sys.argv[1], 'hears', flush=True); b = sys.stdin.buffer;"
    "exec(compile(b.read(int(b.readline())), 'first', 'exec'))"
)
"""Reads a program of so many bytes from standard input and runs it; the rest is the program's. It is
sent when this is heard: what came earlier the shell might take for its own."""

Told = Callable[[str], None]


class Hand:
    """The program, running; one request at a time."""

    def __init__(self, running: Exec, lines: AsyncGenerator[bytes], python: Python) -> None:
        self._running = running
        self._lines = lines
        self.python = python

    async def ask(self, verb: str, tell: Told | None = None, **asked: Any) -> Any:
        """Have it do something.

        Args:
            tell: Hears each line a program prints.

        Raises:
            SetupFailed: It could not; the message says why, in the host's words.
            ConnectionFailed: The line broke.
        """
        await self._running.write(msgspec.json.encode({"verb": verb, **asked}) + b"\n")
        return await self._answer(tell)

    async def put(
        self, file: Path, path: str, *, tell: Callable[[int], None] | None = None
    ) -> None:
        """Send a file; it is there whole, and verified, or not at all.

        Args:
            tell: Hears how many bytes have gone.
        """
        digest = await to_thread.run_sync(_digest, file)
        size = await to_thread.run_sync(lambda: file.stat().st_size)
        asked = {"verb": "put", "path": path, "size": size, "sha256": digest}
        await self._running.write(msgspec.json.encode(asked) + b"\n")
        gone = 0
        async with await anyio.open_file(file, "rb") as opened:
            while data := await opened.read(_PIECE):
                await self._running.write(data)
                gone += len(data)
                if tell is not None:
                    tell(gone)
        await self._answer(None)

    async def run(
        self, command: Sequence[str], tell: Told | None = None, **more: Any
    ) -> tuple[int, list[str]]:
        """Run a program on the host: its exit code, and its last lines."""
        kept: list[str] = []

        def heard(line: str) -> None:
            kept.append(line)
            del kept[:-40]
            if tell is not None:
                tell(line)

        code = await self.ask("run", heard, command=list(command), **more)
        return int(code), kept

    async def _answer(self, tell: Told | None) -> Any:
        async for line in self._lines:
            try:
                said = msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.DecodeError:
                continue
            if "line" in said:
                if tell is not None:
                    tell(clean(str(said["line"])))
            elif "failed" in said:
                raise SetupFailed(clean(str(said["failed"])))
            elif "done" in said:
                return said["done"]
        raise ConnectionFailed(f"the program on the host ended: {self._running.errors()}")


@asynccontextmanager
async def hand_on(
    connection: Connection, *, python: str = "", prelude: Sequence[str] = (), like: tuple[int, int]
) -> AsyncGenerator[Hand]:
    """Start the program on a host; it ends with the context.

    Args:
        python: The interpreter somebody asked for.
        prelude: Shell lines in front: ``module load python``.
        like: The minor version to prefer: this desk's own.

    Raises:
        SetupFailed: The shell does not answer as one, or there is no Python that can be used.
    """
    mark = f"rhdesk-{secrets.token_hex(8)}"
    async with connection.run("/bin/sh") as running:
        lines = _bounded(running)
        await running.write(_script(mark, python, prelude).encode())
        seen = await _pythons(connection, running, lines, mark)
        used = chosen(seen, host=connection.target.host, like=like)
        source = source_of("first.py")
        await running.write(
            f"exec {shlex.quote(used.path)} -u -c {shlex.quote(_LOADER)} {mark}\n".encode()
        )
        await _heard(connection, running, lines, f"{mark} hears")
        program = source + f"\nmain({mark!r})\n".encode()
        await running.write(f"{len(program)}\n".encode() + program)
        await _heard(connection, running, lines, f'"{mark}"')
        yield Hand(running, lines, used)


def _script(mark: str, python: str, prelude: Sequence[str]) -> str:
    """Shell that marks where it begins, and asks every Python it finds what it is."""
    tried = " ".join(NAMES)
    places = " ".join(PLACES)
    first = f"ask {shlex.quote(python)}" if python else ":"
    return "\n".join(
        [
            "unset PYTHONPATH PYTHONHOME PYTHONSTARTUP",
            f"printf '\\n%s begins\\n' {mark}",
            *prelude,
            f"asked={shlex.quote(ASKED)}",
            "ask() {",
            '  case " $seen " in *" $1 "*) return;; esac',
            '  seen="$seen $1"',
            f"  printf '%s python %s=' {mark} \"$1\"",
            '  said=$("$1" -c "$asked" 2>&1 </dev/null) || said="${said:-exit code $?}"',
            "  printf '%s\\n' \"$said\" | head -n 1",
            "}",
            "seen=",
            first,
            'PATH="$PATH:/usr/local/bin:/usr/bin:/bin:$HOME/.local/bin"',
            f"for name in {tried} python3 python; do",
            '  found=$(command -v "$name" 2>/dev/null) && case "$found" in /*) ask "$found";; esac',
            "done",
            f"for found in {places}; do",
            '  case "$found" in *config|*-config|*m) continue;; esac',
            '  [ -f "$found" ] && ask "$found"',
            "done",
            f"printf '%s ends\\n' {mark}",
            "",
        ]
    )


async def _pythons(
    connection: Connection, running: Exec, lines: AsyncGenerator[bytes], mark: str
) -> list[Python]:
    """What the shell found; whatever it said before its mark is noise."""
    found: list[Python] = []
    noise: list[str] = []
    begun = False
    try:
        with anyio.fail_after(_SHELL_S):
            async for line in lines:
                text = line.decode("utf-8", "replace")
                if f"{mark} begins" in text:
                    begun = True
                elif f"{mark} ends" in text:
                    return found
                elif begun and text.startswith(f"{mark} python "):
                    path, _, said = text.removeprefix(f"{mark} python ").partition("=")
                    found.append(judged(clean(path), clean(said)))
                elif not begun:
                    noise.append(clean(text))
    except TimeoutError:
        pass
    host = connection.target.host
    code = await running.wait() if not begun else -1
    said = " ".join([*noise[-3:], running.errors()]).strip()[:300]
    raise SetupFailed(
        f"no shell answers on {host}"
        + (f" (it ended with {code})" if code > 0 else "")
        + f": {said or 'it said nothing'}. Is this account allowed to log in? Try: ssh {host} true"
    )


async def _heard(
    connection: Connection, running: Exec, lines: AsyncGenerator[bytes], word: str
) -> None:
    """Wait for a line with *word* in it."""
    try:
        with anyio.fail_after(_SHELL_S):
            async for line in lines:
                if word.encode() in line:
                    return
    except TimeoutError:
        pass
    raise SetupFailed(
        f"the Python of {connection.target.host} does not run our program: "
        f"{running.errors() or 'it said nothing'}"
    )


async def _bounded(running: Exec) -> AsyncGenerator[bytes]:
    async for line in running.lines():
        if len(line) > _LONGEST_LINE:
            raise SetupFailed("the host sent a line without an end")
        yield line


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
