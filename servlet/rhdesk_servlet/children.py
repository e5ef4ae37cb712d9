"""A child process read line by line, in a session that ends when its reader leaves."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import signal
from collections import deque
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rhdesk import processes
from rhdesk.foreign import clean

TAIL: Final = 40
"""Lines an error carries of what a command printed."""
_LINE_LIMIT: Final = 4096
_GRACE_S: Final = 1.0
"""Between asking a command to end and making it."""
_LOOK_S: Final = 0.1
"""How often a silent child is looked at; one that leaves a daemon behind never closes its pipe."""
_BREAK: Final = re.compile(r"\r\n|\n|\r")


class Child:
    """One command. stdout and stderr come as one stream, without control bytes.

    Args:
        keep_open: Descriptors the child inherits.
        keep: How many lines `tail` holds.

    Attributes:
        exit_code: Negative for a signal; None until `lines` has ended.
        tail: The last lines it printed, oldest first.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        keep_open: Sequence[int] = (),
        keep: int = TAIL,
    ) -> None:
        self._argv = tuple(argv)
        self._cwd = cwd
        self._env = env
        self._keep_open = tuple(keep_open)
        self.exit_code: int | None = None
        self.tail: deque[str] = deque(maxlen=keep)

    async def lines(self) -> AsyncGenerator[str]:
        """Start it and yield each line; leaving early ends all it started.

        Raises:
            OSError: It cannot be started.
        """
        read_end, write_end = os.pipe()
        # A pipe of our own, because asyncio's closes only when its last writer does, and a daemon
        # the command left behind may never.
        with os.fdopen(read_end, "rb") as pipe:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._argv,
                    cwd=self._cwd,
                    env=self._env,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=write_end,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=self._keep_open,
                )
            finally:
                os.close(write_end)
            leader = processes.find(process.pid)
            try:
                with _watched(pipe.fileno()) as reader:
                    async for line in _split(process, reader):
                        self.tail.append(line)
                        yield line
                self.exit_code = await process.wait()
            finally:
                if process.returncode is None and leader is not None:
                    await _end(process, leader)


@contextmanager
def _watched(fd: int) -> Generator[asyncio.StreamReader]:
    """A reader of a descriptor that stays its opener's.

    A pipe transport would take it over, and under uvloop close it twice: between the two another
    thread may have been given the same number.
    """
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)

    def readable() -> None:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        if data:
            reader.feed_data(data)
        else:
            reader.feed_eof()
            loop.remove_reader(fd)

    loop.add_reader(fd, readable)
    try:
        yield reader
    finally:
        loop.remove_reader(fd)


async def _split(
    process: asyncio.subprocess.Process, stdout: asyncio.StreamReader
) -> AsyncGenerator[str]:
    """Lines until the pipe closes, or until the process is gone and the pipe silent."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    held = ""
    while True:
        was_gone = process.returncode is not None
        try:
            async with asyncio.timeout(_LOOK_S):
                data = await stdout.read(65536)
        except TimeoutError:
            if was_gone:
                break
            continue
        if not data:
            break
        *lines, held = _BREAK.split(held + decoder.decode(data))
        for line in lines:
            if line.strip():
                yield clean(line[:_LINE_LIMIT])
        held = held[:_LINE_LIMIT]
    if held.strip():
        yield clean(held)


async def _end(process: asyncio.subprocess.Process, leader: processes.Process) -> None:
    """Ask everything the command started to end, then make it."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        processes.end([leader, *processes.family(leader)], how)
        try:
            async with asyncio.timeout(_GRACE_S):
                await process.wait()
        except TimeoutError:
            continue
