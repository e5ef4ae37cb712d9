"""The daemon: ``python -m rhdesk.loops``, what ``rhdesk daemon run`` runs.

Crash-only: it can be ended at any moment, and starting it is all the recovery there is.
"""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from rhdesk import processes
from rhdesk.config import Settings
from rhdesk.daemon.line import listening
from rhdesk.daemon.service import Daemon
from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, RhdeskError
from rhdesk.foreign import clean
from rhdesk.loops.keeper import Keeper
from rhdesk.models import DaemonState

_LOG_BYTES: Final = 1_000_000

log = logging.getLogger("rhdesk.loops")


class _Clean(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(clean(line) for line in super().format(record).splitlines())


async def run(settings: Settings) -> None:
    """Keep the loops going until SIGTERM or SIGINT.

    Raises:
        StoreBusy: A daemon runs here already.
    """
    daemon = Daemon(settings.data_dir)
    daemon.lock.take()
    try:
        _write_log(daemon)
        async with AsyncDesk.open(settings) as desk:
            await _serve(daemon, desk)
    finally:
        daemon.lock.release()


async def _serve(daemon: Daemon, desk: AsyncDesk) -> None:
    keeper = Keeper(desk)
    started_at = datetime.now(UTC)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for how in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(how, stopping.set)

    async def answer(question: str) -> DaemonState:
        if question != "state":
            raise BadInput(f"{question!r} is no question; ask state")
        return DaemonState(
            status="running",
            pid=processes.this().pid,
            started_at=started_at,
            socket=str(daemon.socket),
            log=str(daemon.log),
            loops=keeper.loops,
        )

    log.info("started")
    async with listening(daemon.socket, answer), asyncio.TaskGroup() as group:
        kept = group.create_task(keeper.keep())
        await stopping.wait()
        kept.cancel()
    log.info("stopped")


def _write_log(daemon: Daemon) -> None:
    handler = logging.handlers.RotatingFileHandler(
        daemon.log, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8"
    )
    handler.setFormatter(_Clean("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("rhdesk")
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def main() -> None:
    try:
        os.chdir("/")  # it must keep no folder from being unmounted
        with suppress(KeyboardInterrupt):
            asyncio.run(run(Settings.load()))
    except RhdeskError as exc:
        sys.stderr.write(f"rhdesk daemon: {exc}\n")
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main()
