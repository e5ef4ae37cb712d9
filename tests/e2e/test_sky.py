"""Machines that SkyPilot brings up, on a real Slurm; RHDESK_TEST_SKY=1, it takes ten minutes.

With RHDESK_TEST_KILLS=20 rhdesk, its daemon and SkyPilot's server are killed at so many points.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rhdesk import processes
from tests.e2e.test_terminal import Terminal
from tests.testbed.slurm_cluster import Slurm

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("RHDESK_TEST_SKY"), reason="SkyPilot takes minutes: RHDESK_TEST_SKY=1"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
    pytest.mark.slow,
]
APP = """\
import os, socket, time

def train(steps: int = 3) -> str:
    for step in range(steps):
        print("step", step, flush=True)
        time.sleep(0.1)
    return socket.gethostname()

def job() -> str | None:
    return os.environ.get("SLURM_JOB_ID")
"""
SHOTS = os.environ.get("RHDESK_TEST_SHOTS")
KILLS = int(os.environ.get("RHDESK_TEST_KILLS", "4"))


class Desk:
    """rhdesk as a person has it: commands, in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "RHDESK_"))}
        self.env |= {"HOME": str(home), "COLUMNS": "200"}

    def start(self, *words: str, out: Any = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "rhdesk.cli", *words], cwd=self.home, env=self.env,
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *words: str, code: int = 0, timeout_s: float = 240) -> str:
        running = self.start(*words)
        try:
            output, _ = running.communicate(timeout=timeout_s)
        finally:
            running.kill()
        assert running.returncode == code, output
        return output

    def answer(self, *words: str, code: int = 0) -> Any:
        """What the last line of ``--json`` holds."""
        lines = self.run(*words, "--json", code=code).strip().splitlines()
        last = json.loads(lines[-1])
        return last.get("data", last.get("error"))

    def state(self, name: str) -> str:
        found = {each["name"]: each for each in self.answer("status")}
        return str(found[name]["state"]) if name in found else "unknown"

    @property
    def project(self) -> Path:
        return self.home

    @property
    def environ(self) -> dict[str, str]:
        return {name: text for name, text in self.env.items() if name != "COLUMNS"}

    @property
    def sky(self) -> Path:
        return self.home / ".local/share/rhdesk/skypilot"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    kept = os.environ.get("RHDESK_TEST_CACHE")
    folder = Path(kept) / "slurm" if kept else tmp_path_factory.mktemp("slurm")
    bed = Slurm(folder, int(os.environ.get("RHDESK_TEST_BED", "0")))
    bed.build()
    bed.start()
    yield bed
    bed.stop()


@pytest.fixture(scope="module")
def desk(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("home"))
    slurm.lend(made.home)
    (made.home / "app.py").write_text(APP)
    yield made
    made.run("daemon", "stop")
    made.run("sky", "stop")


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test: no job, no process, no machine nobody accounts for."""
    yield
    if {"slurm", "desk"} <= set(request.fixturenames):
        slurm: Slurm = request.getfixturevalue("slurm")
        until = time.monotonic() + 90
        while (slurm.queue() or slurm.processes()) and time.monotonic() < until:
            time.sleep(0.5)  # SkyPilot's own helpers end a moment after their job
        assert slurm.queue() == []
        assert slurm.processes() == []
        assert request.getfixturevalue("desk").run("orphans").strip().endswith("accounted for")


def up(name: str, *more: str) -> list[str]:
    return ["up", name, "--provider", "slurm", "--yes", *more]


def test_two_machines_come_run_and_go(desk: Desk, slurm: Slurm) -> None:
    plan = desk.run("up", "pair", "--provider", "slurm", "--nodes", "2", "--dry-run")
    assert "slurm/bed" in plan
    assert "0.10 an hour" in plan  # two of 1 CPU at 0.04 and 1 GiB at 0.01
    assert slurm.queue() == []

    seen = desk.answer(*up("pair", "--nodes", "2", "--autostop", "30"))
    assert (seen["state"], seen["kind"], seen["infra"]) == ("up", "sky", "slurm/bed")
    assert seen["price_per_hour"] == pytest.approx(0.10)
    assert {node["name"] for node in desk.answer("nodes", "pair")} == {"node0", "node1"}
    assert len(slurm.queue()) == 1

    lines = desk.run("call", "app.py:train", "--on", "pair", "steps=4")
    assert [f"step {n}" in lines for n in range(4)] == [True] * 4
    assert "node0" in lines
    # It runs in the job, which holds the processors and GPUs, and not beside it.
    assert job_id(slurm) in desk.run("call", "app.py:job", "--on", "pair")
    assert desk.answer("cost")[0]["is_up"]

    assert "already up" in desk.run(*up("pair", "--nodes", "2", "--autostop", "30"))
    desk.run("down", "pair")
    assert desk.state("pair") == "down"


def job_id(slurm: Slurm) -> str:
    return slurm.command("squeue", "-h", "-o", "%i").strip()


def test_a_gpu_machine_ends_itself(desk: Desk, slurm: Slurm) -> None:
    """Nobody is there: the machine's own timer ends it."""
    desk.run(*up("gpu", "--instance", "H100:2", "--autostop", "1"))
    assert "node1" in desk.run("call", "app.py:train", "--on", "gpu")
    desk.run("sky", "stop")  # as if the laptop were shut
    until = time.monotonic() + 420
    while slurm.queue() and time.monotonic() < until:
        time.sleep(2)
    assert slurm.queue() == []
    assert desk.state("gpu") != "up"
    until = time.monotonic() + 180
    while desk.state("gpu") != "down" and time.monotonic() < until:
        time.sleep(1)  # SkyPilot's server is started, and hears it of Slurm
    assert desk.state("gpu") == "down"


def test_keep_warm_holds_a_machine(desk: Desk, slurm: Slurm) -> None:
    script = """
import rhdesk as rh
box = rh.ondemand_cluster("warm", provider="slurm", autostop_mins=1).up_if_not()
assert box.status().infra == "slurm/bed"
with box.pause_autostop():
    assert box.status().autostop_mins == -1
box.keep_warm(45)
print("warm for", box.status().autostop_mins)
print(box.config_for_rns["resource_subtype"], box.plan().is_up)
box.teardown_and_delete()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=desk.env, cwd=desk.home, capture_output=True,
        text=True, timeout=240, check=False,
    )  # fmt: skip
    assert "warm for 45" in done.stdout, done.stderr
    assert "OnDemandCluster True" in done.stdout
    assert desk.state("warm") == "unknown"


def test_they_are_brought_up_by_keys_alone(desk: Desk, slurm: Slurm, tmp_path: Path) -> None:
    """With RHDESK_TEST_SHOTS=FOLDER what the terminal showed is kept there."""
    terminal = Terminal(tmp_path / "tmux", desk.project, desk.environ, 140, 40)

    def keep(name: str) -> None:
        if SHOTS:
            Path(SHOTS, f"sky-{name}.txt").write_text(terminal.screen())

    try:
        terminal.wait("Clusters")
        terminal.keys(":")
        terminal.text("provision keys")
        terminal.keys("Enter")
        terminal.wait("rhdesk up keys --autostop 30")
        terminal.keys("Tab", "Tab", "Tab")
        terminal.text("slurm")
        terminal.wait("rhdesk up keys --provider slurm --autostop 30")
        terminal.keys("C-r")
        terminal.wait("0.05 an hour", 60)
        keep("plan")
        assert slurm.queue() == []
        terminal.keys("F5")
        terminal.wait("bring up machine for keys", 30)
        terminal.wait("Launching", 60)
        keep("going-up")
        terminal.wait("start the gateway", 120)
        keep("up")
        terminal.keys("Escape")
        time.sleep(1)  # what follows an Escape at once is taken for one key with it
        terminal.keys("Escape")
        time.sleep(1)
        terminal.keys("4")
        terminal.wait("slurm/bed · 0.05/h", 60)
        keep("cluster")
        terminal.keys(":")
        terminal.text("down keys")
        terminal.keys("Enter")
        terminal.wait("Cancel")
        terminal.keys("Tab", "Enter")
        terminal.wait("none is left", 60)
        keep("down")
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--instance", "H1O0:1"], 2, "did you mean"),
        (["--instance", "H100:64"], 2, "no provider that is enabled has"),
        (["--region", "nowhere"], 2, "regions of slurm are 'bed'"),
        (["--nodes", "0", "--instance", "CPU:900"], 2, "no provider that is enabled has"),
    ],
)
def test_what_cannot_be_had_is_said(desk: Desk, words: list[str], code: int, says: str) -> None:
    began = time.monotonic()
    output = desk.run(*up("wrong", *words), code=code)
    assert says in output
    assert time.monotonic() - began < 15
    desk.run("forget", "wrong")


def test_without_credentials_it_is_refused(desk: Desk) -> None:
    output = desk.run("up", "cloud", "--provider", "aws", "--instance", "A100:1", "--yes", code=6)
    assert "aws has credentials" in output or "credentials here" in output
    assert "rhdesk secret send" in output
    desk.run("forget", "cloud")


def test_no_capacity_ends_with_its_cause(desk: Desk, slurm: Slurm) -> None:
    for node in ("node0", "node1"):
        slurm.drain(node)
    try:
        output = desk.run(*up("none"), code=9)
        assert "no capacity" in output
        assert "Try again later" in output
    finally:
        for node in ("node0", "node1"):
            slurm.resume(node)
    desk.run("down", "none")
    desk.run("forget", "none")


def test_giving_up_ends_what_was_begun(desk: Desk, slurm: Slurm) -> None:
    running = desk.start(*up("given"), out=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not slurm.queue() and time.monotonic() < until:
        time.sleep(0.2)
    assert slurm.queue()
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130
    assert slurm.queue() == []
    assert desk.state("given") == "down"
    desk.run("forget", "given")


def test_a_budget_that_is_used_up_is_kept(desk: Desk, slurm: Slurm) -> None:
    """As the group said it when the desk was last in step with the store."""
    said = {"at": "/ada", "folders": {"/ada": {"budget": 0.03, "provider": "slurm"}}}
    file = desk.home / ".local/share/rhdesk/sync/defaults.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(said))
    try:
        output = desk.run("up", "dear", "--nodes", "2", "--yes", code=6)  # the group's provider
        assert "the budget of the group is 0.03 a month" in output
        assert slurm.queue() == []
    finally:
        file.unlink()
    desk.run("forget", "dear")


def test_a_machine_nobody_accounts_for_is_found_and_ended(desk: Desk, slurm: Slurm) -> None:
    desk.run(*up("lost"))
    shutil.rmtree(desk.home / ".local/share/rhdesk/clusters/lost")  # as if the disk had lost it
    output = desk.run("orphans", code=1)
    assert "lost: it is UP at slurm/bed, and no cluster of this desk" in output
    assert slurm.queue(), "telling ends nothing"
    assert "ended 1" in desk.run("orphans", "--end")
    assert slurm.queue() == []


def test_a_provider_that_cannot_turn_machines_off_says_so(desk: Desk, slurm: Slurm) -> None:
    desk.run(*up("stay"))
    assert "slurm cannot turn machines off" in desk.run("stop", "stay", code=2)
    assert "node0" in desk.run("call", "app.py:train", "--on", "stay"), "nothing was ended"
    assert "is up; end it first" in desk.run("sky", "remove", code=6)
    assert "a job of Slurm keeps its size" in desk.run("resize", "stay", "2", code=2)
    (told,) = [each for each in desk.answer("cost", "--runs") if each["cluster"] == "stay"]
    assert told["cost"] > 0
    desk.run("down", "stay")


def test_killed_anywhere_nothing_is_left_and_nothing_doubled(desk: Desk, slurm: Slurm) -> None:
    """rhdesk, its daemon, or SkyPilot's server, in the middle of an up or a down."""
    desk.run("daemon", "start")
    chance = random.Random(7)
    for number in range(KILLS):
        name = f"kill{number}"
        whom = ("rhdesk", "server", "daemon")[number % 3]
        verb = "down" if number % 2 else "up"
        if verb == "down":
            desk.run(*up(name))
        words = up(name) if verb == "up" else ["down", name]
        running = desk.start(*words, out=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.5, 25.0 if verb == "up" else 10.0))
        _kill(desk, running, whom)
        running.wait(240)
        assert len(slurm.queue()) <= 1, f"{whom} killed in {verb}: doubled"
        if whom == "daemon":
            desk.run("daemon", "start")
        if verb == "up":  # who wanted it wants it yet
            desk.run(*up(name))
            assert len(slurm.queue()) == 1
            assert "node0" in desk.run("call", "app.py:train", "--on", name)
            # A new line into a job takes about the two seconds a look may take.
            assert any(desk.state(name) == "up" for _ in range(10))
        desk.run("down", name)
        assert desk.state(name) == "down"
        assert slurm.queue() == []
        desk.run("forget", name)
        print(f"{number}: {whom} killed in {verb}", flush=True)


def _kill(desk: Desk, running: subprocess.Popen[str], whom: str) -> None:
    if whom == "rhdesk":
        running.kill()
    elif whom == "server":
        note = desk.sky / "server.json"
        if note.exists():
            pid = msgspec.json.decode(note.read_bytes())["pid"]
            if processes.find(pid):
                os.kill(pid, signal.SIGKILL)
    else:
        pid = desk.answer("daemon", "status")["pid"]
        os.kill(pid, signal.SIGKILL)


ROW = "{kind},{gpu},{count},{cpus},{memory},{gpu},{price},{spot},{region},{region}a"
LISTS = {
    "aws": ("p5.48xlarge", "us-east-1", 98.32, 40.1),
    "gcp": ("a3-highgpu-8g", "us-central1", 88.49, 35.0),
    "lambda": ("gpu_8x_h100_sxm5", "us-west-1", 23.92, ""),
}


def test_offers_of_three_clouds_from_their_price_lists(desk: Desk) -> None:
    """No network, no credentials: what is known is what is on this machine."""
    lists = desk.home / ".sky/catalogs/v8"
    output = desk.run("offers", "H100", code=5)
    assert "price list is not on this machine" in output
    head = (
        "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,"
        "Region,AvailabilityZone"
    )
    for cloud, (kind, region, price, spot) in LISTS.items():
        (lists / cloud).mkdir()
        row = ROW.format(
            kind=kind, gpu="H100", count=8, cpus=192, memory=2048, price=price, spot=spot,
            region=region,
        )  # fmt: skip
        (lists / cloud / "vms.csv").write_text(f"{head}\n{row}\n")
    found = desk.answer("offers", "H100")
    assert [(each["infra"], each["price_per_hour"]) for each in found] == [
        ("lambda/us-west-1", 23.92),
        ("gcp/us-central1", 88.49),
        ("aws/us-east-1", 98.32),
    ]
    assert "no accelerator is called" in desk.run("offers", "H1000", code=3)
    for cloud in LISTS:
        shutil.rmtree(lists / cloud)


def test_it_cannot_be_installed_without_a_network(slurm: Slurm, tmp_path: Path) -> None:
    alone = Desk(tmp_path)
    slurm.lend(alone.home)
    alone.env |= {"UV_INDEX_URL": "http://127.0.0.1:9/simple", "UV_NO_CACHE": "1"}
    alone.env |= {"UV_HTTP_RETRIES": "0"}
    began = time.monotonic()
    output = alone.run(*up("none"), code=9)
    assert "no package index" in output
    assert time.monotonic() - began < 10
    assert alone.run("sky").startswith("SkyPilot")


def test_it_is_removed_with_one_command(desk: Desk) -> None:
    assert "is not installed" in desk.run("sky", "remove")
    assert not (desk.sky / "env").exists()
    shutil.rmtree(desk.sky / "home" / ".sky" / "wheels", ignore_errors=True)
