"""Ray's processes on one node: how they are started, where they listen, and how they end.

What listens where. A cluster of one machine: everything on loopback. One of several: gateways and
env servlets on loopback as ever; the runtime environment agent on the private address; what Ray
says over gRPC between machines (GCS, raylet, object manager, a port of each worker process) on
every address, because Ray 2.60 binds to nothing narrower. Each of those asks for the cluster's
token first; a firewall that lets only the cluster's machines in is for the host's owner to make.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import processes
from rhdesk.errors import SetupFailed
from rhdesk.wire.node import NodeConfig, Started

_RAY_S: Final = 60.0
_STOP_S: Final = 10.0
_SHM: Final = Path("/dev/shm")
_MOST_BYTES: Final = 2_000_000_000
_LEAST_BYTES: Final = 100_000_000
_SHORT: Final = 40
"""Characters a folder may have for Ray's sockets to fit beneath it: their paths end at 107."""


class ObjectStore(msgspec.Struct, frozen=True):
    """Where Ray's shared memory is, and how much."""

    size_bytes: int
    folder: str = ""
    """Empty is /dev/shm."""
    why: str = ""
    """What a person should know of it."""


def object_store(ray_temp: Path, shm: Path = _SHM) -> ObjectStore:
    """A tenth of the machine's memory, at most 2 GB, and what /dev/shm has room for.

    Args:
        ray_temp: Where it is instead when /dev/shm has no room.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    wanted = min(_MOST_BYTES, max(_LEAST_BYTES, total // 10))
    room = shutil.disk_usage(shm).free * 8 // 10 if shm.is_dir() else 0
    if room >= wanted:
        return ObjectStore(wanted)
    if room >= _LEAST_BYTES:
        why = f"{shm} has room for {room // 1_000_000} MB of objects, not {wanted // 1_000_000}"
        return ObjectStore(room, why=why)
    seen = f"{shm} has {room // 1_000_000} MB" if shm.is_dir() else f"there is no {shm}"
    free = shutil.disk_usage(ray_temp).free // 4
    size = max(_LEAST_BYTES, min(wanted, free))
    why = f"{seen}: Ray's objects are in {ray_temp}, which is slower; {size // 1_000_000} MB"
    return ObjectStore(size, str(ray_temp), why)


def temp_folder(folder: Path) -> Path:
    """A new folder for Ray's sockets and logs, only its owner's, short enough for sockets.

    Raises:
        SetupFailed: There is no place for one.
    """
    tried: list[str] = []
    for place in (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), folder):
        if len(str(place)) > _SHORT:
            tried.append(f"{place}: its path is too long for sockets")
            continue
        try:
            return Path(tempfile.mkdtemp(prefix=f"rhdesk-{os.getuid()}-", dir=place))
        except OSError as exc:
            tried.append(f"{place}: {exc.strerror}")
    raise SetupFailed("no folder for Ray's sockets can be made; tried " + "; ".join(tried))


def environ(address: str) -> dict[str, str]:
    """What Ray reads from its environment."""
    narrow = {
        # Ray turns 127.0.0.1 into the machine's address unless it may not form clusters of
        # several machines; with this set every port it opens is on loopback.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }
    several = {
        # A node that died is missed after some six seconds, one that froze after some twenty.
        "RAY_health_check_initial_delay_ms": "2000",
        "RAY_health_check_period_ms": "2000",
        "RAY_health_check_timeout_ms": "5000",
        "RAY_health_check_failure_threshold": "3",
    }
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    } | (narrow if address == "127.0.0.1" else several)


def command(started: Started, config: NodeConfig, store: ObjectStore) -> list[str]:
    """``ray start`` for a head, or for a worker of the head that *config* names."""
    role = (
        [f"--address={config.head}"]
        if config.head
        else ["--head", f"--port={started.ray_port}", "--include-dashboard=false"]
    )
    return [
        *(sys.executable, "-c", "from ray.scripts.scripts import main; main()"),
        *("start", "--block", f"--node-ip-address={started.address}", *role),
        *(f"--node-name={started.node}", f"--temp-dir={started.ray_temp}"),
        *("--disable-usage-stats", "--log-color=false"),
        f"--object-store-memory={store.size_bytes}",
        *([f"--plasma-directory={store.folder}"] if store.folder else []),
        *(
            [f"--resources={msgspec.json.encode(config.resources).decode()}"]
            if config.resources
            else []
        ),
    ]


def with_head(started: Started, pid: int) -> Started:
    return msgspec.structs.replace(started, head=processes.find(pid))


async def until_up(started: Started, process: asyncio.subprocess.Process, log: Path) -> Started:
    """Wait for Ray's own processes; they are in what is returned.

    Raises:
        SetupFailed: It ended, or took too long.
    """
    needed = {"raylet"} if started.ray != f"{started.address}:{started.ray_port}" else set[str]()
    needed = needed or {"gcs_server", "raylet"}
    give_up = time.monotonic() + _RAY_S
    while time.monotonic() < give_up:
        if process.returncode is not None:
            break
        core = _core(process.pid)
        if needed <= set(core) and _has_said(log, b"--block"):
            return msgspec.structs.replace(started, core=core)
        await asyncio.sleep(0.1)
    raise SetupFailed("Ray did not start on this machine", output=tail(log))


async def end(found: Started) -> int:
    """End the session that `up` started, its leader last; returns how many processes there were."""
    if found.head is None:
        return 0
    family = _everything(found.head)
    if "raylet" in found.core and processes.is_alive(found.core["raylet"]):
        processes.end(family, signal.SIGTERM)
    give_up = time.monotonic() + _STOP_S
    seen = list(family)
    while time.monotonic() < give_up:
        seen += [each for each in _everything(found.head) if each not in seen]
        if not any(processes.is_alive(each) for each in seen):
            break
        if time.monotonic() > give_up - _STOP_S + 2:
            processes.end(seen, signal.SIGKILL)
        await asyncio.sleep(0.1)
    return len(seen)


def tail(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-40:])


def _has_said(log: Path, words: bytes) -> bool:
    return words in log.read_bytes()


def _core(head: int) -> dict[str, processes.Process]:
    """Ray's processes under *head* whose death is the node's."""
    found: dict[str, processes.Process] = {}
    for pid in processes.children(head):
        name = processes.program(pid)
        if name in {"gcs_server", "raylet"} and (process := processes.find(pid)):
            found[name] = process
    return found


def _everything(head: processes.Process) -> list[processes.Process]:
    """The session, but not who asks: a node that ends by itself is asked from inside."""
    me = os.getpid()
    family = ([head] if processes.is_alive(head) else []) + processes.family(head)
    return [each for each in family if each.pid != me]
