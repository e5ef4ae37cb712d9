"""One authenticated connection to one host, everything multiplexed over it.

paramiko is named in this folder alone. It works in threads: what may wait is lifted into one, and an
event loop waits for a channel's data by its file descriptor, so that no thread is held for somebody
who only listens.
"""

from __future__ import annotations

import asyncio
import io
import shlex
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, BinaryIO, Final, cast

import anyio
import paramiko
from anyio import to_thread
from paramiko.channel import Channel
from paramiko.transport import Transport

from rhdesk.clusters.bootstrap import ROOTS
from rhdesk.clusters.ssh.config import Target
from rhdesk.errors import ConnectionFailed
from rhdesk.foreign import clean

_SESSIONS: Final = 8
"""Sessions at once; OpenSSH allows ten, and one that allows fewer is asked again."""
_PIECE: Final = 1 << 18
_START: Final = r"""
for each in python3 python {venvs}; do
  if "$each" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec(sys.argv[1]))' {needs} \
      2>/dev/null; then
    exec "$each" -u -c {source}
  fi
done
echo "no Python there has "{needs} >&2
exit 1
"""
_VENVS: Final = " ".join(f"{root}/venvs/*/bin/python" for root in ROOTS).format(uid="$(id -u)")
_ADMINISTRATIVELY: Final = 1
_CONNECT_FAILED: Final = 2


class Connection:
    """An open connection. Made by `rhdesk.clusters.ssh.opening`."""

    def __init__(self, target: Target, transport: Transport, below: Connection | None) -> None:
        self.target = target
        self._transport = transport
        self._below = below
        """The connection this one goes through."""
        self._sessions = threading.BoundedSemaphore(_SESSIONS)

    @property
    def is_open(self) -> bool:
        return bool(self._transport.is_active())

    @property
    def software(self) -> str:
        """What the server says it is."""
        return clean(str(self._transport.remote_version))[:100]

    def close(self) -> None:
        self._transport.close()
        if self._below is not None:
            self._below.close()

    # ---- channels

    def dial(self, address: str) -> Stream:
        """A stream to ``host:port`` as the host sees it; no port is opened here. Blocking.

        Raises:
            ConnectionFailed: Nobody listens there, the host forbids forwarding, or the line is
                gone.
        """
        host, _, port = address.rpartition(":")
        try:
            channel = self._transport.open_channel(
                "direct-tcpip", (host, int(port)), ("127.0.0.1", 0), timeout=self.target.timeout_s
            )
        except paramiko.ChannelException as exc:
            if exc.code == _ADMINISTRATIVELY:
                raise ConnectionFailed(
                    f"{self.target.host} forbids forwarding, which the servlets are reached by; "
                    "allow it for this user in its sshd_config: AllowTcpForwarding yes"
                ) from exc
            raise ConnectionFailed(
                f"nobody listens on {address} of {self.target.host}"
                if exc.code == _CONNECT_FAILED
                else f"{self.target.host} opened no channel to {address}: {exc.text}"
            ) from exc
        except (paramiko.SSHException, OSError, EOFError) as exc:
            raise ConnectionFailed(
                f"the connection to {self.target.host} broke: {told(exc)}"
            ) from exc
        return Stream(channel)

    def program(self, source: str, needs: str = "", window: int | None = None) -> Program:
        """Have a Python program run on the host, spoken to in lines. Blocking.

        Args:
            needs: A module its Python must have; those of environments made there are tried too.
            window: Bytes it may say that nobody has read yet; what this connection grants otherwise.

        Raises:
            ConnectionFailed: It does not start: there is no such Python, or the line is gone.
        """
        start = _START.format(
            source=shlex.quote(source), needs=shlex.quote(needs or "sys"), venvs=_VENVS
        )
        channel = self._session("/bin/sh", pty=False, window=window)
        return Program(channel, start, self._sessions.release, window)

    @asynccontextmanager
    async def run(self, command: str, *, pty: bool = False) -> AsyncGenerator[Exec]:
        """Run a command on the host; leaving the context ends it.

        Raises:
            ConnectionFailed: The line is gone, or the host opens no session.
        """
        channel = await to_thread.run_sync(self._session, command, pty)
        running = Exec(channel, self.target.host)
        try:
            yield running
        finally:
            await to_thread.run_sync(channel.close)
            self._sessions.release()

    def shell(self, *, width: int, height: int, term: str, command: str = "") -> Channel:
        """A login shell, or a command, on a terminal. Blocking; whoever holds it closes it."""
        channel = self._open_session()
        channel.get_pty(term, width, height)
        if command:
            channel.exec_command(command)
        else:
            channel.invoke_shell()
        return channel

    def files(self) -> paramiko.SFTPClient:
        """The host's files. Blocking.

        Raises:
            ConnectionFailed: It has no sftp.
        """
        channel = self._open_session()
        try:
            channel.invoke_subsystem("sftp")
            return paramiko.SFTPClient(channel)
        except (paramiko.SSHException, OSError, EOFError) as exc:
            channel.close()
            raise ConnectionFailed(
                f"{self.target.host} has no sftp, which files are copied with: {told(exc)}; "
                "its sshd_config lacks: Subsystem sftp internal-sftp"
            ) from exc
        finally:
            self._sessions.release()

    def _session(self, command: str, pty: bool, window: int | None = None) -> Channel:
        channel = self._open_session(window)
        try:
            if pty:
                channel.get_pty()
            channel.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as exc:
            channel.close()
            self._sessions.release()
            raise ConnectionFailed(
                f"{self.target.host} ran no command: {told(exc)}; may this user log in to a shell?"
            ) from exc
        return channel

    def _open_session(self, window: int | None = None) -> Channel:
        """A session; a host that allows few of them is asked again until one has ended."""
        self._sessions.acquire()
        give_up = time.monotonic() + self.target.timeout_s
        try:
            while True:
                try:
                    return self._transport.open_session(window, timeout=self.target.timeout_s)
                except paramiko.ChannelException as exc:
                    if time.monotonic() > give_up:
                        raise ConnectionFailed(
                            f"{self.target.host} opens no session: {exc.text}; "
                            "MaxSessions in its sshd_config may be used up"
                        ) from exc
                    time.sleep(0.1)
        except (paramiko.SSHException, OSError, EOFError) as exc:
            self._sessions.release()
            raise ConnectionFailed(
                f"the connection to {self.target.host} broke: {told(exc)}"
            ) from exc
        except BaseException:
            self._sessions.release()
            raise

    # ---- a sign of life

    async def ping(self, within_s: float) -> float:
        """Seconds of one round trip.

        Raises:
            ConnectionFailed: No answer in time; the connection is closed then.
        """
        began = time.monotonic()
        asked = threading.Thread(target=self._ask_back, name="rhdesk-ping", daemon=True)
        asked.start()
        while asked.is_alive():
            if time.monotonic() - began > within_s:
                self.close()
                raise ConnectionFailed(
                    f"{self.target.host} gave no sign of life in {within_s:g} s"
                )
            await asyncio.sleep(0.002 if time.monotonic() - began < 0.2 else 0.02)
        if not self.is_open:
            raise ConnectionFailed(f"the connection to {self.target.host} is closed")
        return time.monotonic() - began

    def _ask_back(self) -> None:
        with suppress(paramiko.SSHException, OSError, EOFError):
            self._transport.global_request("keepalive@openssh.com", wait=True)


class Stream:
    """A channel as a socket: what `http.client` and httpx need of one."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def sendall(self, data: Any) -> None:
        try:
            view = memoryview(data).cast("B")
            for at in range(0, len(view), _PIECE):
                self.channel.sendall(bytes(view[at : at + _PIECE]))
        except (paramiko.SSHException, EOFError) as exc:
            raise ConnectionResetError(told(exc)) from exc

    def recv(self, size: int) -> bytes:
        return bytes(self.channel.recv(size))

    def makefile(self, mode: str = "rb", buffering: int = -1) -> io.BufferedReader:
        return io.BufferedReader(cast("io.RawIOBase", _Raw(self.channel)), 1 << 18)

    def settimeout(self, timeout_s: float | None) -> None:
        self.channel.settimeout(timeout_s)

    def end(self) -> None:
        """Say that nothing more is sent."""
        with suppress(OSError, EOFError, paramiko.SSHException):
            self.channel.shutdown_write()

    def close(self) -> None:
        with suppress(OSError, EOFError, paramiko.SSHException):
            self.channel.close()

    # ---- in an event loop

    @property
    def is_over(self) -> bool:
        return bool(self.channel.closed or self.channel.eof_received)

    async def read(self, size: int) -> bytes:
        """Up to *size* bytes; empty at the end."""
        await _wait_readable(self.channel)
        return bytes(self.channel.recv(size))

    async def write(self, data: bytes) -> None:
        await to_thread.run_sync(self.sendall, data)


class _Raw(io.RawIOBase):
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._channel.recv(len(view))
        view[: len(data)] = data
        return len(data)


class Exec:
    """A command that runs on a host."""

    def __init__(self, channel: Channel, host: str) -> None:
        self._channel = channel
        self._host = host

    async def write(self, data: bytes) -> None:
        """To its standard input; what a command that has ended would not read is dropped.

        Raises:
            ConnectionFailed: The line is gone.
        """
        try:
            # In pieces: the library copies what is left after each packet it sends.
            for at in range(0, len(data), _PIECE):
                await to_thread.run_sync(self._channel.sendall, data[at : at + _PIECE])
        except (OSError, EOFError, paramiko.SSHException) as exc:
            if self._channel.exit_status >= 0:
                return  # why it ended is in what it said, which is still to be read
            raise ConnectionFailed(
                f"what runs on {self._host} takes no more input: {told(exc)}"
            ) from exc

    async def close_stdin(self) -> None:
        await to_thread.run_sync(self._channel.shutdown_write)

    async def read(self, size: int = 1 << 18) -> bytes:
        """Up to *size* bytes of its standard output; empty at the end."""
        await _wait_readable(self._channel)
        return bytes(self._channel.recv(size))

    async def lines(self) -> AsyncGenerator[bytes]:
        """Lines of its standard output, without their ends."""
        rest = b""
        while data := await self.read():
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                yield line
        if rest:
            yield rest

    def errors(self) -> str:
        """The end of what it said on standard error so far."""
        said = b""
        while self._channel.recv_stderr_ready():
            said += self._channel.recv_stderr(1 << 16)
        return clean(said.decode("utf-8", "replace")[-4000:].strip())

    async def wait(self) -> int:
        """Its exit code; -1 where the host told none, as when the line broke."""
        while not self._channel.exit_status_ready():
            if self._channel.closed:
                break
            await asyncio.sleep(0.01)
        return int(self._channel.exit_status)


class Program:
    """A Python program on a host: a line is asked, a line is answered. Blocking; for one thread.

    It says ``ready`` first: until then a shell may read what is meant for it.
    """

    def __init__(
        self, channel: Channel, start: str, ended: Callable[[], None], window: int | None
    ) -> None:
        self._channel, self._ended = channel, ended
        # Room for all that may have come: of what is left behind the library moves all each time.
        self._reading = io.BufferedReader(cast("io.RawIOBase", _Raw(channel)), window or _PIECE)
        try:
            self.send(start.encode())
            while self._line() != b"ready\n":
                pass  # a shell that greets
        except BaseException:
            self.close()
            raise

    def ask(self, line: bytes) -> bytes:
        """
        Raises:
            ConnectionFailed: It has ended, and what it said is in the message.
        """
        self.send(line)
        return self._line()

    def rest(self) -> BinaryIO:
        """All it says from here on; what is not read it does not say: the channel's window ends."""
        return self._reading

    def close(self) -> None:
        self._channel.close()
        self._ended()

    def send(self, data: bytes) -> None:
        """To its standard input.

        Raises:
            ConnectionFailed: It takes no more.
        """
        try:
            # In pieces: the library copies what is left after each packet it sends.
            for at in range(0, len(data), _PIECE):
                self._channel.sendall(data[at : at + _PIECE])
        except (OSError, EOFError, paramiko.SSHException) as exc:
            raise ConnectionFailed(f"the program takes no more: {told(exc)}") from exc

    def _line(self) -> bytes:
        if not (line := self._reading.readline()).endswith(b"\n"):
            said = self._channel.recv_stderr(4000) if self._channel.recv_stderr_ready() else b""
            words = clean(said.decode("utf-8", "replace").strip()) or "it said nothing"
            raise ConnectionFailed(f"the program on the host ended: {words}")
        return line


async def _wait_readable(channel: Channel) -> None:
    """Until there is data, or the end."""
    while not (channel.recv_ready() or channel.eof_received or channel.closed):
        await anyio.wait_readable(channel.fileno())


def told(error: BaseException) -> str:
    """What an error of the line says, for a person."""
    text = clean(str(error)).strip()
    return text or ("it hung up" if isinstance(error, EOFError) else type(error).__name__)
