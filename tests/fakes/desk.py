"""A desk on values in memory, for screens alone: no cluster, no store, no clock of its own.

It answers every verb the TUI uses, in the shapes the real one does; a verb nobody set up answers
as an empty house would. What is asked of it is counted, so that tests can say how little is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from rhdesk import models
from rhdesk.access.policy import why
from rhdesk.config import Settings
from rhdesk.desk import AsyncDesk
from rhdesk.errors import AlreadyExists, BadInput, NotFound, RhdeskError
from rhdesk.models import (
    Access,
    Audited,
    Check,
    Cluster,
    ClusterSpec,
    ClusterState,
    CodePlan,
    Conflict,
    Cost,
    DaemonState,
    Diff,
    Edge,
    Env,
    EnvSpec,
    Exchanged,
    FileVerdict,
    Finding,
    Granted,
    Group,
    Imported,
    Lane,
    Lineage,
    LogHit,
    LogLine,
    Machines,
    Node,
    NodeStats,
    Offer,
    Orphan,
    Overlap,
    Plan,
    Policy,
    Promotion,
    Pulled,
    Record,
    Rejected,
    Run,
    RunStatus,
    Signature,
    Step,
    StepState,
    StoreState,
    Synced,
    Version,
    Watched,
)

NOW = datetime(2026, 10, 5, 12, 0, 0, tzinfo=UTC)


class Written:
    """A log: so many lines, each made when it is asked for."""

    def __init__(self, count: int, text: Callable[[int], str] | None = None) -> None:
        self.count = count
        self._text = text or (lambda seq: f"line {seq}")
        self.printed: list[tuple[str, str]] = []

    def at(self, run_id: str, seq: int) -> LogLine:
        when = NOW.timestamp() + seq * 0.25
        if seq < self.count:
            return LogLine(run_id, seq, "stdout", when, self._text(seq))
        stream, text = self.printed[seq - self.count]
        return LogLine(run_id, seq, "stderr" if stream == "stderr" else "stdout", when, text)

    def __len__(self) -> int:
        return self.count + len(self.printed)


class FakeDesk(AsyncDesk):
    def __init__(self) -> None:
        self.settings = Settings.load()
        self.known = [Cluster(name="here")]
        self.aliases: list[str] = []
        """Hosts of ~/.ssh/config."""
        self.specs: dict[str, ClusterSpec] = {}
        self.offered: list[Offer] = []
        self.spent: list[Cost] = []
        self.lost: list[Orphan] = []
        self.watches: list[Watched] = []
        self.saves: list[Synced] = []
        self.told_plan = CodePlan(folder="/w", tree="5eed" * 16, files=0, size=0)
        """What each save of a folder that is watched becomes, the first how it is."""
        self._saved = asyncio.Event()
        self.records: dict[str, Record] = {}
        self.past: dict[str, list[Version]] = {}
        self.all_runs: list[Run] = []
        """Newest first."""
        self.all_shares: list[Run] = []
        self.samples: list[list[NodeStats]] = []
        """What `stats` answers, one after the other and round again."""
        self.logs: dict[str, Written] = {}
        self.returns: dict[str, Any] = {}
        self.all_envs: list[Env] = []
        self.objects: dict[str, Any] = {}
        self.signatures: dict[str, Signature] = {}
        self.method_names: dict[str, list[str]] = {}
        self.steps: list[Step] = []
        self.checks: list[Check] = []
        self.store = StoreState()
        self.odds: list[Conflict] = []
        self.decided: dict[str, Conflict] = {}
        self.refused: list[Rejected] = []
        self.diffs: dict[str, Diff] = {}
        """By the name, or the names, that were asked for."""
        self.table_gate = asyncio.Event()
        """While it is not set, no page of a table comes."""
        self.table_gate.set()
        self.touched: list[Edge] = []
        self.findings: list[Finding] = []
        self.background = DaemonState(status="running", pid=4711, started_at=NOW)
        self.said_by_daemon: list[str] = []
        self.told_policy = Policy()
        self.all_lanes: list[Lane] = []
        self.all_promotions: list[Promotion] = []
        self.written_down: list[Audited] = []
        self.fails: dict[str, RhdeskError] = {}
        """Verbs that raise, by name."""
        self.asked: list[tuple[str, Any]] = []
        self.lines_read = 0
        self.most_read = 0
        """The largest number of lines ever read at once."""
        self._printed = asyncio.Event()

    def _note(self, verb: str, what: Any = None) -> None:
        self.asked.append((verb, what))
        if verb in self.fails:
            raise self.fails[verb]

    # ---- for tests: what happens on the far side

    def print_line(self, run_id: str, text: str, stream: str = "stdout") -> None:
        self.logs.setdefault(run_id, Written(0)).printed.append((stream, text))
        self._printed.set()

    def end(self, run_id: str, status: RunStatus, **facts: Any) -> None:
        self._replace(run_id, status=status, ended_at=NOW, **facts)
        self._printed.set()

    def _replace(self, run_id: str, **facts: Any) -> Run:
        for at, run in enumerate(self.all_runs):
            if run.run_id == run_id:
                self.all_runs[at] = msgspec.structs.replace(run, **facts)
                return self.all_runs[at]
        raise NotFound(run_id, kind="run")

    # ---- clusters

    async def up(self, cluster: str = "here", *, host_key: str = "") -> AsyncGenerator[Step]:
        self._note("up", cluster)
        for step in self.steps:
            await asyncio.sleep(0)
            yield step
        self.known = [Cluster(name=cluster, state=ClusterState.UP, cpus=2, envs=("base",))]

    async def down(self, cluster: str = "here") -> AsyncGenerator[Step]:
        self._note("down", cluster)
        yield Step(what="end processes", state=StepState.DONE, elapsed_s=0.4)
        self.known = [Cluster(name=cluster)]

    async def cluster(self, name: str = "here") -> Cluster:
        return next((c for c in self.known if c.name == name), Cluster(name=name))

    async def clusters(self) -> list[Cluster]:
        self._note("clusters")
        return list(self.known)

    async def stats(self, cluster: str = "here") -> list[NodeStats]:
        self._note("stats", cluster)
        if self.samples:
            return self.samples[sum(verb == "stats" for verb, _ in self.asked) % len(self.samples)]
        return [
            NodeStats(
                node="head", at=NOW, cpu_percent=61.0, memory_used_bytes=5_900_000_000,
                memory_total_bytes=8_200_000_000,
            )
        ]  # fmt: skip

    async def hosts(self) -> list[str]:
        self._note("hosts")
        return list(self.aliases)

    async def cluster_names(self) -> list[str]:
        return [cluster.name for cluster in self.known]

    # ---- machines to be had

    async def cluster_spec(self, name: str) -> ClusterSpec | None:
        return self.specs.get(name)

    async def add_cluster(self, spec: ClusterSpec) -> None:
        self._note("add_cluster", spec)
        self.specs[spec.name] = spec

    def wanted(self, name: str, machines: Machines, **more: Any) -> ClusterSpec:
        return ClusterSpec(name=name, machines=machines, **more)

    async def plan(self, spec: ClusterSpec) -> AsyncGenerator[Step | Plan]:
        self._note("plan", spec)
        for step in self.steps:
            await asyncio.sleep(0)
            yield step
        machines = spec.machines or Machines()
        offer = Offer(infra="slurm/lab", instance_type="", accelerators=machines.instance_type,
                      cpus=8, memory_gib=64, price_per_hour=2.5)  # fmt: skip
        yield Plan(cluster=spec.name, instance_type=machines.instance_type, count=machines.count,
                   infra=offer.infra, offers=(offer, *self.offered), for_whom="ada",
                   price_per_hour=offer.price_per_hour * machines.count,
                   autostop_mins=spec.autostop_mins, budget=200, spent=41.5)  # fmt: skip

    async def offers(self, accelerator: str = "", *, provider: str = "") -> list[Offer]:
        self._note("offers", (accelerator, provider))
        return self.offered

    async def costs(self, *, days: int = 30) -> list[Cost]:
        return self.spent

    async def orphans(self) -> list[Orphan]:
        self._note("orphans")
        return self.lost

    async def end_orphans(self, orphans: Sequence[Orphan] | None = None) -> list[Orphan]:
        self._note("end_orphans", orphans)
        ended, self.lost = self.lost, []
        return ended

    async def add_host(self, host: str, *, name: str = "") -> str:
        self._note("add_host", (host, name))
        if host not in self.aliases and "@" not in host:
            raise NotFound(host, kind="cluster, host of ~/.ssh/config or address",
                           near=self.aliases[:3])  # fmt: skip
        self.known.append(Cluster(name=name or host, kind="ssh"))
        return name or host

    async def watch(
        self,
        folder: str = ".",
        *,
        on: str = "here",
        env: str = "",
        targets: Sequence[str] = (),
        files: bool = False,
    ) -> AsyncGenerator[Synced]:
        self._note("watch", (folder, on, env))
        seen, told = Watched(folder=folder, cluster=on, env=env or "base", since=NOW), 0
        self.watches.append(seen)
        try:
            while True:
                for synced in self.saves[told:]:
                    yield synced
                    told += 1
                self._saved.clear()
                await self._saved.wait()
        finally:
            self.watches.remove(seen)

    async def plan_sync(self, folder: str = ".") -> CodePlan:
        self._note("plan_sync", folder)
        return self.told_plan

    async def why_sync(self, path: str, *, folder: str = ".") -> FileVerdict:
        self._note("why_sync", (path, folder))
        for verdict in (*self.told_plan.held_back, *self.told_plan.largest):
            if verdict.path == path:
                return verdict
        raise BadInput(f"{path!r} is not in {folder}: No such file or directory")

    async def push(self, folder: str = ".", *, on: str) -> AsyncGenerator[Step | Synced]:
        self._note("push", (folder, on))
        for step in self.steps:
            yield step

    async def pull(
        self,
        path: str = "",
        *,
        on: str,
        folder: str = ".",
        into: str = "",
        node: str = "",
        overwrite: bool = False,
        dry_run: bool = False,
    ) -> AsyncGenerator[Step | Pulled]:
        self._note("pull", (path, on, folder))
        yield Step(what="bring back 1 files", state=StepState.DONE, detail="1 files, 0.1 MB")
        result = models.Written(path="out/model.pt", size=120_000, at=NOW)
        yield Pulled(folder=folder, cluster=on, files=(result,), kept=("notes.txt",))

    async def drop_watch(self, folder: str = ".", *, on: str) -> Watched:
        self._note("drop_watch", (folder, on))
        (kept,) = [w for w in self.watches if w.is_kept and (w.folder, w.cluster) == (folder, on)]
        self.watches.remove(kept)
        return kept

    def save_file(self, path: str, **facts: Any) -> None:
        """A file of what is watched was saved."""
        made: dict[str, Any] = {"folder": "/w", "cluster": "here", "tree": "t", "at": NOW}
        made |= {"files": 12, "took_s": 0.048, "changed": (path,) if path else ()}
        self.saves.append(Synced(**(made | facts)))
        self._saved.set()

    async def watched(self) -> list[Watched]:
        return list(self.watches)

    async def nodes(self, cluster: str = "here") -> list[Node]:
        self._note("nodes", cluster)
        return [node for known in self.known if known.name == cluster for node in known.nodes]

    async def autostop(self, cluster: str, minutes: float) -> None:
        self._note("autostop", cluster)

    async def doctor(self, cluster: str = "here") -> list[Check]:
        self._note("doctor", cluster)
        return list(self.checks)

    # ---- envs

    async def envs(self, cluster: str = "here") -> list[Env]:
        self._note("envs", cluster)
        return [env for env in self.all_envs if env.cluster == cluster]

    async def make_env(
        self, spec: EnvSpec, *, on: str = "here", nodes: Sequence[str] = (), force: bool = False
    ) -> AsyncGenerator[Step]:
        self._note("make_env", spec.name)
        yield Step(what=f"env {spec.name}", state=StepState.DONE)

    async def drop_env(self, name: str, *, on: str = "here", nodes: Sequence[str] = ()) -> None:
        self._note("drop_env", name)
        self.all_envs = [env for env in self.all_envs if env.name != name]

    # ---- calls

    async def signature(self, target: str, *, method: str = "") -> Signature:
        self._note("signature", target)
        found = self.signatures.get(f"{target}.{method}") or self.signatures.get(target)
        if found is None:
            raise NotFound(target, kind="function", near=list(self.signatures)[:2])
        return found

    async def methods(self, target: str) -> list[str]:
        return self.method_names.get(target, ["call"])

    async def submit(
        self,
        target: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        args: Sequence[Any] = (),
        method: str = "",
        on: str = "here",
        env: str | EnvSpec = "",
        node: str = "",
        timeout_s: float | None = None,
    ) -> Run:
        self._note("submit", (target, dict(arguments or {}), tuple(args), method, timeout_s))
        run = Run(
            run_id=f"{len(self.all_runs):08x}new", function=target, cluster=on,
            status=RunStatus.RUNNING, submitted_at=NOW, started_at=NOW,
        )  # fmt: skip
        self.all_runs.insert(0, run)
        self.logs[run.run_id] = Written(0)
        return run

    async def follow(self, run_id: str, *, after: int = -1) -> AsyncGenerator[LogLine]:
        self._note("follow", (run_id, after))
        log, seq = self.logs[run_id], after + 1
        while True:
            while seq < len(log):
                yield log.at(run_id, seq)
                seq += 1
            if (await self.run(run_id)).status.is_finished:
                return
            self._printed.clear()
            await self._printed.wait()

    async def result(self, run_id: str) -> Any:
        self._note("result", run_id)
        return self.returns.get(run_id)

    async def wait(self, run_id: str) -> Run:
        return await self.run(run_id)

    async def cancel(self, run_id: str, *, force: bool = False) -> Run:
        self._note("cancel", run_id)
        self.end(run_id, RunStatus.CANCELLED)
        return await self.run(run_id)

    async def exec(self, commands: Sequence[str], *, on: str = "here", env: str = "base") -> Run:
        self._note("exec", tuple(commands))
        return await self.submit(commands[0], on=on)

    async def curl(self, target: str, *, method: str = "") -> str:
        return f"curl http://127.0.0.1:7000/{target}"

    # ---- objects

    async def put(self, key: str, value: Any, *, on: str = "here", env: str = "base") -> None:
        self._note("put", (key, value))
        self.objects[key] = value

    async def get(self, key: str, *, on: str = "here") -> Any:
        return self.objects[key]

    async def keys(self, *, on: str = "here", env: str = "") -> list[str]:
        return list(self.objects)

    async def delete_keys(self, keys: Sequence[str], *, on: str = "here") -> list[str]:
        self._note("delete_keys", list(keys))
        return [key for key in keys if self.objects.pop(key, None) is not None]

    # ---- names

    async def resources(self, folder: str = "", *, resource_type: str = "") -> list[Record]:
        self._note("resources", resource_type)
        in_store = folder[:1] in {"/", "@"}
        found = [r for r in self.records.values() if r.name.startswith("/") == in_store]
        return [r for r in found if resource_type in {"", r.resource_type}]

    async def save(
        self, record: Record, *, overwrite: bool = True, run_id: str = "", note: str = ""
    ) -> Record:
        self._note("save", record.name)
        if not overwrite and record.name in self.records:
            raise AlreadyExists(record.name)
        self.records[record.name] = record
        return record

    async def delete(self, name: str) -> None:
        self._note("delete", name)
        if name not in self.records:
            raise NotFound(name)
        del self.records[name]

    async def history(self, name: str, *, limit: int = 100) -> list[Version]:
        return self.past.get(name, [])[:limit]

    async def diff(self, before: str, after: str = "") -> Diff:
        self._note("diff", (before, after))
        asked = f"{before} {after}".strip()
        return self.diffs.get(asked) or Diff(before=before, after=after or before)

    async def rollback(self, name: str) -> Record:
        self._note("rollback", name)
        bare, _, version = name.partition("@")
        old = next(v for v in self.past[bare] if v.version.startswith(version))
        again = msgspec.structs.replace(old, saved_at=NOW, summary=f"rollback to {version[:8]}")
        self.past[bare].insert(0, again)
        kind = str(old.config.get("resource_type", "function"))
        self.records[bare] = Record(
            name=bare, resource_type=kind, config=old.config, version=old.version, saved_at=NOW
        )
        return self.records[bare]

    async def lineage(self, name: str, *, depth: int = 8) -> Lineage:
        self._note("lineage", name)
        return Lineage(name=name, edges=tuple(self.touched))

    async def dependents(self, name: str, *, depth: int = 8) -> Lineage:
        self._note("dependents", name)
        return Lineage(name=name, edges=tuple(self.touched), is_down=True)

    # ---- the store and the daemon

    async def store_state(self) -> StoreState:
        return msgspec.structs.replace(
            self.store, conflicts=len(self.odds), rejected=len(self.refused)
        )

    async def stay_in_step(self) -> None:
        await asyncio.Event().wait()

    async def login(self, url: str, token: str, *, folder: str = "") -> StoreState:
        self._note("login", url)
        self.store = StoreState(url=url, user="ana", folder="/ana", status="current")
        return self.store

    async def logout(self, *, discard: bool = False) -> StoreState:
        self._note("logout")
        self.store = StoreState()
        return self.store

    async def sync(self, *, timeout_s: float = 30.0) -> StoreState:
        self._note("sync")
        return await self.store_state()

    async def conflicts(self) -> list[Conflict]:
        return list(self.odds)

    async def resolve(
        self,
        conflict_id: str,
        *,
        take: str = "",
        fields: Mapping[str, str] | None = None,
        copy_to: str = "",
    ) -> Record | None:
        self._note("resolve", (conflict_id, take, dict(fields or {}), copy_to))
        conflict = next(c for c in self.odds if c.conflict_id == conflict_id)
        self.odds.remove(conflict)
        self.decided[conflict_id] = conflict
        config = conflict.ours if take == "ours" else conflict.theirs
        if config is None:
            return None
        return Record(name=conflict.name, resource_type="env", config=config, version="d" * 40)

    async def reopen(self, conflict_id: str) -> Conflict:
        self._note("reopen", conflict_id)
        self.odds.append(self.decided.pop(conflict_id))
        return self.odds[-1]

    async def rejected(self) -> list[Rejected]:
        return list(self.refused)

    async def drop_rejected(self, op_id: str) -> None:
        self._note("drop_rejected", op_id)
        self.refused = [each for each in self.refused if each.op_id != op_id]

    async def share(self, name: str, users: Sequence[str], *, level: str = "read") -> list[str]:
        self._note("share", (name, tuple(users), level))
        return [f"{user}: {level}" for user in users]

    # ---- tables: the real verbs, over real files; asking is counted

    async def table_info(
        self, path: str, *, options: Mapping[str, Any] | None = None
    ) -> models.TableInfo:
        self._note("table_info", path)
        return await super().table_info(path, options=options)

    async def table_page(self, path: str, **asked: Any) -> models.TablePage:
        self._note("table_page", asked | {"columns": tuple(asked.get("columns") or ())})
        await self.table_gate.wait()
        return await super().table_page(path, **asked)

    async def column_profile(
        self, path: str, column: str, *, options: Mapping[str, Any] | None = None
    ) -> models.ColumnProfile:
        self._note("column_profile", column)
        return await super().column_profile(path, column, options=options)

    async def table_count(self, path: str, **asked: Any) -> int:
        self._note("table_count", asked)
        return await super().table_count(path, **asked)

    # ---- who may what

    async def policy(self, *, offline: bool = False) -> Policy:
        return self.told_policy

    async def access_why(
        self, principal: str, action: str, name: str, *, offline: bool = False
    ) -> Access:
        self._note("access_why", (principal, action, name))
        folder = name.rpartition("/")[0] if name in self.records else name
        return why(self.told_policy, principal, action, name, folder, NOW)

    async def rights(self, principal: str = "", *, offline: bool = False) -> list[Access]:
        self._note("rights", principal)
        names = sorted(name for name in self.records if name.startswith("/"))
        return [
            why(self.told_policy, principal or self.store.user, "read", name,
                name.rpartition("/")[0], NOW)
            for name in names
        ]  # fmt: skip

    async def grants(self, folder: str = "") -> list[Granted]:
        return list(self.told_policy.grants)

    async def grant_access(
        self, folder: str, principals: Sequence[str], *, level: str = "read", days: float = 0.0
    ) -> list[Granted]:
        self._note("grant_access", (folder, list(principals), level, days))
        kept = [
            g for g in self.told_policy.grants
            if g.folder != folder or g.principal not in principals
        ]  # fmt: skip
        if level != "none":
            kept += [Granted(principal=p, folder=folder, level=level) for p in principals]
        self.told_policy = msgspec.structs.replace(self.told_policy, grants=tuple(kept))
        return kept

    async def groups(self) -> list[Group]:
        return list(self.told_policy.groups)

    async def make_group(
        self, name: str, members: Sequence[str] = (), *, level: str = "write"
    ) -> Group:
        self._note("make_group", (name, list(members)))
        made = Group(name=name, members=tuple(members))
        self.told_policy = msgspec.structs.replace(
            self.told_policy, groups=(*self.told_policy.groups, made)
        )
        return made

    async def change_group(
        self, name: str, *, put: Sequence[str] = (), take: Sequence[str] = ()
    ) -> Group:
        self._note("change_group", (name, list(put), list(take)))
        return Group(name=name, members=tuple(put))

    async def drop_group(self, name: str) -> None:
        self._note("drop_group", name)

    async def lanes(self) -> list[Lane]:
        return self.all_lanes

    async def promotions(self, folder: str = "") -> list[Promotion]:
        return self.all_promotions

    async def promote(self, name: str, lane: str = "", *, note: str = "") -> Promotion:
        self._note("promote", (name, lane))
        return self.all_promotions[0]

    async def approve(self, promotion_id: str) -> Promotion:
        self._note("approve", promotion_id)
        at = [p.promotion_id for p in self.all_promotions].index(promotion_id)
        done = msgspec.structs.replace(
            self.all_promotions[at], state="done", approved_by=(self.store.user,)
        )
        self.all_promotions[at] = done
        return done

    async def withdraw(self, promotion_id: str) -> Promotion:
        self._note("withdraw", promotion_id)
        return self.all_promotions[0]

    async def team_audited(self, *, limit: int = 100, matching: str = "") -> list[Audited]:
        self._note("team_audited", matching)
        return self.written_down

    async def daemon(self) -> DaemonState:
        return self.background

    async def fsck(self, *, mend: bool = False) -> list[Finding]:
        self._note("fsck", mend)
        return [msgspec.structs.replace(each, is_mended=mend) for each in self.findings]

    async def rebuild(self) -> list[Finding]:
        self._note("rebuild")
        return []

    async def import_project(self, folder: str, *, dry_run: bool = False) -> Imported:
        self._note("import_project", (folder, dry_run))
        return Imported(
            folder=folder, is_dry_run=dry_run, names={"~/old": "function"},
            not_understood=("rh/odd: its type is none",), secrets=("token in config.yaml",),
        )  # fmt: skip

    async def exchange(self, remote: str = "origin") -> Exchanged:
        self._note("exchange", remote)
        both = Overlap(name="~/digits", why="fields", fields=("/rate",), theirs="7e57" * 10)
        return Exchanged(remote=remote, brought=("~/theirs",), sent=2, conflicts=(both,))

    async def start_daemon(self) -> DaemonState:
        self._note("start_daemon")
        self.background = DaemonState(status="running", pid=4711, started_at=NOW)
        return self.background

    async def stop_daemon(self) -> DaemonState:
        self._note("stop_daemon")
        self.background = DaemonState(status="stopped")
        return self.background

    async def daemon_lines(self, *, limit: int = 200) -> list[str]:
        return self.said_by_daemon[-limit:]

    # ---- runs

    async def run(self, run_id: str) -> Run:
        found = [r for r in self.all_runs if run_id == "last" or r.run_id.startswith(run_id)]
        if not found:
            raise NotFound(run_id, kind="run")
        return found[0]

    async def shares(self, run_id: str) -> list[Run]:
        return [run for run in self.all_shares if run.share_of == run_id]

    async def catch_up(self) -> int:
        return 0

    async def retain(self) -> int:
        return 0

    async def runs(
        self,
        *,
        limit: int = 100,
        offset: int = 0,
        function: str = "",
        status: str = "",
        cluster: str = "",
    ) -> list[Run]:
        self._note("runs", (limit, offset, function))
        found = self.all_runs
        if function:
            found = [run for run in found if run.function == function]
        if cluster:
            found = [run for run in found if run.cluster == cluster]
        return found[offset : offset + limit]

    async def count_runs(self, *, function: str = "", status: str = "", cluster: str = "") -> int:
        return len(self.all_runs)

    async def lines(self, run_id: str, start: int = 0, stop: int | None = None) -> list[LogLine]:
        log = self.logs.get(run_id, Written(0))
        stop = len(log) if stop is None else min(stop, len(log))
        self.lines_read += max(stop - start, 0)
        self.most_read = max(self.most_read, stop - start)
        return [log.at(run_id, seq) for seq in range(start, stop)]

    async def count_lines(self, run_id: str) -> int:
        return len(self.logs.get(run_id, ()))

    async def find_line(
        self, run_id: str, text: str, *, after: int = -1, backwards: bool = False
    ) -> int | None:
        return self._find(run_id, after, backwards, lambda line: text.lower() in line.lower())

    async def find_level(
        self, run_id: str, levels: Sequence[str], *, after: int = -1, backwards: bool = False
    ) -> int | None:
        words = [level.upper() for level in levels]
        return self._find(run_id, after, backwards, lambda t: any(w in t for w in words))

    def _find(
        self, run_id: str, after: int, backwards: bool, fits: Callable[[str], bool]
    ) -> int | None:
        log = self.logs[run_id]
        order = range(min(after, len(log)) - 1, -1, -1) if backwards else range(
            after + 1, len(log))  # fmt: skip
        return next((seq for seq in order if fits(log.at(run_id, seq).text)), None)

    async def search(self, text: str, *, run_id: str = "", limit: int = 100) -> list[LogHit]:
        hits: list[LogHit] = []
        for run in self.all_runs:
            for line in await self.lines(run.run_id):
                if text.lower() in line.text.lower() and len(hits) < limit:
                    hits.append(LogHit(line, run.function, run.cluster))
        return hits

    async def pin(self, run_id: str, *, pinned: bool = True) -> Run:
        return self._replace(run_id, pinned=pinned)

    async def remove_runs(self, run_ids: Sequence[str]) -> int:
        self._note("remove_runs", list(run_ids))
        before = len(self.all_runs)
        self.all_runs = [run for run in self.all_runs if run.run_id not in run_ids]
        return before - len(self.all_runs)


def make_run(number: int, function: str = "~/digits", **facts: Any) -> Run:
    """A run that started *number* minutes before `NOW`."""
    began = NOW - timedelta(minutes=number)
    merged: dict[str, Any] = {
        "run_id": f"{number:08x}abcd", "function": function, "cluster": "here",
        "status": RunStatus.SUCCEEDED, "submitted_at": began, "started_at": began,
        "ended_at": began + timedelta(seconds=12.4),
    } | facts  # fmt: skip
    return Run(**merged)
