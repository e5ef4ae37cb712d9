"""An env servlet as one event loop: its pool, its runs, its HTTP endpoint on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from rhdesk.errors import ServletDied
from rhdesk_servlet.activity import Activity
from rhdesk_servlet.app import EnvServlet
from rhdesk_servlet.asgi import guarded
from rhdesk_servlet.auth import Doorman
from rhdesk_servlet.code import CodeFolder
from rhdesk_servlet.live import LiveNames
from rhdesk_servlet.objects import ObjectFolder
from rhdesk_servlet.pool import Pool
from rhdesk_servlet.runs import Runs
from rhdesk_servlet.switching import Switch


class EnvConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What an env servlet is told when it starts."""

    name: str
    folder: str
    """The cluster's folder on this node."""
    cluster_id: str
    host: str = "127.0.0.1"
    env_vars: dict[str, str] = {}
    node: str = ""
    code: str = ""
    """Folder of the servlet's own code that it runs."""
    workers: int = 0
    """Function workers at most; 0 is four per core, but at least eight."""

    @property
    def place(self) -> Path:
        return Path(self.folder) / "envs" / self.name


async def _need(pool: Pool) -> None:
    """Fail when the pool does: a servlet that cannot run anything is started anew."""
    await pool.lost()
    raise ServletDied("the process that starts the workers was killed")


def read_token(folder: Path) -> str:
    """The cluster's token: a file only its owner reads."""
    return (folder / "token").read_text("ascii").strip()


async def serve_env(config: EnvConfig, ready: Callable[[str], None]) -> None:
    """Serve until cancelled; *ready* hears the address, ``host:port``."""
    folder = Path(config.folder)
    config.place.mkdir(mode=0o700, parents=True, exist_ok=True)
    most = config.workers or max(8, 4 * (os.cpu_count() or 1))
    pool = Pool(config.place, most=most, environ=config.env_vars)
    runs = Runs(config.place, pool)
    await pool.start()
    code, live = CodeFolder(folder / "code"), LiveNames(config.place / "live", config.cluster_id)
    switch = Switch(code, live, pool, config.place / "spools")
    objects = ObjectFolder(folder / "objects")
    activity = Activity(folder)
    application = EnvServlet(runs, code, live, switch, objects, pool, activity)
    doorman = Doorman(config.cluster_id, read_token(folder))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runs.tend())
        tasks.create_task(_need(pool))
        tasks.create_task(activity.keep_noting(runs.is_any_running))
        await serve(guarded(doorman, application), listen(config.host), ready)
    await pool.close()


def listen(host: str, port: int = 0) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(512)
    return listener


async def serve(application: Any, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Run an ASGI application on *listener*."""
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_keep_alive=3600,
        h11_max_incomplete_event_size=1 << 20,
    )
    server = uvicorn.Server(config)
    host, port = listener.getsockname()[:2]
    ready(f"{host}:{port}")
    await server.serve([listener])
