"""Steps of several things that go on side by side, as one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from rhdesk.models import Step, StepState


def did(what: str, detail: str, elapsed_s: float = 0.0) -> Step:
    """A step that is done."""
    return Step(what=what, state=StepState.DONE, detail=detail, elapsed_s=elapsed_s)


async def together(several: Sequence[AsyncGenerator[Step]]) -> AsyncGenerator[Step]:
    """Steps of each as they come; the first error ends all of them, and is raised."""
    said: asyncio.Queue[Step | None] = asyncio.Queue()

    async def follow(steps: AsyncGenerator[Step]) -> Exception | None:
        try:
            async with aclosing(steps):
                async for step in steps:
                    said.put_nowait(step)
        except Exception as exc:  # noqa: BLE001 -- raised below, as itself and not in a group
            return exc
        finally:
            said.put_nowait(None)
        return None

    tasks = [asyncio.ensure_future(follow(steps)) for steps in several]
    try:
        left = len(tasks)
        while left:
            if (step := await said.get()) is None:
                left -= 1
                for task in tasks:
                    if task.done() and (error := task.result()) is not None:
                        raise error
            else:
                yield step
        for task in tasks:
            if (error := await task) is not None:
                raise error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
