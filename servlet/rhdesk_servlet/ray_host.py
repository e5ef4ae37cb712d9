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
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rhdesk import processes, whole_file
from rhdesk.errors import ServletDied, SetupFailed
from rhdesk.wire.messages import NodeOfRay
from rhdesk_servlet.asgi import guarded
from rhdesk_servlet.auth import Doorman
from rhdesk_servlet.envs import EnvBuilder
from rhdesk_servlet.gateway import BASE, ClusterConfig, EnvFile, Gateway, idle_now_s
from rhdesk_servlet.node import end_itself
from rhdesk_servlet.serve import EnvConfig, listen, read_token, serve, serve_env

NAMESPACE: Final = "rhdesk"
_START_S: Final = 60.0
_ASK_S: Final = 15.0


def start_cluster(config: ClusterConfig) -> None:
    """Start this node's gateway and base env servlet in a running Ray; returns when both answer.

    A gateway that is there already is replaced: it may be one of older code.
    """
    _connect(config)
    _end_actor(_gateway_name(config.node))
    gateway = _GatewayActor.options(  # type: ignore[attr-defined]
        name=_gateway_name(config.node),
        lifetime="detached",
        num_cpus=0,
        max_restarts=-1,
        scheduling_strategy=_here(),
        runtime_env=_runtime(sys.executable, config.code),
    ).remote(msgspec.json.encode(config))
    ray.get(gateway.ready.remote(), timeout=_START_S)
    base = EnvConfig(
        name=BASE,
        folder=config.folder,
        cluster_id=config.cluster_id,
        host=config.host,
        node=config.node,
        code=config.code,
    )
    if not (base.place / "servlet.json").exists():
        # Ray may not have missed yet what this node was before it died.
        _end_actor(_env_name(config.node, BASE))
        asyncio.run(_start_env(base, sys.executable, "", ()))


def _gateway_name(node: str) -> str:
    return f"gateway:{node}"


def _env_name(node: str, env: str) -> str:
    return f"env:{node}:{env}"


def _here() -> NodeAffinitySchedulingStrategy:
    """On this node, or not at all."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _runtime(python: str, code: str) -> dict[str, Any]:
    """An interpreter, and the servlet's code in it: not always that which Ray was started with."""
    runtime: dict[str, Any] = {"py_executable": python}
    return runtime | ({"env_vars": {"PYTHONPATH": code}} if code else {})


def _end_actor(name: str) -> None:
    """End an actor, and return when its name is free; none is fine."""
    try:
        actor = ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return
    ray.kill(actor, no_restart=True)
    give_up = time.monotonic() + _START_S
    while time.monotonic() < give_up:
        try:
            ray.get_actor(name, namespace=NAMESPACE)
        except ValueError:
            return
        time.sleep(0.05)


def _connect(config: ClusterConfig) -> None:
    ray.init(
        address=config.ray_address,
        _temp_dir=config.ray_temp,
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
        name=_env_name(config.node, config.name),
        lifetime="detached",
        num_cpus=0,
        scheduling_strategy=_here(),
        runtime_env=_runtime(python, config.code),
    ).remote(msgspec.json.encode(config), lock, packages)
    try:
        await asyncio.wait_for(actor.ready.remote(), _START_S)
    except (TimeoutError, RayError) as exc:
        await _stop_env(config.node, config.name)
        raise SetupFailed(
            f"the env servlet of {config.name} did not start with {python}",
            output=str(exc)[-2000:],
        ) from exc


async def _stop_env(node: str, name: str) -> None:
    """End an env servlet and everything its runs started; none is fine."""
    try:
        actor = ray.get_actor(_env_name(node, name), namespace=NAMESPACE)
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


class _RayOfNode:
    """What the gateway asks of Ray, on its own node."""

    version = ray.__version__

    def __init__(self, node: str) -> None:
        self._node = node

    async def start_env(
        self, config: EnvConfig, python: str, lock: str, packages: tuple[str, ...]
    ) -> None:
        await _start_env(config, python, lock, packages)

    async def stop_env(self, name: str) -> None:
        await _stop_env(self._node, name)

    def nodes(self) -> list[NodeOfRay]:
        """Every node Ray has had, those that died too. Blocking."""
        return [
            NodeOfRay(
                name=str(each["NodeName"]),
                address=str(each["NodeManagerAddress"]),
                is_alive=bool(each["Alive"]),
                why=str(each.get("DeathReasonMessage") or ""),
                resources={k: float(v) for k, v in each["Resources"].items() if ":" not in k},
            )
            for each in ray.nodes()  # type: ignore[no-untyped-call]
        ]

    async def idle_s(self, node: str) -> float:
        """Seconds since anything happened on another node, asked through Ray.

        Raises:
            ServletDied: Its gateway does not answer.
        """
        try:
            gateway = ray.get_actor(_gateway_name(node), namespace=NAMESPACE)
            return float(await asyncio.wait_for(gateway.idle_s.remote(), _ASK_S))
        except (ValueError, TimeoutError, RayError) as exc:
            raise ServletDied(f"the gateway of {node} does not answer: {exc}") from exc

    async def end(self, node: str, why: str) -> None:
        """Have another node end itself.

        Raises:
            ServletDied: Its gateway does not answer.
        """
        try:
            gateway = ray.get_actor(_gateway_name(node), namespace=NAMESPACE)
            await asyncio.wait_for(gateway.end.remote(why), _ASK_S)
        except (ValueError, TimeoutError, RayError) as exc:
            raise ServletDied(f"the gateway of {node} does not answer: {exc}") from exc


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
            config,
            # Modules are compiled when first imported: all of Ray's would take longer to compile
            # than everything else an environment needs.
            EnvBuilder(
                Path(config.venvs),
                servlet_requirements(),
                compile_bytecode=False,
                wheels=config.wheels,
            ),
            _RayOfNode(config.node),
        )
        application: Any = guarded(Doorman(config.cluster_id, read_token(folder)), gateway)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(gateway.tend())
            await serve(application, listen(config.host, config.port), ready)

    def ready(self) -> str:
        return self._served.wait()

    def idle_s(self) -> float:
        """Asked by the head, which ends all nodes or none."""
        return idle_now_s(Path(self._config.folder))

    def end(self, why: str) -> None:
        end_itself(Path(self._config.folder), why)


def servlet_requirements() -> tuple[str, ...]:
    """What every environment needs to hold an env servlet, as installed here."""
    from importlib.metadata import version  # deferred: only the gateway asks

    # Ray and cloudpickle must be the same on both sides; the rest may be what the user pins.
    same = tuple(f"{name}=={version(name)}" for name in ("ray", "cloudpickle"))
    return (*same, "uvicorn", "httptools", "uvloop", "msgspec")
