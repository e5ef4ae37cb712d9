"""``rh.module``: a class whose instances live on a cluster and keep their state between calls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from rhdesk.code.bundle import Bundle
from rhdesk.code.bundling import (
    bundle_of,
    bundle_of_instance,
    bundle_record,
    record_bundle,
    root_of,
)
from rhdesk.code.edits import Edits
from rhdesk.errors import BadInput, NotFound
from rhdesk.handles import calls, naming
from rhdesk.handles.calls import Options, Target
from rhdesk.handles.cluster import Cluster, Kept, cluster_of
from rhdesk.handles.env import Env, env_of, own_reads
from rhdesk.handles.resource import Resource
from rhdesk.handles.session import session
from rhdesk.models import Record
from rhdesk.runs.making import new_run_id

_OPTIONS = ("stream_logs", "run_name", "timeout_s", "local")


def module(
    cls: type | None = None,
    name: str | None = None,
    system: str | Cluster | None = None,
    env: Env | str | Sequence[str] | None = None,
    dryrun: bool = False,
) -> Any:
    """Turn a class into one whose instances live on a cluster; with a name alone, the saved one.

    Returns:
        Something to call as the class would be: ``Remote = rh.module(Counter).to("here")``, then
        ``counter = Remote(start=3, name="~/counter")``.
    """
    if cls is None:
        if not name:
            raise BadInput("rh.module needs a class, or the name of a saved one")
        return Module.from_name(name, dryrun=dryrun)
    made = RemoteClass(cls, name=name, dryrun=dryrun)
    if system is not None:
        return made.to(system, env=env)
    made.env = env_of(env)
    return made


class RemoteClass(Resource):
    """A class and where its instances live. Calling it makes one there."""

    RESOURCE_TYPE: ClassVar[str] = "module"

    def __init__(self, cls: type, name: str | None = None, dryrun: bool = False) -> None:
        super().__init__(name, dryrun)
        self.cls = cls
        self.system: Cluster | None = None
        self.env = Env()
        self._bundle: Bundle | None = None
        self._edits = Edits(None, (), 0)

    def to(
        self,
        system: str | Cluster,
        env: Env | str | Sequence[str] | None = None,
        name: str | None = None,
        force_install: bool = False,
    ) -> Self:
        """Choose where instances live, the environment made there first."""
        self.system = cluster_of(system)
        if env is not None:
            self.env = env_of(env)
        if name:
            self.rename(name)
        self._read()
        if not self.dryrun:
            self.env.to(self.system, force_install=force_install)
        return self

    def __call__(self, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Make an instance: on the cluster, or here when no cluster was chosen."""
        if self.system is None:
            return self.cls(*args, **kwargs)
        if self._bundle is None or self._edits.are_there():
            self._read()
        assert self._bundle is not None, "just read"
        return Module.made(self._bundle, args, kwargs, name=name, system=self.system, env=self.env)

    def _read(self) -> None:
        began_ns = time.time_ns()
        self._bundle, blobs = bundle_of(self.cls, edited=self._edits.are_there())
        session().desk.asynchronous.shelf.keep(blobs)
        self._edits = Edits(root_of(self.cls), self._bundle.files, began_ns)


class Module(Resource):
    """An instance on a cluster. Its methods run there; subclass it, and `to` sends the instance.

    A method is called as if it were here; ``m.f.remote(x)`` leaves the result there, ``m.f.run(x)``
    does not wait, ``m.f.map(xs)`` calls it for each. ``m.remote.size`` reads an attribute,
    ``m.remote.size = 3`` writes it; ``m.local.size`` is this side's.
    """

    RESOURCE_TYPE: ClassVar[str] = "module"

    def __init__(
        self,
        pointers: Any = None,
        name: str | None = None,
        system: str | Cluster | None = None,
        env: Any = None,
        dryrun: bool = False,
    ) -> None:
        super().__init__(name, dryrun)
        self._system = cluster_of(system) if system is not None else None
        self._env = env_of(env)
        self._there: Instance | None = None

    @classmethod
    def made(
        cls,
        bundle: Bundle,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        *,
        name: str | None,
        system: Cluster,
        env: Env,
    ) -> Module:
        """An instance made on *system* by calling the class there."""
        handle = Module(name=name, system=system, env=env)
        key = handle.rns_address or f"{bundle.qualname}-{new_run_id()[-6:]}"
        handle._there = Instance(key, bundle, system, env)
        handle._there.call("__init__", args, kwargs, Options())
        return handle

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Module:
        name = str(config["name"])
        handle = Module(name=name, system=config.get("system") or "here", env=None)
        env = config.get("env")
        handle._env = Env.of_config(env) if isinstance(env, dict) else env_of(env)
        bundle = record_bundle(Record(name=name, resource_type="module", config=config))
        key = str(config.get("key") or name)
        handle._there = Instance(key, bundle, cluster_of(config.get("system")), handle._env)
        return handle

    @property
    def system(self) -> Cluster | None:
        return self._system

    @property
    def env(self) -> Env:
        return self._env

    def to(
        self,
        system: str | Cluster,
        env: Env | str | Sequence[str] | None = None,
        name: str | None = None,
    ) -> Module:
        """Send this instance with its state; returns the handle of the one over there."""
        cluster = cluster_of(system)
        there = env_of(env if env is not None else self._env)
        there.to(cluster)
        bundle, blobs = bundle_of_instance(self, state=self._state())
        session().desk.asynchronous.shelf.keep(blobs)
        name = name or self.rns_address
        return Module.made(bundle, (), {}, name=name, system=cluster, env=there)

    def get_or_to(
        self,
        system: str | Cluster,
        env: Env | str | Sequence[str] | None = None,
        name: str | None = None,
    ) -> Module:
        """The one already there under *name*, else this one sent."""
        cluster = cluster_of(system)
        key = str(naming.parse(name)) if name else self.rns_address
        if key is None:
            raise BadInput("get_or_to looks for a name; give one: name='~/counter'")
        bundle, blobs = bundle_of_instance(self, state=self._state())
        session().desk.asynchronous.shelf.keep(blobs)
        handle = Module(name=key, system=cluster, env=env)
        handle._there = Instance(key, bundle, cluster, handle._env)
        return handle if handle._there.exists() else self.to(system, env, name)

    @property
    def remote(self) -> Attributes:
        """Attributes of the instance over there, private ones too."""
        return Attributes(self._instance())

    @property
    def local(self) -> Any:
        """Attributes of this side's object."""
        return Local(self)

    def fetch(self, item: str | None = None, stream_logs: bool = False) -> Any:
        """The whole object by value, or one attribute of it."""
        options = Options(stream_logs=stream_logs)
        return self._call(f"get:{item}" if item else "__getstate__", (), {}, options)

    async def fetch_async(self, key: str, remote: bool = False, stream_logs: bool = False) -> Any:
        import asyncio  # deferred: only async callers need it

        return await asyncio.to_thread(self.fetch, key, stream_logs)

    async def set_async(self, key: str, value: Any) -> None:
        import asyncio

        await asyncio.to_thread(self._call, f"set:{key}", (value,), {}, Options())

    def resolve(self) -> Any:
        """What stands for it in an argument: the function gets the object as it is now."""
        key = new_run_id()
        self._call("__getstate__", (), {}, Options(keep=key))
        return Kept(self._instance().system, key)

    def resolved_state(self) -> Any:
        return self.fetch()

    def refresh(self) -> Module:
        """Nothing to do: a handle holds no state of its own."""
        return self

    @property
    def config_for_rns(self) -> dict[str, Any]:
        there = self._instance()
        env = self._env.config_for_rns if self._env.env_name != "base" else ""
        record = bundle_record(str(self._name), there.bundle, system=there.system.key, env=env)
        return record.config | {"key": there.key}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or self.__dict__.get("_there") is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        there = self._instance()
        if name in there.bundle.methods:
            return Method(there, name)
        # Not a method as far as the source tells: a property, or an attribute set over there.
        return self._call(f"get:{name}", (), {}, Options())

    def __setattr__(self, name: str, value: Any) -> None:
        is_there = self.__dict__.get("_there") is not None and not name.startswith("_")
        if (
            is_there
            and not isinstance(getattr(type(self), name, None), property)
            and name != "dryrun"
        ):
            self._call(f"set:{name}", (value,), {}, Options())
        else:
            object.__setattr__(self, name, value)

    def _call(
        self, method: str, args: Sequence[Any], kwargs: dict[str, Any], options: Options
    ) -> Any:
        return self._instance().call(method, args, kwargs, options)

    def _instance(self) -> Instance:
        if self._there is None:
            raise BadInput(f"{self!r} is on no cluster yet; send it: .to('here')")
        if (config := self._newer()) is not None and config.get("resource_type") == "module":
            there = type(self).of_config(config)._there
            object.__setattr__(self, "_there", there)
            assert there is not None
        return self._there.read_as(self)

    def _state(self) -> dict[str, Any]:
        own = {"_name", "_version", "dryrun", "provenance", "_seen", "_system", "_env", "_there"}
        return {key: value for key, value in self.__dict__.items() if key not in own}


class Instance:
    """An object on a cluster: which, of what code, and how it is called."""

    def __init__(self, key: str, bundle: Bundle, system: Cluster, env: Env) -> None:
        self.key = key
        self.bundle = bundle
        self.system = system
        self.env = env
        self._definition = bundle.digest(key)
        self._version = ""
        self._reads: tuple[tuple[str, str], ...] = ()

    def read_as(self, handle: Module) -> Self:
        """Calls read what *handle* is saved as; asked for once for each version."""
        read = Resource.saved_as(handle)
        if read and read[1] != self._version:
            self._version, self._reads = read[1], own_reads(handle, self.env)
        return self

    def call(
        self, method: str, args: Sequence[Any], kwargs: dict[str, Any], options: Options
    ) -> Any:
        return calls.call(session(), self.target(method), args, kwargs, options)

    def target(self, method: str) -> Target:
        return Target(
            name=self.key,
            bundle=self.bundle,
            definition=self._definition,
            cluster=self.system.key,
            env=self.env.env_name,
            instance=self.key,
            method=method,
            reads=self._reads,
        )

    def exists(self) -> bool:
        """Whether it is still there: it goes with its env servlet."""
        try:
            self.call("get:__module__", (), {}, Options(stream_logs=False))
        except NotFound:
            return False
        return True


class Method:
    """A method of an instance over there."""

    def __init__(self, there: Instance, name: str) -> None:
        self._there = there
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        options = self._options(kwargs)
        return self._there.call(self._name, args, kwargs, options)

    def remote(self, *args: Any, **kwargs: Any) -> Kept:
        """Call it and leave the result there."""
        key = new_run_id()
        self._there.call(self._name, args, kwargs, Options(keep=key))
        return Kept(self._there.system, key)

    def run(self, *args: Any, **kwargs: Any) -> str:
        """Start it and return at once; the run's id is what ``rh.here.get_run`` takes."""
        target = self._there.target(self._name)
        run = session().desk.start(
            target.name,
            target.bundle,
            args,
            kwargs,
            method=self._name,
            instance=target.instance,
            on=target.cluster,
            env=target.env,
            as_json=False,
            reads=calls.reads_of(target, args, kwargs),
        )
        return run.run_id

    def map(self, *args: Any) -> list[Any]:
        """Call it for each tuple of ``zip(*args)``; the calls of one instance take turns."""
        items: list[tuple[Sequence[Any], dict[str, Any]]] = [
            (each, {}) for each in zip(*args, strict=False)
        ]
        return calls.map_call(session(), self._there.target(self._name), items, Options())

    def _options(self, kwargs: dict[str, Any]) -> Options:
        signature = self._there.bundle.methods.get(self._name)
        own = {p.name for p in signature.parameters} if signature else set[str]()
        taken = {key: kwargs.pop(key) for key in _OPTIONS if key in kwargs and key not in own}
        return Options(
            stream_logs=taken.get("stream_logs", True),
            timeout_s=float(taken.get("timeout_s") or 0),
        )


class Attributes:
    """``m.remote``."""

    def __init__(self, there: Instance) -> None:
        object.__setattr__(self, "_there", there)

    def __getattr__(self, name: str) -> Any:
        there: Instance = object.__getattribute__(self, "_there")
        return there.call(f"get:{name}", (), {}, Options())

    def __setattr__(self, name: str, value: Any) -> None:
        there: Instance = object.__getattribute__(self, "_there")
        there.call(f"set:{name}", (value,), {}, Options())


class Local:
    """``m.local``."""

    def __init__(self, module: Module) -> None:
        object.__setattr__(self, "_module", module)

    def __getattr__(self, name: str) -> Any:
        return object.__getattribute__(object.__getattribute__(self, "_module"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(object.__getattribute__(self, "_module"), name, value)
