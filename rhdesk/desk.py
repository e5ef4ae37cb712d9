"""The desk: the one object a front end holds; every verb of the product is a method here.

This is the only module that knows which adapter stands behind which port, and it learns that as
late as it can: a room is entered, and its library imported, when a verb first needs it.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rhdesk.config import Settings
from rhdesk.errors import BadInput, NotFound, RhdeskError
from rhdesk.models import (
    Check,
    Cluster,
    ClusterState,
    Env,
    EnvSpec,
    LogHit,
    LogLine,
    Name,
    NodeStats,
    Parameter,
    Record,
    Run,
    Signature,
    Step,
    Version,
)

if TYPE_CHECKING:
    from rhdesk.clusters.service import Clusters
    from rhdesk.code.bundle import Bundle, CodeShelf
    from rhdesk.rns.owned import OwnedNames
    from rhdesk.runs.recorder import Recorder
    from rhdesk.runs.results import Results
    from rhdesk.runs.service import Runs

SHELL = "rhdesk_servlet.shell"
"""Module on the cluster that runs shell commands; what `exec` calls."""


class AsyncDesk:
    """A desk. Made by `open`, which closes what it opened."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._sent: dict[tuple[str, str], set[str]] = {}
        """Hashes of the definitions each env servlet was sent, by cluster id and env."""

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings | None = None) -> AsyncGenerator[AsyncDesk]:
        """Open a desk; nothing is read, created or connected until a verb needs it."""
        desk = cls(settings or Settings.load())
        try:
            yield desk
        finally:
            await desk.aclose()

    async def aclose(self) -> None:
        """Store what waits, and close every line."""
        opened = vars(self)
        if "clusters_room" in opened:
            await self.clusters_room.aclose()
        if "names_room" in opened:
            await self.names_room.aclose()
        if "results" in opened:
            self.results.close()
        if "recorder" in opened:
            self.recorder.close()

    # ---- the rooms, entered when first needed

    @cached_property
    def clusters_room(self) -> Clusters:
        from rhdesk.clusters.here import Here
        from rhdesk.clusters.service import Clusters

        folder = self.settings.data_dir / "clusters" / "here"
        here = Here(folder, self.settings.cache_dir / "venvs")
        return Clusters(here, timeout_s=self.settings.connect_timeout_s)

    @cached_property
    def recorder(self) -> Recorder:
        from rhdesk.runs.recorder import Recorder

        return Recorder(self.settings.data_dir)

    @cached_property
    def results(self) -> Results:
        from rhdesk.runs.results import Results

        return Results(self.settings.data_dir / "results")

    @cached_property
    def runs_room(self) -> Runs:
        from rhdesk.runs.service import Runs

        return Runs(self.recorder, self.results, self.clusters_room)

    @cached_property
    def names_room(self) -> OwnedNames:
        from rhdesk.rns.owned import OwnedNames

        return OwnedNames(self.settings, Path.cwd())

    @cached_property
    def shelf(self) -> CodeShelf:
        from rhdesk.code.bundle import CodeShelf

        return CodeShelf(self.settings.data_dir / "code")

    # ---- clusters

    async def up(self, cluster: str = "here") -> AsyncGenerator[Step]:
        """Bring a cluster up, or find it up; yields what it does.

        Raises:
            SetupFailed: A step failed; `output` holds its last lines.
            StoreBusy: Another rhdesk is bringing it up or down.
        """
        async with aclosing(self.clusters_room.up(cluster)) as steps:
            async for step in steps:
                yield step

    async def down(self, cluster: str = "here") -> AsyncGenerator[Step]:
        """End exactly what `up` started.

        Lines and results that are not here yet come home first; what still runs is cancelled.
        """
        if (await self.cluster(cluster)).state is ClusterState.UP:
            await self.catch_up()
            await self.runs_room.cancel_all(cluster)
        async with aclosing(self.clusters_room.down(cluster)) as steps:
            async for step in steps:
                yield step

    async def mend(self, cluster: str = "here") -> None:
        """Bring a cluster up again whose processes died; one that is down stays down."""
        if self.clusters_room.why_broken(cluster):
            async with aclosing(self.up(cluster)) as steps:
                async for _ in steps:
                    pass

    async def cluster(self, name: str = "here") -> Cluster:
        """How a cluster is doing; answers within two seconds, whatever the network does."""
        return await self.clusters_room.look(name)

    async def clusters(self) -> list[Cluster]:
        return [await self.cluster(name) for name in self.clusters_room.names()]

    async def stats(self, cluster: str = "here") -> list[NodeStats]:
        """One sample of each node's load; the CPU share is that since the sample before."""
        return await (await self.clusters_room.client(cluster)).stats()

    async def doctor(self, cluster: str = "here") -> list[Check]:
        """Everything a run needs, looked at piece by piece; never raises for what it finds."""
        from rhdesk.clusters.checks import examine

        folders = self.settings.data_dir, self.settings.cache_dir
        return await examine(
            self.clusters_room, cluster, data_dir=folders[0], cache_dir=folders[1]
        )

    # ---- environments

    async def envs(self, cluster: str = "here") -> list[Env]:
        """The environments on a cluster, ``base`` first."""
        return await self.clusters_room.envs(cluster)

    async def make_env(
        self, spec: EnvSpec, *, on: str = "here", force: bool = False
    ) -> AsyncGenerator[Step]:
        """Make an environment, or find it made; yields what it does.

        Raises:
            BadRequirement: A requirement does not exist, or conflicts with another.
            SetupFailed: A step failed; `output` holds its last lines.
        """
        from rhdesk.code.packages import parse
        from rhdesk.wire.messages import MakeEnv

        found = parse(spec.reqs, folder=_folder(spec.working_dir))
        asked = MakeEnv(spec=spec, lines=found.lines, folders=found.folders, force=force)
        client = await self.clusters_room.client(on)
        async with aclosing(client.make_env(asked)) as steps:
            async for step in steps:
                yield step

    async def drop_env(self, name: str, *, on: str = "here") -> None:
        """End an environment's servlet and what its runs started. Its packages stay cached."""
        await (await self.clusters_room.client(on)).drop_env(name)

    # ---- calls

    async def signature(self, target: str, *, method: str = "") -> Signature:
        """What a function or method takes, without importing it.

        Args:
            target: A saved name, or ``app.py:train``.
            method: Of a module; empty is the function itself, or the class's construction.
        """
        bundle = await self.bundle(target)
        if not method or method == "call":
            return bundle.signature
        try:
            return bundle.methods[method]
        except KeyError:
            raise NotFound(
                method, kind=f"method of {target}", near=sorted(bundle.methods)
            ) from None

    async def methods(self, target: str) -> list[str]:
        """A module's public methods; ``["call"]`` for a function."""
        bundle = await self.bundle(target)
        return sorted(bundle.methods) if bundle.kind == "module" else ["call"]

    async def bundle(self, target: str) -> Bundle:
        """The code behind a saved name or ``app.py:train``; of the latter, kept on the shelf.

        Raises:
            NotFound: No such name.
            BadFunction: The file, or the function in it, is not there or cannot be read.
        """
        from rhdesk.code.bundling import bundle_of_spec, is_spec, record_bundle

        if is_spec(target):
            bundle, blobs = bundle_of_spec(target)
            self.shelf.keep(blobs)
            return bundle
        return record_bundle(await self.load(target))

    async def send(self, name: str, bundle: Bundle, *, on: str, env: str) -> str:
        """Have an env servlet know a function or class; returns what a call names it by.

        Only what the servlet lacks travels. Sending twice costs nothing.
        """
        digest = bundle.digest(name)
        await self.mend(on)
        client = await self.clusters_room.client(on)
        address = await client.address(env)
        known = self._sent.setdefault((client.line.cluster_id, address), set())
        if digest in known:
            return digest
        if bundle.tree:
            lacking = await client.missing(env, sorted(set(bundle.files.values())))
            blobs = {digest: self.shelf.load(digest) for digest in lacking}
            await client.put_code(env, bundle.tree, bundle.files, blobs)
        blob = self.shelf.load(bundle.blob) if bundle.blob else b""
        await client.define(env, bundle.definition(name), blob)
        known.add(digest)
        return digest

    async def submit(
        self,
        target: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        args: Sequence[Any] = (),
        method: str = "",
        on: str = "here",
        env: str = "",
        timeout_s: float | None = None,
    ) -> Run:
        """Start a call and return once the cluster has accepted it.

        Its result can be read by any front end: what JSON cannot hold comes back described.

        Args:
            target: A saved name, or ``app.py:train``.
            arguments: By name; text is read as the parameter's annotation says.
            args: By position, in front of the named ones.
            env: Name of an environment on the cluster; empty is the one it was saved with.
            timeout_s: Cancel the run when it takes longer.

        Raises:
            BadInput: The arguments do not fit; the message names the parameters.
        """
        from rhdesk.code.signatures import bind, read_arguments

        bundle = await self.bundle(target)
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
            timeout_s=timeout_s or 0.0,
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
        timeout_s: float = 0.0,
        as_json: bool = True,
        keep: str = "",
        run_id: str = "",
    ) -> Run:
        """Start a call of *bundle*; what `submit` and the handles of `rhdesk.handles` share."""
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
        )
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
        try:
            await self.send(name, bundle, on=on, env=env)
            try:
                return await self.runs_room.submit(run, called, payload)
            except NotFound as exc:
                if exc.kind != "definition":
                    raise
                self.forget_sent()
                await self.send(name, bundle, on=on, env=env)
                return await self.runs_room.submit(run, called, payload)
        except RhdeskError as exc:
            self.runs_room.refused(run, exc)
            raise

    def forget_sent(self) -> None:
        """Send definitions anew: an env servlet turned out not to know what it was told."""
        self._sent.clear()

    async def follow(self, run_id: str, *, after: int = -1) -> AsyncGenerator[LogLine]:
        """Yield a run's lines, each stored before it is seen; ends when the run has.

        Args:
            after: Number of the last line already seen.
        """
        run = await self.run(run_id)
        async with aclosing(self.runs_room.follow(run.run_id, after=after)) as lines:
            async for line in lines:
                yield line

    async def result(self, run_id: str) -> Any:
        """What a run returned, for eyes: what only Python can hold comes back described.

        Raises:
            RunFailed: It raised; `remote_traceback` holds the far side's traceback.
            RunCancelled, RunTimedOut, RunLost: It ended otherwise.
        """
        from rhdesk.runs.outcome import raise_failure
        from rhdesk.runs.results import describe

        run = await self.wait(run_id)
        raise_failure(run)
        if not run.result:
            return run.result_text
        payload = self.results.load(run.result)
        if "pickle" in payload.encodings:
            return {"type": "Python object", "repr": describe(payload)}
        value = payload.result(may_unpickle=False)
        return value if payload.encodings == {"plain"} else describe(payload)

    async def wait(self, run_id: str) -> Run:
        """Wait until a run has ended; its lines are stored meanwhile."""
        run = await self.run(run_id)
        return run if run.status.is_finished else await self.runs_room.wait(run.run_id)

    async def cancel(self, run_id: str, *, force: bool = False) -> Run:
        """Stop a run, whatever it is doing; when this returns its processes are gone.

        Args:
            force: Do not give it a second to clean up.
        """
        return await self.runs_room.cancel((await self.run(run_id)).run_id, force=force)

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
        """The line that calls a function or method over HTTP, token included by file."""
        bundle, env = await self.bundle(target), await self._saved_env(target)
        return await self.curl_line(_short(target), bundle, method=method or "call", env=env)

    async def curl_line(self, name: str, bundle: Bundle, *, method: str, env: str) -> str:
        """The same for code that is at hand; it is sent there, so that the line works."""
        from rhdesk.wire.routes import json_call

        await self.send(name, bundle, on="here", env=env)
        signature = bundle.methods.get(method, bundle.signature)
        example = {p.name: _example(p) for p in signature.parameters if p.required}
        address = await (await self.clusters_room.client("here")).address(env)
        token = self.settings.data_dir / "clusters" / "here" / "token"
        body = msgspec.json.encode(example).decode()
        return (
            f'curl -s -H "Authorization: Bearer $(cat {shlex.quote(str(token))})" '
            f"-d {shlex.quote(body)} http://{address}{json_call(name, method)}"
        )

    # ---- objects on a cluster

    async def put(self, key: str, value: Any, *, on: str = "here", env: str = "base") -> None:
        """Keep a value on a cluster under a key; one already there is replaced."""
        from rhdesk.wire.payload import Payload

        await (await self.clusters_room.client(on)).put(
            env, key, Payload.of_result(value, f"{key!r}")
        )

    async def get(self, key: str, *, on: str = "here") -> Any:
        """A value kept under a key, for eyes: what only Python can hold comes back described."""
        from rhdesk.runs.results import describe

        payload = await (await self.clusters_room.client(on)).get("base", key)
        if payload.encodings == {"plain"}:
            return payload.result(may_unpickle=False)
        return {"type": sorted(payload.encodings)[0], "repr": describe(payload)}

    async def keys(self, *, on: str = "here", env: str = "") -> list[str]:
        """Every key, sorted. Environments of a cluster share them."""
        return await (await self.clusters_room.client(on)).keys(env or "base")

    async def rename_key(self, old: str, new: str, *, on: str = "here") -> None:
        await (await self.clusters_room.client(on)).rename("base", old, new)

    async def delete_keys(self, keys: Sequence[str], *, on: str = "here") -> list[str]:
        """Delete values; returns the keys that were there."""
        return await (await self.clusters_room.client(on)).delete("base", keys)

    async def clear(self, *, on: str = "here") -> None:
        """Delete every value kept on a cluster."""
        await (await self.clusters_room.client(on)).delete("base", None)

    # ---- names

    async def save(self, record: Record, *, overwrite: bool = True) -> Record:
        """Save a record under its name: a new version, unless nothing changed.

        Raises:
            AlreadyExists: The name is taken, and *overwrite* is false.
            StoreUnwritable: It could not be written; nothing was saved.
        """
        return await self.names_room.call(
            lambda names: names.save(record, overwrite=overwrite, author="")
        )

    async def save_target(
        self, target: str, name: str, *, env: str = "", overwrite: bool = True
    ) -> Record:
        """Save ``app.py:train`` under a name, its code with it."""
        from rhdesk.code.bundling import bundle_record

        bundle = await self.bundle(target)
        record = bundle_record(str(Name.parse(name)), bundle, system="here", env=env)
        return await self.save(record, overwrite=overwrite)

    async def load(self, name: str) -> Record:
        """The record under a name, ``~/train`` or ``~/train@1a2b3c``.

        Raises:
            NotFound: There is none; `near` holds the closest names.
        """
        parsed = Name.parse(name)
        return await self.names_room.call(lambda names: names.load(parsed))

    async def exists(self, name: str) -> bool:
        parsed = Name.parse(name)
        return await self.names_room.call(lambda names: names.exists(parsed))

    async def resources(self, folder: str = "", *, resource_type: str = "") -> list[Record]:
        """Records in a folder and below it, by name."""
        return await self.names_room.call(
            lambda names: names.names(folder=folder, resource_type=resource_type)
        )

    async def rename(self, old: str, new: str) -> Record:
        """Give a resource another name; its history goes with it."""
        from_name, to_name = Name.parse(old), Name.parse(new)
        return await self.names_room.call(lambda names: names.rename(from_name, to_name))

    async def delete(self, name: str) -> None:
        """Delete a name; its versions stay in the history."""
        parsed = Name.parse(name)
        await self.names_room.call(lambda names: names.delete(parsed))

    async def history(self, name: str, *, limit: int = 100) -> list[Version]:
        """The versions of a name, newest first."""
        parsed = Name.parse(name)
        return await self.names_room.call(lambda names: names.history(parsed, limit=limit))

    # ---- the record of runs

    async def run(self, run_id: str) -> Run:
        """A run by its id, by the unique beginning of one, or ``last``."""
        return await self.recorder.read(lambda book: book.run(run_id))

    async def runs(
        self,
        *,
        limit: int = 100,
        offset: int = 0,
        function: str = "",
        status: str = "",
        cluster: str = "",
    ) -> list[Run]:
        """Runs, newest first."""
        return await self.recorder.read(
            lambda book: book.runs(
                limit=limit, offset=offset, function=function, status=status, cluster=cluster
            )
        )

    async def count_runs(self, *, function: str = "", status: str = "", cluster: str = "") -> int:
        return await self.recorder.read(
            lambda book: book.count_runs(function=function, status=status, cluster=cluster)
        )

    async def lines(self, run_id: str, start: int = 0, stop: int | None = None) -> list[LogLine]:
        """Stored lines *start* to *stop*, without *stop*; all of them by default."""
        end = sys.maxsize if stop is None else stop
        return await self.recorder.read(lambda book: book.lines(run_id, start, end))

    async def count_lines(self, run_id: str) -> int:
        return await self.recorder.read(lambda book: book.count_lines(run_id))

    async def find_line(
        self, run_id: str, text: str, *, after: int = -1, backwards: bool = False
    ) -> int | None:
        """Number of the next line that holds *text*, whatever its case; None when there is none."""
        return await self.recorder.read(
            lambda book: book.find_line(run_id, text, after=after, backwards=backwards)
        )

    async def find_level(
        self, run_id: str, levels: Sequence[str], *, after: int = -1, backwards: bool = False
    ) -> int | None:
        """Number of the next line of one of *levels* (``error``, ``warning`` ...)."""
        return await self.recorder.read(
            lambda book: book.find_level(run_id, levels, after=after, backwards=backwards)
        )

    async def search(self, text: str, *, run_id: str = "", limit: int = 100) -> list[LogHit]:
        """Lines that hold the words of *text*, of any run, also of clusters long gone."""
        return await self.recorder.read(lambda book: book.search(text, run_id=run_id, limit=limit))

    async def pin(self, run_id: str, *, pinned: bool = True) -> Run:
        """Keep a run from retention, or let it go."""
        run = await self.run(run_id)
        await self.recorder.write(lambda book: book.pin(run.run_id, pinned=pinned))
        return await self.run(run.run_id)

    async def remove_runs(self, run_ids: Sequence[str]) -> int:
        """Remove finished runs with their lines; returns how many."""
        full = [(await self.run(run_id)).run_id for run_id in run_ids]
        count = await self.recorder.write(lambda book: book.remove(full))
        await self._forget_results()
        return count

    async def retain(self) -> int:
        """Apply ``keep_days`` and ``keep_bytes``; returns how many runs went, their results too."""
        kept = self.settings
        count = await self.recorder.write(
            lambda book: book.retain(
                datetime.now(UTC), keep_days=kept.keep_days, keep_bytes=kept.keep_bytes
            )
        )
        await self._forget_results()
        return count

    async def catch_up(self) -> int:
        """Bring home what happened to runs while nobody followed them; returns how many ended."""
        return await self.runs_room.catch_up()

    async def _forget_results(self) -> None:
        """Remove the results of runs that are gone; equal results are kept once, by hash."""
        needed = await self.recorder.read(lambda book: book.results())
        await asyncio.to_thread(self.results.keep_only, needed)

    async def _ready_env(self, target: str, on: str) -> str:
        """The environment a name was saved with, made on the cluster if it is not there yet."""
        name = await self._saved_env(target)
        if name != "base":
            env = (await self.load(target)).config["env"]
            if isinstance(env, dict) and env.get("reqs"):
                fields = ("reqs", "setup_cmds", "env_vars", "working_dir")
                known = {field: env[field] for field in fields if env.get(field)}
                spec = msgspec.convert({"name": name, **known}, EnvSpec)
                async with aclosing(self.make_env(spec, on=on)) as steps:
                    async for _ in steps:
                        pass
        return name

    async def _saved_env(self, target: str) -> str:
        from rhdesk.code.bundling import is_spec

        if is_spec(target):
            return "base"
        env = (await self.load(target)).config.get("env", "base")
        if isinstance(env, dict):
            return str(env.get("env_name") or "base")
        return str(env or "base")


def _example(parameter: Parameter) -> Any:
    """A value of the right kind, to show where one goes."""
    if parameter.choices:
        return parameter.choices[0]
    return {"int": 1, "float": 0.5, "bool": True, "list": [], "dict": {}}.get(
        parameter.annotation.partition("[")[0], 1 if not parameter.annotation else "text"
    )


def _folder(text: str | None) -> Path:
    return Path(text or ".").expanduser().resolve()


def _short(target: str) -> str:
    """How a run calls what it ran: the full saved name, or the bare name of a file's function."""
    if ":" in target:
        return target.rpartition(":")[2]
    return str(Name.parse(target).without_version)


def whoami() -> str:
    """Who is at the desk, for the record: ``user@host``."""
    return f"{os.environ.get('USER') or os.getuid()}@{socket.gethostname()}"
