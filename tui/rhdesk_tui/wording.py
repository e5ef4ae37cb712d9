"""How states, times and sizes are spelled on every screen: a sign, a word and a tone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from textual.content import Content

from rhdesk.foreign import clean, clean_block
from rhdesk.models import (
    Cluster,
    ClusterState,
    Conflict,
    Link,
    Node,
    Run,
    RunStatus,
    StepState,
    StoreState,
)  # fmt: skip

Tone = Literal["", "good", "warn", "bad", "quiet", "accent", "strong"]

STYLES: Final[dict[Tone, str]] = {
    "": "",
    "good": "$success",
    "warn": "$warning",
    "bad": "$error",
    "quiet": "$quiet",
    "accent": "$accent",
    "strong": "bold",
}


class Saying(NamedTuple):
    """A state as a person reads it."""

    text: str
    tone: Tone


_RUNS: Final = {
    RunStatus.SUBMITTED: Saying("○ waiting", "quiet"),
    RunStatus.RUNNING: Saying("▶ running", "accent"),
    RunStatus.SUCCEEDED: Saying("✓ done", "good"),
    RunStatus.FAILED: Saying("✖ failed", "bad"),
    RunStatus.CANCELLED: Saying("■ cancelled", "warn"),
    RunStatus.LOST: Saying("? lost", "bad"),
}
_CLUSTERS: Final = {
    ClusterState.DOWN: Saying("▽ down", "quiet"),
    ClusterState.STARTING: Saying("◐ starting", "accent"),
    ClusterState.STOPPED: Saying("▼ stopped", "quiet"),
    ClusterState.UP: Saying("▲ up", "good"),
    ClusterState.BROKEN: Saying("✖ broken", "bad"),
    ClusterState.UNREACHABLE: Saying("≈ away", "warn"),
}
_STEPS: Final = {
    StepState.STARTED: Saying("◐ started", "accent"),
    StepState.PROGRESS: Saying("◐ working", "accent"),
    StepState.DONE: Saying("✓ done", "good"),
    StepState.FAILED: Saying("✖ failed", "bad"),
}
_ENVS: Final = {
    "up": Saying("▲ up", "good"),
    "starting": Saying("◐ starting", "accent"),
    "died": Saying("✖ died", "bad"),
}


_SYNC: Final = {
    "": Saying("", ""),
    "current": Saying("≡ in step", "quiet"),
    "queued": Saying("↑ queued", "accent"),
    "conflict": Saying("≠ conflict", "warn"),
    "rejected": Saying("✖ refused", "bad"),
}
_CONFLICTS: Final = {
    "edited-and-deleted": "changed here, deleted there",
    "deleted-and-edited": "deleted here, changed there",
    "name-taken": "another resource has the name",
    "server-rolled-back": "the store was restored from before it",
}


def say_sync(sync: str) -> Saying:
    return _SYNC.get(sync, Saying(f"? {clean(sync)}", "warn"))


def say_conflict(conflict: Conflict) -> str:
    if conflict.why == "fields":
        return f"both changed {', '.join(conflict.fields)}"
    return _CONFLICTS.get(conflict.why, conflict.why)


def say_store(store: StoreState, now: datetime) -> Saying:
    """How this machine stands to the store, what a person has to do first."""
    waits = f" · ↑ {many(store.queued, 'write')} queued" if store.queued else ""
    if store.conflicts:
        return Saying(f"≠ {many(store.conflicts, 'conflict')}{waits}", "warn")
    match store.status:
        case "none":
            return Saying("not logged in", "quiet")
        case "offline":
            since = f" for {age(store.last_contact, now)}" if store.last_contact else ""
            return Saying(f"○ store away{since}{waits}", "quiet")
        case "refused":
            return Saying(f"✖ store refuses{waits}", "bad")
        case "syncing":
            return Saying(f"◐ syncing{waits}", "accent")
        case _:
            return Saying(f"≡ in step{waits}", "quiet")


def say_run(status: RunStatus) -> Saying:
    return _RUNS[status]


def say_cluster(state: ClusterState) -> Saying:
    return _CLUSTERS[state]


def say_node(node: Node) -> Saying:
    """A machine of a cluster on one line: how it is, how far away, what it has."""
    said = _CLUSTERS[node.state]
    if node.link is Link.BROKEN:
        return Saying(f"≈ away: {clean(node.why)}", "warn")
    told = [said.text, node.role]
    if node.round_trip_s:
        told.append(f"{node.round_trip_s * 1000:.0f} ms")
    if node.cpus:
        told.append(many(node.cpus, "core"))
    if node.gpus:
        told.append(f"{node.gpus} x {clean(node.gpu_model) or 'GPU'}")
    if node.why:
        told.append(clean(node.why))
    return Saying("  ".join(told), said.tone)


def say_step(state: StepState) -> Saying:
    return _STEPS[state]


def say_env(state: str) -> Saying:
    return _ENVS.get(state, Saying(f"? {clean(state)}", "warn"))


def duration(seconds: float) -> str:
    """At most six characters: ``0.3s``, ``42s``, ``3m02s``, ``2h14m``, ``6d03h``."""
    if seconds < 0:
        return "0.0s"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    if seconds < 59.5:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02}h"


def age(then: datetime | None, now: datetime) -> str:
    """How long ago, in one unit: ``now``, ``40s``, ``3m``, ``2h``, ``6d``."""
    if then is None:
        return "-"
    seconds = (now - then).total_seconds()
    if seconds < 2:
        return "now"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def run_duration(run: Run, now: datetime) -> str:
    if run.started_at is None:
        return "-"
    return duration(((run.ended_at or now) - run.started_at).total_seconds())


def moment(at: datetime | None) -> str:
    """Local date and time to the second."""
    return "-" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock(at: float) -> str:
    """Local time of day to the millisecond, from seconds since the epoch."""
    whole = datetime.fromtimestamp(at, UTC).astimezone()
    return whole.strftime("%H:%M:%S.") + f"{whole.microsecond // 1000:03}"


def size(count: float) -> str:
    """Bytes, in the decimal unit that leaves at most four digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def count(number: int) -> str:
    return f"{number:,}"


def many(number: int, one: str, more: str = "") -> str:
    """``1 run``, ``2 runs``."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def as_json(value: Any, *, indent: int | None = None) -> str:
    """A value for a person to read; what JSON cannot hold shows as its repr."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=repr)


def plain(text: str) -> Content:
    """One foreign line; nothing in it is read as markup or obeyed by a terminal."""
    return Content(clean(text))


def block(text: str) -> Content:
    """Foreign text of several lines."""
    return Content(clean_block(text))


def toned(saying: Saying) -> Content:
    return Content.styled(clean(saying.text), STYLES[saying.tone])


def money(amount: float) -> str:
    """An amount in the provider's currency; 0 is one that nobody knows."""
    return f"{amount:.2f}" if amount else "price not known"


def cluster_note(cluster: Cluster) -> str:
    """What a person should know about a cluster beside its state, or nothing."""
    if cluster.state is ClusterState.UP:
        said = f"{many(len(cluster.envs), 'env')} · {many(cluster.cpus, 'core')}"
        if cluster.infra:
            said = f"{cluster.infra} · {money(cluster.price_per_hour)}/h · {said}"
        if cluster.autostop_mins >= 0:
            left_s = max(0.0, cluster.autostop_mins * 60 - cluster.idle_s)
            said = f"{said} · {duration(left_s)} left"
        return said
    return cluster.why
