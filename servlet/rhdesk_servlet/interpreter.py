"""An interpreter and its variables, in which workers are forked: a zygote, as its env servlet sees it.

When the packages of an environment change, the env servlet stays and takes on another interpreter:
new workers come from the new one, those of the old finish their calls.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final

from rhdesk.redaction import Redaction
from rhdesk.wire.secrets import FOLDER
from rhdesk_servlet import channel, zygote
from rhdesk_servlet.delivery import given_in


class Interpreter:
    """A running zygote.

    Args:
        heard: Is told of each worker that was forked or died.
        lost: Is told when the zygote is gone without having been closed, its workers with it.
    """

    def __init__(
        self,
        python: str,
        env_vars: dict[str, str],
        heard: Callable[[Interpreter, zygote.News], None],
        lost: Callable[[Interpreter], None],
    ) -> None:
        self.python: Final = python
        self.env_vars: Final = env_vars
        self.redaction: Final = Redaction(given_in(env_vars.get(FOLDER, "")).values)
        """Takes out of what is printed what it was given in secret."""
        self.is_closed = False
        self.is_being_readied = True
        """It may be taken on any moment: what is ready in it stays, though nobody calls it yet."""
        self._heard = heard
        self._lost = lost
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._control: socket.socket
        self._process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start the zygote.

        Raises:
            OSError: There is no such interpreter.
        """
        ours, theirs = channel.pair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                self.python,
                "-m",
                "rhdesk_servlet.zygote",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                env=os.environ | self.env_vars,
                stdin=asyncio.subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._hear)

    async def ready(self) -> bool:
        """Whether it came up; a zygote can be asked to fork before it did."""
        return await self._ready

    def fork(self, worker_id: str, folder: str, end: socket.socket) -> None:
        """Have a worker forked that serves *end*."""
        asked = zygote.encode(zygote.Fork(worker_id, folder))
        self._control.setblocking(True)
        socket.send_fds(self._control, [asked], [end.fileno()])
        self._control.setblocking(False)

    def close(self) -> None:
        """Let the zygote end, and with it what it forked."""
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()

    async def wait(self) -> None:
        """Return once a closed zygote is gone."""
        await self._process.wait()

    def _hear(self) -> None:
        while not self.is_closed:
            try:
                data = self._control.recv(65536)
            except BlockingIOError:
                return
            if not data:
                self.close()
                self._is_up(False)
                self._lost(self)
                return
            self._is_up(True)
            self._heard(self, zygote.decode_news(data))

    def _is_up(self, up: bool) -> None:
        if not self._ready.done():
            self._ready.set_result(up)
