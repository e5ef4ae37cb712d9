"""The remote store and the daemon: how this machine stands to the one, and what the other does."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from rhdesk.models import DaemonState, StoreState
from rhdesk_tui.cards import Card
from rhdesk_tui.messages import OfferCopies, ShowConflicts
from rhdesk_tui.page import Page
from rhdesk_tui.screens.confirm import Confirm
from rhdesk_tui.spellings import Spelling, cli
from rhdesk_tui.widgets.card_view import CardView
from rhdesk_tui.wording import Tone, age, many, moment, say_store
from rhdesk_tui.workplace import Workplace

_EVERY_S = 2.0


class StoreScreen(Page):
    CSS_PATH = "store.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sync", "Sync now", id="store.sync"),
        Binding("c", "conflicts", "Conflicts", id="store.conflicts"),
        Binding("L", "login", "Log in", id="store.login"),
        Binding("O", "logout", "Log out", id="store.logout"),
        Binding("d", "daemon", "Daemon on or off", id="store.daemon"),
        Binding("y", "copy", "Copy", id="store.copy", show=False),
    ]

    def __init__(self, workplace: Workplace) -> None:
        super().__init__(workplace)
        self._daemon = DaemonState(status="stopped")

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="state", classes="pane"):
            yield CardView()

    def path(self) -> tuple[str, ...]:
        return ("Store",)

    def on_mount(self) -> None:
        pane = self.query_one("#state")
        pane.focus()
        pane.border_title = "the store and the daemon"
        self.set_interval(_EVERY_S, self._look_again)
        self.begin(self._look, "look")

    def _look_again(self) -> None:
        if self.is_current and self.is_mounted:
            self.begin(self._look, "look")

    async def _look(self) -> None:
        self.workplace.store = await self.desk.store_state()
        self._daemon = await self.desk.daemon()
        lines = await self.desk.daemon_lines(limit=8)
        card = Card()
        self._tell_store(card, self.workplace.store)
        self._tell_daemon(card, lines)
        self.query_one(CardView).show(card)
        self.refresh_bar()
        self.refresh_bindings()

    def _tell_store(self, card: Card, store: StoreState) -> None:
        card.heading("Store")
        if not store.url:
            card.line(
                "Nobody is logged in. Names in ~ are kept here and in git, and need no store."
            )
            card.line("L logs in to one; `rhdesk server run` makes one of your own.", "quiet")
            return
        # Conflicts have a line of their own below; here they would hide that the store is away.
        card.state("state", say_store(replace(store, conflicts=0, queued=0), self.now()))
        card.fact("address", store.url).fact("you", f"{store.user}, @ is {store.folder}")
        if store.last_contact:
            ago = age(store.last_contact, self.now())
            card.fact("heard from", f"{moment(store.last_contact)}  ({ago})")
        card.fact("to send", many(store.queued, "write"), "accent" if store.queued else "")
        card.fact("conflicts", str(store.conflicts), "warn" if store.conflicts else "")
        card.fact("refused", str(store.rejected), "bad" if store.rejected else "")
        if store.error:
            card.fact("last failure", store.error, "warn")
        if store.syncing_pid:
            card.fact("kept by", f"process {store.syncing_pid}", "quiet")

    def _tell_daemon(self, card: Card, lines: list[str]) -> None:
        card.heading("Daemon")
        daemon = self._daemon
        if daemon.status == "stopped":
            card.line("It does not run; this desk does its work while it is open. d starts it.")
        else:
            since = age(daemon.started_at, self.now())
            tone: Tone = "good" if daemon.status == "running" else "warn"
            card.fact("state", f"{daemon.status}, pid {daemon.pid}, for {since}", tone)
            for loop in daemon.loops:
                told = loop.error or loop.told or "-"
                card.fact(loop.name, f"{told}  ({age(loop.ran_at, self.now())})",
                          "warn" if loop.error else "")  # fmt: skip
        if lines:
            card.heading("Its log")
            for line in lines:
                card.line(line, "quiet")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"sync", "conflicts", "logout"}:
            return bool(self.workplace.store.url)
        if action == "login":
            return not self.workplace.store.url
        return super().check_action(action, parameters)

    def action_sync(self) -> None:
        self.begin(self._sync, "sync")

    async def _sync(self) -> None:
        self.query_one("#state").border_subtitle = "◐ syncing…"
        state = await self.desk.sync()
        self.query_one("#state").border_subtitle = ""
        self.notify(say_store(state, self.now()).text)
        await self._look()

    def action_conflicts(self) -> None:
        self.post_message(ShowConflicts())

    def action_login(self) -> None:
        from rhdesk_tui.screens.login import Login

        def answered(typed: tuple[str, str] | None) -> None:
            if typed is not None:
                self.begin(partial(self._login, *typed), "login")

        self.owner.push_screen(Login(), answered)

    async def _login(self, url: str, token: str) -> None:
        state = await self.desk.login(url, token)
        self.notify(f"logged in to {state.url} as {state.user}")
        await self._look()

    def action_logout(self) -> None:
        store = self.workplace.store
        question = Confirm(
            f"Log out of {store.url}?",
            "What was read of the store is removed from this machine. Writes that wait to be sent "
            "keep you logged in; names in ~ are not touched.",
            cli("logout"), "Log out",
        )  # fmt: skip

        def answered(yes: bool | None) -> None:
            if yes:
                self.begin(self._logout, "login")

        self.owner.push_screen(question, answered)

    async def _logout(self) -> None:
        await self.desk.logout()
        self.notify("logged out")
        await self._look()

    def action_daemon(self) -> None:
        self.begin(self._turn_daemon, "daemon")

    async def _turn_daemon(self) -> None:
        if self._daemon.status == "stopped":
            state = await self.desk.start_daemon()
        else:
            state = await self.desk.stop_daemon()
        self.notify(f"the daemon is {state.status}")
        await self._look()

    def spellings(self) -> list[Spelling]:
        return [
            Spelling("as CLI", cli("sync")),
            Spelling("address", self.workplace.store.url),
            Spelling("the daemon as CLI", cli("daemon", "status")),
        ]

    def action_copy(self) -> None:
        self.post_message(OfferCopies([s for s in self.spellings() if s.text]))
