"""What the explorer can list, one shelf per kind: columns, rows, what an empty one says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar, cast

from rhdesk.desk import AsyncDesk
from rhdesk.models import Cluster, ClusterState, Env, Record, Run
from rhdesk_tui.filtering import Filter
from rhdesk_tui.spellings import Spelling, of_cluster, of_env, of_object, of_record, of_run
from rhdesk_tui.widgets.resource_list import Cell, Column, Listed, Row, Rows
from rhdesk_tui.wording import (
    age,
    cluster_note,
    count,
    many,
    run_duration,
    say_cluster,
    say_env,
    say_run,
    say_sync,
)  # fmt: skip

T = TypeVar("T")
Now = Callable[[], datetime]
Item = Record | Run | Cluster | Env | str
_PAGE: Final = 200
_KEPT_PAGES: Final = 20
_SCAN: Final = 1000
_SYNC: Final = Column("STORE", 10, keep=7)


class Lesson(NamedTuple):
    """What an empty list teaches."""

    why: str
    key: str
    does: str
    cli: str
    python: str


class Shelf(ABC):
    word: ClassVar[str]
    """What is typed behind ``:``."""
    title: ClassVar[str]
    digit: ClassVar[str]
    columns: tuple[Column, ...]
    lesson: ClassVar[Lesson]
    lives: ClassVar[bool] = False
    """Whether it changes by itself, and is worth asking for again while shown."""

    def __init__(self, desk: AsyncDesk, now: Now) -> None:
        self.desk = desk
        self.now = now
        self.count: int | None = None
        """How many there are in all; None before the first load."""
        self.why = ""
        """Why the list is empty although nothing is wrong, such as a cluster that is down."""

    @abstractmethod
    async def load(self) -> int:
        """Ask the desk; returns how many rows were put in front since the last time."""

    @abstractmethod
    def rows(self, shown: Filter) -> Rows: ...

    @abstractmethod
    def item(self, key: str) -> Item | None: ...

    @abstractmethod
    def spellings(self, key: str) -> list[Spelling]: ...


class ListShelf(Shelf, Generic[T]):
    """A shelf whose items are all in memory: ten thousand names are filtered in milliseconds."""

    def __init__(self, desk: AsyncDesk, now: Now) -> None:
        super().__init__(desk, now)
        self.items: list[T] = []
        self._lines: list[str] = []
        self._places: dict[str, int] = {}
        self._picked: tuple[Filter, list[int]] | None = None

    async def load(self) -> int:
        self.items = await self.fetch()
        self._lines = [self.text_of(item).lower() for item in self.items]
        self._places = {self.key(item): at for at, item in enumerate(self.items)}
        self._picked = None
        self.count = len(self.items)
        return 0

    def rows(self, shown: Filter) -> Listed[T]:
        if not shown:
            return Listed(self.items, self.row, self.key, places=self._places)
        among = None
        if self._picked is not None and shown.narrows(self._picked[0]):
            before, picked = self._picked
            among = sorted(picked) if before.is_whole(picked) else None
        order = shown.pick(self._lines, among)
        self._picked = (shown, order)
        return Listed(self.items, self.row, self.key, order, self._places)

    def find(self, key: str) -> T | None:
        at = self._places.get(key)
        return None if at is None else self.items[at]

    @abstractmethod
    async def fetch(self) -> list[T]: ...

    @abstractmethod
    def key(self, item: T) -> str: ...

    @abstractmethod
    def text_of(self, item: T) -> str: ...

    @abstractmethod
    def row(self, item: T) -> Row: ...


class ResourceShelf(ListShelf[Record]):
    word = "resources"
    title = "All names"
    digit = "0"
    columns: tuple[Column, ...] = (
        Column("NAME", 18, flex=True),
        Column("TYPE", 9, keep=5),
        Column("ENV", 10, keep=3),
        Column("VERSION", 8, keep=4),
        Column("SAVED", 5, right=True, keep=6),
    )
    lesson = Lesson(
        "Nothing is saved in this repository yet.",
        ":", "call app.py:train",
        "rhdesk call app.py:train alpha=0.3",
        'rh.function(train).to("here").save("~/train")',
    )  # fmt: skip
    resource_type: ClassVar[str] = ""

    async def fetch(self) -> list[Record]:
        found = await self.desk.resources(resource_type=self.resource_type)
        if (await self.desk.store_state()).url:
            found += await self.desk.resources("/", resource_type=self.resource_type)
            self.columns = (*ResourceShelf.columns, _SYNC)
        else:
            self.columns = ResourceShelf.columns
        return found

    def key(self, item: Record) -> str:
        return item.name

    def text_of(self, item: Record) -> str:
        return f"{item.name} {item.resource_type} {item.sync}"

    def row(self, item: Record) -> Row:
        env = item.config.get("env")
        if isinstance(env, dict):
            env = cast("dict[str, Any]", env).get("name")
        cells = (
            Cell(item.name, "strong"),
            Cell(item.resource_type, "accent"),
            Cell(str(env or ""), "quiet"),
            Cell(item.version[:8], "quiet"),
            Cell(age(item.saved_at, self.now())),
            Cell(*say_sync(item.sync)),
        )
        return Row(item.name, cells[: len(self.columns)])

    def item(self, key: str) -> Record | None:
        return self.find(key)

    def spellings(self, key: str) -> list[Spelling]:
        record = self.find(key)
        return of_record(record) if record else []


class FunctionShelf(ResourceShelf):
    word = "functions"
    title = "Functions"
    digit = "1"
    resource_type = "function"
    lesson = Lesson(
        "No function is saved in this repository yet.",
        ":", "call app.py:train",
        "rhdesk call app.py:train alpha=0.3",
        'rh.function(train).to("here").save("~/train")',
    )  # fmt: skip


class ModuleShelf(ResourceShelf):
    word = "modules"
    title = "Modules"
    digit = "2"
    resource_type = "module"
    lesson = Lesson(
        "No module is saved in this repository yet. A module is a class that lives on a cluster.",
        ":", "call app.py:Model",
        "rhdesk call app.py:Model.predict x=1",
        'rh.module(Model).to("here").save("~/model")',
    )  # fmt: skip


class ClusterShelf(ListShelf[Cluster]):
    word = "clusters"
    title = "Clusters"
    digit = "4"
    lives = True
    columns = (
        Column("NAME", 12, flex=True),
        Column("STATE", 10),
        Column("ABOUT", 24, flex=True, keep=5),
        Column("ADDRESS", 15, keep=3),
        Column("UP FOR", 6, right=True, keep=4),
    )
    lesson = Lesson(
        "No cluster is known. `here` is this machine and needs nothing.",
        ":", "up here", "rhdesk up here", "rh.here.up()",
    )  # fmt: skip

    async def fetch(self) -> list[Cluster]:
        return await self.desk.clusters()

    def key(self, item: Cluster) -> str:
        return item.name

    def text_of(self, item: Cluster) -> str:
        return f"{item.name} {item.kind} {item.state}"

    def row(self, item: Cluster) -> Row:
        saying = say_cluster(item.state)
        note = cluster_note(item) or "u brings it up"
        return Row(
            item.name,
            (
                Cell(item.name, "strong"),
                Cell(saying.text, saying.tone),
                Cell(note),
                Cell(item.address, "quiet"),
                Cell(age(item.started_at, self.now()) if item.started_at else "-"),
            ),
            dimmed=item.state in {ClusterState.BROKEN, ClusterState.DOWN},
        )

    def item(self, key: str) -> Cluster | None:
        return self.find(key)

    def spellings(self, key: str) -> list[Spelling]:
        return of_cluster(key)


class EnvShelf(ListShelf[Env]):
    word = "envs"
    title = "Envs"
    digit = "5"
    lives = True
    columns = (
        Column("NAME", 14, flex=True),
        Column("STATE", 10),
        Column("ON", 8, keep=4),
        Column("PACKAGES", 8, right=True, keep=6),
        Column("LOCK", 8, keep=2),
        Column("UP FOR", 6, right=True, keep=3),
    )
    lesson = Lesson(
        "No environment is up.",
        "u", "bring the cluster up",
        "rhdesk env make train scikit-learn",
        'rh.env(reqs=["scikit-learn"], name="train").to("here")',
    )  # fmt: skip

    async def fetch(self) -> list[Env]:
        found: list[Env] = []
        down: list[str] = []
        for cluster in await self.desk.clusters():
            if cluster.state in {ClusterState.UP, ClusterState.BROKEN}:
                found += await self.desk.envs(cluster.name)
            else:
                down.append(cluster.name)
        self.why = _down_note("Environments", down)
        return found

    def key(self, item: Env) -> str:
        return f"{item.cluster}/{item.name}"

    def text_of(self, item: Env) -> str:
        return f"{item.name} {item.cluster} {item.state}"

    def row(self, item: Env) -> Row:
        saying = say_env(item.state)
        return Row(
            self.key(item),
            (
                Cell(item.name, "strong"),
                Cell(saying.text, saying.tone),
                Cell(item.cluster, "accent"),
                Cell(str(len(item.packages))),
                Cell(item.lock[:8], "quiet"),
                Cell(age(item.started_at, self.now())),
            ),
            dimmed=item.state == "died",
        )

    def item(self, key: str) -> Env | None:
        return self.find(key)

    def spellings(self, key: str) -> list[Spelling]:
        env = self.find(key)
        return of_env(env.name, env.packages) if env else []


class ObjectKey(NamedTuple):
    cluster: str
    key: str


class ObjectShelf(ListShelf[ObjectKey]):
    word = "objects"
    title = "Objects"
    digit = "6"
    lives = True
    columns = (Column("KEY", 24, flex=True), Column("ON", 10, keep=4))
    lesson = Lesson(
        "No object is kept on a cluster. An object is a value that stays there under a key.",
        ":", "put x 42", "rhdesk put x 42", 'rh.here.put("x", 42)',
    )  # fmt: skip

    async def fetch(self) -> list[ObjectKey]:
        found: list[ObjectKey] = []
        down: list[str] = []
        for cluster in await self.desk.clusters():
            if cluster.state is ClusterState.UP:
                keys = await self.desk.keys(on=cluster.name)
                found += [ObjectKey(cluster.name, key) for key in keys]
            else:
                down.append(cluster.name)
        self.why = _down_note("Objects", down)
        return found

    def key(self, item: ObjectKey) -> str:
        return f"{item.cluster}/{item.key}"

    def text_of(self, item: ObjectKey) -> str:
        return f"{item.key} {item.cluster}"

    def row(self, item: ObjectKey) -> Row:
        return Row(self.key(item), (Cell(item.key, "strong"), Cell(item.cluster, "accent")))

    def item(self, key: str) -> str | None:
        return key

    def spellings(self, key: str) -> list[Spelling]:
        found = self.find(key)
        return of_object(found.key, found.cluster) if found else []


class RunShelf(Shelf):
    """Runs, newest first, a page at a time; a filter reads through all of them once."""

    word = "runs"
    title = "Runs"
    digit = "3"
    lives = True
    columns = (
        Column("STATUS", 11),
        Column("FUNCTION", 16, flex=True),
        Column("RUN", 8, keep=2),
        Column("ON", 8, keep=3),
        Column("ENV", 8, keep=1),
        Column("STARTED", 7, right=True, keep=6),
        Column("TOOK", 6, right=True, keep=7),
        Column("LINES", 8, right=True, keep=4),
    )
    lesson = Lesson(
        "Nothing has run yet.",
        "i", "invoke, on a function",
        "rhdesk call app.py:train alpha=0.3",
        'rh.function(train).to("here")(alpha=0.3)',
    )  # fmt: skip

    def __init__(self, desk: AsyncDesk, now: Now) -> None:
        super().__init__(desk, now)
        self.wanted: Callable[[int, int], None] = _nobody
        """Called when rows that are not here are about to be shown."""
        self._pages: OrderedDict[int, list[Run]] = OrderedDict()
        self._by_id: dict[str, Run] = {}
        self._scanned: list[Run] = []
        self._lines: list[str] = []
        self.is_scanned = False

    async def load(self) -> int:
        before = self.count
        self.count = await self.desk.count_runs()
        grown = self.count - before if before is not None else 0
        if before is None or grown:
            self._pages.clear()
        await self.fetch(0, 1)
        return max(grown, 0)

    async def fetch(self, start: int, stop: int) -> None:
        """Bring runs in, by position from the newest."""
        for number in range(start // _PAGE, max(stop - 1, start) // _PAGE + 1):
            runs = await self.desk.runs(limit=_PAGE, offset=number * _PAGE)
            self._pages[number] = runs
            self._pages.move_to_end(number)
            self._by_id |= {run.run_id: run for run in runs}
        while len(self._pages) > _KEPT_PAGES:
            _, dropped = self._pages.popitem(last=False)
            for run in dropped:
                self._by_id.pop(run.run_id, None)

    async def scan(self, progress: Callable[[], None]) -> None:
        """Read through all runs, so that a filter sees them; *progress* is called on the way."""
        if self.is_scanned:
            return
        self._scanned, self._lines = [], []
        while batch := await self.desk.runs(limit=_SCAN, offset=len(self._scanned)):
            self._scanned += batch
            self._lines += [_run_line(run) for run in batch]
            self._by_id |= {run.run_id: run for run in batch}
            progress()
            if len(batch) < _SCAN:
                break
        self.is_scanned = True
        progress()

    def forget_scan(self) -> None:
        self._scanned, self._lines, self.is_scanned = [], [], False

    def rows(self, shown: Filter) -> Rows:
        if not shown:
            return _PagedRuns(self)
        order = shown.pick(self._lines)
        return Listed(self._scanned, self.row, lambda run: run.run_id, sorted(order))

    def at(self, index: int) -> Run | None:
        page = self._pages.get(index // _PAGE)
        offset = index % _PAGE
        return page[offset] if page is not None and offset < len(page) else None

    def position(self, run_id: str) -> int | None:
        for number, page in self._pages.items():
            for offset, run in enumerate(page):
                if run.run_id == run_id:
                    return number * _PAGE + offset
        return None

    def row(self, run: Run) -> Row:
        saying = say_run(run.status)
        called = "" if run.method in {"", "call"} else f".{run.method}"
        return Row(
            run.run_id,
            (
                Cell(saying.text, saying.tone),
                Cell(run.function + called, "strong"),
                Cell(run.run_id[:8], "quiet"),
                Cell(run.cluster, "accent"),
                Cell(run.env, "quiet"),
                Cell(age(run.started_at or run.submitted_at, self.now())),
                Cell(run_duration(run, self.now())),
                Cell(count(run.lines)),
            ),
        )

    def item(self, key: str) -> Run | None:
        return self._by_id.get(key)

    def spellings(self, key: str) -> list[Spelling]:
        run = self._by_id.get(key)
        return of_run(run) if run else []


class _PagedRuns:
    def __init__(self, shelf: RunShelf) -> None:
        self._shelf = shelf

    def __len__(self) -> int:
        return self._shelf.count or 0

    def row(self, index: int) -> Row | None:
        run = self._shelf.at(index)
        return None if run is None else self._shelf.row(run)

    def find(self, key: str) -> int | None:
        return self._shelf.position(key)

    def want(self, start: int, stop: int) -> None:
        if any(self._shelf.at(index) is None for index in (start, stop - 1)):
            self._shelf.wanted(start, stop)


SHELVES: Final[tuple[type[Shelf], ...]] = (
    FunctionShelf, ModuleShelf, RunShelf, ClusterShelf, EnvShelf, ObjectShelf, ResourceShelf,
)  # fmt: skip


def _run_line(run: Run) -> str:
    return f"{run.function} {run.method} {run.status} {run.cluster} {run.env} {run.run_id}".lower()


def _down_note(what: str, down: Sequence[str]) -> str:
    if not down:
        return ""
    verb = "is" if len(down) == 1 else "are"
    return f"{what} live on a cluster, and {', '.join(down)} {verb} down."


def _nobody(start: int, stop: int) -> None:
    """Before the explorer listens."""


def subtitle(shelf: Shelf, rows: Rows, shown: Filter) -> str:
    """How many are listed, of how many."""
    if shown and shelf.count is not None:
        return f"{count(len(rows))} of {many(shelf.count, shelf.word.removesuffix('s'))}"
    return ""
