"""`here`: the cluster that needs nothing. One node, this machine, on loopback.

What starts and ends it is the program that runs on every machine (`rhdesk_servlet.node`), as a
child; how it is doing is read from what that wrote down.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from rhdesk.clusters import servlet_code
from rhdesk.clusters.line import Line
from rhdesk.errors import ConnectionFailed, SetupFailed, StoreUnwritable
from rhdesk.models import Cluster, ClusterState, Step, StepState
from rhdesk.wire.messages import error_of
from rhdesk.wire.node import NodeConfig, NodeEvent, seen_in, started_in

NAME: Final = "here"
_END_S: Final = 20.0
"""How long the child may take to end what it began, when nobody waits for it any more."""
_LONGEST: Final = 1 << 20


class Here:
    """This machine as a cluster.

    Args:
        folder: Its folder: token, code, objects, spools. Only its owner reads it.
        venvs: Where environments are built.
    """

    def __init__(self, folder: Path, venvs: Path) -> None:
        self._folder = folder
        self._venvs = venvs

    def line(self) -> Line:
        """How to speak to it.

        Raises:
            ConnectionFailed: It is not up; the message says what to type, or what died.
        """
        seen = seen_in(self._folder)
        if seen.state == ClusterState.DOWN and seen.why:
            raise ConnectionFailed(
                f"the cluster here is down: {seen.why}; bring it up: rhdesk up here"
            )
        if seen.state in {ClusterState.DOWN, ClusterState.STARTING}:
            raise ConnectionFailed("the cluster here is down; bring it up: rhdesk up here")
        if seen.why:
            raise ConnectionFailed(
                f"the cluster here is broken: {seen.why}; repair it: rhdesk up here"
            )
        token = (self._folder / "token").read_text("ascii")
        return Line(NAME, seen.cluster_id, seen.gateway, token, seen.node)

    async def lines(self) -> list[Line]:
        """The same, as every cluster has it: one for each node."""
        return [self.line()]

    def look(self) -> Cluster:
        """Its state by its processes alone; asks no servlet, so it answers at once."""
        seen = seen_in(self._folder)
        if seen.state == ClusterState.DOWN:
            return Cluster(name=NAME, why=seen.why)
        return Cluster(
            name=NAME,
            state=ClusterState(seen.state),
            why=seen.why,
            cluster_id=seen.cluster_id,
            address=seen.gateway,
            started_at=datetime.fromtimestamp(seen.started_at, UTC),
            cpus=os.cpu_count() or 1,
        )

    def why_broken(self) -> str:
        """Which of its processes is gone, for a person; empty when all are there."""
        return seen_in(self._folder).why if started_in(self._folder) is not None else ""

    async def why_ended(self) -> str:
        """Nothing more than `look` says."""
        return ""

    async def up(self) -> AsyncGenerator[Step]:
        """Start it, or find it up; a broken one is cleared away first.

        Raises:
            SetupFailed: Ray is not installed, or did not start; `output` holds its last words.
            StoreBusy: Another rhdesk is bringing it up or down.
            StoreUnwritable: Its folder cannot be written.
        """
        code = self._code()
        seen = seen_in(self._folder)
        if seen.state == ClusterState.UP and seen.servlet == code.name:
            yield Step(what=f"cluster {NAME}", state=StepState.DONE, detail="already up")
            return
        async with aclosing(self._ask("up", code)) as steps:
            async for step in steps:
                yield step

    async def down(self) -> AsyncGenerator[Step]:
        """End exactly what `up` started; with nothing up, say so."""
        async with aclosing(self._ask("down", self._code())) as steps:
            async for step in steps:
                yield step
        shutil.rmtree(self._folder / "servlets", ignore_errors=True)

    def _code(self) -> Path:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return servlet_code.lay_out(self._folder / "servlets")
        except OSError as exc:
            raise StoreUnwritable(f"{self._folder} cannot be written: {exc.strerror}") from exc

    async def _ask(self, verb: str, code: Path) -> AsyncGenerator[Step]:
        """Run the node's program; leaving early ends what it began."""
        config = NodeConfig(
            cluster=NAME,
            cluster_id="",
            folder=str(self._folder),
            venvs=str(self._venvs),
            token=secrets.token_hex(32),
            ray_token=secrets.token_hex(32),
        )
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rhdesk_servlet", "node", verb),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(code)},
            cwd=self._folder,
            start_new_session=True,
            limit=_LONGEST,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            child.stdin.write(msgspec.json.encode(config) + b"\n")
            child.stdin.close()
            async for line in child.stdout:
                event = msgspec.json.decode(line, type=NodeEvent)
                if event.fault is not None:
                    await child.wait()
                    raise error_of(event.fault)
                if event.step is not None:
                    yield event.step
            said = (await child.stderr.read()).decode("utf-8", "replace")
            if await child.wait() != 0:
                raise SetupFailed(f"the node's program ended with {child.returncode}", output=said)
        finally:
            if child.returncode is None:
                child.terminate()
                try:
                    await asyncio.wait_for(child.wait(), _END_S)
                except TimeoutError:
                    child.kill()
                    await child.wait()

    async def keep_for(self, minutes: float) -> None:
        """This machine does not end."""

    async def provide(
        self, lines: Sequence[str], nodes: Sequence[str] = ()
    ) -> AsyncGenerator[Step]:
        """Nothing has to be sent: this machine gets packages as it is used to."""
        for _ in ():
            yield _
