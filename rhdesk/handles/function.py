"""``rh.function``: a Python function that runs elsewhere and is called as if it were here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from rhdesk.code.bundle import Bundle
from rhdesk.code.bundling import bundle_of, bundle_record, record_bundle, root_of
from rhdesk.code.edits import Edits
from rhdesk.errors import BadInput, NotFound, RhdeskError
from rhdesk.handles import calls
from rhdesk.handles.calls import Options, Target
from rhdesk.handles.cluster import Cluster, Kept, cluster_of
from rhdesk.handles.env import Env, env_of, own_reads
from rhdesk.handles.resource import Resource, came_of, name_of
from rhdesk.handles.session import HERE, session
from rhdesk.models import Record, Run
from rhdesk.runs.making import new_run_id

_PLACING = frozenset({"GPU", "num_gpus", "node"})
"""Resources that only some machine of a cluster may have."""
_OPTIONS = (
    "stream_logs",
    "run_name",
    "remote",
    "run_async",
    "save",
    "timeout_s",
    "idempotent",
)


def function(
    fn: Callable[..., Any] | str | None = None,
    name: str | None = None,
    system: str | Cluster | None = None,
    env: Env | str | Sequence[str] | None = None,
    resources: Mapping[str, Any] | None = None,
    dryrun: bool = False,
    load_secrets: bool = False,
    serialize_notebook_fn: bool = False,
    reqs: Sequence[str] | None = None,
    setup_cmds: Sequence[str] | None = None,
) -> Function:
    """Wrap a function; with a name alone, the one saved under it.

    Args:
        fn: A function, or ``path/app.py:train``.
        system: Where it runs; without one it runs here, in this process.
        env: What it runs in: a handle, a name, or packages.
        resources: Recorded with it: ``{"num_cpus": 1}``. On several machines it runs on one that
            has them: ``{"GPU": 1}``, or ``{"node": "gpu-2"}``.
        reqs, setup_cmds: The spelling of old: ``env=rh.env(reqs=..., setup_cmds=...)``.
    """
    if fn is None:
        if not name:
            raise BadInput("rh.function needs a function, or the name of a saved one")
        return Function.from_name(name, dryrun=dryrun)
    if isinstance(fn, str) and ":" not in fn:
        return Function.from_name(fn, dryrun=dryrun)
    made = Function(fn, name=name, resources=resources, dryrun=dryrun)
    if reqs or setup_cmds:
        env = Env(reqs=reqs or (), setup_cmds=setup_cmds or ())
    if system is not None:
        return made.to(system, env=env)
    made.env = env_of(env)
    return made


class Function(Resource):
    """A function and where it runs. Calling it runs it there."""

    RESOURCE_TYPE: ClassVar[str] = "function"

    def __init__(
        self,
        fn: Callable[..., Any] | str | None,
        name: str | None = None,
        resources: Mapping[str, Any] | None = None,
        dryrun: bool = False,
        bundle: Bundle | None = None,
    ) -> None:
        super().__init__(name, dryrun)
        self.fn = fn if callable(fn) else None
        self.resources = dict(resources or {})
        self.system: Cluster | None = None
        self.env = Env()
        self._source = fn
        self._bundle = bundle
        self._edits = Edits(None, (), 0)
        self._targets: dict[str, Target] = {}
        self._is_ready = False
        """Whether its environment is known to be on its cluster."""

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Self:
        name = str(config["name"])
        bundle = record_bundle(Record(name=name, resource_type="function", config=config))
        made = cls(None, name=name, resources=config.get("resources"), bundle=bundle)
        made.system = cluster_of(config.get("system") or "here")
        env = config.get("env")
        made.env = Env.of_config(env) if isinstance(env, dict) else env_of(env)
        return made

    # ---- where

    def to(
        self,
        system: str | Cluster | None = None,
        env: Env | str | Sequence[str] | None = None,
        reqs: Sequence[str] | None = None,
        setup_cmds: Sequence[str] | None = None,
        force_install: bool = False,
    ) -> Self:
        """Send it to a cluster, its environment made there first. Returns itself.

        Raises:
            BadFunction: Its code cannot be read.
            CannotSend: Its code refers to something that cannot be pickled.
        """
        if reqs or setup_cmds:
            env = Env(reqs=reqs or (), setup_cmds=setup_cmds or ())
        self.system = cluster_of(system or self.system)
        if env is not None and env != []:
            self.env = env_of(env)
        had = self._bundle
        if self.bundle(fresh=True) != had:
            self.is_saved_as("")
        self._targets.clear()
        if not self.dryrun:
            self.env.to(self.system, force_install=force_install)
            self._is_ready = True
            session().desk.send(
                self.called, self.bundle(), on=self.system.key, env=self.env.env_name, live=True
            )
        return self

    @property
    def called(self) -> str:
        """What the record calls it: its name, or its function's."""
        bare = self._bundle.qualname if self._bundle else "function"
        return name_of(self._name, bare)

    def bundle(self, *, fresh: bool = False) -> Bundle:
        """Its code, made ready to travel and kept on the desk; read again when *fresh*."""
        if self._bundle is None or (fresh and self._source is not None):
            if self._source is None:
                raise BadInput(f"{self!r} has no code")
            began_ns = time.time_ns()
            edited = self._edits.are_there()
            bundle, blobs = bundle_of(self._source, edited=edited)
            session().desk.asynchronous.shelf.keep(blobs)
            self._bundle = bundle
            self._edits = Edits(root_of(self._source), bundle.files, began_ns)
        return self._bundle

    def _notice_edits(self) -> None:
        """Be what its files say now; what cannot be read leaves it as it was, and is said."""
        if not self._edits.are_there():
            return
        had, now_ns = self._bundle, time.time_ns()
        try:
            if self.bundle(fresh=True) != had:
                self._targets.clear()
                self.is_saved_as("")
        except RhdeskError as exc:
            self._edits.take_in(now_ns)
            sys.stderr.write(f"rhdesk: {exc}\nrhdesk: {self.called} is called as it was\n")

    def rename(self, name: str) -> None:
        super().rename(name)
        self._targets.clear()

    def save(self, name: str | None = None, overwrite: bool = True) -> Self:
        self._targets.clear()
        return super().save(name, overwrite)

    @property
    def config_for_rns(self) -> dict[str, Any]:
        bundle = self.bundle()
        env = self.env.config_for_rns
        record = bundle_record(
            str(self._name or bundle.qualname),
            bundle,
            system=self.system.key if self.system else "here",
            env=env if env["env_name"] != "base" else "",
        )
        return record.config | ({"resources": self.resources} if self.resources else {})

    # ---- calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it there and return what it returned.

        Beside its own parameters a call takes ``stream_logs=False`` (print nothing),
        ``timeout_s=``, ``run_name=`` (keep the result under that key too), ``remote=True`` (as
        `remote`) and ``run_async=True`` (as `run`), unless the function has one so named.
        """
        if self.system is None and self.fn is not None:
            return self.fn(*args, **kwargs)
        wanted = self._options(kwargs)
        if wanted.get("remote"):
            return self.remote(*args, **kwargs)
        if wanted.get("run_async"):
            return self.run(*args, **kwargs)
        options = Options(
            stream_logs=wanted.get("stream_logs", True),
            timeout_s=float(wanted.get("timeout_s") or 0),
            keep=wanted.get("run_name") or "",
        )
        value = calls.call(session(), self._target(), args, kwargs, options)
        return self._cluster().get(options.keep) if options.keep else value

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The same as calling it."""
        return self(*args, **kwargs)

    def remote(self, *args: Any, local: bool = True, **kwargs: Any) -> Kept:
        """Run it and leave the result on the cluster; returns a handle of it."""
        wanted = self._options(kwargs)
        key = wanted.get("run_name") or new_run_id()
        options = Options(stream_logs=wanted.get("stream_logs", True), keep=key)
        calls.call(session(), self._target(), args, kwargs, options)
        return Kept(self._cluster(), key)

    def run(self, *args: Any, local: bool = True, **kwargs: Any) -> str:
        """Start it and return at once; the run's id is what `get` takes."""
        wanted = self._options(kwargs)
        target = self._target()
        run = session().desk.start(
            target.name,
            target.bundle,
            args,
            kwargs,
            on=target.cluster,
            env=target.env,
            node=target.node,
            as_json=False,
            timeout_s=float(wanted.get("timeout_s") or 0),
            reads=calls.reads_of(target, args, kwargs),
        )
        return run.run_id

    def get(self, run_key: str) -> Any:
        """The result of a run started by `run`; waits for it.

        Raises:
            Exception: What the function raised.
        """
        return result_of(session().desk.run(run_key))

    def map(self, *args: Iterable[Any], **kwargs: Any) -> list[Any]:
        """Call it for each tuple of ``zip(*args)``, over the cluster's nodes and cores.

        The results come in order. What was on a node that went away is lost, each item by its
        number, and never called twice; with ``idempotent=True`` it is called on another node.
        """
        return self.starmap(list(zip(*args, strict=False)), **kwargs)

    def starmap(self, args_lists: Iterable[Sequence[Any]], **kwargs: Any) -> list[Any]:
        """The same with the arguments of each call as a tuple; *kwargs* go to every call."""
        wanted = self._options(kwargs)
        items = [(tuple(args), kwargs) for args in args_lists]
        if self.system is None and self.fn is not None:
            return [self.fn(*args, **keywords) for args, keywords in items]
        options = Options(
            stream_logs=wanted.get("stream_logs", True),
            timeout_s=float(wanted.get("timeout_s") or 0),
            idempotent=bool(wanted.get("idempotent")),
        )
        return calls.map_call(session(), self._target(), items, options)

    def get_or_call(
        self, run_name: str, load: bool = True, local: bool = True, *args: Any, **kwargs: Any
    ) -> Any:
        """The result kept under *run_name*, or of a call made now and kept there."""
        try:
            return self._cluster().get(run_name, default=KeyError)
        except KeyError:
            return self(*args, run_name=run_name, **kwargs)

    def http_url(self, curl_command: bool = False, *args: Any, **kwargs: Any) -> str:
        """Its HTTP endpoint, or the line that calls it."""
        env = self._target().env
        line = session().desk.curl_line(self.called, self.bundle(), method="call", env=env)
        return line if curl_command else line.rsplit(" ", 1)[-1]

    def notebook(
        self, persist: bool = False, sync_package_on_close: Any = None, port_forward: int = 8888
    ) -> None:
        """JupyterLab on its cluster."""
        self._cluster().notebook(persist, sync_package_on_close, port_forward)

    def send_secrets(self, providers: Sequence[str] | None = None) -> None:
        """Secrets to its cluster."""
        self._cluster().sync_secrets(providers)

    def keep_warm(self, autostop_mins: int | None = None) -> Self:
        """Nothing to do: a machine of your own is not stopped when idle."""
        return self

    def _cluster(self) -> Cluster:
        if self.system is None:
            raise BadInput(f"{self!r} is on no cluster yet; send it: .to('here')")
        return self.system

    def _target(self) -> Target:
        if (config := self._newer()) is not None and config.get("resource_type") == "function":
            self._take_over(self.of_config(config))
        self._notice_edits()
        key = self.called
        if (known := self._targets.get(key)) is not None:
            return known
        if not self._is_ready:
            self.env.to(self._cluster())
            self._is_ready = True
        bundle = self.bundle()
        target = Target(
            name=key,
            bundle=bundle,
            definition=bundle.digest(key),
            cluster=self._cluster().key,
            env=self.env.env_name,
            reads=own_reads(self, self.env),
            node=self._node(),
        )
        self._targets[key] = target
        return target

    def _node(self) -> str:
        """The machine of its cluster that has what it needs; empty where any is as good."""
        cluster = self._cluster().key
        if cluster == HERE or not _PLACING.intersection(self.resources):
            return ""
        return session().desk.node_for(cluster, self.resources, self.env.env_name)

    def _take_over(self, newer: Self) -> None:
        """Be of another version: its code and its environment; where it runs stays."""
        self._bundle, self.resources = newer._bundle, newer.resources
        if newer.env.config_for_rns != self.env.config_for_rns:
            self.env, self._is_ready = newer.env, False
        self._targets.clear()

    def _options(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Take from *kwargs* what is meant for the call, not for the function."""
        own = {parameter.name for parameter in self.bundle().signature.parameters}
        return {key: kwargs.pop(key) for key in _OPTIONS if key in kwargs and key not in own}


def result_of(run: Run) -> Any:
    """The value of a run; from the record when it is kept there, else from the cluster."""
    desk = session().desk
    if run.status.is_finished and run.result:
        try:
            value = desk.asynchronous.results.load(run.result).result(may_unpickle=True)
            return came_of(value, run.run_id)
        except NotFound:
            pass
    return calls.fetch(session(), run)
