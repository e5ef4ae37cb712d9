"""The network breaks while runs are followed and submitted: nothing is lost, doubled or run twice.

A function prints numbers; each call of it leaves a line in a file, so that a second call would be
seen. With RHDESK_TEST_CUTS=100 the line is cut a hundred times.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from rhdesk.clusters.servlet_client import called_header
from rhdesk.errors import Unreachable
from rhdesk.models import Away, Run, RunStatus
from rhdesk.runs.making import new_run_id
from rhdesk.runs.recorder import Recorder
from rhdesk.runs.results import Results
from rhdesk.runs.service import Runs, lines_of
from rhdesk.wire.frames import Kind
from rhdesk.wire.messages import Called
from rhdesk.wire.payload import Payload
from rhdesk.wire.routes import CALL, H_CALL
from tests.integration.env_servlet import EnvServlet
from tests.testbed.cuts import Nodes

CUTS: Final = int(os.environ.get("RHDESK_TEST_CUTS", "10"))
CODE: Final = """
import time


def count(side, n, pause):
    with open(side, "a") as calls:
        calls.write("called\\n")
    for i in range(n):
        print("line", i)
        if pause:
            time.sleep(pause)
    return n
"""


class Bench:
    """A desk's record of runs, and one node."""

    def __init__(self, folder: Path, servlet: EnvServlet, nodes: Nodes) -> None:
        self.nodes = nodes
        self.network = nodes.networks["node0"]
        self.recorder = Recorder(folder / "data")
        self.runs = Runs(self.recorder, Results(folder / "data" / "results"), nodes)
        self._definition = servlet.define("~/count", "count", {"app.py": CODE})
        self._folder = folder

    def side(self, run: Run) -> Path:
        return self._folder / f"{run.run_id}.calls"

    def new(self) -> Run:
        return Run(
            run_id=new_run_id(), function="~/count", cluster="box", submitted_at=datetime.now(UTC)
        )

    async def submit(self, run: Run, n: int, pause: float) -> Run:
        called = Called(run_id=run.run_id, definition=self._definition, detach=True)
        payload = Payload.of_call([str(self.side(run)), n, pause], {})
        return await self.runs.submit(run, called, payload)

    async def stored(self, run: Run) -> list[str]:
        await asyncio.to_thread(self.recorder.flush)
        lines = await self.recorder.read(lambda book: book.lines(run.run_id, 0, 1_000_000))
        return [line.text for line in lines]

    def calls(self, run: Run) -> int:
        return len(self.side(run).read_text().splitlines())


@pytest.fixture(scope="module")
def servlet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvServlet]:
    made = EnvServlet(tmp_path_factory.mktemp("node0"))
    yield made
    made.close()


@asynccontextmanager
async def opened(folder: Path, servlet: EnvServlet) -> AsyncIterator[Bench]:
    nodes = Nodes({"node0": servlet})
    bench = Bench(folder, servlet, nodes)
    try:
        yield bench
    finally:
        await nodes.aclose()
        bench.recorder.close()


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if is_so():
            return
        await asyncio.sleep(0)
    raise TimeoutError("it did not happen")


async def cut_often(bench: Bench, times: int, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(times):
        await asyncio.sleep(dice.uniform(0.0, 0.12))
        await bench.network.cut(silent=dice.random() < 0.5)
        await asyncio.sleep(dice.uniform(0.0, 0.1))
        bench.network.join()


def test_no_line_is_lost_or_doubled_however_often_the_line_is_cut(
    tmp_path: Path, servlet: EnvServlet
) -> None:
    async def work() -> None:
        async with opened(tmp_path, servlet) as bench:
            n = 200 + 60 * CUTS
            run = await bench.submit(bench.new(), n, 0.002)
            cutting = asyncio.create_task(cut_often(bench, CUTS, seed=4))
            seen: list[str] = []
            async with aclosing(bench.runs.follow(run.run_id)) as lines:
                async for line in lines:
                    seen.append(line.text)
            cutting.cancel()
            wanted = [f"line {i}" for i in range(n)]
            assert seen == wanted
            assert await bench.stored(run) == wanted
            assert bench.calls(run) == 1
            assert bench.network.cuts >= CUTS // 2
            assert bench.runs.away(run.run_id) is None

    asyncio.run(work())


def test_a_follower_that_resumes_at_the_wrong_line_is_noticed(
    tmp_path: Path, servlet: EnvServlet
) -> None:
    """The control of the test above: its measure sees one line too many and one too few."""

    async def work() -> None:
        async with opened(tmp_path, servlet) as bench:
            run = await bench.submit(bench.new(), 20, 0)
            wanted = [f"line {i}" for i in range(20)]
            await bench.runs.wait(run.run_id)
            for wrong in (-1, 1):
                seen = wanted[:10]
                client = await bench.nodes.client("box")
                async with aclosing(client.follow("base", run.run_id, after=9 + wrong)) as frames:
                    async for frame in frames:
                        if frame.kind is Kind.LINES:
                            seen += [line.text for line in lines_of(run.run_id, frame)]
                assert seen != wanted

    asyncio.run(work())


@pytest.mark.parametrize("keyed", [True, False])
def test_a_submit_whose_answer_is_lost_is_asked_again_and_runs_once(
    tmp_path: Path, servlet: EnvServlet, keyed: bool
) -> None:
    """Without the key of the first request, the control, the function runs twice."""

    async def work() -> None:
        async with opened(tmp_path, servlet) as bench:
            run = bench.new()
            asking = asyncio.create_task(bench.submit(run, 3, 0))
            await until(bench.side(run).exists)  # the request has arrived, its answer has not
            await bench.network.cut(silent=False)
            await asyncio.sleep(0.3)
            bench.network.join()
            await asking
            if not keyed:
                called = Called(run_id=new_run_id(), definition=bench._definition, detach=True)
                client = await bench.nodes.client("box")
                payload = Payload.of_call([str(bench.side(run)), 3, 0], {})
                again = await client.submit("base", called, payload)
                async with aclosing(client.follow("base", again.run_id)) as frames:
                    async for _ in frames:
                        pass
            ended = await bench.runs.wait(run.run_id)
            assert ended.status is RunStatus.SUCCEEDED
            assert (bench.calls(run) == 1) is keyed

    asyncio.run(work())


BELIEVING: Final = """
from rhdesk_servlet import asgi
asgi.Request._next = lambda self: self._receive()
"""


@pytest.mark.parametrize(("came", "before"), [(0, ""), (10, ""), (0, BELIEVING)])
def test_a_request_that_was_cut_behind_its_head_starts_nothing(
    tmp_path: Path, came: int, before: str
) -> None:
    """The control is a servlet that takes the end of the connection for the end of the body."""
    servlet = EnvServlet(tmp_path / "node0", before=before)

    async def work() -> None:
        async with opened(tmp_path, servlet) as bench:
            run = bench.new()
            called = Called(run_id=run.run_id, definition=bench._definition, detach=True)
            body = Payload.of_call([str(bench.side(run)), 1, 0], {}).to_bytes()
            client = await bench.nodes.client("box")
            headers = client.line.headers() | {H_CALL: called_header(called)}
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            host, _, port = servlet.address.rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            start = f"POST {CALL} HTTP/1.1\r\nhost: x\r\n{head}content-length: {len(body)}\r\n\r\n"
            writer.write(start.encode() + body[:came])
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.transport.abort()
            await asyncio.sleep(0.1)
            seen = (await client.run_seen("base", run.run_id)).status
            await bench.submit(run, 1, 0)
            ended = (await bench.runs.wait(run.run_id)).status
            if before:
                assert seen != "unknown"
                assert ended is RunStatus.FAILED
            else:
                assert (seen, ended) == ("unknown", RunStatus.SUCCEEDED)

    try:
        asyncio.run(work())
    finally:
        servlet.close()


def test_submits_through_a_line_that_breaks_run_once_each(
    tmp_path: Path, servlet: EnvServlet
) -> None:
    async def work() -> None:
        async with opened(tmp_path, servlet) as bench:
            cutting = asyncio.create_task(cut_often(bench, CUTS, seed=7))
            runs: list[Run] = []
            while not cutting.done() and len(runs) < 20 * CUTS:
                runs.append(await bench.submit(bench.new(), 2, 0))
                await asyncio.sleep(0.01)
            await cutting
            for run in runs:
                assert (await bench.runs.wait(run.run_id)).status is RunStatus.SUCCEEDED
                assert bench.calls(run) == 1
                assert await bench.stored(run) == ["line 0", "line 1"]

    asyncio.run(work())


def test_a_run_on_a_host_that_is_away_goes_on_and_says_since_when(
    tmp_path: Path, servlet: EnvServlet
) -> None:
    async def work() -> None:
        async with opened(tmp_path, servlet) as bench:
            heard: list[Away | None] = []
            bench.runs.on_away(lambda _, away: heard.append(away))
            run = await bench.submit(bench.new(), 100, 0.005)
            waiting = asyncio.create_task(bench.runs.wait(run.run_id))
            await asyncio.sleep(0.1)
            await bench.network.cut(silent=False)
            await asyncio.sleep(0.5)
            away = bench.runs.away(run.run_id)
            assert away is not None
            assert "reset" in away.why or "not reachable" in away.why
            assert (await bench.recorder.read(lambda book: book.run(run.run_id))).status is (
                RunStatus.RUNNING
            )
            assert await bench.runs.catch_up() == 0  # nobody is called lost meanwhile
            bench.network.join()
            assert (await waiting).status is RunStatus.SUCCEEDED
            assert await bench.stored(run) == [f"line {i}" for i in range(100)]
            assert heard[0] is not None
            assert heard[-1] is None

    asyncio.run(work())


def test_what_nobody_followed_comes_home_when_the_line_is_back(
    tmp_path: Path, servlet: EnvServlet
) -> None:
    async def work() -> None:
        async with opened(tmp_path, servlet) as bench:
            run = await bench.submit(bench.new(), 50, 0)
            await bench.network.cut(silent=False)
            await asyncio.sleep(0.2)
            bench.network.join()
            assert await bench.runs.catch_up() == 1
            assert await bench.stored(run) == [f"line {i}" for i in range(50)]

    asyncio.run(work())


def test_leaving_and_cancelling_work_at_once_while_the_host_is_away(
    tmp_path: Path, servlet: EnvServlet
) -> None:
    async def work() -> None:
        async with opened(tmp_path, servlet) as bench:
            run = await bench.submit(bench.new(), 1000, 0.005)
            waiting = asyncio.create_task(bench.runs.wait(run.run_id))
            await asyncio.sleep(0.05)
            await bench.network.cut(silent=False)
            await asyncio.sleep(0.2)
            began = time.monotonic()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(Unreachable):
                await bench.runs.cancel(run.run_id, force=False)
            assert time.monotonic() - began < 2
            bench.network.join()
            ended = await bench.runs.cancel(run.run_id, force=True)
            assert ended.status is RunStatus.CANCELLED

    asyncio.run(work())
