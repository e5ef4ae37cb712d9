"""Who may what: one's own rights, anybody's, grants, groups, lanes with their promotions, the audit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from rhdesk.foreign import clean
from rhdesk.models import Access, Granted, Group, Promotion
from rhdesk_tui.access_views import VIEWS, Person, View, access_card
from rhdesk_tui.cards import Card
from rhdesk_tui.filtering import Filter
from rhdesk_tui.messages import OfferCopies
from rhdesk_tui.page import Page
from rhdesk_tui.screens.confirm import Confirm
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.widgets.resource_list import Listed, ResourceList
from rhdesk_tui.wording import many
from rhdesk_tui.workplace import Workplace

_GRANT, _WHY, _NEW, _PUT, _PROMOTE, _WHO = (
    "grant:", "can:", "new group:", "put into it:", "promote:", "rights of:",
)  # fmt: skip


class AccessScreen(Page):
    CSS_PATH = "access.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(at), f"view('{view.word}')", view.word, id=f"access.{view.word}",
                    show=False)
            for at, view in enumerate(VIEWS, 1)
        ),
        Binding("tab", "next_view(1)", "Next view", id="access.next"),
        Binding("shift+tab", "next_view(-1)", "View before", id="access.before", show=False),
        Binding("w", "why", "Why / can", id="access.why"),
        Binding("s", "grant", "Share", id="access.grant"),
        Binding("o", "who", "Of whom", id="access.who"),
        Binding("n", "new", "New group", id="access.new"),
        Binding("m", "put", "Put into it", id="access.put"),
        Binding("p", "promote", "Promote", id="access.promote"),
        Binding("a", "approve", "Approve", id="access.approve"),
        Binding("ctrl+d", "revoke", "Take back", id="access.revoke"),
        Binding("slash", "filter", "Filter", id="access.filter", key_display="/"),
        Binding("y", "copy", "Copy", id="access.copy", show=False),
        Binding("R", "reload", "Refresh", id="access.reload", show=False),
    ]  # fmt: skip

    def __init__(
        self, workplace: Workplace, view: str, *, who: str = "", can: Sequence[str] = ()
    ) -> None:
        super().__init__(workplace)
        self._view = _named(view)
        self._who = who
        self._can = list(can)
        self._items: dict[str, Any] = {}
        self._filter = Filter("")
        self._answer: tuple[str | None, Access] | None = None
        """What was asked with `w`, and the row it is shown beside."""

    def compose_body(self) -> ComposeResult:
        yield Static(id="views")
        with Container(id="halves"):
            with Vertical(id="listed", classes="pane"):
                yield ResourceList()
                yield Static("◐ asking the store…", id="note")
            with VerticalScroll(id="told", classes="pane"):
                yield CardView()

    def path(self) -> tuple[str, ...]:
        return ("Access", self._view.word)

    def on_mount(self) -> None:
        self.query_one(ResourceList).focus()
        self.action_reload()
        if len(self._can) not in (0, 3):
            self.complain("say who, what and on which name: can bob write /ml/train")

    def action_reload(self) -> None:
        self.begin(self._read, "read")

    async def _read(self) -> None:
        view = self._view
        self._draw_tabs()
        note = self.query_one("#note", Static)
        if not (await self.desk.store_state()).url:
            self._show([])
            note.update(Content("Nobody is logged in to a store; :store logs in to one."))
            return
        items = await view.read(self.desk, self._who)
        if view is self._view:
            self._show(items)
            note.update(Content(view.empty))
        if len(self._can) == 3:
            who, action, name = self._can
            self._can = []
            await self._tell_why(who, action, name)

    def _show(self, items: list[Any]) -> None:
        view = self._view
        self._items = {view.key(item): item for item in items}
        now = self.now()
        picked = [item for item in items if self._fits(item)]
        listing = self.query_one(ResourceList)
        listing.show(
            view.columns,
            Listed(picked, lambda item: view.draw(item, now), view.key),
            shown=self._filter,
        )
        listing.display = bool(picked)
        self.query_one("#note").display = not picked
        pane = self.query_one("#listed")
        pane.border_title = view.title.format(who=clean(self._who) or "you")
        words = f"{len(picked)} of {len(items)}" if self._filter else many(len(items), "row")
        pane.border_subtitle = words
        self._describe()
        self.refresh_bar()

    def _fits(self, item: Any) -> bool:
        cells = self._view.draw(item, self.now()).cells
        line = " ".join(cell.text for cell in cells).lower()
        return not self._filter or self._filter.score(line) is not None

    def _draw_tabs(self) -> None:
        parts: list[tuple[str, str]] = []
        for at, view in enumerate(VIEWS, 1):
            style = "bold $accent" if view is self._view else "$quiet"
            parts += [(f" {at} ", "$quiet"), (view.word, style), ("  ", "")]
        self.query_one("#views", Static).update(Content.assemble(*parts))

    def _at(self) -> Any:
        return self._items.get(self.query_one(ResourceList).key or "") if self.is_mounted else None

    def _describe(self) -> None:
        item = self._at()
        if self._answer is not None and self._answer[0] == self.query_one(ResourceList).key:
            item = self._answer[1]
        pane = self.query_one("#told")
        pane.border_title = "chain" if isinstance(item, Access) else "in full"
        card = Card()
        if isinstance(item, Access):
            card = access_card(item)
        elif item is not None:
            card = self._view.card(item)
        self.query_one(CardView).show(card)
        self.refresh_bindings()

    def on_resource_list_highlighted(self, event: ResourceList.Highlighted) -> None:
        self._describe()

    def on_resource_list_opened(self, event: ResourceList.Opened) -> None:
        item = self._at()
        if isinstance(item, Person):
            self._who = item.name
            self.action_view("rights")
        elif isinstance(item, Promotion) and item.state == "waiting":
            self.action_approve()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        item = self._at()
        wanted: dict[str, bool] = {
            "approve": isinstance(item, Promotion) and item.state == "waiting",
            "revoke": isinstance(item, Granted | Group | Promotion),
            "put": isinstance(item, Group),
            "new": self._view.word == "groups",
            "promote": self._view.word == "lanes",
            "who": self._view.word == "rights",
        }
        if action in wanted:
            return wanted[action]
        return super().check_action(action, parameters)

    # ---- which table

    def action_view(self, word: str) -> None:
        self._view = _named(word)
        self._answer = None
        self._filter = Filter("")
        self.action_reload()

    def action_next_view(self, by: int) -> None:
        self.action_view(VIEWS[(VIEWS.index(self._view) + by) % len(VIEWS)].word)

    def action_filter(self) -> None:
        self.ask("/", text=self._filter.text, note="word 'exact !not")

    def action_who(self) -> None:
        self.ask(_WHO, text=self._who, note="a person or a group; empty: you")

    # ---- asking and changing

    def action_why(self) -> None:
        item = self._at()
        name = item.name if isinstance(item, Access) else "NAME"
        who = item.principal if isinstance(item, Access | Granted) else self._who or "bob"
        self.ask(_WHY, text=f"{who} write {name}", note="WHO ACTION NAME")

    def action_grant(self) -> None:
        item = self._at()
        where = item.folder if isinstance(item, Granted) else "@"
        text = f"{where} {item.principal} read" if isinstance(item, Granted) else f"{where} "
        self.ask(_GRANT, text=text, note="FOLDER WHO LEVEL [DAYS]")

    def action_new(self) -> None:
        self.ask(_NEW, note="NAME [MEMBER...]")

    def action_put(self) -> None:
        self.ask(_PUT, note="people or groups")

    def action_promote(self) -> None:
        self.ask(_PROMOTE, note="NAME, or NAME@VERSION, and perhaps the lane")

    def action_approve(self) -> None:
        item = self._at()
        if isinstance(item, Promotion):
            self.begin(partial(self._approve, item), "change")

    def entered(self, sign: str, text: str) -> None:
        words = text.split()
        if sign == "/":
            self._filter = Filter(text)
            self._show(list(self._items.values()))
        elif sign == _WHO:
            self._who = text.strip()
            self.action_reload()
        elif sign == _WHY and len(words) == 3:
            self.begin(partial(self._tell_why, *words), "why")
        elif sign == _GRANT and len(words) in (3, 4):
            self.begin(partial(self._grant, words), "change")
        elif sign == _NEW and words:
            self.begin(partial(self._make, words), "change")
        elif sign == _PUT and words and isinstance(group := self._at(), Group):
            self.begin(partial(self._put, group, words), "change")
        elif sign == _PROMOTE and len(words) in (1, 2):
            self.begin(partial(self._promote, words), "change")
        elif sign in (_WHY, _GRANT, _PROMOTE) and words:
            self.complain(f"that does not fit; it is {_SHAPES[sign]}", warning=True)
        else:
            super().entered(sign, text)

    async def _tell_why(self, who: str, action: str, name: str) -> None:
        told = await self.desk.access_why(who, action, name)
        self._answer = (self.query_one(ResourceList).key, told)
        self._describe()

    async def _grant(self, words: Sequence[str]) -> None:
        days = float(words[3]) if len(words) == 4 and words[3].isdecimal() else 0.0
        await self.desk.grant_access(words[0], [words[1]], level=words[2], days=days)
        self.notify(f"{words[1]} may {words[2]} in {words[0]}", markup=False)
        await self._read()

    async def _make(self, words: Sequence[str]) -> None:
        made = await self.desk.make_group(words[0], words[1:])
        self.notify(f"made {made.name}, with {many(len(made.members), 'member')}", markup=False)
        await self._read()

    async def _put(self, group: Group, members: Sequence[str]) -> None:
        await self.desk.change_group(group.name, put=members)
        self.notify(f"{', '.join(members)} in {group.name}", markup=False)
        await self._read()

    async def _promote(self, words: Sequence[str]) -> None:
        told = await self.desk.promote(words[0], words[1] if len(words) == 2 else "")
        self.notify(f"{told.target}: {told.state}", markup=False)
        await self._read()

    async def _approve(self, item: Promotion) -> None:
        told = await self.desk.approve(item.promotion_id)
        self.notify(f"{told.target}: {told.state}", markup=False)
        await self._read()

    # ---- taking back

    def action_revoke(self) -> None:
        item = self._at()
        if isinstance(item, Granted):
            question = Confirm(
                f"Take back {item.level} of {item.principal} in {item.folder}?",
                "It ends at their next request; their desks lose what they read there within "
                "seconds. What they copied elsewhere stays theirs.",
                cli("access", "grant", item.folder, item.principal, "--level", "none"),
                "Take back",
            )  # fmt: skip
        elif isinstance(item, Group):
            question = Confirm(
                f"End the group {item.name}?",
                f"{many(len(item.members), 'member')} lose what it was granted; what its folder "
                "holds stays.",
                cli("group", "rm", item.name), "End it",
            )  # fmt: skip
        elif isinstance(item, Promotion):
            question = Confirm(
                f"Withdraw the promotion to {item.target}?", "The lane holds what it holds.",
                cli("lane", "withdraw", item.promotion_id), "Withdraw",
            )  # fmt: skip
        else:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.begin(partial(self._revoke, item), "change")

        self.owner.push_screen(question, answered)

    async def _revoke(self, item: Granted | Group | Promotion) -> None:
        if isinstance(item, Granted):
            await self.desk.grant_access(item.folder, [item.principal], level="none")
            self.notify(f"{item.principal} has nothing in {item.folder} now", markup=False)
        elif isinstance(item, Group):
            await self.desk.drop_group(item.name)
            self.notify(f"there is no group {item.name} now", markup=False)
        else:
            await self.desk.withdraw(item.promotion_id)
            self.notify(f"{item.target}: withdrawn", markup=False)
        await self._read()

    def spellings(self) -> list[Spelling]:
        item = self._at()
        if isinstance(item, Access):
            spelled = cli("access", "why", item.principal, item.action, item.name)
            return [Spelling("as CLI", spelled), Spelling("name", item.name)]
        if isinstance(item, Granted):
            level = ("--level", item.level)
            return [
                Spelling("as CLI", cli("access", "grant", item.folder, item.principal, *level))
            ]
        if isinstance(item, Promotion):
            return [Spelling("as CLI", cli("lane", "approve", item.promotion_id))]
        return [Spelling("as CLI", cli("access", "ls"))]

    def action_copy(self) -> None:
        self.post_message(OfferCopies(self.spellings()))


_SHAPES = {_WHY: "WHO ACTION NAME", _GRANT: "FOLDER WHO LEVEL [DAYS]", _PROMOTE: "NAME [LANE]"}


def _named(word: str) -> View:
    return next(view for view in VIEWS if view.word == word)
