"""One per node: hands out addresses, makes and drops environments, samples the load.

It keeps nothing in memory that matters: each env servlet describes itself in a file, so a gateway
that was killed and started again knows what it knew.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

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
    NodeOfRay,
    Retired,
    TakeOn,
    error_of,
    pack,
    unpack,
)
from rhdesk.wire.secrets import FOLDER
from rhdesk.wire.work import Changed, Content, Early, Offer, Wanted
from rhdesk_servlet import delivery, gpus, load
from rhdesk_servlet.activity import Activity, Autostop
from rhdesk_servlet.asgi import Request, answer, answer_frames
from rhdesk_servlet.envs import EnvBuilder
from rhdesk_servlet.node import end_itself
from rhdesk_servlet.serve import EnvConfig, read_token
from rhdesk_servlet.standing import VARIABLE
from rhdesk_servlet.telling import Telling
from rhdesk_servlet.work import CURRENT, WorkFolder, WorkFolders

_log = logging.getLogger(__name__)
BASE = "base"
_LOOK_S = 1.0
"""How often it is looked whether the node is idle, or an env servlet of older code is."""
_BUSY_S = 3.0
"""For an answer that an env servlet has at hand."""
_ASK_S = 360.0
"""For an answer of an env servlet that imports new code first."""


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
    ray_temp: str = ""
    """Ray's folder on this node; tells it from another node on the same machine."""
    node: str = ""
    is_head: bool = True
    wheels: str = ""
    """Folder of wheels that environments are built from, where the node has no index."""
    code: str = ""
    """Folder of the servlet's code; its name is the hash of what is in it."""
    autostop_s: float = -1.0
    """End the node after so many seconds in which nothing ran; below 0 is never."""


class EnvFile(msgspec.Struct, frozen=True, kw_only=True):
    """How an env servlet describes itself, in ``envs/<name>/servlet.json``."""

    config: EnvConfig
    address: str
    process: processes.Process
    started_at: float
    python: str
    lock: str = ""
    packages: tuple[str, ...] = ()


class RayOfNode(Protocol):
    """What the gateway asks of Ray, on its own node (`ray_host`)."""

    version: str

    async def start_env(
        self, config: EnvConfig, python: str, lock: str, packages: tuple[str, ...]
    ) -> None: ...
    async def stop_env(self, name: str) -> None: ...
    def nodes(self) -> list[NodeOfRay]: ...
    async def idle_s(self, node: str) -> float: ...
    async def end(self, node: str, why: str) -> None: ...


class Gateway:
    """The gateway's verbs as an ASGI handler.

    Args:
        config: Its cluster and node.
        ray: How env servlets are run, and what the other nodes are.
    """

    def __init__(self, config: ClusterConfig, builder: EnvBuilder, ray: RayOfNode) -> None:
        self._config = config
        self._name = config.name
        self._cluster_id = config.cluster_id
        self._folder = Path(config.folder)
        self._builder = builder
        self._ray = ray
        self._start_env = ray.start_env
        self._stop_env = ray.stop_env
        self._started_at = time.time()
        self._activity = Activity(self._folder)
        self._autostop = Autostop(self._folder, config.autostop_s)
        self._gpus = gpus.look()
        self._renewing = asyncio.Lock()
        self._works = WorkFolders(self._folder / "work")

    async def __call__(self, request: Request) -> None:
        if request.method != "GET":
            self._activity.note()  # who only looks does not keep it up
        match [request.method, *request.parts]:
            case ("GET", "v1", "health"):
                await answer(request, [pack(self._health())])
            case ("GET", "v1", "stats"):
                sample = await asyncio.to_thread(load.sample, self._config.node or self._name)
                await answer(request, [pack([sample])])
            case ("GET", "v1", "nodes"):
                await answer(request, [pack(await asyncio.to_thread(self._ray.nodes))])
            case ("PUT", "v1", "autostop"):
                self._autostop.set(unpack((await request.body()).view, float))
                await answer(request, [])
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
            case (_, "v1", "work", key, *rest):
                await self._work(request, self._works.get(key), rest)
            case _:
                raise NotFound(f"{request.method} /{'/'.join(request.parts)}", kind="route")

    async def _work(self, request: Request, work: WorkFolder, rest: Sequence[str]) -> None:
        """A working folder; what touches files does so in a thread."""
        match [request.method, *rest]:
            case ("GET",):
                await answer(request, [pack(await asyncio.to_thread(work.seen))])
            case ("POST", "change"):
                asked = unpack((await request.body()).view, Changed)
                done = await asyncio.to_thread(work.change, asked.change, asked.contents)
                await answer(request, [pack(done)])
            case ("POST", "early"):
                early = unpack((await request.body()).view, list[Early])
                await asyncio.to_thread(work.early, early)
                await answer(request, [])
            case ("POST", "offer"):
                offer = unpack((await request.body()).view, Offer)
                await answer(request, [pack(await asyncio.to_thread(work.offer, offer))])
            case ("POST", "contents"):
                contents = unpack((await request.body()).view, list[Content])
                wrong = await asyncio.to_thread(work.receive, contents)
                await answer(request, [pack(wrong)])
            case ("POST", "finish"):
                await answer(request, [pack(await asyncio.to_thread(work.finish))])
            case ("GET", "written"):
                found = await asyncio.to_thread(work.written, request.text("under"))
                await answer(request, [pack(found)])
            case ("POST", "read"):
                wanted = unpack((await request.body()).view, list[Wanted])
                await answer(request, [pack(await asyncio.to_thread(work.read, wanted))])
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
            ray=self._ray.version,
            python=sys.version.split()[0],
            envs=tuple(self._seen(name) for name in self._names()),
            node=self._config.node,
            memory_bytes=load.memory_bytes(),
            gpus=len(self._gpus),
            gpu_model=self._gpus[0].model if self._gpus else "",
            idle_s=self._activity.idle_s(),
            autostop_s=self._autostop.after_s,
            servlet=Path(self._config.code).name,
        )

    async def tend(self) -> None:
        """End the cluster when it was idle for long enough, and have old code replaced."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._config.is_head and self._autostop.is_due(self._activity.idle_s()):
                await self._end_if_all_idle()
            await self._renew()

    async def _end_if_all_idle(self) -> None:
        """All nodes or none: one that only waits for the others is not idle."""
        me = self._config.node
        found = await asyncio.to_thread(self._ray.nodes)
        others = [each.name for each in found if each.is_alive and each.name != me]
        try:
            idle_s = [await self._ray.idle_s(node) for node in others]
            idle_s.append(await asyncio.to_thread(idle_now_s, self._folder))
        except ServletDied as exc:
            _log.warning("whether the cluster is idle cannot be known: %s", exc)
            return
        if not self._autostop.is_due(min(idle_s)):
            return
        why = f"it stopped itself after {self._autostop.spelled()} in which nothing ran"
        for node in others:
            try:
                await self._ray.end(node, why)
            except ServletDied as exc:
                _log.warning("%s could not be told to end: %s", node, exc)
        end_itself(self._folder, why)
        await asyncio.sleep(_ASK_S)

    async def _renew(self) -> None:
        """Replace env servlets of older code that have nothing to do; none loses anything."""
        for name in self._names():
            file = self._read(name)
            if file.config.code == self._config.code or not processes.is_alive(file.process):
                continue
            async with self._renewing:  # who asks for it meanwhile waits for the new one
                try:
                    retired = unpack(await self._post(file.address, routes.RETIRE, b""), Retired)
                    if retired.is_retired:
                        config = msgspec.structs.replace(file.config, code=self._config.code)
                        await self._stop_env(name)
                        await self._start_env(config, file.python, file.lock, file.packages)
                except RhdeskError as exc:
                    _log.warning("%s could not be replaced: %s", name, exc)

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
        async with self._renewing:
            seen = self._seen(name)
            if seen.state != "up":
                file = self._read(name)
                config = msgspec.structs.replace(file.config, code=self._config.code)
                await self._start_env(config, file.python, file.lock, file.packages)
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
        work = self._work_of(asked)
        env_vars = spec.env_vars | ({VARIABLE: work} if work else {})
        env_vars |= await asyncio.to_thread(self._put_secrets, asked)
        if spec.name != BASE:
            made = None
            async for event in self._builder.make(
                lines=asked.lines,
                folders=asked.folders,
                setup_cmds=spec.setup_cmds,
                env_vars=spec.env_vars,
                working_dir=work or None,
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
            env_vars=env_vars,
            node=self._config.node,
            code=self._config.code,
        )
        if self._is_up(config.name) and not asked.force:
            taken = TakeOn(python=python, env_vars=env_vars, name=asked.name, live=asked.live)
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

    def _put_secrets(self, asked: MakeEnv) -> dict[str, str]:
        """Have what an environment is given be on this node; the variables that lead to it."""
        place = self._folder / "envs" / asked.spec.name
        if not asked.secrets.values:
            delivery.remove(place)
            return {}
        try:
            current = self._read(asked.spec.name).config.env_vars.get(FOLDER, "")
        except NotFound:
            current = ""
        return delivery.put(place, asked.secrets, current=current)

    def _work_of(self, asked: MakeEnv) -> str:
        """The working folder that is asked for, as a path on this node; empty for none."""
        if not asked.work:
            return asked.spec.working_dir or ""
        return str(self._folder / "work" / asked.work / CURRENT)

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
        # Until it has nothing to do, it may run older code than this gateway.
        config = msgspec.structs.replace(config, code=file.config.code)
        is_current = (file.config, file.python, file.lock) == (config, taken.python, lock)
        if is_current and taken.live is None:
            yield Step(what="env servlet", state=StepState.DONE, detail="already up")
            return
        tell = Telling("go live" if is_current else "take on the new packages", time.monotonic)
        yield tell.started(taken.name or config.name)
        try:
            answered = await self._put(file.address, routes.INTERPRETER, pack(taken))
            seen = unpack(answered, LiveSeen)
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

    async def _put(self, address: str, route: str, body: bytes) -> bytes:
        return await self._ask("PUT", address, route, body)

    async def _post(self, address: str, route: str, body: bytes) -> bytes:
        return await self._ask("POST", address, route, body)

    async def _ask(self, method: str, address: str, route: str, body: bytes) -> bytes:
        """Put a question to an env servlet of this node."""
        return await asyncio.to_thread(
            ask_servlet, self._folder, method, address, route, body, timeout_s=_ASK_S
        )

    async def _drop(self, name: str) -> None:
        self._read(name)
        if name == BASE:
            raise BadInput("base goes with the cluster: rhdesk down")
        await self._stop_env(name)
        (self._folder / "envs" / name / "servlet.json").unlink(missing_ok=True)
        await asyncio.to_thread(delivery.remove, self._folder / "envs" / name)


def ask_servlet(
    folder: Path, method: str, address: str, route: str, body: bytes = b"", *, timeout_s: float
) -> bytes:
    """Put a question to an env servlet of this node. Blocking.

    Raises:
        ServletDied: It does not answer.
        RhdeskError: It answered with that.
    """
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        told = {"authorization": f"Bearer {read_token(folder)}"}
        connection.request(method, route, body, told)
        answered = connection.getresponse()
        data = answered.read()
    except (OSError, http.client.HTTPException) as exc:
        raise ServletDied(f"the env servlet did not answer: {exc}") from exc
    finally:
        connection.close()
    if answered.status != HTTPStatus.OK:
        raise error_of(unpack(data, Fault))
    return data


def idle_now_s(folder: Path) -> float:
    """Seconds since anything happened on this node; 0 while a call runs. Blocking.

    The env servlets are asked: after the machine slept, what they noted is old and their calls are
    not. One that does not answer is not waited for: it notes nothing either.
    """
    for file in (folder / "envs").glob("*/servlet.json"):
        seen = msgspec.json.decode(file.read_bytes(), type=EnvFile)
        if not processes.is_alive(seen.process):
            continue
        try:
            data = ask_servlet(folder, "GET", seen.address, routes.STATS, timeout_s=_BUSY_S)
        except RhdeskError as exc:
            _log.warning("whether %s is busy cannot be known: %s", seen.config.name, exc)
            continue
        _, running = unpack(data, tuple[int, int])
        if running:
            return 0.0
    return Activity(folder).idle_s()
