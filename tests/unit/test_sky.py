"""What is asked of SkyPilot, how its words are read, and the journal of calls that make machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rhdesk as rh
from rhdesk import processes
from rhdesk.blocking import Desk
from rhdesk.clusters.sky.faults import error_from
from rhdesk.clusters.sky.journal import Journal
from rhdesk.clusters.sky.offers import considered, listed
from rhdesk.clusters.sky.task import resources_of, task_of
from rhdesk.errors import BadInput, ConnectionFailed, NotFound, Refused, RhdeskError, SetupFailed
from rhdesk.models import ClusterSpec, Machines

TABLE = """\
Considered resources (2 nodes):
-----------------------------------------------------------------------------------------
 INFRA                INSTANCE       vCPUs   Mem(GB)   GPUS     COST ($)   CHOSEN
-----------------------------------------------------------------------------------------
 AWS (us-east-1)      g5.xlarge      4       16        A10G:1   2.01
 GCP (us-central1-a)  n1-standard-8  8       30        T4:1     1.46          ✔
 Slurm (lab)          -              1       1         -        0.10
-----------------------------------------------------------------------------------------
"""


def test_the_table_of_the_optimizer_is_read_column_by_column() -> None:
    chosen, *others = considered(TABLE.splitlines(), 2)
    assert (chosen.infra, chosen.instance_type, chosen.accelerators) == (
        "gcp/us-central1-a",
        "n1-standard-8",
        "T4:1",
    )
    assert (chosen.cpus, chosen.memory_gib, chosen.price_per_hour) == (8, 30, 0.73)
    assert [offer.infra for offer in others] == ["aws/us-east-1", "slurm/lab"]
    assert others[1].instance_type == others[1].accelerators == ""


def test_a_table_that_is_none_offers_nothing() -> None:
    assert considered(["No resource satisfying Slurm({'H100': 1}) on Slurm."], 1) == []
    assert considered([], 1) == []


def test_a_price_list_is_sorted_by_price_and_what_is_not_known_comes_last() -> None:
    row = ["AWS", "p5.48xlarge", "H100", 8, 192.0, None, 2048.0, 98.3, 40.1, "us-east-1"]
    free = ["Slurm", None, "H100", 1, None, None, None, float("nan"), float("nan"), "lab"]
    less = {name: value for name, value in enumerate(row)} | {7: 12.0, 3: 1}
    found = listed({"H100": [row, free, less]})
    assert [offer.price_per_hour for offer in found] == [12.0, 98.3, 0.0]
    assert [offer.accelerators for offer in found] == ["H100:1", "H100:8", "H100:1"]
    assert found[2].infra == "slurm/lab"


# ---------------------------------------------------------------- asking


@pytest.mark.parametrize(
    ("machines", "wanted"),
    [
        (
            Machines(instance_type="H100:2", provider="aws"),
            {"accelerators": "H100:2", "infra": "aws"},
        ),
        (Machines(instance_type="CPU:8+"), {"cpus": "8+"}),
        (Machines(instance_type="m6i.large"), {"instance_type": "m6i.large"}),
        (
            Machines(provider="slurm", region="lab"),
            {"infra": "slurm/lab", "cpus": "1+", "memory": "1+"},
        ),
        (Machines(provider="cheapest", use_spot=True), {"use_spot": True}),
        (Machines(memory="16+"), {"memory": "16+"}),
    ],
)
def test_machines_are_asked_for_in_skypilots_words(
    machines: Machines, wanted: dict[str, Any]
) -> None:
    assert resources_of(machines) == wanted


@pytest.mark.parametrize("machines", [Machines(count=0), Machines(region="us-east-1")])
def test_what_has_no_meaning_is_not_asked(machines: Machines) -> None:
    with pytest.raises(BadInput):
        resources_of(machines)


def test_a_machine_ends_by_its_own_timer_also_when_nobody_uses_it() -> None:
    spec = ClusterSpec(name="gpu", machines=Machines(provider="slurm"), autostop_mins=-1)
    task = json.loads(task_of(spec))
    assert task["resources"]["autostop"] == {"idle_minutes": 1, "down": True, "wait_for": "jobs"}
    assert "keep gpu 900 -1 <<" in task["run"], "used once, it stays"
    task = json.loads(task_of(ClusterSpec(name="gpu", machines=Machines(), autostop_mins=30)))
    assert "keep gpu 900 60 <<" in task["run"]


def test_builtins_and_what_the_group_says_are_what_is_asked_for() -> None:
    said = {"at": "/ada", "folders": {"/ada": {"provider": "slurm", "region": "lab"}}}
    with Desk() as desk:
        file = desk.asynchronous.settings.data_dir / "sync/defaults.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(said))
        spec = desk.wanted("gpu", Machines(instance_type="H100:1"), autostop_mins=5)
        assert spec.machines == Machines(instance_type="H100:1", provider="slurm", region="lab")
        other = desk.wanted("gpu", Machines(provider="aws")).machines
        assert other == Machines(provider="aws"), "a region is one of its provider"
        file.unlink()
    handle = rh.load("^rh-4-gpu")
    assert isinstance(handle, rh.OnDemandCluster)
    assert handle.config_for_rns["instance_type"] == "K80:4"
    assert handle.status().state == "down"
    with pytest.raises(BadInput, match="ondemand_cluster"):
        rh.sagemaker_cluster("sage")


# ---------------------------------------------------------------- its errors


@pytest.mark.parametrize(
    ("kind", "message", "error", "says"),
    [
        (
            "ResourcesUnavailableError",
            "Catalog does not contain any instances satisfying the request: 1x <Cloud>({'H1O0': 1}).\n"
            "To fix: relax or change the resource requirements.\n\nHint: \x1b[1msky gpus list\x1b[0m",
            BadInput,
            "did you mean H100",
        ),
        (
            "ResourcesUnavailableError",
            "Task 'x' requires aws which is not enabled. To enable access, run: sky check aws",
            Refused,
            "aws configure",
        ),
        (
            "ValueError",
            "Cluster nope not found in Slurm config. Slurm only supports cluster names as regions. "
            "Available clusters: ['lab']",
            BadInput,
            "regions of slurm are 'lab'",
        ),
        (
            "ConnectionError",
            "HTTPSConnectionPool(host='raw.githubusercontent.com'): Failed to resolve",
            ConnectionFailed,
            "price list",
        ),
        ("ProvisionError", "VcpuLimitExceeded: your quota of 32 is used", SetupFailed, "quota"),
        (
            "ResourcesUnavailableError",
            "Failed to acquire resources in bed",
            SetupFailed,
            "no capacity",
        ),
        ("ClusterDoesNotExist", "Cluster 'k1' does not exist.", NotFound, "does not exist"),
        (
            "NotSupportedError",
            "Stopping is currently not supported for slurm. To terminate: sky down",
            BadInput,
            "cannot turn machines off",
        ),
        ("KeyError", "'x'", SetupFailed, "SkyPilot: 'x'"),
        ("ValueError", "evil \x1b]0;title\x07 text", BadInput, "evil"),
    ],
)
def test_its_errors_become_ours(
    kind: str, message: str, error: type[RhdeskError], says: str
) -> None:
    made = error_from(kind, message)
    assert type(made) is error
    assert says in str(made)
    assert "\x1b" not in str(made)


# ---------------------------------------------------------------- the journal


def test_a_call_is_there_before_it_is_made_and_once_however_it_ended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "calls.jsonl")
    first = journal.begin("gpu", "launch")
    assert first.is_open, "this process may still hear its end"
    assert journal.may_be_there() == {"gpu"}
    journal.end(first)
    second = journal.begin("gpu", "down")
    assert journal.may_be_there() == {"gpu"}
    journal.end(second)
    assert [(call.verb, call.outcome) for call in journal.calls()] == [
        ("launch", "done"),
        ("down", "done"),
    ]
    assert journal.may_be_there() == set()
    assert (tmp_path / "calls.jsonl").stat().st_mode & 0o077 == 0


def test_a_torn_line_is_a_call_that_was_never_made(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    journal = Journal(file)
    journal.end(journal.begin("a", "launch"))
    whole = file.read_bytes()
    for cut in range(1, 60):
        file.write_bytes(whole + whole[:cut])
        journal.begin("b", "launch")
        assert [call.cluster for call in journal.calls()] == ["a", "b"]


def test_a_call_of_a_process_that_is_gone_is_open_no_more(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from rhdesk.clusters.sky.journal import Journal;"
        "Journal(Path(sys.argv[1])).begin('gpu', 'launch')"
    )
    file = tmp_path / "calls.jsonl"
    subprocess.run([sys.executable, "-c", script, str(file)], check=True)
    (call,) = Journal(file).calls()
    assert not call.outcome
    assert not call.is_open


# ---------------------------------------------------------------- the keeper

KEEPER = Path(__file__).parents[2] / "servlet/rhdesk_servlet/keeper.py"


def keeper(*words: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", str(KEEPER), *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more,
    )  # fmt: skip


def test_it_runs_what_it_is_asked_in_its_own_tree_and_ends_when_nothing_runs() -> None:
    name = f"test-{os.getpid()}"
    keeping = keeper("keep", name, "60", "0.5")
    left = "(sleep 1; echo late >&2) & echo pid $!; read said; echo heard $said; exit 7"
    asking = keeper("ask", name, "sh", "-c", left, env=os.environ | {"SAID": "x"})
    said, _ = asking.communicate("hello\n", timeout=30)
    assert asking.returncode == 7
    assert "heard hello" in said
    child = int(said.split("pid ")[1].split()[0])
    seen = processes.find(child)
    assert seen is None or child in processes.children(keeping.pid), "it belongs to the keeper"
    told, _ = keeping.communicate(timeout=30)
    assert keeping.returncode == 0
    assert "the machine is not needed" in told
    assert processes.find(child) is None


def test_it_ends_what_runs_when_it_is_ended_and_waits_as_long_as_it_is_told() -> None:
    name = f"told-{os.getpid()}"
    keeping = keeper("keep", name, "60", "0.2")
    for _ in range(20):  # it answers and hangs up before the other has looked
        telling = keeper("after", name, "-1")
        said, _ = telling.communicate(timeout=30)
        assert telling.returncode == 0, said
    asking = keeper("ask", name, "sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!")
    said, _ = asking.communicate(timeout=30)
    with pytest.raises(subprocess.TimeoutExpired):
        keeping.wait(1.5)  # -1 is for ever, also when nothing but this ran
    keeping.terminate()
    keeping.communicate(timeout=30)
    assert processes.find(int(said)) is None


def test_one_nobody_asks_ends_after_its_time() -> None:
    keeping = keeper("keep", f"lone-{os.getpid()}", "0.2", "-1")
    told, _ = keeping.communicate(timeout=30)
    assert "not needed" in told


def test_a_program_that_is_not_there_is_told() -> None:
    name = f"none-{os.getpid()}"
    keeping = keeper("keep", name, "60", "0.2")
    asking = keeper("ask", name, "/no/such/program")
    said, _ = asking.communicate(timeout=30)
    assert asking.returncode == 127
    assert "/no/such/program" in said
    keeping.communicate(timeout=30)
