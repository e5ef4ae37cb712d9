"""Every path a gateway or an env servlet answers, and every header, spelled once."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

WIRE: Final = 1
"""Bumped when an older peer would misread a message; sent as `H_WIRE`."""

H_WIRE: Final = "rhdesk-wire"
H_CLUSTER: Final = "rhdesk-cluster"
"""The cluster the request is meant for; a servlet of another cluster refuses it."""
H_CALL: Final = "rhdesk-call"
"""Base64 of a `Called` message; the body is the arguments alone, so that it can be passed on."""

# gateway
HEALTH: Final = "/v1/health"
ENVS: Final = "/v1/envs"
STATS: Final = "/v1/stats"
NODES: Final = "/v1/nodes"
AUTOSTOP: Final = "/v1/autostop"
WORK: Final = "/v1/work"

# env servlet
CALL: Final = "/v1/call"
RUNS: Final = "/v1/runs"
OBJECTS: Final = "/v1/objects"
DEFINITIONS: Final = "/v1/definitions"
LIVE: Final = "/v1/live"
INTERPRETER: Final = "/v1/interpreter"
RETIRE: Final = "/v1/retire"
CODE: Final = "/v1/code"
CODE_MISSING: Final = "/v1/code/missing"
JSON: Final = "/call"
"""JSON in, JSON out, for people with curl: ``POST /call/<name>/<method>``."""


def env(name: str) -> str:
    return f"{ENVS}/{quote(name, safe='')}"


def run(run_id: str) -> str:
    return f"{RUNS}/{quote(run_id, safe='')}"


def follow(run_id: str, after: int) -> str:
    return f"{run(run_id)}/follow?after={after}"


def cancel(run_id: str, *, force: bool) -> str:
    return f"{run(run_id)}/cancel?force={int(force)}"


def object_(key: str) -> str:
    return f"{OBJECTS}/{quote(key, safe='')}"


def live(name: str) -> str:
    return f"{LIVE}/{quote(name, safe='')}"


def define(owner: str) -> str:
    return f"{DEFINITIONS}?owner={quote(owner, safe='')}"


def code(tree: str) -> str:
    return f"{CODE}/{tree}"


def work(key: str, verb: str = "") -> str:
    return f"{WORK}/{key}/{verb}".rstrip("/")


def written(under: str) -> str:
    return f"written?under={quote(under, safe='')}"


def json_call(name: str, method: str) -> str:
    return f"{JSON}/{quote(name, safe='')}/{quote(method, safe='')}"
