"""``~/.ssh/config`` is read as OpenSSH reads it: ``ssh -G`` is asked the same, and says the same."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from rhdesk.clusters.ssh.config import Target, aliases, parse, resolve
from rhdesk.errors import BadInput
from rhdesk.models import ClusterSpec

SHAPES: dict[str, tuple[str, str]] = {
    "plain": ("gpubox", "Host gpubox\n  HostName 10.0.0.3\n  User ada\n  Port 2222\n"),
    "first value counts": ("gpubox", "Host gpubox\n  User ada\nHost *\n  User bob\n  Port 99\n"),
    "pattern": ("gpu-17.lab", "Host gpu-*.lab\n  User lab\n  IdentityFile ~/.ssh/lab\n"),
    "negation": ("gpu-1", "Host gpu-* !gpu-1\n  User no\nHost gpu-1\n  User yes\n"),
    "equals and case": ("gpubox", "host=gpubox\n  HOSTNAME=10.0.0.3\n  user = ada\n"),
    "quoted": ("gpubox", 'Host gpubox\n  IdentityFile "~/.ssh/my key"\n  User ada\n'),
    "tokens in HostName": ("box", "Host box\n  HostName %h.example.org\n  User ada\n"),
    "tokens in IdentityFile": ("box", "Host box\n  User ada\n  IdentityFile ~/.ssh/%r_%h\n"),
    "several keys": ("box", "Host box\n  IdentityFile ~/.ssh/a\n  IdentityFile ~/.ssh/b\n"),
    "keys of several blocks": (
        "box", "Host box\n  IdentityFile ~/.ssh/a\nHost *\n  IdentityFile ~/.ssh/b\n",
    ),
    "identities only": ("box", "Host box\n  IdentitiesOnly yes\n  IdentityFile ~/.ssh/a\n"),
    "jump": ("box", "Host box\n  ProxyJump ada@gate:2200\nHost gate\n  HostName 10.1.1.1\n"),
    "jump chain": ("box", "Host box\n  ProxyJump one,bob@two\n"),
    "jump none": ("box", "Host box\n  ProxyJump none\nHost *\n  ProxyJump gate\n"),
    "proxy command": ("box", "Host box\n  User ada\n  ProxyCommand nc -X 5 %h %p\n"),
    "match user": ("ada@box", "Match user ada\n  Port 2222\nHost *\n  Port 22\n"),
    "match host": ("box", "Match host box\n  User matched\nHost *\n  User other\n"),
    "match exec": ("box", 'Match exec "test 1 = 1"\n  User run\nMatch exec "false"\n  Port 9\n'),
    "match all": ("box", "Host box\n  User ada\nMatch all\n  Port 2022\n"),
    "include": ("box", "Include conf.d/*\nHost *\n  User last\n"),
    "include in a block": ("box", "Host box\n  Include conf.d/one\nHost other\n  Include never\n"),
    "key alias": ("box", "Host box\n  HostKeyAlias real\n  UserKnownHostsFile ~/.ssh/kh ~/.ssh/k2\n"),
    "time-outs": ("box", "Host box\n  ConnectTimeout 7\n  ServerAliveInterval 3\n"),
    "ipv6": ("box", "Host box\n  HostName fe80::1\n"),
    "comments and blanks": ("box", "# mine\n\nHost box # here\n\n  # user\n  User ada\n"),
    "certificate": ("box", "Host box\n  CertificateFile ~/.ssh/a-cert.pub\n"),
    "typed user and port": ("bob@box:2022", "Host box\n  User ada\n  Port 1\n"),
}  # fmt: skip


@pytest.fixture
def home() -> Path:
    tmp_path = Path.home()
    (tmp_path / ".ssh" / "conf.d").mkdir(parents=True)
    (tmp_path / ".ssh" / "conf.d" / "one").write_text("Host box\n  User included\n  Port 2020\n")
    (tmp_path / ".ssh" / "never").write_text("  Port 9\n")
    return tmp_path


def asked(home: Path, host: str) -> dict[str, list[str]]:
    """What ``ssh -G`` says, by lower-case option."""
    user, name, port = parse(host)
    words = [*(["-l", user] if user else []), *(["-p", str(port)] if port else []), name]
    # ssh looks for files below the home of the account, whatever HOME says.
    text = (home / ".ssh" / "config").read_text()
    for pattern in ("conf.d/*", "conf.d/one", "never"):
        text = text.replace(f"Include {pattern}", f"Include {home}/.ssh/{pattern}")
    (home / "config").write_text(text)
    done = subprocess.run(
        ["ssh", "-G", "-F", str(home / "config"), *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_understood_as_ssh_understands_it(home: Path, shape: str) -> None:
    host, text = SHAPES[shape]
    (home / ".ssh" / "config").write_text(text)
    said = asked(home, host)
    target = resolve(host, home=home, system=home / "none")
    assert (target.hostname, target.user, target.port) == (
        said["hostname"][0], said["user"][0], int(said["port"][0]),
    )  # fmt: skip
    # ssh goes by the account's home, whatever HOME says; and fills in tokens only when it connects.
    root = pwd.getpwuid(os.getuid()).pw_dir
    if "IdentityFile" in text:
        filled = [key.replace("%r", "ada").replace("%h", "box") for key in said["identityfile"]]
        keys = [str(key).replace(str(home), "~") for key in target.keys]
        assert keys == [key.replace(root, "~") for key in filled]
    assert target.identities_only == (said["identitiesonly"][0] == "yes")
    jump = said.get("proxyjump", [""])[0]
    assert bool(target.jumps) == bool(jump)
    assert len(target.jumps) == (len(jump.split(",")) if jump else 0)
    command = said.get("proxycommand", [""])[0]
    assert target.proxy_command == command.replace("%h", target.hostname).replace(
        "%p", str(target.port)
    )
    assert (target.known_as or "") == said.get("hostkeyalias", [""])[0]
    timeout = said.get("connecttimeout", ["none"])[0]
    assert target.timeout_s == (10 if timeout == "none" else float(timeout))
    alive = float(said["serveraliveinterval"][0])
    assert target.alive_s == (alive or 5)
    certificates = [str(c).replace(str(home), "~") for c in target.certificates]
    assert certificates == [c.replace(root, "~") for c in said.get("certificatefile", [])]


def test_there_are_more_than_twenty_shapes() -> None:
    assert len(SHAPES) >= 20


def test_a_jump_is_resolved_by_its_own_block(home: Path) -> None:
    host, text = SHAPES["jump"]
    (home / ".ssh" / "config").write_text(text)
    (gate,) = resolve(host, home=home, system=home / "none").jumps
    assert (gate.hostname, gate.user, gate.port) == ("10.1.1.1", "ada", 2200)


def test_a_jump_that_leads_back_is_told(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host a\n ProxyJump b\nHost b\n ProxyJump a\n")
    with pytest.raises(BadInput, match="circles"):
        resolve("a", home=home, system=home / "none")


def test_a_file_that_includes_itself_is_told(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Include config\n")
    with pytest.raises(BadInput, match="includes itself"):
        resolve("a", home=home, system=home / "none")


def test_a_spec_says_instead_of_the_file(home: Path) -> None:
    (home / ".ssh" / "config").write_text(
        "Host box\n User ada\n ProxyJump gate\n IdentityFile a\n"
    )
    spec = ClusterSpec(name="x", user="eve", port=7, key="~/.ssh/k", proxy_command="nc %h %p")
    target = resolve("box", spec, home=home, system=home / "none")
    assert (target.user, target.port, target.jumps) == ("eve", 7, ())
    assert target.keys == (home / ".ssh" / "k",)
    assert target.proxy_command == "nc box 7"


def test_checking_is_never_switched_off(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host *\n  StrictHostKeyChecking no\n")
    assert resolve("box", home=home, system=home / "none").checking == "ask"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "-oProxyCommand=sh",
        "a b",
        "a;b",
        "$(id)",
        "ada@",
        "@box",
        "box:0",
        "box:x",
        "a@-b",
        "\x1b",
    ],
)
def test_what_is_no_host_is_refused(home: Path, host: str) -> None:
    with pytest.raises(BadInput, match="is no host"):
        resolve(host, home=home, system=home / "none")


def test_a_file_cannot_name_what_is_no_host(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host box\n  HostName -oProxyCommand=sh\n")
    with pytest.raises(BadInput, match="no host that can be connected to"):
        resolve("box", home=home, system=home / "none")


def test_hosts_of_the_file_can_be_picked(home: Path) -> None:
    text = "Host gpubox nas\nHost *.lab !x\nInclude conf.d/one\nHost gpubox late\n"
    (home / ".ssh" / "config").write_text(text)
    assert aliases(home=home) == ["gpubox", "nas", "box", "late"]


def test_a_target_is_known_by_its_name_and_port() -> None:
    target = Target(host="b", hostname="10.0.0.1", port=2222, user="a")
    assert target.name == "[10.0.0.1]:2222"
