"""What a machine that was brought up is for: it runs for as long as something of ours does.

It is the job the provisioner knows (``keep``). What is to outlive an SSH session is started in it
(``ask``): a batch system ends all that a session left behind, and hands its processors and GPUs to
the job alone. When nothing of ours has run for a while (``after`` says how long) the job ends, and
with it, by the provisioner's own timer on the machine, the machine: also when nobody else is there
to see to it.

Standard library of Python 3.8 only: it is the first thing a machine runs.
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h
_OF_JOB = ("CUDA_", "NVIDIA_", "ROCR_", "HIP_", "GPU_", "SLURM_", "SKYPILOT_")
_ASKED_S = 60.0
_LONGEST = 1 << 20


def _place(name: str) -> str:
    """The socket a keeper is asked at: of this account, on this machine only."""
    folder = f"/tmp/rhdesk-keeper-{os.getuid()}"
    os.makedirs(folder, 0o700, exist_ok=True)
    seen = os.lstat(folder)
    if seen.st_uid != os.getuid() or (seen.st_mode & 0o077):
        raise SystemExit(folder + " belongs to somebody else, or is open to others")
    return os.path.join(folder, name + ".sock")


def keep(name: str, first_s: float, after_s: float) -> None:
    """Start what is asked for; end when nothing has run for *after_s*, or never has for *first_s*.

    Below 0 is never.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    place = _place(name)
    if os.path.exists(place):
        os.unlink(place)
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    asked.bind(place)
    os.chmod(place, 0o600)
    asked.listen(8)
    asked.settimeout(0.5)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _say("rhdesk keeps this machine")
    began, has_run, idle_since = time.monotonic(), False, time.monotonic()
    waiting: dict[int, socket.socket] = {}
    try:
        while True:
            try:
                line, _ = asked.accept()
            except socket.timeout:  # noqa: UP041 -- before 3.10 it is no TimeoutError
                line = None
            if line is not None:
                child, told = _start(line)
                after_s = after_s if told is None else told
                if child:
                    waiting[child], has_run = line, True
            lives = _reap(waiting)
            now = time.monotonic()
            if lives:
                idle_since = now
            limit, since = (after_s, idle_since) if has_run else (first_s, began)
            if limit >= 0 and now - since > limit:
                _say(f"nothing of rhdesk has run for {limit:g} s: the machine is not needed")
                return
    finally:
        os.unlink(place)
        _end_children()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _start(line: socket.socket) -> tuple[int, float | None]:
    """Start what one asks for, with its own input and output; returns the process, 0 for none, and
    what *after_s* is from now on, None for what it was."""
    line.settimeout(10)
    try:
        head, fds = _heard(line)
        asked = json.loads(head)
        if "after" in asked:
            for fd in fds:
                os.close(fd)
            _answer(line, {"code": 0})
            return 0, float(asked["after"])
        env = dict(asked["env"])
        env.update({key: os.environ[key] for key in os.environ if key.startswith(_OF_JOB)})
        # Not waited for by the library: what was left behind is reaped here too.
        child = os.fork()
        if child:
            for fd in fds:
                os.close(fd)
            return child, None
    except (OSError, ValueError, KeyError) as exc:
        _answer(line, {"failed": str(exc)})
        return 0, None
    try:  # in the child
        os.setsid()
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        os.closerange(3, 4096)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(asked["cwd"])
        os.execvpe(asked["command"][0], asked["command"], env)
    except OSError as exc:
        os.write(2, f"{asked['command'][0]}: {exc}\n".encode())
    os._exit(127)


def _heard(line: socket.socket) -> tuple[str, list[int]]:
    """What one asks, and the three descriptors that come with it."""
    head, fds = b"", array.array("i")
    while not head.endswith(b"\n"):
        data, extra, _, _ = line.recvmsg(65536, socket.CMSG_SPACE(3 * fds.itemsize))
        for level, kind, sent in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(sent[: len(sent) - len(sent) % fds.itemsize])
        head += data
        if not data or len(head) > _LONGEST:
            raise ValueError("half a question")
    if len(fds) != 3:
        raise ValueError("no input and output came with the question")
    return head.decode(), list(fds)


def _reap(waiting: dict[int, socket.socket]) -> bool:
    """Tell who waits for what has ended; returns whether anything runs."""
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if child == 0:
            return True
        line = waiting.pop(child, None)
        if line is not None:
            code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            _answer(line, {"code": code})


def _answer(line: socket.socket, said: dict[str, Any]) -> None:
    with suppress(OSError):
        line.sendall(json.dumps(said).encode() + b"\n")
    line.close()


def _end_children() -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        for _ in range(20):
            found = _children()
            if not found:
                return
            for pid in found:
                with suppress(OSError):
                    os.kill(pid, how)
            time.sleep(0.1)
            _reap({})


def _children() -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as opened:
                fields = opened.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != b"Z":
            found.append(int(name))
    return found


def ask(name: str, said: dict[str, Any]) -> int:
    """Ask the keeper something, with this program's input and output; its exit code."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    until = time.monotonic() + _ASKED_S
    while True:
        try:
            line.connect(_place(name))
            break
        except OSError as exc:
            if time.monotonic() > until:
                raise SystemExit(f"no keeper of {name} answers on this machine: {exc}") from exc
            time.sleep(0.2)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]).tobytes())]
    question = json.dumps(said).encode() + b"\n"
    rest = question[line.sendmsg([question], rights) :]
    if rest:  # to send nothing fails where the keeper has answered and hung up already
        line.sendall(rest)
    answer = b""
    while not answer.endswith(b"\n"):
        data = line.recv(4096)
        if not data:
            raise SystemExit(f"the keeper of {name} ended")
        answer += data
    heard = json.loads(answer.decode())
    if "failed" in heard:
        raise SystemExit(heard["failed"])
    return int(heard["code"])


if __name__ == "__main__":
    if sys.argv[1] == "keep":
        keep(sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
    elif sys.argv[1] == "after":
        sys.exit(ask(sys.argv[2], {"after": float(sys.argv[3])}))
    else:
        said = {"command": sys.argv[3:], "env": dict(os.environ), "cwd": os.getcwd()}
        code = ask(sys.argv[2], said)
        sys.exit(code if code >= 0 else 128 - code)
