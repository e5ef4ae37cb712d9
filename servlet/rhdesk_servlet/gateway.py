"""One per cluster: hands out addresses, makes and drops environments, samples the load.

It keeps nothing in memory that matters: each env servlet describes itself in a file, so a gateway
that was killed and started again knows what it knew.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path

import msgspec

from rhdesk import processes, whole_file
from rhdesk.errors import BadInput, NotFound, RhdeskError, ServletDied, SetupFailed
from rhdesk.models import Step, StepState
from rhdesk.wire import routes
from rhdesk.wire.frames import Frame, Kind
from rhdesk.wire.messages import (
    EnvSeen,
    Fault,
    Health,
    LiveSeen,
    MakeEnv,
    TakeOn,
    error_of,
    pack,
    unpack,
)
from rhdesk_servlet import load
from rhdesk_servlet.asgi import Request, answer, answer_frames
from rhdesk_servlet.envs import EnvBuilder
from rhdesk_servlet.serve import EnvConfig, read_token
from rhdesk_servlet.telling import Telling

BASE = "base"
_ASK_S = 360.0
"""For an answer of an env servlet that imports new code first."""


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
            wire=routes.WIRE,
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
        if self._is_up(config.name) and not asked.force:
            taken = TakeOn(python=python, env_vars=spec.env_vars, name=asked.name, live=asked.live)
            async with aclosing(self._change(config, taken, lock, packages)) as steps:
                async for step in steps:
                    yield [Frame(Kind.STEP, pack(step))]
            return
        began = time.monotonic()
        what = "start env servlet"
        yield [Frame(Kind.STEP, pack(Step(what=what, state=StepState.STARTED, detail=spec.name)))]
        await self._stop_env(spec.name)
        await self._start_env(config, python, lock, packages)
        took = time.monotonic() - began
        done = Step(what=what, state=StepState.DONE, detail=spec.name, elapsed_s=took)
        yield [Frame(Kind.STEP, pack(done))]

    def _is_up(self, name: str) -> bool:
        try:
            return processes.is_alive(self._read(name).process)
        except NotFound:
            return False

    async def _change(
        self, config: EnvConfig, taken: TakeOn, lock: str, packages: tuple[str, ...]
    ) -> AsyncGenerator[Step]:
        """Have an env servlet that is up be as is asked, without a call that fails."""
        file = self._read(config.name)
        is_current = (file.config, file.python, file.lock) == (config, taken.python, lock)
        if is_current and taken.live is None:
            yield Step(what="env servlet", state=StepState.DONE, detail="already up")
            return
        tell = Telling("go live" if is_current else "take on the new packages", time.monotonic)
        yield tell.started(taken.name or config.name)
        try:
            seen = await self._ask(file.address, routes.INTERPRETER, pack(taken))
            if seen.why:
                raise SetupFailed(seen.why)
        except RhdeskError as exc:
            yield tell.failed(str(exc))
            raise
        told = msgspec.structs.replace(
            file, config=config, python=taken.python, lock=lock, packages=packages
        )
        place = config.place / "servlet.json"
        if self._read(config.name).process == file.process:
            whole_file.write(place, [msgspec.json.encode(told)])
        yield tell.done(seen.instance)

    async def _ask(self, address: str, route: str, body: bytes) -> LiveSeen:
        """Put a question to an env servlet of this node."""
        told = {"authorization": f"Bearer {read_token(self._folder)}"}

        def ask() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(address, timeout=_ASK_S)
            try:
                connection.request("PUT", route, body, told)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        try:
            status, data = await asyncio.to_thread(ask)
        except OSError as exc:
            raise ServletDied(f"the env servlet did not answer: {exc}") from exc
        if status != HTTPStatus.OK:
            raise error_of(unpack(data, Fault))
        return unpack(data, LiveSeen)

    async def _drop(self, name: str) -> None:
        self._read(name)
        if name == BASE:
            raise BadInput("base goes with the cluster: rhdesk down")
        await self._stop_env(name)
        (self._folder / "envs" / name / "servlet.json").unlink(missing_ok=True)
