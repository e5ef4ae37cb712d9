"""What the access screen lists: rights, grants, groups, people, lanes and the audit, each a table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rhdesk.desk import AsyncDesk
from rhdesk.errors import Refused
from rhdesk.models import Access, Audited, Granted, Group, Lane, Promotion, Way
from rhdesk_tui.cards import Card
from rhdesk_tui.widgets.resource_list import Cell, Column, Row
from rhdesk_tui.wording import Tone, age, moment

_TONES: Mapping[str, Tone] = {"none": "quiet", "read": "", "call": "", "write": "accent",
                              "admin": "warn"}  # fmt: skip


@dataclass(frozen=True)
class View:
    """One of the tables.

    Attributes:
        read: The things in it, for the person that is looked at.
        draw: One of them as a row, at a time.
    """

    word: str
    title: str
    columns: tuple[Column, ...]
    read: Callable[[AsyncDesk, str], Awaitable[list[Any]]]
    key: Callable[[Any], str]
    draw: Callable[[Any, datetime], Row]
    card: Callable[[Any], Card]
    empty: str


# ---- rights


async def _rights(desk: AsyncDesk, who: str) -> list[Access]:
    return await desk.rights(who)


def _right_row(told: Access, now: datetime) -> Row:
    best = told.ways[0] if told.ways else None
    cells = (
        Cell(told.name, "strong"),
        Cell(told.has, _TONES[told.has]),
        Cell(" > ".join(best.through) if best else "-", "quiet"),
        Cell(best.folder if best else "", "quiet"),
    )
    return Row(told.name, cells, dimmed=not told.allowed)


def access_card(told: Access) -> Card:
    """The chain, a line a step."""
    card = Card()
    may = "✓ may" if told.allowed else "✖ may not"
    card.line(f"{told.principal} {may} {told.action} {told.name}",
              "good" if told.allowed else "bad")  # fmt: skip
    card.line(f"it needs {told.needs}; they have {told.has}", "quiet")
    if told.remedy:
        card.line(told.remedy, "accent")
    card.heading("Because" if told.allowed else "Held there")
    for way in told.ways:
        card.line(_way(way))
    if not told.ways:
        card.line("nothing was granted there, to them or to a group they are in", "quiet")
    return card


def _way(way: Way) -> str:
    inside = "".join(f" in {group}" for group in way.through[1:])
    ends = f" until {moment(way.until)}" if way.until else ""
    return f"{way.through[0]}{inside}: {way.level} in {way.folder}{ends}"


# ---- grants


async def _grants(desk: AsyncDesk, who: str) -> list[Granted]:
    return await desk.grants()


def grant_key(grant: Granted) -> str:
    return f"{grant.folder} {grant.principal}"


def _grant_row(grant: Granted, now: datetime) -> Row:
    ends = moment(grant.until) if grant.until else ""
    over = grant.until is not None and grant.until <= now
    cells = (
        Cell(grant.folder, "strong"), Cell(grant.principal),
        Cell(grant.level, _TONES[grant.level]), Cell(ends, "quiet"),
    )  # fmt: skip
    return Row(grant_key(grant), cells, dimmed=over)


def _grant_card(grant: Granted) -> Card:
    card = Card().line(f"{grant.principal} may {grant.level} in {grant.folder} and below")
    return card.fact("ends", moment(grant.until) if grant.until else "not by itself")


# ---- groups and people


async def _groups(desk: AsyncDesk, who: str) -> list[Group]:
    return await desk.groups()


def _group_row(group: Group, now: datetime) -> Row:
    cells = (
        Cell(group.name, "strong"), Cell(str(len(group.members)), "quiet"),
        Cell(", ".join(group.members) or "nobody"),
    )  # fmt: skip
    return Row(group.name, cells)


def _group_card(group: Group) -> Card:
    card = Card().fact("folder", f"/{group.name}")
    card.heading("In it")
    for member in group.members:
        card.line(member)
    return card


@dataclass(frozen=True)
class Person:
    name: str
    groups: tuple[str, ...]
    grants: tuple[Granted, ...]


async def _people(desk: AsyncDesk, who: str) -> list[Person]:
    policy = await desk.policy()
    return [
        Person(
            name,
            tuple(g.name for g in policy.groups if name in g.members),
            tuple(g for g in policy.grants if g.principal == name),
        )
        for name in policy.users
    ]


def _person_row(person: Person, now: datetime) -> Row:
    held = ", ".join(f"{g.folder} {g.level}" for g in person.grants)
    groups = Cell(", ".join(person.groups) or "-", "quiet")
    return Row(person.name, (Cell(person.name, "strong"), groups, Cell(held or "-")))


def _person_card(person: Person) -> Card:
    card = Card().line("Enter lists every name with what they may do", "quiet")
    card.fact("in", ", ".join(person.groups) or "no group")
    card.heading("Granted to them")
    for grant in person.grants:
        card.line(f"{grant.level} in {grant.folder}")
    return card


# ---- lanes


async def _lanes(desk: AsyncDesk, who: str) -> list[Lane | Promotion]:
    waiting_first = sorted(
        await desk.promotions(), key=lambda p: (p.state != "waiting", -p.asked_at.timestamp())
    )
    return [*(p for p in waiting_first if p.state == "waiting"), *await desk.lanes(),
            *(p for p in waiting_first if p.state != "waiting")]  # fmt: skip


def lane_key(item: Lane | Promotion) -> str:
    return item.folder if isinstance(item, Lane) else item.promotion_id


def _lane_row(item: Lane | Promotion, now: datetime) -> Row:
    if isinstance(item, Lane):
        rule = f"{item.approvals} agree" if item.approvals else "no approval"
        cells = (Cell("lane", "accent"), Cell(item.folder, "strong"), Cell(f"after {item.after}"))
        return Row(lane_key(item), (*cells, Cell(rule, "quiet"), Cell("")))
    tone: Tone = "warn" if item.state == "waiting" else "quiet"
    cells = (Cell(item.state, tone), Cell(item.target, "strong"),
             Cell(f"{item.source} rev {item.rev}"))  # fmt: skip
    return Row(
        lane_key(item),
        (*cells, Cell(item.asked_by, "quiet"), Cell(age(item.asked_at, now), "quiet")),
        dimmed=item.state != "waiting",
    )


def _lane_card(item: Lane | Promotion) -> Card:
    card = Card()
    if isinstance(item, Lane):
        card.line("What is in it comes by promotion, and by nothing else")
        return card.fact("after", item.after).fact("approvals", str(item.approvals))
    card.fact("to", item.target).fact("from", f"{item.source}, revision {item.rev}")
    card.fact("asked by", f"{item.asked_by}, {moment(item.asked_at)}")
    card.fact("is", item.state, "warn" if item.state == "waiting" else "")
    card.fact("approved by", ", ".join(item.approved_by) or "nobody yet")
    return card.fact("why", item.note or "-")


# ---- the audit


async def _audit(desk: AsyncDesk, who: str) -> list[Audited]:
    """The store's, for who is admin of all of it; for others this desk's own."""
    try:
        return await desk.team_audited(limit=1000)
    except Refused:
        return await desk.audited(limit=1000)


def _audit_row(row: Audited, now: datetime) -> Row:
    cells = (
        Cell(str(row.number), "quiet"), Cell(age(row.at, now), "quiet"), Cell(row.who, "strong"),
        Cell(row.action, "accent"), Cell(row.about), Cell(row.note, "quiet"),
    )  # fmt: skip
    return Row(str(row.number), cells)


def _audit_card(row: Audited) -> Card:
    card = Card().fact("who", row.who).fact("did", row.action).fact("on", row.about)
    card.fact("when", moment(row.at)).fact("note", row.note or "-")
    return card.fact("hash", row.hash, "quiet")


VIEWS: tuple[View, ...] = (
    View("rights", "what {who} may", (
        Column("NAME", 18, flex=True), Column("MAY", 6, keep=5),
        Column("THROUGH", 16, flex=True, keep=3),
        Column("IN", 12, keep=2)), _rights, lambda x: str(x.name), _right_row,
        access_card, "The store has no names that you know."),
    View("grants", "grants", (
        Column("FOLDER", 18, flex=True), Column("WHO", 12, keep=5), Column("MAY", 6, keep=4),
        Column("UNTIL", 20, keep=2)), _grants, grant_key, _grant_row, _grant_card,
        "Nothing was granted that you know of. s shares something."),
    View("groups", "groups", (
        Column("GROUP", 14), Column("OF", 4, right=True, keep=3),
        Column("MEMBERS", 20, flex=True, keep=4)), _groups, lambda x: str(x.name), _group_row,
        _group_card, "There are no groups yet. n makes one."),
    View("people", "people", (
        Column("PERSON", 14), Column("GROUPS", 18, keep=4),
        Column("GRANTED", 20, flex=True, keep=3)), _people, lambda x: str(x.name), _person_row,
        _person_card, "Nobody may log in to the store."),
    View("lanes", "lanes and promotions", (
        Column("IS", 9), Column("LANE", 16, flex=True), Column("FROM", 18, flex=True, keep=4),
        Column("BY", 12, keep=3), Column("AGE", 5, right=True, keep=2)), _lanes, lane_key,
        _lane_row, _lane_card, "There are no lanes. rhdesk lane set /team/prod /team/dev"),
    View("audit", "audit", (
        Column("ROW", 5, right=True, keep=2), Column("AGE", 5, right=True, keep=4),
        Column("WHO", 10), Column("DID", 14, keep=6), Column("ON", 14, flex=True, keep=5),
        Column("NOTE", 14, flex=True, keep=1)), _audit, lambda x: str(x.number), _audit_row,
        _audit_card, "Nothing was written down yet."),
)  # fmt: skip
