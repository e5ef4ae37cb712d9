"""Calls: from a name and its arguments to a run the cluster has accepted."""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from rhdesk.desk.code import CodeVerbs
from rhdesk.errors import BadInput, ConnectionFailed, NotFound, RhdeskError, RunLost
from rhdesk.models import ClusterState, EnvSpec, Name, Parameter, Record, Run
from rhdesk.wire.canonical import spell, version_of

if TYPE_CHECKING:
    from rhdesk.code.bundle import Bundle
    from rhdesk.runs.spread import Came, Over, Told

SHELL = "rhdesk_servlet.shell"
"""Module on the cluster that runs shell commands; what `exec` calls."""
_NAMES = 16
"""Arguments that are looked at for names of resources."""


class CallVerbs(CodeVerbs):
    async def submit(
        self,
        target: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        args: Sequence[Any] = (),
        method: str = "",
        on: str = "here",
        env: str = "",
        node: str = "",
        timeout_s: float | None = None,
    ) -> Run:
        """Start a call and return once the cluster has accepted it.

        Its result can be read by any front end: what JSON cannot hold comes back described.

        Args:
            target: A saved name, or ``app.py:train``.
            arguments: By name; text is read as the parameter's annotation says.
            args: By position, in front of the named ones.
            env: Name of an environment on the cluster; empty is the one it was saved with.
            node: Machine of the cluster to run it on; empty is the head.
            timeout_s: Cancel the run when it takes longer.

        Raises:
            BadInput: The arguments do not fit; the message names the parameters.
        """
        from rhdesk.code.bundling import is_spec, record_bundle
        from rhdesk.code.signatures import bind, read_arguments

        record = None if is_spec(target) else await self.load(target)
        bundle = await self.bundle(target) if record is None else record_bundle(record)
        signature = await self.signature(target, method=method)
        named, placed = read_arguments(signature, arguments or {}, args)
        positional, keywords = bind(signature, named, placed, name=_short(target))
        env = env or await self._ready_env(target, on)
        if bundle.kind == "module" and not method:
            method = "__init__"
        return await self.start(
            _short(target),
            bundle,
            positional,
            keywords,
            method=method,
            on=on,
            env=env,
            node=node,
            timeout_s=timeout_s or 0.0,
            reads=await self._reads(record, [*positional, *keywords.values()]),
        )

    async def start(
        self,
        name: str,
        bundle: Bundle,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        method: str = "",
        instance: str = "",
        on: str = "here",
        env: str = "base",
        node: str = "",
        timeout_s: float = 0.0,
        as_json: bool = True,
        keep: str = "",
        run_id: str = "",
        reads: tuple[tuple[str, str], ...] = (),
    ) -> Run:
        """Start a call of *bundle*; what `submit` and the handles of `rhdesk.handles` share.

        Args:
            node: Of the cluster; empty is its head.
            reads: Names and versions that the run reads by being called, for its lineage.
        """
        from rhdesk.runs.making import new_run
        from rhdesk.wire.messages import Called
        from rhdesk.wire.payload import Payload

        payload = Payload.of_call(args, kwargs)
        run = new_run(
            name,
            args,
            kwargs,
            payload,
            method=method,
            on=on,
            env=env,
            tree=bundle.tree,
            run_id=run_id,
            keep=keep,
        )
        if node:
            run = msgspec.structs.replace(run, node=node)
        called = Called(
            run_id=run.run_id,
            definition=bundle.digest(name),
            instance=instance or (name if bundle.kind == "module" else ""),
            method="" if method == "call" else method,
            timeout_s=timeout_s,
            keep=keep,
            detach=True,
            as_json=as_json,
        )
        is_sent = False
        try:
            await self.send(name, bundle, on=on, env=env, node=node)
            is_sent = True
            try:
                return await self.runs_room.submit(run, called, payload, reads=reads)
            except NotFound as exc:
                if exc.kind != "definition":
                    raise
                self.forget_sent()
                await self.send(name, bundle, on=on, env=env, node=node)
                return await self.runs_room.submit(run, called, payload, reads=reads)
        except RhdeskError as exc:
            if is_sent and isinstance(exc, ConnectionFailed | RunLost):
                # It may have arrived all the same: its cluster is asked when it is back.
                self.runs_room.record_lost(run, str(exc), heard=isinstance(exc, RunLost))
                raise
            self.runs_room.refused(run, exc)
            raise

    async def map(
        self,
        name: str,
        bundle: Bundle,
        items: Sequence[tuple[Sequence[Any], Mapping[str, Any]]],
        *,
        on: str,
        cores: Mapping[str, int],
        env: str = "base",
        timeout_s: float = 0.0,
        idempotent: bool = False,
        reads: tuple[tuple[str, str], ...] = (),
    ) -> AsyncGenerator[Told | Came | Over]:
        """Call *bundle* once for each of *items*, over several nodes; yields what happens.

        Args:
            cores: Of each node that takes part, as `nodes_for` has it.
            idempotent: Items whose end nobody can know, because their node is gone, run again on
                another; without it they are reported lost.
        """
        from rhdesk.runs.making import new_run
        from rhdesk.runs.spread import Spread, spread_over
        from rhdesk.wire.messages import Called
        from rhdesk.wire.payload import Payload

        payloads = [Payload.of_call(args, kwargs) for args, kwargs in items]
        run = new_run(
            name,
            [f"{len(items)} items"],
            {},
            payloads[0],
            method="",
            on=on,
            env=env,
            tree=bundle.tree,
        )

        async def prepare(node: str) -> None:
            await self.send(name, bundle, on=on, env=env, node=node)

        async def why_gone(node: str) -> str:
            return await self.clusters_room.why_gone(on, node)

        definition = bundle.digest(name)
        spread = Spread(
            self.runs_room,
            spread_over(run, len(items)),
            Called(run_id=run.run_id, definition=definition, timeout_s=timeout_s),
            payloads,
            cores,
            idempotent=idempotent,
            prepare=prepare,
            why_gone=why_gone,
            reads=reads,
        )
        async with aclosing(spread.events()) as events:
            async for event in events:
                yield event

    async def nodes_for(self, on: str, env: str = "base") -> dict[str, int]:
        """The nodes of a cluster that have an environment and answer, and their cores."""
        found: dict[str, int] = {}
        for node in await self.clusters_room.nodes(on):
            if node.state is ClusterState.UP and (env == "base" or env in node.envs):
                found[node.name] = max(1, node.cpus)
        return found

    async def node_for(self, on: str, resources: Mapping[str, Any], env: str = "base") -> str:
        """The first node of a cluster that is up and has what a function needs.

        Args:
            resources: ``GPU`` or ``num_gpus``, ``CPU`` or ``num_cpus``, ``node`` for one by name;
                other members say nothing about a node.

        Raises:
            NotFound: None has.
        """
        gpus = float(resources.get("GPU") or resources.get("num_gpus") or 0)
        cpus = float(resources.get("CPU") or resources.get("num_cpus") or 0)
        called = str(resources.get("node") or "")
        nodes = await self.clusters_room.nodes(on)
        for node in nodes:
            is_there = node.state is ClusterState.UP and (env == "base" or env in node.envs)
            has_all = node.gpus >= gpus and node.cpus >= cpus
            if is_there and has_all and called in {"", node.name}:
                return node.name
        has = [f"{node.name} ({node.cpus} CPUs, {node.gpus} GPUs, {node.state})" for node in nodes]
        needed = called or ", ".join(f"{key}={value}" for key, value in resources.items())
        raise NotFound(needed, kind=f"node of {on} that is up and has env {env}", near=has)

    async def exec(self, commands: Sequence[str], *, on: str = "here", env: str = "base") -> Run:
        """Start shell commands in an environment, one after the other, as one run."""
        from rhdesk.code.bundle import Bundle

        bundle = Bundle(kind="function", module=SHELL, qualname="run")
        words = commands[0].split() if commands else []
        if not words:
            raise BadInput("no command was given; one looks like: nvidia-smi")
        name = words[0].strip("'\"")
        return await self.start(
            f"$ {os.path.basename(name)}", bundle, [list(commands)], {}, on=on, env=env
        )

    async def curl(self, target: str, *, method: str = "") -> str:
        """The line that calls a function or method over HTTP, token included by file.

        Raises:
            BadInput: *target* is at a version: over HTTP a name means what it means now.
        """
        if ":" not in target and (name := Name.parse(target)).version:
            raise BadInput(
                f"over HTTP {name.without_version} means what it means now; to call {name}: "
                f"rhdesk call {name}, to make it what the name means: rhdesk rollback {name}"
            )
        bundle, env = await self.bundle(target), await self._saved_env(target)
        return await self.curl_line(_short(target), bundle, method=method or "call", env=env)

    async def curl_line(self, name: str, bundle: Bundle, *, method: str, env: str) -> str:
        """The same for code that is at hand; it is sent there, so that the line works.

        Raises:
            AlreadyExists: Another project's *name* is what is called there.
        """
        from rhdesk.wire.routes import json_call

        digest = await self.send(name, bundle, on="here", env=env)
        client = await self.clusters_room.client("here")
        await client.go_live(env, name, self._going_live(name, digest))
        signature = bundle.methods.get(method, bundle.signature)
        example = {p.name: _example(p) for p in signature.parameters if p.required}
        address = await client.address(env)
        token = self.settings.data_dir / "clusters" / "here" / "token"
        body = msgspec.json.encode(example).decode()
        return (
            f'curl -s -H "Authorization: Bearer $(cat {shlex.quote(str(token))})" '
            f"-d {shlex.quote(body)} http://{address}{json_call(name, method)}"
        )

    async def _ready_env(self, target: str, on: str) -> str:
        """The environment a name was saved with, made on the cluster if it is not there yet."""
        name = await self._saved_env(target)
        if name != "base" and (spec := env_spec(await self.load(target))) is not None:
            async with aclosing(self.make_env(spec, on=on)) as steps:
                async for _ in steps:
                    pass
        return name

    async def _reads(
        self, record: Record | None, values: Sequence[Any]
    ) -> tuple[tuple[str, str], ...]:
        """What a call reads by being made: what it calls, its environment, names it is given."""
        found: list[tuple[str, str]] = []
        if record is not None:
            found.append((str(Name.parse(record.name).without_version), record.version))
            env = record.config.get("env")
            if isinstance(env, dict) and (of_env := await self._read(env.get("name"))):
                # It may have been saved anew since; what is used is what the function holds.
                found.append((of_env[0], version_of(spell(env))))
        for value in values[:_NAMES]:
            if of_value := await self._read(value):
                found.append(of_value)
        return tuple(found)

    async def _read(self, value: Any) -> tuple[str, str] | None:
        """A saved name and its version, if *value* spells one with its root."""
        if not isinstance(value, str) or not value.startswith(("~/", "@/", "/")):
            return None
        try:
            record = await self.load(value)
        except RhdeskError:  # a path that looks like a name, or a store nobody is logged in to
            return None
        return str(Name.parse(value).without_version), record.version

    async def _saved_env(self, target: str) -> str:
        from rhdesk.code.bundling import is_spec

        if is_spec(target):
            return "base"
        return env_name(await self.load(target))


def env_name(record: Record) -> str:
    """The environment a function or module was saved with."""
    env = record.config.get("env") or "base"
    return str(env.get("env_name") or "base") if isinstance(env, dict) else str(env)


def env_spec(record: Record) -> EnvSpec | None:
    """What that environment is to hold; None where the record has no more than its name.

    Raises:
        BadInput: The record's environment cannot be read.
    """
    env = record.config.get("env")
    if not isinstance(env, dict) or not (env.get("reqs") or env.get("working_dir")):
        return None
    fields = ("reqs", "setup_cmds", "env_vars", "working_dir")
    known = {field: env[field] for field in fields if env.get(field)}
    try:
        return msgspec.convert({"name": env_name(record), **known}, EnvSpec)
    except msgspec.ValidationError as exc:
        raise BadInput(f"the environment of {record.name} cannot be read: {exc}") from exc


def _example(parameter: Parameter) -> Any:
    """A value of the right kind, to show where one goes."""
    if parameter.choices:
        return parameter.choices[0]
    return {"int": 1, "float": 0.5, "bool": True, "list": [], "dict": {}}.get(
        parameter.annotation.partition("[")[0], 1 if not parameter.annotation else "text"
    )


def _short(target: str) -> str:
    """How a run calls what it ran: the full saved name, or the bare name of a file's function."""
    if ":" in target:
        return target.rpartition(":")[2]
    return str(Name.parse(target).without_version)
