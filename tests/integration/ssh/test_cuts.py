"""A real SSH link to a real sshd that is cut in every way while a run is followed and others start.

The env servlet is a process of this machine, and the host's sshd reaches it over the bed's network.
With RHDESK_TEST_CUTS=100 the line is cut a hundred times.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from rhdesk.clusters.line import Line
from rhdesk.clusters.servlet_client import ServletClient
from rhdesk.clusters.ssh.config import resolve
from rhdesk.clusters.ssh.link import HostLink
from rhdesk.models import ClusterSpec, Link, Run, RunStatus
from rhdesk.runs.making import new_run_id
from rhdesk.runs.recorder import Recorder
from rhdesk.runs.results import Results
from rhdesk.runs.service import Runs
from rhdesk.wire.messages import Called
from rhdesk.wire.payload import Payload
from tests.integration.env_servlet import TOKEN, EnvServlet
from tests.integration.test_broken_lines import CODE
from tests.testbed.hosts import Bed, Host, bed

CUTS: Final = int(os.environ.get("RHDESK_TEST_CUTS", "8"))
WAYS: Final = ("reset", "silence", "hang up", "sleep")


@pytest.fixture(scope="module")
def hosts() -> Iterator[Bed]:
    with bed() as made:
        yield made


class Lines:
    def __init__(self, link: HostLink, address: str) -> None:
        line = Line("box", "c1", "127.0.0.1:1", TOKEN, "node0", link)
        self.one = ServletClient(line, timeout_s=10)
        self.one._addresses["base"] = address  # pyright: ignore[reportPrivateUsage]

    async def client(self, name: str, node: str = "") -> ServletClient:
        return self.one

    async def revive_env(self, name: str, env: str, node: str = "") -> str:
        # The servlet lives; an sshd that starts again refused the channel.
        await asyncio.sleep(0.2)
        return ""

    async def why_gone(self, name: str, node: str) -> str:
        return ""


@asynccontextmanager
async def passed_on(bound: str, servlet: EnvServlet) -> AsyncIterator[str]:
    """The servlet's port, on an address that the host can reach."""
    host, _, port = servlet.address.rpartition(":")

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, bound, 0)
    try:
        yield f"{bound}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def cut(host: Host, way: str, away_s: float) -> None:
    if way == "hang up":
        await asyncio.to_thread(host.hang_up)
    elif way == "sleep":
        await asyncio.to_thread(host.freeze)
        await asyncio.sleep(away_s)
        await asyncio.to_thread(host.thaw)
    else:
        await asyncio.to_thread(host.cut, rst=way == "reset")
        await asyncio.sleep(away_s)
        await asyncio.to_thread(host.join)


def test_cut_in_every_way_no_line_is_lost_or_doubled_and_no_call_runs_twice(
    tmp_path: Path, hosts: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = hosts.host()
    hosts.ssh_home(tmp_path / "home")
    servlet = EnvServlet(tmp_path / "node0")
    definition = servlet.define("~/count", "count", {"app.py": CODE})
    dice = random.Random(6)

    async def work() -> None:
        recorder = Recorder(tmp_path / "data")
        link = HostLink(resolve("node0", ClusterSpec(name="box", hosts=("node0",))))
        breaks: list[Link] = []
        link.on_change(lambda: breaks.append(link.state))
        try:
            async with passed_on(f"{hosts.network}.255.254", servlet) as address:
                lines = Lines(link, address)
                runs = Runs(recorder, Results(tmp_path / "data" / "results"), lines)

                async def start(n: int, pause: float) -> tuple[Run, Path]:
                    run = Run(
                        run_id=new_run_id(),
                        function="~/count",
                        cluster="box",
                        node="node0",
                        submitted_at=datetime.now(UTC),
                    )
                    side = tmp_path / f"{run.run_id}.calls"
                    payload = Payload.of_call([str(side), n, pause], {})
                    called = Called(run_id=run.run_id, definition=definition, detach=True)
                    return await runs.submit(run, called, payload), side

                n = 300 * CUTS
                long, long_side = await start(n, 0.003)
                seen: list[str] = []

                async def follow() -> None:
                    async with aclosing(runs.follow(long.run_id)) as followed:
                        async for line in followed:
                            seen.append(line.text)

                following = asyncio.create_task(follow())
                short: list[tuple[Run, Path]] = []
                for number in range(CUTS):
                    starting = asyncio.create_task(start(2, 0))
                    await asyncio.sleep(dice.uniform(0.0, 0.4))
                    await cut(host, WAYS[number % len(WAYS)], dice.uniform(0.1, 0.8))
                    short.append(await starting)
                assert not following.done()
                assert breaks.count(Link.BROKEN) >= CUTS // 4  # a short silence breaks nothing
                await following
                wanted = [f"line {i}" for i in range(n)]
                assert seen == wanted
                for run, side in [*short, (long, long_side)]:
                    assert (await runs.wait(run.run_id)).status is RunStatus.SUCCEEDED
                    assert side.read_text() == "called\n"
                await asyncio.to_thread(recorder.flush)
                stored = await recorder.read(lambda book: book.lines(long.run_id, 0, n + 1))
                assert [line.text for line in stored] == wanted
                await lines.one.aclose()
        finally:
            await link.aclose()
            recorder.close()

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    try:
        asyncio.run(work())
    finally:
        servlet.close()
