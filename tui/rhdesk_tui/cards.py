"""One thing described in full, for the inspector and the detail screens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from textual.content import Content

from rhdesk.foreign import clean, clean_block
from rhdesk.models import Cluster, ClusterState, Env, Record, Run, Version
from rhdesk_tui.widgets.resource_list import fit
from rhdesk_tui.wording import (
    STYLES,
    Saying,
    Tone,
    age,
    as_json,
    cluster_note,
    count,
    duration,
    many,
    moment,
    money,
    run_duration,
    say_cluster,
    say_env,
    say_node,
    say_run,
)  # fmt: skip

_WIDEST_LABEL = 16
_LONGEST = 4_000


class Fact(NamedTuple):
    """One line of a card: a label, and text that is wrapped beside it."""

    label: str
    text: Content
    is_row: bool = False
    """Cut where the card ends, so that what stands below each other stays so."""


class Card:
    """Lines put together top to bottom; `fold` fits them into a width."""

    def __init__(self) -> None:
        self._facts: list[Fact] = []

    def __len__(self) -> int:
        """How many facts there are; the number the next one gets."""
        return len(self._facts)

    def fact(self, label: str, value: str, tone: Tone = "") -> Card:
        """One label and its value, of one line or several."""
        text = Content.styled(clean_block(value[:_LONGEST]), STYLES[tone])
        self._facts.append(Fact(clean(label), text))
        return self

    def state(self, label: str, saying: Saying) -> Card:
        return self.fact(label, saying.text, saying.tone)

    def heading(self, text: str) -> Card:
        if self._facts:
            self._facts.append(Fact("", Content("")))
        return self.add(Content.styled(clean(text), f"bold {STYLES['accent']}"))

    def line(self, text: str, tone: Tone = "") -> Card:
        return self.add(Content.styled(clean_block(text[:_LONGEST]), STYLES[tone]))

    def add(self, content: Content) -> Card:
        """Any content; text in it that was not cleaned loses its looks, not its harmlessness."""
        self._facts.append(Fact("", _harmless(content)))
        return self

    def row(self, content: Content) -> Card:
        self._facts.append(Fact("", _harmless(content), is_row=True))
        return self

    def fold(self, width: int) -> Content:
        """The card in *width* cells; what is wrapped stays in its column."""
        return self.folded(width)[0]

    def folded(self, width: int) -> tuple[Content, list[int]]:
        """The same, and the line each fact begins at."""
        width = max(width, 20)
        tops: list[int] = []
        labels = [len(fact.label) for fact in self._facts]
        indent = min(max(labels, default=0), _WIDEST_LABEL, width // 3) + 2
        lines: list[Content] = []
        for fact in self._facts:
            room = width - indent if fact.label else width
            head = fit(fact.label, indent - 2).ljust(indent) if fact.label else ""
            tops.append(len(lines))
            for line in fact.text.split("\n", allow_blank=True):
                if fact.is_row:
                    lines.append(line.truncate(room, ellipsis=True))
                    continue
                for part in line.wrap(room) or [line]:
                    lines.append(Content.assemble((head, STYLES["quiet"]), part))
                    head = " " * len(head)
        return Content("\n").join(lines), tops


def _harmless(content: Content) -> Content:
    cleaned = clean_block(content.plain)
    return content if cleaned == content.plain else Content(cleaned)


def record_card(
    record: Record, versions: Sequence[Version], runs: Sequence[Run], now: datetime
) -> Card:
    card = Card()
    card.fact("name", record.name, "strong").fact("type", record.resource_type, "accent")
    card.fact("version", record.version[:12] or "-").fact("saved", moment(record.saved_at))
    doc = record.config.get("doc")
    if isinstance(doc, str) and doc:
        card.fact("does", doc.strip().split("\n")[0])
    if runs:
        card.heading("Last runs")
        for run in runs:
            card.row(run_line(run, now))
    if versions:
        card.heading(f"Versions ({len(versions)})")
        for version in versions[:5]:
            said = version.summary or ("deleted" if version.deleted else "saved")
            said = f"{version.version[:8]}  {age(version.saved_at, now):>4}  {said}"
            card.row(Content(clean(said)))
    told = {"name", "resource_type", "doc"}
    card.heading("Config")
    for key in sorted(record.config.keys() - told):
        card.fact(key, config_value(record.config[key]))
    return card


def run_line(run: Run, now: datetime) -> Content:
    saying = say_run(run.status)
    return Content.assemble(
        (saying.text.ljust(11), STYLES[saying.tone]),
        f" {age(run.started_at or run.submitted_at, now):>4}  {run_duration(run, now):>6}  ",
        (clean(run.result_text[:60] or (run.failure.message[:60] if run.failure else "")), ""),
    )


def run_card(run: Run, now: datetime) -> Card:
    card = Card().state("status", say_run(run.status))
    called = "" if run.method in {"", "call"} else f".{run.method}"
    card.fact("function", run.function + called, "strong")
    card.fact("started", moment(run.started_at)).fact("took", run_duration(run, now))
    card.fact("on", f"{run.cluster}  env {run.env}")
    if run.inputs_text:
        card.fact("inputs", run.inputs_text)
    if run.failure:
        card.fact("failed", f"{run.failure.kind}: {run.failure.message}", "bad")
    if run.result_text:
        card.fact("result", run.result_text)
    card.fact("lines", count(run.lines)).fact("run", run.run_id, "quiet")
    if run.code_tree:
        card.fact("code", run.code_tree[:12], "quiet")
    if run.pinned:
        card.fact("pinned", "kept for good")
    if run.origin:
        said = " ".join(f"{key}={value}" for key, value in run.origin.items())
        card.fact("asked by", said, "quiet")
    return card


def cluster_card(cluster: Cluster, now: datetime) -> Card:
    card = Card().fact("name", cluster.name, "strong")
    card.state("state", say_cluster(cluster.state))
    if cluster.why:
        card.fact("why", cluster.why, "bad" if cluster.state is ClusterState.BROKEN else "")
    if cluster.state is ClusterState.DOWN:
        card.fact("next", "u brings it up; nothing runs there until then")
        return card
    card.fact("about", cluster_note(cluster))
    card.fact("address", cluster.address or "-")
    if cluster.infra:
        card.fact("machines", f"{cluster.infra}, {money(cluster.price_per_hour)} an hour")
        if cluster.started_at and cluster.price_per_hour:
            hours = (now - cluster.started_at).total_seconds() / 3600
            card.fact("so far", f"about {money(cluster.price_per_hour * hours)}")
    if cluster.started_at:
        card.fact("up since", f"{moment(cluster.started_at)}  ({age(cluster.started_at, now)})")
    card.fact("envs", ", ".join(cluster.envs) or "-")
    if cluster.seen_at and cluster.state is ClusterState.UNREACHABLE:
        card.fact("last seen", f"{moment(cluster.seen_at)}  ({age(cluster.seen_at, now)} ago)")
    if cluster.autostop_mins >= 0:
        left = max(0, cluster.autostop_mins * 60 - cluster.idle_s)
        card.fact("stops", f"after {cluster.autostop_mins} min idle; {duration(left)} left")
    for node in cluster.nodes if len(cluster.nodes) > 1 or cluster.kind != "here" else ():
        card.state(node.name, say_node(node))
    return card


def env_card(env: Env, now: datetime) -> Card:
    card = Card().fact("name", env.name, "strong").state("state", say_env(env.state))
    if env.why:
        card.fact("why", env.why, "bad")
    card.fact("on", env.cluster, "accent").fact("lock", env.lock[:16] or "-")
    card.fact("python", env.python or "-")
    if env.pid:
        card.fact("servlet", f"pid {env.pid}, up {age(env.started_at, now)}")
    card.heading(many(len(env.packages), "package"))
    for package in env.packages:
        name, _, version = package.partition("==")
        card.fact(name, version)
    if not env.packages:
        card.line("Only the standard library.", "quiet")
    return card


def object_card(key: str, cluster: str, value: str) -> Card:
    card = Card().fact("key", key, "strong").fact("on", cluster, "accent")
    card.heading("Value").line(value)
    return card


def config_value(value: Any) -> str:
    """A member of a config in a line or, if it has members itself, a few."""
    if isinstance(value, str):
        return value
    text = as_json(value)
    return text if len(text) <= 60 else as_json(value, indent=1)
