"""A small process that forks workers: started once per env servlet, before any user code.

A worker forked from it starts in milliseconds and finds the servlet's modules loaded; the env
servlet itself has threads and cannot fork. The zygote is the workers' parent, so it is who learns
how they ended, and says so.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import msgspec

from rhdesk_servlet import worker

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
MARK: Final = "RHDESK_WORKER"
"""Variable every worker has, and with it every program a run starts."""


class Fork(msgspec.Struct, frozen=True, array_like=True, tag="fork"):
    """Start a worker; its end of the channel comes as a descriptor."""

    worker_id: str
    folder: str


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """The zygote has imported what it needs."""


class Forked(msgspec.Struct, frozen=True, array_like=True, tag="forked"):
    worker_id: str
    pid: int


class Died(msgspec.Struct, frozen=True, array_like=True, tag="died"):
    pid: int
    status: int
    """As `os.waitpid` gives it."""


News = Ready | Forked | Died
encode = msgspec.msgpack.Encoder().encode
decode_news = msgspec.msgpack.Decoder(News).decode
_decode_fork = msgspec.msgpack.Decoder(Fork).decode


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when *parent*'s thread that made it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def title(worker_id: str) -> str:
    """What a worker calls itself, and with it every process that is forked from it."""
    return f"rh:{worker_id[:12]}"  # the kernel keeps 15 bytes


def main() -> None:
    """``python -m rhdesk_servlet.zygote FD``: serve forks until the other end closes."""
    control = socket.socket(fileno=int(sys.argv[1]))
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_w, False)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    control.send(encode(Ready()))
    while True:
        ready, _, _ = select.select([control.fileno(), wake_r], [], [])
        if wake_r in ready:
            os.read(wake_r, 512)
        _reap(control)
        if control.fileno() in ready:
            data, fds, _, _ = socket.recv_fds(control, 65536, 1)
            if not data:
                os._exit(0)
            _fork(control, (wake_r, wake_w), _decode_fork(data), fds[0])


def _reap(control: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        control.send(encode(Died(pid, status)))


def _fork(control: socket.socket, wake: tuple[int, int], asked: Fork, fd: int) -> None:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        for end in wake:
            os.close(end)
        os.setsid()
        die_with_parent(parent)
        os.environ[MARK] = asked.worker_id
        ctypes.CDLL(None).prctl(_PR_SET_NAME, title(asked.worker_id).encode())
        worker.main(socket.socket(fileno=fd), Path(asked.folder))
        os._exit(0)
    os.close(fd)
    control.send(encode(Forked(asked.worker_id, pid)))


if __name__ == "__main__":
    main()
