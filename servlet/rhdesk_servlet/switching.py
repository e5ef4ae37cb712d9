"""The switch of a live name to another version, with no call that fails.

1. Prepare, while the old version answers: workers are started and import the new code. Where that
   fails, nothing has changed.
2. Switch: one pointer moves. A call that comes later lands on the new version, one in flight
   finishes where it is.

A process that is idle moves to the new code in place (`reload`): what changed is executed again, and
everything else stays. Only where that cannot be is a fresh one started.

A module that has an instance here keeps its state unless its class changed. Its code did: calls
wait for those in flight, and it moves in place; where it cannot, the state is taken out of the old
process and put into a new one. Then they go on. Its class did: an instance of the new class is made
as the old one was, with the same arguments, and the old one ends when its calls have.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import secrets
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from rhdesk.errors import (
    AlreadyExists,
    BadFunction,
    RhdeskError,
    RunFailed,
    SetupFailed,
    error_classes,
)
from rhdesk.wire.messages import Failed, GoLive, LiveSeen, TakeOn, unpack
from rhdesk.wire.pickles import Buffer
from rhdesk_servlet.channel import ADOPT, LOAD, STATE, Call, Ended, Entry, Yielded
from rhdesk_servlet.code import CodeFolder
from rhdesk_servlet.interpreter import Interpreter
from rhdesk_servlet.live import LiveNames, Pointer
from rhdesk_servlet.pool import Job, Pool, Worker
from rhdesk_servlet.reload import CannotMove

_DRAIN_S: Final = 1.0
"""How long calls of an instance may keep its next ones waiting while it changes its code."""
_BUSY: Final = (
    f"calls of its instance did not end within {_DRAIN_S:g} s, and its state "
    "cannot be taken out of their hands; roll back again when they have"
)
_LOOK_S: Final = 0.005
_MOVE_S: Final = 30.0
"""How long taking out its state and putting it back may take."""
_LOAD_S: Final = 300.0
"""How long importing the new code, or making an instance anew, may take; the old one answers."""


class Switch:
    def __init__(self, code: CodeFolder, live: LiveNames, pool: Pool, spools: Path) -> None:
        self._code = code
        self._live = live
        self._pool = pool
        self._spools = spools
        self._turns: dict[str, asyncio.Lock] = {}

    def seen(self, name: str) -> LiveSeen:
        """What calls by *name* mean now.

        Raises:
            NotFound: Nothing.
        """
        pointer = self._live.named(name)
        return LiveSeen(name=name, definition=pointer.definition, owner=pointer.owner)

    async def take_on(self, asked: TakeOn) -> LiveSeen:
        """Fork workers in another interpreter from now on; a name goes live in the same moment.

        Raises:
            SetupFailed: There is no such interpreter, or it cannot start.
        """
        try:
            interpreter = await self._pool.start_interpreter(asked.python, asked.env_vars)
        except OSError as exc:
            raise SetupFailed(f"no interpreter starts at {asked.python}: {exc}") from exc
        try:
            if asked.live is not None:
                return await self.go_live(asked.name, asked.live, interpreter)
            self._pool.take_on(interpreter)
            return LiveSeen(name="", definition="")
        finally:
            interpreter.is_being_readied = False
            self._pool.close_unused(interpreter)

    async def go_live(
        self, name: str, asked: GoLive, interpreter: Interpreter | None = None
    ) -> LiveSeen:
        """Have calls by *name* mean *asked*; returns when they do.

        Args:
            interpreter: In which they run then, and whatever else is called; by default it stays.

        Raises:
            NotFound: The definition is not here: it is sent, and asked for again.
            AlreadyExists: The name is somebody else's here.
            BadFunction: Its code cannot be imported. Nothing has changed.
            RunFailed: The new class could not be made an instance of. Nothing has changed.
        """
        began = time.monotonic()
        entry = self._code.entry(asked.definition)
        there = interpreter or self._pool.interpreter
        async with self._turns.setdefault(name, asyncio.Lock()):
            instance, why = "", ""
            now = self._live.find(name)
            if now is not None and not asked.take and now.owner not in ("", asked.owner):
                raise AlreadyExists(
                    f"{name} is another project's on this cluster; save yours under another name"
                )
            if (worker := self._pool.instance(name)) is not None and entry.kind == "module":
                instance, why = await self._take_along(worker, entry, there)
            elif now is not None and (
                now.definition != asked.definition or there is not self._pool.interpreter
            ):
                await self._load(self._code.entry(now.definition), entry, there)
            if not why:
                pointer = Pointer(name=name, definition=asked.definition, owner=asked.owner)
                self._live.point(pointer)
                self._pool.take_on(there)
            return msgspec.structs.replace(
                self.seen(name), instance=instance, why=why, took_s=time.monotonic() - began
            )

    # ---- functions

    async def _load(self, old: Entry, entry: Entry, there: Interpreter) -> None:
        """Have as many workers ready as the version before has, as far as there is room."""
        count = self._pool.wanted(old.tree)
        if there is self._pool.interpreter and old.tree != entry.tree:
            idle = self._pool.idle(old.tree)[:count]
            moving = [self._move_in_place(worker, entry) for worker in idle]
            outcomes = await asyncio.gather(*moving, return_exceptions=True)
            for failed in outcomes:
                if isinstance(failed, BaseException) and not isinstance(failed, CannotMove):
                    raise failed
            count -= outcomes.count(None)
        workers: list[Worker | None] = [None] * count
        if there is not self._pool.interpreter:
            workers = [self._pool.prepare(entry, "", there) for _ in range(count)]
        asking = [self._ask(worker, entry, LOAD) for worker in workers]
        for outcome in await asyncio.gather(*asking, return_exceptions=True):
            if isinstance(outcome, BaseException):
                for worker in filter(None, workers):
                    self._pool.kill(worker, "its code could not be imported")
                raise outcome

    async def _move_in_place(self, worker: Worker, entry: Entry) -> None:
        with self._pool.between_trees(worker, entry.tree):
            await self._ask(worker, entry, LOAD)

    # ---- instances

    async def _take_along(self, old: Worker, entry: Entry, there: Interpreter) -> tuple[str, str]:
        """Whether an instance was kept, moved or made anew; or why it stays as it is."""
        stays = old.interpreter is there
        if old.entry is None or (stays and _code_of(old.entry) == _code_of(entry)):
            return "kept", ""
        if _class_of(old.entry) == _class_of(entry):
            return await self._move(old, entry, there)
        if old.made_by is None:
            return "", (
                "its class changed, and with what it was made is not kept here; "
                "make the instance again"
            )
        await self._make_anew(old, entry, there)
        return "made anew", ""

    async def _move(self, old: Worker, entry: Entry, there: Interpreter) -> tuple[str, str]:
        if there is old.interpreter and old.tree and entry.tree and not entry.blob:
            with contextlib.suppress(CannotMove), self._pool.held(old.instance):
                if not await _drained(old):
                    return "", _BUSY
                await self._move_in_place(old, entry)
                old.entry = entry
                return "moved", ""
        with self._fresh(entry, old.instance, there) as new:
            await self._ask(new, entry, LOAD)
            with self._pool.held(old.instance):
                if not await _drained(old):
                    return "", _BUSY
                try:
                    state = await self._ask(old, entry, STATE, within_s=_MOVE_S)
                    await self._ask(new, entry, ADOPT, [state], within_s=_MOVE_S)
                except RhdeskError as exc:
                    return "", f"the state of its instance cannot be moved: {exc}"
                new.made_by = old.made_by
                self._pool.replace_instance(old, new)
        return "moved", ""

    async def _make_anew(self, old: Worker, entry: Entry, there: Interpreter) -> None:
        making = old.made_by
        assert making is not None, "asked before"
        with self._fresh(entry, old.instance, there) as new:
            await self._ask(new, entry, "__init__", making.pieces)
            new.made_by = making
            self._pool.replace_instance(old, new)

    @contextmanager
    def _fresh(self, entry: Entry, instance: str, there: Interpreter) -> Generator[Worker]:
        """A worker for an instance that nobody calls yet; ended if it does not become one."""
        worker = self._pool.prepare(entry, instance, there)
        try:
            yield worker
        finally:
            if self._pool.instance(instance) is not worker:
                self._pool.kill(worker, "it was not needed")

    # ---- asking a worker

    async def _ask(
        self,
        worker: Worker | None,
        entry: Entry,
        method: str,
        pieces: Sequence[Buffer] = (),
        within_s: float = _LOAD_S,
    ) -> memoryview:
        """Have *worker*, or any for functions, do something that is no run of anybody's.

        Raises:
            BadFunction, RunFailed: It could not; the message says why.
        """
        ask_id = f"switch-{secrets.token_hex(8)}"
        asked = _Asked()
        instance = worker.instance if worker else ""
        length = sum(p.nbytes if isinstance(p, memoryview) else len(p) for p in pieces)
        call = Call(ask_id, (), (length,), entry, method, instance, "")
        job = Job(call, pieces, asked)
        if worker is None:
            self._pool.submit(job)
        else:
            self._pool.give(worker, job)
        try:
            async with asyncio.timeout(within_s):
                return await asked.answer
        except TimeoutError:
            self._pool.withdraw(ask_id)
            raise RunFailed(f"no answer within {within_s:g} s", run_id="") from None
        finally:
            with contextlib.suppress(OSError):
                (self._spools / ask_id).unlink(missing_ok=True)


class _Asked:
    """Hears the answer to one question."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[memoryview] = asyncio.get_running_loop().create_future()

    def started(self, worker: Worker) -> None:
        pass

    def heard(self, message: Ended | Yielded, body: memoryview) -> None:
        if self.answer.done() or isinstance(message, Yielded):
            return
        if message.ok:
            self.answer.set_result(body)
            return
        failed = unpack(body, Failed)
        cls = error_classes().get(failed.kind, RhdeskError)
        if issubclass(cls, BadFunction):
            self.answer.set_exception(BadFunction(failed.message))
        elif issubclass(cls, CannotMove):
            self.answer.set_exception(CannotMove(failed.message))
        else:
            message_ = f"{failed.kind}: {failed.message}"
            self.answer.set_exception(
                RunFailed(message_, run_id="", remote_traceback=failed.traceback)
            )

    def died(self, why: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(RunFailed(why, run_id=""))


async def _drained(worker: Worker) -> bool:
    for _ in range(int(_DRAIN_S / _LOOK_S)):
        if not worker.jobs:
            return True
        await asyncio.sleep(_LOOK_S)
    return not worker.jobs


def _code_of(entry: Entry) -> tuple[str, ...]:
    return (entry.tree, entry.module, entry.qualname, entry.blob)


def _class_of(entry: Entry) -> str:
    """What tells whether a class is the same: its source, without regard to layout.

    A class that travels by value has no source here: another pickle is another class.
    """
    if entry.blob or not entry.tree:
        return "\n".join((entry.blob, entry.module, entry.qualname))
    place = Path(entry.tree, *entry.module.split("."))
    file = next(
        (f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()), None
    )
    if file is None:
        return "\n".join(_code_of(entry))
    node: ast.AST | None = ast.parse(file.read_bytes())
    for name in entry.qualname.split("."):
        node = next(
            (
                inner
                for inner in (ast.iter_child_nodes(node) if node else ())
                if isinstance(inner, ast.ClassDef) and inner.name == name
            ),
            None,
        )
    return ast.dump(node) if node is not None else "\n".join(_code_of(entry))
