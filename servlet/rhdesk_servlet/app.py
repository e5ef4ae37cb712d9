"""The env servlet over HTTP: parse, ask, answer. Nothing else."""

from __future__ import annotations

import secrets
import struct
from base64 import b64decode
from collections.abc import AsyncGenerator, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from rhdesk.errors import BadInput, NotFound, RunFailed, ServletDied, error_classes
from rhdesk.wire.frames import Frame, Kind, frame
from rhdesk.wire.messages import (
    JSON_TYPE,
    PAYLOAD_TYPE,
    Called,
    Definition,
    Failed,
    GoLive,
    Keys,
    Retired,
    RunEnd,
    TakeOn,
    pack,
    unpack,
)
from rhdesk.wire.payload import Payload
from rhdesk.wire.routes import H_CALL
from rhdesk_servlet.activity import Activity
from rhdesk_servlet.asgi import Request, answer, answer_frames
from rhdesk_servlet.code import CodeFolder
from rhdesk_servlet.live import LiveNames, Pointer
from rhdesk_servlet.objects import ObjectFolder
from rhdesk_servlet.pool import Body, Pool
from rhdesk_servlet.runs import Runs
from rhdesk_servlet.switching import Switch

_SOON_S = 0.01
"""How long a call may take and still be answered in one piece."""


class EnvServlet:
    def __init__(
        self,
        runs: Runs,
        code: CodeFolder,
        live: LiveNames,
        switch: Switch,
        objects: ObjectFolder,
        pool: Pool,
        activity: Activity,
    ) -> None:
        self._activity = activity
        self._is_retired = False
        self._runs = runs
        self._code = code
        self._live = live
        self._switch = switch
        self._objects = objects
        self._pool = pool

    async def __call__(self, request: Request) -> None:
        if self._is_retired:
            raise ServletDied("this env servlet made way for newer code", reason="replaced")
        if request.method != "GET" and request.parts[1:] != ["retire"]:
            self._activity.note()  # who only looks does not keep the node up
        match [request.method, *request.parts]:
            case ("POST", "v1", "call"):
                await self._call(request)
            case ("GET", "v1", "runs", run_id, "follow"):
                await self._follow(request, run_id)
            case ("GET", "v1", "runs", run_id):
                await answer(request, [pack(self._runs.seen(run_id))])
            case ("POST", "v1", "runs", run_id, "cancel"):
                force = bool(request.number("force", 0))
                seen = await self._runs.cancel(run_id, force=force)
                await answer(request, [pack(seen)])
            case ("PUT", "v1", "definitions"):
                await self._define(request)
            case ("GET", "v1", "live", name):
                await answer(request, [pack(self._switch.seen(name))])
            case ("PUT", "v1", "live", name):
                asked = unpack((await request.body()).view, GoLive)
                await answer(request, [pack(await self._switch.go_live(name, asked))])
            case ("PUT", "v1", "interpreter"):
                taken = unpack((await request.body()).view, TakeOn)
                await answer(request, [pack(await self._switch.take_on(taken))])
            case ("POST", "v1", "retire"):
                await answer(request, [pack(self._retire())])
            case ("POST", "v1", "code", "missing"):
                hashes = unpack((await request.body()).view, list[str])
                await answer(request, [pack(self._code.missing(hashes))])
            case ("PUT", "v1", "code", tree):
                files, blobs = unpack(
                    (await request.body()).view, tuple[dict[str, str], dict[str, bytes]]
                )
                self._code.put(tree, files, blobs)
                await answer(request, [])
            case (_, "v1", "objects", *rest):
                await self._object(request, rest)
            case ("GET", "v1", "stats"):
                await answer(request, [pack(self._pool.counts)])
            case ("POST", "call", name, method):
                await self._json(request, name, method)
            case _:
                raise NotFound(f"{request.method} /{'/'.join(request.parts)}", kind="route")

    async def _call(self, request: Request) -> None:
        try:
            called = unpack(b64decode(request.header(H_CALL.encode()), validate=True), Called)
        except ValueError as exc:
            raise BadInput(f"the {H_CALL} header is not base64: {exc}") from exc
        entry = self._code.entry(called.definition)
        if entry.kind == "module" and called.method != "__init__":
            self._need_instance(called)
        run = self._runs.start(called, entry, await request.body())
        if called.detach:
            await answer(request, [pack(run.seen())])
            return
        if not run.is_finished:
            await run.change(_SOON_S)
        if (whole := self._runs.answer_at_once(run)) is not None:
            await answer(request, frame(whole.kind, whole.body))
            return
        await answer_frames(request, self._runs.follow(run.run_id, lines=called.lines))

    def _retire(self) -> Retired:
        """Take no more calls, unless there is something that somebody would miss."""
        why = self._runs.why_needed() or self._pool.why_needed()
        self._is_retired = not why
        return Retired(is_retired=self._is_retired, why=why)

    async def _follow(self, request: Request, run_id: str) -> None:
        if self._runs.seen(run_id).status == "unknown":
            raise NotFound(run_id, kind="run")
        after, item = request.number("after", -1), request.number("item", -1)
        await answer_frames(request, self._runs.follow(run_id, after=after, item=item))

    async def _define(self, request: Request) -> None:
        body = (await request.body()).view
        try:
            (length,) = struct.unpack_from("<I", body)
        except struct.error as exc:
            raise BadInput("not a definition: too short") from exc
        definition = unpack(body[4 : 4 + length], Definition)
        digest = self._code.define(definition, bytes(body[4 + length :]))
        if self._live.find(definition.name) is None or not _is_saved(definition.name):
            # Another version of a saved name takes over when it is told to go live, not before.
            owner = request.text("owner")
            pointer = Pointer(name=definition.name, definition=digest, owner=owner)
            self._live.point(pointer)
        await answer(request, [digest.encode()])

    async def _object(self, request: Request, path: Sequence[str]) -> None:
        match [request.method, *path]:
            case ("GET",):
                await answer(request, [pack(self._objects.keys())])
            case ("DELETE",):
                keys = unpack((await request.body()).view, Keys).keys
                gone = self._objects.delete(self._objects.keys() if keys is None else keys)
                for key in gone:
                    self._pool.drop_instance(key)
                await answer(request, [pack(gone)])
            case ("GET", key):
                await answer(request, [self._objects.read_bytes(key)], PAYLOAD_TYPE)
            case ("PUT", key):
                body = (await request.body()).view
                Payload.read(body)
                self._objects.write_pieces(key, [body])
                await answer(request, [])
            case ("POST", key, "rename"):
                self._objects.rename(key, unpack((await request.body()).view, str))
                await answer(request, [])
            case _:
                raise NotFound("/".join(path), kind="route")

    async def _json(self, request: Request, name: str, method: str) -> None:
        """JSON in, JSON out, for people with curl."""
        body = (await request.body()).view
        args, kwargs = _json_arguments(bytes(body) or b"{}")
        definition = self._live.named(name).definition
        entry = self._code.entry(definition)
        called = Called(
            run_id=_run_id(request.header(b"idempotency-key"), name, method),
            definition=definition,
            instance=name if entry.kind == "module" else "",
            method="" if method == "call" else method,
            lines=False,
            as_json=True,
        )
        if entry.kind == "module":
            self._need_instance(called)
        run = self._runs.start(called, entry, Body(Payload.of_call(args, kwargs).to_bytes()))
        last, items = await _until_end(self._runs.follow(run.run_id, lines=False))
        if last.kind is Kind.ERROR:
            failed = unpack(memoryview(last.body), RunEnd).failed or Failed(kind="", message="")
            raise _error(failed, run.run_id)
        result = items or Payload.read(last.body).result(may_unpickle=False)
        await answer(request, [msgspec.json.encode(result)], JSON_TYPE)

    def _need_instance(self, called: Called) -> None:
        if not self._pool.has_instance(called.instance):
            raise NotFound(called.instance, kind="module instance")


async def _until_end(batches: AsyncGenerator[list[Frame]]) -> tuple[Frame, list[Any]]:
    items: list[Any] = []
    last: Frame | None = None
    async for batch in batches:
        for each in batch:
            if each.kind is Kind.ITEM:
                body = memoryview(each.body)[4:]
                items.append(Payload.read(body).result(may_unpickle=False))
            last = each
    assert last is not None, "a followed run ends with a frame"
    return last, items


def _is_saved(name: str) -> bool:
    """Whether it is an address in a naming store; a function of a file is called by its own."""
    return name.startswith(("~/", "@/", "/", "^"))


def _run_id(key: bytes, name: str, method: str) -> str:
    """The same for the same key of the same function; without a key, a new one."""
    if not key:
        return secrets.token_hex(16)
    return sha256(b"\0".join([key, name.encode(), method.encode()])).hexdigest()[:32]


def _json_arguments(body: bytes) -> tuple[list[Any], dict[str, Any]]:
    """``{"args": [...], "kwargs": {...}}``, or the keyword arguments themselves."""
    try:
        asked = msgspec.json.decode(body)
    except msgspec.DecodeError as exc:
        raise BadInput(f"the body is not JSON: {exc}") from exc
    if isinstance(asked, list):
        return asked, {}
    if not isinstance(asked, dict):
        raise BadInput('the body is {"alpha": 0.3} or {"args": [0.3], "kwargs": {}}')
    if set(asked) <= {"args", "kwargs"}:
        args, kwargs = asked.get("args", []), asked.get("kwargs", {})
        if isinstance(args, list) and isinstance(kwargs, dict):
            return args, kwargs
    return [], asked


def _error(failed: Failed, run_id: str) -> Exception:
    cls = error_classes().get(failed.kind, RunFailed)
    if issubclass(cls, RunFailed):
        message = failed.message if cls is not RunFailed else f"{failed.kind}: {failed.message}"
        return cls(message, run_id=run_id, remote_traceback=failed.traceback)
    return RunFailed(failed.message, run_id=run_id, remote_traceback=failed.traceback)
