"""A day of a team of five on one store: ``python -m rhdesk.demo.team [postgresql://...]``.

1. Ana runs a store, and makes the group ``ml`` with Bo, Cy, Dee and Eve in it.
2. ``/ml/prod`` becomes a lane after ``/ml/dev``: what is in it comes by promotion, and somebody
   else than who asks has to agree.
3. Bo saves ``/ml/dev/train``, Cy approves its promotion, and everybody has it in ``/ml/prod``.
4. A second version follows, and is bad: Dee goes back to the first, which needs nobody.
5. Eve leaves the group while her desk listens: within two seconds what it read is gone from it.
6. Why she may not write any more is told without a network, and the store's audit, kept in a file,
   is verified with the store ended.

Everything is in a temporary folder; with a PostgreSQL URL the store is there instead of in a file.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from rhdesk.config import Settings
from rhdesk.desk import AsyncDesk
from rhdesk.models import Record
from rhdesk.server.serve import open_database
from rhdesk.server.tokens import Accounts

TEAM: Final = ("ana", "bo", "cy", "dee", "eve")
_STARTS_S: Final = 30.0


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="rhdesk-team-") as folder:
        database = sys.argv[1] if len(sys.argv) > 1 else f"{folder}/store"
        asyncio.run(_day(Path(folder), database))


async def _day(folder: Path, database: str) -> None:
    tokens = await asyncio.to_thread(_people, database)
    async with _served(database) as (url, end_store), AsyncExitStack() as stack:
        desks = {name: await stack.enter_async_context(_desk(folder, name)) for name in TEAM}
        for name, desk in desks.items():
            await desk.login(url, tokens[name])
        await _make_team(desks)
        first = await _promote(desks)
        await _roll_back(desks, first)
        await _revoke(desks)
        head = await desks["ana"].download_audit(str(folder / "audit.jsonl"))
        end_store()
        told = await desks["dee"].access_why("eve", "write", "/ml/prod/train", offline=True)
        _say(f"eve may write /ml/prod/train: {told.allowed}; {told.remedy}")
        flaws, last = await desks["ana"].verify_audit_file(str(folder / "audit.jsonl"), [head])
        _say(f"the audit, {last.number} rows, without the store: {len(flaws)} flaws")


async def _make_team(desks: Mapping[str, AsyncDesk]) -> None:
    group = await desks["ana"].make_group("ml", TEAM[1:])
    _say(f"the group {group.name}: {' '.join(group.members)}")
    lane = await desks["ana"].lay_lane("/ml/prod", "/ml/dev", approvals=1)
    _say(f"{lane.folder} comes after {lane.after}, with {lane.approvals} approval")


async def _promote(desks: Mapping[str, AsyncDesk]) -> str:
    """The version that is in prod by then."""
    record = Record(name="/ml/dev/train", resource_type="env", config={"reqs": ["torch==2.5"]})
    await desks["bo"].save(record)
    await desks["bo"].sync()
    asked = await desks["bo"].promote("/ml/dev/train", note="the first one")
    _say(f"bo asks for {asked.target}: {asked.state}")
    done = await desks["cy"].approve(asked.promotion_id)
    _say(f"cy agrees: {done.state}, approved by {' '.join(done.approved_by)}")
    await desks["eve"].sync()
    return (await desks["eve"].load("/ml/prod/train")).version


async def _roll_back(desks: Mapping[str, AsyncDesk], first: str) -> None:
    record = Record(name="/ml/dev/train", resource_type="env", config={"reqs": ["torch==9.9"]})
    await desks["bo"].save(record)
    await desks["bo"].sync()
    asked = await desks["bo"].promote("/ml/dev/train")
    await desks["dee"].approve(asked.promotion_id)
    await desks["dee"].sync()
    bad = await desks["dee"].load("/ml/prod/train")
    back = await desks["dee"].promote(f"/ml/prod/train@{first}", note="9.9 does not exist")
    await desks["dee"].sync()
    good = await desks["dee"].load("/ml/prod/train")
    _say(f"prod was {bad.config['reqs']}, dee goes back: {back.state}, {good.config['reqs']}")


async def _revoke(desks: Mapping[str, AsyncDesk]) -> None:
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(desks["eve"].stay_in_step())
        await asyncio.sleep(1.0)
        held = await desks["eve"].resources("/ml")
        began = time.monotonic()
        await desks["ana"].change_group("ml", take=["eve"])
        await _until_gone(desks["eve"])
        took_s = time.monotonic() - began
        _say(f"eve had {len(held)} names; they were gone from her desk after {took_s:.2f} s")
        listening.cancel()
    await desks["dee"].sync()


async def _until_gone(desk: AsyncDesk) -> None:
    """As a person would look: again and again."""
    async with asyncio.timeout(30):
        while True:
            if not await desk.resources("/ml"):
                return
            await asyncio.sleep(0.02)


def _people(database: str) -> dict[str, str]:
    """A token for each; it is shown once."""
    opened = open_database(database)
    try:
        accounts = Accounts(opened)
        for name in TEAM:
            accounts.add_user(name)
        with opened.writing() as t:  # ana reads the audit: she is admin of all
            seq = t.next_seq()
            t.grant(seq, "ana", "/", max(t.grants("ana").values()))
            t.note(seq, "the server's keeper", "grant", "/", "admin to ana")
        return {name: accounts.make_token(name, lasts=timedelta(days=1)) for name in TEAM}
    finally:
        opened.close()


@asynccontextmanager
async def _desk(folder: Path, name: str) -> AsyncGenerator[AsyncDesk]:
    settings = Settings(
        data_dir=folder / name / "data", cache_dir=folder / name / "cache", connect_timeout_s=10.0
    )
    async with AsyncDesk.open(settings) as desk:
        yield desk


@asynccontextmanager
async def _served(database: str) -> AsyncGenerator[tuple[str, Callable[[], None]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    words = ["-m", "rhdesk.cli", "server", "run", "--database", database, "--port", str(port)]
    server = await asyncio.create_subprocess_exec(
        sys.executable, *words, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + _STARTS_S
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if server.returncode is not None or time.monotonic() > until:
                    raise
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
        yield f"http://127.0.0.1:{port}", server.terminate
    finally:
        with suppress(ProcessLookupError):
            server.terminate()
        await server.wait()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - it is a script that tells what it does


if __name__ == "__main__":
    main()
