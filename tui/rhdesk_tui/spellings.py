"""An action spelled so that it can be repeated outside the TUI: as a command, as Python."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rhdesk.models import Env, Record, Run


class Spelling(NamedTuple):
    """One way to say an action."""

    label: str
    text: str


def cli(*words: str) -> str:
    return shlex.join(["rhdesk", *words])


def call_cli(
    target: str,
    arguments: Mapping[str, Any],
    *,
    args: Sequence[Any] = (),
    method: str = "",
    on: str = "here",
    env: str = "",
    timeout_s: float | None = None,
) -> str:
    words = ["call", target]
    if method and method != "call":
        words += ["--method", method]
    if on and on != "here":
        words += ["--on", on]
    if env:
        words += ["--env", env]
    if timeout_s is not None:
        words += ["--timeout", f"{timeout_s:g}"]
    words += [_value(value) for value in args]
    words += [f"{name}={_value(value)}" for name, value in arguments.items()]
    return cli(*words)


def call_python(
    target: str, arguments: Mapping[str, Any], *, args: Sequence[Any] = (), method: str = ""
) -> str:
    spelled = [repr(value) for value in args]
    if all(name.isidentifier() for name in arguments):
        spelled += [f"{name}={value!r}" for name, value in arguments.items()]
    elif arguments:
        spelled.append(f"**{dict(arguments)!r}")
    member = f".{method}" if method and method != "call" else ""
    return f"rh.load({target!r}){member}({', '.join(spelled)})"


def of_record(record: Record) -> list[Spelling]:
    name = record.name
    return [
        Spelling("name", name),
        Spelling("as CLI", cli("show", name)),
        Spelling("as Python", f"rh.load({name!r})"),
        Spelling("config as JSON", as_config(record.config)),
    ]


def of_run(run: Run) -> list[Spelling]:
    return [
        Spelling("run id", run.run_id),
        Spelling("as CLI", cli("logs", run.run_id)),
        Spelling("as Python", f"rh.Desk().result({run.run_id!r})"),
    ]


def of_cluster(name: str) -> list[Spelling]:
    return [
        Spelling("name", name),
        Spelling("as CLI", cli("up", name)),
        Spelling("as Python", f"rh.cluster({name!r}).up()"),
    ]


def of_env(name: str, packages: Sequence[str]) -> list[Spelling]:
    return [
        Spelling("name", name),
        Spelling("as CLI", cli("env", "make", name, *packages)),
        Spelling("as Python", f"rh.env(name={name!r}, reqs={list(packages)!r})"),
        Spelling("packages", "\n".join(packages)),
    ]


def of_object(key: str, cluster: str) -> list[Spelling]:
    return [
        Spelling("key", key),
        Spelling("as CLI", cli("get", key, "--on", cluster)),
        Spelling("as Python", f"rh.cluster({cluster!r}).get({key!r})"),
    ]


def as_config(config: Mapping[str, Any] | None) -> str:
    """A config as it would be in its file; ``null`` for one that is not there."""
    return json.dumps(config, indent=2, default=repr)


def delete_record_cli(record: Record) -> str:
    return cli("delete", record.name)


def remove_run_cli(run: Run) -> str:
    return cli("rm", run.run_id)


def drop_env_cli(env: Env) -> str:
    return cli("env", "drop", env.name, "--on", env.cluster)


def delete_key_cli(key: str, cluster: str) -> str:
    return cli("rmkey", key, "--on", cluster)


def _value(value: Any) -> str:
    """As the command line reads it back: JSON, or text that is not JSON."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    try:
        json.loads(value)
    except ValueError:
        return value
    return json.dumps(value, ensure_ascii=False)
