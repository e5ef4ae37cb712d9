"""`Desk`: the same verbs as `AsyncDesk`, for code without an event loop.

Every method here is one line of delegation; `tests/unit/test_blocking_parity.py` keeps the two in
step. One background thread runs one event loop for as long as the desk is open.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import ExitStack, aclosing, suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from anyio import EndOfStream, WouldBlock, create_memory_object_stream
from anyio.from_thread import BlockingPortal, start_blocking_portal

from rhdesk.code.bundle import Bundle
from rhdesk.config import Settings
from rhdesk.desk import AsyncDesk
from rhdesk.desk.settings import SHARED
from rhdesk.models import (
    Access,
    Audited,
    AuditHead,
    Check,
    Cluster,
    ClusterSpec,
    CodePlan,
    ColumnProfile,
    Conflict,
    Cost,
    DaemonState,
    DataCheck,
    DefaultSaid,
    Diff,
    Edge,
    Entry,
    Env,
    EnvSpec,
    Exchanged,
    FileVerdict,
    Finding,
    Flaw,
    Granted,
    Group,
    Held,
    Imported,
    Item,
    Keeper,
    Lane,
    Lineage,
    LogHit,
    LogLine,
    Machines,
    Node,
    NodeStats,
    Offer,
    Orphan,
    Plan,
    Policy,
    Promotion,
    Provider,
    Pulled,
    Record,
    Rejected,
    Run,
    RunCost,
    Secret,
    SecretText,
    Setting,
    Signature,
    SkyState,
    Step,
    StoreState,
    Synced,
    TableInfo,
    TablePage,
    TableWritten,
    TokenTold,
    Values,
    Version,
    Watched,
)

if TYPE_CHECKING:
    from rhdesk.runs.spread import Came, Over, Told

T = TypeVar("T")

_BATCH: Final = 64
"""Items carried across the thread boundary per hop, at most."""


class Desk:
    """A desk that blocks. Use it as a context manager, or close it.

    Args:
        inside_a_loop: Allow it where an event loop runs, which then waits with everybody else: a
            notebook runs one, and its user means to wait.

    Raises:
        RuntimeError: Opened inside a running event loop; use `AsyncDesk` there.
    """

    def __init__(self, settings: Settings | None = None, *, inside_a_loop: bool = False) -> None:
        if not inside_a_loop:
            _refuse_inside_a_loop()
        with ExitStack() as stack:
            self.portal: BlockingPortal = stack.enter_context(start_blocking_portal(name="rhdesk"))
            self.asynchronous: AsyncDesk = stack.enter_context(
                self.portal.wrap_async_context_manager(self.portal.call(AsyncDesk.open, settings))
            )
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()

    # ---- data

    def note_data(self, place: str) -> Held:
        return self.portal.call(self.asynchronous.note_data, place)

    def check_data(self, name: str) -> DataCheck:
        return self.portal.call(self.asynchronous.check_data, name)

    def list_data(self, place: str = ".") -> list[Entry]:
        return self.portal.call(self.asynchronous.list_data, place)

    def data_entry(self, place: str) -> Entry:
        return self.portal.call(self.asynchronous.data_entry, place)

    def read_data(self, place: str, *, limit: int = -1) -> bytes:
        return self.portal.call(partial(self.asynchronous.read_data, place, limit=limit))

    def write_data(self, place: str, data: bytes) -> None:
        self.portal.call(self.asynchronous.write_data, place, data)

    def hash_data(self, place: str) -> str:
        return self.portal.call(self.asynchronous.hash_data, place)

    def make_data_folder(self, place: str) -> None:
        self.portal.call(self.asynchronous.make_data_folder, place)

    def remove_data(self, place: str, *, recursive: bool = False) -> None:
        self.portal.call(partial(self.asynchronous.remove_data, place, recursive=recursive))

    def copy_data(self, source: str, target: str) -> Iterator[Step]:
        return self.iterate(partial(self.asynchronous.copy_data, source, target))

    def move_data(self, source: str, target: str) -> Iterator[Step]:
        return self.iterate(partial(self.asynchronous.move_data, source, target))

    # ---- clusters

    def add_cluster(self, spec: ClusterSpec) -> None:
        self.portal.call(self.asynchronous.add_cluster, spec)

    def add_host(self, host: str, *, name: str = "") -> str:
        return self.portal.call(partial(self.asynchronous.add_host, host, name=name))

    def hosts(self) -> list[str]:
        return self.portal.call(self.asynchronous.hosts)

    def cluster_names(self) -> list[str]:
        return self.portal.call(self.asynchronous.cluster_names)

    def cluster_spec(self, name: str) -> ClusterSpec | None:
        return self.portal.call(self.asynchronous.cluster_spec, name)

    def forget_cluster(self, name: str) -> None:
        self.portal.call(self.asynchronous.forget_cluster, name)

    def up(self, cluster: str = "here", *, host_key: str = "") -> Iterator[Step]:
        return self.iterate(partial(self.asynchronous.up, cluster, host_key=host_key))

    def down(self, cluster: str = "here") -> Iterator[Step]:
        return self.iterate(partial(self.asynchronous.down, cluster))

    def mend(self, cluster: str = "here") -> None:
        self.portal.call(self.asynchronous.mend, cluster)

    def cluster(self, name: str = "here") -> Cluster:
        return self.portal.call(self.asynchronous.cluster, name)

    def clusters(self) -> list[Cluster]:
        return self.portal.call(self.asynchronous.clusters)

    def stats(self, cluster: str = "here") -> list[NodeStats]:
        return self.portal.call(self.asynchronous.stats, cluster)

    def nodes(self, cluster: str = "here") -> list[Node]:
        return self.portal.call(self.asynchronous.nodes, cluster)

    def autostop(self, cluster: str, minutes: float) -> None:
        self.portal.call(self.asynchronous.autostop, cluster, minutes)

    def doctor(self, cluster: str = "here") -> list[Check]:
        return self.portal.call(self.asynchronous.doctor, cluster)

    # ---- machines to be had

    def wanted(self, name: str, machines: Machines, **more: Any) -> ClusterSpec:
        return self.asynchronous.wanted(name, machines, **more)

    def plan(self, spec: ClusterSpec) -> Iterator[Step | Plan]:
        return self.iterate(partial(self.asynchronous.plan, spec))

    def stop(self, cluster: str) -> Iterator[Step]:
        return self.iterate(partial(self.asynchronous.stop, cluster))

    def offers(self, accelerator: str = "", *, provider: str = "") -> list[Offer]:
        return self.portal.call(partial(self.asynchronous.offers, accelerator, provider=provider))

    def costs(self, *, days: int = 30) -> list[Cost]:
        return self.portal.call(partial(self.asynchronous.costs, days=days))

    def run_costs(self, *, days: int = 30) -> list[RunCost]:
        return self.portal.call(partial(self.asynchronous.run_costs, days=days))

    def resize(self, cluster: str, count: int) -> Iterator[Step]:
        return self.iterate(partial(self.asynchronous.resize, cluster, count))

    def orphans(self) -> list[Orphan]:
        return self.portal.call(self.asynchronous.orphans)

    def end_orphans(self, orphans: Sequence[Orphan] | None = None) -> list[Orphan]:
        return self.portal.call(self.asynchronous.end_orphans, orphans)

    def sky(self) -> SkyState:
        return self.portal.call(self.asynchronous.sky)

    def sky_lines(self, *, limit: int = 200) -> list[str]:
        return self.portal.call(partial(self.asynchronous.sky_lines, limit=limit))

    def stop_sky(self) -> SkyState:
        return self.portal.call(self.asynchronous.stop_sky)

    def remove_sky(self) -> SkyState:
        return self.portal.call(self.asynchronous.remove_sky)

    # ---- by hand

    def shell(self, cluster: str, *, command: str = "", node: str = "") -> int:
        return self.portal.call(
            partial(self.asynchronous.shell, cluster, command=command, node=node)
        )

    def forward(
        self, cluster: str, remote: int | str, *, local: int = 0, node: str = ""
    ) -> Iterator[str]:
        return self.iterate(
            partial(self.asynchronous.forward, cluster, remote, local=local, node=node)
        )

    def copy(self, source: str, target: str) -> Iterator[Step]:
        return self.iterate(partial(self.asynchronous.copy, source, target))

    def notebook(self, cluster: str, *, env: str = "base", local: int = 0) -> Iterator[str]:
        return self.iterate(partial(self.asynchronous.notebook, cluster, env=env, local=local))

    # ---- the audit

    def audit(self, action: str, about: str, note: str = "") -> Audited:
        return self.portal.call(self.asynchronous.audit, action, about, note)

    def audited(self, *, limit: int = 100, matching: str = "") -> list[Audited]:
        return self.portal.call(partial(self.asynchronous.audited, limit=limit, matching=matching))

    def audit_head(self) -> AuditHead:
        return self.portal.call(self.asynchronous.audit_head)

    def verify_audit(self, heads: Sequence[AuditHead] = ()) -> list[Finding]:
        return self.portal.call(self.asynchronous.verify_audit, heads)

    # ---- secrets

    def secrets(self) -> list[Secret]:
        return self.portal.call(self.asynchronous.secrets)

    def put_secret(
        self,
        name: str,
        values: Mapping[str, SecretText],
        *,
        provider: str = "",
        expect: int = -1,
    ) -> Secret:
        return self.portal.call(
            partial(self.asynchronous.put_secret, name, values, provider=provider, expect=expect)
        )

    def read_secret(self, name: str, *, version: int = 0) -> Values:
        return self.portal.call(partial(self.asynchronous.read_secret, name, version=version))

    def secret_history(self, name: str) -> list[Secret]:
        return self.portal.call(self.asynchronous.secret_history, name)

    def rename_secret(self, old: str, new: str) -> Secret:
        return self.portal.call(self.asynchronous.rename_secret, old, new)

    def delete_secret(self, name: str) -> None:
        self.portal.call(self.asynchronous.delete_secret, name)

    def providers(self) -> list[Provider]:
        return self.portal.call(self.asynchronous.providers)

    def load_provider(self, provider: str, *, name: str = "", from_env: bool = False) -> Secret:
        return self.portal.call(
            partial(self.asynchronous.load_provider, provider, name=name, from_env=from_env)
        )

    def save_provider(self, name: str, *, version: int = 0, provider: str = "") -> list[str]:
        return self.portal.call(
            partial(self.asynchronous.save_provider, name, version=version, provider=provider)
        )

    def send_secret(
        self,
        name: str,
        *,
        on: str,
        node: str = "",
        provider: str = "",
        values: Mapping[str, SecretText] | None = None,
    ) -> list[str]:
        return self.portal.call(
            partial(
                self.asynchronous.send_secret,
                name,
                on=on,
                node=node,
                provider=provider,
                values=values,
            )
        )

    def secret_keeper(self) -> Keeper:
        return self.portal.call(self.asynchronous.secret_keeper)

    def use_vault(
        self,
        address: str,
        credential: SecretText,
        *,
        mount: str = "secret",
        folder: str = "rhdesk",
        namespace: str = "",
        role_id: str = "",
        ca_file: str = "",
    ) -> Keeper:
        return self.portal.call(
            partial(
                self.asynchronous.use_vault,
                address,
                credential,
                mount=mount,
                folder=folder,
                namespace=namespace,
                role_id=role_id,
                ca_file=ca_file,
            )
        )

    def use_store_keeper(self, folder: str, passphrase: SecretText) -> Keeper:
        return self.portal.call(self.asynchronous.use_store_keeper, folder, passphrase)

    def use_sealed(self) -> Keeper:
        return self.portal.call(self.asynchronous.use_sealed)

    def verify_keeper(self) -> list[Check]:
        return self.portal.call(self.asynchronous.verify_keeper)

    def secret_guard(self) -> str:
        return self.portal.call(self.asynchronous.secret_guard)

    def guard_secrets(self, guard: str) -> None:
        self.portal.call(self.asynchronous.guard_secrets, guard)

    def renew_secret_keys(self) -> int:
        return self.portal.call(self.asynchronous.renew_secret_keys)

    def check_secrets(self) -> list[Finding]:
        return self.portal.call(self.asynchronous.check_secrets)

    # ---- settings

    def explain_settings(self, key: str = "") -> list[Setting]:
        return self.portal.call(self.asynchronous.explain_settings, key)

    def set_setting(self, key: str, value: str | None, *, project: bool = False) -> str:
        return self.portal.call(
            partial(self.asynchronous.set_setting, key, value, project=project)
        )

    def lint_settings(self) -> list[Flaw]:
        return self.portal.call(self.asynchronous.lint_settings)

    def settings_schema(self) -> dict[str, Any]:
        return self.portal.call(self.asynchronous.settings_schema)

    def upload_settings(self, name: str = SHARED) -> Record:
        return self.portal.call(self.asynchronous.upload_settings, name)

    def download_settings(self, name: str = SHARED) -> list[str]:
        return self.portal.call(self.asynchronous.download_settings, name)

    # ---- environments

    def envs(self, cluster: str = "here") -> list[Env]:
        return self.portal.call(self.asynchronous.envs, cluster)

    def make_env(
        self, spec: EnvSpec, *, on: str = "here", nodes: Sequence[str] = (), force: bool = False
    ) -> Iterator[Step]:
        return self.iterate(
            partial(self.asynchronous.make_env, spec, on=on, nodes=nodes, force=force)
        )

    def drop_env(self, name: str, *, on: str = "here", nodes: Sequence[str] = ()) -> None:
        self.portal.call(partial(self.asynchronous.drop_env, name, on=on, nodes=nodes))

    # ---- calls

    def signature(self, target: str, *, method: str = "") -> Signature:
        return self.portal.call(partial(self.asynchronous.signature, target, method=method))

    def methods(self, target: str) -> list[str]:
        return self.portal.call(self.asynchronous.methods, target)

    def bundle(self, target: str) -> Bundle:
        return self.portal.call(self.asynchronous.bundle, target)

    def send(
        self,
        name: str,
        bundle: Bundle,
        *,
        on: str,
        env: str,
        node: str = "",
        live: bool = False,
    ) -> str:
        return self.portal.call(
            partial(self.asynchronous.send, name, bundle, on=on, env=env, node=node, live=live)
        )

    def submit(
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
        return self.portal.call(
            partial(
                self.asynchronous.submit,
                target,
                arguments,
                args=args,
                method=method,
                on=on,
                env=env,
                node=node,
                timeout_s=timeout_s,
            )
        )

    def start(
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
        return self.portal.call(
            partial(
                self.asynchronous.start,
                name,
                bundle,
                args,
                kwargs,
                method=method,
                instance=instance,
                on=on,
                env=env,
                node=node,
                timeout_s=timeout_s,
                as_json=as_json,
                keep=keep,
                run_id=run_id,
                reads=reads,
            )
        )

    def map(
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
    ) -> Iterator[Told | Came | Over]:
        return self.iterate(
            partial(
                self.asynchronous.map,
                name,
                bundle,
                items,
                on=on,
                cores=cores,
                env=env,
                timeout_s=timeout_s,
                idempotent=idempotent,
                reads=reads,
            )
        )

    def map_target(
        self,
        target: str,
        items: Sequence[tuple[Sequence[Any], Mapping[str, Any]]],
        *,
        on: str = "here",
        env: str = "",
        timeout_s: float = 0.0,
        idempotent: bool = False,
    ) -> Iterator[LogLine | Item]:
        return self.iterate(
            partial(
                self.asynchronous.map_target,
                target,
                items,
                on=on,
                env=env,
                timeout_s=timeout_s,
                idempotent=idempotent,
            )
        )

    def nodes_for(self, on: str, env: str = "base") -> dict[str, int]:
        return self.portal.call(self.asynchronous.nodes_for, on, env)

    def node_for(self, on: str, resources: Mapping[str, Any], env: str = "base") -> str:
        return self.portal.call(partial(self.asynchronous.node_for, on, resources, env))

    def shares(self, run_id: str) -> list[Run]:
        return self.portal.call(self.asynchronous.shares, run_id)

    def forget_sent(self) -> None:
        self.asynchronous.forget_sent()

    def plan_sync(self, folder: str = ".") -> CodePlan:
        return self.portal.call(self.asynchronous.plan_sync, folder)

    def why_sync(self, path: str, *, folder: str = ".") -> FileVerdict:
        return self.portal.call(partial(self.asynchronous.why_sync, path, folder=folder))

    def push(self, folder: str = ".", *, on: str) -> Iterator[Step | Synced]:
        return self.iterate(partial(self.asynchronous.push, folder, on=on))

    def pull(
        self,
        path: str = "",
        *,
        on: str,
        folder: str = ".",
        into: str = "",
        node: str = "",
        overwrite: bool = False,
        dry_run: bool = False,
    ) -> Iterator[Step | Pulled]:
        return self.iterate(
            partial(
                self.asynchronous.pull,
                path,
                on=on,
                folder=folder,
                into=into,
                node=node,
                overwrite=overwrite,
                dry_run=dry_run,
            )
        )

    def watch(
        self,
        folder: str = ".",
        *,
        on: str = "here",
        env: str = "",
        targets: Sequence[str] = (),
        files: bool = False,
    ) -> Iterator[Synced]:
        return self.iterate(
            partial(self.asynchronous.watch, folder, on=on, env=env, targets=targets, files=files)
        )

    def keep_watch(
        self,
        folder: str = ".",
        *,
        on: str,
        env: str = "",
        targets: Sequence[str] = (),
        files: bool = False,
    ) -> Watched:
        return self.portal.call(
            partial(
                self.asynchronous.keep_watch,
                folder,
                on=on,
                env=env,
                targets=targets,
                files=files,
            )
        )

    def drop_watch(self, folder: str = ".", *, on: str) -> Watched:
        return self.portal.call(partial(self.asynchronous.drop_watch, folder, on=on))

    def watched(self) -> list[Watched]:
        return self.portal.call(self.asynchronous.watched)

    def follow(self, run_id: str, *, after: int = -1) -> Iterator[LogLine]:
        return self.iterate(partial(self.asynchronous.follow, run_id, after=after))

    def result(self, run_id: str) -> Any:
        return self.portal.call(self.asynchronous.result, run_id)

    def wait(self, run_id: str) -> Run:
        return self.portal.call(self.asynchronous.wait, run_id)

    def cancel(self, run_id: str, *, force: bool = False) -> Run:
        return self.portal.call(partial(self.asynchronous.cancel, run_id, force=force))

    def exec(self, commands: Sequence[str], *, on: str = "here", env: str = "base") -> Run:
        return self.portal.call(partial(self.asynchronous.exec, commands, on=on, env=env))

    def curl(self, target: str, *, method: str = "") -> str:
        return self.portal.call(partial(self.asynchronous.curl, target, method=method))

    def curl_line(self, name: str, bundle: Bundle, *, method: str, env: str) -> str:
        return self.portal.call(
            partial(self.asynchronous.curl_line, name, bundle, method=method, env=env)
        )

    # ---- objects on a cluster

    def put(self, key: str, value: Any, *, on: str = "here", env: str = "base") -> None:
        self.portal.call(partial(self.asynchronous.put, key, value, on=on, env=env))

    def get(self, key: str, *, on: str = "here") -> Any:
        return self.portal.call(partial(self.asynchronous.get, key, on=on))

    def keys(self, *, on: str = "here", env: str = "") -> list[str]:
        return self.portal.call(partial(self.asynchronous.keys, on=on, env=env))

    def rename_key(self, old: str, new: str, *, on: str = "here") -> None:
        self.portal.call(partial(self.asynchronous.rename_key, old, new, on=on))

    def delete_keys(self, keys: Sequence[str], *, on: str = "here") -> list[str]:
        return self.portal.call(partial(self.asynchronous.delete_keys, keys, on=on))

    def clear(self, *, on: str = "here") -> None:
        self.portal.call(partial(self.asynchronous.clear, on=on))

    # ---- names

    def save(
        self, record: Record, *, overwrite: bool = True, run_id: str = "", note: str = ""
    ) -> Record:
        return self.portal.call(
            partial(self.asynchronous.save, record, overwrite=overwrite, run_id=run_id, note=note)
        )

    def save_target(
        self, target: str, name: str, *, env: str = "", overwrite: bool = True
    ) -> Record:
        return self.portal.call(
            partial(self.asynchronous.save_target, target, name, env=env, overwrite=overwrite)
        )

    def load(self, name: str) -> Record:
        return self.portal.call(self.asynchronous.load, name)

    def exists(self, name: str) -> bool:
        return self.portal.call(self.asynchronous.exists, name)

    def resources(self, folder: str = "", *, resource_type: str = "") -> list[Record]:
        return self.portal.call(
            partial(self.asynchronous.resources, folder, resource_type=resource_type)
        )

    def rename(self, old: str, new: str) -> Record:
        return self.portal.call(self.asynchronous.rename, old, new)

    def delete(self, name: str) -> None:
        self.portal.call(self.asynchronous.delete, name)

    def history(self, name: str, *, limit: int = 100) -> list[Version]:
        return self.portal.call(partial(self.asynchronous.history, name, limit=limit))

    # ---- lineage

    def lineage(self, name: str, *, depth: int = 8) -> Lineage:
        return self.portal.call(partial(self.asynchronous.lineage, name, depth=depth))

    def dependents(self, name: str, *, depth: int = 8) -> Lineage:
        return self.portal.call(partial(self.asynchronous.dependents, name, depth=depth))

    def edges(self, run_id: str) -> list[Edge]:
        return self.portal.call(self.asynchronous.edges, run_id)

    def lineage_events(self, *, run_id: str = "") -> Iterator[dict[str, Any]]:
        return self.iterate(partial(self.asynchronous.lineage_events, run_id=run_id))

    def take_lineage_events(self, events: Sequence[Mapping[str, Any]]) -> int:
        return self.portal.call(partial(self.asynchronous.take_lineage_events, events))

    def note(self, kind: str, name: str, version: str = "", *, by: str) -> None:
        self.asynchronous.note(kind, name, version, by=by)

    def note_kept(self, kind: str, key: str, *, on: str) -> None:
        self.asynchronous.note_kept(kind, key, on=on)

    # ---- history

    def diff(self, before: str, after: str = "") -> Diff:
        return self.portal.call(self.asynchronous.diff, before, after)

    def rollback(self, name: str) -> Record:
        return self.portal.call(self.asynchronous.rollback, name)

    # ---- the store

    def login(self, url: str, token: str, *, folder: str = "") -> StoreState:
        return self.portal.call(partial(self.asynchronous.login, url, token, folder=folder))

    def logout(self, *, discard: bool = False) -> StoreState:
        return self.portal.call(partial(self.asynchronous.logout, discard=discard))

    def store_state(self) -> StoreState:
        return self.portal.call(self.asynchronous.store_state)

    def sync(self, *, timeout_s: float = 30.0) -> StoreState:
        return self.portal.call(partial(self.asynchronous.sync, timeout_s=timeout_s))

    def nudge(self) -> StoreState:
        return self.portal.call(self.asynchronous.nudge)

    def conflicts(self) -> list[Conflict]:
        return self.portal.call(self.asynchronous.conflicts)

    def resolve(
        self,
        conflict_id: str,
        *,
        take: str = "",
        fields: Mapping[str, str] | None = None,
        copy_to: str = "",
    ) -> Record | None:
        return self.portal.call(
            partial(
                self.asynchronous.resolve, conflict_id, take=take, fields=fields, copy_to=copy_to
            )
        )

    def reopen(self, conflict_id: str) -> Conflict:
        return self.portal.call(self.asynchronous.reopen, conflict_id)

    def rejected(self) -> list[Rejected]:
        return self.portal.call(self.asynchronous.rejected)

    def drop_rejected(self, op_id: str) -> None:
        self.portal.call(self.asynchronous.drop_rejected, op_id)

    def share(self, name: str, users: Sequence[str], *, level: str = "read") -> list[str]:
        return self.portal.call(partial(self.asynchronous.share, name, users, level=level))

    # ---- who may what

    def access_why(
        self, principal: str, action: str, name: str, *, offline: bool = False
    ) -> Access:
        return self.portal.call(
            partial(self.asynchronous.access_why, principal, action, name, offline=offline)
        )

    def rights(self, principal: str = "", *, offline: bool = False) -> list[Access]:
        return self.portal.call(partial(self.asynchronous.rights, principal, offline=offline))

    def policy(self, *, offline: bool = False) -> Policy:
        return self.portal.call(partial(self.asynchronous.policy, offline=offline))

    def grants(self, folder: str = "") -> list[Granted]:
        return self.portal.call(self.asynchronous.grants, folder)

    def grant_access(
        self,
        folder: str,
        principals: Sequence[str],
        *,
        level: str = "read",
        days: float = 0.0,
    ) -> list[Granted]:
        return self.portal.call(
            partial(self.asynchronous.grant_access, folder, principals, level=level, days=days)
        )

    def groups(self) -> list[Group]:
        return self.portal.call(self.asynchronous.groups)

    def make_group(self, name: str, members: Sequence[str] = (), *, level: str = "write") -> Group:
        return self.portal.call(partial(self.asynchronous.make_group, name, members, level=level))

    def change_group(
        self, name: str, *, put: Sequence[str] = (), take: Sequence[str] = ()
    ) -> Group:
        return self.portal.call(partial(self.asynchronous.change_group, name, put=put, take=take))

    def move_group(self, name: str, into: str = "") -> Group:
        return self.portal.call(self.asynchronous.move_group, name, into)

    def drop_group(self, name: str) -> None:
        return self.portal.call(self.asynchronous.drop_group, name)

    def move_folder(self, old: str, new: str) -> int:
        return self.portal.call(self.asynchronous.move_folder, old, new)

    def tokens(self) -> list[TokenTold]:
        return self.portal.call(self.asynchronous.tokens)

    def narrow_token(
        self, *, scope: str = "read", folder: str = "", days: float = 0.0
    ) -> SecretText:
        return self.portal.call(
            partial(self.asynchronous.narrow_token, scope=scope, folder=folder, days=days)
        )

    def rotate_token(self, *, overlap_s: float = 3600.0) -> None:
        return self.portal.call(partial(self.asynchronous.rotate_token, overlap_s=overlap_s))

    def end_token(self, token_id: str) -> None:
        return self.portal.call(self.asynchronous.end_token, token_id)

    # ---- lanes

    def lanes(self) -> list[Lane]:
        return self.portal.call(self.asynchronous.lanes)

    def lay_lane(self, folder: str, after: str, *, approvals: int = 0) -> Lane:
        return self.portal.call(
            partial(self.asynchronous.lay_lane, folder, after, approvals=approvals)
        )

    def lift_lane(self, folder: str) -> None:
        return self.portal.call(self.asynchronous.lift_lane, folder)

    def promote(self, name: str, lane: str = "", *, note: str = "") -> Promotion:
        return self.portal.call(partial(self.asynchronous.promote, name, lane, note=note))

    def promotions(self, folder: str = "") -> list[Promotion]:
        return self.portal.call(self.asynchronous.promotions, folder)

    def approve(self, promotion_id: str) -> Promotion:
        return self.portal.call(self.asynchronous.approve, promotion_id)

    def withdraw(self, promotion_id: str) -> Promotion:
        return self.portal.call(self.asynchronous.withdraw, promotion_id)

    # ---- defaults of folders

    def folder_defaults(self, folder: str = "@") -> list[DefaultSaid]:
        return self.portal.call(self.asynchronous.folder_defaults, folder)

    def set_default(self, folder: str, key: str, value: str | None) -> Record:
        return self.portal.call(self.asynchronous.set_default, folder, key, value)

    # ---- the store's audit

    def team_audited(self, *, limit: int = 100, matching: str = "") -> list[Audited]:
        return self.portal.call(
            partial(self.asynchronous.team_audited, limit=limit, matching=matching)
        )

    def download_audit(self, file: str) -> AuditHead:
        return self.portal.call(self.asynchronous.download_audit, file)

    def verify_audit_file(
        self, file: str, heads: Sequence[AuditHead] = ()
    ) -> tuple[list[Finding], AuditHead]:
        return self.portal.call(self.asynchronous.verify_audit_file, file, heads)

    # ---- care

    def fsck(self, *, mend: bool = False) -> list[Finding]:
        return self.portal.call(partial(self.asynchronous.fsck, mend=mend))

    def rebuild(self) -> list[Finding]:
        return self.portal.call(self.asynchronous.rebuild)

    def import_project(self, folder: str, *, dry_run: bool = False) -> Imported:
        return self.portal.call(partial(self.asynchronous.import_project, folder, dry_run=dry_run))

    def exchange(self, remote: str = "origin") -> Exchanged:
        return self.portal.call(self.asynchronous.exchange, remote)

    # ---- tables

    def table_info(self, path: str, *, options: Mapping[str, Any] | None = None) -> TableInfo:
        return self.portal.call(partial(self.asynchronous.table_info, path, options=options))

    def table_page(
        self,
        path: str,
        *,
        offset: int = 0,
        limit: int = 50,
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
        order_by: tuple[str, bool] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> TablePage:
        return self.portal.call(
            partial(
                self.asynchronous.table_page,
                path,
                offset=offset,
                limit=limit,
                columns=columns,
                where=where,
                order_by=order_by,
                options=options,
            )
        )

    def column_profile(
        self, path: str, column: str, *, options: Mapping[str, Any] | None = None
    ) -> ColumnProfile:
        return self.portal.call(
            partial(self.asynchronous.column_profile, path, column, options=options)
        )

    def table_count(
        self,
        path: str,
        *,
        where: Sequence[tuple[str, str, Any]] = (),
        options: Mapping[str, Any] | None = None,
    ) -> int:
        return self.portal.call(
            partial(self.asynchronous.table_count, path, where=where, options=options)
        )

    def export_table(
        self,
        path: str,
        file: str,
        *,
        format: str = "",
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
        options: Mapping[str, Any] | None = None,
    ) -> TableWritten:
        return self.portal.call(
            partial(
                self.asynchronous.export_table,
                path,
                file,
                format=format,
                columns=columns,
                where=where,
                options=options,
            )
        )

    def read_table(
        self,
        path: str,
        *,
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        return self.portal.call(
            partial(
                self.asynchronous.read_table, path, columns=columns, where=where, options=options
            )
        )

    def stream_table(
        self,
        path: str,
        *,
        columns: Sequence[str] | None = None,
        where: Sequence[tuple[str, str, Any]] = (),
        batch_size: int = 65_536,
        drop_last: bool = False,
        shuffle_seed: int | None = None,
        shuffle_buffer_size: int | None = None,
        prefetch: int = 4,
        options: Mapping[str, Any] | None = None,
    ) -> Iterator[Any]:
        make = partial(
            self.asynchronous.stream_table,
            path,
            columns=columns,
            where=where,
            batch_size=batch_size,
            drop_last=drop_last,
            shuffle_seed=shuffle_seed,
            shuffle_buffer_size=shuffle_buffer_size,
            prefetch=prefetch,
            options=options,
        )
        return self.iterate(make, ahead=1)  # a batch may be large

    def write_table(
        self,
        data: Any,
        path: str,
        *,
        mode: str = "new",
        format: str = "parquet",
        partition_cols: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> TableWritten:
        return self.portal.call(
            partial(
                self.asynchronous.write_table,
                data,
                path,
                mode=mode,
                format=format,
                partition_cols=partition_cols,
                options=options,
            )
        )

    def copy_table(
        self,
        source: str,
        path: str,
        *,
        mode: str = "new",
        format: str = "parquet",
        partition_cols: Sequence[str] = (),
    ) -> TableWritten:
        return self.portal.call(
            partial(
                self.asynchronous.copy_table,
                source,
                path,
                mode=mode,
                format=format,
                partition_cols=partition_cols,
            )
        )

    def table_sql(
        self,
        path: str,
        statement: str,
        *,
        limit: int = 1000,
        options: Mapping[str, Any] | None = None,
    ) -> TablePage:
        return self.portal.call(
            partial(self.asynchronous.table_sql, path, statement, limit=limit, options=options)
        )

    # ---- the daemon

    def daemon(self) -> DaemonState:
        return self.portal.call(self.asynchronous.daemon)

    def start_daemon(self) -> DaemonState:
        return self.portal.call(self.asynchronous.start_daemon)

    def stop_daemon(self) -> DaemonState:
        return self.portal.call(self.asynchronous.stop_daemon)

    def daemon_lines(self, *, limit: int = 200) -> list[str]:
        return self.portal.call(partial(self.asynchronous.daemon_lines, limit=limit))

    # ---- the record of runs

    def run(self, run_id: str) -> Run:
        return self.portal.call(self.asynchronous.run, run_id)

    def runs(
        self,
        *,
        limit: int = 100,
        offset: int = 0,
        function: str = "",
        status: str = "",
        cluster: str = "",
    ) -> list[Run]:
        return self.portal.call(
            partial(
                self.asynchronous.runs,
                limit=limit,
                offset=offset,
                function=function,
                status=status,
                cluster=cluster,
            )
        )

    def count_runs(self, *, function: str = "", status: str = "", cluster: str = "") -> int:
        return self.portal.call(
            partial(
                self.asynchronous.count_runs, function=function, status=status, cluster=cluster
            )
        )

    def lines(self, run_id: str, start: int = 0, stop: int | None = None) -> list[LogLine]:
        return self.portal.call(self.asynchronous.lines, run_id, start, stop)

    def count_lines(self, run_id: str) -> int:
        return self.portal.call(self.asynchronous.count_lines, run_id)

    def find_line(
        self, run_id: str, text: str, *, after: int = -1, backwards: bool = False
    ) -> int | None:
        return self.portal.call(
            partial(self.asynchronous.find_line, run_id, text, after=after, backwards=backwards)
        )

    def find_level(
        self, run_id: str, levels: Sequence[str], *, after: int = -1, backwards: bool = False
    ) -> int | None:
        return self.portal.call(
            partial(self.asynchronous.find_level, run_id, levels, after=after, backwards=backwards)
        )

    def search(self, text: str, *, run_id: str = "", limit: int = 100) -> list[LogHit]:
        return self.portal.call(
            partial(self.asynchronous.search, text, run_id=run_id, limit=limit)
        )

    def pin(self, run_id: str, *, pinned: bool = True) -> Run:
        return self.portal.call(partial(self.asynchronous.pin, run_id, pinned=pinned))

    def remove_runs(self, run_ids: Sequence[str]) -> int:
        return self.portal.call(self.asynchronous.remove_runs, run_ids)

    def retain(self) -> int:
        return self.portal.call(self.asynchronous.retain)

    def catch_up(self) -> int:
        return self.portal.call(self.asynchronous.catch_up)

    # ---- underneath

    def iterate(self, make: Callable[[], AsyncGenerator[T]], ahead: int = _BATCH) -> Iterator[T]:
        """Pull an async generator from a plain thread.

        One task on the loop owns the generator from first item to close, so leaving early --
        ``break``, an exception, Ctrl-C at any instruction -- is always the same act: cancel it.
        """
        send, receive = create_memory_object_stream[T](ahead)

        async def pump() -> None:
            async with send, aclosing(make()) as items:
                async for item in items:
                    await send.send(item)

        async def batch() -> list[T]:
            try:
                items = [await receive.receive()]
            except EndOfStream:
                return []
            with suppress(WouldBlock, EndOfStream):
                while len(items) < _BATCH:
                    items.append(receive.receive_nowait())
            return items

        pumping = self.portal.start_task_soon(pump)
        try:
            while items := self.portal.call(batch):
                yield from items
            pumping.result()
        finally:
            pumping.cancel()
            wait([pumping])
            self.portal.call(receive.aclose)


def _refuse_inside_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("Desk blocks; inside an event loop, await AsyncDesk instead")
