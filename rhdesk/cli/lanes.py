"""``rhdesk lane``: versions on their way from dev to prod, and who agreed."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, as_name, at_desk
from rhdesk.models import Promotion


@click.group()
def lane() -> None:
    """Dev, staging, prod: folders into which versions are promoted."""


@lane.command("ls")
@as_json
def list_lanes(as_json: bool) -> None:
    """The lanes you may read."""
    found = at_desk(lambda desk: desk.lanes())
    rows = [(each.folder, each.after, str(each.approvals)) for each in found]
    answer(found, as_json, lambda: output.print_table(("LANE", "AFTER", "APPROVALS"), rows))


@lane.command("set")
@click.argument("folder", callback=as_name)
@click.argument("after", callback=as_name)
@click.option("--approvals", default=0, show_default=True, type=click.IntRange(0, 9))
@as_json
def lay(folder: str, after: str, approvals: int, as_json: bool) -> None:
    """Make FOLDER a lane whose versions come from folder AFTER, once others approved."""
    made = at_desk(lambda desk: desk.lay_lane(folder, after, approvals=approvals))
    told = f"{made.folder} comes after {made.after}, with {made.approvals} approvals"
    answer(made, as_json, lambda: output.note(told))


@lane.command()
@click.argument("folder", callback=as_name)
@as_json
def lift(folder: str, as_json: bool) -> None:
    """Let FOLDER be a folder like any other again."""
    at_desk(lambda desk: desk.lift_lane(folder))
    answer({"lifted": folder}, as_json, lambda: output.note(f"{folder} is no lane now"))


@lane.command()
@click.argument("name", callback=as_name)
@click.argument("to", default="", callback=as_name)
@click.option("--note", default="", help="Why, for the history.")
@as_json
def promote(name: str, to: str, note: str, as_json: bool) -> None:
    """Have lane TO hold NAME, or a version of it: /ml/dev/train@1a2b.

    Without TO, the lane that comes after the name's folder. A version of a name in the lane itself
    goes back to it, and needs nobody's approval.
    """
    _answer(at_desk(lambda desk: desk.promote(name, to, note=note)), as_json)


@lane.command("requests")
@click.argument("folder", default="", callback=as_name)
@as_json
def list_promotions(folder: str, as_json: bool) -> None:
    """Promotions into the lanes in FOLDER, oldest first."""
    found = at_desk(lambda desk: desk.promotions(folder))
    answer(found, as_json, lambda: _show(found))


@lane.command()
@click.argument("promotion_id", metavar="ID")
@as_json
def approve(promotion_id: str, as_json: bool) -> None:
    """Agree to a promotion somebody else asked for."""
    _answer(at_desk(lambda desk: desk.approve(promotion_id)), as_json)


@lane.command()
@click.argument("promotion_id", metavar="ID")
@as_json
def withdraw(promotion_id: str, as_json: bool) -> None:
    """Have a promotion that waits not happen."""
    _answer(at_desk(lambda desk: desk.withdraw(promotion_id)), as_json)


def _answer(told: Promotion, as_json: bool) -> None:
    text = f"{told.target} from {told.source}, revision {told.rev}: {told.state}"
    if told.state == "waiting":
        text += f"; somebody else approves it: rhdesk lane approve {told.promotion_id}"
    answer(told, as_json, lambda: output.print_text(text))


def _show(found: Sequence[Promotion]) -> None:
    rows = [
        (p.promotion_id, p.target, f"{p.source}, rev {p.rev}", p.asked_by,
         output.ago(p.asked_at), p.state, " ".join(p.approved_by))
        for p in found
    ]  # fmt: skip
    output.print_table(("ID", "TO", "FROM", "BY", "ASKED", "IS", "APPROVED BY"), rows)
