"""Reaching a machine by hand: a shell, a port, files, a notebook."""

from __future__ import annotations

import asyncio
import secrets
import shlex
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from rhdesk.desk.clusters import ClusterVerbs
from rhdesk.errors import BadInput, NotFound, SetupFailed
from rhdesk.models import Step, StepState

if TYPE_CHECKING:
    from rhdesk.clusters.ssh.connection import Connection
    from rhdesk.clusters.ssh.link import HostLink

_JUPYTER_S = 60.0


class ReachVerbs(ClusterVerbs):
    async def shell(self, cluster: str, *, command: str = "", node: str = "") -> int:
        """A shell of a machine on this terminal, or one command there; returns its exit code.

        Raises:
            BadInput: The cluster is this machine.
            ConnectionFailed: It cannot be reached.
        """
        from rhdesk.clusters.ssh.terminal import attach

        connection = await self._connection(cluster, node)
        return await asyncio.to_thread(attach, connection, command)

    async def forward(
        self, cluster: str, remote: int | str, *, local: int = 0, node: str = ""
    ) -> AsyncGenerator[str]:
        """Listen on a port of this machine's loopback, for a port of a machine's.

        Yields the address first, then a line for each connection; it ends when left.

        Args:
            remote: A port of the machine's loopback, or ``host:port`` as it sees it.
            local: 0 is any that is free.

        Raises:
            BadInput: The port is taken, or none.
            ConnectionFailed: The machine cannot be reached.
        """
        from rhdesk.clusters.ssh.forwarding import forwarding

        address = str(remote) if ":" in str(remote) else f"127.0.0.1:{remote}"
        link = self._link(cluster, node)
        await link.connection()
        async with aclosing(forwarding(link, address, local)) as told:
            async for line in told:
                yield line

    async def copy(self, source: str, target: str) -> AsyncGenerator[Step]:
        """Copy a file or folder from or to a machine: ``gpubox:data`` names one there.

        Raises:
            BadInput: Neither or both of the two are on a machine elsewhere.
            NotFound: There is no such file.
            StoreUnwritable: It cannot be written; what was there is as it was.
        """
        from rhdesk.clusters.ssh.copying import Copying, split

        from_cluster, from_path = split(source)
        to_cluster, to_path = split(target)
        if bool(from_cluster) == bool(to_cluster):
            raise BadInput(
                "one of the two is on a machine elsewhere: rhdesk cp data.csv gpubox:data/"
            )
        connection = await self._connection(from_cluster or to_cluster)
        said: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(file: str, gone: int) -> None:
            loop.call_soon_threadsafe(said.put_nowait, f"{file} {gone / 1e6:.1f} MB")

        def work() -> str:
            copying = Copying(connection, tell)
            try:
                if to_cluster:
                    copying.put(Path(from_path).expanduser(), to_path)
                else:
                    copying.get(from_path, Path(to_path).expanduser())
                return f"{copying.count} files, {copying.size / 1e6:.1f} MB"
            finally:
                copying.close()
                loop.call_soon_threadsafe(said.put_nowait, None)

        what = f"copy {source} to {target}"
        yield Step(what=what, state=StepState.STARTED)
        working = asyncio.ensure_future(asyncio.to_thread(work))
        while (line := await said.get()) is not None:
            yield Step(what=what, state=StepState.PROGRESS, detail=line)
        yield Step(what=what, state=StepState.DONE, detail=await working)

    async def notebook(
        self, cluster: str, *, env: str = "base", local: int = 0
    ) -> AsyncGenerator[str]:
        """JupyterLab in an environment of a cluster, through the connection to it.

        Yields its address with the token first; it ends when left.

        Raises:
            SetupFailed: The environment has no JupyterLab; the message says how to have it.
        """
        connection = await self._connection(cluster)
        python = next(
            (each.python for each in await self.envs(cluster) if each.name == env), "python3"
        )
        token = secrets.token_hex(16)
        script = (
            f"{shlex.quote(python)} -c 'import jupyterlab' 2>/dev/null || {{ echo missing; exit 1; }}\n"
            f"port=$({shlex.quote(python)} -c 'import socket; s = socket.socket(); "
            's.bind(("127.0.0.1", 0)); print(s.getsockname()[1])\')\n'
            f"echo port=$port\nexport JUPYTER_TOKEN={token}\n"
            f"exec {shlex.quote(python)} -m jupyterlab --no-browser --ip=127.0.0.1 --port=$port 2>&1\n"
        )
        async with connection.run("/bin/sh") as running:
            await running.write(script.encode())
            await running.close_stdin()
            port = 0
            async with aclosing(running.lines()) as lines, asyncio.timeout(_JUPYTER_S):
                async for raw in lines:
                    text = raw.decode("utf-8", "replace").strip()
                    if text == "missing":
                        raise SetupFailed(
                            f"the environment {env} of {cluster} has no JupyterLab; have one: "
                            f"rhdesk env make notebooks --req jupyterlab --on {cluster}"
                        )
                    if text.startswith("port="):
                        port = int(text.removeprefix("port="))
                    if port and "/lab" in text:
                        break
            async with aclosing(self.forward(cluster, port, local=local)) as told:
                async for line in told:
                    yield (
                        f"http://{line}/lab?token={token}"
                        if ":" in line and "/" not in line
                        else line
                    )

    async def _connection(self, cluster: str, node: str = "") -> Connection:
        """The SSH connection to a machine of a cluster, by default the head.

        Raises:
            BadInput: The cluster is this machine.
            NotFound: There is no such cluster or node.
            ConnectionFailed: It cannot be reached.
        """
        return await self._link(cluster, node).connection()

    def _link(self, cluster: str, node: str) -> HostLink:
        if cluster == "here":
            raise BadInput("here is this machine: its shell, ports and files are yours already")
        if cluster not in self.clusters_room.names():
            cluster = self.registry.add_host(cluster)
        known = self.registry.clusters()[cluster]
        held = known.held()
        names = {each.name: each.host for each in held.nodes} if held is not None else {}
        host = names.get(node, node) or known.spec.hosts[0]
        if host not in known.links:
            near = [*names, *known.links][:3]
            raise NotFound(node, kind=f"node of {cluster}", near=near)
        return known.links[host]
