"""Machines to be had: what is asked for, what it would cost, and then: bring it up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, ClassVar, Final

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from rhdesk.errors import RhdeskError
from rhdesk.foreign import clean
from rhdesk.models import ClusterSpec, Machines, Offer, Parameter, Plan, Signature, StepState
from rhdesk_tui import fields
from rhdesk_tui.cards import Card
from rhdesk_tui.messages import BringUp, OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.widgets.form import Field, Form
from rhdesk_tui.wording import STYLES, money
from rhdesk_tui.workplace import Workplace

_SHOWN: Final = 12
_OPTIONS: Final = {
    "instance": "--instance", "nodes": "--nodes", "provider": "--provider", "region": "--region",
    "memory": "--memory", "spot": "--spot", "keep_disk": "--keep-disk", "autostop": "--autostop",
}  # fmt: skip
_FIELDS: Final = {
    "instance": "instance_type", "nodes": "count", "provider": "provider", "region": "region",
    "memory": "memory", "spot": "use_spot", "keep_disk": "stop",
}  # fmt: skip


def _asked(name: str, machines: Machines, autostop_mins: int) -> Signature:
    """The fields, as if they were a function's."""

    def field(name: str, annotation: str, default: Any, doc: str) -> Parameter:
        return Parameter(
            name=name, annotation=annotation, required=False, default=default, doc=doc
        )

    return Signature(
        parameters=(
            field("name", "str", name, "what the cluster is called"),
            field("instance", "str", machines.instance_type, "H100:2, CPU:4+, or m6i.large"),
            field("nodes", "int", machines.count, "how many machines"),
            field(
                "provider", "str", machines.provider, "aws, gcp, slurm ...; empty: the cheapest"
            ),
            field("region", "str", machines.region, "of the provider"),
            field("memory", "str", machines.memory, "GiB of each, 16 or 16+"),
            field("spot", "bool", machines.use_spot, "cheaper, and may be taken away"),
            field("keep_disk", "bool", machines.stop, "autostop turns off, and up on again"),
            field("autostop", "int", autostop_mins, "minutes without a run; -1 is never"),
        )
    )


class ProvisionScreen(Page):
    CSS_PATH = "provision.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "plan", "Plan and price", id="provision.plan"),
        Binding("f5", "bring", "Bring it up", id="provision.bring"),
        Binding("ctrl+o", "offers", "Offers", id="provision.offers"),
        Binding("tab", "app.focus_next", "Next field", id="provision.tab"),
        Binding("f2", "copy", "Copy", id="provision.copy"),
        Binding("escape", "back", "Back", id="provision.back"),
    ]

    def __init__(
        self, workplace: Workplace, name: str = "", spec: ClusterSpec | None = None
    ) -> None:
        """
        Args:
            spec: A cluster that is known; its plan is shown at once.
        """
        super().__init__(workplace)
        self._cluster = name
        self._spec = spec
        self._plan: Plan | None = None

    def compose_body(self) -> ComposeResult:
        machines = self._spec.machines if self._spec else None
        autostop = self._spec.autostop_mins if self._spec else 30
        signature = _asked(self._cluster, machines or Machines(), autostop)
        with Horizontal(id="provision"):
            with Vertical(id="asked", classes="pane") as asked:
                asked.border_title = "Machines"
                yield Form(signature)
                yield Static(id="spelled")
            with VerticalScroll(id="answered", classes="pane") as answered:
                answered.border_title = "Plan"
                yield CardView()

    def path(self) -> tuple[str, ...]:
        return ("Provision", self._cluster) if self._cluster else ("Provision",)

    def on_mount(self) -> None:
        self._spell()
        self._show(
            Card()
            .line("Nothing is started until you say so.")
            .line("^r asks what it would cost and where; ^o lists what there is.", "quiet")
        )
        if self._spec is not None:
            self.action_plan()

    # ---- what is asked for

    def _wanted(self) -> tuple[str, Machines, int]:
        """Raises:
        fields.Wrong: A field cannot be read.
        """
        form = self.query_one(Form)
        _, changed = form.call()
        said = {each.name: each.default for each in form.signature.parameters} | changed
        given = {_FIELDS[key]: value for key, value in said.items() if key in _FIELDS}
        machines = msgspec.convert(given, Machines)
        return str(said["name"] or "").strip(), machines, int(said["autostop"])

    @on(Field.Edited)
    def _edited(self) -> None:
        self._plan = None
        self.refresh_bindings()
        self._spell()

    def _spell(self) -> None:
        try:
            line = self._cli()
        except fields.Wrong as exc:
            line = f"… {exc}"
        self.query_one("#spelled", Static).update(
            Content.assemble(("$ ", STYLES["quiet"]), (clean(line), STYLES["accent"]))
        )

    def _cli(self) -> str:
        name, machines, autostop = self._wanted()
        words: list[str] = ["up", name or "NAME"]
        empty = Machines()
        for key, field in _FIELDS.items():
            value = getattr(machines, field)
            if value != getattr(empty, field):
                words += [_OPTIONS[key]] if value is True else [_OPTIONS[key], str(value)]
        if autostop != -1:
            words += ["--autostop", str(autostop)]
        return cli(words[0], *words[1:])

    # ---- what it would be

    def action_plan(self) -> None:
        if not self.query_one(Form).check():
            self.complain("some fields cannot be sent yet", warning=True)
            return
        self.begin(self._ask, "plan")

    async def _ask(self) -> None:
        try:
            name, machines, autostop = self._wanted()
        except fields.Wrong as exc:
            self.complain(str(exc), warning=True)
            return
        if not name:
            self.complain("say what the cluster is called", warning=True)
            return
        pane = self.query_one("#answered")
        pane.border_title = "◐ asking SkyPilot…"
        said = Card()
        self._show(said)
        try:
            spec = self.desk.wanted(name, machines, autostop_mins=autostop)
            await self.desk.add_cluster(spec)
            async with aclosing(self.desk.plan(spec)) as events:
                async for event in events:
                    if isinstance(event, Plan):
                        self._plan = event
                    elif event.state is StepState.DONE:
                        self._show(said.line(f"✓ {event.what}", "good"))
                    else:
                        pane.border_subtitle = Content(clean(f"{event.what} {event.detail}"[-60:]))
        except RhdeskError as exc:
            self._show(said.line(f"✖ {exc}", "bad"))
            return
        finally:
            pane.border_title, pane.border_subtitle = "Plan", ""
        if self._plan is not None:
            self._show(plan_card(self._plan))
        self.refresh_bindings()

    def action_offers(self) -> None:
        self.begin(self._list, "plan")

    async def _list(self) -> None:
        pane = self.query_one("#answered")
        pane.border_title = "◐ reading price lists…"
        try:
            _, machines, _ = self._wanted()
            kind = machines.instance_type.partition(":")[0]
            found = await self.desk.offers(kind, provider=machines.provider)
        except fields.Wrong as exc:
            self.complain(str(exc), warning=True)
        except RhdeskError as exc:
            self._show(Card().line(f"✖ {exc}", "bad"))
        else:
            self._show(offers_card(found))
        finally:
            pane.border_title = "Plan"

    def _show(self, card: Card) -> None:
        self.query_one(CardView).show(card)

    # ---- doing it

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "bring":
            return self._plan is not None or None
        return super().check_action(action, parameters)

    def action_bring(self) -> None:
        if self._plan is not None:
            self.post_message(BringUp(self._plan.cluster))

    def spellings(self) -> list[Spelling]:
        try:
            return [Spelling("as CLI", self._cli())]
        except fields.Wrong:
            return []

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


def plan_card(plan: Plan) -> Card:
    """What would be started, where, at what price, for whom, until when."""
    card = Card()
    if plan.is_up:
        return card.line(f"✓ its machines are up at {plan.infra}", "good").line(
            "F5 sees that the servlets run on them.", "quiet"
        )
    card.line("F5 brings it up.", "accent")
    card.fact("machines", f"{plan.count} x {plan.instance_type or 'the least'}", "strong")
    card.fact("where", plan.infra, "accent")
    card.fact("price", f"{money(plan.price_per_hour)} an hour", "strong")
    card.fact("for", plan.for_whom)
    mins = plan.autostop_mins
    card.fact("until", f"{mins} min without a run" if mins >= 0 else "you bring it down")
    if plan.budget is not None:
        card.fact("budget", f"{plan.spent:.2f} of {plan.budget:g} this month")
    if len(plan.offers) > 1:
        card.heading("Considered")
        _rows(card, plan.offers)
    return card


def offers_card(offers: Sequence[Offer]) -> Card:
    card = Card().heading("The cheapest first, of one machine an hour")
    return _rows(card, offers)


def _rows(card: Card, offers: Sequence[Offer]) -> Card:
    for offer in offers[:_SHOWN]:
        kind = offer.accelerators or f"{offer.cpus:g} CPUs"
        spot = f"  spot {money(offer.spot_price_per_hour)}" if offer.spot_price_per_hour else ""
        card.fact(money(offer.price_per_hour), f"{offer.infra}  {kind}{spot}")
    if len(offers) > _SHOWN:
        card.line(f"and {len(offers) - _SHOWN} more: rhdesk offers", "quiet")
    return card
