"""``rh.cluster``: a place where functions run, as a handle."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, ClassVar, Final, Self, cast

import msgspec

from rhdesk.clusters.servlet_client import ServletClient
from rhdesk.errors import BadInput, NotFound
from rhdesk.handles import naming
from rhdesk.handles.resource import Resource
from rhdesk.handles.session import HERE, session
from rhdesk.models import Cluster as ClusterSeen
from rhdesk.models import ClusterSpec, ClusterState, EnvSpec, Run, SecretText
from rhdesk.wire.payload import Payload


def cluster(
    name: str,
    host: str | Sequence[str] | None = None,
    ssh_creds: dict[str, Any] | None = None,
    dryrun: bool = False,
    **kwargs: Any,
) -> Cluster:
    """A cluster by name; ``here`` is this machine. With hosts, one of one's own machines.

    Args:
        host: As ssh takes it, ``gpubox`` or ``ada@10.0.0.3``; of several, the head first.
        ssh_creds: Instead of what ``~/.ssh/config`` says: ``ssh_user``, ``ssh_private_key``,
            ``ssh_port``, ``ssh_proxy_command``. A password is asked for and kept nowhere.
        kwargs: ``ips`` is what v0.0.12 called *host* before; ``python``, ``prelude`` and
            ``autostop_mins`` as `ClusterSpec` has them.

    Raises:
        BadInput: Something of it is not understood, or no host.
        NotFound: Only a name was given, and nobody added or saved such a cluster.
    """
    if "instance_type" in kwargs or "provider" in kwargs:
        from rhdesk.handles.ondemand import ondemand_cluster

        return ondemand_cluster(name, dryrun=dryrun, **kwargs)
    hosts = host if host is not None else kwargs.pop("ips", None)
    if hosts is not None:
        spec = _spec(name, [hosts] if isinstance(hosts, str) else hosts, ssh_creds or {}, kwargs)
        session().desk.add_cluster(spec)
        return Cluster(name, dryrun=dryrun)
    if ssh_creds or kwargs:
        raise BadInput(
            f"rh.cluster({name!r}, ...) needs a host for {', '.join(['ssh_creds', *kwargs])}: "
            "rh.cluster('gpubox', host='ada@10.0.0.3')"
        )
    if name.removeprefix("~/") in session().desk.cluster_names():
        return Cluster(name.removeprefix("~/"), dryrun=dryrun)
    return Cluster.from_name(name, dryrun=dryrun)


_CREDS: Final = {
    "ssh_user": "user",
    "ssh_private_key": "key",
    "ssh_port": "port",
    "ssh_proxy_command": "proxy_command",
    "ssh_proxy_jump": "proxy_jump",
}
"""What v0.0.12 called them, and what they are called here."""
_MORE: Final = ("python", "prelude", "autostop_mins")


def _spec(
    name: str, hosts: Sequence[str], creds: dict[str, Any], more: dict[str, Any]
) -> ClusterSpec:
    """A cluster as asked for.

    Raises:
        BadInput: There is a word in it that means nothing.
    """
    ignored = {"password", "ssh_control_name", "ssh_host"}
    unknown = (creds.keys() - _CREDS - ignored) | (more.keys() - set(_MORE))
    if unknown:
        raise BadInput(
            f"rh.cluster({name!r}, ...) does not understand {', '.join(sorted(unknown))}; "
            f"ssh_creds are {', '.join(_CREDS)}, and beside them {', '.join(_MORE)}"
        )
    said = {_CREDS[key]: value for key, value in creds.items() if key in _CREDS}
    described = {"name": name.removeprefix("~/"), "hosts": list(hosts), **said, **more}
    try:
        return msgspec.convert(described, ClusterSpec)
    except msgspec.ValidationError as exc:
        raise BadInput(f"rh.cluster({name!r}, ...): {exc}") from exc


class Cluster(Resource):
    """A cluster. ``rh.here`` is the one on this machine."""

    RESOURCE_TYPE: ClassVar[str] = "cluster"

    def __init__(self, name: str, dryrun: bool = False) -> None:
        super().__init__(name, dryrun)
        self.key = name.removeprefix("~/")
        """What the desk calls it."""

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Self:
        subtype = config.get("resource_subtype", "Cluster")
        if subtype == "SageMakerCluster":
            raise BadInput(
                f"{config.get('name')} is a cluster of SageMaker, which takes no SSH; use "
                "rh.ondemand_cluster(name, instance_type='A10G:1', provider='aws')"
            )
        made = cls(str(config["name"]))
        if hosts := config.get("ips"):
            creds = dict(config.get("ssh_creds") or {})
            session().desk.add_cluster(_spec(made.key, list(hosts), creds, {}))
        return made

    # ---- life

    def is_up(self) -> bool:
        return self.status().state is ClusterState.UP

    def up(self) -> Self:
        """Bring it up, or find it up."""
        session().up(self.key)
        return self

    def up_if_not(self) -> Self:
        return self if self.is_up() else self.up()

    def teardown(self) -> None:
        """End exactly the processes that `up` started."""
        session().show(session().desk.down(self.key))

    def status(self) -> ClusterSeen:
        """How it is doing; answers within two seconds."""
        return session().desk.cluster(self.key)

    def keep_warm(self, autostop_mins: int = -1) -> Self:
        """Have it end itself after so many idle minutes; -1 is never."""
        session().desk.autostop(self.key, autostop_mins)
        return self

    @contextmanager
    def pause_autostop(self) -> Generator[None]:
        """It does not end itself while the block runs, however long nothing is called."""
        desk, minutes = session().desk, self.status().autostop_mins
        desk.autostop(self.key, -1)
        try:
            yield
        finally:
            desk.autostop(self.key, minutes)

    def is_connected(self) -> bool:
        return self.is_up()

    def check_server(self, restart_server: bool = True) -> None:
        """See that its servlets answer; bring it up if they do not and it may."""
        if not self.is_up() and restart_server:
            self.up()

    def restart_server(
        self,
        _rh_install_url: str | None = None,
        resync_rh: bool = True,
        restart_ray: bool = True,
        env_activate_cmd: str | None = None,
    ) -> None:
        """Down and up again. What runs is ended; names and the record stay."""
        self.teardown()
        self.up()

    def save_config_to_cluster(self) -> None:
        """Nothing to do: a cluster is told its name when it is brought up."""

    def ipython(self) -> None:
        """A Python shell; `here` is this machine."""
        naming.ipython()

    def on_this_cluster(self) -> bool:
        """Whether this program itself runs in one of its workers."""
        return "RHDESK_WORKER" in os.environ

    def connect_server_client(self, force_reconnect: bool = False) -> None:
        """Open the line to it; calls do so by themselves."""
        self._client()

    def disconnect(self) -> None:
        """Close nothing: the line is shared by every handle of the program."""

    def ssh(self) -> None:
        """A shell on it; of `here`, your own."""
        if self.key == HERE:
            subprocess.run([os.environ.get("SHELL", "/bin/sh")], check=False)
        else:
            session().desk.shell(self.key)

    def ssh_creds(self) -> dict[str, Any]:
        """What was said of how to reach it; nothing, where ``~/.ssh/config`` says it."""
        found = self.config_for_rns.get("ssh_creds", {})
        return dict(found)

    @contextmanager
    def ssh_tunnel(
        self, local_port: int, remote_port: int | None = None, num_ports_to_try: int = 0
    ) -> Generator[int]:
        """A port of it, on this machine's loopback for as long as the block runs.

        Args:
            num_ports_to_try: So many of the next ports are tried when *local_port* is taken.

        Raises:
            BadInput: It is this machine, or every port that was tried is taken.
        """
        last = local_port + num_ports_to_try
        for port in range(local_port, last + 1):
            wanted = remote_port or local_port
            lines = cast("Generator[str]", session().desk.forward(self.key, wanted, local=port))
            with closing(lines):
                try:
                    next(lines)
                except BadInput:
                    if port == last:
                        raise
                    continue
                yield port
                return

    def notebook(
        self, persist: bool = False, sync_package_on_close: Any = None, port_forward: int = 8888
    ) -> None:
        """JupyterLab on it, until Ctrl-C.

        Raises:
            BadInput: It is this machine.
            SetupFailed: Its base environment has no JupyterLab.
        """
        if self.key == HERE:
            raise BadInput("here is this machine: start JupyterLab as you are used to")
        told = cast("Generator[str]", session().desk.notebook(self.key, local=port_forward))
        with closing(told):
            for line in told:
                sys.stderr.write(f"{line}\n")

    def add_secrets(self, provider_secrets: Mapping[str, Mapping[str, str]]) -> None:
        """Write credentials where their providers look for them there; nothing is kept here."""
        for provider, given in provider_secrets.items():
            values = {field: SecretText(str(text)) for field, text in given.items()}
            session().desk.send_secret(provider, on=self.key, provider=provider, values=values)

    def sync_secrets(self, providers: Sequence[str] | None = None) -> None:
        """Write secrets where their providers look for them there; by default every provider's.

        Raises:
            NotFound: One of *providers* is not kept here; `rh.Secrets.put` does.
        """
        from rhdesk.secrets.providers import has_files

        desk = session().desk
        kept = [each.name for each in desk.secrets() if has_files(each.provider)]
        for name in kept if providers is None else providers:
            desk.send_secret(name, on=self.key)

    # ---- commands

    def run(
        self,
        commands: Sequence[str] | str,
        env: Any = None,
        stream_logs: bool = True,
        port_forward: Any = None,
        require_outputs: bool = True,
        run_name: str | None = None,
    ) -> list[tuple[int, str, str]]:
        """Run shell commands; each one's exit code, stdout and stderr."""
        commands = [commands] if isinstance(commands, str) else list(commands)
        desk = session().desk
        run = desk.exec(commands, on=self.key, env=self._env_name(env))
        if stream_logs:
            self._show(run)
        return [tuple(each) for each in desk.result(run.run_id)]

    def run_python(
        self,
        commands: Sequence[str],
        env: Any = None,
        stream_logs: bool = True,
        port_forward: Any = None,
        run_name: str | None = None,
    ) -> list[tuple[int, str, str]]:
        """Run lines of Python in one interpreter of an environment."""
        command = f"python -c {shlex.quote(chr(10).join(commands))}"
        return self.run([command], env=env, stream_logs=stream_logs, run_name=run_name)

    def install_packages(self, reqs: Sequence[str], env: Any = None) -> None:
        """Add packages to an environment: it is made anew with them beside what it had.

        Raises:
            BadInput: *env* is the base environment, which stays as it is.
        """
        name = self._env_name(env)
        had = next((each for each in session().desk.envs(self.key) if each.name == name), None)
        kept = had.packages if had else ()
        session().make_env(EnvSpec(name=name, reqs=(*kept, *reqs)), on=self.key)

    def remove_conda_env(self, env: Any) -> None:
        """Drop an environment; they are venvs here."""
        session().desk.drop_env(self._env_name(env), on=self.key)

    # ---- objects

    def put(self, key: str, obj: Any, env: Any = None) -> None:
        """Keep a picklable object under a key."""
        payload = Payload.of_result(obj, f"the value of {key!r}")
        session().desk.portal.call(self._client().put, self._env_name(env), key, payload)
        session().desk.note_kept("wrote", key, on=self.key)

    def get(
        self, key: str, default: Any = None, remote: bool = False, stream_logs: bool = False
    ) -> Any:
        """The object under a key, or *default*; ``default=KeyError`` raises when there is none.

        Args:
            remote: Return a handle, and leave the object where it is.
        """
        if remote:
            return Kept(self, key)
        try:
            payload = session().desk.portal.call(self._client().get, "base", key)
        except NotFound:
            if default is KeyError:
                raise KeyError(key) from None
            return default
        session().desk.note_kept("read", key, on=self.key)
        return payload.result(may_unpickle=True)

    def keys(self, env: Any = None) -> list[str]:
        return session().desk.keys(on=self.key)

    def rename(self, name: str, new_key: str = "") -> None:
        """Rename key *name* to *new_key*; with one argument, the cluster itself.

        Raises:
            BadInput: `here` is what this machine is called.
        """
        if not new_key:
            raise BadInput("the cluster here is this machine, and keeps its name")
        session().desk.rename_key(name, new_key, on=self.key)

    def delete(self, keys: Sequence[str] | str) -> list[str]:
        """Delete keys; returns those that were there."""
        keys = [keys] if isinstance(keys, str) else list(keys)
        return session().desk.delete_keys(keys, on=self.key)

    def clear(self) -> None:
        """Delete every key."""
        session().desk.clear(on=self.key)

    def put_resource(
        self, resource: Any, state: dict[str, Any] | None = None, dryrun: bool = False
    ) -> Any:
        """Send a function or module here; what its own `to` does."""
        return resource.to(self)

    # ---- runs

    def call(
        self,
        module_name: str,
        method_name: str,
        *args: Any,
        stream_logs: bool = True,
        run_name: str | None = None,
        remote: bool = False,
        run_async: bool = False,
        save: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call what is saved under a name: a function's ``call``, or a method of a module.

        Args:
            run_name: Keep the result under this key too.
            remote: Leave the result on the cluster; returns a handle of it.
            run_async: Do not wait; returns the run's id.
            save: As *remote*, for the spelling of old.
        """
        saved = naming.load(module_name)
        target = saved if method_name in {"call", "__call__"} else getattr(saved, method_name)
        if run_async:
            return target.run(*args, **kwargs)
        if remote or save:
            return target.remote(*args, **kwargs)
        if run_name and target is saved:
            kwargs["run_name"] = run_name
        return target(*args, stream_logs=stream_logs, **kwargs)

    def cancel(self, key: str, force: bool = False) -> Run:
        """Cancel a run by its id; when this returns its processes are gone."""
        return session().desk.cancel(key, force=force)

    def cancel_all(self, force: bool = False) -> list[Run]:
        """Cancel every run that has not ended."""
        desk = session().desk
        running = [
            run
            for status in ("submitted", "running")
            for run in desk.runs(limit=1000, status=status, cluster=self.key)
        ]
        return [desk.cancel(run.run_id, force=force) for run in running]

    def get_run(self, run_name: str, folder_path: str | None = None) -> Run:
        """What is recorded of a run."""
        return session().desk.run(run_name)

    @property
    def config_for_rns(self) -> dict[str, Any]:
        config = super().config_for_rns | {"name": self.key}
        spec = session().desk.cluster_spec(self.key)
        if spec is None:
            return config
        old = {new: old for old, new in _CREDS.items()}
        said = {old[field]: getattr(spec, field) for field in old if getattr(spec, field)}
        if spec.machines is not None:
            return config
        return config | {"ips": list(spec.hosts), "ssh_creds": said}

    def _client(self) -> ServletClient:
        desk = session().desk
        return desk.portal.call(desk.asynchronous.clusters_room.client, self.key)

    def _show(self, run: Run) -> None:
        import sys  # deferred: only who shows lines needs it

        for line in session().desk.follow(run.run_id):
            (sys.stdout if line.stream == "stdout" else sys.stderr).write(line.text + "\n")

    def _env_name(self, env: Any) -> str:
        return "base" if env is None else str(getattr(env, "env_name", env))


here = Cluster(HERE)
"""This machine. It need not be up to be named."""


class Kept:
    """An object that stays on its cluster; passed as an argument, the function gets its value."""

    def __init__(self, system: Cluster, key: str) -> None:
        self.system = system
        self.key = key

    def fetch(self) -> Any:
        """Its value, here."""
        return self.system.get(self.key, default=KeyError)

    def resolve(self) -> Any:
        """What stands for it in an argument: the function is given the value itself."""
        from rhdesk.wire.reference import Reference

        return Reference(self.key)

    def __reduce__(self) -> Any:
        return self.resolve().__reduce__()

    def __repr__(self) -> str:
        return f"<rhdesk object {self.key!r} on {self.system.key}>"


def cluster_of(system: str | Cluster | None) -> Cluster:
    """What callers may give as ``system=``: a handle or a name; nothing is this machine."""
    if isinstance(system, Cluster):
        return system
    if system in {None, HERE, "file"}:
        return Cluster(HERE)
    return cluster(str(system))
