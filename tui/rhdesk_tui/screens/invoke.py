"""A call, filled in: fields from the signature, where it runs, and the line that says the same."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Label, Select, Static

from rhdesk.errors import RhdeskError
from rhdesk.foreign import clean, clean_block
from rhdesk.models import Signature
from rhdesk_tui import fields
from rhdesk_tui.messages import OfferCopies, ShowRun
from rhdesk_tui.page import Page
from rhdesk_tui.spellings import Spelling, call_cli, call_python
from rhdesk_tui.widgets.choices import WordChoice
from rhdesk_tui.widgets.form import Field, Form
from rhdesk_tui.wording import STYLES
from rhdesk_tui.workplace import Workplace


class InvokeScreen(Page):
    CSS_PATH = "invoke.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "submit", "Run", id="invoke.run"),
        Binding("tab", "app.focus_next", "Next field", id="invoke.tab", show=True),
        Binding("f2", "copy", "Copy", id="invoke.copy"),
        Binding("escape", "back", "Back", id="invoke.back"),
    ]

    def __init__(self, workplace: Workplace, target: str) -> None:
        super().__init__(workplace)
        self.target = target
        self.method = ""
        self._curl = ""
        self._submitting = False

    def compose_body(self) -> ComposeResult:
        with Vertical(id="form-pane", classes="pane"):
            yield Static("◐ reading the signature…", id="doc")
            yield Vertical(id="form")
            with Horizontal(id="where"):
                yield Label("on", classes="label")
                yield WordChoice(["here"], id="on")
                yield Label("env", classes="label")
                yield WordChoice([], blank="as saved", id="env")
                yield Label("timeout", classes="label")
                yield Input(placeholder="none", compact=True, id="timeout", select_on_focus=False)
                yield Label("s", classes="unit")
            yield Static(id="spelled")

    def path(self) -> tuple[str, ...]:
        called = f".{self.method}" if self.method not in {"", "call"} else ""
        return ("Invoke", self.target + called)

    def on_mount(self) -> None:
        title = Content(clean(f"Invoke {self.target}"))
        self.query_one("#form-pane").border_title = title
        self.begin(self._read, "read")

    # ---- filling the form

    async def _read(self) -> None:
        methods = await self.desk.methods(self.target)
        if methods and methods != ["call"]:
            chooser = WordChoice(methods, id="method")
            where = self.query_one("#where")
            await where.mount(Label("method", classes="label"), chooser, before=0)
            self.method = methods[0]
        await self._show_method(self.method)
        await self._guarded(self._read_places)

    async def _show_method(self, method: str) -> None:
        self.method = method
        signature = await self.desk.signature(self.target, method=method)
        self.query_one("#doc", Static).update(_heading(self.target, method, signature))
        holder = self.query_one("#form")
        await holder.remove_children()
        await holder.mount(Form(signature))
        self._spell()
        self.refresh_bar()
        try:
            self._curl = await self.desk.curl(self.target, method=method)
        except RhdeskError:
            self._curl = ""  # no cluster is up: there is no address to write down

    async def _read_places(self) -> None:
        clusters = await self.desk.clusters()
        self.workplace.clusters = clusters
        chooser = self.query_one("#on", WordChoice)
        chooser.offer([cluster.name for cluster in clusters] or ["here"])
        up = self.workplace.up
        if up and chooser.word not in up:
            chooser.value = up[0]  # what can be called, before what would have to come up
        envs = next((c.envs for c in clusters if c.name == chooser.word), ())
        self.query_one("#env", WordChoice).offer(envs)
        self.refresh_bar()

    @on(Select.Changed, "#method")
    def _method_chosen(self, event: Select.Changed) -> None:
        if isinstance(event.value, str) and event.value != self.method:
            self.begin(partial(self._show_method, event.value), "read")

    @on(Field.Edited)
    @on(Select.Changed, "#on")
    @on(Select.Changed, "#env")
    @on(Input.Changed, "#timeout")
    def _edited(self) -> None:
        self._spell()

    # ---- the same as a line

    @property
    def cluster(self) -> str:
        return self.query_one("#on", WordChoice).word

    @property
    def env(self) -> str:
        return self.query_one("#env", WordChoice).word

    def _timeout(self) -> float | None:
        text = self.query_one("#timeout", Input).value.strip()
        if not text:
            return None
        try:
            seconds = float(text)
        except ValueError:
            raise fields.Wrong(f"timeout: {text!r} is not a number of seconds") from None
        if seconds <= 0:
            raise fields.Wrong("timeout: must be more than 0 seconds")
        return seconds

    def _spell(self) -> None:
        if not self.query(Form):
            return
        try:
            line = self._cli()
        except fields.Wrong as exc:
            said = Content.assemble(("$ ", STYLES["quiet"]), ("… ", ""),
                                    (clean(str(exc)), STYLES["quiet"]))  # fmt: skip
        else:
            said = Content.assemble(("$ ", STYLES["quiet"]), (clean(line), STYLES["accent"]))
        self.query_one("#spelled", Static).update(said)

    def _cli(self) -> str:
        args, named = self.query_one(Form).call()
        return call_cli(
            self.target, named, args=args, method=self.method, on=self.cluster, env=self.env,
            timeout_s=self._timeout(),
        )  # fmt: skip

    def spellings(self) -> list[Spelling]:
        found: list[Spelling] = []
        try:
            args, named = self.query_one(Form).call()
            found.append(Spelling("as CLI", self._cli()))
            python = call_python(self.target, named, args=args, method=self.method)
            found.append(Spelling("as Python", python))
        except fields.Wrong as exc:
            self.complain(f"cannot be spelled yet: {exc}", warning=True)
        if self._curl:
            found.append(Spelling("as curl", self._curl))
        return found

    def action_copy(self) -> None:
        if self.query(Form) and (found := self.spellings()):
            self.post_message(OfferCopies(found))

    # ---- sending it

    def action_submit(self) -> None:
        if self._submitting or not self.query(Form):
            return
        form = self.query_one(Form)
        if not form.check():
            self.complain("some fields cannot be sent yet", warning=True)
            return
        try:
            args, named = form.call()
            timeout_s = self._timeout()
        except fields.Wrong as exc:
            self.complain(str(exc), warning=True)
            return
        self._submitting = True
        self.begin(partial(self._submit, args, named, timeout_s), "submit")

    async def _submit(
        self, args: list[Any], named: dict[str, Any], timeout_s: float | None
    ) -> None:
        pane = self.query_one("#form-pane")
        pane.border_subtitle = "◐ sending…"
        try:
            run = await self.desk.submit(
                self.target, named, args=args, method=self.method, on=self.cluster, env=self.env,
                timeout_s=timeout_s,
            )  # fmt: skip
        finally:
            self._submitting = False
            pane.border_subtitle = ""
        self.post_message(ShowRun(run.run_id))


def _heading(target: str, method: str, signature: Signature) -> Content:
    name = method if method not in {"", "call"} else target.rpartition("/")[2].rpartition(":")[2]
    sync = "async def" if signature.is_async else "def"
    text = f"{sync} {clean(name.partition('@')[0])}{clean(signature.text)}"
    doc = clean_block(signature.doc.strip().split("\n\n")[0])
    parts = [Content.styled(text, "bold")]
    if doc:
        parts.append(Content.styled(doc, STYLES["quiet"]))
    if signature.is_generator:
        parts.append(Content.styled("a generator: what it yields streams", STYLES["accent"]))
    return Content("\n").join(parts)
