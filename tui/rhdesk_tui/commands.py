"""What can be typed behind ``:`` and found in the palette: one table for both."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode

from rhdesk.errors import BadInput
from rhdesk.foreign import clean
from rhdesk_tui.table_view import TableSource, source_of
from rhdesk_tui.workplace import Workplace

if TYPE_CHECKING:
    from rhdesk_tui.app import DeskApp

Takes = Literal["nothing", "name", "cluster", "filter", "run", "theme", "text"]


@dataclass(frozen=True)
class Verb:
    word: str
    usage: str
    does: str
    takes: Takes
    run: Callable[[DeskApp, list[str]], None]


def _kind(word: str, does: str) -> Verb:
    def show(app: DeskApp, rest: list[str]) -> None:
        app.show_kind(word, " ".join(rest) if rest else None)

    return Verb(word, f"{word} [filter]", does, "filter", show)


def _put(app: DeskApp, rest: list[str]) -> None:
    if len(rest) < 2:
        raise BadInput("say a key and a value behind put: put x 42")
    text = " ".join(rest[1:])
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    app.put(rest[0], value)


def _one_or_two(rest: Sequence[str], what: str) -> Sequence[str]:
    if len(rest) not in {1, 2}:
        raise BadInput(f"say {what} behind the command")
    return rest


def _share(app: DeskApp, rest: list[str]) -> None:
    if len(rest) not in {2, 3}:
        raise BadInput(
            "say a folder and a user behind share, and perhaps a level: share @ bob read"
        )
    app.share(rest[0], [rest[1]], rest[2] if len(rest) == 3 else "read")


def _folder(app: DeskApp, rest: list[str]) -> None:
    if len(rest) > 2:
        raise BadInput("say a folder behind folder, and perhaps a cluster: folder . gpubox")
    up = [name for name in app.workplace.up if name != "here"]
    app.show_folder(rest[0] if rest else ".", rest[1] if len(rest) > 1 else (up or ["here"])[0])


def _watch(app: DeskApp, rest: list[str]) -> None:
    if len(rest) > 3:
        raise BadInput("say a folder behind watch, and perhaps a cluster and an env: watch . lab")
    app.watch_folder(rest)


def _table(app: DeskApp, place: str) -> None:
    app.begin(partial(_open_table, app, place), "table")


async def _open_table(app: DeskApp, place: str) -> None:
    """Open what is saved under a name, or what is at a place."""
    if place.startswith(("~/", "@/")) or place in app.workplace.names:
        found = await app.desk.resources("/" if place.startswith("/") else "")
        for record in found:
            if record.name == place and record.resource_type == "table":
                app.show_table(source_of(record))
                return
    app.show_table(TableSource(place))


VERBS: Final[tuple[Verb, ...]] = (
    _kind("functions", "list saved functions"),
    _kind("modules", "list saved modules"),
    _kind("runs", "list runs, newest first"),
    _kind("clusters", "list clusters"),
    _kind("envs", "list environments that are up"),
    _kind("objects", "list values kept on clusters"),
    _kind("resources", "list every saved name"),
    Verb("call", "call NAME or FILE.py:FUNC", "fill in a call and run it", "name",
         lambda app, rest: app.show_invoke(_one(rest, "a name, or app.py:train"))),
    Verb("logs", "logs [RUN]", "a run's log; without a name the newest", "run",
         lambda app, rest: app.show_run(rest[0] if rest else "last")),
    Verb("history", "history NAME", "versions of a name", "name",
         lambda app, rest: app.show_history(_one(rest, "a name"))),
    Verb("diff", "diff NAME[@V] [NAME[@V]]", "what differs between two versions", "name",
         lambda app, rest: app.show_diff(*_one_or_two(rest, "a name, or two"))),
    Verb("rollback", "rollback NAME@VERSION", "make an earlier version the newest", "name",
         lambda app, rest: app.rollback(_one(rest, "a name with a version: ~/train@1a2b3c"))),
    Verb("lineage", "lineage NAME", "why it exists: the runs and names it came from", "name",
         lambda app, rest: app.show_lineage(_one(rest, "a name"))),
    Verb("dependents", "dependents NAME", "what breaks without it", "name",
         lambda app, rest: app.show_lineage(_one(rest, "a name"), down=True)),
    Verb("conflicts", "conflicts", "writes that wait for your decision", "nothing",
         lambda app, rest: app.show_conflicts()),
    Verb("store", "store", "the remote store and the daemon", "nothing",
         lambda app, rest: app.show_store()),
    Verb("sync", "sync", "send and read what the store does not have or we do not", "nothing",
         lambda app, rest: app.sync()),
    Verb("share", "share FOLDER USER [LEVEL]", "let somebody read or write in a folder", "name",
         lambda app, rest: _share(app, rest)),
    Verb("search", "search TEXT", "lines of any run that hold these words", "text",
         lambda app, rest: app.show_search(" ".join(rest))),
    Verb("up", "up [CLUSTER]", "bring a cluster up", "cluster",
         lambda app, rest: app.bring_up(rest[0] if rest else "here")),
    Verb("down", "down [CLUSTER]", "bring a cluster down", "cluster",
         lambda app, rest: app.bring_down(rest[0] if rest else "here")),
    Verb("add", "add [HOST]", "add a machine of your own and bring it up", "text",
         lambda app, rest: app.add_machine(rest[0] if rest else "")),
    Verb("provision", "provision [NAME]", "machines to be had: plan, price, bring them up", "text",
         lambda app, rest: app.provision(rest[0] if rest else "")),
    Verb("machines", "machines", "what machines cost, and any that nobody accounts for", "nothing",
         lambda app, rest: app.show_orphans()),
    Verb("watch", "watch [FOLDER [CLUSTER [ENV]]]", "edits of a folder follow to a cluster",
         "text", lambda app, rest: _watch(app, rest)),
    Verb("folder", "folder [FOLDER [CLUSTER]]", "what of a folder travels; send it, bring back",
         "text", lambda app, rest: _folder(app, rest)),
    Verb("table", "table PLACE", "the rows of a table: a file, a folder, s3://bucket/x, a name",
         "name", lambda app, rest: _table(app, _one(rest, "a place, or a name"))),
    Verb("cluster", "cluster [CLUSTER]", "one cluster in full", "cluster",
         lambda app, rest: app.show_cluster(rest[0] if rest else "here")),
    Verb("exec", "exec COMMAND", "run a shell command on `here`", "text",
         lambda app, rest: app.execute(shlex.join(rest))),
    Verb("put", "put KEY JSON", "keep a value on `here`", "text",
         _put),
    Verb("doctor", "doctor [CLUSTER]", "check that everything is well", "cluster",
         lambda app, rest: app.show_checks(rest[0] if rest else "here")),
    Verb("fsck", "fsck", "look at names, index, runs and code for damage", "nothing",
         lambda app, rest: app.show_care("fsck")),
    Verb("import", "import FOLDER", "bring over a project of Runhouse v0.0.12", "text",
         lambda app, rest: app.show_care("import", _one(rest, "a folder"))),
    Verb("exchange", "exchange [REMOTE]", "names with a git remote: fetch, merge, push", "text",
         lambda app, rest: app.show_care("exchange", rest[0] if rest else "origin")),
    Verb("access", "access [PERSON]", "who may what, groups, lanes, the audit", "text",
         lambda app, rest: app.show_access("rights", who=rest[0] if rest else "")),
    Verb("can", "can WHO ACTION NAME", "whether somebody may, and the chain that says so", "text",
         lambda app, rest: app.show_access("rights", can=rest)),
    Verb("group", "group", "groups of people, and who is in them", "nothing",
         lambda app, rest: app.show_access("groups")),
    Verb("lanes", "lanes", "dev, staging, prod: promote and approve", "nothing",
         lambda app, rest: app.show_access("lanes")),
    Verb("audit", "audit", "who did what in the store", "nothing",
         lambda app, rest: app.show_access("audit")),
    Verb("secrets", "secrets", "secrets: which are kept, keep one, load a provider's", "nothing",
         lambda app, rest: app.show_secrets()),
    Verb("config", "config", "settings: what each is, who decided it, set one", "nothing",
         lambda app, rest: app.show_settings()),
    Verb("messages", "messages", "everything that was said", "nothing",
         lambda app, rest: app.action_said()),
    Verb("jobs", "jobs", "the newest long action, step by step", "nothing",
         lambda app, rest: app.show_job()),
    Verb("theme", "theme dark or light", "change the colours", "theme",
         lambda app, rest: app.use_theme(_one(rest, "dark or light"))),
    Verb("help", "help", "every key", "nothing", lambda app, rest: app.action_help()),
    Verb("q", "q", "leave rhdesk", "nothing", lambda app, rest: app.exit()),
)  # fmt: skip

_ALIASES: Final = {
    "quit": "q", "exit": "q", "fn": "functions", "fns": "functions", "f": "functions",
    "mods": "modules", "run": "runs", "r": "runs", "c": "clusters", "env": "envs", "e": "envs",
    "keys": "objects", "why": "lineage", "daemon": "store", "login": "store", "logout": "store",
    "rejected": "conflicts", "orphans": "machines", "cost": "machines", "undo": "rollback",
    "all": "resources", "ls": "resources", "invoke": "call", "log": "logs",
}  # fmt: skip


def find(word: str) -> Verb | None:
    word = _ALIASES.get(word, word)
    return next((verb for verb in VERBS if verb.word == word), None)


def run_line(app: DeskApp, text: str) -> None:
    """Do what a line says.

    Raises:
        BadInput: No verb has this word, or it misses something.
    """
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise BadInput(f"{text!r}: {exc}") from exc
    if not words:
        return
    verb = find(words[0].lower())
    if verb is None:
        near = get_close_matches(words[0].lower(), [v.word for v in VERBS], n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise BadInput(f"no command is called {words[0]!r}{hint} (? lists them)")
    rest = words[1:]
    if verb.word == "exec":
        rest = [text.split(None, 1)[1]] if len(words) > 1 else []
    verb.run(app, rest)


def complete(typed: str, workplace: Workplace) -> Sequence[str]:
    """Whole lines that continue *typed*."""
    head, space, tail = typed.partition(" ")
    if not space:
        return [v.word + (" " if v.takes != "nothing" else "")
                for v in VERBS if v.word.startswith(head.lower()) and head]  # fmt: skip
    verb = find(head.lower())
    if verb is None or not tail:
        return []
    among: Sequence[str] = ()
    if verb.takes == "name":
        among = workplace.names
    elif verb.takes == "cluster":
        among = [cluster.name for cluster in workplace.clusters] or ["here"]
    elif verb.takes == "theme":
        among = ("dark", "light")
    low = tail.lower()
    starts = [f"{head} {name}" for name in among if name.lower().startswith(low)]
    rooted = [f"{head} {name}" for name in among if name.lower().startswith(f"~/{low}")]
    return starts or rooted


def hint(typed: str) -> str:
    """How the verb being typed is used."""
    verb = find(typed.split(" ", 1)[0].lower())
    return f"{verb.usage}: {verb.does}" if verb else ""


def _one(rest: Sequence[str], what: str) -> str:
    if len(rest) != 1:
        raise BadInput(f"say {what} behind the command")
    return rest[0]


class DeskCommands(Provider):
    """The same verbs in the palette, beside the keys of the screen and the saved names."""

    @property
    def _desk_app(self) -> DeskApp:
        return cast("DeskApp", self.app)

    async def discover(self) -> Hits:
        for title, does, act in self._entries():
            yield DiscoveryHit(Content(title), act, help=does)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, does, act in self._entries():
            score = matcher.match(f"{title} {does}")
            if score > 0:
                yield Hit(score, Content(title), act, help=does)
        for name in self._desk_app.workplace.names:
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, Content(f"call {clean(name)}"), self._invoke(name),
                          help="fill in a call and run it")  # fmt: skip

    def _invoke(self, name: str) -> Callable[[], None]:
        return lambda: self._desk_app.show_invoke(name)

    def _entries(self) -> list[tuple[str, str, Callable[[], None]]]:
        app = self._desk_app
        found: list[tuple[str, str, Callable[[], None]]] = []
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.show and active.enabled and binding.description:
                key = app.get_key_display(binding)
                found.append((f"{binding.description}  [{key}]", "on this screen",
                              self._press(active.node, binding.action)))  # fmt: skip
        for verb in VERBS:
            if verb.takes in {"name", "text", "theme"}:
                found.append((f":{verb.usage}", verb.does, partial(app.type_command, verb.word)))
            else:
                found.append((f":{verb.word}", verb.does, partial(app.do, verb.word)))
        for theme in ("dark", "light"):
            does = "change the colours"
            found.append((f":theme {theme}", does, partial(app.do, f"theme {theme}")))
        return found

    def _press(self, node: DOMNode, action: str) -> Callable[[], None]:
        app = self._desk_app

        async def run() -> None:
            await app.run_action(action, default_namespace=node)

        def press() -> None:
            app.call_later(run)

        return press
