"""The process in which user code runs: takes calls from its channel, answers with results.

A worker serves one code tree at a time; told to load code of another, it moves there in place
(`reload`). One that holds functions runs one call at a time
in its main thread, as a script would; one that holds a module instance runs calls side by side, as
the methods of one object are meant to be called. A call that is cancelled gets `RunCancelled`
raised in it; one that does not answer is ended with its process, by the env servlet.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import inspect
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec

from rhdesk import current_run
from rhdesk.errors import BadFunction, NotFound, RhdeskError, RunCancelled
from rhdesk.redaction import Redaction
from rhdesk.wire import pickles
from rhdesk.wire.messages import Failed, pack
from rhdesk.wire.payload import Payload
from rhdesk.wire.pickles import Buffer
from rhdesk.wire.reference import Reference
from rhdesk.wire.secrets import FOLDER
from rhdesk_servlet import capture, channel, reload
from rhdesk_servlet.channel import ADOPT, LOAD, STATE, Call, Cancel, Ended, Entry, More, Yielded
from rhdesk_servlet.delivery import given_in
from rhdesk_servlet.objects import ObjectFolder
from rhdesk_servlet.plain import as_plain
from rhdesk_servlet.standing import VARIABLE, Standing

_AHEAD: Final = 64
"""Items a generator may be ahead of its reader."""
_THREADS: Final = 64
"""Calls one module instance runs side by side; further ones wait."""


class _Cancelled(BaseException):
    """Raised in user code; not an `Exception`, so that a broad `except` does not swallow it."""


def main(end: socket.socket, folder: Path) -> None:
    """Serve *end* until it closes. *folder* is the env servlet's: spools and objects are there."""
    capture.install(folder / "workers" / os.environ["RHDESK_WORKER"])
    Worker(end, folder).serve()


class Worker:
    def __init__(self, end: socket.socket, folder: Path) -> None:
        self._end = end
        self._spools = folder / "spools"
        self._objects = ObjectFolder(folder.parent.parent / "objects")
        self._callables: dict[Entry, Any] = {}
        self._standing = Standing(os.environ.get(VARIABLE, ""))
        given = given_in(os.environ.get(FOLDER, ""))
        os.environ.update(given.variables)
        self._redaction = Redaction(given.values)
        self._tree = ""
        self._instance: Any = None
        self._instance_key = ""
        self._send_lock = threading.Lock()
        self._telling = threading.Lock()
        self._running: dict[str, int] = {}
        """Thread of each run."""
        self._main_run = ""
        self._credit: dict[str, threading.Semaphore] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def serve(self) -> None:
        signal.signal(signal.SIGUSR1, self._interrupt)
        while True:
            try:
                received = channel.receive(self._end)
            except _Cancelled:  # it was for a run that has just ended
                continue
            if received is None:
                os._exit(0)
            message, body = received
            if isinstance(message, Call):
                self._take(message, body)
            elif isinstance(message, Cancel):
                self._cancel_thread(message.run_id)
            elif isinstance(message, More) and (credit := self._credit.get(message.run_id)):
                credit.release()

    def _take(self, call: Call, body: memoryview) -> None:
        is_streaming = call.entry.kind == "module"
        if not is_streaming:
            self._run(call, body)
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "rhdesk-run")
        self._threads.submit(self._run, call, body)

    # ---- one call

    def _run(self, call: Call, body: memoryview) -> None:
        log = capture.RunLog(self._spools / call.run_id, self._redaction)
        token = capture.current_log.set(log)
        by = current_run.here.set(call.run_id)
        in_main = threading.current_thread() is threading.main_thread()
        capture.fallback.log = log
        self._running[call.run_id] = threading.get_ident()
        self._tell_children()
        self._main_run = call.run_id if in_main else ""
        numbers = call.items or (-1,)
        at = 0
        try:
            for place, (number, length) in enumerate(zip(numbers, call.lengths, strict=True)):
                ok, pieces = self._guarded(call, body[at : at + length])
                at += length
                last = place == len(numbers) - 1 or not ok
                if last:
                    self._main_run = ""
                lines = log.finish() if last else 0
                self._send(Ended(call.run_id, ok, number, lines, last), pieces)
                if last:
                    break
        finally:
            self._main_run = ""
            self._running.pop(call.run_id, None)
            self._credit.pop(call.run_id, None)
            self._tell_children()
            capture.current_log.reset(token)
            current_run.here.reset(by)
            if capture.fallback.log is log:
                capture.fallback.log = None

    def _tell_children(self) -> None:
        """Tell programs a run starts which run that is, as long as there is only one."""
        with self._telling:
            running = list(self._running)
            if len(running) == 1:
                os.environ[current_run.RUN_ID] = running[0]
            else:
                os.environ.pop(current_run.RUN_ID, None)

    def _guarded(self, call: Call, body: memoryview) -> tuple[bool, list[Buffer]]:
        try:
            with self._standing.held():
                return True, self._answer(call, body)
        except BaseException as exc:  # noqa: BLE001 -- user code may raise anything, SystemExit too
            return False, [pack(_redacted(_failed(exc), self._redaction))]

    def _answer(self, call: Call, body: memoryview) -> list[Buffer]:
        if call.method in {LOAD, STATE, ADOPT}:
            return self._switch(call, body)
        target = self._target(call)
        payload = Payload.read(body)
        args, kwargs = payload.call(may_unpickle=True)
        args = [self._resolve(arg) for arg in args]
        kwargs = {key: self._resolve(arg) for key, arg in kwargs.items()}
        value = self._finish(call, target(*args, **kwargs))
        if call.method == "__init__":
            self._instance, self._instance_key = value, call.instance
            value = call.instance
        if call.keep:
            self._objects.write(call.keep, Payload.of_result(value))
            value = call.keep
        return Payload.of_result(as_plain(value) if call.as_json else value).pieces()

    def _switch(self, call: Call, body: memoryview) -> list[Buffer]:
        """What the env servlet asks of a worker when a live name changes its version."""
        if call.method == STATE:
            return Payload.of_result(self._instance, what="the state").pieces()
        if self._tree and call.entry.tree not in ("", self._tree):
            self._move(call.entry)
        self._callable(call.entry)
        if call.method == ADOPT:
            self._instance = Payload.read(body).result(may_unpickle=True)
            self._instance_key = call.instance
        return Payload.of_result(None).pieces()

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Reference):
            return self._objects.read(value.key).result(may_unpickle=True)
        return value

    def _target(self, call: Call) -> Callable[..., Any]:
        if call.entry.kind != "module" or call.method == "__init__":
            found = self._callable(call.entry)
            if call.entry.kind == "function" and call.method not in {"", "call", "__call__"}:
                raise NotFound(call.method, kind=f"method of the function {call.entry.name}")
            return found  # type: ignore[no-any-return]
        if self._instance_key != call.instance:
            raise NotFound(call.instance, kind="module instance")
        return _member(self._instance, call.method)

    def _move(self, entry: Entry) -> None:
        """Serve the tree of *entry* from now on; or go on as before, and say why."""
        before, self._callables = self._callables, {}
        try:
            reload.move(self._tree, entry.tree, lambda: self._check_instance(entry))
        except BaseException:
            self._callables = before
            raise
        self._tree = entry.tree

    def _check_instance(self, entry: Entry) -> None:
        found = self._callable(entry)
        if self._instance_key and isinstance(found, type) and type(self._instance) is not found:
            raise reload.CannotMove(f"the instance is of the {entry.qualname} before")

    def _callable(self, entry: Entry) -> Any:
        if (found := self._callables.get(entry)) is not None:
            return found
        if entry.tree and entry.tree not in sys.path:
            sys.path.insert(0, entry.tree)
            if not self._standing.is_somewhere:
                os.chdir(entry.tree)
            self._tree = entry.tree
        if entry.blob:
            found = pickles.loads(Path(entry.blob).read_bytes())
        else:
            try:
                found = importlib.import_module(entry.module)
                for part in entry.qualname.split("."):
                    found = getattr(found, part)
            except (ImportError, AttributeError) as exc:
                raise BadFunction(
                    f"{entry.module}:{entry.qualname} cannot be imported in this environment: "
                    f"{type(exc).__name__}: {exc}"
                ) from exc
        self._callables[entry] = found
        return found

    # ---- what the callable gave back

    def _finish(self, call: Call, value: Any) -> Any:
        if inspect.iscoroutine(value):
            value = self._await(value)
        if call.as_json and (inspect.isgenerator(value) or inspect.isasyncgen(value)):
            return list(value if inspect.isgenerator(value) else _pull(value, self._await))
        if inspect.isgenerator(value) or (isinstance(value, Iterator) and not call.keep):
            return self._stream(call, value)
        if inspect.isasyncgen(value):
            return self._stream(call, _pull(value, self._await))
        return value

    def _stream(self, call: Call, items: Iterator[Any]) -> int:
        """Send items one by one; returns how many there were."""
        credit = self._credit[call.run_id] = threading.Semaphore(_AHEAD)
        in_main = threading.current_thread() is threading.main_thread()
        number = -1
        try:
            for number, item in enumerate(items):
                item = as_plain(item) if call.as_json else item
                pieces = Payload.of_result(item, what=f"item {number}").pieces()
                while not credit.acquire(blocking=not in_main):
                    self._hear(call.run_id, credit)
                self._send(Yielded(call.run_id, number), pieces)
        finally:
            if close := getattr(items, "close", None):
                close()
        return number + 1

    def _hear(self, run_id: str, credit: threading.Semaphore) -> None:
        """In the main thread nobody else reads the channel: wait for the reader's word here."""
        received = channel.receive(self._end)
        if received is None:
            os._exit(0)
        if isinstance(received[0], More) and received[0].run_id == run_id:
            credit.release()

    def _await(self, coroutine: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
            return self._loop.run_until_complete(coroutine)
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(
                target=self._loop.run_forever, name="rhdesk-loop", daemon=True
            ).start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    # ---- cancelling

    def _interrupt(self, *_: object) -> None:
        """SIGUSR1: the env servlet wants the main thread's run to stop."""
        if self._main_run:
            raise _Cancelled

    def _cancel_thread(self, run_id: str) -> None:
        if (thread := self._running.get(run_id)) is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread), ctypes.py_object(_Cancelled)
            )

    def _send(self, message: Ended | Yielded, pieces: list[Buffer]) -> None:
        packet, fd = channel.encode(message, pieces)
        with self._send_lock:
            channel.send(self._end, packet, fd)
        if fd >= 0:
            os.close(fd)


def _member(instance: Any, method: str) -> Callable[..., Any]:
    """What a call of *method* calls: a method; for a property or attribute, a getter or setter."""
    if method == "__getstate__":
        return lambda: instance
    if method.startswith("get:"):
        return lambda: _attribute(instance, method[4:])
    if method.startswith("set:"):
        return lambda value: setattr(instance, method[4:], value)
    found = _attribute(instance, method)
    if callable(found):
        return found  # type: ignore[no-any-return]
    return lambda: found


def _attribute(instance: Any, name: str) -> Any:
    try:
        return getattr(instance, name)
    except AttributeError:
        if name in dir(type(instance)):
            raise
        public = [n for n in dir(instance) if not n.startswith("_")]
        import difflib  # deferred: only for the hint

        near = difflib.get_close_matches(name, public, 3)
        raise NotFound(name, kind=f"method of {type(instance).__name__}", near=near) from None


def _pull(items: AsyncIterator[Any], wait: Callable[[Any], Any]) -> Iterator[Any]:
    while True:
        try:
            yield wait(anext(items))
        except StopAsyncIteration:
            return


def _failed(error: BaseException) -> Failed:
    if isinstance(error, _Cancelled):
        return Failed(kind=RunCancelled.code, message="the run was cancelled")
    if isinstance(error, RhdeskError):
        # Ours: it says all there is to say, and no frame of the user's led to it.
        return Failed(kind=error.code, message=_whole(str(error)))
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    try:
        message = str(error)
    except Exception as exc:  # noqa: BLE001 -- __str__ is the user's code
        message = f"(its message cannot be shown: {exc!r})"
    return Failed(
        kind=_whole(kind),
        message=_whole(message),
        traceback=_whole(_traceback(error)),
        pickle=_pickled(error),
    )


def _redacted(failed: Failed, redaction: Redaction) -> Failed:
    """The failure without secrets; an exception that holds one travels as text only."""
    return msgspec.structs.replace(
        failed,
        message=redaction(failed.message),
        traceback=redaction(failed.traceback),
        pickle=b"" if redaction.is_in(failed.pickle) else failed.pickle,
    )


def _whole(text: str) -> str:
    """The text, with a mark where it holds half a character, which cannot be sent."""
    return text.encode("utf-8", "replace").decode()


def _traceback(error: BaseException) -> str:
    """The traceback from the user's first frame on; ours say nothing to the user."""
    frames = error.__traceback__
    here = os.path.dirname(__file__)
    while frames and frames.tb_frame.f_code.co_filename.startswith(here):
        frames = frames.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, frames))
    except Exception as exc:  # noqa: BLE001 -- formatting calls the user's __str__
        return f"(the traceback cannot be shown: {exc!r})"


def _pickled(error: BaseException) -> bytes:
    """The exception as class, args and attributes; what of it cannot be pickled stays behind.

    Not as Python pickles it: that calls ``__init__`` again, with arguments many classes do not take.
    """
    kept = {key: value for key, value in vars(error).items() if _can_travel((key, value))}
    args = error.args if _can_travel(error.args) else (str(error),)
    parts = (type(error), args, kept)
    return pickles.dumps(parts)[0] if _can_travel(parts) else b""


def _can_travel(value: Any) -> bool:
    try:
        data, buffers = pickles.dumps(value)
        pickles.loads(data, buffers)
    except Exception:  # noqa: BLE001 -- the text form is enough; the user's error must not change
        return False
    return not buffers
