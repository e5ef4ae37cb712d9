"""Ray, in one place: the cluster's gateway and env servlets as detached actors.

An actor's process is the servlet: it serves HTTP from an event loop in a thread of its own, so no
call goes through Ray. What Ray gives is the process, in any interpreter, on any node, and a
gateway that is started again when it dies.
"""

# pyright: basic
# Ray's decorator turns a class into what its types do not say; mypy checks the rest of this file.

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import ray
import uvloop
from ray.exceptions import RayError

from rhdesk import processes, whole_file
from rhdesk.errors import SetupFailed
from rhdesk_servlet.asgi import guarded
from rhdesk_servlet.auth import Doorman
from rhdesk_servlet.envs import EnvBuilder
from rhdesk_servlet.gateway import BASE, EnvFile, Gateway
from rhdesk_servlet.serve import EnvConfig, listen, read_token, serve, serve_env

NAMESPACE: Final = "rhdesk"
_START_S: Final = 60.0


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway is told when it starts."""

    name: str
    cluster_id: str
    folder: str
    ray_address: str
    host: str = "127.0.0.1"
    port: int
    """The gateway's; fixed, so that one started again is found where it was."""
    venvs: str
    """Where environments are built; shared by clusters of this user on this machine."""


def start_cluster(config: ClusterConfig) -> None:
    """Start the gateway and the base env servlet in a running Ray; returns when both answer."""
    _connect(config.ray_address)
    gateway = _GatewayActor.options(  # type: ignore[attr-defined]
        name="gateway", lifetime="detached", num_cpus=0, max_restarts=-1
    ).remote(msgspec.json.encode(config))
    ray.get(gateway.ready.remote(), timeout=_START_S)
    base = EnvConfig(
        name=BASE, folder=config.folder, cluster_id=config.cluster_id, host=config.host
    )
    asyncio.run(_start_env(base, sys.executable, "", ()))


def _connect(address: str) -> None:
    ray.init(
        address=address,
        namespace=NAMESPACE,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
    )


async def _start_env(config: EnvConfig, python: str, lock: str, packages: tuple[str, ...]) -> None:
    """Start an env servlet in interpreter *python*; returns when it answers.

    Raises:
        SetupFailed: It did not come up.
    """
    config.place.mkdir(mode=0o700, parents=True, exist_ok=True)
    actor = _EnvActor.options(  # type: ignore[attr-defined]
        name=f"env:{config.name}",
        lifetime="detached",
        num_cpus=0,
        runtime_env={"py_executable": python},
    ).remote(msgspec.json.encode(config), lock, packages)
    try:
        await asyncio.wait_for(actor.ready.remote(), _START_S)
    except (TimeoutError, RayError) as exc:
        await _stop_env(config.name)
        raise SetupFailed(
            f"the env servlet of {config.name} did not start with {python}",
            output=str(exc)[-2000:],
        ) from exc


async def _stop_env(name: str) -> None:
    """End an env servlet and everything its runs started; none is fine."""
    try:
        actor = ray.get_actor(f"env:{name}", namespace=NAMESPACE)
    except ValueError:
        return
    try:
        pid: int = await asyncio.wait_for(actor.pid.remote(), 5)
    except (TimeoutError, RayError):
        pid = 0
    found = processes.find(pid)
    family = processes.family(found) if found else []
    ray.kill(actor, no_restart=True)
    processes.end(family)
    for _ in range(100):
        if not any(processes.is_alive(each) for each in family):
            break
        await asyncio.sleep(0.05)


class _Served:
    """Runs an event loop in a thread, for as long as the actor's process lives."""

    def __init__(self, serving: Callable[[Callable[[str], None]], Awaitable[None]]) -> None:
        self._address = ""
        self._up = threading.Event()
        self._error: BaseException | None = None
        self._serving = serving
        threading.Thread(target=self._run, name="rhdesk-servlet", daemon=True).start()

    def wait(self) -> str:
        self._up.wait(_START_S)
        if self._error is not None:
            raise self._error
        return self._address

    def _run(self) -> None:
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
        try:
            uvloop.run(self._go())
        except BaseException as exc:  # noqa: BLE001 -- the outermost edge of the thread
            self._error = exc
        self._up.set()
        if self._address:
            os._exit(
                1
            )  # a servlet that stopped serving is no servlet: Ray starts the gateway anew

    async def _go(self) -> None:
        await self._serving(self._ready)

    def _ready(self, address: str) -> None:
        self._address = address
        self._up.set()


@ray.remote
class _EnvActor:
    """The process of one env servlet."""

    def __init__(self, encoded: bytes, lock: str, packages: tuple[str, ...]) -> None:
        self._config = msgspec.json.decode(encoded, type=EnvConfig)
        self._lock = lock
        self._packages = packages
        self._served = _Served(lambda ready: serve_env(self._config, ready))

    def ready(self) -> str:
        address = self._served.wait()
        file = EnvFile(
            config=self._config,
            address=address,
            process=processes.this(),
            started_at=time.time(),
            python=sys.executable,
            lock=self._lock,
            packages=self._packages,
        )
        whole_file.write(self._config.place / "servlet.json", [msgspec.json.encode(file)])
        return address

    def pid(self) -> int:
        return os.getpid()


@ray.remote
class _GatewayActor:
    """The process of the gateway."""

    def __init__(self, encoded: bytes) -> None:
        self._config = msgspec.json.decode(encoded, type=ClusterConfig)
        self._served = _Served(self._serve)

    async def _serve(self, ready: Callable[[str], None]) -> None:
        config = self._config
        folder = Path(config.folder)
        gateway = Gateway(
            config.name,
            config.cluster_id,
            folder,
            # Modules are compiled when first imported: all of Ray's would take longer to compile
            # than everything else an environment needs.
            EnvBuilder(Path(config.venvs), servlet_requirements(), compile_bytecode=False),
            _start_env,
            _stop_env,
            ray.__version__,
        )
        application: Any = guarded(Doorman(config.cluster_id, read_token(folder)), gateway)
        await serve(application, listen(config.host, config.port), ready)

    def ready(self) -> str:
        return self._served.wait()


def servlet_requirements() -> tuple[str, ...]:
    """What every environment needs to hold an env servlet, as installed here."""
    from importlib.metadata import version  # deferred: only the gateway asks

    # Ray and cloudpickle must be the same on both sides; the rest may be what the user pins.
    same = tuple(f"{name}=={version(name)}" for name in ("ray", "cloudpickle"))
    return (*same, "uvicorn", "httptools", "uvloop", "msgspec")
