"""Lineage as OpenLineage events, out and in: https://openlineage.io/spec

An event tells of one run: what it read (`inputs`), what it wrote (`outputs`), and how it stands.
What is ours and the standard has no place for rides in facets of our own, so that events taken by
another desk answer the same questions the same way. Of other producers' events the datasets are
taken as names, their namespace in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from rhdesk.current_run import is_run_id
from rhdesk.errors import BadInput
from rhdesk.foreign import clean
from rhdesk.models import Edge, Run, RunStatus
from rhdesk.runs.making import PARENT

NAMESPACE: Final = "rhdesk"
PRODUCER: Final = "urn:rhdesk"
_SCHEMA: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_VERSION_SCHEMA: Final = (
    "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json"
    "#/$defs/DatasetVersionDatasetFacet"
)
_PARENT_SCHEMA: Final = (
    "https://openlineage.io/spec/facets/1-0-1/ParentRunFacet.json#/$defs/ParentRunFacet"
)
_OUR_SCHEMA: Final = "urn:rhdesk:facet:1"
_EDGE: Final = "rhdesk_edge"
_RUN: Final = "rhdesk_run"
_RUN_IDS: Final = UUID("5a5c2b1e-7d0f-4c55-9c1b-2f4f1d1f6f10")
"""Namespace of the UUIDs of runs whose id is none."""
_TYPES: Final = {
    RunStatus.SUBMITTED: "START",
    RunStatus.RUNNING: "RUNNING",
    RunStatus.SUCCEEDED: "COMPLETE",
    RunStatus.FAILED: "FAIL",
    RunStatus.CANCELLED: "ABORT",
    RunStatus.LOST: "FAIL",
}
_KNOWN_TYPES: Final = {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
_WRITTEN: Final = {"RUNNING", "COMPLETE", "OTHER"}
"""Outputs of other events are what a run meant to write, not what it wrote."""
_LONGEST: Final = 1_024
"""Characters of a name, version, job or producer that are taken."""
_DATASETS: Final = 10_000


class _Dataset(msgspec.Struct):
    namespace: str
    name: str
    facets: dict[str, Any] | None = None


class _Run(msgspec.Struct):
    runId: str
    facets: dict[str, Any] | None = None


class _Job(msgspec.Struct):
    name: str
    namespace: str = ""


class _Event(msgspec.Struct):
    eventTime: datetime
    run: _Run
    job: _Job
    eventType: str = "OTHER"
    producer: str = ""
    inputs: list[_Dataset] | None = None
    outputs: list[_Dataset] | None = None


# ---- out


def events_of(run_id: str, edges: Sequence[Edge], run: Run | None) -> list[dict[str, Any]]:
    """The events that tell of a run: how it began, and how it stands.

    Args:
        run: What the record has of it; None when retention has taken it.
    """
    told = _told(run_id, edges, run)
    if run is None or not run.status.is_finished:
        return [told]
    began = told | {
        "eventType": "START",
        "eventTime": _time(run.started_at or run.submitted_at),
        "outputs": [],
    }
    return [began, told]


def _told(run_id: str, edges: Sequence[Edge], run: Run | None) -> dict[str, Any]:
    if run is None:
        kind, at = "OTHER", max(edge.at for edge in edges)
    else:
        kind, at = _TYPES[run.status], run.ended_at or run.started_at or run.submitted_at
    function = run.function if run else next((e.function for e in edges if e.function), "")
    source = next((edge.source for edge in edges if edge.source != "here"), PRODUCER)
    return {
        "eventType": kind,
        "eventTime": _time(at),
        "run": {"runId": uuid_of(run_id), "facets": _run_facets(run_id, run)},
        "job": {"namespace": NAMESPACE, "name": function or "unknown"},
        "inputs": [_dataset(edge) for edge in edges if edge.kind == "read"],
        "outputs": [_dataset(edge) for edge in edges if edge.kind == "wrote"],
        "producer": source,
        "schemaURL": _SCHEMA,
    }


def _run_facets(run_id: str, run: Run | None) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    if _plain_id(uuid_of(run_id)) != run_id:
        facets[_RUN] = _ours({"run_id": run_id})
    if run is not None and (parent := run.origin.get(PARENT)):
        facets["parent"] = {
            "_producer": PRODUCER,
            "_schemaURL": _PARENT_SCHEMA,
            "run": {"runId": uuid_of(str(parent))},
            "job": {"namespace": NAMESPACE, "name": "unknown"},
        }
    return facets


def _dataset(edge: Edge) -> dict[str, Any]:
    facets = {_EDGE: _ours({"at": _time(edge.at), "function": edge.function})}
    if edge.version:
        facets["version"] = {
            "_producer": PRODUCER,
            "_schemaURL": _VERSION_SCHEMA,
            "datasetVersion": edge.version,
        }
    return {"namespace": NAMESPACE, "name": edge.name, "facets": facets}


def _ours(facts: dict[str, Any]) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": _OUR_SCHEMA} | facts


def uuid_of(run_id: str) -> str:
    """A run's id as the standard wants it: 32 hex digits are one, of others it is made."""
    plain = _hex(run_id)
    return str(plain if plain is not None else uuid5(_RUN_IDS, run_id))


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


# ---- in


def edges_of(event: Mapping[str, Any]) -> list[Edge]:
    """What an event tells, cleaned: here the text of others comes in.

    Raises:
        BadInput: It is no OpenLineage event of a run; the message says what is wrong with it.
    """
    try:
        read = msgspec.convert(event, _Event, strict=False)
    except msgspec.ValidationError as exc:
        raise BadInput(f"this is no OpenLineage event of a run: {clean(str(exc))}") from exc
    kind = read.eventType.upper()
    if kind not in _KNOWN_TYPES:
        kinds = ", ".join(sorted(_KNOWN_TYPES))
        raise BadInput(f"eventType is {clean(kind)[:40]!r}; it is one of {kinds}")
    if read.eventTime.tzinfo is None:
        raise BadInput("eventTime has no time zone; one looks like 2026-10-01T12:00:00Z")
    datasets = [(False, each) for each in read.inputs or ()]
    datasets += [(True, each) for each in read.outputs or ()]
    if len(datasets) > _DATASETS:
        raise BadInput(f"it has more than {_DATASETS:,} datasets")
    at = _moment(read.eventTime.isoformat())
    if at is None:
        raise BadInput("eventTime is no time of this era")
    run_id = _run_id(read.run)
    source = _text(read.producer, "producer") or "unknown"
    job = _text(read.job.name, "the job's name")
    told: list[Edge] = []
    for is_output, dataset in datasets:
        ours = _facet(dataset.facets, _EDGE)
        if is_output and kind not in _WRITTEN and not ours:
            continue
        function = ours.get("function")
        told.append(
            Edge(
                run_id=run_id,
                kind="wrote" if is_output else "read",
                name=_name(dataset),
                version=_version(dataset),
                at=_moment(ours.get("at")) or at,
                function=_text(function, "function") if isinstance(function, str) else job,
                source=source,
            )
        )
    return told


def _run_id(run: _Run) -> str:
    told = str(_facet(run.facets, _RUN).get("run_id", ""))
    if told and is_run_id(told) and uuid_of(told) == run.runId:
        return told
    if plain := _plain_id(run.runId):
        return plain
    raise BadInput(f"run.runId is {clean(run.runId)[:40]!r}, which is no UUID")


def _plain_id(text: str) -> str:
    found = _hex(text.replace("-", "").lower())
    return found.hex if found is not None else ""


def _hex(text: str) -> UUID | None:
    """The UUID that 32 lower-case hex digits are."""
    try:
        found = UUID(hex=text)
    except ValueError:
        return None
    return found if found.hex == text else None


def _name(dataset: _Dataset) -> str:
    """Ours as it is; another's with its namespace, as the standard spells the two in one."""
    if not dataset.name:
        raise BadInput("a dataset has no name")
    if dataset.namespace == NAMESPACE:
        return _text(dataset.name, "a dataset's name")
    joint = "" if not dataset.namespace or dataset.name.startswith("/") else "/"
    return _text(dataset.namespace + joint + dataset.name, "a dataset's name")


def _version(dataset: _Dataset) -> str:
    return _text(str(_facet(dataset.facets, "version").get("datasetVersion", "")), "a version")


def _facet(facets: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    found = (facets or {}).get(name)
    return found if isinstance(found, dict) else {}


def _moment(text: Any) -> datetime | None:
    """In UTC; None for what is no moment, or none that a calendar holds."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _text(text: str, what: str) -> str:
    if len(text) > _LONGEST:
        raise BadInput(f"{what} has more than {_LONGEST:,} characters")
    return clean(text)
