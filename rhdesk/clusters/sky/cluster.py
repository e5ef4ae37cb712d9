"""A cluster whose machines SkyPilot brings into being; from then on it is one like any other over SSH.

The way to a machine is what SkyPilot's own program writes for ssh, in SkyPilot's home: a plain host,
a jump, or its proxy into a batch job.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file
from rhdesk.clusters.line import Line
from rhdesk.clusters.sky.api import Api, Seen
from rhdesk.clusters.sky.journal import UNHEARD, Call
from rhdesk.clusters.sky.service import Sky
from rhdesk.clusters.sky.task import IDLE_MINS, after_s, task_of
from rhdesk.clusters.ssh.config import aliases, resolve
from rhdesk.clusters.ssh.link import HostLink
from rhdesk.clusters.ssh_cluster import HeldNode, SshCluster
from rhdesk.clusters.steps import did
from rhdesk.errors import BadInput, ConnectionFailed, NotFound, RhdeskError, SetupFailed
from rhdesk.models import Cluster, ClusterSpec, ClusterState, Step, StepState
from rhdesk.ports import Asks

KIND: Final = "sky"
_LOOK_S: Final = 6.0
_NOISE: Final = ("---", "Considered", "INFRA", "Waiting for", "View logs", "Useful Commands")


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """Machines that are there."""

    hosts: tuple[str, ...]
    """As SkyPilot's ssh configuration calls them, head first."""
    infra: str
    price_per_hour: float
    """Of all of them; 0 is not known."""
    since: datetime
    port: int
    """Of SkyPilot's server when the way to them was written down; it may go through there."""


class SkyCluster(SshCluster):
    """Satisfies `rhdesk.clusters.service.ClusterAdapter`.

    Args:
        sky: SkyPilot on this machine.
    """

    def __init__(
        self,
        spec: ClusterSpec,
        folder: Path,
        cache_dir: Path,
        *,
        owner: str,
        sky: Sky,
        asks: Asks | None = None,
    ) -> None:
        self._sky = sky
        self._folder = folder
        brought = self.brought()
        hosts = brought.hosts if brought else ()
        super().__init__(
            msgspec.structs.replace(spec, hosts=hosts), folder, cache_dir, owner=owner, asks=asks
        )
        self.asked = spec

    def brought(self) -> Brought | None:
        try:
            return msgspec.json.decode((self._folder / "machines.json").read_bytes(), type=Brought)
        except (FileNotFoundError, NotADirectoryError):
            return None

    # ---- what is known here

    def look(self) -> Cluster:
        brought = self.brought()
        cluster = super().look()
        if brought is None:
            last = self._sky.journal.last(self.asked.name)
            state, why = cluster.state, ""
            if last is not None and last.is_open:
                state, why = ClusterState.STARTING, f"a {last.verb} is at work"
            elif last is not None and last.verb == "stop" and last.outcome == "done":
                state, why = ClusterState.STOPPED, "its machines are off, their disks are kept"
            elif last is not None and last.verb == "launch" and last.outcome in {"", UNHEARD}:
                state = ClusterState.BROKEN
                why = f"bringing its machines up was cut off: rhdesk up {self.asked.name}"
            return msgspec.structs.replace(cluster, kind=KIND, state=state, why=why)
        if cluster.state is ClusterState.DOWN:
            state, why = ClusterState.BROKEN, "its machines are there, and no servlets on them"
            cluster = msgspec.structs.replace(cluster, state=state, why=why)
        return msgspec.structs.replace(
            cluster, kind=KIND, infra=brought.infra, price_per_hour=brought.price_per_hour
        )

    async def lines(self) -> list[Line]:
        brought = self.brought()
        if brought is not None:
            await self._see_to_the_way(brought)
        return await super().lines()

    async def why_ended(self) -> str:
        """Why it does not answer: SkyPilot knows whether its machines are there."""
        try:
            async with asyncio.timeout(_LOOK_S):
                ended = await self._sky.has_ended(self.asked.name)
        except (TimeoutError, RhdeskError):
            return ""
        if ended is not False:
            await self._forget()
            last = self._sky.journal.last(self.asked.name)
            if last is not None and last.verb in {"launch", "start"}:
                call = self._sky.journal.begin(
                    self.asked.name, "down" if ended is True else "stop"
                )
                self._sky.journal.end(call)
            return "its machines ended: nothing had run on them for a while, or they were taken"
        return ""

    # ---- up

    async def _up(self) -> AsyncGenerator[Step]:
        machines = self.asked.machines
        assert machines is not None, "only of clusters of machines"
        async with aclosing(self._sky.ready(machines.provider)) as steps:
            async for step in steps:
                yield step
        await self._sky.reconcile()
        seen = await self._sky.seen(self.asked.name, ask_provider=True)
        if not self._is_whole(seen) or self.brought() is None:
            async with aclosing(self._bring(seen)) as steps:
                async for step in steps:
                    yield step
        async with aclosing(self._see_to_the_job()) as steps:
            async for step in steps:
                yield step
        async with aclosing(super()._up()) as steps:
            async for step in steps:
                yield step

    def _is_whole(self, seen: Seen | None) -> bool:
        """Whether its machines are there, and SkyPilot was heard to say that it was done with them:
        one that was killed in the middle has them as up, and half made. To launch them again makes
        them whole."""
        calls = [c for c in self._sky.journal.calls() if c.cluster == self.asked.name]
        last = [call for call in calls if call.verb in {"launch", "start"}][-1:]
        return seen is not None and seen.status == "UP" and [c.outcome for c in last] == ["done"]

    async def _bring(self, seen: Seen | None) -> AsyncGenerator[Step]:
        """Have the machines there: launched, or started again, or found."""
        name, machines = self.asked.name, self.asked.machines
        assert machines is not None, "only of clusters of machines"
        what = f"bring up {self._described()}"
        began = time.monotonic()
        yield Step(what=what, state=StepState.STARTED)
        known, price = self.brought(), 0.0
        if known is not None:
            price = known.price_per_hour
        elif offers := await self._sky.considered(self.asked):
            price = offers[0].price_per_hour * machines.count
        if not self._is_whole(seen):
            verb = "start" if seen is not None and seen.status == "STOPPED" else "launch"
            call = self._sky.journal.begin(name, verb)
            async with self._sky.api() as api, aclosing(self._followed(api, call, price)) as said:
                async for text in said:
                    took_s = time.monotonic() - began
                    yield Step(what=what, state=StepState.PROGRESS, detail=text, elapsed_s=took_s)
        found = await self._sky.seen(name)
        if found is None or found.status != "UP":
            raise SetupFailed(
                f"SkyPilot says that it brought {name} up, and has it as "
                f"{found.status if found else 'gone'}: {found.init_status_reason if found else ''}"
            )
        await self._write_the_way(found, price)
        yield did(what, f"{found.infra}, {found.resources_str}", time.monotonic() - began)

    def _described(self) -> str:
        machines = self.asked.machines
        assert machines is not None, "only of clusters of machines"
        kind = machines.instance_type or "machine"
        several = f"{machines.count} x {kind}" if machines.count > 1 else kind
        return f"{several} for {self.asked.name}"

    async def _followed(self, api: Api, call: Call, price: float) -> AsyncGenerator[str]:
        """Make a call that is in the journal; what SkyPilot says while it works at it.

        Given up in the middle, it is cancelled there, and what it began is ended.
        """
        name = self.asked.name
        # One that an rhdesk began that was killed goes on by itself: it is followed, not doubled.
        begun = await api.at_work(name)
        if begun:
            request = begun[0]
        elif call.verb == "start":
            request = await api.request("/start", cluster_name=name)
        else:
            request = await api.request("/launch", task=task_of(self.asked), cluster_name=name)
        said: asyncio.Queue[str | None] = asyncio.Queue()

        async def read() -> None:
            try:
                async with aclosing(api.lines(request)) as lines:
                    async for line in lines:
                        if not any(noise in line for noise in _NOISE):
                            said.put_nowait(line.strip("⚙︎└─✓ "))
            finally:
                said.put_nowait(None)

        async def ask() -> None:
            last = ""
            while True:
                await asyncio.sleep(2.0)
                if (text := await api.progress(name)) and text != last:
                    last = text
                    said.put_nowait(text)

        tasks = [asyncio.ensure_future(read()), asyncio.ensure_future(ask())]
        try:
            while (text := await said.get()) is not None:
                yield text
            await api.answer(request)
        except (asyncio.CancelledError, GeneratorExit):
            with suppress(RhdeskError):
                await api.cancel(request)
            self._sky.journal.end(call, "given up")
            with suppress(RhdeskError):
                await self._sky.end_machines(name)
            raise
        except ConnectionFailed:
            raise  # nobody knows how it ended: the call stays open in the journal
        except RhdeskError as exc:
            self._sky.journal.end(call, str(exc)[:300])
            with suppress(RhdeskError):  # what it had begun when it failed
                await self._sky.end_machines(name)
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._sky.journal.end(call, price_per_hour=price)

    async def _see_to_the_job(self) -> AsyncGenerator[Step]:
        """Have the keeper run: machines that were off, or waited too long, have none."""
        name = self.asked.name
        async with self._sky.api() as api:
            jobs = await api.ask("/queue", cluster_name=name, skip_finished=True, all_users=True)
            if any(job.get("job_name") == name for job in jobs or []):
                return
            began = time.monotonic()
            what = f"start the keeper of {name}"
            yield Step(what=what, state=StepState.STARTED)
            await api.ask("/exec", task=task_of(self.asked), cluster_name=name)
        yield did(what, "the machines end when nothing runs", time.monotonic() - began)

    # ---- the way there

    async def _write_the_way(self, seen: Seen, price: float) -> None:
        """Have SkyPilot write for ssh how its machines are reached."""
        name, server = self.asked.name, self._sky.server
        async with self._sky.api() as api:
            port = api.port
        program = self._sky.environment.python.with_name("sky")
        process = await asyncio.create_subprocess_exec(
            *(program, "status", name),
            env=dict(server.environ(port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        known = await asyncio.to_thread(aliases, home=server.home)
        hosts = [host for host in known if host == name or host.startswith(f"{name}-worker")]
        if len(hosts) < seen.nodes:
            raise SetupFailed(
                f"SkyPilot does not say how {name} is reached",
                output=output.decode("utf-8", "replace")[-2000:],
            )
        brought = Brought(
            hosts=tuple(hosts),
            infra=seen.infra,
            price_per_hour=price,
            since=datetime.fromtimestamp(seen.launched_at, UTC),
            port=port,
        )
        whole_file.write(self._folder / "machines.json", [msgspec.json.encode(brought)])
        self.spec = msgspec.structs.replace(self.asked, hosts=brought.hosts)
        for link in self.links.values():
            await link.aclose()
        self.links = {host: self._link(host) for host in brought.hosts}

    def _link(self, host: str) -> HostLink:
        """To a machine that was just made: the key it shows first is the one it has from then on."""
        target = resolve(host, self.spec, home=self._sky.server.home, system=Path("/dev/null"))
        target = msgspec.structs.replace(
            target,
            known_hosts=(self._folder / "known_hosts",),
            known_as=host,
            checking="accept-new",
            timeout_s=30.0,  # a batch system first makes room for a step
        )
        return HostLink(target, self._asks)

    async def _see_to_the_way(self, brought: Brought) -> None:
        """Have SkyPilot's server run where the way goes through it."""
        through = f"http://127.0.0.1:{brought.port} "
        links = [self.links[host] for host in brought.hosts if host in self.links]
        if not any(through in link.target.proxy_command for link in links):
            return
        api = self._sky.server.running()
        if api is not None and api.port == brought.port:
            return
        seen = await self._sky.seen(self.asked.name)  # starts it
        api = self._sky.server.running()
        if seen is not None and api is not None and api.port != brought.port:
            await self._write_the_way(seen, brought.price_per_hour)

    def _lasting(self, node: HeldNode, command: list[str]) -> list[str]:
        keeper = f"{node.code}/rhdesk_servlet/keeper.py"
        return [node.python, keeper, "ask", self.asked.name, *command]

    # ---- life

    async def keep_for(self, minutes: float) -> None:
        """Tell the keepers, and SkyPilot's own timer, what its servlets were told."""
        held = self.held()
        for node in held.nodes if held else ():
            keeper = f"{node.code}/rhdesk_servlet/keeper.py"
            words = [node.python, keeper, "after", self.asked.name, str(after_s(minutes))]
            connection = await self.links[node.host].connection()
            async with connection.run(shlex.join(words)) as running:
                if code := await running.wait():
                    raise SetupFailed(
                        f"the keeper on {node.name} was not told: {running.errors() or code}"
                    )
        machines = self.asked.machines
        down = machines is None or not machines.stop
        call = self._sky.journal.begin(self.asked.name, "autostop")
        try:
            async with self._sky.api() as api:
                await api.ask(
                    "/autostop",
                    cluster_name=self.asked.name,
                    idle_minutes=IDLE_MINS,
                    down=down,
                    wait_for="jobs",
                )
        except RhdeskError as exc:
            self._sky.journal.end(call, str(exc)[:300])
            raise
        self._sky.journal.end(call)

    async def down(self, *, keep: bool = False) -> AsyncGenerator[Step]:
        """End its servlets, then its machines; nothing is left of either."""
        with self._alone("down"):
            async with aclosing(self._ended("down")) as steps:
                async for step in steps:
                    yield step

    async def stop(self) -> AsyncGenerator[Step]:
        """Turn its machines off, and keep their disks; `up` turns them on again.

        Raises:
            SetupFailed: The provider cannot do that.
        """
        with self._alone("stop"):
            if await self._sky.seen(self.asked.name) is None:
                raise NotFound.told(f"{self.asked.name} has no machines that could be turned off")
            async with aclosing(self._ended("stop")) as steps:
                async for step in steps:
                    yield step

    async def resize(self, count: int) -> AsyncGenerator[Step]:
        """Have so many machines, and servlets on those that are new.

        Raises:
            NotFound: It is down.
            BadInput, SetupFailed: The provider cannot do that.
        """
        machines = self.asked.machines
        assert machines is not None, "only of clusters of machines"
        wanted = msgspec.structs.replace(machines, count=count)
        with self._alone("resize"):
            brought = self.brought()
            if brought is None:
                raise NotFound.told(f"{self.asked.name} is down: rhdesk up brings it up as wanted")
            if brought.infra.startswith("slurm/"):
                # SkyPilot takes the order and notes it as done; the job stays of the size it has.
                raise BadInput(
                    f"a job of Slurm keeps its size: rhdesk down {self.asked.name}, then rhdesk up "
                    f"{self.asked.name} --provider slurm --nodes {count}"
                )
            task = task_of(msgspec.structs.replace(self.asked, machines=wanted))
            what = f"resize {self.asked.name} from {machines.count} to {count}"
            began = time.monotonic()
            yield Step(what=what, state=StepState.STARTED)
            call = self._sky.journal.begin(self.asked.name, "launch")
            price = brought.price_per_hour / machines.count * count
            async with self._sky.api() as api:
                try:
                    await api.ask("/launch", task=task, cluster_name=self.asked.name, resize=True)
                except RhdeskError as exc:
                    self._sky.journal.end(call, str(exc)[:300])
                    raise
            self._sky.journal.end(call, price_per_hour=price)
            seen = await self._sky.seen(self.asked.name)
            if seen is None:
                raise SetupFailed(f"SkyPilot lost {self.asked.name} while it was resized")
            self.asked = msgspec.structs.replace(self.asked, machines=wanted)
            await self._write_the_way(seen, price)
            yield did(what, f"{seen.nodes} machines", time.monotonic() - began)
            async with aclosing(super()._up()) as steps:
                async for step in steps:
                    yield step

    async def _ended(self, verb: str) -> AsyncGenerator[Step]:
        async with aclosing(self._sky.ready()) as steps:
            async for step in steps:
                yield step
        name = self.asked.name
        # Before machines are turned off nothing is ended: not every provider can.
        if verb == "down" and self.held() is not None and await self._sky.seen(name) is not None:
            try:
                async with aclosing(super()._down(keep=False)) as steps:
                    async for step in steps:
                        yield step
            except RhdeskError as exc:  # what is on the machines ends with them
                yield did("end what runs on them", f"they do not answer: {exc}")
        last = self._sky.journal.last(name)
        is_over = last is None or (last.verb == "down" and last.outcome == "done")
        if is_over and await self._sky.seen(name) is None and self.brought() is None:
            yield did(f"cluster {name}", "was not up")
            return
        what = f"{'stop' if verb == 'stop' else 'end'} the machines of {name}"
        began = time.monotonic()
        yield Step(what=what, state=StepState.STARTED)
        await self._sky.end_machines(name, verb=verb)
        left = await self._sky.seen(name)
        if left is not None and verb == "down":
            raise SetupFailed(f"SkyPilot still has {name}, as {left.status}; rhdesk orphans")
        await self._forget()
        yield did(what, "none is left" if verb == "down" else "off", time.monotonic() - began)

    async def _forget(self) -> None:
        """What was written down of machines that are gone."""
        for link in self.links.values():
            await link.aclose()
        self.links = {}
        self.spec = msgspec.structs.replace(self.asked, hosts=())
        for left in ("machines.json", "known_hosts", "cluster.json", "token", "ray-token"):
            (self._folder / left).unlink(missing_ok=True)


def of(cluster: SshCluster) -> SkyCluster:
    """A cluster as one of machines.

    Raises:
        NotFound: It is none: nobody brought its machines into being.
    """
    if not isinstance(cluster, SkyCluster):
        raise NotFound.told(f"{cluster.asked.name} is of machines of your own: nothing to stop")
    return cluster
