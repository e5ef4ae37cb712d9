"""Opening a connection: reach the host, check its key, log in."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import socket
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import paramiko
from anyio import to_thread
from paramiko.agent import Agent
from paramiko.pkey import PKey, PublicBlob
from paramiko.transport import Transport

from rhdesk.clusters.ssh.config import Target
from rhdesk.clusters.ssh.connection import Connection, told
from rhdesk.clusters.ssh.known_hosts import HostKey, known, remember
from rhdesk.errors import ConnectionFailed, Refused, UntrustedHost
from rhdesk.foreign import clean
from rhdesk.ports import Asks

T = TypeVar("T")

_WINDOW: Final = 64 * 1024 * 1024
_PACKET: Final = 256 * 1024
"""What a peer may send at once, and in one packet: the defaults halve a fast line."""
_CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
"""What is offered, best first. The library would rather have CTR, which needs a second pass for its
MAC and halves a fast line, and still offers CBC."""
_TRIES: Final = 3
logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what it says is told by errors
_DEAD_MS: Final = 10_000
"""Data that is not acknowledged for so long means that nobody is there."""


async def open_connection(
    target: Target, asks: Asks | None = None, *, host_key: str = ""
) -> Connection:
    """Connect, check the host's key, log in.

    Args:
        asks: Who is there to answer; without anybody, what would have to be asked is refused.
        host_key: The fingerprint to accept where the host is not known yet.

    Raises:
        ConnectionFailed: It cannot be reached.
        UntrustedHost: Its key is unknown and nobody trusts it, or it is not the one it had.
        Refused: It does not let this user in; the message says what was tried.
    """
    below: Connection | None = None
    for hop in target.jumps:
        below = await _open(hop, asks, below, host_key="")
    try:
        return await _open(target, asks, below, host_key=host_key)
    except BaseException:
        if below is not None:
            below.close()
        raise


async def _open(
    target: Target, asks: Asks | None, below: Connection | None, *, host_key: str
) -> Connection:
    person = _Person(asks, asyncio.get_running_loop())
    transport = await to_thread.run_sync(
        lambda: _log_in(target, below, person, host_key), abandon_on_cancel=True
    )
    return Connection(target, transport, below)


async def check_reach(target: Target) -> str:
    """See that somebody listens where the host is; what it says first.

    Raises:
        ConnectionFailed: Nobody does.
    """

    def look() -> str:
        line = _line(target, None)
        try:
            line.settimeout(target.timeout_s)
            said = line.recv(100).decode("utf-8", "replace").strip()
            return clean(said) or "it says nothing"
        except OSError as exc:
            raise ConnectionFailed(
                f"{target.hostname}:{target.port} takes connections and says nothing: is it an sshd?"
            ) from exc
        finally:
            line.close()

    return await to_thread.run_sync(look, abandon_on_cancel=True)


class _Person:
    """Whoever sits at the loop, asked from a thread."""

    def __init__(self, asks: Asks | None, loop: asyncio.AbstractEventLoop) -> None:
        self._asks = asks
        self._loop = loop

    @property
    def is_there(self) -> bool:
        return self._asks is not None

    def trusts(self, host: str, key: HostKey, note: str) -> bool:
        asks = self._asks
        if asks is None:
            return False
        return self._ask(lambda: asks.trust_host(host, key.kind, key.fingerprint, note))

    def secret(self, prompt: str) -> str | None:
        asks = self._asks
        return None if asks is None else self._ask(lambda: asks.secret(prompt))

    def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        async def asked() -> T:
            return await question()

        return asyncio.run_coroutine_threadsafe(asked(), self._loop).result()


def _log_in(target: Target, below: Connection | None, person: _Person, host_key: str) -> Transport:
    """A transport that is logged in. Blocking."""
    line = _line(target, below)
    try:
        transport = Transport(line, default_window_size=_WINDOW, default_max_packet_size=_PACKET)
        transport.banner_timeout = transport.auth_timeout = target.timeout_s
        transport.set_keepalive(max(1, round(target.alive_s)))
        options = transport.get_security_options()
        options.ciphers = _CIPHERS
        names = [each for each in known(target.name, target.known_hosts) if not each.marker]
        if kinds := [each.key.kind for each in names]:
            # A host with several keys shows the one that is known.
            offered = tuple(options.key_types)
            wanted = [k for k in offered if _plain(k) in kinds]
            options.key_types = (*wanted, *(k for k in offered if k not in wanted))
        transport.start_client(timeout=target.timeout_s)
        if not transport.initial_kex_done:  # when the time is over, it just returns
            raise TimeoutError(f"no answer within {target.timeout_s:g} s")
    except (paramiko.SSHException, OSError, EOFError) as exc:
        line.close()
        raise ConnectionFailed(
            f"{target.host} ({target.hostname}:{target.port}) does not speak SSH with us: "
            f"{told(exc)}"
        ) from exc
    try:
        shown = transport.get_remote_server_key()
        _check_key(target, HostKey(shown.get_name(), shown.asbytes()), person, host_key)
        _authenticate(target, transport, person)
    except BaseException:
        transport.close()
        raise
    return transport


def _line(target: Target, below: Connection | None) -> Any:
    """What the connection is made over: a socket, a channel of a hop, a command."""
    if below is not None:
        return below.dial(f"{target.hostname}:{target.port}").channel
    if target.proxy_command:
        return _Command(target.proxy_command)
    where = f"{target.host} ({target.hostname}:{target.port})"
    try:
        line = socket.create_connection((target.hostname, target.port), target.timeout_s)
    except socket.gaierror as exc:
        raise ConnectionFailed(
            f"{target.host} has no address: {exc.strerror}; is it in ~/.ssh/config or in DNS?"
        ) from exc
    except TimeoutError as exc:
        raise ConnectionFailed(
            f"{where} did not answer within {target.timeout_s:g} s: is it on, and reachable?"
        ) from exc
    except OSError as exc:
        raise ConnectionFailed(f"{where}: {exc.strerror or exc}; does an sshd listen?") from exc
    line.settimeout(None)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_MS)
    return _Prompt(fileno=line.detach())


class _Prompt(socket.socket):
    """A socket that says at once what it got.

    sshd waits with the second small packet of an answer until the first is acknowledged (RFC 896),
    and a kernel puts that off for 40 ms (RFC 1122, 4.2.3.2) unless told otherwise after each read.
    """

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        data = super().recv(size, flags)
        if hasattr(socket, "TCP_QUICKACK"):
            with suppress(OSError):
                self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data


class _Command:
    """A ProxyCommand as a socket.

    One socket for each direction, as OpenSSH has pipes: a command that finds the same one as its
    input and output takes what arrives for a sign that its output was closed (asyncio's does).
    """

    def __init__(self, command: str) -> None:
        self._to, its_input = socket.socketpair()
        self._from, its_output = socket.socketpair()
        with its_input, its_output:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"], stdin=its_input.fileno(),
                stdout=its_output.fileno(), stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def send(self, data: bytes) -> int:
        return self._to.send(data)

    def recv(self, size: int) -> bytes:
        return self._from.recv(size)

    def settimeout(self, timeout_s: float | None) -> None:
        self._to.settimeout(timeout_s)
        self._from.settimeout(timeout_s)

    @property
    def _closed(self) -> bool:
        """What paramiko asks of a socket whose peer is silent."""
        return self._from.fileno() < 0

    def close(self) -> None:
        self._to.close()
        self._from.close()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)


def _plain(kind: str) -> str:
    """The type a key has in known_hosts, of the algorithm it is used with."""
    return "ssh-rsa" if kind.startswith("rsa-sha2-") else kind


def _check_key(target: Target, key: HostKey, person: _Person, accepted: str) -> None:
    """See that the key a host shows is the one it had.

    Raises:
        UntrustedHost: It is not, or it had none and nobody trusts this one.
    """
    lines = known(target.name, target.known_hosts)
    if any(line.marker == "@revoked" and line.key == key for line in lines):
        raise UntrustedHost(
            f"the key of {target.host} was revoked in your known_hosts ({key.fingerprint})",
            host=target.host, fingerprint=key.fingerprint, is_changed=True,
        )  # fmt: skip
    plain = [line for line in lines if not line.marker]
    if any(line.key == key for line in plain):
        return
    if same := [line for line in plain if line.key.kind == key.kind] or plain:
        raise UntrustedHost(
            f"{target.host} shows another key than before. It had {same[0].key.fingerprint} "
            f"({same[0].where}), and shows {key.fingerprint}. Somebody may be in between. If the "
            f"host was set up anew: ssh-keygen -R {shlex.quote(target.name)}",
            host=target.host, fingerprint=key.fingerprint, is_changed=True,
        )  # fmt: skip
    is_meant = bool(accepted) and accepted == key.fingerprint
    if accepted and not is_meant:
        raise UntrustedHost(
            f"{target.host} shows the key {key.fingerprint}, not {accepted}",
            host=target.host, fingerprint=key.fingerprint,
        )  # fmt: skip
    if not is_meant and target.checking != "accept-new":
        note = f"{target.hostname} port {target.port}"
        if target.checking == "yes" or not person.trusts(target.host, key, note):
            raise UntrustedHost(
                f"the key of {target.host} is not known here: {key.kind} {key.fingerprint}. "
                "Compare it with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); "
                f"if it is the same: --host-key {key.fingerprint}, or ssh {target.host} once",
                host=target.host, fingerprint=key.fingerprint,
            )  # fmt: skip
    remember(target.name, key, target.known_hosts[0])


# ---------------------------------------------------------------- logging in


def _authenticate(target: Target, transport: Transport, person: _Person) -> None:
    """Log in, with keys first, then with what a person types.

    Raises:
        Refused: Nothing that was tried is accepted.
        ConnectionFailed: The line broke.
    """
    tried: list[str] = []
    try:
        accepted = _accepted(transport, target.user)
        if accepted is None:
            return
        if "publickey" in accepted:
            for what, key in _keys(target, person):
                tried.append(what)
                try:
                    rest = transport.auth_publickey(target.user, key)
                except paramiko.AuthenticationException:
                    continue
                if not rest:
                    return
                accepted = rest
                break
        if "keyboard-interactive" in accepted and person.is_there:
            tried.append("what was typed")
            if _interactively(target, transport, person):
                return
        if "password" in accepted and person.is_there:
            for _ in range(_TRIES):
                typed = person.secret(f"password of {target.user} on {target.host}")
                if typed is None:
                    break
                tried.append("a password")
                with suppress(paramiko.AuthenticationException):
                    transport.auth_password(target.user, typed)
                    return
    except paramiko.AuthenticationException as exc:
        raise Refused(f"{target.host} does not let {target.user} in: {told(exc)}") from exc
    except (paramiko.SSHException, OSError, EOFError) as exc:
        raise ConnectionFailed(f"{target.host} hung up while logging in: {told(exc)}") from exc
    offered = ", ".join(tried) if tried else "nothing, there was no key to try"
    raise Refused(
        f"{target.host} does not let {target.user} in: tried {offered}; "
        f"it accepts {', '.join(accepted)}. Try it with: ssh {target.user}@{target.hostname}"
    )


def _accepted(transport: Transport, user: str) -> list[str] | None:
    """The ways the host accepts; None where none is needed."""
    try:
        transport.auth_none(user)
    except paramiko.BadAuthenticationType as exc:
        return list(exc.allowed_types)
    return None


def _interactively(target: Target, transport: Transport, person: _Person) -> bool:
    def answered(title: str, note: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
        return [person.secret(f"{target.host}: {clean(text)}") or "" for text, _ in prompts]

    try:
        transport.auth_interactive(target.user, answered)
    except paramiko.AuthenticationException:
        return False
    return True


def _keys(target: Target, person: _Person) -> list[tuple[str, PKey]]:
    """Keys in the order OpenSSH tries them: the agent's that are named, the agent's, files."""
    agent = _agent_keys(target)
    named: list[tuple[str, PKey]] = []
    files: list[tuple[str, PKey]] = []
    for file in target.keys:
        public = _public(file)
        held = [(what, key) for what, key in agent if public and key.asbytes() == public]
        if held:
            named += held
        elif (key := _from_file(file, target, person)) is not None:
            files.append((str(file), key))
    rest = [] if target.identities_only else [each for each in agent if each not in named]
    return [*named, *files, *rest] if target.identities_only else [*named, *rest, *files]


def _agent_keys(target: Target) -> list[tuple[str, PKey]]:
    path = os.environ.get(target.agent, "") if target.agent == "SSH_AUTH_SOCK" else target.agent
    path = os.environ.get(path, path)
    if not path:
        return []
    before = os.environ.get("SSH_AUTH_SOCK")
    try:
        os.environ["SSH_AUTH_SOCK"] = path
        return [(f"{key.get_name()} of the agent", key) for key in Agent().get_keys()]
    except (paramiko.SSHException, OSError):
        return []
    finally:
        if before is None:
            os.environ.pop("SSH_AUTH_SOCK", None)
        else:
            os.environ["SSH_AUTH_SOCK"] = before


def _public(file: Path) -> bytes:
    """The public half of a key file, if it lies beside it."""
    try:
        words = file.with_name(f"{file.name}.pub").read_text().split()
        return bytes(PublicBlob.from_string(" ".join(words)).key_blob)
    except (OSError, ValueError, IndexError):
        return b""


def _from_file(file: Path, target: Target, person: _Person) -> PKey | None:
    if not file.is_file():
        return None
    passphrase: str | None = None
    for _ in range(_TRIES + 1):
        try:
            key = PKey.from_path(file, passphrase)
        except (paramiko.PasswordRequiredException, TypeError):
            typed = person.secret(f"passphrase of {file}")
            if typed is None:
                return None
            passphrase = typed
            continue
        except (paramiko.SSHException, ValueError, OSError):
            if passphrase is None:
                return None
            passphrase = None  # a wrong one: asked again
            continue
        certificates = [*target.certificates, file.with_name(f"{file.name}-cert.pub")]
        for certificate in certificates:
            if certificate.is_file():
                with suppress(paramiko.SSHException, ValueError):
                    key.load_certificate(str(certificate))
                    break
        return key
    return None
