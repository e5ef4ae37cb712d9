"""What ``~/.ssh/config`` says of a host, read as OpenSSH reads it.

paramiko knows Host, Match and tokens; Include is put in here, and only where the block it stands in
is that of the host: what an included file says then counts for this host alone.
"""

from __future__ import annotations

import getpass
import glob
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from paramiko.config import SSHConfig
from paramiko.ssh_exception import ConfigParseError

from rhdesk.errors import BadInput
from rhdesk.models import ClusterSpec

SYSTEM: Final = Path("/etc/ssh/ssh_config")
_DEPTH: Final = 16
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(%\w+)?")
_TILDE: Final = re.compile(r"(?<=[\s=\"])~(?=/)")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@\\-]*\$?")
_DEFAULT_KEYS: Final = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A host as it is connected to."""

    host: str
    """As it was asked for: ``gpubox``."""
    hostname: str
    port: int
    user: str
    keys: tuple[Path, ...] = ()
    """Files of private keys, in the order they are tried."""
    certificates: tuple[Path, ...] = ()
    identities_only: bool = False
    agent: str = "SSH_AUTH_SOCK"
    """A socket, or the variable that names one; empty is none."""
    jumps: tuple[Target, ...] = ()
    """Hosts that are gone through, first to last."""
    proxy_command: str = ""
    known_hosts: tuple[Path, ...] = ()
    """The first is written to."""
    known_as: str = ""
    """The name its key is kept under, when that is not its hostname."""
    checking: str = "ask"
    """``yes``, ``ask`` or ``accept-new``; ``no`` is read as ``ask``."""
    timeout_s: float = 10.0
    alive_s: float = 5.0
    """How often it is asked for a sign of life."""

    @property
    def name(self) -> str:
        """What its key is kept under in known_hosts."""
        host = self.known_as or self.hostname
        return host if self.port == 22 or self.known_as else f"[{host}]:{self.port}"


def resolve(
    host: str,
    spec: ClusterSpec | None = None,
    *,
    home: Path | None = None,
    system: Path = SYSTEM,
) -> Target:
    """How to connect to *host*: ``gpubox``, ``ada@10.0.0.3``, ``ada@gpubox:2222``.

    Args:
        spec: Says instead of the files what it says.

    Raises:
        BadInput: It is no name of a host, or a file cannot be read as OpenSSH would.
    """
    return _resolve(host, spec, home or Path.home(), system, depth=0)


def aliases(*, home: Path | None = None) -> list[str]:
    """Hosts that ``~/.ssh/config`` names, patterns left out, in its order."""
    home = home or Path.home()
    found: dict[str, None] = {}
    for line in _lines(home / ".ssh" / "config", home, "", depth=0, follow=True):
        key, value = _split(line)
        if key == "host":
            for name in _words(value):
                if not set(name) & set("*?!"):
                    found[name] = None
    return list(found)


def _resolve(host: str, spec: ClusterSpec | None, home: Path, system: Path, depth: int) -> Target:
    if depth > _DEPTH:
        raise BadInput(f"{host}: its ProxyJump goes round in circles")
    user, alias, port = parse(host)
    user, port = user or (spec.user if spec else ""), port or (spec.port if spec else 0)
    said = _said(alias, user, home, system)
    hostname = _one(said, "hostname") or alias
    port = port or int(_one(said, "port") or 22)
    user = user or _one(said, "user") or getpass.getuser()
    if not _HOST.fullmatch(hostname) or not _USER.fullmatch(user):
        raise BadInput(f"{host}: {user}@{hostname} is no host that can be connected to")
    tokens = {"%h": hostname, "%p": str(port), "%r": user, "%n": alias, "%d": str(home)}
    tokens |= {"%u": getpass.getuser(), "%i": "", "%%": "%"}
    keys = [_path(text, tokens, home) for text in said.get("identityfile", [])]
    if spec and spec.key:
        keys = [_path(spec.key, tokens, home)]
    elif not keys:
        keys = [home / ".ssh" / name for name in _DEFAULT_KEYS]
    jump = spec.proxy_jump if spec else ""
    command = spec.proxy_command if spec else ""
    if not jump and not command:
        jump, command = _one(said, "proxyjump"), _one(said, "proxycommand")
    jumps = [] if not jump or jump.lower() == "none" else jump.split(",")
    files = _words(_one(said, "userknownhostsfile")) or [
        "~/.ssh/known_hosts",
        "~/.ssh/known_hosts2",
    ]
    files += _words(_one(said, "globalknownhostsfile")) or ["/etc/ssh/ssh_known_hosts"]
    checking = _one(said, "stricthostkeychecking").lower() or "ask"
    return Target(
        host=host,
        hostname=hostname,
        port=port,
        user=user,
        keys=tuple(keys),
        certificates=tuple(_path(t, tokens, home) for t in said.get("certificatefile", [])),
        identities_only=_one(said, "identitiesonly").lower() == "yes",
        agent=_agent(_one(said, "identityagent"), tokens, home),
        jumps=tuple(_resolve(each.strip(), None, home, system, depth + 1) for each in jumps),
        proxy_command=_filled(command, tokens) if command.lower() not in {"", "none"} else "",
        known_hosts=tuple(_path(text, tokens, home) for text in files),
        known_as=_one(said, "hostkeyalias"),
        checking=checking if checking in {"yes", "accept-new"} else "ask",
        timeout_s=float(_seconds(_one(said, "connecttimeout")) or 10),
        alive_s=float(_seconds(_one(said, "serveraliveinterval")) or 5),
    )


def parse(host: str) -> tuple[str, str, int]:
    """User, name and port of ``ada@gpubox:2222``; empty and 0 where it does not say.

    Raises:
        BadInput: It is no name of a host.
    """
    text = host.removeprefix("ssh://")
    user, at, rest = text.rpartition("@")
    port = ""
    if rest.startswith("["):
        rest, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    elif rest.count(":") == 1:
        rest, _, port = rest.partition(":")
    is_port = not port or (port.isdigit() and 0 < int(port) < 65536)
    if not _HOST.fullmatch(rest) or (at and not _USER.fullmatch(user)) or not is_port:
        raise BadInput(
            f"{host!r} is no host; hosts look like gpubox, ada@10.0.0.3 or ada@gpubox:2222"
        )
    return user, rest, int(port or 0)


def _said(alias: str, user: str, home: Path, system: Path) -> dict[str, list[str]]:
    """Options by lower-case name. The first value counts; of some, all do."""
    found: dict[str, list[str]] = {}
    for file in (home / ".ssh" / "config", system):
        text = "\n".join(_lines(file, home, alias, depth=0))
        if home != Path.home():  # which is what paramiko takes ~ for
            text = _TILDE.sub(lambda _: str(home), text)
        if user:
            # A user that was typed is what `Match user` looks at.
            text = f"User {user}\n{text}"
        try:
            said: Any = SSHConfig.from_text(text).lookup(alias)
        except (ConfigParseError, ValueError) as exc:
            raise BadInput(f"{file} cannot be read as ssh reads it: {exc}") from exc
        for key, value in said.items():
            values = value if isinstance(value, list) else [value]
            if key in {"identityfile", "certificatefile"}:
                known = found.setdefault(key, [])
                known += [each for each in values if each not in known]
            elif key == "hostname" and value == alias:
                continue  # paramiko's own default
            else:
                found.setdefault(key, [str(each) for each in values])
    return found


def _lines(
    file: Path, home: Path, alias: str, depth: int, *, follow: bool = False
) -> Iterator[str]:
    """The lines of a file, those of the files it includes put in.

    Args:
        follow: Go into every Include; otherwise only into those of blocks that are of *alias*.
    """
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return
    block = ""
    for line in text.splitlines():
        key, value = _split(line)
        if key == "match" and not follow:
            line = _tried(value, alias)
        if key in {"host", "match"}:
            block = line
        if key != "include":
            yield line
            continue
        if depth >= _DEPTH:
            raise BadInput(f"{file} includes itself: {line.strip()}")
        if not follow and block and not _counts(block, alias):
            continue
        for pattern in _words(value):
            place = Path(pattern).expanduser() if pattern.startswith(("~", "/")) else None
            base = file.parent if file.parent == SYSTEM.parent else home / ".ssh"
            if pattern.startswith("~"):
                place = home / pattern[1:].lstrip("/")
            for found in sorted(glob.glob(str(place or base / pattern))):
                yield from _lines(Path(found), home, alias, depth + 1, follow=follow)
        # What follows belongs to the block again, whichever the included file ended in.
        yield block or "Host *"


def _tried(criteria: str, alias: str) -> str:
    """A Match line whose commands were run: paramiko would let them read the terminal."""
    words, left, passed = _words(criteria), list[str](), True
    while words:
        word = words.pop(0)
        if word.lstrip("!").lower() != "exec":
            left += [word]
            continue
        command = _filled(words.pop(0) if words else "false", {"%h": alias, "%n": alias})
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        passed = passed and (done.returncode == 0) is not word.startswith("!")
    return f"Match {' '.join(left) or 'all'}" if passed else "Host !*"


def _counts(block: str, alias: str) -> bool:
    """Whether a block's options are those of *alias*."""
    try:
        said = SSHConfig.from_text(f"{block}\n  SetEnv here=1\n").lookup(alias)
    except (ConfigParseError, ValueError):
        return False
    return "setenv" in said


def _split(line: str) -> tuple[str, str]:
    match = re.match(r"\s*(\w+)(?:\s*=\s*|\s+)(.+?)\s*$", line)
    return (
        (match[1].lower(), match[2]) if match and not line.lstrip().startswith("#") else ("", "")
    )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _one(said: dict[str, list[str]], key: str) -> str:
    return said.get(key, [""])[0].strip('"')


def _filled(text: str, tokens: dict[str, str]) -> str:
    return re.sub(r"%[%hprnduiC]", lambda match: tokens.get(match[0], match[0]), text)


def _path(text: str, tokens: dict[str, str], home: Path) -> Path:
    filled = _filled(text.strip('"'), tokens)
    return home / filled[1:].lstrip("/") if filled.startswith("~") else Path(filled)


def _agent(text: str, tokens: dict[str, str], home: Path) -> str:
    if text.lower() == "none":
        return ""
    if not text or text == "SSH_AUTH_SOCK":
        return "SSH_AUTH_SOCK"
    return text.removeprefix("$") if text.startswith("$") else str(_path(text, tokens, home))


def _seconds(text: str) -> int:
    """OpenSSH's TIME FORMATS: ``90``, ``1m30s``."""
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    return sum(
        int(n) * units[unit.lower()] for n, unit in re.findall(r"(\d+)([smhdwSMHDW]?)", text)
    )
