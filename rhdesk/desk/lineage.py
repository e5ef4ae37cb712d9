"""Lineage: why a resource exists, and what breaks without it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from rhdesk.desk.names import NameVerbs
from rhdesk.errors import BadInput, BadName, NotFound, RhdeskError
from rhdesk.models import Edge, Lineage, Name, Version

if TYPE_CHECKING:
    from datetime import datetime

    from rhdesk.models import Run
    from rhdesk.runs.book import RunBook
    from rhdesk.runs.recorder import Recorder

_DEEPEST = 100
"""Runs one behind the other that are told at most."""
_WRITERS = 20
"""Runs that wrote the very same version; of more the newest are told."""
_READERS = 1_000
_EDGES = 10_000
_NAMES = 64
"""Names on the way whose histories are looked into."""
_VERSIONS = 10_000
_PAGE = 500


class _Wanted(NamedTuple):
    """What a run read: who wrote that?"""

    name: str
    version: str
    before: datetime | None


class LineageVerbs(NameVerbs):
    async def lineage(self, name: str, *, depth: int = 8) -> Lineage:
        """Why a resource exists: the run that wrote it, what that run read, who wrote that ...

        Of a name without version the newest version that a run wrote; where a person saved it
        since, `saved` of the answer says so.

        Args:
            name: ``~/report``, ``~/report@1a2b``, a kept value ``here:key``, or what an OpenLineage
                event called a dataset.
            depth: Runs one behind the other, at most.

        Raises:
            NotFound: Nothing is known of the name, or of that version.
        """
        way = _Way(self.recorder, self._known_versions)
        root, version = await self._asked(name)
        wanted = await way.beginning(root, version)
        steps = [wanted]
        for _ in range(min(max(depth, 1), _DEEPEST)):
            wrote = await way.writers(steps)
            read = await way.read(wrote)
            steps = way.next_steps(read)
            if not steps or way.is_full:
                break
        is_all = await way.ends_before(steps)
        if not way.edges and not way.saved:
            raise NotFound(name, kind="name with a lineage")
        return Lineage(
            name=root,
            version=wanted.version,
            edges=tuple(way.edges),
            saved=tuple(way.saved),
            is_complete=is_all and not way.is_full,
        )

    async def dependents(self, name: str, *, depth: int = 8) -> Lineage:
        """What breaks without a resource: the runs that read it, what they wrote, who read that ...

        Of runs that read it and wrote nothing, the newest of each function is told.

        Args:
            name: As `lineage` takes it; without version whatever read any of its versions.
        """
        root, version = await self._asked(name)
        versions = [version] if version else await self._own_versions(root)
        found = await self.recorder.read(
            lambda book: book.edges.readers(root, versions, None, _READERS)
        )
        edges, seen, told = list(found), set[str](), {root}
        is_complete = len(found) < _READERS
        for steps_left in reversed(range(min(max(depth, 1), _DEEPEST))):
            run_ids = [each for each in dict.fromkeys(e.run_id for e in found) if each not in seen]
            seen.update(run_ids)
            wrote = await self.recorder.read(
                partial(_written, run_ids=run_ids, without=frozenset({root}))
            )
            edges += wrote
            new = [each for each in wrote if _at(each) not in told]
            told.update(map(_at, wrote))
            if not new:
                break
            if len(edges) > _EDGES:
                is_complete = False
                break
            found, was_all = await self.recorder.read(partial(_readers, wrote=new))
            if not steps_left:
                is_complete = is_complete and not found
                break
            is_complete = is_complete and was_all
            edges += found
        return Lineage(
            name=root,
            version=version,
            edges=tuple(dict.fromkeys(edges)),
            is_down=True,
            is_complete=is_complete,
        )

    async def edges(self, run_id: str) -> list[Edge]:
        """What a run read and wrote, in the order of time; also of one that retention took.

        Args:
            run_id: As `run` takes it.

        Raises:
            NotFound: Nobody knows such a run.
        """
        full = await self.recorder.read(partial(_full_id, run_id=run_id))
        return await self.recorder.read(lambda book: book.edges.of_run(full))

    async def lineage_events(self, *, run_id: str = "") -> AsyncGenerator[dict[str, Any]]:
        """The lineage as OpenLineage events, run by run in the order of their ids.

        Args:
            run_id: Only of this run.
        """
        from rhdesk.runs.openlineage import events_of

        if run_id:
            page = [await self.recorder.read(partial(_full_id, run_id=run_id))]
        else:
            page = await self.recorder.read(lambda book: book.edges.runs(limit=_PAGE))
        while page:
            for each, edges, run in await self.recorder.read(partial(_told, run_ids=page)):
                for event in events_of(each, edges, run) if edges else ():
                    yield event
            if run_id:
                return
            more = partial(_runs_after, after=page[-1])
            page = await self.recorder.read(more)

    async def take_lineage_events(self, events: Sequence[Mapping[str, Any]]) -> int:
        """Take what OpenLineage events tell, all or nothing; returns how many edges are new.

        What was taken before is not taken again.

        Raises:
            BadInput: One of them is no event of a run; the message says which, and why.
        """
        from rhdesk.runs.openlineage import edges_of

        taken: list[Edge] = []
        for number, event in enumerate(events, 1):
            try:
                taken += edges_of(event)
            except BadInput as exc:
                raise BadInput(f"event {number}: {exc}") from exc
        return await self.recorder.write(lambda book: book.edges.add(taken))

    async def _known_versions(self, name: str) -> list[Version]:
        """When and by whom the versions of a name were saved, newest first, as this machine knows."""
        try:
            parsed = Name.parse(name)
            found = await self._ask(parsed, lambda names: names.history(parsed, limit=_VERSIONS))
            return [msgspec.structs.replace(each, config={}) for each in found]
        except RhdeskError:  # a kept value, a cluster, a dataset of others, a name of elsewhere
            return []

    async def _asked(self, name: str) -> tuple[str, str]:
        """The full name, and the whole version if one was said."""
        try:
            parsed = Name.parse(name)
        except BadName:
            if not name:
                raise
            return name, ""
        root = str(parsed.without_version)
        if not parsed.version:
            return root, ""
        try:
            return root, (await self._ask(parsed, lambda names: names.load(parsed))).version
        except RhdeskError as exc:
            found = await self.recorder.read(
                lambda book: book.edges.versions(root, parsed.version)
            )
            if len(found) > 1:
                some = ", ".join(found)
                raise BadInput(f"several versions begin as {name} does: {some}") from exc
            if not found:
                raise
            return root, found[0]

    async def _own_versions(self, name: str) -> list[str] | None:
        """The versions a name of this repository had: another's ``~/x`` is another thing.

        None where that cannot be told.
        """
        if not name.startswith("~/"):
            return None
        return [each.version for each in await self._known_versions(name) if each.version] or None


class _Way:
    """The way up from one resource: what was found on it so far."""

    def __init__(
        self, recorder: Recorder, history: Callable[[str], Awaitable[list[Version]]]
    ) -> None:
        self.edges: list[Edge] = []
        self.saved: list[Version] = []
        self.is_full = False
        self._recorder = recorder
        self._history_of = history
        self._histories: dict[str, list[Version]] = {}
        self._told: set[Edge] = set()
        self._runs: set[str] = set()
        self._seen: set[tuple[str, str]] = set()

    async def beginning(self, name: str, version: str) -> _Wanted:
        """The version to begin with: the newest that a run wrote, if none was said."""
        if version:
            return _Wanted(name, version, None)
        versions = [each for each in await self._history(name) if not each.deleted]
        for each in versions:
            wanted = _Wanted(name, each.version, None)
            if each.run_id or await self._written(wanted):
                return wanted
            if each is versions[0]:
                self.saved.append(each)
        if versions:
            return _Wanted(name, versions[0].version, None)
        last = await self._written(_Wanted(name, "", None))
        return _Wanted(name, last[0].version if last else "", None)

    async def writers(self, steps: Sequence[_Wanted]) -> list[Edge]:
        """The runs that wrote what is wanted: those of the book, then those versions name."""
        found: list[Edge] = []
        for step, wrote in await self._recorder.read(partial(_writers, steps=list(steps))):
            if len(wrote) == _WRITERS:
                self.is_full = True
            found += wrote or await self._of_history(step)
        self.edges += [each for each in dict.fromkeys(found) if each not in self._told]
        self._told.update(found)
        return found

    async def read(self, wrote: Sequence[Edge]) -> list[Edge]:
        """What the runs read that are new on the way."""
        run_ids = [e for e in dict.fromkeys(each.run_id for each in wrote) if e not in self._runs]
        self._runs.update(run_ids)
        found = await self._recorder.read(lambda book: book.edges.read_by(run_ids))
        self.edges += found
        self.is_full = self.is_full or len(self.edges) > _EDGES
        return found

    def next_steps(self, read: Sequence[Edge]) -> list[_Wanted]:
        steps: list[_Wanted] = []
        for edge in read:
            # A name without version is another thing each time it is written.
            key = (edge.name, edge.version or edge.at.isoformat())
            if key not in self._seen:
                self._seen.add(key)
                steps.append(_Wanted(edge.name, edge.version, edge.at))
        return steps

    async def ends_before(self, steps: Sequence[_Wanted]) -> bool:
        """Whether no run lies behind the last that are told; a person may, and is named too."""
        behind = await self._recorder.read(partial(_writers, steps=list(steps)))
        found = [wrote or await self._of_history(step) for step, wrote in behind]
        return not any(found)

    async def _written(self, step: _Wanted) -> list[Edge]:
        found = await self._recorder.read(partial(_writers, steps=[step]))
        return found[0][1]

    async def _of_history(self, step: _Wanted) -> list[Edge]:
        """The run that a version says wrote it, perhaps on another machine; or who saved it."""
        for version in await self._history(step.name):
            if version.version != step.version or version.deleted:
                continue
            if version.run_id:
                at = version.saved_at
                run_id, name = version.run_id, step.name
                return [Edge(run_id=run_id, kind="wrote", name=name, version=step.version, at=at)]
            if version not in self.saved:
                self.saved.append(version)
            break
        return []

    async def _history(self, name: str) -> list[Version]:
        if name not in self._histories:
            if len(self._histories) >= _NAMES:
                return []
            self._histories[name] = await self._history_of(name)
        return self._histories[name]


def _at(edge: Edge) -> str:
    return f"{edge.name}@{edge.version or edge.at.isoformat()}"


def _writers(book: RunBook, *, steps: Sequence[_Wanted]) -> list[tuple[_Wanted, list[Edge]]]:
    return [
        (step, book.edges.writers(step.name, step.version, step.before, _WRITERS))
        for step in steps
    ]


def _written(book: RunBook, *, run_ids: Sequence[str], without: frozenset[str]) -> list[Edge]:
    return [edge for edge in book.edges.written_by(run_ids) if edge.name not in without]


def _readers(book: RunBook, *, wrote: Sequence[Edge]) -> tuple[list[Edge], bool]:
    found: list[Edge] = []
    was_all = True
    for edge in wrote:
        versions = [edge.version] if edge.version else []
        some = book.edges.readers(edge.name, versions, edge.at, _READERS)
        was_all = was_all and len(some) < _READERS
        found += some
        if len(found) > _EDGES:
            return found, False
    return found, was_all


def _full_id(book: RunBook, *, run_id: str) -> str:
    try:
        return book.run(run_id).run_id
    except NotFound:
        found = book.edges.runs_like(run_id) if len(run_id) >= 4 else []
        if len(found) > 1:
            some = ", ".join(found)
            raise BadInput(f"several runs are meant by {run_id!r}: {some}") from None
        if not found:
            raise
        return found[0]


def _told(book: RunBook, *, run_ids: Sequence[str]) -> list[tuple[str, list[Edge], Run | None]]:
    known = book.known(run_ids)
    return [(each, book.edges.of_run(each), known.get(each)) for each in run_ids]


def _runs_after(book: RunBook, *, after: str) -> list[str]:
    return book.edges.runs(after=after, limit=_PAGE)
