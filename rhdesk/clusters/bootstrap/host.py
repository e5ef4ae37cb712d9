"""Making one host ready, step by step: each can be taken again, and what is there is not done twice."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import msgspec
from anyio import to_thread

from rhdesk.clusters.bootstrap import ROOTS
from rhdesk.clusters.bootstrap.archive import servlet_archive
from rhdesk.clusters.bootstrap.hand import Hand
from rhdesk.clusters.bootstrap.wheels import Platform, Wheels, own_requirements, wheels_for
from rhdesk.errors import SetupFailed
from rhdesk.models import Step, StepState

_ROOM: Final = 1_500_000_000
"""Bytes that Ray and what it needs take, unpacked and packed."""
_RAY_ROOM: Final = 64_000_000
"""Bytes of /tmp that Ray's sockets and logs take."""
_CLOCK_S: Final = 300.0


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that was looked at."""

    path: str
    free: int
    writable: bool
    runs: bool
    why: str = ""

    @property
    def refused(self) -> str:
        """Why it is not used; empty for one that can be."""
        if not self.writable or not self.runs:
            return self.why or "it cannot be written"
        if " " in self.path:
            return "Ray starts no workers from a path with a space"
        if self.free < _ROOM:
            return f"only {self.free / 1e9:.1f} GB are free, {_ROOM / 1e9:.1f} are needed"
        return ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a host; see `rhdesk_servlet.first.facts`."""

    time: float
    home: str
    uid: int
    hostname: str
    machine: str
    system: str
    libc: str
    shm: int
    tmp: Place
    roots: tuple[Place, ...]
    addresses: tuple[str, ...] = ()

    @property
    def glibc(self) -> int:
        """Minor version of glibc 2; 0 for another C library."""
        name, _, version = self.libc.partition(" ")
        parts = version.split(".")
        return int(parts[1]) if name == "glibc" and len(parts) > 1 and parts[0] == "2" else 0


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A host that can run a node."""

    root: str
    python: str
    """Interpreter of the runtime."""
    code: str
    """Folder with the servlet's packages."""
    digest: str
    """Hash of that code."""
    facts: Facts


def root_of(facts: Facts, *, host: str) -> str:
    """The first place that will do.

    Raises:
        SetupFailed: None will; the message says why not, place by place. Or Ray has no room.
    """
    for place in facts.roots:
        if place.refused:
            continue
        if facts.tmp.free < _RAY_ROOM:
            raise SetupFailed(
                f"/tmp of {host} is full: {facts.tmp.free / 1e6:.0f} MB are free, Ray's sockets "
                f"and logs take {_RAY_ROOM / 1e6:.0f}. Make room there: ssh {host} du -ax /tmp"
            )
        return place.path
    told = "; ".join(f"{place.path}: {place.refused}" for place in facts.roots)
    raise SetupFailed(
        f"{host} has no place to install anything: {told}. "
        f"Make one of them writable, without noexec, with {_ROOM / 1e9:.1f} GB of room"
    )


def platform_of(facts: Facts, python: str, *, host: str) -> Platform:
    """What wheels for the host must be for.

    Raises:
        SetupFailed: Ray has none for it.
    """
    if facts.system != "Linux" or facts.machine not in {"x86_64", "aarch64"} or not facts.glibc:
        seen = f"{facts.system} on {facts.machine}, {facts.libc or 'without glibc'}"
        raise SetupFailed(
            f"{host} is {seen}: Ray has packages for Linux with glibc on x86_64 and aarch64"
        )
    return Platform(python=python, machine=facts.machine, glibc=facts.glibc)


async def facts_of(hand: Hand) -> Facts:
    return msgspec.convert(await hand.ask("facts", roots=list(ROOTS)), Facts)


class Preparation:
    """Makes one host ready; `steps` tells how, and `ready` holds what came of it.

    Args:
        host: For the person.
        node: In front of each step, in a cluster of several.
        alone: One lock for each root: hosts that share a home are made ready one after the other.
    """

    def __init__(
        self,
        host: str,
        cache_dir: Path,
        node: str = "",
        alone: defaultdict[str, asyncio.Lock] | None = None,
    ) -> None:
        self._alone = defaultdict(asyncio.Lock) if alone is None else alone
        self._host = host
        self._cache_dir = cache_dir
        self._where = f" on {node}" if node else ""
        self.ready: Ready | None = None

    async def steps(self, hand: Hand) -> AsyncGenerator[Step]:
        """Whatever is missing is sent and installed."""
        facts = await facts_of(hand)
        root = root_of(facts, host=self._host)
        yield self._done("look at the host", self._seen(facts, hand, root))
        platform = platform_of(facts, hand.python.minor, host=self._host)
        identity = await hand.ask("identity", root=root)
        async with (
            self._alone[identity],
            aclosing(self._made(hand, facts, root, platform)) as made,
        ):
            async for step in made:
                yield step

    async def _made(
        self, hand: Hand, facts: Facts, root: str, platform: Platform
    ) -> AsyncGenerator[Step]:
        found: list[Wheels] = []

        async def fetch(tell: Callable[[str], None]) -> str:
            found.append(await wheels_for(own_requirements(), platform, self._cache_dir, tell))
            return f"{len(found[0].names)} packages"

        async with aclosing(self._step("find packages for it", fetch)) as steps:
            async for step in steps:
                yield step
        (wheels,) = found
        runtime = f"{root}/runtimes/{wheels.digest}"
        if not await self._is_whole(hand, runtime):
            names = await hand.ask("missing", folder=f"{root}/wheels", names=list(wheels.names))
            async with aclosing(self._send(hand, wheels, names, root)) as steps:
                async for step in steps:
                    yield step
            work = self._install(hand, wheels, root, runtime)
            async with aclosing(self._step("install them", work)) as steps:
                async for step in steps:
                    yield step
        archive = await to_thread.run_sync(servlet_archive, self._cache_dir)
        code = f"{root}/servlets/{archive.digest}"
        if archive.digest not in await hand.ask("listing", folder=f"{root}/servlets"):

            async def send(_: Callable[[str], None]) -> str:
                packed = f"{root}/servlets/{archive.digest}.zip"
                await hand.put(archive.file, packed)
                await hand.ask("unpack", archive=packed, folder=code)
                await hand.ask("remove", path=packed, root=root)
                return archive.digest

            async with aclosing(self._step("send the servlet", send)) as steps:
                async for step in steps:
                    yield step
        self.ready = Ready(
            root=root,
            python=f"{runtime}/bin/python",
            code=code,
            digest=archive.digest,
            facts=facts,
        )

    async def packages(
        self, hand: Hand, requirements: Sequence[str], platform: Platform, root: str
    ) -> AsyncGenerator[Step]:
        """Send wheels that satisfy *requirements* beside what an env servlet needs itself."""
        found: list[Wheels] = []

        async def fetch(tell: Callable[[str], None]) -> str:
            asked = [*requirements, *own_requirements()]
            found.append(await wheels_for(asked, platform, self._cache_dir, tell))
            return f"{len(found[0].names)} packages"

        async with aclosing(self._step("find packages for the environment", fetch)) as steps:
            async for step in steps:
                yield step
        (wheels,) = found
        names = await hand.ask("missing", folder=f"{root}/wheels", names=list(wheels.names))
        async with aclosing(self._send(hand, wheels, names, root)) as steps:
            async for step in steps:
                yield step

    def _seen(self, facts: Facts, hand: Hand, root: str) -> str:
        ahead_s = facts.time - time.time()
        clock = f"; its clock is {ahead_s:+.0f} s off" if abs(ahead_s) > _CLOCK_S else ""
        version = ".".join(map(str, hand.python.version))
        return f"{facts.hostname}: Python {version} at {hand.python.path}, room in {root}{clock}"

    async def _is_whole(self, hand: Hand, runtime: str) -> bool:
        return "complete" in await hand.ask("listing", folder=runtime)

    def _send(
        self, hand: Hand, wheels: Wheels, names: Sequence[str], root: str
    ) -> AsyncGenerator[Step]:
        sizes = {name: (wheels.folder / name).stat().st_size for name in names}
        total = sum(sizes.values())

        async def send(tell: Callable[[str], None]) -> str:
            gone = 0
            for name, size in sizes.items():
                before = gone

                def told(of_file: int, before: int = before) -> None:
                    tell(f"{(before + of_file) / 1e6:.0f} of {total / 1e6:.0f} MB")

                await hand.put(wheels.folder / name, f"{root}/wheels/{name}", tell=told)
                gone += size
            there = len(wheels.names) - len(sizes)
            return f"{len(sizes)} packages, {total / 1e6:.0f} MB; {there} were there"

        return self._step("send packages", send)

    def _install(
        self, hand: Hand, wheels: Wheels, root: str, runtime: str
    ) -> Callable[[Callable[[str], None]], Awaitable[str]]:
        async def install(tell: Callable[[str], None]) -> str:
            uv = f"{root}/bin/{wheels.uv.removesuffix('.whl')}/uv"
            version = wheels.uv.split("-")[1]
            member = f"uv-{version}.data/scripts/uv"
            await hand.ask("program", wheel=f"{root}/wheels/{wheels.uv}", member=member, path=uv)
            await hand.ask("remove", path=runtime, root=root)
            env = {
                "UV_OFFLINE": "1",
                "UV_CACHE_DIR": f"{root}/uv-cache",
                "UV_PYTHON_DOWNLOADS": "never",
                "UV_LINK_MODE": "hardlink",
                "UV_NO_CONFIG": "1",
            }
            commands = (
                [uv, "venv", "--quiet", "--no-project", "--python", hand.python.path, runtime],
                [
                    *(uv, "pip", "install", "--python", f"{runtime}/bin/python", "--no-deps"),
                    *("--no-index", "--find-links", f"{root}/wheels", *wheels.lock),
                ],
            )
            for command in commands:
                code, said = await hand.run(command, tell, env=env)
                if code:
                    output = "\n".join(said)
                    raise SetupFailed(
                        f"{self._host}: installing failed with {code}: {' '.join(said[-2:])[:300]}",
                        output=output,
                    )
            await hand.run(["/bin/sh", "-c", ': > "$0/complete"', runtime])
            return runtime

        return install

    async def _step(
        self, what: str, work: Callable[[Callable[[str], None]], Awaitable[str]]
    ) -> AsyncGenerator[Step]:
        """One step: begun, what it tells meanwhile, and how it ended."""
        what = f"{what}{self._where}"
        began = time.monotonic()
        yield Step(what=what, state=StepState.STARTED)
        told: asyncio.Queue[str | None] = asyncio.Queue()
        said = [""]

        def tell(text: str) -> None:
            if text != said[0]:
                said[0] = text
                told.put_nowait(text)

        async def working() -> str:
            try:
                return await work(tell)
            finally:
                told.put_nowait(None)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(_guarded(working()))
            while (text := await told.get()) is not None:
                took = time.monotonic() - began
                yield Step(what=what, state=StepState.PROGRESS, detail=text, elapsed_s=took)
            detail, error = await task
        took = time.monotonic() - began
        if error is not None:
            yield Step(what=what, state=StepState.FAILED, detail=str(error), elapsed_s=took)
            raise error
        yield Step(what=what, state=StepState.DONE, detail=detail, elapsed_s=took)

    def _done(self, what: str, detail: str) -> Step:
        return Step(what=f"{what}{self._where}", state=StepState.DONE, detail=detail)


async def _guarded(work: Any) -> tuple[str, Exception | None]:
    """What came of it; an error is kept, so that it comes out as itself and not in a group."""
    try:
        return await work, None
    except Exception as exc:  # noqa: BLE001 -- raised again by whoever asked
        return "", exc
