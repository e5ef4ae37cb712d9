"""OpenLineage events: ours out and in again, and those of others, good and bad."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhdesk.config import Settings
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, NotFound
from rhdesk.models import Edge, Lineage, Run, RunStatus
from rhdesk.runs.openlineage import edges_of, events_of, uuid_of

NOW = datetime(2026, 9, 30, 8, tzinfo=UTC)
UUID_TEXT = "3b452093-782c-4ef2-9c0c-aafe2aa6f34d"
FOREIGN: dict[str, Any] = {
    "eventType": "COMPLETE",
    "eventTime": "2026-09-30T08:00:00Z",
    "run": {"runId": UUID_TEXT},
    "job": {"namespace": "etl", "name": "nightly.orders"},
    "inputs": [{"namespace": "postgres://db:5432", "name": "shop.public.orders"}],
    "outputs": [
        {
            "namespace": "s3://lake",
            "name": "/orders",
            "facets": {"version": {"datasetVersion": "7", "_producer": "p", "_schemaURL": "s"}},
        }
    ],
    "producer": "https://example.org/etl",
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
}


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[AsyncDesk]:
    default = Settings.load()
    async with AsyncDesk.open(msgspec.structs.replace(default, data_dir=folder)) as desk:
        yield desk


@pytest.fixture(autouse=True)
def _a_project_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "project")], check=True)
    monkeypatch.chdir(tmp_path / "project")


NAMES = st.sampled_from(
    [
        "~/a",
        "~/b",
        "@/c",
        "/team/d",
        "here:key",
        "here:01a2",
        "s3://lake/e",
        "a name, with ünicode",
    ]
)
EDGES = st.builds(
    Edge,
    run_id=st.sampled_from([f"{n:032x}" for n in range(1, 6)] + ["my_run", "run-2"]),
    kind=st.sampled_from(["read", "wrote"]),
    name=NAMES,
    version=st.sampled_from(["", "aaaa1111", "bbbb2222", "v1"]),
    at=st.integers(0, 10_000).map(lambda ms: NOW + timedelta(milliseconds=ms)),
    function=st.sampled_from(["~/f", "train", "$ ls"]),
)


def facts(found: Lineage | list[Edge]) -> Any:
    edges = found if isinstance(found, list) else found.edges
    return [(e.run_id, e.kind, e.name, e.version, e.at, e.function) for e in edges]


async def answers(desk: AsyncDesk) -> dict[str, Any]:
    """Everything that can be asked, answered."""
    told: dict[str, Any] = {}
    runs = await desk.recorder.read(lambda book: book.edges.runs())
    for run_id in runs:
        told[run_id] = facts(await desk.edges(run_id))
    for name in (
        "~/a",
        "~/b",
        "@/c",
        "/team/d",
        "here:key",
        "s3://lake/e",
        "a name, with ünicode",
    ):
        told[f"down {name}"] = facts(await desk.dependents(name))
        try:
            told[f"up {name}"] = facts(await desk.lineage(name))
        except NotFound:
            told[f"up {name}"] = None
    return told


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(edges=st.lists(EDGES, max_size=25), ended=st.booleans())
def test_another_desk_answers_the_same_after_taking_the_events(
    edges: list[Edge], ended: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import asyncio

    async def there_and_back() -> None:
        folder = tmp_path_factory.mktemp("desks")
        async with opened(folder / "one") as one, opened(folder / "two") as two:
            await one.recorder.write(lambda book: book.edges.add(edges))
            if ended:
                runs = [
                    Run(
                        run_id=run_id,
                        function="~/f",
                        cluster="here",
                        status=RunStatus.FAILED,
                        submitted_at=NOW,
                        ended_at=NOW,
                    )
                    for run_id in {edge.run_id for edge in edges}
                ]
                await one.recorder.write(lambda book: book.record(runs))
            events = [event async for event in one.lineage_events()]
            events = json.loads(json.dumps(events))
            distinct = {(e.run_id, e.kind, e.name, e.version) for e in edges}
            assert await two.take_lineage_events(events) == len(distinct)
            assert await two.take_lineage_events(events) == 0
            assert await answers(two) == await answers(one)

    asyncio.run(there_and_back())


def test_an_event_of_ours_has_what_the_standard_asks_for() -> None:
    run = Run(
        run_id=f"{1:032x}",
        function="~/f",
        cluster="here",
        status=RunStatus.SUCCEEDED,
        submitted_at=NOW,
        ended_at=NOW + timedelta(seconds=1),
        origin={"parent": f"{2:032x}"},
    )
    edge = Edge(run_id=run.run_id, kind="wrote", name="~/x", version="aaaa", at=NOW)
    began, done = events_of(run.run_id, [edge], run)
    assert (began["eventType"], done["eventType"]) == ("START", "COMPLETE")
    assert began["outputs"] == []
    for event in (began, done):
        assert event.keys() >= {"eventTime", "run", "job", "producer", "schemaURL"}
        assert event["run"]["runId"] == "00000000-0000-0000-0000-000000000001"
        assert event["run"]["facets"]["parent"]["run"]["runId"].endswith("2")
    (output,) = done["outputs"]
    assert output["facets"]["version"]["datasetVersion"] == "aaaa"
    for facet in output["facets"].values():
        assert facet.keys() >= {"_producer", "_schemaURL"}


def test_an_event_of_others_is_taken_with_its_producer() -> None:
    read, wrote = edges_of(FOREIGN)
    assert (read.kind, read.name, read.version) == (
        "read",
        "postgres://db:5432/shop.public.orders",
        "",
    )
    assert (wrote.kind, wrote.name, wrote.version) == ("wrote", "s3://lake/orders", "7")
    assert read.source == wrote.source == "https://example.org/etl"
    assert read.function == "nightly.orders"
    assert read.run_id == UUID_TEXT.replace("-", "")


@pytest.mark.parametrize("kind", ["START", "FAIL", "ABORT"])
def test_what_a_run_of_others_only_meant_to_write_is_not_written(kind: str) -> None:
    assert [each.kind for each in edges_of(FOREIGN | {"eventType": kind})] == ["read"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"eventTime": "yesterday"}, "eventTime"),
        ({"eventTime": "2026-09-30T08:00:00"}, "time zone"),
        ({"eventTime": "0001-01-01T00:00:00+14:00"}, "era"),
        ({"run": {"runId": "no uuid"}}, "UUID"),
        ({"run": {}}, "runId"),
        ({"run": None}, "run"),
        ({"eventType": "EXPLODE"}, "eventType"),
        ({"inputs": "all of them"}, "inputs"),
        ({"inputs": [{"namespace": "n"}]}, "name"),
        ({"inputs": [{"namespace": "n", "name": ""}]}, "no name"),
        ({"inputs": [{"namespace": "n", "name": "x" * 2000}]}, "characters"),
        ({"inputs": [{"namespace": "n", "name": "x"}] * 10_001}, "datasets"),
        ({"job": {}}, "name"),
        ({"producer": 7}, "producer"),
    ],
)
def test_an_event_that_is_none_is_refused_with_a_reason(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        edges_of(FOREIGN | change)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*FOREIGN, "runId", "name", "namespace", "facets"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_is_read_as_an_event_is_refused_or_taken(event: Any) -> None:
    if isinstance(event, dict):
        for asked in (event, FOREIGN | event):
            try:
                edges_of(asked)
            except BadInput:
                continue


def test_what_a_terminal_would_obey_is_cleaned() -> None:
    nasty = "x\x1b]0;gone\x07\x1b[2J\u202e"
    changed = FOREIGN | {
        "job": {"namespace": "n", "name": nasty},
        "producer": nasty,
        "inputs": [
            {
                "namespace": "n",
                "name": nasty,
                "facets": {
                    "version": {"datasetVersion": nasty},
                    "rhdesk_edge": {"function": nasty},
                },
            }
        ],
    }
    for edge in edges_of(changed):
        for text in (edge.name, edge.version, edge.function, edge.source):
            assert "\x1b" not in text
            assert "\u202e" not in text


async def test_one_bad_event_keeps_the_good_ones_out_and_is_named(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as desk:
        with pytest.raises(BadInput, match="event 2"):
            await desk.take_lineage_events([FOREIGN, {}])
        assert await desk.recorder.read(lambda book: book.edges.runs()) == []


async def test_datasets_of_others_can_be_asked_about(tmp_path: Path) -> None:
    async with opened(tmp_path / "data") as desk:
        assert await desk.take_lineage_events([FOREIGN]) == 2
        found = await desk.lineage("s3://lake/orders")
        assert found.names == ("postgres://db:5432/shop.public.orders",)
        down = await desk.dependents("postgres://db:5432/shop.public.orders")
        assert down.names == ("s3://lake/orders",)


def test_an_id_that_is_no_uuid_comes_back_and_cannot_be_claimed_by_others() -> None:
    edge = Edge(run_id="my_run", kind="read", name="~/x", at=NOW)
    (event,) = events_of("my_run", [edge], None)
    assert edges_of(event)[0].run_id == "my_run"
    event["run"]["facets"]["rhdesk_run"]["run_id"] = "other"
    assert edges_of(event)[0].run_id == uuid_of("my_run").replace("-", "")
