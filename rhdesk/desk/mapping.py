"""One function, many items, all the nodes of a cluster."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from rhdesk.desk.live import LiveVerbs
from rhdesk.errors import BadInput, ItemsLost, NotFound, RunFailed
from rhdesk.models import Item, LogLine

if TYPE_CHECKING:
    from rhdesk.runs.spread import Event, Over
    from rhdesk.wire.payload import Payload


class MapVerbs(LiveVerbs):
    async def map_target(
        self,
        target: str,
        items: Sequence[tuple[Sequence[Any], Mapping[str, Any]]],
        *,
        on: str = "here",
        env: str = "",
        timeout_s: float = 0.0,
        idempotent: bool = False,
    ) -> AsyncGenerator[LogLine | Item]:
        """Call a function once for each item over a cluster's nodes and cores; one run.

        Yields what the items print, and each item's result as it comes, in any order.

        Args:
            target: A saved name, or ``app.py:train``.
            items: Values by position and by name; text is read as the annotations say.
            env: Name of an environment on the cluster; empty is the one it was saved with.
            idempotent: An item whose end nobody can know, because its node is gone, runs again on
                another; without it, it comes back lost.

        Raises:
            BadInput: There is no item, the target is no function, or an item's values do not fit.
            ItemsLost: A node went away with items; the others have finished and were yielded.
            RunFailed: The function raised; the first to do so ends the map.
        """
        from rhdesk.code.bundling import is_spec, record_bundle
        from rhdesk.code.signatures import bind, read_arguments

        record = None if is_spec(target) else await self.load(target)
        bundle = await self.bundle(target) if record is None else record_bundle(record)
        if bundle.kind != "function":
            raise BadInput(f"{target} is a {bundle.kind}; a map calls a function")
        if not items:
            raise BadInput(f"a map of {target} over nothing; give it at least one item")
        signature = await self.signature(target)
        name = target.rpartition("/")[2] or target
        bound: list[tuple[Sequence[Any], Mapping[str, Any]]] = []
        for number, (placed, named) in enumerate(items):
            try:
                read_named, read_placed = read_arguments(signature, named, placed)
                bound.append(bind(signature, read_named, read_placed, name=name))
            except BadInput as exc:
                raise BadInput(f"item {number}: {exc}") from exc
        env = env or await self._ready_env(target, on)
        cores = await self.nodes_for(on, env)
        if not cores:
            raise NotFound(env, kind=f"environment on a node of {on} that is up")
        events = self.map(
            name, bundle, bound, on=on, cores=cores, env=env, timeout_s=timeout_s,
            idempotent=idempotent,
        )  # fmt: skip
        async with aclosing(events):
            async for event in self._seen(events):
                yield event

    async def _seen(self, events: AsyncGenerator[Event]) -> AsyncGenerator[LogLine | Item]:
        from rhdesk.runs.spread import Came, Over, Told
        from rhdesk.wire.payload import Payload

        async for event in events:
            match event:
                case Told():
                    for line in event.lines:
                        yield line
                case Came():
                    yield Item(number=event.item, value=_for_eyes(Payload.read(event.body)))
                case Over():
                    if event.raised is not None:
                        raise _raised(event)
                    for number, why in sorted(event.lost.items()):
                        yield Item(number=number, lost=why)
                    if event.lost:
                        why = event.run.failure.message if event.run.failure else ""
                        raise ItemsLost(why, run_id=event.run.run_id, lost=event.lost, results={})


def _raised(over: Over) -> RunFailed:
    failed = over.raised.failed if over.raised is not None else None
    return RunFailed(
        f"{failed.kind}: {failed.message}" if failed else "it failed",
        run_id=over.run.run_id,
        remote_traceback=failed.traceback if failed else "",
    )


def _for_eyes(payload: Payload) -> Any:
    """A result without opening what only Python can hold."""
    from rhdesk.runs.results import describe

    if payload.encodings == {"plain"}:
        return payload.result(may_unpickle=False)
    if "pickle" in payload.encodings:
        return {"type": "Python object", "repr": describe(payload)}
    return describe(payload)
