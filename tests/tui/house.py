"""A house that is lived in: what the TUI's tests and the screenshots show."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rhdesk.models import (
    Audited,
    Check,
    Cluster,
    ClusterState,
    CodePlan,
    Conflict,
    Cost,
    Diff,
    Edge,
    Env,
    Failure,
    FieldChange,
    FileChange,
    FileVerdict,
    Gpu,
    Granted,
    Group,
    Lane,
    Link,
    Node,
    NodeStats,
    Offer,
    Orphan,
    Parameter,
    Policy,
    Promotion,
    Record,
    Rejected,
    RunStatus,
    Signature,
    Step,
    StepState,
    StoreState,
    Version,
)
from tests.fakes.desk import NOW, FakeDesk, Written, make_run

TRACEBACK = """Traceback (most recent call last):
  File "/home/ana/vision/train.py", line 41, in train
    loss = step(batch, rate=rate)
           ^^^^^^^^^^^^^^^^^^^^^^
  File "/home/ana/vision/train.py", line 17, in step
    raise ValueError(f"rate {rate} is not between 0 and 1")
ValueError: rate 7.0 is not between 0 and 1"""

TRAIN = Signature(
    text="(hidden: int = 64, *, rate: float = 0.002, mode: Literal['full', 'quick'] = 'quick', "
    "shuffle: bool = True, seed: int | None = None, tags: list[str] = [], **extra) -> dict",
    doc="Train a classifier on the handwritten digits.\n\nReturns its accuracy.",
    parameters=(
        Parameter(name="data", annotation="str", doc="Folder with the scans."),
        Parameter(name="hidden", annotation="int", required=False, default=64,
                  doc="Width of the hidden layer."),
        Parameter(name="rate", kind="keyword_only", annotation="float", required=False,
                  default=0.002, doc="Learning rate, between 0 and 1."),
        Parameter(name="mode", kind="keyword_only", annotation="Literal['full', 'quick']",
                  required=False, default="quick", choices=("full", "quick"),
                  doc="How many epochs."),
        Parameter(name="shuffle", kind="keyword_only", annotation="bool", required=False,
                  default=True),
        Parameter(name="seed", kind="keyword_only", annotation="int | None", required=False,
                  default=None, doc="Makes a run repeatable."),
        Parameter(name="tags", kind="keyword_only", annotation="list[str]", required=False,
                  default=[]),
        Parameter(name="extra", kind="var_keyword", annotation="Any", required=False),
    ),
    returns="dict",
)  # fmt: skip


def train_line(seq: int) -> str:
    if seq % 47 == 46:
        return f"WARNING rate lowered to {0.002 / (1 + seq // 47):.6f} after a plateau"
    if seq % 211 == 210:
        return "ERROR   checkpoint could not be written: disk quota exceeded, going on"
    if seq % 5 == 0:
        return f"DEBUG   batch {seq % 50}: 64 scans in {3 + seq % 7} ms"
    return f"INFO    epoch {seq // 10 + 1:>4}  loss {2.3 / (1 + seq / 40):.4f}  " \
           f"accuracy {1 - 0.9 / (1 + seq / 30):.3f}"  # fmt: skip


def lived_in() -> FakeDesk:
    """One cluster up, one broken; some names, runs of every status, envs, objects."""
    desk = FakeDesk()
    desk.known = [
        Cluster(
            name="here", state=ClusterState.UP, cluster_id="c1", address="127.0.0.1:41873",
            started_at=NOW - timedelta(hours=5, minutes=12), cpus=8, envs=("base", "train"),
        ),
        Cluster(name="lab", kind="ssh", state=ClusterState.BROKEN,
                why="the gateway was killed by signal 9; u starts it again"),
    ]  # fmt: skip
    for number, (name, kind, env) in enumerate(
        [
            ("~/digits", "function", "train"), ("~/vision/augment", "function", "train"),
            ("~/vision/evaluate", "function", "train"), ("~/text/tokenize", "function", "base"),
            ("~/text/embed", "function", "nlp"), ("~/report", "function", "base"),
            ("~/model", "module", "train"), ("~/counter", "module", "base"),
            ("~/train", "env", ""),
        ]
    ):  # fmt: skip
        version = f"{0x9F3A1C20 + number * 7919:08x}5d41402abc4b2a76"
        config = {
            "name": name, "resource_type": kind, "env": env, "system": "here",
            "entry_point": ["vision.train", name.rpartition("/")[2]],
            "doc": "Train a classifier on the handwritten digits.",
            "reqs": ["scikit-learn==1.7.2", "numpy==2.1.0"],
        }  # fmt: skip
        saved = NOW - timedelta(hours=number * 9 + 2)
        record = Record(name=name, resource_type=kind, config=config, version=version,
                        saved_at=saved)  # fmt: skip
        desk.records[name] = record
        desk.past[name] = [
            Version(name=name, version=version, saved_at=saved, author="ana",
                    summary="reqs: numpy 2.0.1 → 2.1.0", config=config),
            Version(name=name, version="71ac44e05d41402a", saved_at=saved - timedelta(days=1),
                    author="ana", summary="env: base → train",
                    config=config | {"reqs": ["scikit-learn==1.7.2", "numpy==2.0.1"]}),
            Version(name=name, version="03be9911aa41402a", saved_at=saved - timedelta(days=4),
                    author="bo", summary="first save",
                    config={"name": name, "resource_type": kind, "env": "base"}),
        ]  # fmt: skip
    for number in range(40):
        function = ["~/digits", "~/vision/evaluate", "~/text/embed", "~/model"][number % 4]
        facts: dict[str, object] = {
            "env": ["train", "train", "nlp", "train"][number % 4],
            "lines": 240 * (number % 9 + 1),
            "inputs_text": f"data='scans', hidden={32 << number % 4}, rate=0.002",
            "result_text": f"{{'accuracy': 0.9{71 - number:02}}}",
        }
        if number % 4 == 3:
            facts["method"] = "predict"
        if number == 0:
            facts |= {"status": RunStatus.RUNNING, "ended_at": None, "result_text": ""}
        elif number == 2:
            failure = Failure(kind="ValueError", message="rate 7.0 is not between 0 and 1",
                              traceback=TRACEBACK)  # fmt: skip
            facts |= {"status": RunStatus.FAILED, "failure": failure, "result_text": ""}
        elif number == 5:
            facts |= {"status": RunStatus.CANCELLED, "result_text": ""}
        elif number == 9:
            facts |= {"status": RunStatus.LOST, "result_text": ""}
        run = make_run(number * 7 + 1, function, **facts)
        desk.all_runs.append(run)
        desk.logs[run.run_id] = Written(run.lines, train_line)
        desk.returns[run.run_id] = [
            {"hidden": 32 << n, "rate": 0.002, "accuracy": 0.913 + n * 0.017, "seconds": 3.1 + n}
            for n in range(4)
        ]
    desk.all_envs = [
        Env(name="base", cluster="here", lock="e3b0c44298fc1c14", python="/usr/bin/python3.11",
            pid=4120, started_at=NOW - timedelta(hours=5)),
        Env(name="train", cluster="here", lock="9a0364b9e99bb480", pid=4177,
            python="~/.cache/rhdesk/envs/9a0364b9/bin/python",
            started_at=NOW - timedelta(hours=4),
            packages=("joblib==1.5.2", "numpy==2.1.0", "scikit-learn==1.7.2", "scipy==1.16.2",
                      "threadpoolctl==3.6.0")),
        Env(name="nlp", cluster="here", lock="5feceb66ffc86f38", state="died",
            why="killed by signal 9 (out of memory)"),
    ]  # fmt: skip
    desk.objects = {"scaler": {"mean": 4.88, "std": 6.02}, "digits/test": [1, 2, 3]}
    desk.signatures = {"~/digits": TRAIN, "~/model": TRAIN}
    desk.method_names = {"~/model": ["predict", "fit", "weights"]}
    desk.steps = [
        Step(what="start Ray", state=StepState.DONE, detail="8 cores", elapsed_s=3.1),
        Step(what="start the gateway", state=StepState.DONE, detail="127.0.0.1:41873",
             elapsed_s=0.6),
        Step(what="start env base", state=StepState.PROGRESS, detail="waiting for its servlet",
             elapsed_s=1.2),
    ]  # fmt: skip
    desk.checks = [
        Check(what="Python", ok=True, evidence="3.11.7"),
        Check(what="store", ok=True, evidence="412 MB in ~/.local/share/rhdesk, integrity ok"),
        Check(what="gateway of lab", ok=False, evidence="nothing answers on 10.0.3.7:41873",
              remedy="rhdesk up lab"),
    ]  # fmt: skip
    return desk


OURS = {"name": "/vision/eval", "resource_type": "function", "env": {"reqs": ["torch==2.9"]},
        "rate": 0.002, "doc": "Scores a model."}  # fmt: skip
THEIRS = {**OURS, "env": {"reqs": ["torch==2.8", "tqdm"]}, "rate": 0.004}


def with_store(desk: FakeDesk) -> FakeDesk:
    """The same house, logged in to a store that is away since an hour, with work waiting."""
    desk.store = StoreState(
        url="https://names.vision.example", user="ana", folder="/ana", status="offline", queued=3,
        last_contact=NOW - timedelta(hours=1), error="names.vision.example did not answer in time",
    )  # fmt: skip
    for name, sync in [
        ("/vision/eval", "conflict"), ("/vision/augment", "current"), ("/ana/sketch", "queued"),
        ("/lab/baseline", "rejected"),
    ]:  # fmt: skip
        desk.records[name] = Record(
            name=name, resource_type="function", config={"env": "train"}, version="7e57" * 10,
            saved_at=NOW - timedelta(hours=2), sync=sync,
        )  # fmt: skip
    desk.odds = [
        Conflict(
            conflict_id="c0ffee", name="/vision/eval", why="fields",
            fields=("/env/reqs", "/rate"), base={**OURS, "rate": 0.001}, ours=OURS, theirs=THEIRS,
            author="bob", at=NOW - timedelta(minutes=42),
        ),
        Conflict(
            conflict_id="decade", name="/vision/old", why="deleted-and-edited", base=OURS,
            theirs=THEIRS, author="bob", at=NOW - timedelta(hours=3),
        ),
    ]  # fmt: skip
    desk.refused = [
        Rejected(op_id="f00d", name="/lab/baseline", fields=OURS, at=NOW - timedelta(hours=5),
                 reason="ana may not write in /lab"),
    ]  # fmt: skip
    return desk


def with_past(desk: FakeDesk) -> FakeDesk:
    """The same house, with what two versions of a name differ in, and what it came from."""
    newest, before = desk.past["~/digits"][:2]
    desk.diffs[f"~/digits@{before.version} ~/digits@{newest.version}"] = Diff(
        before=f"~/digits@{before.version[:10]}", after=f"~/digits@{newest.version[:10]}",
        fields=(
            FieldChange(pointer="/env/reqs", kind="changed", before=["torch==2.8"],
                        after=["torch==2.9", "tqdm"]),
            FieldChange(pointer="/gpu", kind="added", after=1),
        ),
        files=(
            FileChange(path="train.py", kind="changed", lines=(
                "--- train.py", "+++ train.py", "@@ -3,4 +3,5 @@", " def train(data, rate=0.002):",
                "-    model = Net(64)", "+    model = Net(128)", "+    model.train()",
                "     return fit(model, data)",
            )),
            FileChange(path="weights.bin", kind="changed"),
        ),
    )  # fmt: skip
    desk.diffs[f"~/digits@{before.version}"] = desk.diffs[
        f"~/digits@{before.version} ~/digits@{newest.version}"
    ]
    at = NOW - timedelta(hours=6)
    desk.touched = [
        Edge(run_id="0000000aabcd", kind="wrote", name="~/digits", version=newest.version, at=at,
             function="~/vision/augment"),
        Edge(run_id="0000000aabcd", kind="read", name="~/vision/augment", version="5ca1ab1e" * 5,
             at=at, function="~/vision/augment"),
        Edge(run_id="0000000aabcd", kind="read", name="here:scans", at=at,
             function="~/vision/augment"),
        Edge(run_id="0000000babcd", kind="wrote", name="here:scans", at=at - timedelta(hours=1),
             function="~/vision/fetch", source="airflow"),
    ]  # fmt: skip
    return desk


def with_tables(desk: FakeDesk, folder: Path, *, made: bytes = b"") -> str:
    """The same house with a table of flights in *folder*, saved as ~/flights; returns its path.

    Args:
        made: What the file holds, where that is known from the last time.
    """
    path = folder / "flights.parquet"
    if made:
        path.write_bytes(made)
    else:
        pq.write_table(_flights(), path, row_group_size=2_000)
    config = {"path": str(path), "system": "file", "data_config": {}, "partition_cols": []}
    desk.records["~/flights"] = Record(
        name="~/flights", resource_type="table", config=config, version="c0ffee00" * 5,
        saved_at=NOW - timedelta(hours=1),
    )  # fmt: skip
    return str(path)


def _flights() -> Any:
    numbers = range(20_000)
    carriers, places = ("UA", "AA", "B6", "DL", "EV"), ("IAH", "MIA", "BQN", "ATL", "ORD", "SFO")
    late = [
        None if n % 97 == 0 else round(12 * math.sin(n / 40) + n * 7919 % 61 - 22.5, 1)
        for n in numbers
    ]
    return pa.table(
        {
            "flight": pa.array([1000 + n * 7919 % 5000 for n in numbers], pa.int32()),
            "scheduled": pa.array(
                [datetime(2013, 1, 1, 5, 15) + timedelta(minutes=n * 3) for n in numbers],  # noqa: DTZ001
                pa.timestamp("us"),
            ),
            "carrier": [carriers[n * 31 % 5] for n in numbers],
            "dest": [places[n * 17 % 6] for n in numbers],
            "arr_delay": pa.array(late, pa.float64()),
            "distance": pa.array([187 + n * 104_729 % 4_796 for n in numbers], pa.int64()),
            "on_time": [None if value is None else value <= 15 for value in late],
            "tail": ["" if n % 13 == 0 else f"N{n * 7919 % 99_999:05}" for n in numbers],
            "weather": [
                {"wind": n * 13 % 40, "gusts": [n % 9, n % 7], "sky": "clear\nover the bay"}
                for n in numbers
            ],
            "note": [
                None if n % 4 else f"pushed back {n % 30} min late: waiting for a crew from "
                f"{places[n % 6]} whose flight was held over weather" for n in numbers
            ],
        }
    )  # fmt: skip


def with_team(desk: FakeDesk) -> FakeDesk:
    """The same house, with a team around it: groups in groups, grants, lanes, an audit."""
    with_store(desk)
    desk.store = StoreState(
        url="https://names.vision.example", user="ana", folder="/ana", status="current",
        last_contact=NOW - timedelta(seconds=4),
    )  # fmt: skip
    for name in ("/vision/dev/train", "/vision/prod/train"):
        desk.records[name] = Record(name=name, resource_type="function", config={}, sync="current")
    desk.told_policy = Policy(
        users=("ana", "bo", "cy", "dee", "eve"),
        groups=(
            Group(name="vision", members=("ana", "bo", "interns")),
            Group(name="interns", members=("dee", "eve")),
        ),
        grants=(
            Granted(principal="ana", folder="/ana", level="admin"),
            Granted(principal="cy", folder="/lab", level="read", until=NOW + timedelta(days=3)),
            Granted(principal="ana", folder="/vision", level="admin"),
            Granted(principal="vision", folder="/vision", level="write"),
            Granted(principal="interns", folder="/lab", level="call"),
        ),
        as_of=NOW,
    )
    desk.all_lanes = [
        Lane(folder="/vision/prod", after="/vision/staging", approvals=2),
        Lane(folder="/vision/staging", after="/vision/dev"),
    ]
    desk.all_promotions = [
        Promotion(
            promotion_id="5eed5eed5eed5eed", source="/vision/staging/train", rev=7,
            target="/vision/prod/train", lane="/vision/prod", asked_by="bo",
            asked_at=NOW - timedelta(minutes=20), note="augmented scans", approved_by=("dee",),
        ),
        Promotion(
            promotion_id="0ddba110ddba1100", source="/vision/dev/train", rev=9,
            target="/vision/staging/train", lane="/vision/staging", asked_by="bo",
            asked_at=NOW - timedelta(hours=3), state="done",
        ),
    ]  # fmt: skip
    told = [
        ("ana", "grant", "/lab", "write 41; read to cy until 2026-10-08T12:00Z"),
        ("bo", "promote.ask", "/vision/prod/train", "write 40; /vision/staging/train rev 7"),
        ("dee", "secret.read", "/vision/secrets/openai", ""),
        ("ana", "group.put", "/interns", "write 39; eve"),
    ]
    desk.written_down = [
        Audited(number=len(told) - at + 37, at=NOW - timedelta(minutes=7 * at + 2), who=who,
                action=action, about=about, note=note, hash="5eed" * 16)
        for at, (who, action, about, note) in enumerate(told)
    ]  # fmt: skip
    return desk


def with_a_broken_host(desk: FakeDesk) -> FakeDesk:
    """The same house, where bringing up gpubox goes some steps and then fails."""
    desk.aliases = ["gpubox", "bastion"]
    packages = "install Ray and its packages"
    desk.steps = [
        Step(what="reach gpubox", state=StepState.DONE, detail="ana@10.0.3.9, 48 ms",
             elapsed_s=0.4),
        Step(what="look at the host", state=StepState.DONE, elapsed_s=0.2,
             detail="Linux x86_64, Python 3.11.4, 32 cores"),
        Step(what=packages, state=StepState.STARTED),
        *(Step(what=packages, state=StepState.PROGRESS, elapsed_s=n * 2.0, detail=f"{name} unpacked")
          for n, name in enumerate(("msgspec", "pyarrow", "grpcio", "aiohttp", "ray"), start=1)),
        Step(what=packages, state=StepState.FAILED, elapsed_s=12.1,
             detail="no space left in ~/.cache/rhdesk"),
    ]  # fmt: skip
    return desk


def with_saves(desk: FakeDesk) -> FakeDesk:
    """The same house, where a watched folder was saved in a few times, the last time wrongly."""
    long_ago = NOW - timedelta(minutes=9)
    desk.save_file("", at=long_ago, took_s=0.61, sent_files=12, sent_bytes=48_210, held_back=2)
    desk.save_file("train.py", at=NOW - timedelta(minutes=4), sent_files=1, sent_bytes=2_113)
    desk.save_file("net.py", at=NOW - timedelta(minutes=2), took_s=0.052)
    desk.save_file("train.py", at=NOW - timedelta(seconds=8), took_s=0.011,
                   error="train.py, line 41: expected ':'")  # fmt: skip
    return desk


def with_lab(desk: FakeDesk) -> str:
    """The same house with three machines over SSH that are busy; returns a map that runs there."""
    names = ("gpu-1", "gpu-2", "gpu-3")
    nodes = tuple(
        Node(name=name, host=name, role="worker" if at else "head", state=ClusterState.UP, cpus=32,
             link=Link.CONNECTED, round_trip_s=0.048 + at / 100, gpus=1, gpu_model="RTX 4090")
        for at, name in enumerate(names)
    )  # fmt: skip
    desk.known[1:] = [
        Cluster(name="lab", kind="ssh", state=ClusterState.UP, address="gpu-1", nodes=nodes,
                started_at=NOW - timedelta(hours=3), cpus=96, envs=("base", "train")),
    ]  # fmt: skip
    gigabyte = 1_000_000_000
    desk.samples = [
        [
            NodeStats(
                node=name, at=NOW, cpu_percent=20 + (tick * (7 + at) + at * 31) % 75,
                memory_used_bytes=(18 + tick % 9 + at * 6) * gigabyte,
                memory_total_bytes=64 * gigabyte,
                gpus=(Gpu(model="RTX 4090", percent=(60 + tick * 5 + at * 13) % 101,
                          memory_used_bytes=11 * gigabyte, memory_total_bytes=24 * gigabyte),),
            )
            for at, name in enumerate(names)
        ]
        for tick in range(20)
    ]  # fmt: skip
    for name in ("base", "train"):
        started = NOW - timedelta(hours=3)
        desk.all_envs.append(
            Env(name=name, cluster="lab", lock="9a0364b9e99bb480", pid=2071, started_at=started)
        )
    run = make_run(2, "~/vision/evaluate", cluster="lab", status=RunStatus.RUNNING, ended_at=None)
    desk.all_runs.insert(0, run)
    desk.logs[run.run_id] = Written(0)
    statuses = (RunStatus.SUCCEEDED, RunStatus.SUCCEEDED, RunStatus.RUNNING, RunStatus.FAILED)
    desk.all_shares = [
        make_run(900 + number, run.function, cluster="lab", node=names[number % 3],
                 share_of=run.run_id, status=statuses[number % 4])
        for number in range(24)
    ]  # fmt: skip
    return run.run_id


def with_plan(desk: FakeDesk) -> FakeDesk:
    """The same house, with a folder of which some files stay at home."""
    held = (
        FileVerdict(path=".env", travels=False, reason="secret", size=412),
        FileVerdict(path="runs/epoch=9.ckpt", travels=False, reason="large", size=2_400_000_000),
        FileVerdict(path="datasets", travels=False, reason="link out", size=21),
    )
    sizes = {"weights/resnet18.pt": 46_830_571, "data/labels.parquet": 12_113_900,
             "notebooks/look.ipynb": 1_940_221, "train.py": 9_120, "net.py": 4_411}  # fmt: skip
    desk.told_plan = CodePlan(
        folder="/home/ana/vision", tree="9a0364b9e99bb480" * 4, files=1_204, size=61_400_000,
        held_back=held,
        largest=tuple(
            FileVerdict(path=path, travels=True, reason="included", size=size)
            for path, size in sizes.items()
        ),
    )  # fmt: skip
    return desk


def with_offers(desk: FakeDesk) -> None:
    """Machines that could be had, one that nobody accounts for, and what they have cost."""
    desk.offered = [
        Offer(infra="aws/us-east-1", instance_type="p5.48xlarge", accelerators="H100:8", cpus=192,
              memory_gib=2048, price_per_hour=98.32, spot_price_per_hour=40.1),
        Offer(infra="gcp/us-central1", instance_type="a3-highgpu-8g", accelerators="H100:8",
              cpus=208, memory_gib=1872, price_per_hour=88.49),
        Offer(infra="lambda/us-west-1", instance_type="gpu_8x_h100", accelerators="H100:8",
              cpus=208, memory_gib=1800, price_per_hour=23.92),
    ]  # fmt: skip
    desk.spent = [
        Cost(cluster="train", person="ada", infra="lambda/us-west-1", resources="2x(gpus=H100:8)",
             hours=3.2, cost=153.09, is_up=True),
        Cost(cluster="notebook", person="bob", infra="aws/us-east-1", resources="1x(m6i.large)",
             hours=41.0, cost=3.94, is_up=False),
    ]  # fmt: skip
    desk.lost = [
        Orphan(cluster="old-batch", what="it is UP, and was to end: that was cut off",
               remedy="end its machines", was_to_end=True)
    ]  # fmt: skip
