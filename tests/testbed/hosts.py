"""Real hosts on one machine: each with its own network, mounts, processes, name, and an sshd.

A host sees this machine's programs through an overlay and nothing of what a developer has: homes,
temporary folders and this project are empty there. It has no route out. Everything it starts hangs
off one process; when that ends, or whoever started it, all of it is gone.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import pytest

T = TypeVar("T")

_SYSTEM: Final = {
    "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "sys", "tmp",
    "usr", "var",
}  # fmt: skip
_EMPTY: Final = (
    "/usr/local",
    *(str(place) for place in Path("/").iterdir() if place.name not in _SYSTEM and place.is_dir()),
)
"""Folders of which a host sees nothing: what a system is not made of."""
_READY_S: Final = 20.0
_PREFIX: Final = "rhbed-"
_CONFIG: Final = """\
Port 22
ListenAddress 0.0.0.0
HostKey /etc/rhbed/hostkey
PidFile /run/sshd.pid
AuthorizedKeysFile /etc/rhbed/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
PrintMotd no
MaxStartups 200:30:400
ClientAliveInterval 0
SetEnv PATH=/usr/bin:/bin:/usr/sbin:/sbin
Subsystem sftp internal-sftp
"""
_INIT: Final = Path(__file__).with_name("host_init.sh")


class Host:
    """One of them.

    Attributes:
        address: On the bed's network.
        upper: What was written on it, outside its temporary file systems.
    """

    def __init__(self, bed: Bed, number: int, name: str, folder: Path) -> None:
        self._bed = bed
        self.name = name
        self.number = number
        self.address = f"{bed.network}.{number // 250}.{number % 250 + 2}"
        self.folder = folder
        self.upper = folder / "upper"
        self._init = 0

    def start(
        self,
        *,
        setup: str = "",
        sshd: str = "",
        shell: str = "/bin/bash",
        tmp: str = "",
        tmp_size: str = "2g",
    ) -> None:
        for each in ("upper", "work", "root", "keys"):
            (self.folder / each).mkdir(parents=True, exist_ok=True)
        keys = self.folder / "keys"
        if not (keys / "hostkey").exists():
            _run(
                "ssh-keygen",
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                self.name,
                "-f",
                str(keys / "hostkey"),
            )
        (keys / "sshd_config").write_text(sshd + _CONFIG)
        (keys / "authorized_keys").write_text(self._bed.key.with_suffix(".pub").read_text())
        if setup:
            (self.folder / "setup").write_text(setup)
        inside = f"{self._bed.tag}h{self.number}"
        environ = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "EMPTY": " ".join(_EMPTY), "SHELL_OF": shell,
            "TMP_OPTIONS": f",{tmp}" if tmp else "", "TMP_SIZE": tmp_size,
        }  # fmt: skip
        (self.folder / "ready").unlink(missing_ok=True)
        log = (self.folder / "init.log").open("wb")
        with log:
            process = subprocess.Popen(
                ["unshare", "-m", "-p", "-u", "-i", "-n", "-f", "--kill-child", "/bin/sh",
                 str(_INIT), str(self.folder), self.name, self.address, inside],
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=environ, start_new_session=True,
                preexec_fn=_die_with_parent,
            )  # fmt: skip
        assert process.stdin is not None
        self._process = process
        child = _until(lambda: _children(process.pid), "a namespace")[0]
        self._init = child
        _run(
            "ip",
            "link",
            "add",
            f"{self._bed.tag}v{self.number}",
            "type",
            "veth",
            "peer",
            "name",
            inside,
            "netns",
            str(child),
        )
        _run(
            "ip", "link", "set", f"{self._bed.tag}v{self.number}", "master", self._bed.bridge, "up"
        )
        process.stdin.write(b"go\n")
        process.stdin.close()
        _until(lambda: (self.folder / "ready").exists() or process.poll() is not None, self.name)
        if process.poll() is not None:
            raise RuntimeError(
                f"{self.name} did not start: {(self.folder / 'init.log').read_text()}"
            )
        if "no sshd" not in setup:
            _until(self._answers, f"sshd of {self.name}")

    def stop(self) -> None:
        """End everything on it, as pulling the plug would; what was written stays in `upper`."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with suppress(subprocess.CalledProcessError):
            _run("ip", "link", "del", f"{self._bed.tag}v{self.number}")

    def exec(self, *command: str, check: bool = True) -> str:
        """Run a command on it as root, past its sshd."""
        done = subprocess.run(
            ["nsenter", "-t", str(self._init), "-m", "-p", "-u", "-i", "-n", "chroot",
             str(self.folder / "root"), *command],
            capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    @property
    def root(self) -> Path:
        """Its file system, seen from here."""
        return Path(f"/proc/{self._init}/root")

    def pids(self) -> list[int]:
        """Its processes, by their numbers here; not the one that all hang off."""
        found: list[int] = []
        space = os.readlink(f"/proc/{self._init}/ns/pid")
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if (
                        os.readlink(entry / "ns" / "pid") == space
                        and int(entry.name) != self._init
                    ):
                        found.append(int(entry.name))
        return found

    def programs(self) -> list[str]:
        """What runs on it, sshd's own and the one that waits left out."""
        found: list[str] = []
        for pid in self.pids():
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if words[0] and not words[0].startswith((b"sshd", b"/usr/sbin/sshd", b"sleep")):
                    found.append(b" ".join(words).decode("utf-8", "replace").strip())
        return found

    def listening(self) -> list[str]:
        """Every address something on it listens on, as ``host:port``."""
        text = self.exec("/usr/bin/ss", "-H", "-l", "-t", "-u", "-n")
        return [line.split()[4] for line in text.splitlines() if line.split()[0] in {"tcp", "udp"}]

    def freeze(self) -> None:
        """Stop all that runs, as a machine that sleeps."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def cut(self, *, rst: bool = False) -> None:
        """Take it off the network: silently, or with every connection reset first."""
        if rst:
            self.exec("/usr/bin/ss", "-K", "state", "established", check=False)
        _run("ip", "link", "set", f"{self._bed.tag}v{self.number}", "down")

    def join(self) -> None:
        _run("ip", "link", "set", f"{self._bed.tag}v{self.number}", "up")

    def hang_up(self) -> None:
        """End every sshd session; the sshd that listens stays."""
        listener = int((self.root / "run/sshd.pid").read_text())
        for pid in self.pids():
            with suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                inside = int(
                    next(x for x in status.splitlines() if x.startswith("NSpid")).split()[-1]
                )
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                if name.startswith("sshd") and inside != listener:
                    os.kill(pid, signal.SIGKILL)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), 0.3) as line:
                return line.recv(4) == b"SSH-"
        except OSError:
            return False


class Bed:
    """A network of hosts, reached from here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tag = f"r{os.getpid() % 100000}{_letter()}"
        self.bridge = f"{self.tag}b"
        self.network = _free_network()
        self.key = folder / "id_ed25519"
        self.hosts: list[Host] = []
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bed", "-f", str(self.key))
        _run("ip", "link", "add", self.bridge, "type", "bridge")
        _run("ip", "addr", "add", f"{self.network}.255.254/16", "dev", self.bridge)
        _run("ip", "link", "set", self.bridge, "up")

    def host(self, name: str = "", **how: str) -> Host:
        """Another host on the network, up."""
        number = len(self.hosts)
        made = Host(self, number, name or f"node{number}", self.folder / f"host{number}")
        self.hosts.append(made)
        made.start(**how)
        return made

    def ssh_home(
        self, home: Path, hosts: Sequence[Host] = (), *, user: str = "root", trusted: bool = True
    ) -> None:
        """Write what a person with ``ssh node0`` working has in ~/.ssh."""
        folder = home / ".ssh"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        blocks, known = [], []
        for host in hosts or self.hosts:
            blocks.append(
                f"Host {host.name}\n  HostName {host.address}\n  User {user}\n"
                f"  IdentityFile {self.key}\n"
            )
            words = (host.folder / "keys" / "hostkey.pub").read_text().split()
            known.append(f"{host.address} {words[0]} {words[1]}\n")
        (folder / "config").write_text("".join(blocks))
        if trusted:
            (folder / "known_hosts").write_text("".join(known))

    def close(self) -> None:
        for host in self.hosts:
            host.stop()
        with suppress(subprocess.CalledProcessError):
            _run("ip", "link", "del", self.bridge)


@contextmanager
def bed() -> Iterator[Bed]:
    """A network without hosts; gone with the context."""
    if os.getuid() != 0:
        pytest.skip("hosts are namespaces, and making them needs root")
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir="/var/tmp"))
    _run("mount", "-t", "tmpfs", "-o", "size=12g", "tmpfs", str(folder))
    made: Bed | None = None
    try:
        made = Bed(folder)
        yield made
    finally:
        if made is not None:
            made.close()
        for _ in range(50):
            if (
                subprocess.run(
                    ["umount", str(folder)], capture_output=True, check=False
                ).returncode
                == 0
            ):
                break
            time.sleep(0.1)
        shutil.rmtree(folder, ignore_errors=True)


def _free_network() -> str:
    """One that no other bed on this machine has."""
    taken = subprocess.run(
        ["ip", "-o", "-4", "addr"], check=True, capture_output=True, text=True
    ).stdout
    for step in range(128):
        network = f"10.{64 + (os.getpid() + step) % 128}"
        if f" {network}." not in taken:
            return network
    raise RuntimeError("every network for hosts is taken; see: ip -4 addr")


def _sweep() -> None:
    """Remove the beds of processes that were killed: their hosts ended with them, the rest did
    not."""
    for folder in Path("/var/tmp").glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if not owner.isdigit() or Path("/proc", owner).exists():
            continue
        for link in Path("/sys/class/net").glob(f"r{int(owner) % 100000}[a-z][bv]*"):
            subprocess.run(["ip", "link", "del", link.name], capture_output=True, check=False)
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
        with suppress(OSError):
            folder.rmdir()


_letters = iter("abcdefghijklmnopqrstuvwxyz" * 100)


def _letter() -> str:
    return next(_letters)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _children(parent: int) -> list[int]:
    with suppress(OSError):
        return [
            int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        ]
    return []


def _until(ask: Callable[[], T], what: str) -> T:
    """What *ask* answers once it is something."""
    give_up = time.monotonic() + _READY_S
    while not (found := ask()):
        if time.monotonic() > give_up:
            raise TimeoutError(f"{what} did not come up in {_READY_S:g} s")
        time.sleep(0.01)
    return found


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
