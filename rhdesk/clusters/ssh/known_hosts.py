"""Which key a host showed before: the files of OpenSSH, read and added to as it does (sshd(8))."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rhdesk.errors import StoreUnwritable


class HostKey(NamedTuple):
    kind: str
    """``ssh-ed25519``."""
    data: bytes

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` prints it."""
        digest = hashlib.sha256(self.data).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


class Known(NamedTuple):
    """A line that is of a host."""

    key: HostKey
    where: str
    """``~/.ssh/known_hosts:12``."""
    marker: str = ""
    """``@revoked`` or ``@cert-authority``."""


def known(name: str, files: Sequence[Path]) -> list[Known]:
    """Every line of *files* that is of a host.

    Args:
        name: ``gpubox``, or ``[gpubox]:2222``.
    """
    return [found for file in files for names, found in _lines(file) if _is_of(names, name)]


def remember(name: str, key: HostKey, file: Path) -> None:
    """Add a line for a host whose key a person trusts.

    Raises:
        StoreUnwritable: It cannot be written.
    """
    line = f"{name} {key.kind} {base64.b64encode(key.data).decode()}\n"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(opened).st_size
            if size and os.pread(opened, 1, size - 1) != b"\n":
                line = f"\n{line}"
            os.write(opened, line.encode())
        finally:
            os.close(opened)
    except OSError as exc:
        raise StoreUnwritable(f"{file} cannot be written: {exc.strerror}") from exc


def _lines(file: Path) -> Iterator[tuple[str, Known]]:
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            continue
        try:
            data = base64.b64decode(words[2], validate=True)
        except ValueError:
            continue
        yield words[0], Known(HostKey(words[1], data), f"{file}:{number}", marker)


def _is_of(names: str, name: str) -> bool:
    if names.startswith("|1|"):
        _, _, salt, digest = names.split("|", 3)
        try:
            made = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()
            return hmac.compare_digest(made, base64.b64decode(digest))
        except ValueError:
            return False
    found = False
    for pattern in names.split(","):
        # In these files [ belongs to a name with a port; only * and ? stand for something.
        plain = pattern.removeprefix("!").lower().replace("[", "[[]")
        if fnmatch.fnmatchcase(name.lower(), plain):
            if pattern.startswith("!"):
                return False
            found = True
    return found
