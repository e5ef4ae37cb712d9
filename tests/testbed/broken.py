"""Hosts that are not as one would like them: one table of how each is made and what is expected.

A host is made with `Host.start` (see hosts.py); ``setup`` is a shell script that gets its root.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Variant:
    """One of them.

    Attributes:
        how: What `Host.start` is given.
        cause: Words of the message `up` ends with; empty when `up` works there.
        user: Who logs in.
        needs: A file of this machine without which the host cannot be made.
    """

    how: dict[str, str] = field(default_factory=dict)
    cause: tuple[str, ...] = ()
    user: str = "root"
    needs: str = ""


def _profile(text: str) -> dict[str, str]:
    """Both accounts run *text* before every command, as bash under sshd does."""
    return {
        "setup": f"for home in root home/ada; do cat >> \"$1/$home/.bashrc\" <<'END'\n{text}\n"
        "END\ndone\n"
    }


_NOEXEC: Final = """\
for place in root home/ada var/tmp tmp; do
    mount -t tmpfs -o noexec,mode=1777 tmpfs "$1/$place"
done
"""
_SMALL: Final = """\
for place in root home/ada var/tmp tmp; do
    mount -t tmpfs -o size=8m,mode=1777 tmpfs "$1/$place"
done
"""
_FAKETIME: Final = next(
    (str(file) for file in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), "/nonexistent"
)
"""Gives programs a clock that is wrong."""
_OLD: Final = os.environ.get("RHDESK_TEST_OLD_PYTHON", "")
"""The folder of an installed Python too old for Ray: 3.8, say."""

VARIANTS: Final[dict[str, Variant]] = {
    "ordinary-user": Variant(user="ada"),
    "no-python": Variant({"setup": 'rm -f "$1"/usr/bin/python3*\n'}, ("Python",)),
    "python-by-another-name": Variant({"setup": 'rm -f "$1/usr/bin/python3"\n'}),
    "python-too-old": Variant(
        {
            "setup": 'rm -f "$1"/usr/bin/python3*; mkdir "$1/opt/old"\n'
            f'mount --bind "{_OLD}" "$1/opt/old"\n'
            'ln -s /opt/old/bin/python3 "$1/usr/bin/python3"\n'
            'echo /opt/old/lib > "$1/etc/ld.so.conf.d/old.conf"; ldconfig -r "$1"\n'
        },
        ("Python", "3.8"),
        needs=f"{_OLD or '/nonexistent'}/bin/python3",
    ),
    "noexec-tmp": Variant({"tmp": "noexec"}),
    "noexec-everywhere": Variant({"setup": _NOEXEC}, ("noexec",)),
    "full-disk": Variant({"setup": _SMALL}, ("free",)),
    "full-tmp": Variant(
        {"setup": 'head -c 64m /dev/zero > "$1/tmp/full" || :\n', "tmp_size": "16m"},
        ("/tmp of gpubox is full", "Make room"),
    ),
    "shell-that-prints": Variant(_profile('echo "Welcome to $(hostname)!"; echo oh dear >&2')),
    "umask-077": Variant(_profile("umask 077"), user="ada"),
    "umask-000": Variant(_profile("umask 000"), user="ada"),
    "few-files": Variant(_profile("ulimit -n 256")),
    "read-only-home": Variant(
        {"setup": 'mount --bind "$1/root" "$1/root"; mount -o remount,bind,ro "$1/root"\n'}
    ),
    "one-session": Variant({"sshd": "MaxSessions 1\n"}),
    "no-forwarding": Variant({"sshd": "AllowTcpForwarding no\n"}, ("AllowTcpForwarding",)),
    "no-login": Variant({"shell": "/usr/sbin/nologin"}, ("not available",)),
    "dash": Variant({"shell": "/bin/dash"}),
    "csh": Variant({"shell": "/bin/csh"}, needs="/bin/csh"),
    "fish": Variant({"shell": "/usr/bin/fish"}, needs="/usr/bin/fish"),
    "wrong-clock": Variant(
        {"sshd": f"SetEnv LD_PRELOAD={_FAKETIME} FAKETIME=+400d\n"},
        needs=_FAKETIME,
    ),
    "sudo-only": Variant(
        {"setup": 'chmod 700 "$1"/usr/bin/python3*\n'}, ("Python", "Permission denied"), user="ada"
    ),
    "hidden-processes": Variant({"setup": 'mount -o remount,hidepid=2 "$1/proc"\n'}, user="ada"),
    "no-shared-memory": Variant({"setup": 'umount "$1/dev/shm"; rmdir "$1/dev/shm"\n'}),
    "odd-home": Variant(
        {
            "setup": 'mv "$1/home/ada" "$1/home/ada é b"\n'
            'sed -i "s,/home/ada,/home/ada é b," "$1/etc/passwd"\n'
        },
        user="ada",
    ),
}
REPRESENTATIVE: Final = ("no-python", "noexec-everywhere", "full-disk", "no-login")
"""Those of every test run: the ones that end early. RHDESK_TEST_HOSTS=all tests all of them."""
