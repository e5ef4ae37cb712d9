"""One call from a program: recorded, sent the warm way, its lines shown, its value returned.

What a function is, its handle is: a generator's call gives a generator, a coroutine function's
something to await. The way is short while nothing goes wrong; when the connection breaks, the desk
takes over behind the last line and item seen, and knows whether the call may be sent again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import msgspec

from rhdesk.clusters.warm_call import Broken
from rhdesk.code.bundle import Bundle
from rhdesk.errors import (
    ConnectionFailed,
    ItemsLost,
    NotFound,
    RhdeskError,
    RunFailed,
    SetupFailed,
)
from rhdesk.handles.cluster import Kept
from rhdesk.handles.resource import Resource, came_of
from rhdesk.handles.session import HERE, Road, Session
from rhdesk.models import Away, LogLine, Run, Signature
from rhdesk.runs.making import kept_name, new_run
from rhdesk.runs.outcome import describe_away, failure_error
from rhdesk.runs.service import failure_of, lines_of
from rhdesk.runs.spread import Came, Over, Told
from rhdesk.wire import pickles
from rhdesk.wire.frames import Frame, Kind, Lines
from rhdesk.wire.messages import Called, RunEnd, unpack
from rhdesk.wire.payload import Payload, map_pieces
from rhdesk.wire.pickles import Buffer

_LOOKED_AT: Final = 64
"""Members of an argument, and items of a map, that are looked at for handles."""


class Target(msgspec.Struct, frozen=True):
    """What is called, and where."""

    name: str
    bundle: Bundle
    definition: str
    """Hash of the bundle's definition under this name."""
    cluster: str
    env: str
    instance: str = ""
    method: str = ""
    reads: tuple[tuple[str, str], ...] = ()
    """Names and versions that each call of it reads, for the lineage."""
    node: str = ""
    """Machine of the cluster it runs on; empty is the head, or of a map all."""

    @property
    def signature(self) -> Signature:
        return self.bundle.methods.get(self.method, self.bundle.signature)


class Options(msgspec.Struct, frozen=True):
    stream_logs: bool = True
    """Show on stdout and stderr what the function prints, while it prints."""
    keep: str = ""
    """Leave the result on the cluster under this key; the call returns the key."""
    timeout_s: float = 0.0
    idempotent: bool = False
    """Items of a map whose end nobody can know run again: twice is as good as once."""


def call(
    session: Session,
    target: Target,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Options,
) -> Any:
    """Call and return what the function returned.

    Raises:
        Exception: What the function raised, with the far side's traceback as a note.
        RunFailed: It raised what cannot be brought here.
        RunLost: The process that ran it died; whether it finished is unknown.
    """
    payload = Payload.of_call(args, kwargs)
    run = _new_run(target, args, kwargs, payload, options)
    called = _called(run, target, options)
    answer = _Answer(session, run, options, reads_of(target, args, kwargs))
    frames = answer.frames(target, called, payload.pieces())
    shape = target.signature
    if shape.is_async:
        if shape.is_generator:
            return _items_async(answer.items(frames))
        return asyncio.to_thread(answer.value, frames)
    if shape.is_generator:
        return answer.items(frames)
    return answer.value(frames)


def map_call(
    session: Session,
    target: Target,
    items: Sequence[tuple[Sequence[Any], Mapping[str, Any]]],
    options: Options,
) -> list[Any]:
    """Call once for each of *items*, over the cluster's nodes and cores; results in their order.

    One run, however many items; the first that raises ends it, and is raised here.

    Raises:
        ItemsLost: A node went away with items whose end nobody can know; the others finished.
    """
    if not items:
        return []
    if target.cluster != HERE and not (target.instance or target.node) and len(items) > 1:
        cores = session.desk.nodes_for(target.cluster, target.env)
        if len(cores) > 1:
            return _map_over(session, target, items, options, cores)
    payloads = [Payload.of_call(args, kwargs) for args, kwargs in items]
    run = _new_run(target, [f"{len(items)} items"], {}, payloads[0], options)
    called = msgspec.structs.replace(_called(run, target, options), items=len(items))
    reads = reads_of(target, [value for args, _ in items[:_LOOKED_AT] for value in args], {})
    answer = _Answer(session, run, options, reads)
    results: list[Any] = []
    progress = _Progress(target.name, len(items))
    for value in answer.items(answer.frames(target, called, map_pieces(payloads))):
        results.append(value)
        progress.show(len(results))
    return results


def _map_over(
    session: Session,
    target: Target,
    items: Sequence[tuple[Sequence[Any], Mapping[str, Any]]],
    options: Options,
    cores: Mapping[str, int],
) -> list[Any]:
    """The same over several nodes."""
    results: dict[int, Any] = {}
    progress = _Progress(target.name, len(items))
    events = session.desk.map(
        target.name,
        target.bundle,
        items,
        on=target.cluster,
        cores=cores,
        env=target.env,
        timeout_s=options.timeout_s,
        idempotent=options.idempotent,
        reads=reads_of(target, [value for args, _ in items[:_LOOKED_AT] for value in args], {}),
    )
    over: Over | None = None
    with _telling(session):
        for event in events:
            match event:
                case Told(node, lines):
                    _show(lines, options, before=f"{node} | ")
                case Came(item, body):
                    results[item] = Payload.read(body).result(may_unpickle=True)
                    progress.show(len(results))
                case Over():
                    over = event
    if over is None:
        raise RunFailed(f"the map of {target.name} ended without an end")
    if over.raised is not None:
        raise _raised(over.raised, over.run.run_id)
    if over.lost:
        why = over.run.failure.message if over.run.failure else ""
        raise ItemsLost(why, run_id=over.run.run_id, lost=over.lost, results=results)
    return [came_of(results[item], over.run.run_id) for item in range(len(items))]


def fetch(session: Session, run: Run) -> Any:
    """The value of a run started earlier, perhaps by another program.

    Raises:
        Exception: As `call`.
    """
    answer = _Answer(session, run, Options(stream_logs=False))
    return answer.value(answer.resumed())


class _Answer:
    """Reads a run's frames to their end, wherever they come from."""

    def __init__(
        self,
        session: Session,
        run: Run,
        options: Options,
        reads: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._session = session
        self._reads = reads
        self._desk = session.desk.asynchronous
        self._run = run
        self._options = options
        self._after = -1
        self._item = -1

    def value(self, frames: Iterator[Frame]) -> Any:
        for frame in frames:
            if frame.kind is Kind.ITEM:
                return self._rest(frame, frames)
            if frame.kind is Kind.END:
                return self._end(frame)
        raise RunFailed(f"run {self._run.run_id} ended without an end", run_id=self._run.run_id)

    def items(self, frames: Iterator[Frame]) -> Iterator[Any]:
        """Items as they come; leaving early ends the run on the far side."""
        finished = False
        try:
            for frame in frames:
                if frame.kind is Kind.ITEM:
                    yield self._item_of(frame)
                elif frame.kind is Kind.END:
                    self._end(frame)
                    finished = True
        except RhdeskError:
            finished = True
            raise
        finally:
            if not finished and sys.exc_info()[0] in {GeneratorExit, KeyboardInterrupt}:
                with suppress(ConnectionFailed):  # Ctrl-C works at once, wherever the host is
                    self._session.desk.cancel(self._run.run_id)

    def _rest(self, first: Frame, frames: Iterator[Frame]) -> Iterator[Any]:
        yield self._item_of(first)
        yield from self.items(frames)

    def frames(self, target: Target, called: Called, pieces: list[Buffer]) -> Iterator[Frame]:
        """Send the call and give its frames; lines are stored and shown on the way."""
        self._desk.recorder.submitted(self._run, self._reads)
        try:
            yield from self._heard(self._sent(target, called, pieces))
        except (SetupFailed, ConnectionFailed) as exc:
            self._desk.runs_room.record_lost(self._run, str(exc), heard=False)
            raise
        except RhdeskError as exc:
            if not isinstance(exc, RunFailed):
                self._desk.runs_room.refused(self._run, exc)
            raise

    def resumed(self) -> Iterator[Frame]:
        return self._heard(self._resume())

    def _sent(self, target: Target, called: Called, pieces: list[Buffer]) -> Iterator[Frame]:
        for last_try in (False, True):
            road = self._road(target, called.definition)
            try:
                yield from self._counted(road.caller.call(road.address, called, pieces))
                return
            except Broken:
                self._session.drop_road(target.cluster, target.env, target.node)
                try:
                    yield from self._resume()
                    return
                except NotFound as exc:
                    # The servlet never heard of the run: nothing ran, so it may be sent again.
                    if last_try or exc.kind != "run":
                        raise
            except NotFound as exc:
                if last_try or exc.kind != "definition":
                    raise
                road.told.clear()
                self._session.desk.forget_sent()

    def _road(self, target: Target, definition: str) -> Road:
        road = self._session.road(target.cluster, target.env, target.node)
        if definition not in road.told:
            self._session.desk.send(
                target.name, target.bundle, on=target.cluster, env=target.env, node=target.node
            )
            road.told.add(definition)
        return road

    def _resume(self) -> Iterator[Frame]:
        frames = partial(
            self._desk.runs_room.frames, self._run, after=self._after, item=self._item
        )
        with _telling(self._session):
            yield from self._counted(self._session.desk.iterate(frames))

    def _counted(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if frame.kind is Kind.LINES:
                got = unpack(frame.body, Lines)
                self._after = got.first + len(got.lines) - 1
            elif frame.kind is Kind.ITEM:
                self._item = int.from_bytes(frame.body[:4], "little")
            yield frame

    def _heard(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if frame.kind is Kind.LINES:
                self._show(frame)
            elif frame.kind is Kind.ERROR:
                self._desk.runs_room.record_end(self._run, frame)
                raise _raised(unpack(frame.body, RunEnd), self._run.run_id)
            else:
                yield frame

    def _show(self, frame: Frame) -> None:
        lines = lines_of(self._run.run_id, frame)
        self._desk.recorder.lines(lines)
        _show(lines, self._options)

    def _end(self, frame: Frame) -> Any:
        self._desk.runs_room.record_end(self._run, frame)
        value = Payload.read(frame.body).result(may_unpickle=True)
        return came_of(value, self._run.run_id)

    def _item_of(self, frame: Frame) -> Any:
        value = Payload.read(memoryview(frame.body)[4:]).result(may_unpickle=True)
        return came_of(value, self._run.run_id)


def _show(lines: Sequence[LogLine], options: Options, *, before: str = "") -> None:
    if options.stream_logs:
        for line in lines:
            out = sys.stdout if line.stream == "stdout" else sys.stderr
            out.write(f"{before}{line.text}\n")


@contextmanager
def _telling(session: Session) -> Generator[None]:
    """Say on stderr when a host that is waited for cannot be reached, and when it can again."""

    def tell(run: Run, away: Away | None) -> None:
        sys.stderr.write(f"rhdesk: {describe_away(run, away)}\n")

    end = session.desk.asynchronous.runs_room.on_away(tell)
    try:
        yield
    finally:
        end()


class _Progress:
    """How far a map is, on one line, where a person is watching."""

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._total = total
        self._watched = sys.stderr.isatty() and total > 1

    def show(self, done: int) -> None:
        if self._watched:
            end = "\n" if done == self._total else ""
            sys.stderr.write(f"\r{self._name}: {done} of {self._total}{end}")
            sys.stderr.flush()


def reads_of(
    target: Target, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    """What a call reads by being made: what it calls, and the handles it is given."""
    given = [read for each in (*args, *kwargs.values()) for read in _reads(each)]
    return (*target.reads, *given) if given else target.reads


def _reads(value: Any, *, inside: bool = False) -> list[tuple[str, str]]:
    if isinstance(value, Kept):
        return [(kept_name(value.system.key, value.key), "")]
    if isinstance(value, Resource):
        read = Resource.saved_as(value)
        return [read] if read else []
    if inside or not isinstance(value, list | tuple | dict) or len(value) > _LOOKED_AT:
        return []
    members = value.values() if isinstance(value, dict) else value
    return [read for each in members for read in _reads(each, inside=True)]


def _new_run(
    target: Target,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    payload: Payload,
    options: Options,
) -> Run:
    run = new_run(
        target.name,
        args,
        kwargs,
        payload,
        method=target.method,
        on=target.cluster,
        env=target.env,
        tree=target.bundle.tree,
        keep=options.keep,
    )
    return msgspec.structs.replace(run, node=target.node) if target.node else run


def _called(run: Run, target: Target, options: Options) -> Called:
    return Called(
        run_id=run.run_id,
        definition=target.definition,
        instance=target.instance,
        method=target.method,
        timeout_s=options.timeout_s,
        keep=options.keep,
    )


async def _items_async(items: Iterator[Any]) -> AsyncIterator[Any]:
    nothing = object()
    while (item := await asyncio.to_thread(next, items, nothing)) is not nothing:
        yield item


def _raised(end: RunEnd, run_id: str) -> BaseException:
    """The function's own exception where it can be had, else what the record says."""
    failure = failure_of(end.failed)
    if end.failed is not None and end.failed.pickle:
        # The user's program asked for the result of a call it made: here a pickle may be opened.
        try:
            cls, args, attributes = pickles.loads(end.failed.pickle)
            error: BaseException = cls.__new__(cls, *args)
            error.args = args
            vars(error).update(attributes)
        except Exception:  # noqa: BLE001 -- its class may not exist on this side
            return failure_error(failure, run_id)
        error.add_note(f"raised in run {run_id}; on the far side:\n{failure.traceback}")
        return error
    return failure_error(failure, run_id)
