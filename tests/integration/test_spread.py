"""A map over several nodes, each a real env servlet: who gets what, and what a lost node takes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import pytest

from rhdesk.models import Run, RunStatus
from rhdesk.runs import shares
from rhdesk.runs.making import new_run_id
from rhdesk.runs.recorder import Recorder
from rhdesk.runs.results import Results
from rhdesk.runs.service import SPREAD, Runs
from rhdesk.runs.shares import Deal
from rhdesk.runs.spread import Came, Over, Spread, spread_over
from rhdesk.wire.messages import Called
from rhdesk.wire.payload import Payload
from tests.integration.env_servlet import EnvServlet
from tests.testbed.cuts import Nodes

CODE: Final = """
import os, time


def square(x, side, pause, bad):
    with open(side, "a") as out:
        out.write(f"{x}\\n")
    if x == bad:
        raise ValueError(f"not {x}")
    print("squaring", x)
    time.sleep(pause)
    return x * x
"""


class Bench:
    def __init__(self, folder: Path, servlets: dict[str, EnvServlet]) -> None:
        self.servlets = servlets
        self.nodes = Nodes(servlets)
        self.folder = folder
        self.recorder = Recorder(folder / "data")
        self.runs = Runs(self.recorder, Results(folder / "data" / "results"), self.nodes)
        for servlet in servlets.values():
            self.definition = servlet.define("~/square", "square", {"app.py": CODE})
        self.side = folder / "side"
        self.side.touch()

    def spread(
        self, count: int, *, pause: float = 0.0, bad: int = -1, idempotent: bool = False
    ) -> Spread:
        async def prepare(node: str) -> None:
            await (await self.nodes.client("box", node)).missing("base", [])

        async def why_gone(node: str) -> str:
            return await self.nodes.why_gone("box", node)

        run = Run(
            run_id=new_run_id(), function="~/square", cluster="box", submitted_at=datetime.now(UTC)
        )
        return Spread(
            self.runs,
            spread_over(run, count),
            Called(run_id=run.run_id, definition=self.definition),
            [Payload.of_call([n, str(self.side), pause, bad], {}) for n in range(count)],
            dict.fromkeys(self.servlets, 2),
            idempotent=idempotent,
            prepare=prepare,
            why_gone=why_gone,
        )

    async def finish(self, spread: Spread) -> tuple[dict[int, int], Over]:
        results: dict[int, int] = {}
        over: Over | None = None
        async with aclosing(spread.events()) as events:
            async for event in events:
                if isinstance(event, Came):
                    assert event.item not in results
                    results[event.item] = Payload.read(event.body).result(may_unpickle=False)
                elif isinstance(event, Over):
                    over = event
        assert over is not None
        await asyncio.to_thread(self.recorder.flush)
        return results, over

    def called(self) -> Counter[int]:
        return Counter(map(int, self.side.read_text().split()))

    async def texts(self, run: Run) -> list[str]:
        lines = await self.recorder.read(lambda book: book.lines(run.run_id, 0, 1_000_000))
        return [line.text for line in lines]

    async def book(self, run: Run) -> Run:
        return await self.recorder.read(lambda book: book.run(run.run_id))


@asynccontextmanager
async def opened(folder: Path, count: int = 3) -> AsyncIterator[Bench]:
    servlets = {f"node{n}": EnvServlet(folder / f"node{n}") for n in range(count)}
    bench = Bench(folder, servlets)
    try:
        yield bench
    finally:
        await bench.nodes.aclose()
        bench.recorder.close()
        for servlet in servlets.values():
            servlet.close()


def test_items_run_on_every_node_once_and_are_one_run_in_the_record(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as bench:
            results, over = await bench.finish(bench.spread(60, pause=0.02))
            assert results == {n: n * n for n in range(60)}
            assert over.run.status is RunStatus.SUCCEEDED
            assert bench.called() == dict.fromkeys(range(60), 1)
            listed = await bench.recorder.read(lambda book: book.runs())
            assert [run.run_id for run in listed] == [over.run.run_id]
            parts = await bench.runs.shares(over.run.run_id)
            assert {part.node for part in parts} == {"node0", "node1", "node2"}
            # One whose sending was cut off before the servlet had it is lost, and was never called.
            states = {part.status for part in parts}
            assert RunStatus.SUCCEEDED in states
            assert states <= {RunStatus.SUCCEEDED, RunStatus.LOST}
            texts = await bench.texts(over.run)
            assert len(texts) == 60
            assert {text.split(" | ")[1] for text in texts} == {f"squaring {n}" for n in range(60)}
            assert {text.split(" | ")[0] for text in texts} == {"node0", "node1", "node2"}

    asyncio.run(work())


@pytest.mark.parametrize("idempotent", [False, True])
def test_a_node_that_is_lost_takes_only_what_it_had(tmp_path: Path, idempotent: bool) -> None:
    async def work() -> None:
        async with opened(tmp_path) as bench:
            spread = bench.spread(60, pause=0.05, idempotent=idempotent)
            finishing = asyncio.create_task(bench.finish(spread))
            await asyncio.sleep(0.4)
            bench.servlets["node1"].close()
            bench.nodes.gone["node1"] = "node1 is gone: its host died"
            await bench.nodes.networks["node1"].cut(silent=False)
            results, over = await finishing
            called = bench.called()
            if idempotent:
                assert over.run.status is RunStatus.SUCCEEDED
                assert set(results) == set(range(60))
            else:
                assert over.run.status is RunStatus.LOST
                assert over.lost
                assert set(results) | set(over.lost) == set(range(60))
                assert not set(results) & set(over.lost)
                assert max(called.values()) == 1
                assert all("node1 is gone" in why for why in over.lost.values())
                ended = await bench.book(over.run)
                assert ended.failure is not None
                assert shares.spell(over.lost) in ended.failure.message
                assert ended.failure.kind == "items_lost"

    asyncio.run(work())


def test_a_node_that_is_only_away_is_waited_for(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path, 2) as bench:
            finishing = asyncio.create_task(bench.finish(bench.spread(40, pause=0.03)))
            await asyncio.sleep(0.2)
            await bench.nodes.networks["node1"].cut(silent=True)
            await asyncio.sleep(0.5)
            bench.nodes.networks["node1"].join()
            results, over = await finishing
            assert over.run.status is RunStatus.SUCCEEDED
            assert len(results) == 40
            assert max(bench.called().values()) == 1

    asyncio.run(work())


def test_what_the_function_raises_ends_the_map_on_every_node(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path) as bench:
            _, over = await bench.finish(bench.spread(200, pause=0.05, bad=0))
            assert over.run.status is RunStatus.FAILED
            assert over.raised is not None
            assert over.raised.failed is not None
            assert "not 0" in over.raised.failed.message
            parts = await bench.runs.shares(over.run.run_id)
            assert all(part.status.is_finished for part in parts)
            assert len(bench.called()) < 200

    asyncio.run(work())


def test_cancelling_the_map_cancels_its_shares_and_hands_out_no_more(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path, 2) as bench:
            spread = bench.spread(400, pause=0.05)
            finishing = asyncio.create_task(bench.finish(spread))
            await asyncio.sleep(0.4)
            (run,) = await bench.recorder.read(lambda book: book.runs())
            ended = await bench.runs.cancel(run.run_id, force=True)
            assert ended.status is RunStatus.CANCELLED
            _, over = await finishing
            assert over.run.status is RunStatus.CANCELLED
            assert len(bench.called()) < 400

    asyncio.run(work())


def test_the_next_desk_ends_a_map_whose_program_died(tmp_path: Path) -> None:
    async def work() -> None:
        async with opened(tmp_path, 2) as bench:
            spread = bench.spread(60, pause=0.05)
            finishing = asyncio.create_task(bench.finish(spread))
            await asyncio.sleep(0.4)
            finishing.cancel()
            await asyncio.gather(finishing, return_exceptions=True)
            (run,) = await bench.recorder.read(lambda book: book.runs())
            # Somebody else's pid: the program that handed out the items is not there any more.
            by = run.origin[SPREAD] | {"started": 1}
            dead = msgspec.structs.replace(run, origin=run.origin | {SPREAD: by})
            ended = await bench.runs._bring_home(dead)
            await asyncio.to_thread(bench.recorder.flush)
            assert ended.status is RunStatus.LOST
            assert ended.failure is not None
            assert "never handed out" in ended.failure.message
            parts = await bench.runs.shares(run.run_id)
            # One whose sending was cut off before the servlet had it is lost, and was never called.
            states = {part.status for part in parts}
            assert RunStatus.SUCCEEDED in states
            assert states <= {RunStatus.SUCCEEDED, RunStatus.LOST}
            assert max(bench.called().values()) == 1
            assert (await bench.book(run)).status is RunStatus.LOST
            assert len(await bench.texts(run)) == len(bench.called())

    asyncio.run(work())


def test_shares_are_large_first_and_small_at_the_end() -> None:
    deal = Deal(1000, {"small": 2, "large": 6})
    sizes = {"small": list[int](), "large": list[int]()}
    while not deal.is_settled:
        for node, found in sizes.items():
            share = deal.take(node)
            found += [len(share)] if share else []
            for item in share:
                deal.finished(item)
    assert sizes["large"][0] > 2 * sizes["small"][0]
    for found in sizes.values():
        assert found == sorted(found, reverse=True)
        assert found[-1] == 1
    assert sum(map(sum, sizes.values())) == 1000


def test_an_item_that_kills_every_node_it_meets_is_given_up() -> None:
    deal = Deal(1, {"a": 1, "b": 1}, idempotent=True)
    for _ in range(3):
        assert deal.take("a") == [0]
        deal.unknown([0], "it died")
    assert deal.is_settled
    assert deal.lost == {0: "it died"}


def test_items_are_spelled_short_and_read_again() -> None:
    assert shares.spell([5, 0, 1, 2]) == "0-2, 5"
    assert shares.read("0-2, 5") == {0, 1, 2, 5}
    assert shares.read("") == set()


def test_without_the_rule_that_none_runs_twice_the_count_says_so(tmp_path: Path) -> None:
    """The control: a node whose items run elsewhere though it lives runs them twice."""

    async def work() -> None:
        async with opened(tmp_path, 2) as bench:
            spread = bench.spread(20, pause=0.1, idempotent=True)
            finishing = asyncio.create_task(bench.finish(spread))
            await asyncio.sleep(0.35)
            bench.nodes.gone["node1"] = "node1 is gone: so it is said"
            await bench.nodes.networks["node1"].cut(silent=False)
            await finishing
            assert max(bench.called().values()) > 1

    asyncio.run(work())
