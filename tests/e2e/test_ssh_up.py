"""From a bare host to a result, and back to a bare host."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from rhdesk.errors import ConnectionFailed, StoreBusy, UntrustedHost
from tests.conftest import Lab
from tests.testbed.hosts import Host

pytestmark = pytest.mark.ray

APP = """
import os, socket

def train(alpha: float) -> float:
    print("training with", alpha, "on", socket.gethostname())
    return 1 / alpha

def where() -> str:
    return socket.gethostname()

def packaged() -> str:
    import six
    return six.__version__

def stands() -> list[str]:
    with open("data/words.txt") as words, open("result.txt", "a") as result:
        result.write(words.read())
    return sorted(name for name in os.listdir(".") if not name.startswith("__"))
"""


HOLDING = """
import fcntl, sys, time
held = open(sys.argv[1], "r+")
fcntl.flock(held, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def written(host: Host) -> set[str]:
    """Files on a host that were not there when it was new; folders that were made empty again, and
    what sshd itself keeps, left out."""
    found: set[str] = set()
    for place in ("root", "home", "tmp", "var/tmp", "dev/shm", "run"):
        for folder, _, files in os.walk(host.root / place):
            found |= {str(Path(folder, name)).removeprefix(str(host.root)) for name in files}
    found |= {
        str(file.relative_to(host.upper)) for file in host.upper.rglob("*") if file.is_file()
    }
    return {name for name in found if "sshd" not in name and not name.startswith("etc/")}


def test_two_commands_from_a_fresh_home_to_a_result_and_nothing_is_left(lab: Lab) -> None:
    host = lab.host("gpubox")
    lab.script("app.py", APP)
    before = written(host)
    began = time.monotonic()
    up = lab.rhdesk("up", "gpubox", "--json")
    called = lab.rhdesk("call", "app.py:train", "alpha=0.25", "--on", "gpubox")
    took_s = time.monotonic() - began
    print(f"from a fresh home to a result: {took_s:.1f} s")
    assert called.stdout.splitlines() == ["training with 0.25 on gpubox", "4.0"]
    steps = [json.loads(line)["data"]["what"] for line in up.stdout.splitlines()[:-1]]
    for what in (
        "connect to gpubox",
        "look at the host",
        "send packages",
        "install them",
        "start Ray",
    ):
        assert what in steps, steps
    assert json.loads(up.stdout.splitlines()[-1])["data"]["state"] == "up"

    open_to_others = [
        a for a in host.listening() if not a.startswith(("127.", "[::1]", "[::ffff:127."))
    ]
    assert open_to_others == ["0.0.0.0:22"]
    (root,) = (host.root / "root").glob(".rhdesk")
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    token = lab.data / "clusters" / "gpubox" / "token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    secret = token.read_text()
    for pid in host.pids():
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert secret.encode() not in words, "every user of the host can read arguments"

    began = time.monotonic()
    again = lab.rhdesk("up", "gpubox")
    print(f"up on a cluster that is up: {time.monotonic() - began:.2f} s")
    assert "already up" in again.stderr
    checks = json.loads(lab.rhdesk("doctor", "gpubox", "--json").stdout)["data"]
    assert [check["what"] for check in checks if not check["ok"]] == []
    assert len(checks) >= 10

    done = lab.rhdesk("call", "app.py:packaged", "--env", "six==1.17.0", "--on", "gpubox")
    assert done.stdout.strip() == "1.17.0", "there is no index there: what it needs is sent"
    done = lab.rhdesk(
        "call", "app.py:packaged", "--env", "no-such-thing-4711==1", "--on", "gpubox", check=False
    )
    assert done.returncode == 2
    assert "no-such-thing-4711" in done.stderr

    stands_in_its_working_folder(lab, host)

    holder = lab.start("-c", HOLDING, str(lab.data / "clusters" / "gpubox" / "lock"))
    assert holder.stdout is not None
    holder.stdout.readline()
    assert lab.rhdesk("down", "gpubox", check=False).returncode == StoreBusy.exit_code
    holder.kill()
    holder.communicate()
    lab.rhdesk("down", "gpubox")
    assert host.programs() == []
    assert [a for a in host.listening() if not a.endswith(":22")] == []
    assert written(host) - before == set()
    runs = json.loads(lab.rhdesk("runs", "--json").stdout)["data"]
    (train,) = [run["run_id"] for run in runs if run["function"] == "train"]
    lines = lab.rhdesk("logs", train).stdout
    assert "training with 0.25" in lines, "the record outlives the machine"
    assert "down" in lab.rhdesk("status", "gpubox").stdout


def test_a_host_that_is_not_known_is_not_connected_to_by_a_script(lab: Lab) -> None:
    host = lab.host("gpubox")
    lab.bed.ssh_home(lab.home, trusted=False)
    (lab.home / ".ssh" / "known_hosts").unlink()
    done = lab.rhdesk("up", "gpubox", check=False)
    assert done.returncode == UntrustedHost.exit_code
    assert "SHA256:" in done.stderr
    assert "--host-key" in done.stderr
    right = done.stderr.partition("--host-key ")[2].split(",")[0].strip()
    done = lab.rhdesk("up", "gpubox", "--host-key", "SHA256:wrong", check=False)
    assert done.returncode == UntrustedHost.exit_code
    assert host.programs() == []
    assert right.startswith("SHA256:")


def test_nobody_there_is_told_within_ten_seconds(lab: Lab) -> None:
    host = lab.host("gpubox")
    host.cut()
    began = time.monotonic()
    done = lab.rhdesk("up", "gpubox", check=False)
    assert done.returncode == ConnectionFailed.exit_code
    assert time.monotonic() - began < 15
    assert "did not answer" in done.stderr or "No route" in done.stderr
    done = lab.rhdesk("up", "nosuchhost", check=False)
    assert done.returncode == 3
    assert "gpubox" in done.stderr


def test_three_hosts_are_one_cluster(lab: Lab) -> None:
    hosts = [lab.host(name) for name in ("gpu-1", "gpu-2", "gpu-3")]
    lab.script("app.py", APP)
    lab.rhdesk("up", "lab", *(host.name for host in hosts))
    nodes = json.loads(lab.rhdesk("nodes", "lab", "--json").stdout)["data"]
    assert [(node["name"], node["role"], node["state"]) for node in nodes] == [
        ("gpu-1", "head", "up"), ("gpu-2", "worker", "up"), ("gpu-3", "worker", "up"),
    ]  # fmt: skip
    program = (
        "import rhdesk as rh, app\n"
        "lab = rh.cluster('lab')\n"
        "f = rh.function(app.where).to(lab)\n"
        "print(f())\n"
    )
    lab.script("use.py", program)
    assert "gpu-1" in lab.python("use.py").stdout
    lab.rhdesk("down", "lab")
    assert [host.programs() for host in hosts] == [[], [], []]


@pytest.mark.skipif(os.environ.get("RHDESK_TEST_HOSTS") != "all", reason="RHDESK_TEST_HOSTS=all")
def test_another_ray_on_the_host_is_neither_used_nor_touched(lab: Lab) -> None:
    host = lab.host("gpubox")
    lab.script("app.py", APP)
    lab.rhdesk("up", "gpubox")
    (runtime,) = (host.root / "root/.rhdesk/runtimes").iterdir()
    host.exec("/bin/cp", "-r", f"/root/.rhdesk/runtimes/{runtime.name}", "/root/theirs")
    ray = ["/root/theirs/bin/python", "-c", "from ray.scripts.scripts import main; main()"]
    lab.rhdesk("down", "gpubox")
    host.exec(
        *ray,
        "start",
        "--head",
        "--port=7777",
        "--include-dashboard=false",
        "--temp-dir=/tmp/theirs",
    )
    theirs = sorted(host.programs())
    assert any("gcs_server" in words for words in theirs)
    lab.rhdesk("up", "gpubox")
    assert lab.rhdesk("call", "app.py:where", "--on", "gpubox").stdout.strip() == "gpubox"
    lab.rhdesk("down", "gpubox")
    left = [words for words in host.programs() if "rhdesk" in words]
    assert left == []
    running = {words.split()[0] for words in host.programs()}
    assert {words.split()[0] for words in theirs if "raylet" in words or "gcs" in words} <= running


def stands_in_its_working_folder(lab: Lab, host: Host) -> None:
    """Files of the project are there, secrets are not; what a run wrote comes back."""
    (lab.project / "data").mkdir()
    lab.script("data/words.txt", "one\n")
    lab.script(".env", "PASSWORD=correct-horse")
    lab.script(".gitignore", "*.log\n")
    lab.script("big.log", "not sent")
    plan = json.loads(lab.rhdesk("sync", "plan", "--json").stdout)["data"]
    assert [(held["path"], held["reason"]) for held in plan["held_back"]] == [(".env", "secret")]
    why = lab.rhdesk("sync", "why", "big.log").stdout
    assert why == "big.log stays: ignored, by *.log in .gitignore:1\n"

    lab.rhdesk("env", "make", "digits", "six==1.17.0", "--working-dir", ".", "--on", "gpubox")
    call = ("call", "app.py:stands", "--env", "digits", "--on", "gpubox", "--json")
    there = ["app.py", "data", "result.txt"]
    answer = json.loads(lab.rhdesk(*call).stdout.splitlines()[-1])["data"]
    assert answer["result"] == [".gitignore", *there]
    lab.script("data/words.txt", "two\n")
    pushed = json.loads(
        lab.rhdesk("sync", "push", "--on", "gpubox", "--json").stdout.splitlines()[-1]
    )
    assert (pushed["data"]["sent_files"], pushed["data"]["files"]) == (1, 3)
    lab.rhdesk(*call)
    assert "result.txt" in lab.rhdesk("sync", "pull", "--on", "gpubox", "--dry-run").stdout
    lab.rhdesk("sync", "pull", "--on", "gpubox")
    assert (lab.project / "result.txt").read_text() == "one\ntwo\n"
    lab.script("result.txt", "mine")
    kept = lab.rhdesk("sync", "pull", "--on", "gpubox")
    assert "result.txt differs here and stays" in kept.stderr
    assert (lab.project / "result.txt").read_text() == "mine"
    found = [f for f in (host.root / "root").rglob("*") if f.is_file() and f.name == ".env"]
    assert found == []
