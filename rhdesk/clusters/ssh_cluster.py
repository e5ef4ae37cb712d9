"""A cluster of one's own machines: each reached over one SSH connection, together one Ray.

What was brought up is written down here, tokens in files of their own, so that another rhdesk, or this
one tomorrow, finds it. What is on the hosts is below one folder of the account there, and of this desk
below that: two people on one account neither see nor hurt each other.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from rhdesk import whole_file
from rhdesk.clusters.bootstrap.hand import Hand, hand_on
from rhdesk.clusters.bootstrap.host import Preparation, Ready
from rhdesk.clusters.bootstrap.wheels import Platform
from rhdesk.clusters.line import Line
from rhdesk.clusters.ssh.config import resolve
from rhdesk.clusters.ssh.link import HostLink
from rhdesk.clusters.steps import did, together
from rhdesk.errors import ConnectionFailed, RhdeskError, SetupFailed, StoreBusy, StoreUnwritable
from rhdesk.models import Cluster, ClusterSpec, ClusterState, Link, Node, Step, StepState
from rhdesk.ports import Asks
from rhdesk.wire.messages import error_of
from rhdesk.wire.node import ENDED, Ended, NodeConfig, NodeEvent, NodeSeen

KIND: Final = "ssh"
_LIKE: Final = (sys.version_info.major, sys.version_info.minor)
_LOOPBACK: Final = "127.0.0.1"
_INDEX_S: Final = 4
_BOUND: Final = "constraint:"
"""How `rhdesk.code.packages` spells a line that bounds others."""


class HeldNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node that was brought up."""

    name: str
    host: str
    role: str
    root: str
    """Our folder on the host."""
    folder: str
    """The cluster's, below it."""
    python: str
    code: str
    digest: str
    gateway: str
    has_index: bool = True
    """Whether packages can be had from there; otherwise they are sent."""
    minor: str = ""
    """Of its Python, ``3.11``."""
    machine: str = ""
    glibc: int = 0


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What was brought up; written before and after each step, so that nothing is forgotten."""

    cluster_id: str
    started_at: datetime
    nodes: tuple[HeldNode, ...] = ()
    """Head first."""
    ray: str = ""
    is_complete: bool = False
    seen_at: datetime | None = None


class SshCluster:
    """Satisfies `rhdesk.clusters.service.ClusterAdapter`.

    Args:
        folder: What is written down of it, on this machine.
        owner: Which desk this is, on hosts that several use.
        asks: Who answers what only a person can.
    """

    def __init__(
        self,
        spec: ClusterSpec,
        folder: Path,
        cache_dir: Path,
        *,
        owner: str,
        asks: Asks | None = None,
        host_key: str = "",
    ) -> None:
        self.asked = spec
        """As it was asked for."""
        self.spec = spec
        """The same, with the hosts there are."""
        self._folder = folder
        self._cache_dir = cache_dir
        self._owner = owner
        self._addresses: dict[str, tuple[str, ...]] = {}
        """Of each host that was looked at."""
        self._roots: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asks = asks
        self._host_key = host_key
        self.links = {host: self._link(host) for host in spec.hosts}

    def _link(self, host: str) -> HostLink:
        return HostLink(resolve(host, self.spec), self._asks, host_key=self._host_key)

    def _lasting(self, _node: HeldNode, command: list[str]) -> list[str]:
        """*command* as it is run on a node so that what it starts outlives the session."""
        return command

    async def keep_for(self, minutes: float) -> None:
        """Its servlets know their autostop; nothing else of these hosts is ours to end."""

    async def aclose(self) -> None:
        for link in self.links.values():
            await link.aclose()

    # ---- what is known here

    def look(self) -> Cluster:
        """Its state as it was last seen; nothing is asked over the network."""
        held = self.held()
        if held is None or not held.nodes:
            return Cluster(name=self.spec.name, kind=KIND, autostop_mins=self.spec.autostop_mins)
        head = self.links.get(held.nodes[0].host)
        state, why = ClusterState.UP, ""
        if not held.is_complete:
            state, why = ClusterState.BROKEN, "bringing it up was not finished"
        elif head is not None and head.state is Link.BROKEN:
            state, why = ClusterState.UNREACHABLE, head.why
        return Cluster(
            name=self.spec.name,
            kind=KIND,
            state=state,
            why=why,
            cluster_id=held.cluster_id,
            address=f"{held.nodes[0].host}: {held.nodes[0].gateway}",
            started_at=held.started_at,
            nodes=tuple(self._node(node) for node in held.nodes),
            autostop_mins=self.spec.autostop_mins,
            seen_at=held.seen_at,
        )

    def _node(self, node: HeldNode) -> Node:
        link = self.links.get(node.host)
        return Node(
            name=node.name,
            host=node.host,
            role=node.role,
            state=ClusterState.UP,
            link=link.state if link else Link.NONE,
            link_since=link.since if link else None,
            why=link.why if link else "",
            round_trip_s=link.round_trip_s if link else 0.0,
            python=node.minor,
        )

    async def lines(self) -> list[Line]:
        held = self.held()
        if held is None or not held.nodes:
            raise ConnectionFailed(
                f"the cluster {self.spec.name} is down; bring it up: rhdesk up {self.spec.name}"
            )
        token = (self._folder / "token").read_text("ascii")
        return [
            Line(
                self.spec.name,
                held.cluster_id,
                node.gateway,
                token,
                node.name,
                self.links[node.host],
            )
            for node in held.nodes
            if node.gateway
        ]

    def why_broken(self) -> str:
        """Nobody can know from here; who calls is told by the node itself."""
        return ""

    async def why_ended(self) -> str:
        """Why the head ended by itself, read there; empty when it did not, or nobody answers."""
        held = self.held()
        if held is None or not held.nodes:
            return ""
        head = held.nodes[0]
        file = shlex.quote(f"{head.folder}/{ENDED}")
        try:
            connection = await self.links[head.host].connection()
            async with connection.run(f"cat {file}") as reading:
                lines = [line async for line in reading.lines()]
        except RhdeskError:
            return ""
        for line in reversed(lines):  # a shell may print something of its own first
            with suppress(msgspec.DecodeError):
                ended = msgspec.json.decode(line, type=Ended)
                return ended.why if ended.cluster_id == held.cluster_id else ""
        return ""

    def held(self) -> Held | None:
        try:
            return msgspec.json.decode((self._folder / "cluster.json").read_bytes(), type=Held)
        except (FileNotFoundError, NotADirectoryError):
            return None

    # ---- up

    async def up(self) -> AsyncGenerator[Step]:
        """Bring it up on every host, or find it up; what is missing is sent, what died started.

        Raises:
            StoreBusy: Another rhdesk is bringing it up or down.
            ConnectionFailed, UntrustedHost, Refused: A host cannot be reached, or not trusted.
            SetupFailed: A step failed; the message says on which host, and why.
        """
        with self._alone("up"):
            async with aclosing(self._up()) as steps:
                async for step in steps:
                    yield step

    async def _up(self) -> AsyncGenerator[Step]:
        began = time.monotonic()
        async with aclosing(together([self._reach(host) for host in self.spec.hosts])) as steps:
            async for step in steps:
                yield step
        held = self.held()
        if held is not None and await self._is_as_asked(held):
            took = time.monotonic() - began
            yield did(f"cluster {self.spec.name}", "already up", took)
            return
        if held is None or not held.cluster_id:
            held = Held(cluster_id=secrets.token_hex(8), started_at=datetime.now(UTC))
            self._fresh_tokens()
        held = msgspec.structs.replace(held, is_complete=False)
        self._write(held)
        found: dict[str, HeldNode] = {node.host: node for node in held.nodes}
        making = [self._make_ready(host, held, found) for host in self.spec.hosts]
        async with aclosing(together(making)) as steps:
            async for step in steps:
                yield step
        head, *workers = (found[host] for host in self.spec.hosts)
        ray: list[str] = []
        async with aclosing(self._start(head, held, "", found, ray)) as steps:
            async for step in steps:
                yield step
        held = msgspec.structs.replace(held, ray=ray[0], nodes=self._in_order(found))
        self._write(held)
        joining = [self._start(worker, held, ray[0], found, ray) for worker in workers]
        async with aclosing(together(joining)) as steps:
            async for step in steps:
                yield step
        held = msgspec.structs.replace(
            held, nodes=self._in_order(found), is_complete=True, seen_at=datetime.now(UTC)
        )
        self._write(held)

    def _in_order(self, found: dict[str, HeldNode]) -> tuple[HeldNode, ...]:
        return tuple(found[host] for host in self.spec.hosts if host in found)

    async def _reach(self, host: str) -> AsyncGenerator[Step]:
        what = f"connect to {host}"
        began = time.monotonic()
        yield Step(what=what, state=StepState.STARTED)
        try:
            connection = await self.links[host].connection()
        except RhdeskError as exc:
            yield Step(what=what, state=StepState.FAILED, detail=str(exc))
            raise
        trip_ms = self.links[host].round_trip_s * 1000
        detail = f"{connection.target.user}@{connection.target.hostname}, {trip_ms:.0f} ms away"
        yield did(what, detail, time.monotonic() - began)

    async def _is_as_asked(self, held: Held) -> bool:
        """Whether every node answers, and runs the code of this desk."""
        from rhdesk.clusters.servlet_client import ServletClient
        from rhdesk.clusters.servlet_code import digest, files

        if not held.is_complete or tuple(node.host for node in held.nodes) != self.spec.hosts:
            return False
        wanted = await asyncio.to_thread(lambda: digest(files()))

        async def is_well(line: Line) -> bool:
            client = ServletClient(line, timeout_s=3.0)
            try:
                async with asyncio.timeout(3.0):
                    return (await client.health()).servlet == wanted
            except (TimeoutError, RhdeskError):
                return False
            finally:
                await client.aclose()

        return all(await asyncio.gather(*(is_well(line) for line in await self.lines())))

    async def _make_ready(
        self, host: str, held: Held, found: dict[str, HeldNode]
    ) -> AsyncGenerator[Step]:
        """Install what is missing on a host."""
        node = host if len(self.spec.hosts) > 1 else ""
        await self._try_forwarding(host)
        preparation = Preparation(host, self._cache_dir, node, self._roots)
        async with self._hand(host) as hand:
            async with aclosing(preparation.steps(hand)) as steps:
                async for step in steps:
                    yield step
            ready = preparation.ready
            assert ready is not None, "every step was done"
            known = found.get(host)
            has_index = known.has_index if known else await self._has_index(hand, ready)
        if not has_index and known is None:
            yield did(f"packages{f' on {host}' if node else ''}", "no index there: they are sent")
        role = "head" if host == next(iter(self.spec.hosts)) else "worker"
        name = self._name(ready, host, found)
        found[host] = HeldNode(
            name=name,
            host=host,
            role=role,
            root=ready.root,
            # Nodes may share a home, and none of what they write there.
            folder=f"{ready.root}/clusters/{self._owner}-{self.spec.name}{f'-{name}' if node else ''}",
            python=ready.python,
            code=ready.code,
            digest=ready.digest,
            gateway=known.gateway if known else "",
            has_index=has_index,
            minor=hand.python.minor,
            machine=ready.facts.machine,
            glibc=ready.facts.glibc,
        )
        self._addresses[host] = ready.facts.addresses

    def _name(self, ready: Ready, host: str, found: dict[str, HeldNode]) -> str:
        """What the machine calls itself; with a number where two call themselves the same."""
        if host in found:
            return found[host].name
        taken = {node.name for node in found.values()}
        numbered = (f"{ready.facts.hostname}-{number}" for number in range(2, len(taken) + 3))
        names = [ready.facts.hostname, *numbered]
        return next(name for name in names if name not in taken)

    async def _has_index(self, hand: Hand, ready: Ready) -> bool:
        """Whether packages can be had from there: uv is asked to look one up."""
        uvs = await hand.ask("listing", folder=f"{ready.root}/bin")
        if not uvs:
            return False
        command = [
            *(f"{ready.root}/bin/{uvs[-1]}/uv", "pip", "install", "--dry-run", "--no-deps"),
            *("--reinstall", "--no-cache", "--python", ready.python, "uvicorn"),
        ]
        env = {"UV_HTTP_TIMEOUT": str(_INDEX_S), "UV_HTTP_RETRIES": "0"}
        code, _ = await hand.run(command, env=env)
        return code == 0

    async def _start(
        self, node: HeldNode, held: Held, head: str, found: dict[str, HeldNode], ray: list[str]
    ) -> AsyncGenerator[Step]:
        """Have the node's own program bring it up."""
        several = len(self.spec.hosts) > 1
        minutes = self.spec.autostop_mins
        config = NodeConfig(
            cluster=self.spec.name,
            cluster_id=held.cluster_id,
            folder=node.folder,
            venvs=f"{node.root}/venvs",
            token=(self._folder / "token").read_text("ascii"),
            ray_token=(self._folder / "ray-token").read_text("ascii"),
            node=node.name if several else "",
            address=await self._address(node) if several else _LOOPBACK,
            head=head,
            autostop_s=minutes * 60.0 if minutes >= 0 else -1.0,
            wheels="" if node.has_index else f"{node.root}/wheels",
        )
        seen: list[NodeSeen] = []
        async with (
            self._hand(node.host) as hand,
            aclosing(self._told(hand, node, "up", config, seen)) as steps,
        ):
            async for step in steps:
                yield step
        last = seen.pop()
        ray.append(last.ray)
        found[node.host] = msgspec.structs.replace(node, gateway=last.gateway)

    async def _told(
        self, hand: Hand, node: HeldNode, verb: str, config: NodeConfig, seen: list[NodeSeen]
    ) -> AsyncGenerator[Step]:
        """Tell the node's program something; its steps, and at the end how it is."""
        said: asyncio.Queue[str | None] = asyncio.Queue()
        odd: list[str] = []

        async def run() -> int:
            try:
                command = [node.python, "-m", "rhdesk_servlet", "node", verb]
                code, _ = await hand.run(
                    self._lasting(node, command) if verb == "up" else command,
                    said.put_nowait,
                    # What uv unpacks for environments goes when all of ours goes.
                    env={"PYTHONPATH": node.code, "UV_CACHE_DIR": f"{node.root}/uv-cache"},
                    text=msgspec.json.encode(config).decode() + "\n",
                )
                return code
            finally:
                said.put_nowait(None)

        running = asyncio.ensure_future(run())
        try:
            while (line := await said.get()) is not None:
                try:
                    event = msgspec.json.decode(line, type=NodeEvent)
                except msgspec.DecodeError:
                    odd.append(line)
                    continue
                if event.step is not None:
                    yield event.step
                if event.fault is not None:
                    raise error_of(event.fault)
                if event.seen is not None:
                    seen.append(event.seen)
            code = await running
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, RhdeskError):
                await running
        if not seen:
            raise SetupFailed(
                f"the program on {node.host} ended with {code}: {' '.join(odd[-2:])[:300]}",
                output="\n".join(odd[-40:]),
            )

    async def _address(self, node: HeldNode) -> str:
        """Where the machines of the cluster reach this one: as it is reached from here, if that is
        one of its own addresses."""
        own = self._addresses.get(node.host, ())
        hostname = self.links[node.host].target.hostname
        if hostname in own:
            return hostname
        if not own:
            raise SetupFailed(f"{node.host} has no address that other machines could reach it by")
        return own[0]

    # ---- down

    async def down(self, *, keep: bool = False) -> AsyncGenerator[Step]:
        """End it on every host; nothing of it stays there.

        Args:
            keep: Leave the packages, for a quick next `up`.
        """
        with self._alone("down"):
            async with aclosing(self._down(keep=keep)) as steps:
                async for step in steps:
                    yield step

    async def _down(self, *, keep: bool) -> AsyncGenerator[Step]:
        held = self.held()
        if held is None:
            yield did(f"cluster {self.spec.name}", "was not up")
            return
        ending = [self._end(node, held, keep=keep) for node in reversed(held.nodes)]
        async with aclosing(together(ending)) as steps:
            async for step in steps:
                yield step
        for name in ("cluster.json", "token", "ray-token"):
            (self._folder / name).unlink(missing_ok=True)

    async def _end(self, node: HeldNode, held: Held, *, keep: bool) -> AsyncGenerator[Step]:
        config = NodeConfig(
            cluster=self.spec.name,
            cluster_id=held.cluster_id,
            folder=node.folder,
            venvs="",
            token="",
            ray_token="",
            node=node.name if len(held.nodes) > 1 else "",
        )
        async with self._hand(node.host) as hand:
            if node.digest in await hand.ask("listing", folder=f"{node.root}/servlets"):
                told = self._told(hand, node, "down", config, [])
                async with aclosing(told) as steps:
                    async for step in steps:
                        yield step
            began = time.monotonic()
            what = f"clear {node.host}" if len(held.nodes) > 1 else "clear the host"
            yield Step(what=what, state=StepState.STARTED)
            await hand.ask("remove", path=node.folder, root=node.root)
            others = await hand.ask("listing", folder=f"{node.root}/clusters")
            detail = "packages stay" if keep else f"others use {node.root} yet"
            if not keep and not others:
                await hand.ask("remove", path=node.root, root=node.root)
                detail = "nothing is left there"
        yield did(what, detail, time.monotonic() - began)

    # ---- environments

    async def provide(
        self, lines: Sequence[str], nodes: Sequence[str] = ()
    ) -> AsyncGenerator[Step]:
        """Send the packages of an environment to the nodes that have no index to get them from.

        Args:
            lines: Requirements as pip reads them.
            nodes: Where; empty is every node.

        Raises:
            BadRequirement: They cannot be satisfied on a node's platform.
            SetupFailed: They cannot be fetched here either.
        """
        held = self.held()
        lacking = [
            node
            for node in (held.nodes if held else ())
            if not node.has_index and (not nodes or node.name in nodes)
        ]
        wanted = [line for line in lines if line[:1].isalnum() and not line.startswith(_BOUND)]
        if lacking and wanted:
            sending = [self._provide(node, wanted) for node in lacking]
            async with aclosing(together(sending)) as steps:
                async for step in steps:
                    yield step

    async def _provide(self, node: HeldNode, wanted: Sequence[str]) -> AsyncGenerator[Step]:
        platform = Platform(python=node.minor, machine=node.machine, glibc=node.glibc)
        several = len(self.spec.hosts) > 1
        preparation = Preparation(node.host, self._cache_dir, node.name if several else "")
        async with (
            self._hand(node.host) as hand,
            aclosing(preparation.packages(hand, wanted, platform, node.root)) as steps,
        ):
            async for step in steps:
                yield step

    # ---- what is shared

    @contextmanager
    def _alone(self, verb: str) -> Generator[None]:
        """One `up` or `down` at a time. The kernel frees it when its holder dies."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StoreUnwritable(f"{self._folder} cannot be written: {exc.strerror}") from exc
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(lock, 200).decode("utf-8", "replace").strip()
                raise StoreBusy(
                    f"another rhdesk is at work on the cluster {self.spec.name}: {holder}",
                    holder=holder,
                ) from None
            os.ftruncate(lock, 0)
            now = datetime.now(UTC).strftime("%H:%M:%S UTC")
            os.pwrite(lock, f"rhdesk {verb}, pid {os.getpid()}, since {now}".encode(), 0)
            yield
        finally:
            os.close(lock)

    @asynccontextmanager
    async def _hand(self, host: str) -> AsyncGenerator[Hand]:
        connection = await self.links[host].connection()
        async with hand_on(
            connection, python=self.spec.python, prelude=self.spec.prelude, like=_LIKE
        ) as hand:
            yield hand

    async def _try_forwarding(self, host: str) -> None:
        """Find out before anything is sent whether the servlets could be reached at all.

        Raises:
            ConnectionFailed: The host forbids forwarding.
        """
        connection = await self.links[host].connection()
        try:
            stream = await asyncio.to_thread(connection.dial, "127.0.0.1:22")
        except ConnectionFailed as exc:
            if "forbids" in str(exc):
                raise
        else:
            stream.close()

    def _fresh_tokens(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("token", "ray-token"):
                file = self._folder / name
                file.unlink(missing_ok=True)
                with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                    out.write(secrets.token_hex(32))
        except OSError as exc:
            raise StoreUnwritable(f"{self._folder} cannot be written: {exc.strerror}") from exc

    def _write(self, held: Held) -> None:
        file = self._folder / "cluster.json"
        try:
            whole_file.write(file, [msgspec.json.format(msgspec.json.encode(held))])
        except OSError as exc:
            raise StoreUnwritable(f"{file} cannot be written: {exc.strerror}") from exc
