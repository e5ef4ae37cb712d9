"""A laptop in a process of its own, to be killed: it saves, and says so once that is done.

python -m tests.integration.sync.writer HOME FIRST_NUMBER [too-early] [only-saves]
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.integration.sync.laptop import Laptop

NAMES = 12


async def main(home: Path, number: int, *, too_early: bool, only_saves: bool) -> None:
    laptop = Laptop(home)
    async with asyncio.TaskGroup() as group:
        if not only_saves:
            group.create_task(laptop.store.keep())
        while True:
            if too_early:
                os.write(1, f"{number}\n".encode())
            await laptop.change(f"/ada/n{number % NAMES}", **{f"f{number}": number})
            if not too_early:
                os.write(1, f"{number}\n".encode())
            number += 1


if __name__ == "__main__":
    words = set(sys.argv[3:])
    asyncio.run(
        main(
            Path(sys.argv[1]),
            int(sys.argv[2]),
            too_early="too-early" in words,
            only_saves="only-saves" in words,
        )
    )
