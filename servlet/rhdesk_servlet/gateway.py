"""One per cluster: hands out addresses, makes and drops environments, samples the load.

It keeps nothing in memory that matters: each env servlet describes itself in a file, so a gateway
that was killed and started again knows what it knew.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import msgspec

from rhdesk import processes
from rhdesk.errors import BadInput, NotFound, SetupFailed
from rhdesk.models import Step, StepState
from rhdesk.wire.frames import Frame, Kind
from rhdesk.wire.messages import EnvSeen, Health, MakeEnv, pack, unpack
from rhdesk.wire.routes import WIRE
from rhdesk_servlet import load
from rhdesk_servlet.asgi import Request, answer, answer_frames
from rhdesk_servlet.envs import EnvBuilder
from rhdesk_servlet.serve import EnvConfig

BASE = "base"


class EnvFile(msgspec.Struct, frozen=True, kw_only=True):
    """How an env servlet describes itself, in ``envs/<name>/servlet.json``."""

    config: EnvConfig
    address: str
    process: processes.Process
    started_at: float
    python: str
    lock: str = ""
    packages: tuple[str, ...] = ()


StartEnv = Callable[[EnvConfig, str, str, tuple[str, ...]], Awaitable[None]]
"""Starts an env servlet: its config, its interpreter, its lock and its packages."""
StopEnv = Callable[[str], Awaitable[None]]


class Gateway:
    """The gateway's verbs as an ASGI handler.

    Args:
        folder: The cluster's folder on this node.
        start_env, stop_env: How this cluster runs an env servlet (`ray_host`).
    """

    def __init__(
        self,
        name: str,
        cluster_id: str,
        folder: Path,
        builder: EnvBuilder,
        start_env: StartEnv,
        stop_env: StopEnv,
        ray: str,
    ) -> None:
        self._name = name
        self._cluster_id = cluster_id
        self._folder = folder
        self._builder = builder
        self._start_env = start_env
        self._stop_env = stop_env
        self._ray = ray
        self._started_at = time.time()

    async def __call__(self, request: Request) -> None:
        match [request.method, *request.parts]:
            case ("GET", "v1", "health"):
                await answer(request, [pack(self._health())])
            case ("GET", "v1", "stats"):
                await answer(request, [pack([load.sample(self._name)])])
            case ("POST", "v1", "envs"):
                asked = unpack((await request.body()).view, MakeEnv)
                await answer_frames(request, self._make(asked))
            case ("GET", "v1", "envs", name):
                await answer(request, [pack(self._seen(name))])
            case ("POST", "v1", "envs", name, "ensure"):
                await answer(request, [pack(await self._ensure(name))])
            case ("DELETE", "v1", "envs", name):
                await self._drop(name)
                await answer(request, [])
            case _:
                raise NotFound(f"{request.method} /{'/'.join(request.parts)}", kind="route")

    def _health(self) -> Health:
        return Health(
            cluster=self._name,
            cluster_id=self._cluster_id,
            wire=WIRE,
            pid=os.getpid(),
            started_at=self._started_at,
            cpus=os.cpu_count() or 1,
            ray=self._ray,
            python=sys.version.split()[0],
            envs=tuple(self._seen(name) for name in self._names()),
        )

    def _names(self) -> list[str]:
        files = (self._folder / "envs").glob("*/servlet.json")
        return sorted((file.parent.name for file in files), key=lambda name: (name != BASE, name))

    def _seen(self, name: str) -> EnvSeen:
        file = self._read(name)
        alive = processes.is_alive(file.process)
        why = "" if alive else f"its process {file.process.pid} is gone: it crashed or was killed"
        return EnvSeen(
            name=name,
            address=file.address if alive else "",
            pid=file.process.pid,
            python=file.python,
            lock=file.lock,
            state="up" if alive else "died",
            why=why,
            started_at=file.started_at,
            packages=file.packages,
        )

    def _read(self, name: str) -> EnvFile:
        try:
            data = (self._folder / "envs" / name / "servlet.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(name, kind="environment on this cluster", near=self._names()) from None
        return msgspec.json.decode(data, type=EnvFile)

    async def _ensure(self, name: str) -> EnvSeen:
        """The env servlet, started again if it died."""
        seen = self._seen(name)
        if seen.state != "up":
            file = self._read(name)
            await self._start_env(file.config, file.python, file.lock, file.packages)
            seen = self._seen(name)
        return seen

    async def _make(self, asked: MakeEnv) -> AsyncGenerator[list[Frame]]:
        spec = asked.spec
        if "/" in spec.name or spec.name.startswith("."):
            raise BadInput(f"{spec.name!r} is no name for an environment; name it like digits")
        if spec.name == BASE and (asked.lines or asked.folders):
            raise BadInput(
                "base is the cluster's own interpreter and stays as it is; "
                "give the environment a name: rhdesk env make digits ..."
            )
        python, lock, packages = sys.executable, "", tuple[str, ...]()
        if spec.name != BASE:
            made = None
            async for event in self._builder.make(
                lines=asked.lines,
                folders=asked.folders,
                setup_cmds=spec.setup_cmds,
                env_vars=spec.env_vars,
                working_dir=spec.working_dir,
                force=asked.force,
            ):
                if isinstance(event, Step):
                    yield [Frame(Kind.STEP, pack(event))]
                else:
                    made = event
            if made is None:
                raise SetupFailed(f"environment {spec.name} was not finished")
            python, lock, packages = str(made.python), made.lock, made.packages
        config = EnvConfig(
            name=spec.name,
            folder=str(self._folder),
            cluster_id=self._cluster_id,
            env_vars=spec.env_vars,
        )
        if self._is_current(config, python, lock) and not asked.force:
            done = Step(what="env servlet", state=StepState.DONE, detail="already up")
            yield [Frame(Kind.STEP, pack(done))]
            return
        began = time.monotonic()
        what = "start env servlet"
        yield [Frame(Kind.STEP, pack(Step(what=what, state=StepState.STARTED, detail=spec.name)))]
        await self._stop_env(spec.name)
        await self._start_env(config, python, lock, packages)
        took = time.monotonic() - began
        done = Step(what=what, state=StepState.DONE, detail=spec.name, elapsed_s=took)
        yield [Frame(Kind.STEP, pack(done))]

    def _is_current(self, config: EnvConfig, python: str, lock: str) -> bool:
        try:
            file = self._read(config.name)
        except NotFound:
            return False
        alive = processes.is_alive(file.process)
        return alive and (file.config, file.python, file.lock) == (config, python, lock)

    async def _drop(self, name: str) -> None:
        self._read(name)
        if name == BASE:
            raise BadInput("base goes with the cluster: rhdesk down")
        await self._stop_env(name)
        (self._folder / "envs" / name / "servlet.json").unlink(missing_ok=True)
