"""Worker processes: started when a call needs one, fed, and ended when they must be.

One worker runs one function at a time; a module instance has a worker of its own. A worker belongs
to one code tree at a time and moves to the next only when it is idle, so calls in flight finish on
the code they named while new ones run on theirs.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Final, Protocol

import msgspec

from rhdesk import processes
from rhdesk.wire.pickles import Buffer
from rhdesk_servlet import channel, zygote
from rhdesk_servlet.capture import RawOutput
from rhdesk_servlet.channel import Call, Cancel, Ended, Entry, Message, More, Yielded
from rhdesk_servlet.interpreter import Interpreter

GRACE_S: Final = 1.0
"""How long a cancelled call has to end by itself before its process is ended."""
_KEPT_BYTES: Final = 64 * 1024 * 1024
"""Arguments of a constructor up to this size are kept as long as its instance."""


class Body:
    """Bytes that came with a request: in memory, or in a memfd when there are many."""

    __slots__ = ("memfd", "view")

    def __init__(self, data: Buffer = b"", memfd: int = -1) -> None:
        self.view = channel.map_memfd(memfd) if memfd >= 0 else memoryview(data)
        self.memfd = memfd

    def __del__(self) -> None:
        if self.memfd >= 0:
            os.close(self.memfd)


class Listener(Protocol):
    """Who hears of a call; every method is called in the event loop."""

    def started(self, worker: Worker) -> None: ...
    def heard(self, message: Ended | Yielded, body: memoryview) -> None: ...
    def died(self, why: str) -> None: ...


class Job:
    """A call on its way to a worker."""

    __slots__ = ("body", "call", "interpreter", "listener", "pieces")

    def __init__(
        self,
        call: Call,
        pieces: Sequence[Buffer],
        listener: Listener,
        body: Body | None = None,
        interpreter: Interpreter | None = None,
    ) -> None:
        self.call = call
        self.pieces = pieces
        self.listener = listener
        self.body = body
        """The same bytes as *pieces*, when they lie in a memfd that can be passed on."""
        self.interpreter = interpreter
        """In which it runs; by default the one that is current when it is submitted."""

    @property
    def instance(self) -> str:
        return self.call.instance if self.call.entry.kind == "module" else ""


class Making(msgspec.Struct, frozen=True):
    """With what an instance was made, so that one of a new class can be."""

    pieces: Sequence[Buffer]
    body: Body | None
    """Keeps the bytes of *pieces* mapped."""


class Worker:
    """One worker process, as the env servlet sees it."""

    def __init__(
        self,
        worker_id: str,
        end: socket.socket,
        interpreter: Interpreter,
        tree: str,
        instance: str,
    ) -> None:
        self.worker_id = worker_id
        self.end = end
        self.interpreter = interpreter
        self.tree = tree
        self.instance = instance
        """Key of the module instance it holds; empty for a worker of functions."""
        self.entry: Entry | None = None
        """The class its instance is of."""
        self.made_by: Making | None = None
        """None also where the arguments are too large to be kept."""
        self.pid = 0
        self.jobs: dict[str, Job] = {}
        self.raw: RawOutput | None = None
        self.outbox: deque[tuple[list[Buffer], int]] = deque()
        self.idle_since = time.monotonic()
        self.is_closing = False
        self.is_replaced = False
        """Another holds its instance, or its interpreter is not current: it ends when its calls
        have."""
        self.ended_because = ""


class Pool:
    """Workers of one env servlet.

    Args:
        folder: The env servlet's folder.
        most: Function workers at most; further calls wait their turn.
        environ: Variables every worker has.
    """

    def __init__(self, folder: Path, *, most: int, environ: dict[str, str]) -> None:
        self._folder = folder
        self._most = most
        self._environ = environ
        self._workers: dict[str, Worker] = {}
        self._instances: dict[str, Worker] = {}
        self._waiting: deque[Job] = deque()
        self._held: dict[str, list[Job]] = {}
        self._current: Interpreter | None = None
        self._lost = asyncio.Event()

    async def start(self) -> None:
        """Start the zygote; what an env servlet before this one left running is ended first."""
        await asyncio.to_thread(_bury, self._folder / "workers")
        self._current = await self.start_interpreter(sys.executable, self._environ)
        self._current.is_being_readied = False

    @property
    def interpreter(self) -> Interpreter:
        """In which workers are forked now."""
        assert self._current is not None, "the pool was started"
        return self._current

    async def start_interpreter(self, python: str, env_vars: dict[str, str]) -> Interpreter:
        """Another interpreter, beside the current one until it is taken on; or that one itself.

        Raises:
            OSError: There is none at *python*, or it ended.
        """
        now = self._current
        if now is not None and (now.python, now.env_vars) == (python, env_vars):
            return now
        made = Interpreter(python, env_vars, self._hear_zygote, self._lose)
        await made.start()
        try:
            if now is not None and not await made.ready():
                raise ChildProcessError(f"{python} ended before it could run anything")
        except BaseException:
            made.close()
            raise
        return made

    def take_on(self, interpreter: Interpreter) -> None:
        """Fork new workers in *interpreter*; those of the one before end when their calls have.

        Instances stay where they are, with their state.
        """
        before, self._current = self.interpreter, interpreter
        interpreter.is_being_readied = False
        for worker in list(self._workers.values()):
            if worker.interpreter is before is not interpreter and not worker.instance:
                worker.is_replaced = True
                self._end_if_done(worker)
        self.close_unused(before)

    def close_unused(self, interpreter: Interpreter) -> None:
        """Close an interpreter that is not current, as soon as nothing runs or waits in it."""
        if interpreter is self.interpreter or interpreter.is_closed:
            return
        if interpreter.is_being_readied:
            return
        works = any(w.interpreter is interpreter for w in self._workers.values())
        queued = chain(self._waiting, *self._held.values())
        if not works and not any(job.interpreter is interpreter for job in queued):
            interpreter.close()

    async def lost(self) -> None:
        """Return once the zygote is gone, and its workers with it: nothing can run here any more."""
        await self._lost.wait()

    async def close(self) -> None:
        """End every worker and what it started."""
        for worker in list(self._workers.values()):
            self._end(worker, "the env servlet is stopping")
        self.interpreter.close()
        await self.interpreter.wait()

    def submit(self, job: Job) -> None:
        """Give a call to a worker, now or when one is free."""
        if job.interpreter is None or job.interpreter.is_closed:
            job.interpreter = self.interpreter
        if job.instance in self._held:
            self._held[job.instance].append(job)
        elif job.instance:
            self.give(self._holder(job), job)
        else:
            self._waiting.append(job)
            self._pump()

    def has_instance(self, key: str) -> bool:
        return key in self._instances

    def instance(self, key: str) -> Worker | None:
        """The worker that holds a module instance."""
        return self._instances.get(key)

    def prepare(self, entry: Entry, instance: str, interpreter: Interpreter) -> Worker:
        """A new worker nobody calls yet: for *instance*, once it replaces the one that is, or for
        functions, once *interpreter* is taken on."""
        return self._fork(interpreter, entry.tree, instance)

    def replace_instance(self, old: Worker, new: Worker) -> None:
        """From now on calls go to *new*; those *old* has it may finish."""
        self._instances[new.instance] = new
        old.is_replaced = True
        self._end_if_done(old)

    @contextmanager
    def held(self, key: str) -> Generator[None]:
        """Keep calls of an instance waiting; then they go to whoever holds it."""
        self._held[key] = []
        try:
            yield
        finally:
            for job in self._held.pop(key):
                self.submit(job)

    def wanted(self, tree: str) -> int:
        """How many workers to have ready for code that takes over from *tree*."""
        busy = sum(1 for w in self._workers.values() if not w.instance and w.tree == tree)
        return max(1, min(busy, self._most // 2))

    def idle(self, tree: str) -> list[Worker]:
        """Workers of functions that have nothing to do, and could move on from *tree*."""
        return [
            w
            for w in self._workers.values()
            if w.tree == tree
            and w.interpreter is self.interpreter
            and not (w.instance or w.jobs or w.is_closing or w.is_replaced)
        ]

    @contextmanager
    def between_trees(self, worker: Worker, tree: str) -> Generator[None]:
        """Keep calls from a worker that moves to *tree*; it is there when nothing was raised."""
        before, worker.tree = worker.tree, f"{worker.tree} -> {tree}"
        try:
            yield
        except BaseException:
            worker.tree = before
            raise
        else:
            worker.tree = tree
        finally:
            self._pump()

    def drop_instance(self, key: str) -> None:
        """End the worker that holds a module instance; its state is gone."""
        if worker := self._instances.get(key):
            self._end(worker, "the object was deleted")

    def more(self, worker: Worker, run_id: str) -> None:
        """Tell a generator that its reader has caught up by one item."""
        self._send(worker, More(run_id), ())

    def withdraw(self, run_id: str) -> bool:
        """Take back calls no worker has yet; whether there were any."""
        found = False
        queues = [self._waiting, *self._held.values()]
        for queue in queues:
            for job in [job for job in queue if job.call.run_id == run_id]:
                queue.remove(job)
                found = True
        return found

    def interrupt(self, worker: Worker, run_id: str) -> None:
        """Ask a run to stop: `RunCancelled` is raised in it at its next line of Python."""
        if worker.instance:
            self._send(worker, Cancel(run_id), ())
        elif worker.pid:
            os.kill(worker.pid, signal.SIGUSR1)

    def end_family(self, worker: Worker, since: int) -> None:
        """End what a run started on the side: processes younger than *since* (ticks)."""
        if found := processes.find(worker.pid):
            mark = f"{zygote.MARK}={worker.worker_id}"
            title = zygote.title(worker.worker_id)
            processes.end(processes.family(found, mark=mark, title=title, since=since))

    def kill(self, worker: Worker, why: str) -> None:
        """End a worker that did not stop when asked, and everything it started."""
        self._end(worker, why)

    @property
    def counts(self) -> tuple[int, int]:
        """Workers, and calls running or waiting."""
        running = sum(len(worker.jobs) for worker in self._workers.values())
        return len(self._workers), running + len(self._waiting)

    def why_needed(self) -> str:
        """What would be lost with these workers; empty when nothing."""
        kept = ", ".join(sorted(self._instances))
        return f"it holds the state of {kept}" if kept else ""

    # ---- workers

    def _pump(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        while waiting:
            job = waiting.popleft()
            if (worker := self._free(job.interpreter or self.interpreter, job)) is None:
                self._waiting.append(job)
                if not self._has_room():
                    self._waiting.extend(waiting)
                    return
            else:
                self.give(worker, job)

    def _free(self, interpreter: Interpreter, job: Job) -> Worker | None:
        """An idle worker of the job's code, else a new one while there is room."""
        tree = job.call.entry.tree
        idle = [
            w
            for w in self._workers.values()
            if not (w.instance or w.jobs or w.is_closing or w.interpreter.is_being_readied)
        ]
        mine = [w for w in idle if w.tree == tree and w.interpreter is interpreter]
        if mine:
            return max(mine, key=lambda worker: worker.idle_since)
        if not self._has_room():
            if not idle:
                return None
            self._end(min(idle, key=lambda worker: worker.idle_since), "retired")
        return self._fork(interpreter, tree, "")

    def _has_room(self) -> bool:
        return sum(1 for w in self._workers.values() if not w.instance) < self._most

    def _holder(self, job: Job) -> Worker:
        """The worker that holds the job's instance, or is to make it."""
        entry = job.call.entry
        worker = self._instances.get(job.instance)
        if worker is not None and (job.call.method != "__init__" or worker.tree == entry.tree):
            return worker
        # A worker has one tree for life: made again of other code, an instance needs another.
        fresh = self._fork(job.interpreter or self.interpreter, entry.tree, job.instance)
        if worker is None:
            self._instances[job.instance] = fresh
        else:
            self.replace_instance(worker, fresh)
        return fresh

    def _fork(self, interpreter: Interpreter, tree: str, instance: str) -> Worker:
        worker_id = secrets.token_hex(8)
        ours, theirs = channel.pair()
        ours.setblocking(False)
        worker = Worker(worker_id, ours, interpreter, tree, instance)
        worker.raw = RawOutput(self._folder / "workers" / worker_id, interpreter.redaction)
        self._workers[worker_id] = worker
        interpreter.fork(worker_id, str(self._folder), theirs)
        theirs.close()
        asyncio.get_running_loop().add_reader(ours, self._hear, worker)
        return worker

    def give(self, worker: Worker, job: Job) -> None:
        """Give a call to this worker."""
        if job.call.method == "__init__":
            worker.entry = job.call.entry
            size = sum(memoryview(piece).nbytes for piece in job.pieces)
            worker.made_by = Making(job.pieces, job.body) if size <= _KEPT_BYTES else None
        elif worker.instance and worker.entry is None:
            worker.entry = job.call.entry
        if not worker.jobs and worker.raw is not None:
            worker.raw.skip()
        worker.jobs[job.call.run_id] = job
        job.listener.started(worker)
        self._send(worker, job.call, job.pieces, job.body.memfd if job.body else -1)

    def _send(
        self, worker: Worker, message: Message, pieces: Sequence[Buffer], memfd: int = -1
    ) -> None:
        packet, fd = channel.encode(message, pieces, memfd)
        worker.outbox.append((packet, fd))
        if len(worker.outbox) == 1:
            self._flush(worker)

    def _flush(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        while worker.outbox:
            packet, fd = worker.outbox[0]
            try:
                channel.send(worker.end, packet, fd)
            except BlockingIOError:
                loop.add_writer(worker.end, self._flush, worker)
                return
            except OSError:  # it died; the zygote tells how
                pass
            worker.outbox.popleft()
            if fd >= 0:
                os.close(fd)
        loop.remove_writer(worker.end)

    def _hear(self, worker: Worker) -> None:
        while True:
            try:
                received = channel.receive(worker.end)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                asyncio.get_running_loop().remove_reader(worker.end)
                return
            message, body = received
            if not isinstance(message, Ended | Yielded):
                continue
            job = worker.jobs.get(message.run_id)
            if job is None:
                continue
            if isinstance(message, Ended) and message.last:
                del worker.jobs[message.run_id]
                worker.idle_since = time.monotonic()
            job.listener.heard(message, body)
            self._end_if_done(worker)
            if not (worker.jobs or worker.instance) and self._waiting:
                self._pump()

    def _lose(self, interpreter: Interpreter) -> None:
        """A zygote was killed, and its workers with it."""
        if interpreter is self._current:
            self._lost.set()
            return
        for worker in list(self._workers.values()):
            if worker.interpreter is interpreter:
                self._forget(worker, "the process that started it was killed")

    def _hear_zygote(self, interpreter: Interpreter, news: zygote.News) -> None:
        if isinstance(news, zygote.Forked) and (worker := self._workers.get(news.worker_id)):
            worker.pid = news.pid
        if not isinstance(news, zygote.Died):
            return
        for worker in list(self._workers.values()):
            if worker.pid == news.pid:
                self._forget(worker, worker.ended_because or how_it_died(news))
        self.close_unused(interpreter)

    def _forget(self, worker: Worker, why: str) -> None:
        """A worker's process is gone."""
        loop = asyncio.get_running_loop()
        self._hear(worker)
        loop.remove_reader(worker.end)
        loop.remove_writer(worker.end)
        worker.end.close()
        for _, fd in worker.outbox:
            if fd >= 0:
                os.close(fd)
        self._workers.pop(worker.worker_id, None)
        if self._instances.get(worker.instance) is worker:
            del self._instances[worker.instance]
        jobs, worker.jobs = worker.jobs, {}
        for job in jobs.values():
            job.listener.died(why)
        shutil.rmtree(self._folder / "workers" / worker.worker_id, ignore_errors=True)
        self._pump()

    def _end_if_done(self, worker: Worker) -> None:
        if worker.is_replaced and not worker.jobs:
            self._end(worker, "another holds its instance")

    def _end(self, worker: Worker, why: str) -> None:
        worker.is_closing = True
        worker.ended_because = why
        if not worker.pid:
            # Not forked yet: closing its channel ends it as soon as it is.
            worker.end.shutdown(socket.SHUT_RDWR)
            return
        self.end_family(worker, 0)
        if found := processes.find(worker.pid):
            processes.end([found])


def _bury(workers: Path) -> None:
    """End what the runs of a killed env servlet started: its workers died with it, they did not."""
    for folder in workers.iterdir() if workers.is_dir() else ():
        mark = f"{zygote.MARK}={folder.name}"
        processes.end(processes.left_behind(mark, zygote.title(folder.name)))
        shutil.rmtree(folder, ignore_errors=True)


def how_it_died(died: zygote.Died) -> str:
    """A wait status for a person."""
    if os.WIFSIGNALED(died.status):
        number = os.WTERMSIG(died.status)
        hint = " (out of memory?)" if number == signal.SIGKILL else ""
        return f"its process {died.pid} was killed by {signal.Signals(number).name}{hint}"
    return f"its process {died.pid} ended itself with exit code {os.WEXITSTATUS(died.status)}"
