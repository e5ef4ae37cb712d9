"""The program on every machine, as a child: up, down, look, idle, upgraded, several as one Ray."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from rhdesk import processes
from rhdesk.clusters import servlet_code
from rhdesk.clusters.here import Here
from rhdesk.clusters.line import Line
from rhdesk.clusters.service import Clusters
from rhdesk.errors import NotFound, StoreBusy
from rhdesk.models import Cluster, ClusterState, EnvSpec, Step
from rhdesk.wire.messages import MakeEnv, error_of
from rhdesk.wire.node import NodeConfig, NodeEvent, NodeSeen, seen_in, started_in
from tests.conftest import Place, moved_away

SMI = """#!/bin/sh
echo "NVIDIA A100-SXM4-80GB, 37, 1024, 81920"
echo "NVIDIA A100-SXM4-80GB, [N/A], 0, 81920"
"""


class Machine:
    """A node brought up by hand, as an SSH host has it: code of its own, config on stdin."""

    def __init__(self, place: Path, code: Path, config: NodeConfig, path: str = "") -> None:
        self.folder = Path(config.folder)
        self.config = config
        self.code = code
        self.environ = moved_away(place) | {"PYTHONPATH": str(code)}
        if path:
            self.environ["PATH"] = f"{path}:{self.environ['PATH']}"

    def tell(self, verb: str, config: NodeConfig | None = None) -> list[NodeEvent]:
        done = subprocess.run(
            [sys.executable, "-m", "rhdesk_servlet", "node", verb],
            input=msgspec.json.encode(config or self.config) + b"\n",
            env=self.environ,
            capture_output=True,
            timeout=120,
            check=False,
        )
        events = [msgspec.json.decode(line, type=NodeEvent) for line in done.stdout.splitlines()]
        assert events, done.stderr.decode()
        if (fault := events[-1].fault) is not None:
            error = error_of(fault)
            error.add_note(str(fault.facts.get("output", "")))
            raise error
        return events

    def up(self) -> NodeSeen:
        last = self.tell("up")[-1]
        assert last.seen is not None
        return last.seen

    def line(self, name: str) -> Line:
        seen = seen_in(self.folder)
        token = (self.folder / "token").read_text()
        return Line(name, seen.cluster_id, seen.gateway, token, seen.node)


class Machines:
    """Several of them as a cluster; satisfies `ClusterAdapter`."""

    def __init__(self, machines: list[Machine]) -> None:
        self.machines = machines

    def look(self) -> Cluster:
        return Cluster(name="lab", kind="ssh", state=ClusterState.UP)

    async def lines(self) -> list[Line]:
        return [machine.line("lab") for machine in self.machines]

    def why_broken(self) -> str:
        return ""

    async def why_ended(self) -> str:
        return ""

    async def up(self) -> AsyncGenerator[Step]:
        for machine in self.machines:
            for event in await asyncio.to_thread(machine.tell, "up"):
                if event.step is not None:
                    yield event.step

    async def down(self) -> AsyncGenerator[Step]:
        for machine in reversed(self.machines):
            for event in await asyncio.to_thread(machine.tell, "down"):
                if event.step is not None:
                    yield event.step

    async def keep_for(self, minutes: float) -> None:
        raise AssertionError("nobody asks for it here")

    async def provide(
        self, lines: Sequence[str], nodes: Sequence[str] = ()
    ) -> AsyncGenerator[Step]:
        for line in lines:
            raise NotFound(f"no environment of these tests asks for {line} on {nodes}")
            yield


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return servlet_code.lay_out(tmp_path_factory.mktemp("code"))


def config(place: Path, name: str, address: str = "127.0.0.1", head: str = "") -> NodeConfig:
    return NodeConfig(
        cluster="lab",
        cluster_id="5eed",
        folder=str(place / "home with spaces" / name),
        venvs=str(place / "venvs"),
        token="t" * 64,
        ray_token="r" * 64,
        node=name,
        address=address,
        head=head,
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, code: Path) -> Iterator[list[Machine]]:
    """Two nodes of one Ray, on two addresses of this machine; the second has GPUs."""
    place = tmp_path_factory.mktemp("lab")
    bin_folder = place / "bin"
    bin_folder.mkdir()
    (bin_folder / "nvidia-smi").write_text(SMI)
    (bin_folder / "nvidia-smi").chmod(0o755)
    head = Machine(place, code, config(place, "one", "127.0.0.2"))
    machines = [head]
    try:
        ray = head.up().ray
        second = config(place, "two", "127.0.0.3", ray)
        machines.append(Machine(place, code, second, str(bin_folder)))
        machines[1].up()
        yield machines
    finally:
        for machine in reversed(machines):
            machine.tell("down")


@pytest.fixture
async def clusters(lab: list[Machine], tmp_path: Path) -> AsyncGenerator[Clusters]:
    here = Here(tmp_path / "here", tmp_path / "venvs")
    made = Clusters(here, timeout_s=5.0, others=lambda: {"lab": Machines(lab)})
    yield made
    await made.aclose()


@pytest.mark.ray
async def test_two_machines_are_one_ray_and_each_has_servlets_of_its_own(
    clusters: Clusters,
) -> None:
    head, worker = await clusters.nodes("lab")
    assert (head.name, head.role, head.state) == ("one", "head", ClusterState.UP)
    assert (worker.name, worker.role, worker.state) == ("two", "worker", ClusterState.UP)
    assert (worker.gpus, worker.gpu_model) == (2, "NVIDIA A100-SXM4-80GB")
    assert head.gpus == 0
    assert head.envs == worker.envs == ("base",)
    one, two = await clusters.clients("lab")
    assert (await one.address("base")) != (await two.address("base"))
    with pytest.raises(NotFound, match="node of lab"):
        await clusters.client("lab", "three")


@pytest.mark.ray
async def test_stats_are_those_of_every_node_side_by_side(clusters: Clusters) -> None:
    one, two = await clusters.stats("lab")
    assert (one.node, two.node) == ("one", "two")
    assert [(gpu.percent, gpu.memory_used_bytes) for gpu in two.gpus] == [
        (37.0, 1024 * 1024 * 1024),
        (0.0, 0),
    ]
    assert one.gpus == ()


@pytest.mark.ray
async def test_an_environment_is_made_on_the_nodes_that_were_asked(clusters: Clusters) -> None:
    async def envs() -> list[tuple[str, ...]]:
        return [node.envs for node in await clusters.nodes("lab")]

    asked = MakeEnv(spec=EnvSpec(name="digits", env_vars={"A": "1"}))
    said = [step async for step in clusters.make_env("lab", asked, ["two"])]
    assert said
    assert all(step.what.endswith(" on two") for step in said)
    assert await envs() == [("base",), ("base", "digits")]
    assert [env.name for env in await clusters.envs("lab")] == ["base", "digits"]
    said = [step async for step in clusters.make_env("lab", asked)]
    assert {step.what.rpartition(" ")[2] for step in said} == {"one", "two"}
    assert await envs() == [("base", "digits"), ("base", "digits")]
    await clusters.drop_env("lab", "digits", ["one"])
    assert await envs() == [("base",), ("base", "digits")]
    await clusters.drop_env("lab", "digits")
    assert await envs() == [("base",), ("base",)]
    with pytest.raises(NotFound):
        await clusters.drop_env("lab", "digits")


@pytest.mark.ray
@pytest.mark.skipif(
    os.environ.get("RHDESK_TEST_HOSTS") != "all", reason="long: RHDESK_TEST_HOSTS=all runs it"
)
async def test_a_lost_worker_is_reported_and_up_brings_back_only_that(
    clusters: Clusters, lab: list[Machine]
) -> None:
    head_before = started_in(lab[0].folder)
    worker = started_in(lab[1].folder)
    assert worker is not None
    os.kill(worker.core["raylet"].pid, signal.SIGKILL)
    async with asyncio.timeout(40):
        lost = (await clusters.nodes("lab"))[1]
        while lost.state is ClusterState.UP:
            lost = (await clusters.nodes("lab"))[1]
    assert lost.state in {ClusterState.BROKEN, ClusterState.UNREACHABLE}
    assert lost.why
    assert "raylet" in seen_in(lab[1].folder).why
    said = [step async for step in clusters.up("lab")]
    assert ("cluster lab on one", "already up") in {(step.what, step.detail) for step in said}
    assert not any(step.what == "start Ray on one" for step in said)
    assert started_in(lab[0].folder) == head_before
    head, back = await clusters.nodes("lab")
    assert (head.state, back.state, back.why) == (ClusterState.UP, ClusterState.UP, "")


@pytest.mark.ray
def test_a_node_that_is_up_is_found_up_and_a_second_owner_is_kept_out(lab: list[Machine]) -> None:
    began = time.monotonic()
    events = lab[0].tell("up")
    assert [event.step.detail for event in events if event.step] == ["already up"]
    assert time.monotonic() - began < 10
    with (lab[0].folder / "lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreBusy, match="rhdesk"):
            lab[0].tell("down")
    for name in ("token", "ray-token", "cluster.json"):
        assert (lab[0].folder / name).stat().st_mode & 0o777 == 0o600
    assert lab[0].folder.stat().st_mode & 0o777 == 0o700


LONG = """
import time


def slow(seconds):
    for n in range(int(seconds * 10)):
        print("tick", n)
        time.sleep(0.1)
    return "done"


def quick(x):
    return x + 1
"""


def gateway_code(place: Place) -> str:
    return str(json.loads((place.data / "clusters/here/cluster.json").read_text())["servlet"])


def env_code(place: Place) -> str:
    file = place.data / "clusters/here/envs/base/servlet.json"
    return Path(json.loads(file.read_text())["config"]["code"]).name


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """`here`, for the tests below: each leaves it up."""
    made = Place(tmp_path_factory.mktemp("machine"))
    made.rhdesk("up")
    made.script("long.py", LONG)
    yield made
    made.rhdesk("down", check=False)


@pytest.mark.ray
def test_a_call_goes_on_through_an_upgrade_and_no_new_one_is_refused(
    machine: Place, tmp_path: Path
) -> None:
    """Newer code is the same with a changed comment."""
    before = gateway_code(machine)
    newer = tmp_path / "newer"
    shutil.copytree(machine.data / "clusters/here/servlets" / before, newer)
    with (newer / "rhdesk_servlet" / "load.py").open("a") as file:
        file.write("# newer\n")
    running = machine.start("-m", "rhdesk.cli", "call", "long.py:slow", "4")
    time.sleep(1.5)
    machine.environ["PYTHONPATH"] = str(newer)
    said = machine.rhdesk("up").stderr
    assert "replace the gateway" in said
    assert gateway_code(machine) != before
    assert env_code(machine) == before, "it still has a call to finish"
    assert machine.rhdesk("call", "long.py:quick", "1").stdout == "2\n"
    out, _ = running.communicate(timeout=60)
    assert [line for line in out.splitlines() if line.startswith("tick")] == [
        f"tick {n}" for n in range(40)
    ]
    assert running.returncode == 0
    give_up = time.monotonic() + 30
    while env_code(machine) == before:
        assert time.monotonic() < give_up, "the env servlet was never replaced"
        assert machine.rhdesk("call", "long.py:quick", "41").stdout == "42\n"
    assert machine.rhdesk("call", "long.py:quick", "41").stdout == "42\n"
    del machine.environ["PYTHONPATH"]


@pytest.mark.ray
def test_an_idle_cluster_ends_itself_and_what_it_printed_still_comes_home(
    machine: Place,
) -> None:
    started = started_in(machine.data / "clusters/here")
    assert started is not None
    assert started.head is not None
    family = [started.head, *processes.family(started.head)]
    machine.rhdesk("call", "long.py:slow", "2", "--no-follow")
    machine.rhdesk("autostop", "here", "0.02")
    active = machine.data / "clusters/here/active"
    os.utime(active, (1.0, 1.0))  # as after the machine slept: what was noted is old
    time.sleep(1)
    assert "up" in machine.rhdesk("status").stdout, "a call that runs keeps it"
    give_up = time.monotonic() + 30
    while any(processes.is_alive(each) for each in family):
        assert time.monotonic() < give_up, "it did not end itself"
        time.sleep(0.2)
    time.sleep(0.5)
    seen = json.loads(machine.rhdesk("status", "here", "--json").stdout)
    assert "stopped itself" in json.dumps(seen)
    assert "broken" not in json.dumps(seen)
    assert not list(Path("/tmp").glob(f"{Path(started.ray_temp).name}*"))
    refused = machine.rhdesk("keys", check=False)
    assert refused.returncode == 5
    assert "stopped itself" in refused.stderr
    machine.rhdesk("up")
    machine.python("-c", "from rhdesk.blocking import Desk\nwith Desk() as desk: desk.catch_up()")
    lines = machine.rhdesk("logs", "last", check=False).stdout
    assert "tick 19" in lines
